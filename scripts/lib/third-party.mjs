// What the status page has from npm: copied into its folder rather than committed, as the page has no build step.
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { inRoot } from './places.mjs';

const FROM = 'node_modules/uplot';
const TO = 'www/vendor';

/** Where each file of the package goes. The licence has to be with what it is for. */
const FILES = {
  'dist/uPlot.iife.min.js': 'uplot.js',
  'dist/uPlot.min.css': 'uplot.css',
  LICENSE: 'uplot-licence.txt',
};

/** Puts the page's chart library where the page looks for it. */
export function vendorPage() {
  if (!existsSync(inRoot(FROM))) throw new Error(`${FROM} is missing, which the status page draws its charts with: run npm ci`);
  mkdirSync(inRoot(TO), { recursive: true });
  for (const [from, to] of Object.entries(FILES)) {
    const [source, copy] = [inRoot(FROM, from), inRoot(TO, to)];
    // A running instance serves these files: one that is right is left alone.
    if (!same(source, copy)) copyFileSync(source, copy);
  }
}

const same = (a, b) => existsSync(b) && readFileSync(a).equals(readFileSync(b));
