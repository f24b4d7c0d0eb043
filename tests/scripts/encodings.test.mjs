// The platform puts an Accept-Encoding of its own in the place of each caller's, and tells the caller's apart. workerd does neither by
// itself; here it is told in a header what the platform would tell.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { after, before, test } from 'node:test';
import { startSluice, unthrottled } from '../../scripts/bench/sluice.mjs';

const TOLD = 'X-Told';
let vendor, sluice, key;

before(async () => {
  vendor = createServer((asked, answer) => answer.end(JSON.stringify(asked.headers['accept-encoding'] ?? null)));
  await once(vendor.listen(0, '127.0.0.1'), 'listening');
  sluice = await startSluice({ cf: TOLD });
  key = await sluice.tenant('encodings', { crm: unthrottled(`http://127.0.0.1:${vendor.address().port}`) });
});

after(() => {
  sluice?.stop();
  vendor?.close();
});

/** The Accept-Encoding that the vendor sees. */
async function seen(headers) {
  const call = request(`http://${sluice.to}/v/crm/x`, { headers: { 'Sluice-Key': key, ...headers } }).end();
  const [answer] = await once(call, 'response');
  assert.equal(answer.statusCode, 200);
  return JSON.parse((await answer.toArray()).join(''));
}

test("a caller's own encodings reach the vendor where the platform has replaced them", async () => {
  for (const replaced of ['br, gzip', 'gzip, br']) {
    const told = JSON.stringify({ colo: 'ZRH', clientAcceptEncoding: 'deflate' });
    assert.equal(await seen({ 'Accept-Encoding': replaced, [TOLD]: told }), 'deflate', replaced);
  }
});

test('where it tells of none they are what the header says', async () => {
  assert.equal(await seen({ 'Accept-Encoding': 'br, gzip', [TOLD]: '{"clientAcceptEncoding":null}' }), 'br, gzip');
  assert.equal(await seen({ 'Accept-Encoding': 'br, gzip', [TOLD]: '{}' }), 'br, gzip');
  assert.equal(await seen({ 'Accept-Encoding': 'gzip', [TOLD]: '{}' }), 'gzip');
});
