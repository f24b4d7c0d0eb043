// The local runtime: workerd itself, on a configuration generated from wrangler.toml. No proxy stands in between.
//
// No secret is written: the configuration names environment variables, and workerd is given those alone.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { wranglerConfig } from './config.mjs';
import { workerdPath } from './npm.mjs';
import { inRoot } from './places.mjs';
import { start } from './processes.mjs';
import { workerModules } from './wasm.mjs';

// Cap'n Proto's text form quotes as C does, which JSON's strings satisfy.
const text = (value) => JSON.stringify(value);
const list = (items) => `[\n${items.map((item) => `    ${item},\n`).join('')}  ]`;

/** Modules as workerd's configuration has them: name → path, the first is the main one. */
export const embedded = (modules) => Object.entries(modules).map(([name, path]) =>
  `(name = ${text(name)}, ${name.endsWith('.wasm') ? 'wasm' : 'esModule'} = embed ${text(inRoot(path))})`);

/**
 * What the Worker's own calls may reach, as workerd's configuration has it: public addresses; and this machine's loopback, not the network it
 * is in, where `loopback` says so.
 */
export const internet = (loopback) => `(allow = ["public"${loopback ? ', "local"' : ''}], tlsOptions = (trustBrowserCas = true))`;

/** Whether the settings allow vendors on loopback. */
export const allowsLoopback = (vars) => vars.ALLOW_LOOPBACK_VENDORS === 'true';

/**
 * The configuration as workerd reads it. `vars` are names; the values stay in the environment. `cf`: the header with what the platform is to
 * know of a connection, where a test has something to say there.
 */
function configuration({ folder, objects, port, vars, cf, loopback }) {
  const wrangler = wranglerConfig();
  const compatibility = `compatibilityDate = ${text(wrangler.compatibilityDate)}`;
  const bindings = [
    ...wrangler.objects.map(({ binding, className }) => `(name = ${text(binding)}, durableObjectNamespace = ${text(className)})`),
    '(name = "ASSETS", service = "assets")',
    '(name = "SELF", service = "sluice")',
    ...vars.map((name) => `(name = ${text(name)}, fromEnvironment = ${text(name)})`),
  ];
  const namespaces = wrangler.objects.map(({ className }) => `(className = ${text(className)}, uniqueKey = ${text(className)}, enableSql = true)`);
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "sluice", worker = .sluice),
    (name = "internet", network = ${internet(loopback)}),
    (name = "objects", disk = (path = ${text(objects)}, writable = true)),
    (name = "page", disk = (path = ${text(inRoot(wrangler.assets))})),
    (name = "assets", worker = .assets),
  ],
  sockets = [(name = "http", address = ${text(`127.0.0.1:${port}`)}, http = (${cf ? `cfBlobHeader = ${text(cf)}` : ''}), service = "sluice")],
);

const sluice :Workerd.Worker = (
  modules = ${list(embedded(workerModules(folder)))},
  ${compatibility},
  compatibilityFlags = ${text(wrangler.compatibilityFlags)},
  bindings = ${list(bindings)},
  durableObjectNamespaces = ${list(namespaces)},
  durableObjectStorage = (localDisk = "objects"),
);

const assets :Workerd.Worker = (
  modules = [(name = "assets.js", esModule = embed ${text(inRoot('scripts/lib/assets-worker.js'))})],
  ${compatibility},
  bindings = [(name = "DISK", service = "page")],
);
`;
}

/** Starts workerd with its storage in `persist`. Resolves to `{child, port}` when it listens. */
export function startWorkerd({ folder, persist, port, vars, cf, verbose = false, quiet = false, options }) {
  const objects = join(persist, 'objects');
  mkdirSync(objects, { recursive: true, mode: 0o700 });
  return serve(configuration({ folder, objects, port, vars: Object.keys(vars), cf, loopback: allowsLoopback(vars) }), vars, { verbose, quiet, options });
}

/** Starts workerd on a configuration, with these variables. Resolves to `{child, port, ports}` when its sockets listen. `quiet`: no log. */
export async function serve(configured, vars, { verbose = false, quiet = false, options = [], sockets = ['http'] } = {}) {
  const work = mkdtempSync(join(tmpdir(), 'sluice-'));
  try {
    const file = join(work, 'workerd.capnp');
    writeFileSync(file, configured);
    // Cap'n Proto looks a file with a leading slash up in the import path.
    const args = ['serve', '--import-path=/', '--control-fd=3', ...(verbose ? ['--verbose'] : []), ...options, file];
    const child = start(workerdPath(), args, { env: { ...ownEnvironment(), ...vars }, stdio: ['ignore', quiet ? 'ignore' : 'inherit', 'inherit', 'pipe'] });
    const ports = await listening(child, sockets);
    return { child, port: ports.http, ports };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** What workerd itself needs of the environment: where certificates and temporary files are. */
function ownEnvironment() {
  const names = ['PATH', 'HOME', 'TMPDIR', 'TZ', 'LANG', 'SSL_CERT_FILE', 'SSL_CERT_DIR'];
  return Object.fromEntries(names.filter((name) => process.env[name]).map((name) => [name, process.env[name]]));
}

function listening(child, sockets) {
  const ports = {};
  return new Promise((resolve, reject) => {
    let said = '';
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`workerd ended before it listened (${signal ?? code}), for the reason above, such as a port that is taken`)));
    child.stdio[3].on('data', (chunk) => {
      said += chunk;
      for (const line of said.split('\n').slice(0, -1)) {
        const event = JSON.parse(line);
        if (event.event === 'listen') ports[event.socket] = event.port;
        if (event.event === 'listen-inspector') ports.inspector = event.port;
        if (sockets.every((name) => name in ports)) resolve(ports);
      }
      said = said.slice(said.lastIndexOf('\n') + 1);
    });
  });
}
