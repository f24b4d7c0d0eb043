// Installs what is missing: `node scripts/setup.mjs`. The other scripts do it by themselves.
import { pathToFileURL } from 'node:url';
import { installPackages } from './lib/npm.mjs';
import { endTogether } from './lib/processes.mjs';
import { findRust, installNightly } from './lib/rust.mjs';
import { fail } from './lib/say.mjs';
import { installTools } from './lib/tools.mjs';
import { copyThirdParty } from './lib/third-party.mjs';
import { buildWasm, SHIPPED, wantsUnwinding } from './lib/wasm.mjs';

/** Installs what is missing and builds the Worker. Returns the Rust to build more with. */
export async function setUp(variants = [SHIPPED]) {
  // npm waits for the network while the compiler works.
  const [, rust] = await Promise.all([installPackages().then(copyThirdParty), toolchain()]);
  for (const variant of variants) await buildWasm(rust, variant);
  return rust;
}

/** rustup fetches nightly while the tools are compiled. */
async function toolchain() {
  const rust = await findRust();
  await Promise.all([installTools(rust), wantsUnwinding() && installNightly(rust)]);
  return rust;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  endTogether();
  await setUp().catch(fail);
}
