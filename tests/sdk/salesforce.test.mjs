// Tests jsforce. It repeats GET, PUT and DELETE on 420, 429 and 5xx after 0.5 s, 1 s, 2 s …, five
// times. It repeats no POST, and nothing on 403.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import jsforce from 'jsforce';
import { key, onTheWire, sluice } from './sluice.mjs';

test('buys a token with the key as the client secret, reads and writes', async () => {
  const salesforce = new jsforce.Connection({
    instanceUrl: `${sluice}/v/salesforce`,
    oauth2: { loginUrl: `${sluice}/v/salesforce`, clientId: 'any', clientSecret: key },
  });
  await salesforce.authorize({ grant_type: 'client_credentials' });
  assert.equal(salesforce.instanceUrl, `${sluice}/v/salesforce`, 'the token names Sluice as the instance');

  const found = await salesforce.query('SELECT Id, Name FROM Account');
  assert.equal(found.records[0].Name, 'Mock');
  assert.match(String(salesforce.limitInfo.apiUsage.limit), /^1000000$/);
  const made = await salesforce.sobject('Account').create({ Name: 'Ada' });
  assert.equal(made.success, true);
  const many = await salesforce.sobject('Account').create([{ Name: 'Ada' }, { Name: 'Bob' }], { allOrNone: false });
  assert.deepEqual(many.map(({ success }) => success), [true, true]);
});

test('logs out, and the key works on', async () => {
  const salesforce = new jsforce.Connection({
    instanceUrl: `${sluice}/v/salesforce`,
    oauth2: { loginUrl: `${sluice}/v/salesforce`, clientId: 'any', clientSecret: key },
  });
  await salesforce.authorize({ grant_type: 'client_credentials' });
  await salesforce.logout();
  const again = new jsforce.Connection({ instanceUrl: `${sluice}/v/salesforce`, accessToken: key });
  assert.equal((await again.query('SELECT Id FROM Account')).totalSize, 1);
});

test('asks again after a second or so when Sluice refuses a read', async () => {
  const salesforce = new jsforce.Connection({ instanceUrl: `${sluice}/v/salesforce-tight`, accessToken: key });
  onTheWire();
  for (let call = 0; call < 3; call += 1) await salesforce.query('SELECT Id FROM Account');
  const [first, second, ...rest] = onTheWire();
  assert.deepEqual([first, second, rest[0], rest.at(-1)], ['200', '200', '503 rate', '200']);
  assert.ok(rest.slice(0, -1).every((answer) => answer === '503 rate'), rest.join());
});

test('tells the caller of a write that Salesforce is unavailable, as it does of Salesforce', async () => {
  const salesforce = new jsforce.Connection({ instanceUrl: `${sluice}/v/salesforce-tight`, accessToken: key });
  onTheWire();
  const writes = await Promise.allSettled(Array.from({ length: 5 }, () => salesforce.sobject('Account').create({ Name: 'Ada' })));
  const refused = writes.find(({ status }) => status === 'rejected');
  assert.equal(refused.reason.errorCode, 'SERVER_UNAVAILABLE');
  assert.equal(onTheWire().length, 5, 'no write is repeated');
});

test('takes the spent day for final', async () => {
  const salesforce = new jsforce.Connection({ instanceUrl: `${sluice}/v/salesforce-spent`, accessToken: key });
  await salesforce.query('SELECT Id FROM Account');
  onTheWire();
  const refused = await salesforce.query('SELECT Id FROM Account').catch((error) => error);
  assert.deepEqual(onTheWire(), ['403 daily-quota']);
  assert.equal(refused.errorCode, 'REQUEST_LIMIT_EXCEEDED');
});
