// The demo: mock vendors on loopback, and a tenant `demo` whose connections lead to them.
import { join } from 'node:path';
import { mkdirSync, writeFileSync } from 'node:fs';
import { administration } from './admin.mjs';
import { readText } from './places.mjs';
import { say, step } from './say.mjs';
import { buildVendors, startVendors } from './mock-upstreams.mjs';

const TENANT = 'demo';
const APPS = {
  'crm-sync': { weight: 3 },
  'web-form': { weight: 1 },
  'nightly-export': { weight: 1, daily_calls: 20000 },
};
/** What of a connection the vendor's profile does not say. */
const EXTRA = { generic: { limits: [{ name: 'rate', kind: 'rolling_window', calls: 100, seconds: 10 }] } };
/** A call that each mock vendor answers, tried in this order for the line to try. */
const CALLS = {
  marketo: '/rest/v1/leads.json?filterType=email&filterValues=ada@example.com',
  hubspot: '/crm/v3/objects/contacts?limit=10',
  aprimo: '/api/core/records',
  generic: '/anything',
};

/** Starts the vendors, seeds the tenant, and prints what to do with it. */
export async function startDemo({ url, rust, adminToken, persist, life }) {
  await step('mock vendors, build', () => buildVendors(rust));
  let vendors;
  await step('mock vendors', async () => {
    const started = await startVendors();
    started.ended.catch((error) => life.ending() || say(error.message));
    vendors = started.vendors;
    return Object.entries(vendors).map(([name, base]) => `${name} ${base}`).join(', ');
  });
  const admin = administration(url, adminToken.split(',')[0], TENANT);
  let keys;
  try {
    await step(`tenant ${TENANT}`, async () => {
      await admin('PUT', '', policy(vendors));
      keys = await newKeys(admin, join(persist, 'demo-keys.json'));
    });
  } catch (error) {
    say(`the demo could not be set up: ${error.message}`);
    return;
  }
  printKeys(url, vendors, keys);
}

const policy = (vendors) => ({
  connections: Object.fromEntries(Object.entries(vendors).map(([vendor, base_url]) =>
    [vendor, { vendor, base_url, credential: { type: 'bearer', token: 'mock-vendors-take-any' }, ...EXTRA[vendor] }])),
  apps: APPS,
});

/** New keys at each start, as a key is shown once; the last start's are revoked. Only ids are kept. */
async function newKeys(admin, idsFile) {
  for (const id of JSON.parse(readText(idsFile) ?? '[]')) await admin('DELETE', `/keys/${id}`);
  const made = { operator: await admin('POST', '/keys', { role: 'operator' }) };
  for (const app of Object.keys(APPS)) made[app] = await admin('POST', '/keys', { role: 'app', app });
  mkdirSync(join(idsFile, '..'), { recursive: true });
  writeFileSync(idsFile, JSON.stringify(Object.values(made).map(({ id }) => id)));
  return Object.fromEntries(Object.entries(made).map(([name, { key }]) => [name, key]));
}

function printKeys(url, vendors, keys) {
  say('');
  for (const [name, key] of Object.entries(keys)) say(`key  ${name.padEnd(15)} ${key}`);
  const connection = Object.keys(CALLS).find((name) => name in vendors);
  say(`\nstatus page  ${url}/#key=${keys.operator}`);
  if (connection) say(`a call       curl -i -H 'Sluice-Key: ${keys['crm-sync']}' '${url}/v/${connection}${CALLS[connection]}'`);
}
