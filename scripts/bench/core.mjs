// Admission and settlement by themselves: the Criterion benchmark in benches/, and what it says in JSON.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inRoot, target } from '../lib/places.mjs';
import { must } from '../lib/processes.mjs';

const SHORT = ['--', '--warm-up-time', '0.1', '--measurement-time', '0.3', '--sample-size', '10'];

export async function core({ rust, short }) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  try {
    const file = join(folder, 'core.json');
    const env = { ...rust.env, CARGO_TARGET_DIR: target, SLUICE_BENCH_JSON: file };
    await must('cargo', ['bench', '-p', 'sluice-bench', '--bench', 'core', ...(short ? SHORT : [])], { cwd: inRoot(), env });
    return JSON.parse(readFileSync(file, 'utf8'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
