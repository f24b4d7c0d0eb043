// Tests that the examples in docs/sdks.md and the README are lines of the tests beside this file.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const read = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');
const lines = (text) => text.split('\n').map((line) => line.trim()).filter(Boolean);
const shown = (text) => [...text.matchAll(/```(?:js|python)\n(.*?)```/gs)].flatMap(([, code]) => lines(code)).filter((line) => !/^(#|\/\/)/.test(line));
const tested = new Set(readdirSync(new URL('.', import.meta.url)).filter((name) => /\.(mjs|py)$/.test(name)).flatMap((name) => lines(read(name))));

test('every line of the section on SDKs is a line of a test', () => {
  const section = read('../../docs/sdks.md').split("\n## With your vendor's SDK\n")[1].split('\n## ')[0];
  assert.ok(shown(section).length > 20);
  assert.deepEqual(shown(section).filter((line) => !tested.has(line)), []);
});

test("every line of the README's example is a line of a test", () => {
  const example = shown(read('../../README.md'));
  assert.ok(example.length > 0);
  assert.deepEqual(example.filter((line) => !tested.has(line)), []);
});
