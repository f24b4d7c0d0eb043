// Calls a second, and what a call takes, in workerd, unthrottled: Sluice between what it cannot be faster than and what a
// user would write instead.
import { startSluice, unthrottled } from './sluice.mjs';
import { median, percentile } from './numbers.mjs';
import { startWorker } from './worker.mjs';

/** Calls at once, where as many are made as can be; and calls a second, where a single one's time is looked at. */
const CALLERS = 16;
const RATE = 100;
const WARM_SECONDS = 0.5;
const TARGET = '/leads?email=ada@example.com&n={n}';
/** Such headers as an integration's HTTP client sends. */
const HEADERS = [['Accept', 'application/json'], ['Accept-Encoding', 'gzip, deflate'], ['User-Agent', 'bench/1.0 (sluice)']];

/**
 * How often each is looked at in turn, and for how many seconds or calls: what slows the machine for a while then slows them all. What a
 * call takes at a steady rate, less than 2 ms, moves by a third within seconds; turns of a fifth of a second, more than a hundred of them,
 * tell a few hundredths of a millisecond apart.
 */
const TURNS = { most: { rounds: 5, seconds: 3 }, steady: { rounds: 125, calls: 20 } };

export async function edge({ load, floor, turns = TURNS }) {
  const subjects = await startSubjects(load.vendor, floor);
  try {
    const most = await asManyAsCanBe(load, subjects, turns.most);
    const steady = await atASteadyRate(load, subjects, turns.steady);
    return Object.fromEntries(Object.keys(subjects).map((name) => [name, { rps: most[name], ...steady[name] }]));
  } finally {
    for (const subject of Object.values(subjects)) subject.stop();
  }
}

/** Calls a second of each, in the middle of its turns. */
async function asManyAsCanBe(load, subjects, { rounds, seconds }) {
  const seen = Object.fromEntries(Object.keys(subjects).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, { to, target = TARGET, headers = HEADERS }] of Object.entries(subjects)) {
      const call = await load.order('call', { to, target, headers, callers: CALLERS, seconds: seconds + WARM_SECONDS, warm_seconds: WARM_SECONDS });
      if (call.broken || Object.keys(call.by_status).some((status) => status !== '200')) throw new Error(`${name} answered ${JSON.stringify(call.by_status)}, and ${call.broken} calls had no answer`);
      seen[name].push(call.rps);
    }
  }
  return Object.fromEntries(Object.entries(seen).map(([name, all]) => [name, median(all)]));
}

/** What a call of each takes. */
async function atASteadyRate(load, subjects, { rounds, calls }) {
  const called = Object.values(subjects).map(({ to, target = TARGET, headers = HEADERS }) => ({ to, target, headers }));
  const took = await load.order('turns', { subjects: called, rounds, calls, rate: RATE });
  return Object.fromEntries(Object.keys(subjects).map((name, at) => [
    name, { p50_ms: median(took[at]) / 1_000, p99_ms: percentile(took[at], 0.99) / 1_000 },
  ]));
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
