// Under which Node wrangler runs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isNewEnough, neededNode, nodeForWrangler } from '../../scripts/lib/wrangler.mjs';

test('a version is new enough if the first number that differs is greater', () => {
  const cases = [
    ['22.12.0', '22.12.0', true], ['22.12.1', '22.12.0', true], ['22.13.0', '22.12.9', true], ['24.0.0', '22.12.0', true],
    ['22.9.0', '22.12.0', false], ['22.12.0', '22.12.1', false], ['20.20.2', '22.12.0', false], ['9.99.99', '22.12.0', false],
  ];
  for (const [version, least, wanted] of cases) assert.equal(isNewEnough(version, least), wanted, `${version} for ${least}`);
});

test('what wrangler needs is read from its own package', () => {
  assert.match(neededNode(), /^\d+\.\d+\.\d+$/);
});

test("a machine's Node that is new enough is the one", async () => {
  const { path, about } = await nodeForWrangler({ version: '22.12.0', needed: '22.12.0' });
  assert.equal(path, process.execPath);
  assert.match(about, /this machine's Node 22\.12\.0/);
});
