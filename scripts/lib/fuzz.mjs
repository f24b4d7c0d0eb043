// Fuzzing with libFuzzer, on stable Rust: it needs no more than LLVM's coverage counters, which rustc's stable flags switch on.
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { installDebian } from './debian.mjs';
import { inRoot, target } from './places.mjs';
import { ask, must, run } from './processes.mjs';
import { say, step } from './say.mjs';

const COVERAGE = [
  '--cfg fuzzing', '-Cpasses=sancov-module', '-Cllvm-args=-sanitizer-coverage-level=4', '-Cllvm-args=-sanitizer-coverage-inline-8bit-counters',
  '-Cllvm-args=-sanitizer-coverage-pc-table', '-Cllvm-args=-sanitizer-coverage-trace-compares', '-Ccodegen-units=1',
].join(' ');
const HANGS_AFTER_SECONDS = 10;
const LONGEST_INPUT = 4096;

/** The targets: each has a folder of kept inputs. */
export const targets = () => readdirSync(inRoot('fuzz/corpus')).sort();

/** Compiles the fuzzer. Its path. */
export async function buildFuzzer(rust) {
  if (!(await ask('c++', ['--version']))) await installDebian(['g++'], 'a C++ compiler, for libFuzzer');
  const folder = join(target, 'fuzz');
  await step('the fuzzer', async () => {
    // With a target named, build scripts are compiled without the counters.
    const args = ['build', '--release', '--manifest-path', inRoot('fuzz/Cargo.toml'), '--target', rust.host];
    await must('cargo', args, { cwd: inRoot(), env: { ...rust.env, CARGO_TARGET_DIR: folder, RUSTFLAGS: COVERAGE } });
  }, 'some minutes at first');
  return join(folder, rust.host, 'release/sluice-fuzz');
}

/** Fuzzes one target for so long. What it finds new stays under Cargo's target folder; what breaks it is named. */
export async function fuzz(fuzzer, name, seconds) {
  const found = join(target, 'fuzz', 'found', name);
  mkdirSync(found, { recursive: true });
  const args = [found, inRoot('fuzz/corpus', name), `-max_total_time=${seconds}`, `-timeout=${HANGS_AFTER_SECONDS}`,
    `-max_len=${LONGEST_INPUT}`, `-artifact_prefix=${join(target, 'fuzz')}/${name}-`, '-print_final_stats=1'];
  const { code, out } = await run(fuzzer, args, { cwd: inRoot(), env: { ...process.env, SLUICE_FUZZ: name, RUST_BACKTRACE: '0' } });
  if (code !== 0) throw new Error(`${name} is broken by an input:\n${out.trim().split('\n').slice(-40).join('\n')}`);
  const of = (word) => out.match(new RegExp(`${word}:\\s*(\\d+)`))?.[1] ?? '?';
  say(`fuzz ${name}: ${seconds} s, ${of('number_of_executed_units')} inputs, nothing found`);
}
