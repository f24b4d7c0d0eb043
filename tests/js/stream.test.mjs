// Tests src/js/stream.js: the bytes of a body arrive as they came, however they are read, and each
// way in which a body ends is told from the others.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Answer, answered, drain, measure, readFirst, readUpTo, readWhole } from '../../src/js/stream.js';

// Doubles of the platform's streams, as far as they are used. They copy what is written, since its
// memory is used again, and a stream of fixed length takes neither more nor less.
globalThis.IdentityTransformStream = class extends TransformStream {
  constructor(length) {
    let left = length;
    super({
      transform(chunk, controller) {
        if (left !== undefined && (left -= chunk.byteLength) < 0) throw new TypeError('more than its length was written');
        controller.enqueue(chunk.slice());
      },
      flush() {
        if (left > 0) throw new TypeError('less than its length was written');
      },
    });
  }
};
globalThis.FixedLengthStream = class extends IdentityTransformStream {};

const MB = 1_048_576;

let control;
let caller;
beforeEach(() => {
  control = new AbortController();
  caller = new AbortController();
});

const bytes = (length, from = 0) => Uint8Array.from({ length }, (_, at) => (from + at) % 251);

// Makes a byte stream of these chunks. Then it ends, breaks off, or gives nothing more until its
// call is aborted.
function stream(chunks, { ends = 'well', signal } = {}) {
  const left = [...chunks];
  return new ReadableStream({
    type: 'bytes',
    start(controller) {
      signal?.addEventListener('abort', () => {
        try { controller.error(signal.reason); } catch { /* The stream has ended. */ }
      });
    },
    pull(controller) {
      const chunk = left.shift();
      if (chunk) return controller.enqueue(chunk.slice());
      if (ends === 'hangs') return new Promise(() => {});
      if (ends === 'breaks') return controller.error(new Error('it broke off'));
      controller.close();
      return controller.byobRequest?.respond(0);
    },
  });
}

const joined = (chunks) => new Uint8Array(Buffer.concat(chunks));

async function all(body) {
  const chunks = [];
  for await (const chunk of body) chunks.push(chunk);
  return joined(chunks);
}

// Makes a vendor's answer, whose stream is aborted with its call.
function answer(chunks, { length, ends } = {}) {
  const headers = new Headers(length === undefined ? {} : { 'content-length': String(length) });
  return new Answer({ headers, body: stream(chunks, { ends, signal: control.signal }) }, control);
}

test('a refused body is read off, no further than it has to be', async () => {
  let read = 0;
  const endless = new ReadableStream({ type: 'bytes', pull(controller) { read += 1; controller.enqueue(bytes(1_000)); } });
  await drain(endless, 10_000, 1_000);
  assert.ok(read >= 10 && read < 20, `${read} chunks`);
  await drain(stream([bytes(10)]), 10_000, 1_000);
  await drain(stream([bytes(10)], { ends: 'breaks' }), 10_000, 1_000);
  await drain(null, 10, 10);
});

test('a refused body that does not come is not waited for', async () => {
  await drain(stream([bytes(10)], { ends: 'hangs' }), 10_000, 5);
});

test('a body is read whole, or not at all', async () => {
  const chunks = [bytes(3), bytes(4, 3)];
  assert.deepEqual(await readWhole(stream(chunks), 7), bytes(7));
  assert.equal(await readWhole(stream(chunks), 6), null);
  assert.deepEqual(await readWhole(stream([]), 0), bytes(0));
  await assert.rejects(readWhole(stream(chunks, { ends: 'breaks' }), 7));
});

test('of a body that is read to its end as much is kept as may be', async () => {
  const chunks = [bytes(3), bytes(4, 3)];
  assert.deepEqual(await readUpTo(stream(chunks), 7), [bytes(7), false]);
  assert.deepEqual(await readUpTo(stream(chunks), 5), [bytes(5), true]);
  assert.deepEqual(await readUpTo(stream(chunks), 2), [bytes(2), true]);
  await assert.rejects(readUpTo(stream(chunks, { ends: 'breaks' }), 2));
});

test('a length is told once all has come', async () => {
  assert.equal(await measure(stream([bytes(3), bytes(4)]), 7), 7);
  assert.equal(await measure(stream([bytes(3), bytes(4)]), 6), -1);
  await assert.rejects(measure(stream([bytes(3)], { ends: 'breaks' }), 7));
});

