// What watchers of the live status cost a tenant's calls: a program of the end-to-end tests', which has their clients.
import { join } from 'node:path';
import { inRoot, target } from '../lib/places.mjs';
import { must } from '../lib/processes.mjs';
import { SHIPPED } from '../lib/wasm.mjs';

export async function watchers({ rust, many = 200, rounds = 2 }) {
  const env = { ...rust.env, CARGO_TARGET_DIR: target, SLUICE_BUILD: process.env.SLUICE_BUILD ?? SHIPPED.folder };
  await must('cargo', ['build', '-p', 'sluice-e2e', '--bin', 'watchers'], { cwd: inRoot(), env });
  const out = await must(join(target, 'debug/watchers'), [`${many}`, `${rounds}`], { cwd: inRoot(), env });
  const { watchers, calls_per_second, call_ms, median_ratio, pushes_per_second } = JSON.parse(out.trim().split('\n').at(-1));
  return { watchers, calls_per_second, call_ms, median_ratio, pushes_per_second };
}
