// What the benchmarks run beside Sluice: libraries from npm, pinned, and a Redis of their own.
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasApt, installDebian } from '../lib/debian.mjs';
import { cache, inRoot } from '../lib/places.mjs';
import { ask, kill, must, start } from '../lib/processes.mjs';
import { step } from '../lib/say.mjs';
import { hashOf, isFresh, keepStamp } from '../lib/stamp.mjs';

const PEERS = 'benches/goodput';
const REDIS_WITHIN_MS = 10_000;

/** The libraries: `benches/goodput/node_modules` leads to them. */
export async function installPeers() {
  const files = ['package.json', 'package-lock.json', '.npmrc'];
  const hash = hashOf(files.map((name) => `${PEERS}/${name}`), process.version);
  const folder = join(cache, `peers-npm-${hash.slice(0, 16)}`);
  if (!isFresh(join(folder, '.stamp'), hash)) {
    await step('peers from npm', async () => {
      mkdirSync(folder, { recursive: true });
      for (const name of files) copyFileSync(inRoot(PEERS, name), join(folder, name));
      await must('npm', ['ci', '--no-audit', '--no-fund'], { cwd: folder });
      keepStamp(join(folder, '.stamp'), hash);
    }, 'about 10 s');
  }
  const link = inRoot(PEERS, 'node_modules');
  rmSync(link, { force: true, recursive: true });
  symlinkSync(join(folder, 'node_modules'), link, 'dir');
}

/** A Redis that keeps nothing. Resolves to `{port, version, stop}`, or to `{missing}`, why there is none. */
export async function startRedis() {
  if (!(await redisVersion()) && hasApt()) await installDebian(['redis-server'], 'Redis, for the limiters that share one');
  const version = await redisVersion();
  if (!version) return { missing: 'there is no redis-server: install Redis' };
  const folder = mkdtempSync(join(tmpdir(), 'sluice-redis-'));
  const port = await freePort();
  const child = start('redis-server', ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder], { stdio: 'ignore' });
  const stop = () => {
    kill(child);
    rmSync(folder, { recursive: true, force: true });
  };
  const deadline = Date.now() + REDIS_WITHIN_MS;
  while ((await ask('redis-cli', ['-p', `${port}`, 'ping'])) !== 'PONG') {
    if (Date.now() > deadline) {
      stop();
      return { missing: `redis-server ${version} does not answer` };
    }
    await new Promise((wake) => setTimeout(wake, 50));
  }
  return { port, version, stop };
}

const redisVersion = async () => (await ask('redis-server', ['--version']))?.match(/v=(\S+)/)?.[1];

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
