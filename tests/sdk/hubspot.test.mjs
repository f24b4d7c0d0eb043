// Tests @hubspot/api-client, HubSpot's client. It waits 10 s on the policy TEN_SECONDLY_ROLLING,
// and reads no header.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '@hubspot/api-client';
import { key, onTheWire, sluice } from './sluice.mjs';

test('buys a token with the key as the client secret', async () => {
  const hubspot = new Client({ basePath: `${sluice}/v/hubspot` });
  const token = await hubspot.oauth.tokensApi.create('refresh_token', undefined, undefined, 'client-id', key, 'refresh-token');
  assert.equal(token.accessToken, key);
  assert.equal(token.expiresIn, 1800);
  hubspot.setAccessToken(token.accessToken);
  assert.equal((await hubspot.crm.contacts.basicApi.getPage(10)).results.length, 2);
});

test('reads and writes', async () => {
  const hubspot = new Client({ accessToken: key, basePath: `${sluice}/v/hubspot` });
  assert.equal((await hubspot.crm.contacts.basicApi.getPage(10)).results.length, 2);
  const made = await hubspot.crm.contacts.basicApi.create({ properties: { email: 'ada@example.com' } });
  assert.equal(made.properties.email, 'ada@example.com');
  const batch = await hubspot.crm.contacts.batchApi.create({ inputs: [{ properties: { email: 'a@example.com' } }, { properties: {} }] });
  assert.equal(batch.results.length, 2);
});

test('waits as for HubSpot when Sluice refuses, and goes on', async (t) => {
  const logged = t.mock.method(console, 'error', () => {});
  const hubspot = new Client({ accessToken: key, basePath: `${sluice}/v/hubspot-tight`, numberOfApiCallRetries: 3 });
  onTheWire();
  for (let call = 0; call < 3; call += 1) await hubspot.crm.contacts.basicApi.getPage(10);
  assert.deepEqual(onTheWire(), ['200', '200', '429 rate', '200']);
  assert.match(logged.mock.calls[0].arguments[0], /status code \[429\], will retry \[1\] time in \[10000\] ms/);
});

test('does not wait for a day', async () => {
  const hubspot = new Client({ accessToken: key, basePath: `${sluice}/v/hubspot-spent`, numberOfApiCallRetries: 3 });
  await hubspot.crm.contacts.basicApi.getPage(10);
  onTheWire();
  const refused = await hubspot.crm.contacts.basicApi.getPage(10).catch((error) => error);
  assert.deepEqual(onTheWire(), ['429 daily-quota']);
  assert.equal(refused.code, 429);
  assert.equal(refused.body.policyName, 'DAILY');
});
