// Goodput at the limit: eight processes saturate one vendor, each with the same number of calls at a time. Every subject has a vendor
// and processes of its own, and all run at the same time: ten calls a second each leave the machine nearly idle.
import { createInterface } from 'node:readline';
import { inRoot } from '../lib/places.mjs';
import { kill, start } from '../lib/processes.mjs';
import { startVendors } from '../lib/mock-upstreams.mjs';
import { percentile } from './numbers.mjs';
import { startRedis } from './peers.mjs';
import { startSluice } from './sluice.mjs';
import { startWorker } from './worker.mjs';

const LIMIT = { calls: 100, seconds: 10 };
const PROCESSES = 8;
/** Calls at a time in each. */
const CALLERS = 4;
/** The vendor answers after 20 to 400 ms, and counts a call somewhere between its arrival and that: vendors do not say where. */
const VENDOR = ['--jitter', '20-400', '--count-at', 'random'];

/** What is measured, with the settings each has. A spacing with a margin for the jitter gives 100 calls 400 ms more than the window. */
function subjects({ sluice, key, paced, margin, redis }) {
  const each = { minTime: (LIMIT.seconds * 1000) / LIMIT.calls };
  const all = [
    ['sluice', 'sluice', 'rolling_window 100/10 s, queue of 100', { to: sluice.to, key }],
    ['js_object', 'object', 'one token every 100 ms, no burst', { to: paced.to }],
    ['js_object_margin', 'object', 'one token every 104 ms, no burst', { to: margin.to }],
    ['retry_429', 'retry', 'as soon as asked; again after Retry-After', {}],
  ];
  if (redis.missing) return all;
  const reservoir = { reservoir: LIMIT.calls, reservoirRefreshAmount: LIMIT.calls, reservoirRefreshInterval: LIMIT.seconds * 1000 };
  const bottleneck = (name, about, options) => [name, 'bottleneck', about, { redis: { port: redis.port }, options: { id: name, ...options } }];
  const flexible = (name, about, options) => [name, 'flexible', about, { redis: { port: redis.port }, options: { keyPrefix: name, ...options } }];
  return [
    ...all,
    bottleneck('bottleneck_reservoir', 'reservoir of 100, refilled every 10 s', reservoir),
    bottleneck('bottleneck', 'minTime 100 ms', each),
    bottleneck('bottleneck_margin', 'minTime 104 ms', { minTime: 104 }),
    flexible('rate_limiter_flexible', '100 points in 10 s, with its queue', { points: 100, duration: 10 }),
    flexible('rate_limiter_flexible_fine', '10 points in 1 s, with its queue', { points: 10, duration: 1 }),
    flexible('rate_limiter_flexible_margin', '9 points in 1 s, with its queue', { points: 9, duration: 1 }),
  ];
}

export async function goodput({ seconds = 60 }) {
  const running = [];
  const keep = (one) => (running.push(() => (one.stop ? one.stop() : kill(one.child))), one);
  try {
    const redis = await startRedis();
    if (!redis.missing) keep(redis);
    const vendor = async () => (await startVendors(['generic'], VENDOR).then(keep)).vendors.generic;
    const world = { redis, sluice: keep(await startSluice()) };
    const vendors = { sluice: await vendor() };
    world.key = await world.sluice.tenant('goodput', { crm: connection(vendors.sluice) });
    for (const [name, perSecond] of [['paced', 10], ['margin', 1000 / 104]]) {
      vendors[name] = await vendor();
      world[name] = keep(await startWorker({
        modules: { 'worker.js': 'benches/workers/object-limiter.js' }, objects: { LIMITER: 'Limiter' },
        vars: { VENDOR: vendors[name], BURST: '1', PER_SECOND: `${perSecond}` },
      }));
    }
    const all = [];
    for (const [name, kind, about, settings] of subjects(world)) {
      const own = { sluice: vendors.sluice, js_object: vendors.paced, js_object_margin: vendors.margin }[name] ?? (await vendor());
      const processes = await Promise.all(Array.from({ length: PROCESSES }, (_, index) =>
        process_(kind, { vendor: own, ...settings }, `${index + 1}`, seconds).then(keep)));
      all.push({ name, about, vendor: own, processes });
    }
    const figures = await Promise.all(all.map((subject) => measure(subject, seconds)));
    const missing = redis.missing && `limiters with Redis were not measured: ${redis.missing}`;
    const settings = Object.fromEntries(all.map(({ name, about }) => [name, about]));
    return { figures: Object.fromEntries(figures), settings, missing };
  } finally {
    for (const stop of running) stop();
  }
}

const connection = (base_url) => ({
  vendor: 'generic', base_url, queue: { size: 100, max_wait_seconds: 60 },
  limits: [{ name: 'rate', kind: 'rolling_window', calls: LIMIT.calls, seconds: LIMIT.seconds }],
});

/** Starts a process. Resolves when it is ready; `go` begins, and resolves to its calls. */
function process_(kind, settings, name, seconds) {
  const told = JSON.stringify({ kind, settings, name, callers: CALLERS, seconds: LIMIT.seconds + seconds });
  const child = start(process.execPath, [inRoot('benches/goodput/caller.mjs'), told], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`a caller of ${kind} ended before it had made its calls`);
    return value;
  };
  const go = async () => {
    child.stdin.write('go\n');
    return JSON.parse(await next());
  };
  return next().then(() => ({ child, go }));
}

async function measure({ name, vendor, processes }, seconds) {
  const done = (await Promise.all(processes.map(({ go }) => go()))).flat();
  const seen = await journal(vendor);
  const refused = seen.filter(({ verdict }) => verdict.verdict === 'refused').length;
  if (!done.length) throw new Error(`${name} made no call within ${LIMIT.seconds + seconds} s`);
  const passed = seen.filter(({ verdict }) => verdict.verdict === 'passed');
  const service = new Map(passed.map((call) => [call.target, (call.ended_us - call.arrived_us) / 1000]));
  const waits = done.filter(([path]) => service.has(path)).map(([path, took]) => Math.max(0, took - service.get(path)));
  return [name, {
    refused, used_ratio: used(passed.map((call) => call.counted_us / 1e6), seconds), p99_wait_ms: percentile(waits, 0.99),
  }];
}

/** How full the vendor's window was, on the average over the time from its first filling. */
function used(counted, seconds) {
  const from = Math.min(...counted) + LIMIT.seconds;
  const until = from + seconds;
  const within = (at) => Math.max(0, Math.min(until, at + LIMIT.seconds) - Math.max(from, at));
  return counted.reduce((sum, at) => sum + within(at), 0) / (seconds * LIMIT.calls);
}

async function journal(vendor) {
  const calls = [];
  for (let after = 0; ;) {
    const answer = await fetch(`${vendor}/__control/log?after=${after}`);
    const { calls: more } = await answer.json();
    if (!more.length) return calls;
    calls.push(...more);
    after = more.at(-1).number;
  }
}
