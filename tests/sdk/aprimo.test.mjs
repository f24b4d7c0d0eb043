// Tests Aprimo's requests through axios and axios-retry, which obeys Retry-After, with the rule of
// aprimo-js: it repeats a call on 429. aprimo-js itself is built on axios but is only on GitHub,
// and Aprimo has no other client on npm or PyPI.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import axios from 'axios';
import axiosRetry from 'axios-retry';
import { key, onTheWire, sluice } from './sluice.mjs';

async function aprimo(connection) {
  const login = new URLSearchParams({ grant_type: 'client_credentials', client_id: 'any', client_secret: key, scope: 'api' });
  const { data: token } = await axios.post(`${sluice}/v/${connection}/login/connect/token`, login);
  const headers = { Authorization: `Bearer ${token.access_token}`, 'API-VERSION': '1', Accept: 'application/hal+json' };
  return axios.create({ baseURL: `${sluice}/v/${connection}`, headers });
}

test('buys a token with the key as the client secret, reads and writes', async () => {
  const dam = await aprimo('aprimo');
  const { data } = await dam.get('/api/core/records', { params: { pageSize: 50 } });
  assert.ok(data.items.length > 0);
  const made = await dam.post('/api/core/records', { status: 'draft', contentType: 'Asset' });
  assert.equal(made.status, 201);
});

test('repeats on 429 when Sluice refuses, at the time it is told', async () => {
  const dam = await aprimo('aprimo-tight');
  axiosRetry(dam, { retries: 3, retryCondition: (error) => error.response?.status === 429 });
  onTheWire();
  for (let call = 0; call < 3; call += 1) await dam.get('/api/core/records');
  assert.deepEqual(onTheWire(), ['200', '200', '429 rate', '200']);
});
