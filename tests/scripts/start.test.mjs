// Tests `npm start`: what it prints, stores, and leaves behind. These tests wait for processes to
// end, never for time to pass.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { startInstance } from '../../scripts/lib/instance.mjs';
import { kill } from '../../scripts/lib/processes.mjs';
import { inRoot } from '../../scripts/lib/places.mjs';

const folders = [];
const instances = [];
after(() => {
  // Tests that failed half-way have left some.
  instances.forEach(({ child }) => kill(child));
  folders.forEach((folder) => rmSync(folder, { recursive: true, force: true }));
});

const newFolder = () => (folders.push(mkdtempSync(join(tmpdir(), 'sluice-start-test-'))), folders.at(-1));

async function started(...args) {
  instances.push(await startInstance(['--port', '0', ...args]));
  return instances.at(-1);
}
const bare = (persist, ...more) => started('--no-demo', '--persist', persist, ...more);

const lives = (pid) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

async function gone(pid) {
  const deadline = Date.now() + 5000;
  while (lives(pid)) {
    assert.ok(Date.now() < deadline, `process ${pid} is still there after 5 s`);
    await new Promise((turn) => setTimeout(turn, 20));
  }
}

/** Opens a socket, because workerd does not end on SIGTERM while one is open. */
const openSocket = (url) => new Promise((open) => {
  const socket = connect(Number(new URL(url).port), '127.0.0.1', () => (socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'), open(socket)));
  socket.on('error', () => {});
});

const filesIn = (folder) => readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name));

test('it answers, keeps its master key to itself, and writes no other secret', async () => {
  const persist = newFolder();
  const instance = await bare(persist);
  assert.equal((await fetch(`${instance.url}/healthz`)).status, 200);
  assert.equal(instance.lines.filter((line) => line === `ready ${instance.url}`).length, 1);
  const token = instance.found(/^admin token +(\S+)/);
  assert.equal((await fetch(`${instance.url}/admin/tenants`, { headers: { Authorization: `Bearer ${token}` } })).status, 200);
  const key = join(persist, 'MASTER_KEY');
  assert.equal(statSync(key).mode & 0o777, 0o600);
  const secret = readFileSync(key, 'utf8').trim();
  assert.equal(Buffer.from(secret, 'base64').length, 32);
  assert.equal(await instance.stop(), 0);
  for (const file of filesIn(persist)) {
    const held = readFileSync(file, 'latin1');
    assert.ok(!held.includes(token), `${file} holds the admin token`);
    assert.ok(file === key || !held.includes(secret), `${file} holds the master key`);
  }
});

test('a second start on the same storage has the same master key and is ready in 10 s', async () => {
  const persist = newFolder();
  const first = await bare(persist);
  const key = readFileSync(join(persist, 'MASTER_KEY'), 'utf8');
  await first.stop();
  const began = performance.now();
  const second = await bare(persist);
  assert.ok(performance.now() - began < 10_000);
  assert.equal(readFileSync(join(persist, 'MASTER_KEY'), 'utf8'), key);
  await second.stop();
});

test('a token that was given is used and not printed', async () => {
  const instance = await bare(newFolder(), '--vars', 'ADMIN_TOKEN=given-by-the-test');
  const answer = await fetch(`${instance.url}/admin/tenants`, { headers: { Authorization: 'Bearer given-by-the-test' } });
  assert.equal(answer.status, 200);
  await instance.stop();
  assert.ok(!instance.lines.join('\n').includes('given-by-the-test'));
});

test('a token taken from the environment is used, and is on no command line and in nothing that is printed', async () => {
  const token = 'from-the-environment-of-the-test';
  instances.push(await startInstance(['--port', '0', '--no-demo', '--persist', newFolder(), '--vars', 'ADMIN_TOKEN'], { ADMIN_TOKEN: token }));
  const instance = instances.at(-1);
  const answer = await fetch(`${instance.url}/admin/tenants`, { headers: { Authorization: `Bearer ${token}` } });
  assert.equal(answer.status, 200);
  assert.ok(!instance.child.spawnargs.join(' ').includes(token));
  if (process.platform === 'linux') assert.ok(!readFileSync(`/proc/${instance.workerd}/cmdline`, 'utf8').includes(token));
  await instance.stop();
  assert.ok(!instance.lines.join('\n').includes(token));
});

