// How each subject makes one call: told the path, it resolves when the vendor has answered it with 200. Each has the settings that
// do best at 100 calls in 10 s, and, where a margin can buy off refusals, a second set with one.
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const SECOND = 1000;

/** One try at the vendor, or at who forwards to it. Resolves to what it means: done, or how long to wait. */
async function tried(url, headers) {
  const { statusCode, headers: said } = await answered(url, headers);
  if (statusCode === 200) return undefined;
  if (statusCode !== 429) throw new Error(`${url} answered ${statusCode}`);
  return Number(said['retry-after'] ?? 1) * SECOND;
}

/** The answer, read to its end. A connection of its own: one that rests between two bursts may be closed as it is used again. */
function answered(url, headers) {
  return new Promise((resolve, reject) => {
    get(url, { headers, agent: false }, (answer) => answer.resume().once('end', () => resolve(answer)).once('error', reject)).once('error', reject);
  });
}

/** The same until it is done: a limiter that lets a call through too early leaves its caller nothing else to do. */
async function made(url, headers) {
  for (let wait; (wait = await tried(url, headers)) !== undefined;) await sleep(wait);
}

const redis = ({ port }) => ({ host: '127.0.0.1', port });

async function bottleneck({ vendor, redis: server, options }) {
  const [{ default: Bottleneck }, { default: Redis }] = await Promise.all([import('bottleneck'), import('ioredis')]);
  const limiter = new Bottleneck({ id: 'vendor', datastore: 'ioredis', Redis, clientOptions: redis(server), ...options });
  await limiter.ready();
  return (path) => limiter.schedule(() => made(vendor + path));
}

async function flexible({ vendor, redis: server, options }) {
  const [limiters, { default: Redis }] = await Promise.all([import('rate-limiter-flexible'), import('ioredis')]);
  const { RateLimiterRedis, RateLimiterQueue } = limiters.default ?? limiters;
  const queue = new RateLimiterQueue(new RateLimiterRedis({ storeClient: new Redis(redis(server)), ...options }), { maxQueueSize: 1000 });
  return async (path) => {
    await queue.removeTokens(1, 'vendor');
    await made(vendor + path);
  };
}

const sluice = ({ to, key }) => (path) => made(`http://${to}/v/crm${path}`, { 'Sluice-Key': key });
const object = ({ to }) => (path) => made(`http://${to}${path}`);
const retry = ({ vendor }) => (path) => made(vendor + path);

export const kinds = { sluice, bottleneck, flexible, object, retry };
