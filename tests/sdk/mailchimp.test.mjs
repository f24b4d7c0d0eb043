// Tests @mailchimp/mailchimp_marketing, Mailchimp's client. It does not retry, so the caller sees
// the 429 with Mailchimp's problem document.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import mailchimp from '@mailchimp/mailchimp_marketing';
import { key, onTheWire, sluice } from './sluice.mjs';

test('reads and writes with the key as API key', async () => {
  mailchimp.setConfig({ apiKey: key });
  mailchimp.basePath = `${sluice}/v/mailchimp/3.0`;
  assert.equal((await mailchimp.ping.get()).health_status, "Everything's Chimpy!");
  const member = await mailchimp.lists.addListMember('mock', { email_address: 'ada@example.com', status: 'subscribed' });
  assert.equal(member.email_address, 'ada@example.com');
  const batch = await mailchimp.lists.batchListMembers('mock', { members: [{ email_address: 'a@example.com', status: 'subscribed' }, {}] });
  assert.deepEqual([batch.total_created, batch.error_count], [1, 1]);
});

test('reads and writes with the key as access token', async () => {
  mailchimp.setConfig({ accessToken: key });
  mailchimp.basePath = `${sluice}/v/mailchimp/3.0`;
  assert.equal((await mailchimp.lists.getAllLists()).total_items, 1);
});

test('hands its caller the throttling error, who comes back when told', async () => {
  mailchimp.setConfig({ apiKey: key });
  mailchimp.basePath = `${sluice}/v/mailchimp-tight/3.0`;
  onTheWire();
  for (let call = 0; call < 2; call += 1) await mailchimp.ping.get();
  const refused = await mailchimp.ping.get().catch((error) => error);
  assert.equal(refused.status, 429);
  assert.equal(JSON.parse(refused.response.text).title, 'Too Many Requests');
  await pause(1000 * refused.response.headers['retry-after']);
  await mailchimp.ping.get();
  assert.deepEqual(onTheWire(), ['200', '200', '429 rate', '200']);
});
