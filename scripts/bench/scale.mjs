// How Sluice grows: with tenants, each an object of its own, and with calls that wait in one object.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { heapBytes } from './heap.mjs';
import { startMetered, startSluice, unthrottled } from './sluice.mjs';
import { startWorker } from './worker.mjs';

const TENANTS = [1, 10, 100, 1000];
const WAITING = [10, 1000, 10_000];
const CALLERS = 16;
/** Tenants are made so many at a time. */
const AT_A_TIME = 8;
/** They come in so many batches, each when all of the one before it wait: within a batch nobody knows who was first. */
const BATCHES = 100;
/** So many calls go through, while the others wait on. */
const SERVED = 4000;
const WITHIN_MS = 120_000;
const SAID_MS = 1_500;

export async function scale({ load, tenants = TENANTS, waiting = WAITING, seconds = 4, served = SERVED }) {
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
  const [own, plain] = [await queues(load, QUEUES.sluice, waiting, served), await queues(load, QUEUES.plain, waiting, served)];
  return [...lines, ...own.map((line, at) => ({ ...line, plain_per_call_ms: plain[at].per_call_ms }))];
}

/** Sluice, with one slot; and the least that lets calls wait in an object, which shows what the platform makes of many. */
const QUEUES = {
  async sluice(load) {
    const sluice = await startMetered();
    const slots = [{ name: 'slots', kind: 'concurrency', calls: 1 }];
    const key = await sluice.tenant('queue', { crm: { vendor: 'generic', base_url: load.vendor, limits: slots, queue: { size: 10_000, max_wait_seconds: 3600 } } });
    // The Wasm's memory and JavaScript's, MB. The platform grants an isolate 128.
    const held = async () => ((await sluice.bill()).wasm_bytes + (await heapBytes(sluice.ports.inspector, 'desk'))) / 1e6;
    return { ...sluice, call: { to: sluice.to, keys: [key] }, path: '/v/crm/calls', held, asked: async () => (await sluice.bill()).requests };
  },
  async plain(load) {
    const worker = await startWorker({ modules: { 'worker.js': 'benches/workers/queue-object.js' }, objects: { QUEUE: 'Queue' }, vars: { VENDOR: load.vendor } });
    const asked = async () => Number(await (await fetch(`http://${worker.to}/asked`)).text());
    return { ...worker, call: { to: worker.to }, path: '/calls', held: () => 0, asked };
  },
};

/**
 * Calls wait for the one that is with the vendor; then it answers, and they follow one after another. All lengths on one instance, so that
 * no luck of an instance's makes one of them faster; the shortest once more before, so that none is measured cold.
 */
async function queues(load, begin, lengths, served) {
  const subject = await begin(load);
  try {
    const { asked, held, child: { pid } } = subject;
    const order = (number, callers, more) => ({ ...subject.call, target: `${subject.path}/${number}`, callers, ...more });
    await load.order('call', order(0, 1, { calls: 50 }));
    const before = { memory: resident(pid), object: await held() };
    // They go on calling until the instance ends, so that as many wait again.
    let [calling, batch] = [0, 0];
    const join = async (callers) => {
      const from = await asked();
      load.order('call', order(++batch, callers)).catch(() => {});
      calling += callers;
      await until(async () => (await asked()) - from >= callers, `${callers} calls did not come to wait`);
    };
    const lines = [];
    for (const many of [lengths[0], ...lengths]) {
      await load.order('hold');
      // What the calls before have left to say is said within a second.
      await sleep(SAID_MS);
      const former = batch;
      if (!calling) await join(1);
      const size = Math.ceil((many + 1 - calling) / BATCHES);
      while (calling < many + 1) await join(Math.min(size, many + 1 - calling));
      const full = { memory: resident(pid), object: await held() };
      await load.order('release');
      await until(async () => (await load.order('came')).length > served, `of ${many} waiting calls ${served} were not served`);
      const came = (await load.order('came')).slice(0, served + 1);
      // Those that were there already, in whatever order; then batch after batch.
      const first = came.slice(0, many + 1).map(([number]) => (number > former ? number : 0));
      lines.push({
        waiting: many, per_call_ms: (came.at(-1)[1] - came[1][1]) / 1000 / (came.length - 2),
        in_order: first.every((number, at) => !at || number >= first[at - 1]),
        object_mb: full.object - before.object, memory_mb: full.memory === null ? null : full.memory - before.memory,
      });
    }
    return lines.slice(1);
  } finally {
    subject.stop();
  }
}

async function until(done, otherwise) {
  const deadline = Date.now() + WITHIN_MS;
  while (!(await done())) {
    if (Date.now() > deadline) throw new Error(`${otherwise} within ${WITHIN_MS / 1000} s`);
    await sleep(5);
  }
}

/** Resident memory, MB; null where there is no /proc. */
function resident(pid) {
  try {
    return Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+) kB/)[1]) * 1024 / 1e6;
  } catch {
    return null;
  }
}
