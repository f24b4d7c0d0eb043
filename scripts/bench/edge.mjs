// Calls a second, and what a call takes, in workerd, unthrottled: Sluice between what it cannot be faster than and what a
// user would write instead.
import { startSluice, unthrottled } from './sluice.mjs';
import { median } from './numbers.mjs';
import { startWorker } from './worker.mjs';

/** Calls at once, where as many are made as can be; and calls a second, where a single one's time is looked at. */
const CALLERS = 16;
const STEADY_PER_SECOND = 100;
const WARM_SECONDS = 0.5;
const TARGET = '/leads?email=ada@example.com&n={n}';
/** Such headers as an integration's HTTP client sends. */
const HEADERS = [['Accept', 'application/json'], ['Accept-Encoding', 'gzip, deflate'], ['User-Agent', 'bench/1.0 (sluice)']];

/** How often each is looked at in turn, for how many seconds: what slows the machine for a while then slows them all. */
const TURNS = { most: { rounds: 5, seconds: 3 }, steady: { rounds: 20, seconds: 1 } };

export async function edge({ load, floor, turns = TURNS }) {
  const subjects = await startSubjects(load.vendor, floor);
  try {
    const most = await inTurns(load, subjects, turns.most);
    const steady = await inTurns(load, subjects, { ...turns.steady, rate: STEADY_PER_SECOND });
    return Object.fromEntries(Object.keys(subjects).map((name) => [
      name, { rps: middle(most[name], 'rps'), p50_ms: middle(steady[name], 'p50_ms'), p99_ms: middle(steady[name], 'p99_ms') },
    ]));
  } finally {
    for (const subject of Object.values(subjects)) subject.stop();
  }
}

const middle = (all, name) => median(all.map((one) => one[name]));

async function inTurns(load, subjects, { rounds, seconds, rate }) {
  const seen = Object.fromEntries(Object.keys(subjects).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, { to, target = TARGET, headers = HEADERS }] of Object.entries(subjects)) {
      const call = await load.order('call', { to, target, headers, callers: CALLERS, rate, seconds: seconds + WARM_SECONDS, warm_seconds: WARM_SECONDS });
      if (call.broken || Object.keys(call.by_status).some((status) => status !== '200')) throw new Error(`${name} answered ${JSON.stringify(call.by_status)}, and ${call.broken} calls had no answer`);
      seen[name].push(call);
    }
  }
  return seen;
}

async function startSubjects(vendor, floor) {
  const sluice = await startSluice();
  const key = await sluice.tenant('edge', { crm: unthrottled(vendor) });
  const vars = { VENDOR: vendor };
  return {
    sluice: { ...sluice, target: `/v/crm${TARGET}`, headers: [...HEADERS, ['Sluice-Key', key]] },
    floor: await startWorker({ modules: floor, objects: { GATE: 'Gate' }, vars }),
    passthrough: await startWorker({ modules: { 'worker.js': 'benches/workers/passthrough.js' }, vars }),
    js_object: await startWorker({
      modules: { 'worker.js': 'benches/workers/object-limiter.js' }, objects: { LIMITER: 'Limiter' },
      vars: { ...vars, BURST: '1000000', PER_SECOND: '100000' },
    }),
  };
}
