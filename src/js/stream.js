// What only JavaScript does well: moving the bytes of a body. No chunk that is passed on enters the
// memory of the Wasm, and a long body keeps no future of Rust's awake. How much is read, kept or
// counted is decided in Rust; src/js/mod.rs has the types of what is exported.

// Why a call was given up whose time was over: the reason of its signal, and how its body ended.
const TIMEOUT = "timeout";

// The most that is read on for a caller that has gone, so that a vendor that ends is seen to end:
// 10 MB. What is longer is passed on outside JavaScript, which leaves no garbage behind.
const READ_ON_BYTES = 10_485_760;

// An answer of known length, up to this many bytes, is taken whole if its first chunk is all of it,
// as is usual: 64 kB. A stream costs more than the rest of its call.
const WHOLE_BYTES = 65_536;

// What one read of a long body may fill.
const CHUNK_BYTES = 65_536;

// --- bodies that are read

// Reads and drops up to `most` bytes within `ms`, so that a caller that still sends comes to read
// the refusal.
export async function drain(body, most, ms) {
  if (!body || body.locked) return;
  const reader = body.getReader({ mode: "byob" });
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
  let read = 0;
  const all = eachChunk(reader, (chunk) => (read += chunk.byteLength) < most).catch(() => {});
  await Promise.race([all, late]);
  clearTimeout(timer);
}

// The whole body, or null as soon as it is longer than `most` bytes.
export async function readWhole(body, most) {
  const chunks = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.byteLength;
    if (length > most) return null;
    chunks.push(chunk);
  }
  return joined(chunks, length);
}

// The first `most` bytes of a body that is read to its end, and whether there were more.
export async function readUpTo(body, most) {
  const chunks = [];
  let length = 0;
  for await (const chunk of body) {
    if (length < most) chunks.push(chunk.subarray(0, most - length));
    length += chunk.byteLength;
  }
  return [joined(chunks, Math.min(length, most)), length > most];
}

// The length of a body, once all of it has come; -1 if that is more than `most` bytes.
export async function measure(body, most) {
  let length = 0;
  for await (const chunk of body) {
    length += chunk.byteLength;
    if (length > most) return -1;
  }
  return length;
}

function joined(chunks, length) {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

// Hands over every chunk, until one is answered with false. Whether the body came to its end. The
// chunk's memory is used again.
async function eachChunk(reader, take) {
  for (let buffer = new ArrayBuffer(CHUNK_BYTES); ; ) {
    const { value, done } = await reader.read(new Uint8Array(buffer));
    if (done) return true;
    if ((await take(value)) === false) return false;
    buffer = value.buffer;
  }
}

// --- a caller's body of unknown length

// What comes first of it is held, so that the call can be repeated: all of it, as bytes, if it ends
// within `most` bytes; null if it is longer than `limit`; else what passes it on.
export async function readFirst(body, most, limit) {
  const chunks = [];
  let length = 0;
  for await (const chunk of body.values({ preventCancel: true })) {
    chunks.push(chunk);
    length += chunk.byteLength;
    if (length > limit) return null;
    if (length > most) return new Upload(chunks, length, body, limit);
  }
  return joined(chunks, length);
}

// A body that is passed on and counted. It is never ended for the vendor as if it were whole: the
// platform ends a body properly however it was left, unless the call goes with it.
class Upload {
  constructor(chunks, length, rest, limit) {
    this.chunks = chunks;
    this.length = length;
    this.rest = rest;
    this.limit = limit;
  }

  // All of it. If it is longer than its limit or breaks off, the call that `control` ends goes with
  // it, and `fault` says why: "payload", or "gone" with its caller.
  stream(control) {
    const { readable, writable } = new IdentityTransformStream();
    this.#pass(writable.getWriter(), control).catch(() => {});
    return readable;
  }

  async #pass(writer, control) {
    while (this.chunks.length > 0) await writer.write(this.chunks.shift());
    const reader = this.rest.getReader({ mode: "byob" });
    const end = (fault) => {
      this.fault = fault;
      control.abort();
      reader.releaseLock();
    };
    for (let buffer = new ArrayBuffer(CHUNK_BYTES); ; ) {
      let piece;
      try {
        piece = await reader.read(new Uint8Array(buffer));
      } catch {
        return end("gone");
      }
      if (piece.done) return writer.close();
      this.length += piece.value.byteLength;
      if (this.length > this.limit) return end("payload");
      await writer.write(piece.value);
      buffer = piece.value.buffer;
    }
  }
}

// --- a vendor's answer

// The answer that a fetch leads to, once its headers have come, and the first chunk of a short body
// with them.
export async function answered(fetched, control) {
  const answer = new Answer(await fetched, control);
  await answer.begin();
  return answer;
}

export class Answer {
  // `control` ends the call; its signal's reason tells whether its time was over.
  constructor(response, control) {
    this.response = response;
    this.control = control;
    // When its headers came, Unix ms.
    this.at = Date.now();
    const length = response.headers.get("content-length");
    this.length = length !== null && /^\d+$/.test(length) ? Number(length) : null;
    // Chunks from the beginning of the body, and how many of them Rust has seen.
    this.peeked = [];
    this.seen = 0;
    // Bytes of the body that have come, and whether more may have.
    this.bytes = 0;
    this.more = false;
    // The end of the body was seen.
    this.closed = false;
  }

