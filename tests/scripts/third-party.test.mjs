// What the status page uses from npm is copied whole to where the page loads it from, and is not
// committed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { inRoot } from '../../scripts/lib/places.mjs';
import { copyThirdParty } from '../../scripts/lib/third-party.mjs';

const copy = (name) => readFileSync(inRoot('www/third-party', name), 'utf8');

test('set-up copies the chart library and its licence, and mends a copy that is not the package\'s', () => {
  copyThirdParty();
  writeFileSync(inRoot('www/third-party/uplot.css'), 'of an older version');
  copyThirdParty();
  assert.equal(copy('uplot.js'), readFileSync(inRoot('node_modules/uplot/dist/uPlot.iife.min.js'), 'utf8'));
  assert.equal(copy('uplot.css'), readFileSync(inRoot('node_modules/uplot/dist/uPlot.min.css'), 'utf8'));
  assert.match(copy('uplot-licence.txt'), /MIT|Permission is hereby granted/);
});

test('the page names the copies', () => {
  const page = readFileSync(inRoot('www/index.html'), 'utf8');
  for (const name of ['uplot.js', 'uplot.css']) assert.ok(page.includes(`"/third-party/${name}"`), name);
});

test('the copies are no part of the repository', (t) => {
  const { status, error } = spawnSync('git', ['check-ignore', '-q', 'www/third-party/uplot.js'], { cwd: inRoot() });
  if (error || status === 128) return t.skip('this is no git checkout');
  assert.equal(status, 0);
});
