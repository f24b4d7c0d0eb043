// `npm run torture -- --seconds 600 --seed 1`: installs what is missing, builds, and tortures. `--plan` only tells the plan.
import { installPackages } from './lib/npm.mjs';
import { endTogether } from './lib/processes.mjs';
import { findRust } from './lib/rust.mjs';
import { fail } from './lib/say.mjs';
import { torture } from './lib/torture.mjs';
import { setUp } from './setup.mjs';

async function main() {
  const life = endTogether();
  const built = process.env.SLUICE_BUILD && installPackages().then(findRust);
  await torture(await (built || setUp()), process.argv.slice(2));
  await life.end(0);
}

await main().catch(fail);
