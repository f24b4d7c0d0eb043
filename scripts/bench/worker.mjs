// A Worker of the benchmarks' own on workerd: the same runtime, date and flags as Sluice has, objects on disk likewise.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { wranglerConfig } from '../lib/config.mjs';
import { kill } from '../lib/processes.mjs';
import { embedded, serve } from '../lib/workerd.mjs';

const text = JSON.stringify;
const lines = (items) => `[${items.join(', ')}]`;

/** `modules`: name → path, the first is the main one. `objects`: binding → class. `vars`: name → value. */
function configuration({ modules, objects, vars, folder }) {
  const { compatibilityDate, compatibilityFlags } = wranglerConfig();
  const bindings = [
    ...Object.entries(objects).map(([name, className]) => `(name = ${text(name)}, durableObjectNamespace = ${text(className)})`),
    ...Object.entries(vars).map(([name, value]) => `(name = ${text(name)}, text = ${text(value)})`),
  ];
  const namespaces = Object.values(objects).map((className) => `(className = ${text(className)}, uniqueKey = ${text(className)}, enableSql = true)`);
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "worker", worker = .worker),
    (name = "internet", network = (allow = ["public", "private"])),
    (name = "objects", disk = (path = ${text(folder)}, writable = true)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "worker")],
);
const worker :Workerd.Worker = (
  modules = ${lines(embedded(modules))},
  compatibilityDate = ${text(compatibilityDate)},
  compatibilityFlags = ${text(compatibilityFlags)},
  bindings = ${lines(bindings)},
  durableObjectNamespaces = ${lines(namespaces)},
  durableObjectStorage = (localDisk = "objects"),
);
`;
}

/** Starts it. Resolves to `{to, child, stop}` when it listens. */
export async function startWorker({ modules, objects = {}, vars = {}, options }) {
  const persist = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const folder = join(persist, 'objects');
  mkdirSync(folder);
  const { child, port } = await serve(configuration({ modules, objects, vars, folder }), {}, { quiet: true, options });
  const stop = () => {
    kill(child);
    rmSync(persist, { recursive: true, force: true });
  };
  return { to: `127.0.0.1:${port}`, child, stop };
}
