// What the README shows of each library is what the tests beside this file do.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const read = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');
const lines = (text) => text.split('\n').map((line) => line.trim()).filter(Boolean);

test("every line of the README's section on SDKs is a line of a test", () => {
  const section = read('../../README.md').split("\n## With your vendor's SDK\n")[1].split('\n## ')[0];
  const shown = [...section.matchAll(/```(?:js|python)\n(.*?)```/gs)].flatMap(([, code]) => lines(code)).filter((line) => !/^(#|\/\/)/.test(line));
  const tested = new Set(readdirSync(new URL('.', import.meta.url)).filter((name) => /\.(mjs|py)$/.test(name)).flatMap((name) => lines(read(name))));
  assert.ok(shown.length > 20);
  assert.deepEqual(shown.filter((line) => !tested.has(line)), []);
});
