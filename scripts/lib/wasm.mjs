// The Wasm build: worker-build's output in a folder, made anew only when what it is made from has changed.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter } from 'node:path';
import { gzipSync } from 'node:zlib';
import { wranglerConfig } from './config.mjs';
import { esbuildPath, wasmOptPath } from './npm.mjs';
import { namedByPlace } from './order.mjs';
import { inRoot, readText } from './places.mjs';
import { ask, must } from './processes.mjs';
import { installNightly, nightlyAtHand } from './rust.mjs';
import { say, step } from './say.mjs';
import { hashOf, keepStamp } from './stamp.mjs';
import { installTools, WORKER_BUILD } from './tools.mjs';

/** Leaves source paths and Debug forms out of the Wasm. */
const SMALL = 'scripts/lib/rustc-small.sh';
/**
 * Smaller Wasm, where this nightly Rust knows how: not promised to stay. The older form of catching (`-wasm-use-legacy-eh`) would be 3 kB
 * less, but makes wasm-bindgen put a JavaScript function around each import that makes another: 0.05 ms a call.
 */
const SMALLER = [
  // A function with so many bytes on its stack stays one, wherever it is called from: short ones are more alike to gzip. 4 kB.
  '-Cllvm-args=-inline-max-stacksize=64',
];
/** The same of flags that only a nightly Rust takes; `SMALL` adds them, as worker-build asks something of the stable one too. */
const SMALLER_NIGHTLY = [
  // Nothing that is dropped here panics, so nobody need be ready to catch it. 16 kB.
  '-Zpanic-in-drop=abort',
  // Nor need anybody be ready for a panic when memory has run out: that ends the isolate. 6 kB.
  '-Cllvm-args=-force-attribute=OUT_OF_MEMORY:nounwind',
];
/** The crate that is linked into the Wasm. */
const WORKER = 'worker';
const SOURCES = ['src', WORKER, 'Cargo.toml', 'Cargo.lock', 'build.rs', '.cargo/config.toml', 'scripts/lib/wasm.mjs', 'scripts/lib/order.mjs', SMALL];
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

/** Makes sure that the build is there and new. `rust` is what `findRust` gave. */
export async function buildWasm(rust, { folder, features } = SHIPPED) {
  const wanted = process.env.SLUICE_PANIC === 'abort' ? undefined : await nightlyAtHand(rust);
  if (isFresh(folder, hash(rust, wanted, features))) return;
  const tools = await installTools(rust);
  const nightly = process.env.SLUICE_PANIC === 'abort' ? undefined : await installNightly(rust);
  const began = nightly ? 'panic=unwind' : 'panic=abort';
  await step(`Wasm build into ${folder}/, ${began}`, async () => {
    await workerBuild(rust, tools, { folder: `../${folder}`, features, nightly });
    await shorten(inRoot(modules(folder).wasm));
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

/** Runs worker-build for a crate of this checkout; `folder` is in the crate's own. `small`: size before speed. */
export async function workerBuild(rust, tools, { crate = WORKER, folder, features, nightly, small = true }) {
  const args = ['--release', '--out-dir', folder];
  if (nightly) args.push('--panic-unwind');
  // Everything after the options of its own goes to Cargo.
  if (features.length) args.push('--features', features.join(','));
  const env = {
    ...rust.env, RUST_BACKTRACE: '0', WASM_BINDGEN_BIN: tools.wasmBindgen, WASM_OPT_BIN: wasmOptPath(), ESBUILD_BIN: esbuildPath(),
    PATH: `${rust.env.PATH}${delimiter}${inRoot('node_modules/.bin')}`,
  };
  // The standard library is compiled anew for panic=unwind; its smaller variant saves some 10 kB.
  if (nightly && small) {
    env.CARGO_UNSTABLE_BUILD_STD_FEATURES = 'optimize_for_size';
    env.RUSTC_WRAPPER = inRoot(SMALL);
    env.SLUICE_RUSTC_FLAGS = (await known(rust, SMALLER_NIGHTLY)).join(' ');
    // Cargo does not see what the wrapper adds; it sees this.
    const mark = `--cfg wrapper="${hashOf([SMALL], env.SLUICE_RUSTC_FLAGS).slice(0, 8)}"`;
    env.RUSTFLAGS = [rust.env.RUSTFLAGS, mark, ...(await known(rust, SMALLER))].filter(Boolean).join(' ');
  }
  await must(tools.workerBuild, args, { cwd: inRoot(crate), env });
}

/** Those flags that the nightly Rust takes. */
async function known(rust, flags) {
  const takes = await Promise.all(flags.map((flag) => ask('rustc', ['+nightly', flag, '--print', 'cfg'], { env: rust.env })));
  return flags.filter((_, at) => takes[at]);
}

/** What worker-build lets wasm-opt use: with all features it might write what the platform cannot read yet. */
const FEATURES = [
  'mutable-globals', 'sign-ext', 'nontrapping-float-to-int', 'bulk-memory', 'multivalue', 'reference-types', 'exception-handling',
];

/** Beyond a few bytes, a function that is called from one place alone takes less as a function: short ones are more alike to gzip. */
const OPTIMISE = ['-Oz', '--one-caller-inline-max-function-size=20'];

/**
 * worker-build keeps the functions' names: a tenth of the file, of use to nobody who runs it. They go, and the functions are put in the
 * order in which gzip finds most in common.
 */
async function shorten(wasm) {
  const optimise = (...args) => must(wasmOptPath(), [wasm, ...FEATURES.map((name) => `--enable-${name}`), ...OPTIMISE, ...args, '-o', wasm]);
  await optimise('--converge', '--strip-debug', '--strip-producers');
  writeFileSync(wasm, namedByPlace(readFileSync(wasm)));
  await optimise('--reorder-functions-by-name', '--strip-debug');
}

/** Size of the Wasm as the platform counts it. */
export const gzipBytes = (folder) => gzipSync(readFileSync(inRoot(modules(folder).wasm)), { level: 9 }).length;

const describe = (folder) => `${Math.ceil(gzipBytes(folder) / 1000)} kB of Wasm (gzip)`;
