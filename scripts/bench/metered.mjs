// The shipped build in two isolates of one workerd, as the platform may run it: the Worker, and its objects with a meter around them.
import { join } from 'node:path';
import { wranglerConfig } from '../lib/config.mjs';
import { modules, workerModules } from '../lib/wasm.mjs';
import { embedded } from '../lib/workerd.mjs';

const text = JSON.stringify;

/** workerd's configuration; `vars` are names, the values stay in the environment. Its socket `meter` tells the bill. */
export function metered({ folder, objects, vars }) {
  const { compatibilityDate, compatibilityFlags } = wranglerConfig();
  const { main, wasm } = modules(folder);
  const object = { 'metered.js': 'benches/workers/metered.js', 'hook.js': 'benches/workers/hook.js', 'index.js': main, 'index_bg.wasm': wasm };
  const bindings = [
    ...vars.map((name) => `(name = ${text(name)}, fromEnvironment = ${text(name)})`),
    '(name = "SELF", service = "sluice")',
  ].join(', ');
  const dates = `compatibilityDate = ${text(compatibilityDate)}, compatibilityFlags = ${text(compatibilityFlags)}`;
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "sluice", worker = .sluice),
    (name = "desk", worker = .desk),
    (name = "internet", network = (allow = ["public", "private"])),
    (name = "objects", disk = (path = ${text(join(objects))}, writable = true)),
  ],
  sockets = [
    (name = "http", address = "127.0.0.1:0", http = (), service = "sluice"),
    (name = "meter", address = "127.0.0.1:0", http = (), service = "desk"),
  ],
);
const sluice :Workerd.Worker = (
  modules = [${embedded(workerModules(folder)).join(', ')}],
  bindings = [(name = "TENANT", durableObjectNamespace = (className = "Tenant", serviceName = "desk")), ${bindings}],
  ${dates},
);
const desk :Workerd.Worker = (
  modules = [${embedded(object).join(', ')}],
  bindings = [(name = "TENANT", durableObjectNamespace = "Tenant"), ${bindings}],
  durableObjectNamespaces = [(className = "Tenant", uniqueKey = "Tenant", enableSql = true)],
  durableObjectStorage = (localDisk = "objects"),
  ${dates},
);
`;
}
