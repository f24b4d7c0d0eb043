// What the benchmarks run that is made from this checkout: the load program, and the floor's Worker.
import { join } from 'node:path';
import { inRoot, target } from '../lib/places.mjs';
import { must } from '../lib/processes.mjs';
import { installNightly } from '../lib/rust.mjs';
import { step } from '../lib/say.mjs';
import { hashOf, isFresh, keepStamp } from '../lib/stamp.mjs';
import { installTools } from '../lib/tools.mjs';
import { modules, workerBuild } from '../lib/wasm.mjs';

const FLOOR = 'benches/floor';

/** The load program, as fast as it can be had: it shares the machine with what it measures. */
export async function buildLoad(rust) {
  await must('cargo', ['build', '--profile', 'bench', '-p', 'sluice-load'], { cwd: inRoot(), env: { ...rust.env, CARGO_TARGET_DIR: target } });
  return join(target, 'release/sluice-load');
}

/** The floor, built as Sluice is but for speed and not for size: it is to be as fast as can be. Its modules. */
export async function buildFloor(rust) {
  const nightly = await installNightly(rust);
  const hash = hashOf([`${FLOOR}/src`, `${FLOOR}/Cargo.toml`, 'Cargo.lock', 'scripts/bench/builds.mjs'], nightly ?? rust.about);
  const stamp = inRoot(FLOOR, 'build/.stamp');
  if (!isFresh(stamp, hash)) {
    await step('the floor', async () => {
      const fast = { ...rust, env: { ...rust.env, CARGO_PROFILE_RELEASE_OPT_LEVEL: '3' } };
      await workerBuild(fast, await installTools(rust), { crate: FLOOR, folder: 'build', features: [], nightly });
      keepStamp(stamp, hash);
    }, 'a minute or two');
  }
  const { main, wasm } = modules(`${FLOOR}/build`);
  return { 'index.js': main, 'index_bg.wasm': wasm };
}
