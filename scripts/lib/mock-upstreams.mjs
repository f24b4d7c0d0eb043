// The mock vendors' program.
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { inRoot, target } from './places.mjs';
import { must, start } from './processes.mjs';

export async function buildVendors(rust) {
  const env = { ...(rust?.env ?? process.env), CARGO_TARGET_DIR: target };
  await must('cargo', ['build', '-p', 'sluice-mock-upstreams'], { cwd: inRoot(), env });
}

/**
 * Starts these vendors, or the usual ones, with these options. Resolves to `{vendors, child, ended}`: their URLs by name, and a promise that is
 * rejected when the program ends. It does so when its input closes, and with its process group.
 */
export async function startVendors(names = [], options = []) {
  const args = [...names.flatMap((name) => ['--vendor', name]), ...options];
  const child = start(join(target, 'debug/sluice-mock-upstreams'), args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`the mock vendors ended (${signal ?? code})`)));
  });
  ended.catch(() => {});
  const vendors = await Promise.race([readVendors(child.stdout), ended]);
  return { vendors, child, ended };
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
