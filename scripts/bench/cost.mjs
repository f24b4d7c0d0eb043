// What a call costs on the platform: requests to the object, rows written, the time the object may not rest; in dollars by the
// price list below. The rows are those that SQLite reports in workerd, the requests and the time those of the object itself.
import { setTimeout as sleep } from 'node:timers/promises';
import { kill } from '../lib/processes.mjs';
import { startVendors } from '../lib/mock-upstreams.mjs';
import { startMetered, unthrottled } from './sluice.mjs';

/**
 * Dollars a million, https://developers.cloudflare.com/durable-objects/platform/pricing/ and …/workers/platform/pricing/: requests to
 * an object, rows written, Worker requests, GB-seconds of an object in memory that cannot rest, at 128 MB each.
 */
export const PRICES = { object_request: 0.15, row_written: 1, worker_request: 0.3, gb_second: 12.5 };
const OBJECT_GB = 0.128;

/** An object that nothing has been asked of for 10 s leaves memory. */
const LEAVES_MEMORY_MS = 12_000;
/** What an object still writes after its last call is written by then. */
const WRITTEN_MS = 3_000;

/** Calls as they come, 100 a second; as many as Marketo takes, 5 a second; one now and then, each finding the object out of memory. */
export async function cost({ load, seconds = 60, lone = 5 }) {
  const [unthrottled_, saturated, single] = await Promise.all([
    metered(load, steady(seconds)), metered(load, marketo(seconds)), metered(load, now_and_then(lone)),
  ]);
  return { unthrottled: unthrottled_, saturated, lone: single };
}

const steady = (seconds) => async ({ sluice, load }) => {
  const key = await sluice.tenant('steady', { crm: unthrottled(load.vendor) });
  return [{ target: '/v/crm/leads/{n}', keys: [key], callers: 8, rate: 100, seconds }];
};

const marketo = (seconds) => async ({ sluice, keep }) => {
  const vendors = keep(await startVendors(['marketo'], ['--latency', 'lognormal:200,0.5', '--count-at', 'random']));
  const credential = { type: 'bearer', token: 'mock-vendors-take-any' };
  const key = await sluice.tenant('marketo', { crm: { vendor: 'marketo', base_url: vendors.vendors.marketo, share: 1, credential, queue: { size: 100, max_wait_seconds: 60 } } });
  const headers = [['Prefer', 'wait=60']];
  return [{ target: '/v/crm/rest/v1/leads.json?filterType=email&filterValues=ada@example.com', keys: [key], headers, callers: 30, seconds }];
};

const now_and_then = (calls) => async ({ sluice, load }) => {
  const key = await sluice.tenant('lone', { crm: unthrottled(load.vendor) });
  return Array.from({ length: calls }, () => ({ target: '/v/crm/leads/{n}', keys: [key], callers: 1, calls: 1 }));
};

/** Makes calls on an instance of their own, and reads the bill before and after. */
async function metered(load, prepare) {
  const stops = [];
  try {
    const sluice = await startMetered();
    stops.push(sluice.stop);
    const keep = (one) => (stops.push(() => kill(one.child)), one);
    const orders = await prepare({ sluice, load, keep });
    // A Worker's first call asks where its connection leads; from then on it knows.
    await load.order('call', { to: sluice.to, ...orders[0], callers: 1, calls: 1 });
    await sleep(orders.length > 1 ? LEAVES_MEMORY_MS : WRITTEN_MS);
    const before = await sluice.bill();
    let calls = 0;
    for (const order of orders) {
      const { by_status, broken } = await load.order('call', { to: sluice.to, ...order });
      if (broken || Object.keys(by_status).some((status) => status !== '200')) throw new Error(`the calls to be counted were answered ${JSON.stringify(by_status)}, and ${broken} not at all`);
      calls += by_status[200];
      await sleep(orders.length > 1 ? LEAVES_MEMORY_MS : WRITTEN_MS);
    }
    return priced(calls, before, await sluice.bill());
  } finally {
    for (const stop of stops) stop();
  }
}

function priced(calls, before, after) {
  const each = (name) => (after[name] - before[name]) / calls;
  const [requests, rows, seconds] = [each('requests'), each('rows'), each('active_ms') / 1000];
  const dollars = requests * PRICES.object_request + rows * PRICES.row_written + PRICES.worker_request + seconds * OBJECT_GB * PRICES.gb_second;
  return { calls, object_requests_per_call: requests, rows_written_per_call: rows, object_seconds_per_million: seconds * 1e6, dollars_per_million: dollars };
}
