// The demo: mock vendors on loopback, and a tenant `demo` whose connections lead to them.
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { mkdirSync, writeFileSync } from 'node:fs';
import { inRoot, readText, target } from './places.mjs';
import { must, start } from './processes.mjs';
import { say, step } from './say.mjs';

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
  await step('mock vendors, build', async () => {
    const env = { ...(rust?.env ?? process.env), CARGO_TARGET_DIR: target };
    await must('cargo', ['build', '-p', 'sluice-vendors'], { cwd: inRoot(), env });
  });
  let vendors;
  await step('mock vendors', async () => {
    vendors = await startVendors(life);
    return Object.entries(vendors).map(([name, base]) => `${name} ${base}`).join(', ');
  });
  const admin = administration(url, adminToken.split(',')[0]);
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

/** The vendors' program ends with this one: it ends when its input closes, and with its process group. */
async function startVendors(life) {
  const child = start(join(target, 'debug/sluice-vendors'), [], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`the mock vendors ended (${signal ?? code})`)));
  });
  ended.catch((error) => life.ending() || say(error.message));
  return Promise.race([readVendors(child.stdout), ended]);
}

async function readVendors(output) {
  const vendors = {};
  for await (const line of createInterface({ input: output })) {
    const [, name, base] = line.match(/^vendor (\S+) (\S+)$/) ?? [];
    if (name) vendors[name] = base;
    if (line === 'ready') break;
  }
  output.resume();
  return vendors;
}

const policy = (vendors) => ({
  connections: Object.fromEntries(Object.entries(vendors).map(([vendor, base_url]) =>
    [vendor, { vendor, base_url, credential: { type: 'bearer', token: 'mock-vendors-take-any' }, ...EXTRA[vendor] }])),
  apps: APPS,
});

function administration(url, token) {
  return async (method, path, body) => {
    const answer = await fetch(`${url}/admin/tenants/${TENANT}${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    const text = await answer.text();
    if (!answer.ok && !(method === 'DELETE' && answer.status === 404)) {
      throw new Error(`${method} /admin/tenants/${TENANT}${path} was answered ${answer.status}: ${text.slice(0, 500)}`);
    }
    return text && answer.ok ? JSON.parse(text) : undefined;
  };
}

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
