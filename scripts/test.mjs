// `npm test`: installs what is missing and runs every check. `npm test -- fmt clippy` runs those alone, `--long` also
// those that take minutes.
import { checks, installLinters } from './lib/checks.mjs';
import { installPackages } from './lib/npm.mjs';
import { endTogether } from './lib/processes.mjs';
import { findRust } from './lib/rust.mjs';
import { fail, say, seconds } from './lib/say.mjs';
import { copyThirdParty } from './lib/third-party.mjs';

async function main() {
  const long = process.argv.includes('--long');
  const asked = process.argv.slice(2).filter((word) => word !== '--long');
  const unknown = asked.filter((name) => !checks.some((check) => check.name === name));
  if (unknown.length) throw new Error(`no check is called ${unknown.join(', ')}: there are ${checks.map(({ name }) => name).join(', ')}`);
  endTogether();
  const [rust] = await Promise.all([findRust(), installPackages().then(copyThirdParty)]);
  await installLinters(rust);
  const results = [];
  const wanted = ({ name, long: takesLong }) => (asked.length ? asked.includes(name) : long || !takesLong);
  for (const check of checks.filter(wanted)) results.push(await made(check, rust, results));
  summarise(results);
  process.exit(results.some(({ state }) => state === 'FAILED' || state === 'not run') ? 1 : 0);
}

async function made(check, rust, before) {
  const { name, about } = check;
  if (before.some((result) => result.name === check.after && result.state !== 'ok')) {
    return { name, about, state: 'not run', note: `${check.after} failed`, took: '' };
  }
  say(`\n=== ${name}: ${about}`);
  const began = performance.now();
  try {
    const said = await check.work({ rust });
    const state = said?.skipped ? 'skipped' : 'ok';
    const note = said?.skipped ?? (typeof said === 'string' ? said : '');
    return { name, about, state, note, took: seconds(began) };
  } catch (error) {
    say(error.message);
    return { name, about, state: 'FAILED', note: error.message.split('\n')[0], took: seconds(began) };
  }
}

function summarise(results) {
  say('\n=== summary');
  for (const { name, about, state, note, took } of results) {
    say(`${state.padEnd(8)} ${took.padStart(8)}  ${name}: ${about}${note ? ` (${note})` : ''}`);
  }
}

await main().catch(fail);
