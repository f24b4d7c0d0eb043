// Tests the documents: their links lead somewhere, the paths that they name exist, and the README
// stays short.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { inRoot } from '../../scripts/lib/places.mjs';

const markdown = (folder) => readdirSync(inRoot(folder)).filter((name) => name.endsWith('.md')).map((name) => join(folder, name));
const documents = [...markdown('.'), ...markdown('docs'), 'tests/mock-upstreams/README.md'];
const read = (name) => readFileSync(inRoot(name), 'utf8');
const prose = (text) => text.replace(/^```[^]*?^```/gm, '');

/** Returns a heading's anchor, as GitHub makes it. */
const anchor = (heading) => heading.trim().toLowerCase().replace(/[^\p{L}\p{N}_\- ]/gu, '').replaceAll(' ', '-');
const anchors = (name) => [...prose(read(name)).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchor(heading));

function leadsNowhere(from, link) {
  const [path, fragment] = link.split('#');
  const to = path ? normalize(join(dirname(from), path)) : from;
  return !existsSync(inRoot(to)) || (fragment && !anchors(to).includes(fragment));
}

test('every link between the documents leads somewhere', () => {
  const links = documents.flatMap((from) => [...prose(read(from)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => [from, link]));
  const own = links.filter(([, link]) => !/^[a-z]+:/.test(link));
  assert.ok(own.length > 50);
  assert.deepEqual(own.filter(([from, link]) => leadsNowhere(from, link)), []);
});

test("every folder and file in the architecture's map is there", () => {
  const map = read('ARCHITECTURE.md').split('\n## Map\n')[1].split('\n## ')[0];
  const paths = map.split('\n').filter((line) => line.startsWith('| ')).flatMap((row) => row.split(' | ').at(-1).match(/`[^`]+`/g) ?? []).map((path) => path.slice(1, -1));
  assert.ok(paths.length > 20);
  assert.deepEqual(paths.filter((path) => !existsSync(inRoot(path))), []);
});

test('the README has at most 200 lines', () => {
  assert.ok(read('README.md').split('\n').length <= 201);
});
