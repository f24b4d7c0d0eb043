// How Sluice grows: with tenants, each an object of its own, and with calls that wait in one object.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { say } from '../lib/say.mjs';
import { heapBytes } from './heap.mjs';
import { startLoad } from './load.mjs';
import { startMetered, startSluice, unthrottled } from './sluice.mjs';
import { startWorker } from './worker.mjs';

const TENANTS = [1, 10, 100, 1000];
const WAITING = [10, 1000, 10_000];
const CALLERS = 16;
/** Tenants are made so many at a time. */
const AT_A_TIME = 8;
/** They come in so many batches, each when all of the one before it wait: within a batch nobody knows who was first. */
const BATCHES = 100;
/** So many calls go at least, and each that waits once, before their time counts: the platform's memory grows with those who come. */
const BEFORE = 3000;
/** Then so many go at a time, with few waiting and with many in turn: the machine's unrest lasts for seconds. */
const ROUND = 1000;
const ROUNDS = 12;
/** Open files that workerd takes for a call that waits, and for all else. Where it has none left, it ends. */
const FILES = { call: 2.5, else: 500 };
const WITHIN_MS = 120_000;
const SAID_MS = 1_500;

export async function scale({ load, program, tenants = TENANTS, waiting = WAITING, seconds = 4, calls = ROUND }) {
  const lines = [];
  const sluice = await startSluice();
  try {
    const keys = [];
    for (const many of tenants) {
      await Promise.all(Array.from({ length: AT_A_TIME }, async () => {
        while (keys.length < many) {
          const at = keys.push(undefined) - 1;
          keys[at] = await sluice.tenant(`tenant-${at}`, { crm: unthrottled(load.vendor) });
        }
      }));
      const order = { to: sluice.to, target: '/v/crm/leads/{n}', keys, callers: CALLERS };
      // Each object is in memory before it counts.
      await load.order('call', { ...order, calls: many });
      const { rps, p99_ms } = await load.order('call', { ...order, seconds });
      lines.push({ tenants: many, rps, p99_ms, memory_mb: resident(sluice.child.pid) });
    }
  } finally {
    sluice.stop();
  }
  const lengths = withinOpenFiles(waiting);
  const [own, plain] = [await queues(program, QUEUES.sluice, lengths, calls), await queues(program, QUEUES.plain, lengths, calls)];
  return [...lines, ...own.map((line, at) => ({ ...line, plain_per_call_ms: plain[at].per_call_ms }))];
}

/** These lengths, none longer than the open files allow that a process may have here. Says so of one that is made shorter. */
function withinOpenFiles(lengths) {
  const files = Number(execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' })) || Infinity;
  const most = Math.floor((files - FILES.else) / FILES.call / BATCHES) * BATCHES;
  const longest = lengths.at(-1);
  if (longest > most) say(`a process may open ${files} files here: ${most} calls wait at most, not ${longest}`);
  return lengths.map((length) => Math.min(length, most));
}

/** Sluice, with one slot each; and the least that lets calls wait in an object, which shows what the platform makes of many. */
const QUEUES = {
  async sluice() {
    const sluice = await startMetered();
    const slots = [{ name: 'slots', kind: 'concurrency', calls: 1 }];
    const asked = async () => (await sluice.bill()).requests;
    // The Wasm's memory and JavaScript's, MB, without what can be collected. The platform grants an isolate 128.
    const held = async () => ((await sluice.bill()).wasm_bytes + (await heapBytes(sluice.ports.inspector, 'desk', sluice.bill))) / 1e6;
    const object = async (name, vendor) => {
      const crm = { vendor: 'generic', base_url: vendor, limits: slots, queue: { size: 10_000, max_wait_seconds: 3600 } };
      return { to: sluice.to, keys: [await sluice.tenant(name, { crm })], path: '/v/crm/calls' };
    };
    return { child: sluice.child, stop: sluice.stop, object, asked, held };
  },
  async plain() {
    const { child, stop, to } = await startWorker({ modules: { 'worker.js': 'benches/workers/queue-object.js' }, objects: { QUEUE: 'Queue' } });
    const asked = async () => Number(await (await fetch(`http://${to}/asked`)).text());
    const object = (name, vendor) => ({ to, headers: [['vendor', vendor]], path: `/${name}` });
    return { child, stop, object, asked, held: () => 0 };
  },
};

/**
 * How long a call takes with so many waiting, for each of these lengths: each on an instance of its own; and the shortest once more on that
 * of the longest, in another object. The longest begins: it takes a while.
 */
async function queues(program, start, lengths, calls) {
  const started = [];
  const stopping = (subject) => started.unshift(subject) && subject;
  const begin = async (instance, name, many) => queue(instance, stopping(await startLoad(program)), name, many);
  try {
    const most = stopping(await start());
    const last = await begin(most, 'queue', lengths.at(-1));
    const beside = await begin(most, 'other', lengths[0]);
    const all = [];
    for (const many of lengths.slice(0, -1)) all.push(await begin(stopping(await start()), 'queue', many));
    all.push(last, beside);
    const times = all.map(() => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [at, { go }] of all.entries()) times[at].push(await go(calls));
    }
    const lines = [];
    for (const [at, many] of lengths.entries()) lines.push({ waiting: many, ...(await all[at].seen()), per_call_ms: mean(times[at]) });
    // Neighbours in time, and the middle one: on one instance the platform's pauses fall on either.
    const [many, few] = times.slice(-2);
    lines.at(-1).by_beside = median(many.map((ms, round) => ms / few[round]));
    return lines;
  } finally {
    for (const { stop } of started) stop();
  }
}

