// What only the system's package manager can bring. Used on Debian and its kin, as root; elsewhere the message says what to install.
import { existsSync } from 'node:fs';
import { must, run } from './processes.mjs';
import { step } from './say.mjs';

export const hasApt = () => existsSync('/usr/bin/apt-get') && process.getuid?.() === 0;

let updated = false;

/** Installs packages by apt-get, or says that they are needed. */
export async function installDebian(packages, why) {
  if (!hasApt()) throw new Error(`${why}: install ${packages.join(', ')} (on Debian, as root: apt-get install ${packages.join(' ')})`);
  await step(`apt-get install ${packages.join(' ')}`, async () => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    if (!updated) await run('apt-get', ['update'], { env, timeoutSeconds: 120 });
    updated = true;
    await must('apt-get', ['install', '-y', '--no-install-recommends', ...packages], { env });
  }, why);
}
