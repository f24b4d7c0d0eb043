// How large the shipped Wasm is, and how long it takes until the script can answer.
import { gzipBytes, SHIPPED } from '../lib/wasm.mjs';
import { median } from './numbers.mjs';
import { startSluice } from './sluice.mjs';
import { startWorker } from './worker.mjs';

const EMPTY = { modules: { 'worker.js': 'benches/workers/empty.js' } };

/** The start is timed from workerd's own start to its first answer, less the same for a Worker with nothing in it. */
export async function wasm({ starts = 9 }) {
  const took = { empty: [], sluice: [] };
  for (let start = 0; start < starts; start++) {
    took.empty.push(await first(() => startWorker(EMPTY)));
    took.sluice.push(await first(() => startSluice()));
  }
  const folder = process.env.SLUICE_BUILD ?? SHIPPED.folder;
  return { gzip_bytes: gzipBytes(folder), startup_ms: median(took.sluice) - median(took.empty) };
}

async function first(start) {
  const began = performance.now();
  const { to, stop } = await start();
  try {
    const answer = await fetch(`http://${to}/healthz`, { headers: { Connection: 'close' } });
    await answer.text();
    return performance.now() - began;
  } finally {
    stop();
  }
}
