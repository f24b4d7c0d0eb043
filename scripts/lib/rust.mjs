// A Rust that compiles to Wasm: the one at hand where it can, Debian's with a standard library compiled here where not.
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { hasApt, installDebian } from './debian.mjs';
import { neededRust } from './places.mjs';
import { ask, run } from './processes.mjs';
import { say, seconds } from './say.mjs';
import { hasStd, stdMadeHere, WASM } from './std.mjs';

const RUSTUP_SECONDS = 600;

/** The Rust to build with: `{env, version, about, fromRustup, …}`; `env` is what Cargo has to be started with. */
export async function findRust() {
  const env = { ...process.env };
  const found = await rustAtHand(env);
  if (found) return found;
  const [major, minor] = neededRust();
  const packages = ['rustc-web', 'cargo-web', 'rust-web-src', 'lld-22'];
  if (!hasApt()) {
    throw new Error(
      `no Rust ${major}.${minor} or newer that compiles to ${WASM} is at hand: install it with rustup (rustup target add ${WASM}), `
        + `or your distribution's Rust with its wasm32 standard library or its sources (on Debian, as root: apt-get install ${packages.join(' ')})`,
    );
  }
  await installDebian(packages, `Debian's Rust, as none at hand compiles to ${WASM}`);
  const debian = await rustAtHand({ ...env, PATH: `/usr/bin${delimiter}${env.PATH}` });
  if (debian) return debian;
  throw new Error(`Debian's rustc-web is older than ${major}.${minor}, or its sources are missing: install Rust with rustup`);
}

async function rustAtHand(env) {
  const rust = await look(env);
  if (!rust) return undefined;
  if (rust.hasWasm) return withLinker(rust);
  if (rust.fromRustup && (await rustup(`${WASM} by rustup`, ['target', 'add', WASM], env))) return look(env);
  const made = await stdMadeHere(rust);
  return made && withLinker(made);
}

/** What there is to know of a compiler; nothing where there is none, or it is older than the crate needs. */
async function look(env) {
  const about = await ask('rustc', ['-vV'], { env });
  if (!about) return undefined;
  const version = about.match(/release: (\S+)/)?.[1] ?? '0.0';
  if (isOlder(version)) {
    say(`rust ${version} is older than the crate needs (${neededRust().join('.')})`);
    return undefined;
  }
  const sysroot = await ask('rustc', ['--print', 'sysroot'], { env });
  return {
    env, about, version, sysroot,
    host: about.match(/host: (\S+)/)?.[1],
    llvm: about.match(/LLVM version: (\d+)/)?.[1],
    fromRustup: existsSync(join(sysroot, 'lib/rustlib/multirust-channel-manifest.toml')),
    hasWasm: hasStd(sysroot),
  };
}

function isOlder(version) {
  const [major, minor] = version.split('.').map(Number);
  const [needMajor, needMinor] = neededRust();
  return major < needMajor || (major === needMajor && minor < needMinor);
}

/** rustup brings its own linker for Wasm; a distribution's Rust uses LLVM's, which must be of no older LLVM. */
async function withLinker(rust) {
  if (rust.env.CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER) return rust;
  if (existsSync(join(rust.sysroot, 'lib/rustlib', rust.host, 'bin/rust-lld'))) return rust;
  const inPath = () => [`wasm-ld-${rust.llvm}`, 'wasm-ld', 'rust-lld'].find((name) =>
    rust.env.PATH.split(delimiter).some((folder) => existsSync(join(folder, name))));
  if (!inPath()) await installDebian([`lld-${rust.llvm}`], 'the linker for Wasm');
  return { ...rust, env: { ...rust.env, CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER: inPath() } };
}

async function rustup(name, args, env) {
  const began = performance.now();
  say(`${name} …`);
  const { code, out } = await run('rustup', args, { env, timeoutSeconds: RUSTUP_SECONDS });
  say(`${name}: ${seconds(began)}${code === 0 ? '' : `, which failed: ${lastLine(out)}`}`);
  return code === 0;
}

const lastLine = (out) => out.trim().split('\n').at(-1);

/** Nightly's description when it is all there for `panic=unwind`: its sources and its Wasm target. */
export async function nightlyAtHand(rust) {
  if (!rust.fromRustup) return undefined;
  const about = await ask('rustc', ['+nightly', '-vV'], { env: rust.env });
  const sysroot = about && (await ask('rustc', ['+nightly', '--print', 'sysroot'], { env: rust.env }));
  const complete = sysroot && hasStd(sysroot) && existsSync(join(sysroot, 'lib/rustlib/src/rust/library/std/Cargo.toml'));
  return complete ? about : undefined;
}

let nightly;

/** Installs of nightly what is missing, once. Nothing where it cannot be had, and says why. */
export const installNightly = (rust) => (nightly ??= completeNightly(rust));

async function completeNightly(rust) {
  const found = await nightlyAtHand(rust);
  if (found) return found;
  if (!rust.fromRustup) {
    say('nightly Rust: not to be had without rustup');
    return undefined;
  }
  const has = await ask('rustc', ['+nightly', '-vV'], { env: rust.env });
  const steps = has
    ? [['component', 'add', 'rust-src', '--toolchain', 'nightly'], ['target', 'add', WASM, '--toolchain', 'nightly']]
    : [['toolchain', 'install', 'nightly', '--profile', 'minimal', '-c', 'rust-src', '-t', WASM]];
  for (const args of steps) if (!(await rustup(`nightly Rust: rustup ${args.join(' ')}`, args, rust.env))) return undefined;
  return nightlyAtHand(rust);
}
