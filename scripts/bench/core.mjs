// The core by itself: the benchmarks in benches/ of a connection's calls and of a thousand apps, and what they say in JSON.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inRoot, target } from '../lib/places.mjs';
import { must } from '../lib/processes.mjs';

const SHORT = ['--', '--warm-up-time', '0.1', '--measurement-time', '0.3', '--sample-size', '10'];

/** The figures of one of the benchmarks. */
async function bench(name, rust, options) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  try {
    const file = join(folder, `${name}.json`);
    const env = { ...rust.env, CARGO_TARGET_DIR: target, SLUICE_BENCH_JSON: file };
    await must('cargo', ['bench', '-p', 'sluice-bench', '--bench', name, ...options], { cwd: inRoot(), env });
    return JSON.parse(readFileSync(file, 'utf8'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function core({ rust, short }) {
  const calls = await bench('core', rust, short ? SHORT : []);
  return { ...calls, crowd: await bench('crowd', rust, []) };
}
