// The npm packages, and where their binaries are. None of them needs its install script.
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { cache, inRoot } from './places.mjs';
import { ask, must } from './processes.mjs';
import { step } from './say.mjs';
import { hashOf, isFresh, keepStamp } from './stamp.mjs';

const resolver = createRequire(inRoot('package.json'));

const WORKERD = { 'darwin arm64': 'darwin-arm64', 'darwin x64': 'darwin-64', 'linux arm64': 'linux-arm64', 'linux x64': 'linux-64' };

/** workerd itself, not the JavaScript that would start it: its process id is the one to kill. Tests name another in its place. */
export function workerdPath() {
  if (process.env.SLUICE_WORKERD) return process.env.SLUICE_WORKERD;
  const platform = WORKERD[`${process.platform} ${process.arch}`];
  if (!platform) throw new Error(`workerd has no build for ${process.platform} on ${process.arch}: use Linux or macOS`);
  return resolver.resolve(`@cloudflare/workerd-${platform}/bin/workerd`, { paths: [resolver.resolve('workerd/package.json')] });
}

export const wasmOptPath = () => inRoot('node_modules/.bin/wasm-opt');

/** esbuild's own binary where npm brought one, else the script that finds it. */
export function esbuildPath() {
  const binary = inRoot(`node_modules/@esbuild/${process.platform}-${process.arch}/bin/esbuild`);
  return existsSync(binary) ? binary : inRoot('node_modules/.bin/esbuild');
}

/** Installs the packages if they are missing or are not those of package-lock.json. */
export async function installPackages() {
  const stamp = inRoot('node_modules/.sluice-stamp');
  const hash = hashOf(['package.json', 'package-lock.json', '.npmrc'], process.platform, process.arch);
  if (isFresh(stamp, hash)) return;
  await step('npm packages', async () => {
    await must('npm', ['ci', '--no-audit', '--no-fund'], { cwd: inRoot() });
    const version = await ask(workerdPath(), ['--version']);
    if (!version) throw new Error('workerd does not run here: it needs glibc 2.35 or newer, or macOS 13.5 or newer');
    keepStamp(stamp, hash);
    return version;
  }, 'about 10 s');
}

/**
 * Installs the packages that the lock file of a `folder` of the checkout names, once, into the cache folder. What else they depend on is in
 * `more`. Resolves to where they are.
 */
export async function installApart(folder, { name, says, note, more }) {
  const files = ['package.json', 'package-lock.json', '.npmrc'];
  const hash = hashOf(files.map((file) => `${folder}/${file}`), ...more);
  const home = join(cache, `${name}-${hash.slice(0, 16)}`);
  const stamp = join(home, '.stamp');
  if (!isFresh(stamp, hash)) {
    await step(says, async () => {
      mkdirSync(home, { recursive: true });
      for (const file of files) copyFileSync(inRoot(folder, file), join(home, file));
      await must('npm', ['ci', '--no-audit', '--no-fund'], { cwd: home });
      keepStamp(stamp, hash);
    }, note);
  }
  return join(home, 'node_modules');
}
