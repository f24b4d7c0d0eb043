// Where things are: the checkout, the cache folder, what the build makes.
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(fileURLToPath(new URL('../..', import.meta.url)));

/** Tools are built once for all checkouts, and kept here. */
export const cache = resolve(
  process.env.SLUICE_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'sluice'),
);

/** Cargo's output folder, as Cargo itself would choose it (`build.target-dir` in a Cargo configuration apart). */
export const target = resolve(root, process.env.CARGO_TARGET_DIR || 'target');

/** A path in the checkout; an absolute one is taken as it is. */
export const inRoot = (...parts) => resolve(root, ...parts);

export const readText = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : undefined);

/** The version of a crate as Cargo.lock pins it. */
export function lockedVersion(crate) {
  const found = readText(inRoot('Cargo.lock'))?.match(new RegExp(`name = "${crate}"\\nversion = "([^"]+)"`));
  if (!found) throw new Error(`Cargo.lock names no version of ${crate}: run cargo generate-lockfile`);
  return found[1];
}

/** The least Rust that the crate says it needs, as [major, minor]. */
export function neededRust() {
  const found = readText(inRoot('Cargo.toml'))?.match(/rust-version = "(\d+)\.(\d+)/);
  return found ? [Number(found[1]), Number(found[2])] : [1, 85];
}
