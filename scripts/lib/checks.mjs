// Every check of `npm test`, in the order in which they run.
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installDebian } from './debian.mjs';
import { startInstance } from './instance.mjs';
import { checkNames, noGit } from './names.mjs';
import { workerdPath } from './npm.mjs';
import { inRoot, target } from './places.mjs';
import { ask, run } from './processes.mjs';
import { say } from './say.mjs';
import { installNodeSdks, installPythonSdks, runSdkTests, startWorld } from './sdk.mjs';
import { WASM } from './std.mjs';
import { audit } from './audit.mjs';
import { buildFuzzer, fuzz, targets } from './fuzz.mjs';
import { torture } from './torture.mjs';
import { buildVendors } from './mock-upstreams.mjs';
import { nodeForWrangler, wranglerPath } from './wrangler.mjs';
import { buildWasm, gzipBytes, PANICKING, SHIPPED, unwinds } from './wasm.mjs';

const WASM_LIMIT_BYTES = 1_000_000;
const NATIVE_LIMIT_SECONDS = 60;
const NATIVE = ['-p', 'sluice-limiter', '-p', 'sluice-profile', '-p', 'sluice-core', '-p', 'sluice-mock-upstreams', '-p', 'sluice-load'];

/**
 * The checks. One that returns `{skipped: why}` was not made, and the summary says so. `after` names what it needs. `long` ones
 * take minutes: they are made with `--long`, or if asked for by name.
 */
export const checks = [
  { name: 'names', about: 'no registry host and no path of this machine in any file', work: names },
  { name: 'fmt', about: 'formatting', work: ({ rust }) => cargo(rust, ['fmt', '--all', '--check']) },
  { name: 'clippy', about: 'lints, native', work: ({ rust }) => cargo(rust, ['clippy', '--workspace', '--all-targets', '--', '-D', 'warnings']) },
  { name: 'clippy-wasm', about: 'lints, as the Worker is compiled', work: ({ rust }) => cargo(rust, ['clippy', '-p', 'sluice', '--lib', '--target', WASM, '--', '-D', 'warnings']) },
  { name: 'native', about: 'unit tests, properties, simulation', work: native },
  { name: 'js', about: 'the JavaScript of the Worker', work: () => nodeTests('tests/js') },
  { name: 'wasm', about: 'the Wasm build', work: wasm },
  { name: 'size', about: 'how large the Wasm is', after: 'wasm', work: size },
  { name: 'deployable', about: 'wrangler accepts wrangler.toml', after: 'wasm', work: deployable },
  { name: 'scripts', about: 'start and deploy do what they say', after: 'wasm', work: () => nodeTests('tests/scripts') },
  { name: 'e2e', about: 'end to end, in workerd', after: 'wasm', work: endToEnd },
  { name: 'torture', about: 'faults at random upon a running instance', after: 'wasm', work: ({ rust }) => torture(rust, TORTURE) },
  { name: 'page', about: 'the status page in a browser', after: 'wasm', work: page },
  { name: 'sdk', about: "vendors' own client libraries, from npm and PyPI", after: 'wasm', work: sdks },
  { name: 'audit', about: 'licenses, sources and known vulnerabilities of dependencies', long: true, work: ({ rust }) => audit(rust) },
  { name: 'fuzz', about: 'what reads from outside, a minute each', long: true, work: fuzzAll },
];

async function names() {
  const why = await noGit();
  return why ? { skipped: why } : checkNames();
}

async function program(command, args, options = {}) {
  say(`$ ${[command, ...args].join(' ')}`);
  const { code } = await run(command, args, { cwd: inRoot(), show: true, ...options });
  if (code !== 0) throw new Error(`${command} ${args[0] ?? ''} ended with ${code}`);
}

const cargo = (rust, args, env = {}) => program('cargo', args, { env: { ...rust.env, CARGO_TARGET_DIR: target, ...env } });

/** The time is the tests' own: they are compiled before. Examples in the docs are compiled as they run, so come after. */
async function native({ rust }) {
  await cargo(rust, ['test', ...NATIVE, '--lib', '--bins', '--tests', '--no-run']);
  const began = performance.now();
  await cargo(rust, ['test', ...NATIVE, '--lib', '--bins', '--tests']);
  const took = (performance.now() - began) / 1000;
  await cargo(rust, ['test', ...NATIVE, '--doc']);
  if (took > NATIVE_LIMIT_SECONDS) throw new Error(`the native tests ran for ${took.toFixed(1)} s, over their limit of ${NATIVE_LIMIT_SECONDS} s`);
  return `the tests ran for ${took.toFixed(1)} s of ${NATIVE_LIMIT_SECONDS} s`;
}

async function wasm({ rust }) {
  await buildWasm(rust, SHIPPED);
  await buildWasm(rust, PANICKING);
  return unwinds(SHIPPED.folder) ? 'panic=unwind' : 'panic=abort';
}

function size() {
  const bytes = gzipBytes(SHIPPED.folder);
  if (bytes > WASM_LIMIT_BYTES) throw new Error(`the Wasm is ${bytes} bytes (gzip), over its limit of ${WASM_LIMIT_BYTES}`);
  return `${Math.ceil(bytes / 1000)} kB of ${WASM_LIMIT_BYTES / 1000} kB (gzip)`;
}