test('an upload that is short is held, and one over its limit is refused', async () => {
  const chunks = [bytes(3), bytes(4, 3)];
  assert.deepEqual(await readFirst(stream(chunks), 7, Infinity), bytes(7));
  assert.equal(await readFirst(stream(chunks), 3, 6), null);
  await assert.rejects(readFirst(stream(chunks, { ends: 'breaks' }), 7, Infinity));
});

test('of a longer upload the held part goes first and the rest behind it', async () => {
  const upload = await readFirst(stream([bytes(3), bytes(4, 3), bytes(5, 7)]), 5, 100);
  assert.equal(upload.length, 7);
  assert.deepEqual(await all(upload.stream(control)), bytes(12));
  assert.equal(upload.fault, undefined);
  assert.equal(control.signal.aborted, false);
});

test('an upload that turns out too long takes its call with it, and is not ended for the vendor', async () => {
  const upload = await readFirst(stream([bytes(6), bytes(6), bytes(6)]), 5, 14);
  const reader = upload.stream(control).getReader();
  const came = [];
  while (!control.signal.aborted) {
    const next = await Promise.race([reader.read(), once(control.signal)]);
    if (next) {
      assert.equal(next.done, false, 'it seems whole');
      came.push(next.value);
    }
  }
  assert.equal(upload.fault, 'payload');
  assert.equal(joined(came).byteLength, 12);
});

test('an upload that breaks off takes its call with it', async () => {
  const upload = await readFirst(stream([bytes(6)], { ends: 'breaks' }), 5, Infinity);
  const reader = upload.stream(control).getReader();
  assert.equal((await reader.read()).done, false);
  await once(control.signal);
  assert.equal(upload.fault, 'gone');
});

const once = (signal) => (signal.aborted ? undefined : new Promise((resolve) => signal.addEventListener('abort', () => resolve())));

test('a short answer is taken whole with its head, and goes on as bytes', async () => {
  const response = new Response(bytes(100), { headers: { 'content-length': '100' } });
  const came = await answered(Promise.resolve(response), control);
  assert.equal(came.response, response);
  assert.ok(Math.abs(Date.now() - came.at) < 10_000);
  assert.deepEqual(came.pass(caller.signal, false), bytes(100));
  assert.equal(came.bytes, 100);
});

test('a fetch that fails fails', async () => {
  await assert.rejects(answered(Promise.reject(new Error('unreachable')), control), /unreachable/);
});

test('a body of known length in several chunks is passed on as a stream of that length', async () => {
  const came = answer([bytes(40), bytes(60, 40)], { length: 100 });
  await came.begin();
  const passed = came.pass(caller.signal, false);
  assert.deepEqual(await all(passed), bytes(100));
  assert.equal(await came.ended(), 'whole');
  assert.deepEqual([came.bytes, came.more], [100, false]);
});

test('a body of unknown length is passed on and counted', async () => {
  const came = answer([bytes(40), bytes(60, 40)]);
  await came.begin();
  assert.deepEqual(came.peeked, [], 'nothing is read before it is passed on');
  assert.deepEqual(await all(came.pass(caller.signal, false)), bytes(100));
  assert.equal(await came.ended(), 'whole');
  assert.deepEqual([came.bytes, came.more], [100, false]);
});

test('what was peeked at is passed on all the same', async () => {
  const came = answer([bytes(40), bytes(60, 40)]);
  assert.deepEqual(await came.peek(), bytes(40));
  assert.equal(came.peekedBytes, 40);
  assert.equal(came.closed, false);
  assert.deepEqual(await came.peek(), bytes(60, 40));
  assert.equal(await came.peek(), null);
  assert.equal(came.peekedBytes, 100);
  assert.equal(came.closed, true);
  assert.deepEqual(await all(came.pass(caller.signal, false)), bytes(100));
  assert.equal(await came.ended(), 'whole');
  assert.equal(came.bytes, 100);
});

test('a body that breaks off while it is peeked at is told, and passed on as far as it came', async () => {
  const came = answer([bytes(40)], { ends: 'breaks' });
  await came.peek();
  assert.equal(await came.peek(), null);
  assert.equal(came.peekedBytes, -1);
  await assert.rejects(all(came.pass(caller.signal, false)));
  assert.equal(await came.ended(), 'cut');
  assert.equal(came.bytes, 40);
});

