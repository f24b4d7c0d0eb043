// Sluice as a subject: the shipped build on workerd, with tenants of the benchmark's own.
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { administration } from '../lib/admin.mjs';
import { kill } from '../lib/processes.mjs';
import { SHIPPED } from '../lib/wasm.mjs';
import { serve, startWorkerd } from '../lib/workerd.mjs';
import { metered } from './metered.mjs';

/** Starts it. `tenant(name, connections)` makes a tenant with one app and resolves to its key. */
export const startSluice = (options = {}) => started(options, ({ folder, persist, vars }) =>
  startWorkerd({ folder, persist, port: 0, vars, quiet: true, ...options }));

/** The same with a meter: `bill()` resolves to what the objects have cost so far; `ports.inspector` leads to the isolates. */
export async function startMetered() {
  const sluice = await started({}, ({ folder, persist, vars }) => {
    const objects = join(persist, 'objects');
    mkdirSync(objects);
    return serve(metered({ folder, objects, vars: Object.keys(vars) }), vars, {
      quiet: true, sockets: ['http', 'meter', 'inspector'], options: ['--inspector-addr=127.0.0.1:0'],
    });
  });
  const bill = async () => (await fetch(`http://127.0.0.1:${sluice.ports.meter}/`)).json();
  return { ...sluice, bill };
}

async function started({ folder = process.env.SLUICE_BUILD ?? SHIPPED.folder }, begin) {
  const persist = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const vars = {
    ADMIN_TOKEN: randomBytes(12).toString('hex'), MASTER_KEY: randomBytes(32).toString('base64'), ALLOW_LOOPBACK_VENDORS: 'true',
  };
  const { child, port, ports } = await begin({ folder, persist, vars });
  const stop = () => {
    kill(child);
    rmSync(persist, { recursive: true, force: true });
  };
  const tenant = async (name, connections) => {
    const admin = administration(`http://127.0.0.1:${port}`, vars.ADMIN_TOKEN, name);
    await admin('PUT', '', { connections, apps: { bench: {} } });
    return (await admin('POST', '/keys', { role: 'app', app: 'bench' })).key;
  };
  return { to: `127.0.0.1:${port}`, child, ports, stop, tenant };
}

/** A connection to a vendor whose limit nobody reaches. */
export const unthrottled = (vendor) => ({
  vendor: 'generic', base_url: vendor, limits: [{ name: 'rate', kind: 'rolling_window', calls: 1_000_000, seconds: 10 }],
});
