// What the status page has from npm is where the page looks for it, whole, and not committed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { inRoot } from '../../scripts/lib/places.mjs';
import { vendorPage } from '../../scripts/lib/vendored.mjs';

const copy = (name) => readFileSync(inRoot('www/vendor', name), 'utf8');

test('set-up copies the chart library and its licence, and mends a copy that is not the package\'s', () => {
  vendorPage();
  writeFileSync(inRoot('www/vendor/uplot.css'), 'of an older version');
  vendorPage();
  assert.equal(copy('uplot.js'), readFileSync(inRoot('node_modules/uplot/dist/uPlot.iife.min.js'), 'utf8'));
  assert.equal(copy('uplot.css'), readFileSync(inRoot('node_modules/uplot/dist/uPlot.min.css'), 'utf8'));
  assert.match(copy('uplot-licence.txt'), /MIT|Permission is hereby granted/);
});

test('the page names the copies', () => {
  const page = readFileSync(inRoot('www/index.html'), 'utf8');
  for (const name of ['uplot.js', 'uplot.css']) assert.ok(page.includes(`"/vendor/${name}"`), name);
});

test('the copies are no part of the repository', (t) => {
  const { status, error } = spawnSync('git', ['check-ignore', '-q', 'www/vendor/uplot.js'], { cwd: inRoot() });
  if (error || status === 128) return t.skip('this is no git checkout');
  assert.equal(status, 0);
});
