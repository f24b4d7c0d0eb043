// `npm run audit`: licenses, sources and known vulnerabilities of what Sluice depends on.
import { audit } from './lib/audit.mjs';
import { installPackages } from './lib/npm.mjs';
import { endTogether } from './lib/processes.mjs';
import { findRust } from './lib/rust.mjs';
import { fail, say } from './lib/say.mjs';

async function main() {
  const life = endTogether();
  const [rust] = await Promise.all([findRust(), installPackages()]);
  const missing = await audit(rust);
  if (missing) say(missing);
  await life.end(0);
}

await main().catch(fail);
