// The standard library for Wasm, compiled from the compiler's own sources where nobody delivers it.
//
// It is kept in the cache folder, in a copy of the compiler's system root made of links, so that nothing of the system
// is written to. A `rustc` in front of the PATH points the compiler there, for Cargo and for worker-build alike.
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createHash } from 'node:crypto';
import { cache } from './places.mjs';
import { ask, must } from './processes.mjs';
import { step } from './say.mjs';

export const WASM = 'wasm32-unknown-unknown';

/** An empty folder of the target is not its standard library. */
export function hasStd(sysroot) {
  const folder = join(sysroot, 'lib/rustlib', WASM, 'lib');
  return existsSync(folder) && readdirSync(folder).some((name) => /^libstd-.*\.rlib$/.test(name));
}

/** The compiler with a standard library for Wasm that was made here; nothing where its sources are missing. */
export async function stdMadeHere(rust) {
  const id = createHash('sha256').update(rust.about + rust.sysroot).digest('hex').slice(0, 12);
  const home = join(cache, `rust-${rust.version}-${id}`);
  const made = withHome(rust, home);
  if (hasStd(made.sysroot)) return made;
  if (!existsSync(join(rust.sysroot, 'lib/rustlib/src/rust/library/std/Cargo.toml'))) return undefined;
  await step(`the standard library for ${WASM}, compiled from source`, () => compile(rust, home), 'about 40 s, once');
  return made;
}

const withHome = (rust, home) => ({
  ...rust,
  sysroot: join(home, 'sysroot'),
  hasWasm: true,
  // SYSROOT is for clippy, which does not ask rustc.
  env: { ...rust.env, PATH: `${join(home, 'bin')}${delimiter}${rust.env.PATH}`, SYSROOT: join(home, 'sysroot') },
});

async function compile(rust, home) {
  const work = mkdtempSync(join(tmpdir(), 'sluice-std-'));
  try {
    mkdirSync(join(work, 'src'));
    writeFileSync(join(work, 'Cargo.toml'), '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n');
    writeFileSync(join(work, 'src/lib.rs'), '#![no_std]\n');
    const args = ['build', '--release', '--target', WASM, '-Z', 'build-std=std,panic_abort'];
    const env = { ...rust.env, RUSTC_BOOTSTRAP: '1', RUSTFLAGS: '-Cembed-bitcode=yes', CARGO_TARGET_DIR: join(work, 'target') };
    await must('cargo', args, { cwd: work, env });
    await layOut(rust, home, join(work, 'target', WASM, 'release/deps'));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function layOut(rust, home, libraries) {
  const fresh = `${home}.${process.pid}`;
  rmSync(fresh, { recursive: true, force: true });
  const rustlib = join(fresh, 'sysroot/lib/rustlib');
  const wasmLib = join(rustlib, WASM, 'lib');
  mkdirSync(wasmLib, { recursive: true });
  for (const name of readdirSync(join(rust.sysroot, 'lib/rustlib'))) {
    if (name !== WASM) symlinkSync(join(rust.sysroot, 'lib/rustlib', name), join(rustlib, name));
  }
  for (const name of readdirSync(libraries)) {
    if (/^lib.*\.(rlib|rmeta)$/.test(name) && !name.startsWith('libempty-')) copyFileSync(join(libraries, name), join(wasmLib, name));
  }
  mkdirSync(join(fresh, 'bin'));
  const rustc = await pathOf(rust, 'rustc');
  writeFileSync(join(fresh, 'bin/rustc'), `#!/bin/sh\nexec '${rustc}' --sysroot '${join(home, 'sysroot')}' "$@"\n`);
  chmodSync(join(fresh, 'bin/rustc'), 0o755);
  symlinkSync(await pathOf(rust, 'cargo'), join(fresh, 'bin/cargo'));
  rmSync(home, { recursive: true, force: true });
  renameSync(fresh, home);
}

/** rustup's stand-ins would find the wrong system root: the tool itself is wanted. */
async function pathOf(rust, tool) {
  const own = rust.fromRustup && (await ask('rustup', ['which', tool], { env: rust.env }));
  const found = own || rust.env.PATH.split(delimiter).map((folder) => join(folder, tool)).find((path) => existsSync(path));
  if (!found) throw new Error(`no ${tool} in the PATH: install it beside rustc`);
  return found;
}
