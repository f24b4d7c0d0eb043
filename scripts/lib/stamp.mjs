// Whether something has to be made anew: a hash of what it is made from, kept beside it.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { inRoot, readText } from './places.mjs';

function files(path) {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return [];
  if (!found.isDirectory()) return [path];
  return readdirSync(path).sort().flatMap((name) => files(join(path, name)));
}

/** A hash over files and folders of the checkout, and whatever else matters. */
export function hashOf(paths, ...more) {
  const hash = createHash('sha256');
  for (const path of paths.flatMap((path) => files(inRoot(path)))) hash.update(`${path}\0`).update(readFileSync(path));
  return hash.update(JSON.stringify(more)).digest('hex');
}

export const isFresh = (stamp, hash) => readText(stamp) === hash;

export function keepStamp(stamp, hash) {
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, hash);
}
