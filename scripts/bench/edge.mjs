// Calls a second, and what a call takes, in workerd, unthrottled: Sluice between what it cannot be faster than and what a
// user would write instead.
import { startSluice, unthrottled } from './sluice.mjs';
import { median } from './numbers.mjs';
import { startWorker } from './worker.mjs';

/** Calls at once, where as many are made as can be; and calls a second, where a single one's time is looked at. */
const CALLERS = 16;
const STEADY_PER_SECOND = 100;
const TARGET = '/leads?email=ada@example.com&n={n}';
/** Such headers as an integration's HTTP client sends. */
const HEADERS = [['Accept', 'application/json'], ['Accept-Encoding', 'gzip, deflate'], ['User-Agent', 'bench/1.0 (sluice)']];

export async function edge({ load, floor, rounds = 5, seconds = 3 }) {
  const subjects = await startSubjects(load.vendor, floor);
  try {
    const seen = Object.fromEntries(Object.keys(subjects).map((name) => [name, []]));
    for (let round = 0; round < rounds; round++) {
      // One after another within each round, so that what slows the machine for a while slows them all.
      for (const [name, subject] of Object.entries(subjects)) seen[name].push(await measure(load, subject, seconds));
    }
    return Object.fromEntries(Object.entries(seen).map(([name, all]) => [name, summary(all)]));
  } finally {
    for (const subject of Object.values(subjects)) subject.stop();
  }
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

async function measure(load, { to, target = TARGET, headers = HEADERS }, seconds) {
  const call = { to, target, headers, callers: CALLERS };
  const most = await load.order('call', { ...call, seconds: seconds + 0.5, warm_seconds: 0.5 });
  const steady = await load.order('call', { ...call, rate: STEADY_PER_SECOND, seconds: seconds + 0.5, warm_seconds: 0.5 });
  for (const { by_status, broken } of [most, steady]) {
    if (broken || Object.keys(by_status).some((status) => status !== '200')) throw new Error(`${to} answered ${JSON.stringify(by_status)}, and ${broken} calls had no answer`);
  }
  return { rps: most.rps, p50_ms: steady.p50_ms, p99_ms: steady.p99_ms };
}

const summary = (all) => Object.fromEntries(['rps', 'p50_ms', 'p99_ms'].map((name) => [name, median(all.map((one) => one[name]))]));
