// An instance whose objects are metered, for tests that count what a call asks of them. Takes what the tests give
// scripts/start.mjs, and says the same and `meter URL`, which tells the bill so far.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { metered } from '../../scripts/bench/metered.mjs';
import { endTogether } from '../../scripts/lib/processes.mjs';
import { fail, say } from '../../scripts/lib/say.mjs';
import { SHIPPED } from '../../scripts/lib/wasm.mjs';
import { serve } from '../../scripts/lib/workerd.mjs';

async function main() {
  const { values } = parseArgs({
    options: { port: { type: 'string' }, persist: { type: 'string' }, 'no-demo': { type: 'boolean' }, vars: { type: 'string', multiple: true } },
  });
  const life = endTogether();
  const vars = Object.fromEntries(values.vars.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
  const objects = join(values.persist, 'objects');
  mkdirSync(objects, { recursive: true, mode: 0o700 });
  const configured = metered({ folder: process.env.SLUICE_BUILD ?? SHIPPED.folder, objects, vars: Object.keys(vars) });
  const { child, ports } = await serve(configured, vars, { sockets: ['http', 'meter'] });
  child.once('exit', () => life.ending() || life.end(1));
  say(`workerd pid ${child.pid}`);
  say(`meter http://127.0.0.1:${ports.meter}`);
  say(`ready http://127.0.0.1:${ports.http}`);
}

await main().catch(fail);
