// What stands before workerd on this machine, as Cloudflare's front does there: it tells the Worker at once that a caller has gone.
//
// A caller that closes its connection sends a FIN, which workerd takes for a half-close: it learns no more until it writes. So a call that
// waits for its turn would be granted, and sent to the vendor, for nobody. Bytes pass through here as they are; a caller that has gone before
// its answer began is reported to workerd as a reset, which it heeds.
import { readFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';

/** Listens on `port` for the workerd `behind`. Resolves to the port. */
export function startFront({ port, behind }) {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (caller) => join(caller, behind));
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(new Error(`cannot listen on port ${port} (${error.code}): free it, or name another with --port`)));
    server.listen(port, '127.0.0.1', () => resolve(server.address().port));
  });
}

function join(caller, behind) {
  const worker = connect({ host: '127.0.0.1', port: behind, allowHalfOpen: true, noDelay: true });
  let unanswered = false;
  caller.on('data', () => { unanswered = true; });
  worker.on('data', () => { unanswered = false; });
  caller.pipe(worker, { end: false });
  worker.pipe(caller, { end: false });
  worker.on('end', () => caller.end());
  caller.on('end', async () => {
    if (unanswered && await hasGone(caller)) reset(worker);
    else worker.end();
  });
  // A reset on either side is one on the other: a body that broke off must not look whole.
  caller.on('error', () => reset(worker));
  worker.on('error', () => reset(caller));
  caller.on('close', () => worker.destroySoon());
  worker.on('close', () => caller.destroySoon());
}

function reset(socket) {
  if (!socket.destroyed) socket.resetAndDestroy();
}

/** Whether the other end of a connection that sent a FIN is closed, rather than half-closed: then no process holds it any more. */
async function hasGone(caller) {
  const ends = [caller.remotePort, caller.localPort].map((port) => port?.toString(16).toUpperCase().padStart(4, '0'));
  try {
    const rows = (await readFile('/proc/net/tcp', 'latin1')).split('\n').map((row) => row.trim().split(/\s+/));
    const row = rows.find(([, local, remote]) => local?.endsWith(`:${ends[0]}`) && remote?.endsWith(`:${ends[1]}`));
    return row === undefined || row[9] === '0';
  } catch {
    // Not Linux: who half-closes is rare, who leaves is not.
    return true;
  }
}
