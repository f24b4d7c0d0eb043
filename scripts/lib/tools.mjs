// The tools that turn Rust's Wasm into a Worker: worker-build, and the wasm-bindgen of Cargo.lock's version.
//
// wasm-opt and esbuild come from npm in the very versions that worker-build would fetch for itself. worker-build and wasm-bindgen are
// compiled from their source in Cargo's registry, whose index has a checksum of every crate that Cargo checks: what builds the Worker has
// the same origin as what it is built from. A ready binary of a release page would be quicker by a minute, once, with nothing to hold it to.
import { existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installDebian } from './debian.mjs';
import { cache, lockedVersion } from './places.mjs';
import { ask, must, run } from './processes.mjs';
import { step } from './say.mjs';

export const WORKER_BUILD = '0.8.7';

/** Where a tool of a version is kept. */
export const toolHome = (name, version) => join(cache, 'tools', `${name}-${version}`);

/** Paths of the tools, installed if missing. */
export async function installTools(rust) {
  const bindgenVersion = lockedVersion('wasm-bindgen');
  // One after the other: two compilations at once are no faster on two cores, and what both need is compiled once.
  const workerBuild = await installWorkerBuild(rust);
  const wasmBindgen = await installWasmBindgen(rust, bindgenVersion);
  rmSync(join(cache, 'tools/target'), { recursive: true, force: true });
  return { workerBuild, wasmBindgen };
}

async function installWorkerBuild(rust) {
  const home = toolHome('worker-build', WORKER_BUILD);
  const binary = join(home, 'bin/worker-build');
  if (existsSync(binary)) return binary;
  await needOpenSsl(rust);
  await cargoInstall(rust, 'worker-build', WORKER_BUILD, home, 'compiled once; some minutes');
  return binary;
}

async function installWasmBindgen(rust, version) {
  const home = toolHome('wasm-bindgen', version);
  const binary = join(home, 'bin/wasm-bindgen');
  if (existsSync(binary)) return binary;
  if ((await ask('wasm-bindgen', ['--version']))?.split(' ')[1] === version) return 'wasm-bindgen';
  await cargoInstall(rust, 'wasm-bindgen-cli', version, home, 'compiled once; a minute or two');
  return binary;
}

/** Compiles a tool from the registry, once. */
export async function cargoInstall(rust, name, version, home, note) {
  await step(`${name} ${version}`, async () => {
    // Tools that run for a second each build are not worth the optimiser's time.
    const quick = { CARGO_PROFILE_RELEASE_OPT_LEVEL: '1', CARGO_PROFILE_RELEASE_LTO: 'off', CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16' };
    const env = { ...rust.env, ...quick, CARGO_TARGET_DIR: join(cache, 'tools/target') };
    const args = ['install', name, '--version', version, '--root', home];
    const { code } = await run('cargo', [...args, '--locked'], { env, cwd: tmpdir() });
    // A registry's mirror may lack a version that the tool's own lock file names.
    if (code !== 0) await must('cargo', args, { env, cwd: tmpdir() });
    return code === 0 ? '' : 'with other dependencies than its lock file has';
  }, note);
}

/** worker-build links to the system's OpenSSL on Linux, and finds it with pkg-config. */
async function needOpenSsl(rust) {
  if (process.platform !== 'linux' || rust.env.OPENSSL_DIR) return;
  const { code } = await run('pkg-config', ['--exists', 'openssl']);
  if (code !== 0) await installDebian(['libssl-dev', 'pkg-config'], "OpenSSL's headers, which worker-build is compiled with");
}
