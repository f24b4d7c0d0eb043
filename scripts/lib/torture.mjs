// The torture: faults at random, from a seed, upon a running instance. What is done is in tests/e2e/torture.
import { workerdPath } from './npm.mjs';
import { inRoot, target } from './places.mjs';
import { run } from './processes.mjs';
import { SHIPPED } from './wasm.mjs';

/** Runs it with these options, on a build that is there. */
export async function torture(rust, options) {
  const env = { SLUICE_BUILD: inRoot(SHIPPED.folder), ...rust.env, CARGO_TARGET_DIR: target, SLUICE_WORKERD: workerdPath() };
  const args = ['run', '--quiet', '-p', 'sluice-e2e', '--bin', 'torture', '--', ...options];
  const { code } = await run('cargo', args, { cwd: inRoot(), show: true, env });
  if (code !== 0) throw new Error(`the torture ended with ${code}: its seed and what did not hold are told above`);
}