test('a body is read whole, to be passed on as it came or with other bytes in its place', async () => {
  const came = answer([bytes(40), bytes(60, 40)]);
  assert.deepEqual(await came.readAll(100), bytes(100));
  came.replace(bytes(7));
  assert.deepEqual(came.pass(caller.signal, false), bytes(7));
  assert.equal(came.bytes, 7);
  assert.equal(await answer([bytes(40), bytes(60, 40)]).readAll(99), null);
  assert.equal(await answer([bytes(40)], { ends: 'breaks' }).readAll(99), null);
  const same = answer([bytes(40), bytes(60, 40)]);
  await same.readAll(100);
  assert.deepEqual(await all(same.pass(caller.signal, false)), bytes(100));
});

test('a vendor that breaks off is told from one that is late', async () => {
  const cut = answer([bytes(40)], { length: 100, ends: 'breaks' });
  await assert.rejects(all(cut.pass(caller.signal, false)));
  assert.equal(await cut.ended(), 'cut');
  assert.equal(cut.bytes, 40);

  const late = answer([bytes(40)], { ends: 'hangs' });
  const passed = late.pass(caller.signal, false).getReader();
  await passed.read();
  control.abort('timeout');
  await assert.rejects(passed.read());
  assert.equal(await late.ended(), 'timeout');
  assert.equal(late.bytes, 40);
});

test('for a caller that goes the vendor is read on, and seen to end', async () => {
  const came = answer([bytes(40), bytes(60, 40), bytes(50)]);
  const passed = came.pass(caller.signal, false).getReader();
  await passed.read();
  caller.abort();
  assert.equal(await came.ended(), 'whole');
  assert.equal(came.bytes, 150);
});

test('for a caller that has gone before nothing is passed on', async () => {
  const came = answer([bytes(40), bytes(60, 40)]);
  caller.abort();
  assert.equal(came.pass(caller.signal, false), null);
  assert.equal(await came.ended(), 'whole');
  assert.equal(came.bytes, 100);
});

test('for a caller that has gone no endless body is read', async () => {
  const chunk = bytes(MB);
  const endless = new ReadableStream({ type: 'bytes', pull(controller) { controller.enqueue(chunk.slice()); } });
  const came = new Answer({ headers: new Headers(), body: endless }, control);
  caller.abort();
  came.pass(caller.signal, false);
  assert.equal(await came.ended(), 'gone');
  assert.equal(control.signal.aborted, true, 'the call is given up');
  assert.ok(came.bytes >= 10 * MB && came.bytes < 12 * MB, `${came.bytes} bytes`);
});

test('a long body of unknown length is passed on whole, though not counted to its end', async () => {
  const chunks = Array.from({ length: 12 }, (_, at) => bytes(MB, at));
  const came = answer(chunks);
  assert.deepEqual(await all(came.pass(caller.signal, false)), joined(chunks));
  assert.equal(await came.ended(), 'whole');
  assert.equal(came.more, true);
  assert.ok(came.bytes > 10 * MB);
});

test('a long body of known length counts as if all had come', async () => {
  const chunks = Array.from({ length: 12 }, (_, at) => bytes(MB, at));
  const came = answer(chunks, { length: 12 * MB });
  assert.deepEqual(await all(came.pass(caller.signal, false)), joined(chunks));
  assert.equal(await came.ended(), 'whole');
  assert.deepEqual([came.bytes, came.more], [12 * MB, false]);

  const cut = answer(chunks.slice(0, 2), { length: 12 * MB, ends: 'breaks' });
  await assert.rejects(all(cut.pass(caller.signal, false)));
  assert.equal(await cut.ended(), 'cut');
  assert.equal(cut.bytes, 12 * MB);
});

test('a long body that a limit counts is counted to its end', async () => {
  const chunks = Array.from({ length: 12 }, (_, at) => bytes(MB, at));
  for (const length of [undefined, 12 * MB]) {
    const came = answer(chunks, { length });
    assert.deepEqual(await all(came.pass(caller.signal, true)), joined(chunks));
    assert.equal(await came.ended(), 'whole');
    assert.deepEqual([came.bytes, came.more], [12 * MB, false]);
  }
});

test('a caller that goes from a long body is told', async () => {
  const came = answer(Array.from({ length: 12 }, (_, at) => bytes(MB, at)), { length: 12 * MB, ends: 'hangs' });
  const passed = came.pass(caller.signal, false).getReader();
  await passed.read();
  caller.abort();
  const rest = (async () => { while (!(await passed.read()).done); })();
  await assert.rejects(rest, 'it seems whole');
  assert.equal(await came.ended(), 'gone');
});