test('what is wrong with a setting is said without repeating it', async () => {
  for (const given of ['=hush-hush', ':hush-hush=x', 'hush hush']) {
    await assert.rejects(bare(newFolder(), '--vars', given), (error) => !error.message.includes('hush') && /the 1\. --vars has no name/.test(error.message));
  }
  await assert.rejects(bare(newFolder(), '--vars', 'NO_SUCH_VARIABLE'), /the environment has no NO_SUCH_VARIABLE/);
});

test('a token that is too short is named, and not used', async () => {
  const instance = await bare(newFolder(), '--vars', 'ADMIN_TOKEN=ann:fifteen-letters');
  const answer = await fetch(`${instance.url}/admin/tenants`, { headers: { Authorization: 'Bearer fifteen-letters' } });
  const body = await answer.text();
  assert.equal(answer.status, 503);
  assert.match(body, /ADMIN_TOKEN is shorter than 16 characters/);
  assert.ok(!body.includes('fifteen'));
  await instance.stop();
});

test('a setting given as empty is one that is not set', async () => {
  const instance = await bare(newFolder(), '--vars', 'MASTER_KEY=');
  assert.equal((await fetch(`${instance.url}/healthz`)).status, 200);
  assert.equal((await fetch(`${instance.url}/status.json`)).status, 503);
  await instance.stop();
});

test('Ctrl-C ends workerd too, with a socket open', async () => {
  const instance = await bare(newFolder());
  const socket = await openSocket(instance.url);
  instance.child.kill('SIGINT');
  assert.equal(await instance.exited, 0);
  assert.ok(!lives(instance.workerd));
  socket.destroy();
});

test('workerd ends also when the script is killed without a chance to end it', async () => {
  const instance = await bare(newFolder());
  instance.child.kill('SIGKILL');
  await instance.exited;
  await gone(instance.workerd);
});

test('it ends when the program that started it has gone', async () => {
  const args = ['--port', '0', '--no-demo', '--persist', newFolder()];
  const shell = spawn('/bin/sh', ['-c', '"$0" "$@" & wait', process.execPath, inRoot('scripts/start.mjs'), ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  for await (const chunk of shell.stdout) if (/^ready /m.test((output += chunk))) break;
  shell.kill('SIGKILL');
  await gone(Number(output.match(/workerd pid (\d+)/)[1]));
});

test('when workerd ends by itself it says so and fails', async () => {
  const instance = await bare(newFolder());
  process.kill(instance.workerd, 'SIGKILL');
  assert.equal(await instance.exited, 1);
  assert.match(instance.lines.join('\n'), /workerd ended by itself/);
});

test('a port that is taken is an error that says so', async () => {
  const first = await bare(newFolder());
  await assert.rejects(startInstance(['--port', new URL(first.url).port, '--no-demo', '--persist', newFolder()]), /a port that is taken/);
  await first.stop();
});

test('the line to try works as printed, and so does the key of the status page', async () => {
  const demo = await started('--persist', newFolder());
  const [, header, url] = demo.lines.join('\n').match(/curl -i -H 'Sluice-Key: (\S+)' '(\S+)'/);
  const answer = await fetch(url, { headers: { 'Sluice-Key': header } });
  assert.equal(answer.status, 200);
  assert.ok(answer.headers.has('Sluice-Call'));
  await answer.arrayBuffer();
  const page = demo.found(/^status page +(\S+)/);
  const status = await fetch(`${demo.url}/status.json`, { headers: { 'Sluice-Key': page.split('#key=')[1] } });
  assert.equal(status.status, 200);
  assert.equal(await demo.stop(), 0);
});
