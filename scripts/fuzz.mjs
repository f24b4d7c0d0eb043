// `npm run fuzz -- [TARGET…] [--seconds 60]`: each target of fuzz/targets, or those named, for so long.
import { parseArgs } from 'node:util';
import { buildFuzzer, fuzz, targets } from './lib/fuzz.mjs';
import { endTogether } from './lib/processes.mjs';
import { findRust } from './lib/rust.mjs';
import { fail } from './lib/say.mjs';

async function main() {
  const life = endTogether();
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { seconds: { type: 'string', default: '60' } } });
  const unknown = positionals.filter((name) => !targets().includes(name));
  if (unknown.length) throw new Error(`no target is called ${unknown.join(', ')}: there are ${targets().join(', ')}`);
  if (!/^\d+$/.test(values.seconds)) throw new Error(`--seconds ${values.seconds} is no whole number`);
  const fuzzer = await buildFuzzer(await findRust());
  for (const name of positionals.length ? positionals : targets()) await fuzz(fuzzer, name, values.seconds);
  await life.end(0);
}

await main().catch(fail);
