// `npm run deploy`: builds, sets the secrets that are missing, deploys, and says what to do next.
//
// wrangler has the terminal to itself: it may ask for a login, an account, a subdomain.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inRoot, readText } from './lib/places.mjs';
import { endTogether } from './lib/processes.mjs';
import { fail, say, step } from './lib/say.mjs';
import { nodeForWrangler, wranglerPath } from './lib/wrangler.mjs';
import { setUp } from './setup.mjs';

const NO_SUCH_WORKER = /\b10007\b|does not exist/;

const SECRETS = {
  ADMIN_TOKEN: () => randomBytes(24).toString('base64url'),
  MASTER_KEY: () => randomBytes(32).toString('base64'),
};

/** The tests put a stand-in here: there is no account to deploy to. */
const STAND_IN = process.env.SLUICE_WRANGLER;

/** The Node that wrangler runs under. */
let node = process.execPath;

function wrangler(args, { input, capture = false, env = {} } = {}) {
  const { status, stdout, stderr, error } = spawnSync(node, [STAND_IN ?? wranglerPath, ...args], {
    cwd: inRoot(),
    input,
    encoding: 'utf8',
    stdio: [input === undefined ? 'inherit' : 'pipe', ...(capture ? ['pipe', 'pipe'] : ['inherit', 'inherit'])],
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false', ...env },
  });
  if (error) throw error;
  return { code: status ?? 128, out: `${stdout ?? ''}`, all: `${stdout ?? ''}${stderr ?? ''}` };
}

const mustWrangler = (args, options) => {
  const { code, all } = wrangler(args, options);
  if (code !== 0) throw new Error(`wrangler ${args.join(' ')} ended with ${code}${all ? `:\n${all.trim()}` : ''}`);
};

/** Logs in when nobody is: reading secrets without a login would look as if there were none. */
function login() {
  if (process.env.CLOUDFLARE_API_TOKEN) return;
  const { all } = wrangler(['whoami'], { capture: true });
  if (!/not authenticated/i.test(all)) return;
  if (!process.stdin.isTTY) throw new Error('nobody is logged in to Cloudflare: run npm run wrangler login, or set CLOUDFLARE_API_TOKEN');
  mustWrangler(['login']);
}

/** Names of the secrets that the deployed Worker has; none when it is yet to be deployed. */
function secretsSet() {
  const { code, out, all } = wrangler(['secret', 'list', '--format', 'json'], { capture: true });
  if (code === 0) return JSON.parse(out.match(/^\[[^]*\]/m)?.[0] ?? '[]').map(({ name }) => name);
  if (NO_SUCH_WORKER.test(all)) return [];
  // A MASTER_KEY set over another would make every key and stored credential worthless.
  throw new Error(`which secrets are set could not be read, so none is set and nothing deployed:\n${all.trim()}`);
}

function setMissing() {
  const there = secretsSet();
  const missing = Object.fromEntries(Object.entries(SECRETS).filter(([name]) => !there.includes(name)).map(([name, make]) => [name, make()]));
  if (!Object.keys(missing).length) return say('secrets: all set');
  mustWrangler(['secret', 'bulk'], { input: JSON.stringify(missing), capture: true });
  say(`secrets: set ${Object.keys(missing).join(', ')}`);
  // Before the deploy, which may fail: nobody could read it from the platform again.
  if (missing.ADMIN_TOKEN) say(`\nADMIN_TOKEN, shown this once: ${missing.ADMIN_TOKEN}\n`);
}

/** Deploys. Returns the address, which wrangler leaves in a file of its own. */
function deploy() {
  const work = mkdtempSync(join(tmpdir(), 'sluice-deploy-'));
  try {
    const file = join(work, 'output.ndjson');
    mustWrangler(['deploy'], { env: { WRANGLER_OUTPUT_FILE_PATH: file } });
    const events = (readText(file) ?? '').split('\n').filter(Boolean).map((line) => JSON.parse(line));
    return events.find(({ type }) => type === 'deploy')?.targets?.find((address) => /^https:/.test(address)) ?? 'https://YOUR-WORKER';
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function next(url) {
  say(`
Next:
  curl -X PUT ${url}/admin/tenants/acme -H "Authorization: Bearer $ADMIN_TOKEN" \\
    -d '{"connections":{"hubspot":{"vendor":"hubspot"}},"apps":{"crm-sync":{}}}'
  curl -X POST ${url}/admin/tenants/acme/keys -H "Authorization: Bearer $ADMIN_TOKEN" -d '{"role":"app","app":"crm-sync"}'
  curl '${url}/v/hubspot/crm/v3/objects/contacts?limit=1' -H "Sluice-Key: $KEY" -H "Authorization: Bearer $HUBSPOT_TOKEN"`);
}

async function main() {
  endTogether();
  if (!process.env.SLUICE_BUILD) await setUp();
  if (!STAND_IN) node = (await nodeForWrangler()).path;
  login();
  setMissing();
  let url;
  await step('deploy', () => (url = deploy()));
  next(url);
}

await main().catch(fail);
