// Calls a second, and what a call takes, in workerd, unthrottled: Sluice between what it cannot be faster than and what a
// user would write instead.
import { startSluice, unthrottled } from './sluice.mjs';
import { median, percentile } from './numbers.mjs';
import { startWorker } from './worker.mjs';

/** Calls at once, where as many are made as can be; and calls a second, one at a time, where a single one's time is looked at. */
const CALLERS = 16;
const RATE = 100;
const WARM_SECONDS = 0.5;
const WARM_UP_SECONDS = 2;
const TARGET = '/leads?email=ada@example.com&n={n}';
/** Such headers as an integration's HTTP client sends. */
const HEADERS = [['Accept', 'application/json'], ['Accept-Encoding', 'gzip, deflate'], ['User-Agent', 'bench/1.0 (sluice)']];

/**
 * All are started so often; each time, as many calls as can be are made to each for some seconds, and then single ones to each in turn.
 * A call takes less than 2 ms: a third of that more or less from one second to the next, which the turns even out, and some hundredths
 * from one start to the next, as memory happens to be laid out, which several starts do.
 */
const TURNS = { starts: 6, seconds: 3, rounds: 450 };

export async function edge({ load, floor, turns = TURNS }) {
  const seen = {};
  for (let start = 0; start < turns.starts; start++) {
    const subjects = await startSubjects(load.vendor, floor);
    try {
      // The first seconds of each go to compiling its Wasm for speed, on the cores that the next one is measured on.
      await asManyAsCanBe(load, subjects, WARM_UP_SECONDS);
      const rps = await asManyAsCanBe(load, subjects, turns.seconds);
      const took = await oneAtATime(load, subjects, turns.rounds);
      for (const name of Object.keys(subjects)) {
        seen[name] ??= { rps: [], took: [] };
        seen[name].rps.push(rps[name]);
        seen[name].took.push(...took[name]);
      }
    } finally {
      for (const subject of Object.values(subjects)) subject.stop();
    }
  }
  return Object.fromEntries(Object.entries(seen).map(([name, { rps, took }]) => [
    name, { rps: median(rps), p50_ms: median(took) / 1_000, p99_ms: percentile(took, 0.99) / 1_000 },
  ]));
}

/** Calls a second of each. */
async function asManyAsCanBe(load, subjects, seconds) {
  const rps = {};
  for (const [name, { to, target = TARGET, headers = HEADERS }] of Object.entries(subjects)) {
    const call = await load.order('call', { to, target, headers, callers: CALLERS, seconds: seconds + WARM_SECONDS, warm_seconds: WARM_SECONDS });
    if (call.broken || Object.keys(call.by_status).some((status) => status !== '200')) throw new Error(`${name} answered ${JSON.stringify(call.by_status)}, and ${call.broken} calls had no answer`);
    rps[name] = call.rps;
  }
  return rps;
}

/** What each call to each took, microseconds. */
async function oneAtATime(load, subjects, rounds) {
  const called = Object.values(subjects).map(({ to, target = TARGET, headers = HEADERS }) => ({ to, target, headers }));
  const took = await load.order('turns', { subjects: called, rounds, rate: RATE });
  return Object.fromEntries(Object.keys(subjects).map((name, at) => [name, took[at]]));
}

/** Sluice as a subject. */
async function startOne(vendor, options) {
  const sluice = await startSluice(options);
  const key = await sluice.tenant('edge', { crm: unthrottled(vendor) });
  return { ...sluice, target: `/v/crm${TARGET}`, headers: [...HEADERS, ['Sluice-Key', key]] };
}

/** `SLUICE_BEFORE` names the folder of an earlier build, which is then measured by turns with this one. */
async function startSubjects(vendor, floor) {
  const vars = { VENDOR: vendor };
  const before = process.env.SLUICE_BEFORE;
  return {
    sluice: await startOne(vendor),
    ...(before && { before: await startOne(vendor, { folder: before }) }),
    floor: await startWorker({ modules: floor, objects: { GATE: 'Gate' }, vars }),
    passthrough: await startWorker({ modules: { 'worker.js': 'benches/workers/passthrough.js' }, vars }),
    js_object: await startWorker({
      modules: { 'worker.js': 'benches/workers/object-limiter.js' }, objects: { LIMITER: 'Limiter' },
      vars: { ...vars, BURST: '1000000', PER_SECOND: '100000' },
    }),
  };
}
