// How each subject makes a call: a function of the path, whose promise resolves when the vendor has
// answered with 200. The settings that it is given are the best for 100 calls in 10 s; where a
// margin avoids refusals, it is run with one too.
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const SECOND = 1000;

/**
 * Makes one attempt. Resolves to undefined if it succeeded, else to the milliseconds to wait before
 * the next.
 */
async function attempt(url, headers) {
  const { statusCode, headers: received } = await answered(url, headers);
  if (statusCode === 200) return undefined;
  if (statusCode !== 429) throw new Error(`${url} answered ${statusCode}`);
  return Number(received['retry-after'] ?? 1) * SECOND;
}

/**
 * Resolves to the answer once its body has been read. Each request has a new connection, because
 * one that is idle between two bursts may be closed just when it is used again.
 */
function answered(url, headers) {
  return new Promise((resolve, reject) => {
    get(url, { headers, agent: false }, (answer) => answer.resume().once('end', () => resolve(answer)).once('error', reject)).once('error', reject);
  });
}

/**
 * Makes attempts until one succeeds: when a limiter lets a call go too early, its caller can do
 * nothing else.
 */
async function call(url, headers) {
  for (let wait; (wait = await attempt(url, headers)) !== undefined;) await sleep(wait);
}

const redis = ({ port }) => ({ host: '127.0.0.1', port });

async function bottleneck({ vendor, redis: server, options }) {
  const [{ default: Bottleneck }, { default: Redis }] = await Promise.all([import('bottleneck'), import('ioredis')]);
  const limiter = new Bottleneck({ id: 'vendor', datastore: 'ioredis', Redis, clientOptions: redis(server), ...options });
  await limiter.ready();
  return (path) => limiter.schedule(() => call(vendor + path));
}

async function flexible({ vendor, redis: server, options }) {
  const [limiters, { default: Redis }] = await Promise.all([import('rate-limiter-flexible'), import('ioredis')]);
  const { RateLimiterRedis, RateLimiterQueue } = limiters.default ?? limiters;
  const queue = new RateLimiterQueue(new RateLimiterRedis({ storeClient: new Redis(redis(server)), ...options }), { maxQueueSize: 1000 });
  return async (path) => {
    await queue.removeTokens(1, 'vendor');
    await call(vendor + path);
  };
}

const sluice = ({ to, key }) => (path) => call(`http://${to}/v/crm${path}`, { 'Sluice-Key': key });
const object = ({ to }) => (path) => call(`http://${to}${path}`);
const retry = ({ vendor }) => (path) => call(vendor + path);

export const kinds = { sluice, bottleneck, flexible, object, retry };
