// How Sluice grows: with tenants, each an object of its own, and with calls that wait in one object.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { heapBytes } from './heap.mjs';
import { startMetered, startSluice, unthrottled } from './sluice.mjs';

const TENANTS = [1, 10, 100, 1000];
const WAITING = [10, 1000, 10_000];
const CALLERS = 16;
/** Tenants are made so many at a time. */
const AT_A_TIME = 8;
/** They come in so many batches, each when all of the one before it wait: within a batch nobody knows who was first. */
const BATCHES = 100;
/** So many calls go through, while the others wait on. */
const SERVED = 2000;
const WITHIN_MS = 120_000;

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
  for (const many of waiting) lines.push(await queue(load, many, served));
  return lines;
}

/** Calls wait for the one that is with the vendor; then it answers, and they follow one after another. */
async function queue(load, many, served) {
  const sluice = await startMetered();
  try {
    const slots = [{ name: 'slots', kind: 'concurrency', calls: 1 }];
    const key = await sluice.tenant('queue', { crm: { vendor: 'generic', base_url: load.vendor, limits: slots, queue: { size: 10_000, max_wait_seconds: 3600 } } });
    const order = (number, callers, more) => ({ to: sluice.to, target: `/v/crm/calls/${number}`, keys: [key], callers, ...more });
    await load.order('call', order(0, 1, { calls: 50 }));
    const pid = sluice.child.pid;
    const before = { memory: resident(pid), object: await held(sluice) };
    const asked = async () => (await sluice.bill()).requests;
    const from = await asked();
    await load.order('hold');
    let calling = 0;
    // They go on calling until the instance ends, so that as many wait again.
    const join = async (number, callers) => {
      load.order('call', order(number, callers)).catch(() => {});
      calling += callers;
      await until(async () => (await asked()) - from >= calling, `${calling} calls did not come to wait`);
    };
    await join(0, 1);
    const size = Math.ceil(many / BATCHES);
    for (let batch = 1; calling < many + 1; batch++) await join(batch, Math.min(size, many + 1 - calling));
    const full = { memory: resident(pid), object: await held(sluice) };
    await load.order('release');
    await until(async () => (await load.order('came')).length > served, `of ${many} waiting calls ${served} were not served`);
    const came = (await load.order('came')).slice(0, served + 1);
    const first = came.slice(0, many + 1).map(([batch]) => batch);
    return {
      waiting: many, per_call_ms: (came.at(-1)[1] - came[1][1]) / 1000 / (came.length - 2),
      in_order: first.every((batch, at) => !at || batch >= first[at - 1]), object_mb: full.object - before.object, memory_mb: full.memory === null ? null : full.memory - before.memory,
    };
  } finally {
    sluice.stop();
  }
}

/** What the objects' isolate holds: the Wasm's memory and JavaScript's, MB. The platform grants it 128. */
const held = async ({ bill, ports }) => ((await bill()).wasm_bytes + (await heapBytes(ports.inspector, 'desk'))) / 1e6;

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
