// What the dependencies are allowed to be, and what is known against them.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { inRoot } from './places.mjs';
import { must, run } from './processes.mjs';
import { say } from './say.mjs';
import { cargoInstall, toolHome } from './tools.mjs';

const CARGO_DENY = '0.20.2';
// No answer from the network within this is none.
const FETCH_SECONDS = 120;

const tail = (out, lines = 12) => out.trim().split('\n').slice(-lines).join('\n');

/**
 * Licenses, bans and sources need no network and must hold. Advisories come from a database that may be out of reach: then the
 * reason is told, and returned. A vulnerability that is known fails.
 */
export async function audit(rust) {
  const deny = await installCargoDeny(rust);
  const missing = [];
  for (const manifest of ['Cargo.toml', 'fuzz/Cargo.toml']) {
    const checked = (what, options = {}) =>
      run(deny, ['--manifest-path', inRoot(manifest), '--config', inRoot('deny.toml'), 'check', ...what], { cwd: inRoot(), env: rust.env, ...options });
    const rules = await checked(['bans', 'licenses', 'sources']);
    if (rules.code !== 0) throw new Error(`cargo deny, ${manifest}:\n${tail(rules.out, 60)}`);
    say(`cargo deny, ${manifest}: licenses, bans and sources hold`);
    const known = await checked(['advisories'], { timeoutSeconds: FETCH_SECONDS });
    if (known.code === 0) say(`cargo deny, ${manifest}: nothing is known against it`);
    else if (/error\[(vulnerability|unmaintained|unsound|yanked|notice)/.test(known.out)) throw new Error(`cargo deny, ${manifest}:\n${tail(known.out, 60)}`);
    else missing.push(told(`the advisories for ${manifest}`, known.out));
  }
  const npm = await run('npm', ['audit', '--audit-level', 'high', '--loglevel', 'warn'], { cwd: inRoot(), timeoutSeconds: FETCH_SECONDS });
  if (npm.code === 0) say('npm audit: nothing of weight is known against the packages');
  else if (/severity/i.test(npm.out)) throw new Error(`npm audit:\n${tail(npm.out, 60)}`);
  else missing.push(told('the advisories for npm packages', npm.out));
  return missing.length ? `not looked at, as it could not be fetched: ${missing.join('; ')}` : undefined;
}

/** Says why something could not be had. Its name. */
function told(what, out) {
  say(`${what} could not be fetched:\n${tail(out)}`);
  return what;
}

async function installCargoDeny(rust) {
  const home = toolHome('cargo-deny', CARGO_DENY);
  const binary = join(home, 'bin/cargo-deny');
  if (!existsSync(binary)) await cargoInstall(rust, 'cargo-deny', CARGO_DENY, home, 'compiled once; some minutes');
  await must(binary, ['--version']);
  return binary;
}
