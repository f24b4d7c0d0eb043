// The Wasm build: worker-build's output in a folder, made anew only when what it is made from has changed.
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { wranglerConfig } from './config.mjs';
import { esbuildPath, wasmOptPath } from './npm.mjs';
import { inRoot, readText } from './places.mjs';
import { must } from './processes.mjs';
import { installNightly, nightlyAtHand } from './rust.mjs';
import { say, step } from './say.mjs';
import { hashOf, keepStamp } from './stamp.mjs';
import { installTools, WORKER_BUILD } from './tools.mjs';

const SOURCES = ['src', 'crates', 'Cargo.toml', 'Cargo.lock', '.cargo/config.toml', 'scripts/lib/wasm.mjs'];
const STAMP = '.sluice-stamp';

/** The shipped build, and one for the tests, where a call to a path of its own panics, or is told the Wasm's memory. */
export const SHIPPED = { folder: 'build', features: [] };
export const PANICKING = { folder: 'build-panic', features: ['panic-trigger', 'memory-figure'] };

/** What is built. */
export const modules = (folder) => ({ main: `${folder}/index.js`, wasm: `${folder}/index_bg.wasm` });

/** What the Worker consists of, under the names by which one part of it finds another: `main` of wrangler.toml, and what is built. */
export function workerModules(folder) {
  const [entry, named, made] = [wranglerConfig().main, modules(SHIPPED.folder), modules(folder)];
  return { [entry]: entry, [named.main]: made.main, [named.wasm]: made.wasm };
}

/** Whether a panic is to end its own call alone, where there is a nightly Rust for it. */
export const wantsUnwinding = () => process.env.SLUICE_PANIC !== 'abort';

/** Makes sure that the build is there and new. `rust` is what `findRust` gave. */
export async function buildWasm(rust, { folder, features } = SHIPPED) {
  const wanted = wantsUnwinding() ? await nightlyAtHand(rust) : undefined;
  if (isFresh(folder, hash(rust, wanted, features))) return;
  const tools = await installTools(rust);
  const nightly = wantsUnwinding() ? await installNightly(rust) : undefined;
  const began = nightly ? 'panic=unwind' : 'panic=abort';
  await step(`Wasm build into ${folder}/, ${began}`, async () => {
    await workerBuild(rust, tools, { folder, features, nightly });
    await stripNames(inRoot(modules(folder).wasm));
    keepStamp(inRoot(folder, STAMP), `${began} ${hash(rust, nightly, features)}`);
    return describe(folder);
  }, 'a minute or two');
  if (!nightly) say('built with panic=abort, as there is no nightly Rust: a panic ends every call in its isolate, not its own alone');
}

/** Whether a panic ends its own call alone in the build of this folder. */
export const unwinds = (folder) => readText(inRoot(folder, STAMP))?.startsWith('panic=unwind') ?? false;

const hash = (rust, nightly, features) => hashOf(SOURCES, nightly ?? rust.about, Boolean(nightly), features, WORKER_BUILD);

function isFresh(folder, wanted) {
  const { main, wasm } = modules(folder);
  return existsSync(inRoot(main)) && existsSync(inRoot(wasm)) && readText(inRoot(folder, STAMP))?.split(' ')[1] === wanted;
}

/** Runs worker-build for a crate of this checkout, the Worker's own unless another is named; `folder` is in the crate's own. */
export async function workerBuild(rust, tools, { crate = '', folder, features, nightly }) {
  const args = ['--release', '--out-dir', folder];
  if (nightly) args.push('--panic-unwind');
  // Everything after the options of its own goes to Cargo.
  if (features.length) args.push('--features', features.join(','));
  await must(tools.workerBuild, args, {
    cwd: inRoot(crate),
    env: {
      ...rust.env, RUST_BACKTRACE: '0', WASM_BINDGEN_BIN: tools.wasmBindgen, WASM_OPT_BIN: wasmOptPath(), ESBUILD_BIN: esbuildPath(),
      PATH: `${rust.env.PATH}${delimiter}${inRoot('node_modules/.bin')}`,
      RUSTFLAGS: [rust.env.RUSTFLAGS, ...namelessPaths(rust)].filter(Boolean).join(' '),
    },
  });
}

/**
 * A panic tells where in the source it happened: in this project or in a crate, and not in which folder of the machine that built it. Cargo
 * splits these flags at blanks, so a folder with one in its name stays.
 */
const namelessPaths = (rust) => [
  [inRoot(), '/sluice'],
  [rust.env.CARGO_HOME ?? join(homedir(), '.cargo'), '/cargo'],
  [rust.env.RUSTUP_HOME ?? join(homedir(), '.rustup'), '/rustup'],
].filter(([from]) => !from.includes(' ')).map(([from, to]) => `--remap-path-prefix=${from}=${to}`);

/** What the compiler uses of Wasm, as worker-build lists it: with `--all-features` come imports in a form that the platform cannot read. */
const FEATURES = ['mutable-globals', 'sign-ext', 'nontrapping-float-to-int', 'bulk-memory', 'multivalue', 'reference-types', 'exception-handling'];

/** worker-build keeps the functions' names, a sixth of the file, which nobody who runs the Worker reads. */
const stripNames = (wasm) => must(wasmOptPath(), [wasm, ...FEATURES.map((name) => `--enable-${name}`), '--strip-debug', '-o', wasm]);

/** Size of the Wasm as the platform counts it. */
export const gzipBytes = (folder) => gzipSync(readFileSync(inRoot(modules(folder).wasm)), { level: 9 }).length;

const describe = (folder) => `${Math.ceil(gzipBytes(folder) / 1000)} kB of Wasm (gzip)`;
