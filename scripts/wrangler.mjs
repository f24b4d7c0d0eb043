// `npm run wrangler secret put NAME`: wrangler as `npx wrangler` would run it, under a Node that is new enough for it.
import { spawnSync } from 'node:child_process';
import { installPackages } from './lib/npm.mjs';
import { fail } from './lib/say.mjs';
import { nodeForWrangler, wranglerPath } from './lib/wrangler.mjs';

async function main() {
  await installPackages();
  const node = await nodeForWrangler();
  const { status, error } = spawnSync(node.path, [wranglerPath, ...process.argv.slice(2)], { stdio: 'inherit' });
  if (error) throw error;
  process.exit(status ?? 1);
}

await main().catch(fail);