/**
 * Calls wait in an object for the one that is with the vendor, held; when it is let go they follow one after another, and come again.
 * `go(calls)` lets so many go, and resolves to milliseconds a call; `seen()` to what else there is to say.
 */
async function queue({ child: { pid }, object, asked, held }, load, name, many) {
  const { path, ...call } = await object(name, load.vendor);
  const order = (number, callers, more) => ({ ...call, target: `${path}/${number}`, callers, ...more });
  await load.order('call', order(0, 1, { calls: 50 }));
  const before = { memory: resident(pid), object: await held() };
  await load.order('hold');
  // What those calls have left to say is said within a second.
  await sleep(SAID_MS);
  const join = async (batch, callers) => {
    const from = await asked();
    load.order('call', order(batch, callers)).catch(() => {});
    await until(async () => (await asked()) - from >= callers, `${callers} calls did not come to wait`);
  };
  await join(0, 1);
  const size = Math.ceil(many / BATCHES);
  for (let [batch, waiting] = [1, 0]; waiting < many; batch++, waiting += size) await join(batch, Math.min(size, many - waiting));
  const full = { memory: resident(pid), object: await held() };
  const some = async (calls) => {
    await load.order('release');
    const came = await within(load.order('came', { least: calls }), `of ${many} waiting calls ${calls} were not served`);
    await load.order('hold');
    return came;
  };
  const first = (await some(Math.max(many + 1, BEFORE))).slice(0, many + 1).map(([batch]) => batch);
  const go = async (calls) => {
    // One was with the vendor already, or on its way.
    const came = await some(calls + 2);
    return (came[calls + 1][1] - came[1][1]) / 1000 / calls;
  };
  const seen = async () => ({
    in_order: first.every((batch, at) => !at || batch >= first[at - 1]),
    object_mb: Math.max(full.object, await held()) - before.object, memory_mb: full.memory === null ? null : full.memory - before.memory,
  });
  return { go, seen };
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

async function until(done, otherwise) {
  const deadline = Date.now() + WITHIN_MS;
  while (!(await done())) {
    if (Date.now() > deadline) throw late(otherwise);
    await sleep(5);
  }
}

const within = (promise, otherwise) =>
  Promise.race([promise, sleep(WITHIN_MS, undefined, { ref: false }).then(() => { throw late(otherwise); })]);

const late = (otherwise) => new Error(`${otherwise} within ${WITHIN_MS / 1000} s`);

/** Resident memory, MB; null where there is no /proc. */
function resident(pid) {
  try {
    return Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+) kB/)[1]) * 1024 / 1e6;
  } catch {
    return null;
  }
}
