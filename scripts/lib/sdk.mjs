// Vendors' own client libraries, from npm and PyPI: installed once into the cache, pinned, and a Sluice for them to call.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { administration } from './admin.mjs';
import { hasApt, installDebian } from './debian.mjs';
import { startInstance } from './instance.mjs';
import { installApart } from './npm.mjs';
import { cache, inRoot } from './places.mjs';
import { ask, kill, must, run } from './processes.mjs';
import { step } from './say.mjs';
import { hashOf, isFresh, keepStamp } from './stamp.mjs';
import { startVendors } from './mock-upstreams.mjs';

const TESTS = 'tests/sdk';
const PYTHON = [3, 10];
export const HOSTS = '.sluice.test';

/** The libraries from npm: `tests/sdk/node_modules` leads to them. */
export async function installNodeSdks() {
  const found = await installApart(TESTS, { name: 'sdk-npm', says: "vendors' libraries from npm", note: 'about 1 min', more: [process.version] });
  const link = inRoot(TESTS, 'node_modules');
  rmSync(link, { force: true, recursive: true });
  symlinkSync(found, link, 'dir');
}

/** The libraries from PyPI. Resolves to `{python}`, that which finds them, or `{missing}`, why there is none. */
export async function installPythonSdks() {
  let found = await findPython();
  if (found.missing && hasApt()) {
    await installDebian(['python3', 'python3-venv'], 'Python, for the vendors\' libraries from PyPI');
    found = await findPython();
  }
  if (found.missing) return found;
  const hash = hashOf([`${TESTS}/requirements.txt`], found.version);
  const folder = join(cache, `sdk-python-${hash.slice(0, 16)}`);
  const python = join(folder, 'bin/python');
  if (!isFresh(join(folder, '.stamp'), hash)) {
    await step("vendors' libraries from PyPI", async () => {
      await must('python3', ['-m', 'venv', '--clear', folder]);
      await must(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', inRoot(TESTS, 'requirements.txt')]);
      keepStamp(join(folder, '.stamp'), hash);
    }, 'about 1 min');
  }
  return { python };
}

async function findPython() {
  const version = await ask('python3', ['-c', 'import ensurepip, sys, venv; print(*sys.version_info[:3], sep=".")']);
  if (!version) return { missing: 'there is no python3 with venv' };
  const [major, minor] = version.split('.').map(Number);
  const old = major < PYTHON[0] || (major === PYTHON[0] && minor < PYTHON[1]);
  return old ? { missing: `python3 is ${version}, and the libraries need ${PYTHON.join('.')}` } : { version };
}

export const nodeTests = () => readdirSync(inRoot(TESTS)).filter((name) => name.endsWith('.test.mjs')).sort().map((name) => `${TESTS}/${name}`);

/** Starts the mock vendors, each of which takes one credential, and a Sluice that has it. Resolves to `{env, stop}`. */
export async function startWorld(env) {
  const secret = randomBytes(12).toString('hex');
  const token = randomBytes(12).toString('hex');
  const persist = mkdtempSync(join(tmpdir(), 'sluice-sdk-'));
  const mocks = await startVendors(Object.keys(CREDENTIALS));
  let instance;
  const stop = async () => {
    await instance?.stop();
    kill(mocks.child);
    rmSync(persist, { recursive: true, force: true });
  };
  try {
    for (const url of Object.values(mocks.vendors)) await tell(url, { credential: secret, refresh_token: secret });
    const vars = { ADMIN_TOKEN: token, ALLOW_LOOPBACK_VENDORS: 'true', HOST_SUFFIX: HOSTS };
    const named = Object.entries(vars).flatMap(([name, value]) => ['--vars', `${name}=${value}`]);
    instance = await startInstance(['--port', '0', '--no-demo', '--persist', persist, ...named], env);
    const admin = administration(instance.url, token, 'sdk');
    await admin('PUT', '', { connections: connections(mocks.vendors, secret), apps: { sdk: {} } });
    const { key } = await admin('POST', '/keys', { role: 'app', app: 'sdk' });
    return { env: { SLUICE_URL: instance.url, SLUICE_KEY: key, SLUICE_HOSTS: HOSTS, SLUICE_GENERIC: mocks.vendors.generic }, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function tell(url, spec) {
  const answer = await fetch(`${url}/__control/spec`, { method: 'PUT', body: JSON.stringify(spec) });
  if (!answer.ok) throw new Error(`the mock vendor at ${url} was told ${Object.keys(spec)} and answered ${answer.status}: ${await answer.text()}`);
}

/** What each vendor is shown in the key's place: of every type one. */
const CREDENTIALS = {
  marketo: (secret) => ({ type: 'client_credentials', client_id: 'sdk', client_secret: secret }),
  hubspot: (secret) => ({ type: 'bearer', token: secret }),
  aprimo: (secret) => ({ type: 'client_credentials', client_id: 'sdk', client_secret: secret }),
  salesforce: (secret) => ({ type: 'client_credentials', client_id: 'sdk', client_secret: secret }),
  mailchimp: (secret) => ({ type: 'basic', username: 'any', password: secret }),
  'ga4-mp': (secret) => ({ type: 'query', name: 'api_secret', value: secret }),
  'ga4-data': (_, url) => ({ type: 'jwt_bearer', issuer: 'sdk@example.com', private_key: privateKey(), audience: `${url}/token` }),
  generic: (secret) => ({ type: 'bearer', token: secret }),
  keap: (secret) => ({ type: 'header', name: 'X-Keap-API-Key', value: secret }),
  'keap-oauth': (secret, url) => ({ type: 'refresh_token', client_id: 'sdk', client_secret: secret, refresh_token: secret, token_url: `${url}/token` }),
};

const privateKey = () => generateKeyPairSync('rsa', {
  modulusLength: 2048, publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
}).privateKey;

/** Two calls in three seconds, and none waits; one call a day. A second of each, for the clients of the other language. */
const TIGHT = { share: 1, limits: [{ name: 'rate', kind: 'rolling_window', calls: 2, seconds: 3 }], queue: { max_wait_seconds: 0 } };
const SPENT = { share: 1, limits: [{ name: 'daily', kind: 'daily', calls: 1, reset: '00:00', time_zone: 'UTC' }] };
const KINDS = { '': {}, '-tight': TIGHT, '-tight-too': TIGHT, '-spent': SPENT, '-spent-too': SPENT };

function connections(vendors, secret) {
  const made = {};
  for (const [vendor, base_url] of Object.entries(vendors)) {
    for (const [kind, limits] of Object.entries(KINDS)) {
      // A refresh token works once, so it is one connection's.
      const credential = vendor === 'keap-oauth' && kind ? { type: 'bearer', token: secret } : CREDENTIALS[vendor](secret, base_url);
      made[vendor + kind] = { vendor, base_url, credential, ...limits };
    }
  }
  return made;
}

/** Runs the tests of both languages at once. Resolves to the names of those that failed. */
export async function runSdkTests(env, python) {
  const options = { cwd: inRoot(), env: { ...process.env, ...env, PYTHONDONTWRITEBYTECODE: '1' }, timeoutSeconds: 300 };
  const both = [run(process.execPath, ['--test', ...nodeTests()], options)];
  if (python) both.push(run(python, ['-W', 'error::ResourceWarning', '-m', 'unittest', 'discover', '-v', '-s', inRoot(TESTS)], options));
  const [node, py] = await Promise.all(both);
  console.log(node.out);
  if (py) console.log(py.out);
  return [['those from npm', node], ['those from PyPI', py]].filter(([, ran]) => ran && ran.code !== 0).map(([name]) => name);
}
