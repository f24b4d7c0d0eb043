// `npm start`: an instance on this machine, with durable storage, and the demo unless it is not wanted.
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { parseVars } from './lib/config.mjs';
import { startDemo } from './lib/demo.mjs';
import { inRoot, readText } from './lib/places.mjs';
import { endTogether } from './lib/processes.mjs';
import { fail, say, seconds, step } from './lib/say.mjs';
import { SHIPPED } from './lib/wasm.mjs';
import { startWorkerd } from './lib/workerd.mjs';
import { setUp } from './setup.mjs';

const USAGE = `npm start -- [--port 8787] [--persist DIR] [--no-demo] [--vars KEY[=VALUE]]…

  --port N           port to listen on (8787; 0 picks a free one)
  --persist DIR      where storage and a generated MASTER_KEY are kept (.sluice in the checkout)
  --no-demo          no mock vendors, no tenant "demo"
  --vars KEY=VALUE   a setting; repeatable; beats .dev.vars
  --vars KEY         the same, with the value of the environment's variable KEY: for secrets, since npm prints the
                     command line, and any user of this machine can list it
  --verbose          workerd's own messages too`;

const ANSWERS_WITHIN_MS = 30_000;

function options() {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '8787' },
      persist: { type: 'string', default: inRoot('.sluice') },
      'no-demo': { type: 'boolean', default: false },
      vars: { type: 'string', multiple: true, default: [] },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const port = Number(values.port);
  if (!/^\d+$/.test(values.port) || port > 65535) throw new Error(`--port ${values.port} is not a port: give a number from 0 to 65535`);
  const given = values.vars.map(setting);
  // npm runs scripts in the checkout; a relative folder is meant from where the caller is.
  const from = process.env.npm_lifecycle_event === 'start' ? process.env.INIT_CWD : undefined;
  const persist = resolve(from ?? '.', values.persist);
  return { port, persist, demo: !values['no-demo'], verbose: values.verbose, help: values.help, given: Object.fromEntries(given) };
}

/** The name and value of one `--vars`. What is wrong with it is said without repeating it: it may be a secret. */
function setting(given, at) {
  const [name, ...value] = given.split('=');
  if (!/^[A-Za-z_]\w*$/.test(name)) throw new Error(`the ${at + 1}. --vars has no name: write KEY=VALUE, or KEY for the environment's variable of that name`);
  if (value.length) return [name, value.join('=')];
  if (process.env[name] === undefined) throw new Error(`--vars ${name} has no value and the environment has no ${name}: write ${name}=VALUE, or set the variable`);
  return [name, process.env[name]];
}

/** The Worker's settings: what was given, and what an instance cannot do without. An empty value is one that is not set. */
function settings({ given, persist, demo }) {
  const vars = { ...parseVars(readText(inRoot('.dev.vars')) ?? ''), ...given };
  const generated = vars.ADMIN_TOKEN === undefined;
  vars.ADMIN_TOKEN ??= randomBytes(24).toString('base64url');
  vars.MASTER_KEY ??= masterKey(persist);
  // The mock vendors are on loopback.
  if (demo) vars.ALLOW_LOOPBACK_VENDORS ??= 'true';
  const set = Object.fromEntries(Object.entries(vars).filter(([, value]) => value !== ''));
  return { vars: set, generated };
}

/** The key that keys and stored credentials depend on has to be there again at the next start. */
function masterKey(persist) {
  const file = join(persist, 'MASTER_KEY');
  if (!existsSync(file)) writeFileSync(file, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600, flag: 'wx' });
  chmodSync(file, 0o600);
  return readFileSync(file, 'utf8').trim();
}

/** Waits until the Worker itself answers: the port is open before the Wasm is compiled. */
async function untilItAnswers(url) {
  const deadline = Date.now() + ANSWERS_WITHIN_MS;
  for (;;) {
    const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(5000) }).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer?.ok) return;
    if (Date.now() > deadline) throw new Error(`the instance does not answer at ${url}/healthz within 30 s: see workerd's messages above`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

async function main() {
  const asked = options();
  if (asked.help) return say(USAGE);
  const life = endTogether();
  const began = performance.now();
  // The tests name a build that they have made, and start many instances of it.
  const folder = process.env.SLUICE_BUILD ?? SHIPPED.folder;
  const rust = process.env.SLUICE_BUILD ? undefined : await setUp();
  mkdirSync(asked.persist, { recursive: true, mode: 0o700 });
  const { vars, generated } = settings(asked);
  let url;
  await step('workerd', async () => {
    const { child, port } = await startWorkerd({ ...asked, folder, vars });
    child.once('exit', (code, signal) => {
      if (life.ending()) return;
      process.stderr.write(`workerd ended by itself (${signal ?? `code ${code}`}), so this instance is over\n`);
      life.end(1);
    });
    url = `http://127.0.0.1:${port}`;
    await untilItAnswers(url);
    return `workerd pid ${child.pid}`;
  });
  if (asked.demo) await startDemo({ url, rust, life, adminToken: vars.ADMIN_TOKEN, persist: asked.persist });
  if (generated) say(`\nadmin token  ${vars.ADMIN_TOKEN}`);
  say(`storage      ${asked.persist}`);
  say(`started in   ${seconds(began)}`);
  say(`\nready ${url}`);
}

await main().catch(fail);
