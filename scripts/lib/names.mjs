// No file names a package registry's host, or a path of the machine it was written on: both are the reader's own.
import { must, run } from './processes.mjs';
import { inRoot, readText } from './places.mjs';

// In brackets, so that this file does not find itself.
const REGISTRIES = 'registry[.]npmjs[.]|crates[.]io|pypi[.]org|pythonhosted[.]org|deb[.]debian[.]org|proxy[.]golang[.]org';
const MACHINE = '(^|[^A-Za-z0-9_.}-])/(root|work|home/[a-z]+)/';
const LOCKS = ['Cargo.lock', 'fuzz/Cargo.lock'];
// A lock file says of each crate which index it is from; that is Cargo's own way to write the default.
const CARGO_SOURCE = 'source = "registry+https://github.com/rust-lang/';

/** Fails with the lines that name one. */
export async function checkNames() {
  const { code, out } = await run('git', ['grep', '--untracked', '-nIE', `${REGISTRIES}|${MACHINE}`, '--', '.', ...LOCKS.map((lock) => `:!${lock}`)], { cwd: inRoot() });
  if (code > 1) throw new Error(`git grep failed: ${out}`);
  const lines = LOCKS.flatMap((lock) => (readText(inRoot(lock)) ?? '').split('\n').map((line) => ({ lock, line })));
  const locked = lines.filter(({ line }) => new RegExp(REGISTRIES).test(line) && !line.startsWith(CARGO_SOURCE));
  const found = [...(code === 0 ? [out.trim()] : []), ...locked.map(({ lock, line }) => `${lock}: ${line}`)];
  if (found.length) throw new Error(`these lines name a package registry's host or a path of this machine:\n${found.join('\n')}`);
}

/** Why the check cannot be made here, if it cannot. */
export async function noGit() {
  return must('git', ['rev-parse', '--git-dir'], { cwd: inRoot() }).then(() => undefined, () => 'this is no git checkout');
}
