// Tests plain http where the site is public. The platform passes how a request came in
// `request.cf`; for workerd a header of the request has what the platform would pass.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { after, before, test } from 'node:test';
import { startSluice, unthrottled } from '../../scripts/bench/sluice.mjs';

const CF_HEADER = 'X-Test-Cf';
let vendor, calls, sluice, key;

before(async () => {
  calls = 0;
  vendor = createServer((_, answer) => ((calls += 1), answer.end('{}')));
  await once(vendor.listen(0, '127.0.0.1'), 'listening');
  sluice = await startSluice({ cf: CF_HEADER });
  key = await sluice.tenant('plain', { crm: unthrottled(`http://127.0.0.1:${vendor.address().port}`) });
});

after(() => {
  sluice?.stop();
  vendor?.close();
});

async function ask(path, { method = 'GET', cf = '{"colo":"ZRH"}', host = 'sluice.example.com', headers = {} } = {}) {
  const sent = { Host: host, ...(cf ? { [CF_HEADER]: cf } : {}), ...headers };
  const call = request(`http://${sluice.to}${path}`, { method, headers: sent }).end();
  const [answer] = await once(call, 'response');
  return { status: answer.statusCode, headers: answer.headers, text: (await answer.toArray()).join('') };
}

test('a key that has crossed the network in clear is not taken, whatever it was for', async () => {
  const before = calls;
  for (const [path, more] of [
    ['/v/crm/x', { headers: { 'Sluice-Key': key } }],
    ['/v/crm/x', { method: 'POST', headers: { Authorization: `Bearer ${key}` } }],
    ['/v/crm/x?access_token=x', {}],
    ['/status.json', { headers: { 'Sluice-Key': key } }],
    ['/admin/tenants', { headers: { Authorization: 'Bearer x' } }],
    ['/connections/crm/pause', { method: 'POST', headers: { 'Sluice-Key': key } }],
    ['/', { headers: { 'Sluice-Key': key } }],
  ]) {
    const answer = await ask(path, more);
    assert.equal(answer.status, 403, path);
    assert.equal(answer.headers['sluice-reason'], 'https');
    assert.equal(answer.headers.location, undefined, 'a client that follows would send the key again');
    assert.ok(!answer.text.includes(key));
  }
  assert.equal(calls, before);
});

test('the page moves to https, /healthz answers, a preflight is answered', async () => {
  const page = await ask('/', { host: 'sluice.example.com:8080' });
  assert.deepEqual([page.status, page.headers.location], [308, 'https://sluice.example.com/']);
  assert.equal((await ask('/healthz')).status, 200);
  const preflight = { Origin: 'https://a.example', 'Access-Control-Request-Method': 'GET' };
  assert.equal((await ask('/v/crm/x', { method: 'OPTIONS', headers: preflight })).status, 204);
});

test('a local run is heard over plain http, by whichever name it is called', async () => {
  for (const more of [{ cf: '' }, { cf: '', host: 'localhost' }, { host: sluice.to }, { host: 'localhost:8787' }]) {
    const answer = await ask('/v/crm/x', { ...more, headers: { 'Sluice-Key': key } });
    assert.equal(answer.status, 200, JSON.stringify(more));
  }
  // Headers in which a client claims something about itself change nothing.
  const headers = { 'Sluice-Key': key, 'CF-Ray': 'x', 'CF-Visitor': '{"scheme":"http"}', 'X-Forwarded-Proto': 'http' };
  assert.equal((await ask('/v/crm/x', { cf: '', headers })).status, 200);
  const page = await ask('/', { cf: '' });
  assert.equal(page.status, 200);
  assert.equal(page.headers['strict-transport-security'], undefined, 'nobody asks a browser to come by https where there is none');
});
