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
/** One more waits every so often: slowly enough that they come in their order. */
const APART_MS = 2;
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
    const order = { to: sluice.to, target: '/v/crm/calls/{n}', keys: [key] };
    await load.order('call', { ...order, callers: 1, calls: 50 });
    const pid = sluice.child.pid;
    const before = { memory: resident(pid), object: await held(sluice) };
    await load.order('hold');
    // Ends when the instance does, in the middle of what is left of the queue.
    load.order('call', { ...order, callers: many + 1, apart_ms: APART_MS, calls: Math.max(served, many) + many }).catch(() => {});
    const asked = async () => (await sluice.bill()).requests;
    const from = await asked();
    await until(async () => (await asked()) - from >= many + 1, `${many} calls did not come to wait`);
    const full = { memory: resident(pid), object: await held(sluice) };
    await load.order('release');
    await until(async () => (await load.order('came')).length > served, `of ${many} waiting calls ${served} were not served`);
    const came = (await load.order('came')).slice(0, served + 1);
    const first = came.slice(0, Math.min(many, served) + 1).map(([number]) => number);
    return {
      waiting: many, per_call_ms: (came.at(-1)[1] - came[1][1]) / 1000 / (came.length - 2),
      in_order: first.every((number, at) => !at || number > first[at - 1]), object_mb: full.object - before.object, memory_mb: full.memory === null ? null : full.memory - before.memory,
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
    await sleep(100);
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
