// Copies what the status page uses from npm into its folder. The copies are not committed, and the
// page has no build step.
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { inRoot } from './places.mjs';

const FROM = 'node_modules/uplot';
const TO = 'www/third-party';
// Where the copies were until 2026-11. What is left there would be deployed with the page.
const BEFORE = 'www/vendor';

/** Where each file of the package goes. Its licence must stand beside it. */
const FILES = {
  'dist/uPlot.iife.min.js': 'uplot.js',
  'dist/uPlot.min.css': 'uplot.css',
  LICENSE: 'uplot-licence.txt',
};

/**
 * Copies the page's chart library to where the page loads it from. Throws where npm has not
 * installed it.
 */
export function copyThirdParty() {
  if (!existsSync(inRoot(FROM))) throw new Error(`${FROM} is missing, which the status page draws its charts with: run npm ci`);
  rmSync(inRoot(BEFORE), { recursive: true, force: true });
  mkdirSync(inRoot(TO), { recursive: true });
  for (const [from, to] of Object.entries(FILES)) {
    const [source, copy] = [inRoot(FROM, from), inRoot(TO, to)];
    // A running instance serves these files, so a copy that is right is not written again.
    if (!same(source, copy)) copyFileSync(source, copy);
  }
}

const same = (a, b) => existsSync(b) && readFileSync(a).equals(readFileSync(b));
