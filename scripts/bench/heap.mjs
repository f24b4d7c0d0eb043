// What JavaScript holds in an isolate, asked of workerd's inspector.
import { createRequire } from 'node:module';
import { inRoot } from '../lib/places.mjs';

const MAY_TAKE_MS = 30_000;

/** Bytes in use by the isolate of that service, rubbish collected first. */
export async function heapBytes(inspector, service) {
  const WebSocket = createRequire(inRoot('benches/goodput/package.json'))('ws');
  const socket = new WebSocket(`ws://127.0.0.1:${inspector}/${service}`);
  const waiting = new Map();
  try {
    await new Promise((open, reject) => socket.once('open', open).once('error', reject));
    socket.on('message', (text) => {
      const { id, result } = JSON.parse(text);
      waiting.get(id)?.(result);
    });
    const ask = (method) => new Promise((resolve, reject) => {
      const id = waiting.size + 1;
      waiting.set(id, resolve);
      setTimeout(() => reject(new Error(`workerd's inspector did not answer ${method}`)), MAY_TAKE_MS).unref();
      socket.send(JSON.stringify({ id, method }));
    });
    await ask('HeapProfiler.collectGarbage');
    return (await ask('Runtime.getHeapUsage')).usedSize;
  } finally {
    socket.terminate();
  }
}
