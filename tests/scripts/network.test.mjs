// Tests what the Worker of a local run may reach: public addresses, loopback if that is allowed,
// and nothing else of the network that the machine is in.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { wranglerConfig } from '../../scripts/lib/config.mjs';
import { kill } from '../../scripts/lib/processes.mjs';
import { allowsLoopback, internet, serve } from '../../scripts/lib/workerd.mjs';

const folder = mkdtempSync(join(tmpdir(), 'sluice-network-test-'));
const children = [];
const connections = [];
const server = createServer((socket) => {
  connections.push(socket.localAddress);
  socket.on('error', () => {});
  // Not before it was asked: what is closed with something unread in it is reset, and the answer may be lost.
  socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok'));
});
after(() => {
  children.forEach((child) => kill(child));
  server.close();
  rmSync(folder, { recursive: true, force: true });
});
await new Promise((listening) => server.listen(0, '0.0.0.0', listening));

/**
 * Starts a Worker that fetches the URL in its query, in the network of a local run with these
 * settings.
 */
async function worker(vars) {
  const script = join(folder, 'fetches.js');
  writeFileSync(script, `export default { async fetch(request) {
    try { return await fetch(decodeURIComponent(new URL(request.url).search.slice(1)), { signal: AbortSignal.timeout(3000) }); }
    catch (error) { return new Response(String(error), { status: 599 }); }
  } };`);
  const { compatibilityDate, compatibilityFlags } = wranglerConfig();
  const { child, port } = await serve(`using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .main), (name = "internet", network = ${internet(allowsLoopback(vars))})],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [(name = "fetches.js", esModule = embed ${JSON.stringify(script)})],
  compatibilityDate = ${JSON.stringify(compatibilityDate)}, compatibilityFlags = ${JSON.stringify(compatibilityFlags)},
);`, {});
  children.push(child);
  return async (host) => {
    const answer = await fetch(`http://127.0.0.1:${port}/?${encodeURIComponent(`http://${host}:${server.address().port}/`)}`);
    await answer.arrayBuffer();
    return answer.status;
  };
}

/**
 * This machine's addresses in private networks, and an address of each such network at which
 * nothing may listen.
 */
const own = Object.values(networkInterfaces()).flat()
  .filter(({ family, internal, address }) => family === 'IPv4' && !internal && /^(10|172\.(1[6-9]|2\d|3[01])|192\.168)\./.test(address))
  .map(({ address }) => address);
const PRIVATE = [...own, '10.255.255.1', '172.31.255.1', '192.168.255.1', '169.254.169.254'];

test('without leave for loopback vendors the Worker reaches neither this machine nor its network', async () => {
  for (const vars of [{}, { ALLOW_LOOPBACK_VENDORS: 'false' }, { ALLOW_LOOPBACK_VENDORS: '1' }]) {
    const reach = await worker(vars);
    for (const host of ['127.0.0.1', 'localhost', ...PRIVATE]) assert.notEqual(await reach(host), 200, host);
  }
  assert.deepEqual(connections, [], 'nobody was connected to');
});

test('with it the Worker reaches this machine by loopback alone', async () => {
  const reach = await worker({ ALLOW_LOOPBACK_VENDORS: 'true' });
  for (const host of ['127.0.0.1', 'localhost']) assert.equal(await reach(host), 200, host);
  connections.length = 0;
  for (const host of PRIVATE) assert.notEqual(await reach(host), 200, host);
  assert.deepEqual(connections, [], 'nobody was connected to');
});

test("vendors' addresses are asked for in public, also in the Worker's own zone", () => {
  assert.ok(wranglerConfig().compatibilityFlags.includes('global_fetch_strictly_public'));
});
