// Tests `npm run deploy` with a double of wrangler, which records its arguments and answers as its
// scenario says.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../../scripts/deploy.mjs', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'sluice-deploy-test-'));
after(() => rmSync(work, { recursive: true, force: true }));

const DOUBLE = `
const { appendFileSync, readFileSync, writeFileSync } = require('node:fs');
const args = process.argv.slice(2);
const input = args[1] === 'bulk' ? readFileSync(0, 'utf8') : '';
appendFileSync(process.env.NOTES, JSON.stringify({ args, input }) + '\\n');
const scenario = JSON.parse(process.env.SCENARIO);
if (args[0] === 'whoami') console.log(scenario.whoami ?? 'You are logged in');
if (args[0] === 'secret' && args[1] === 'list') {
  if (scenario.listFails) { console.error(scenario.listFails); process.exit(1); }
  console.log(JSON.stringify(scenario.secrets.map((name) => ({ name, type: 'secret_text' })), null, 2));
}
if (args[0] === 'deploy') {
  if (scenario.deployFails) process.exit(1);
  writeFileSync(process.env.WRANGLER_OUTPUT_FILE_PATH, JSON.stringify({ type: 'deploy', targets: ['https://sluice.example.workers.dev'] }) + '\\n');
}`;

function deploy(scenario) {
  const double = join(work, 'wrangler.cjs');
  const notes = join(work, 'notes');
  writeFileSync(double, DOUBLE);
  writeFileSync(notes, '');
  const env = { ...process.env, SLUICE_WRANGLER: double, NOTES: notes, SCENARIO: JSON.stringify(scenario), SLUICE_BUILD: 'build' };
  delete env.CLOUDFLARE_API_TOKEN;
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT], { env, encoding: 'utf8', input: '' });
  const asked = readFileSync(notes, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
  const bulk = asked.find(({ args }) => args[1] === 'bulk');
  return { status, out: stdout + stderr, commands: asked.map(({ args }) => args.slice(0, 2).join(' ')), set: bulk && JSON.parse(bulk.input) };
}

test('a first deploy sets both secrets, shows the admin token alone, and deploys', () => {
  const { status, out, commands, set } = deploy({ listFails: 'This Worker does not exist on your account. [code: 10007]' });
  assert.equal(status, 0, out);
  assert.deepEqual(commands, ['whoami', 'secret list', 'secret bulk', 'deploy']);
  assert.equal(Buffer.from(set.MASTER_KEY, 'base64').length, 32);
  assert.ok(set.ADMIN_TOKEN.length >= 32);
  assert.equal(out.split(set.ADMIN_TOKEN).length, 2, 'the token is shown once');
  assert.ok(!out.includes(set.MASTER_KEY), 'the master key is never shown');
  assert.equal(out.match(/^ {2}curl /gm).length, 3);
  assert.ok(out.includes('https://sluice.example.workers.dev/admin/tenants/acme'));
});

test('a later deploy leaves the secrets alone', () => {
  const { status, out, commands } = deploy({ secrets: ['ADMIN_TOKEN', 'MASTER_KEY'] });
  assert.equal(status, 0, out);
  assert.deepEqual(commands, ['whoami', 'secret list', 'deploy']);
  assert.ok(!out.includes('shown this once'));
});

test('only the missing secret is set', () => {
  const { set, out } = deploy({ secrets: ['MASTER_KEY'] });
  assert.deepEqual(Object.keys(set), ['ADMIN_TOKEN']);
  assert.ok(out.includes(set.ADMIN_TOKEN));
});

test('a list of secrets that cannot be read stops the deploy', () => {
  const { status, out, commands } = deploy({ listFails: 'A request to the API failed. [code: 10000]' });
  assert.equal(status, 1);
  assert.deepEqual(commands, ['whoami', 'secret list']);
  assert.match(out, /nothing deployed/);
});

test('without a login nothing is asked of the platform, and the way to log in is said', () => {
  const { status, out, commands } = deploy({ whoami: 'You are not authenticated. Please run `wrangler login`.' });
  assert.equal(status, 1);
  assert.deepEqual(commands, ['whoami']);
  assert.match(out, /wrangler login/);
});

test('a deploy that fails after the secrets were set has still shown the token', () => {
  const { status, out, set } = deploy({ secrets: [], deployFails: true });
  assert.equal(status, 1);
  assert.ok(out.includes(set.ADMIN_TOKEN));
});
