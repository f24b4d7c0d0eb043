// An instance for the tests, started as a user starts it and read from what it prints.
import { createInterface } from 'node:readline';
import { inRoot } from './places.mjs';
import { kill, start } from './processes.mjs';

// A demo compiles its vendors first.
const READY_WITHIN_MS = 300_000;

/** Starts `scripts/start.mjs` with these options. Resolves to `{url, lines, child, workerd, stop}` when it is ready. */
export function startInstance(args, env = {}) {
  const child = start(process.execPath, [inRoot('scripts/start.mjs'), ...args], {
    cwd: inRoot(), env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines = [];
  const exited = new Promise((done) => child.once('exit', (code) => done(code)));
  const found = (pattern) => lines.map((line) => line.match(pattern)?.[1]).find(Boolean);
  // SIGTERM, as a user's Ctrl-C: the instance has to end its own.
  const stop = () => (child.kill('SIGTERM'), exited);
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => (kill(child), reject(new Error(`not ready within 5 minutes:\n${lines.join('\n')}`))), READY_WITHIN_MS);
    exited.then((code) => (clearTimeout(late), reject(new Error(`ended with ${code} before it was ready:\n${lines.join('\n')}`))));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line);
        const url = line.match(/^ready (http:\S+)$/)?.[1];
        if (!url) return;
        clearTimeout(late);
        resolve({ url, lines, found, child, exited, stop, workerd: Number(found(/workerd pid (\d+)/)) });
      });
    }
  });
}
