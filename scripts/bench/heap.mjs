// What JavaScript holds in an isolate, asked of workerd's inspector.
import { createRequire } from 'node:module';
import { inRoot } from '../lib/places.mjs';

const MAY_TAKE_MS = 30_000;

/** Bytes that JavaScript and the platform's own objects take in the isolate of that service, rubbish not yet collected included. */
export async function heapBytes(inspector, service) {
  const WebSocket = createRequire(inRoot('benches/goodput/package.json'))('ws');
  const socket = new WebSocket(`ws://127.0.0.1:${inspector}/${service}`);
  try {
    await new Promise((open, reject) => socket.once('open', open).once('error', reject));
    const { result } = await new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error("workerd's inspector does not answer")), MAY_TAKE_MS).unref();
      socket.on('message', (text) => {
        const said = JSON.parse(text);
        if (said.id === 1) resolve(said);
      });
      socket.send(JSON.stringify({ id: 1, method: 'Runtime.getHeapUsage' }));
    });
    return result.usedSize + result.embedderHeapUsedSize + result.backingStorageSize;
  } finally {
    socket.terminate();
  }
}
