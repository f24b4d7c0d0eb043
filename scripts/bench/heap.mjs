// What JavaScript holds in an isolate, asked of workerd's inspector.
import { createRequire } from 'node:module';
import { inRoot } from '../lib/places.mjs';

const MAY_TAKE_MS = 30_000;

/**
 * Bytes that JavaScript and the platform's own objects hold in the isolate of that service, once its garbage is collected: a task of the
 * isolate's own, which runs when something comes; `stir` is to be that.
 */
export async function heapBytes(inspector, service, stir) {
  const WebSocket = createRequire(inRoot('benches/goodput/package.json'))('ws');
  const socket = new WebSocket(`ws://127.0.0.1:${inspector}/${service}`);
  const asked = (id, method) => new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error("workerd's inspector does not answer")), MAY_TAKE_MS).unref();
    const hear = (text) => {
      const said = JSON.parse(text);
      if (said.id !== id) return;
      socket.off('message', hear);
      resolve(said.result);
    };
    socket.on('message', hear).send(JSON.stringify({ id, method }));
  });
  try {
    await new Promise((open, reject) => socket.once('open', open).once('error', reject));
    // What wraps the platform's own objects is let go by one collection and goes with the next.
    for (const id of [1, 2]) {
      let collected = false;
      const collects = asked(id, 'HeapProfiler.collectGarbage').then(() => { collected = true; });
      while (!collected) await Promise.race([collects, stir()]);
    }
    const result = await asked(3, 'Runtime.getHeapUsage');
    return result.usedSize + result.embedderHeapUsedSize + result.backingStorageSize;
  } finally {
    socket.terminate();
  }
}
