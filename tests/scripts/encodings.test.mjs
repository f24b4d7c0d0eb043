// Tests that the vendor sees the caller's Accept-Encoding. The platform replaces that header and passes the caller's in
// `request.cf`. workerd does neither, so here a header of the request has what the platform would pass.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { after, before, test } from 'node:test';
import { startSluice, unthrottled } from '../../scripts/bench/sluice.mjs';

const CF_HEADER = 'X-Test-Cf';
let vendor, sluice, key;

before(async () => {
  vendor = createServer((asked, answer) => answer.end(JSON.stringify(asked.headers['accept-encoding'] ?? null)));
  await once(vendor.listen(0, '127.0.0.1'), 'listening');
  sluice = await startSluice({ cf: CF_HEADER });
  key = await sluice.tenant('encodings', { crm: unthrottled(`http://127.0.0.1:${vendor.address().port}`) });
});

after(() => {
  sluice?.stop();
  vendor?.close();
});

/** Makes a call, and returns the Accept-Encoding that the vendor sees. */
async function seen(headers) {
  const call = request(`http://${sluice.to}/v/crm/x`, { headers: { 'Sluice-Key': key, ...headers } }).end();
  const [answer] = await once(call, 'response');
  assert.equal(answer.statusCode, 200);
  return JSON.parse((await answer.toArray()).join(''));
}

test("a caller's own encodings reach the vendor where the platform has replaced them", async () => {
  for (const replaced of ['br, gzip', 'gzip, br']) {
    const cf = JSON.stringify({ colo: 'ZRH', clientAcceptEncoding: 'deflate' });
    assert.equal(await seen({ 'Accept-Encoding': replaced, [CF_HEADER]: cf }), 'deflate', replaced);
  }
});

test('where it tells of none they are what the header says', async () => {
  assert.equal(await seen({ 'Accept-Encoding': 'br, gzip', [CF_HEADER]: '{"clientAcceptEncoding":null}' }), 'br, gzip');
  assert.equal(await seen({ 'Accept-Encoding': 'br, gzip', [CF_HEADER]: '{}' }), 'br, gzip');
  assert.equal(await seen({ 'Accept-Encoding': 'gzip', [CF_HEADER]: '{}' }), 'gzip');
});