async function deployable() {
  const node = await nodeForWrangler();
  await program(node.path, [wranglerPath, 'deploy', '--dry-run'], { env: { ...process.env, WRANGLER_SEND_METRICS: 'false' } });
  return node.about;
}

/** With a build named, scripts/start.mjs builds nothing: many instances of it are started. */
const BUILD = { SLUICE_BUILD: inRoot(SHIPPED.folder) };

async function endToEnd({ rust }) {
  const env = { ...BUILD, SLUICE_WORKERD: workerdPath() };
  if (!unwinds(PANICKING.folder)) say('the build is panic=abort, as there is no nightly Rust: that a panic ends its own call alone is not tested');
  // Aprimo's 130 calls are to come at once, and retries are to be seen spread: not while a dozen other tests keep two cores busy.
  await cargo(rust, ['test', '-p', 'sluice-e2e', '--test', 'e2e', '--', 'aprimo'], env);
  await cargo(rust, ['test', '-p', 'sluice-e2e', '--test', 'e2e', '--', 'retries'], env);
  await cargo(rust, ['test', '-p', 'sluice-e2e', '--', '--skip', 'aprimo', '--skip', 'retries'], env);
}

/** Of this seed's first seconds, because every kind of fault is among them. */
const TORTURE = ['--seconds', '14', '--seed', '10'];

async function fuzzAll({ rust }) {
  const fuzzer = await buildFuzzer(rust);
  for (const name of targets()) await fuzz(fuzzer, name, 60);
}

async function nodeTests(folder, env = {}) {
  const files = existsSync(inRoot(folder)) ? readdirSync(inRoot(folder)).filter((name) => name.endsWith('.test.mjs')).sort() : [];
  if (!files.length) return { skipped: `there are none in ${folder}/ yet` };
  return program(process.execPath, ['--test', ...files.map((name) => `${folder}/${name}`)], { env: { ...process.env, ...BUILD, ...env } });
}

/** The page against a demo like the one a user starts, which is thereby tested too. */
async function page() {
  const chromium = await findChromium();
  const persist = mkdtempSync(join(tmpdir(), 'sluice-page-'));
  const token = ['--vars', 'ADMIN_TOKEN=of-the-page-tests-alone', '--vars', 'ALLOW_LOOPBACK_VENDORS=true', '--persist', persist];
  let demo = await startInstance(['--port', '0', ...token], BUILD);
  const { url } = demo;
  // The page's test asks here for a restart at the same address; keys stay, so it is no demo that starts.
  const restarts = createServer(async (_, answer) => {
    await demo.stop();
    demo = await startInstance(['--port', new URL(url).port, '--no-demo', ...token], BUILD);
    answer.end();
  }).listen(0, '127.0.0.1');
  try {
    await new Promise((listening) => restarts.once('listening', listening));
    await nodeTests('tests/page', {
      SLUICE_CHROMIUM: chromium,
      SLUICE_URL: url,
      SLUICE_KEY: demo.found(/^key +operator +(\S+)/),
      SLUICE_APP_KEY: demo.found(/^key +crm-sync +(\S+)/),
      SLUICE_CONNECTION: 'generic',
      SLUICE_VENDOR: demo.found(/\bgeneric (http:[^\s,]+)/),
      SLUICE_RESTART: `${process.execPath} -e 'fetch("http://127.0.0.1:${restarts.address().port}/")'`,
    });
  } finally {
    restarts.close();
    await demo.stop();
    rmSync(persist, { recursive: true, force: true });
  }
}

/** Real clients with nothing but a base URL and a key. Where there is no Python, those from PyPI are skipped; never in CI. */
async function sdks({ rust }) {
  const [{ python, missing }] = await Promise.all([installPythonSdks(), installNodeSdks(), buildVendors(rust)]);
  if (missing && process.env.CI) throw new Error(`${missing}: the libraries from PyPI cannot be tested`);
  const world = await startWorld(BUILD);
  try {
    const failed = await runSdkTests(world.env, python);
    if (failed.length) throw new Error(`clients failed: ${failed.join(', ')}`);
  } finally {
    await world.stop();
  }
  return missing ? `those from npm alone: ${missing}` : undefined;
}

const BROWSERS = [
  '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/usr/bin/google-chrome-stable',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

async function findChromium() {
  const there = () => [process.env.SLUICE_CHROMIUM, ...BROWSERS].find((path) => path && existsSync(path));
  if (!there()) await installDebian(['chromium'], 'a browser for the page (or name one in SLUICE_CHROMIUM)');
  return there();
}

/** rustfmt and clippy, which not every Rust comes with. */
export async function installLinters(rust) {
  const has = async (tool) => Boolean(await ask('cargo', [tool, '--version'], { env: rust.env }));
  if ((await has('fmt')) && (await has('clippy'))) return;
  if (rust.fromRustup) return program('rustup', ['component', 'add', 'rustfmt', 'clippy'], { env: rust.env });
  return installDebian(['rustfmt-web', 'rust-web-clippy'], 'formatting and lints');
}