  async begin() {
    if (this.response.body && this.length > 0 && this.length <= WHOLE_BYTES) await this.#read();
  }

  // One more chunk from the beginning of the body; null where it ends. The caller still gets it.
  async peek() {
    if (this.seen === this.peeked.length) await this.#read();
    return this.peeked[this.seen++] ?? null;
  }

  // All of the body, which is still there to be passed on; null if it is longer than `most` bytes,
  // or breaks off.
  async readAll(most) {
    let length = 0;
    for (let at = 0; !this.whole && !this.broken && length <= most; at += 1) {
      await this.#read();
      length += this.peeked[at]?.byteLength ?? 0;
    }
    return this.whole && length <= most ? joined(this.peeked, this.#came) : null;
  }

  // Puts other bytes in the place of the body, all of which was read.
  replace(bytes) {
    this.peeked = [bytes];
    this.length = bytes.byteLength;
  }

  // -1 if the body broke off meanwhile.
  get peekedBytes() {
    return this.broken ? -1 : this.#came;
  }

  // What goes to the caller as the body: its only chunk, or a stream that is fed from now on; null
  // if the caller has gone. `counted`: a limit counts the body's bytes, so that they are to be
  // known whatever becomes of it.
  pass(caller, counted) {
    if (this.whole && this.peeked[0]?.byteLength === this.length) {
      this.bytes = this.length;
      return this.peeked[0];
    }
    // Whatever becomes of the rest, this has come.
    this.bytes = this.#came;
    if (caller.aborted) {
      this.end = this.#readOn();
      return null;
    }
    const { length } = this;
    const { readable, writable } = length === null ? new IdentityTransformStream() : new FixedLengthStream(length);
    const piped = length > READ_ON_BYTES && !counted;
    const passed = piped ? this.#pipe(writable, caller) : this.#copy(writable, caller, counted);
    this.end = passed.then((how) => {
      if (how === "whole" && length !== null) this.bytes = length;
      return how;
    });
    return readable;
  }

  // How a body that was passed on as a stream ended: "whole", "timeout", "cut" (by the vendor) or
  // "gone" (the caller).
  async ended() {
    return this.end;
  }

  // Bytes of what was peeked at, whatever followed.
  get #came() {
    return this.peeked.reduce((bytes, chunk) => bytes + chunk.byteLength, 0);
  }

  get #late() {
    return this.control.signal.reason === TIMEOUT;
  }

  async #read() {
    if (!this.response.body || this.whole || this.broken) return;
    this.reader ??= this.response.body.getReader();
    try {
      const { value, done } = await this.reader.read();
      if (!done) this.peeked.push(value);
      this.closed = done;
      this.whole = done || (this.peeked.length === 1 && value.byteLength === this.length);
    } catch {
      this.broken = true; // met again, and dealt with, when the body is passed on
    }
  }

  // A long body, passed on outside JavaScript. How much of it has come when it breaks off is not to
  // be had any more: where its length is known, it counts as if all had; else it is not known how
  // many came.
  async #pipe(writable, caller) {
    this.bytes = Math.max(this.bytes, this.length ?? 0);
    this.more = this.length === null;
    try {
      const writer = writable.getWriter();
      for (const chunk of this.peeked) await writer.write(chunk);
      writer.releaseLock();
      this.reader?.releaseLock();
      await this.response.body.pipeTo(writable, { signal: caller });
      return "whole";
    } catch {
      if (this.#late) return TIMEOUT;
      return caller.aborted ? "gone" : "cut";
    }
  }

  // A short body, one of unknown length, or one that a limit counts, passed on and counted. If its
  // caller goes it is read on for a while, since a vendor that has ended is known to be free. The
  // signal is heeded because what nobody reads is never taken either.
  async #copy(writable, caller, counted) {
    const writer = writable.getWriter();
    const stop = () => writer.abort().catch(() => {});
    caller.addEventListener("abort", stop);
    let reading = false;
    try {
      for (const chunk of this.peeked) await writer.write(chunk);
      this.peeked = [];
      reading = true;
      const ended = await this.#each(async (chunk) => {
        reading = false;
        this.bytes += chunk.byteLength;
        await writer.write(chunk);
        reading = true;
        return counted || this.bytes <= READ_ON_BYTES;
      });
      reading = false;
      if (!ended) {
        writer.releaseLock();
        return this.#pipe(writable, caller);
      }
      await writer.close();
      return "whole";
    } catch (error) {
      await writer.abort(error).catch(() => {});
      if (reading) return this.#late ? TIMEOUT : "cut";
      return this.#readOn();
    } finally {
      caller.removeEventListener("abort", stop);
    }
  }

  async #readOn() {
    let left = READ_ON_BYTES;
    try {
      const ended = await this.#each((chunk) => {
        this.bytes += chunk.byteLength;
        return (left -= chunk.byteLength) > 0;
      });
      if (ended) return "whole";
    } catch {
      return this.#late ? TIMEOUT : "cut";
    }
    this.control.abort();
    return "gone";
  }

  // Hands over every further chunk, until one is answered with false. Whether it came to the end.
  #each(take) {
    this.reader?.releaseLock();
    this.reader = this.response.body.getReader({ mode: "byob" });
    return eachChunk(this.reader, take);
  }
}
