// What is done in JavaScript: each function here is one crossing between Wasm and JavaScript where Rust alone would
// need ten or more, or keeps a stream out of Wasm. No decision is taken here.

const TIMEOUT = "timeout";

// Never stored, never answered from the platform's cache. `cache: "no-store"` would do it too, but shows the vendor
// two headers the caller has not sent.
const UNCACHED = { cacheTtlByStatus: { "200-599": -1 } };

// The most that is read on for a caller that has gone, so that a vendor that ends is seen to end: 10 MB. What is longer
// is passed on outside JavaScript, which leaves no garbage behind.
const READ_ON_BYTES = 10_485_760;

// An answer of known length, up to this many bytes, is taken whole if its first chunk is all of it, as is usual: 64 kB. A
// stream costs more than the rest of its call.
const WHOLE_BYTES = 65_536;

// What the platform puts in the place of a caller's Accept-Encoding: "br, gzip"
// (https://developers.cloudflare.com/fundamentals/reference/http-request-headers/#accept-encoding). The caller's own is then among what it
// tells of the connection, all of which it takes apart when any of it is asked for.
const REPLACED = /\bbr\b/;

// The most headers that are read of a request, and one more that tells that there are more. To read each takes time; Rust refuses these.
const MOST_HEADERS = 1_001;

// Statuses whose answers have no body, whatever their headers say.
const BODILESS = [204, 205, 304];

// --- the caller's request

// When it came, its method, its URL, whether there is a body, the caller's own Accept-Encoding behind a `=` where the platform has put
// another in its place, and its headers, name and value by turns: one a line.
export function read(request) {
  const encodings = REPLACED.test(request.headers.get("accept-encoding")) ? request.cf?.clientAcceptEncoding : undefined;
  const replaced = typeof encodings === "string" ? `=${encodings}` : "";
  return lines(`${Date.now()}\n${request.method}\n${request.url}\n${request.body !== null}\n${replaced}`, request.headers, MOST_HEADERS);
}

// `most`: how many headers.
function lines(first, headers, most = Infinity) {
  let text = first;
  for (const [name, value] of headers) {
    if (most-- <= 0) break;
    text += `\n${name}\n${value}`;
  }
  return text;
}

// Reads and drops up to `most` bytes within `ms`, so that a caller still sending comes to read the refusal.
export async function drain(request, most, ms) {
  if (!request.body || request.body.locked) return;
  const reader = request.body.getReader({ mode: "byob" });
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
  const all = async () => {
    let buffer = new ArrayBuffer(65_536);
    for (let read = 0; read < most; ) {
      const { value, done } = await reader.read(new Uint8Array(buffer));
      if (done) return;
      read += value.byteLength;
      buffer = value.buffer;
    }
  };
  await Promise.race([all().catch(() => {}), late]);
  clearTimeout(timer);
}

// The whole body, or null as soon as it is longer than `most` bytes.
export async function readWhole(request, most) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request.body) {
    length += chunk.byteLength;
    if (length > most) return null;
    chunks.push(chunk);
  }
  return joined(chunks, length);
}

// The whole body of a copy of the request, or null if it is longer than `most` bytes. With GET the platform sends a body only as it came.
export function readCopy(request, most) {
  return readWhole(request.clone(), most);
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

// --- the vendor

// A call to the vendor. `head`: when the headers came, status, reason, headers; or when none came, 0, and why; one a line.
export class Sent {
  constructor(control, timer) {
    this.control = control;
    this.timer = timer;
    // Chunks from the beginning of the body, and how many of them Rust has seen.
    this.peeked = [];
    this.seen = 0;
    this.bytes = 0;
  }

  // What has come, and the first chunk of a short body with it.
  async came(response) {
    this.response = response;
    this.head = lines(`${Date.now()}\n${response.status}\n${response.statusText}`, response.headers);
    const length = response.headers.get("content-length");
    this.length = length !== null && /^\d+$/.test(length) ? Number(length) : null;
    if (response.body && this.length > 0 && this.length <= WHOLE_BYTES) await this.#read();
    return this;
  }

  failed(why) {
    clearTimeout(this.timer);
    this.head = `${Date.now()}\n0\n${why}`;
    return this;
  }

  // One more chunk from the beginning of the body; null where it ends. The caller still gets it.
  async peek() {
    if (this.seen === this.peeked.length) await this.#read();
    return this.peeked[this.seen++] ?? null;
  }

  async #read() {
    if (!this.response.body || this.whole || this.broken) return;
    this.reader ??= this.response.body.getReader();
    try {
      const { value, done } = await this.reader.read();
      if (!done) this.peeked.push(value);
      this.whole = done || (this.peeked.length === 1 && value.byteLength === this.length);
      // All of it is here: what happens to it from now on is no matter of the vendor's time. Where its only chunk is all that is
      // passed on, that can wait until the answer is on its way.
      if (done) clearTimeout(this.timer);
    } catch {
      this.broken = true; // met again, and dealt with, when the body is passed on
    }
  }

  // Puts one text in the place of another, all over the body. Whether all of it came, and no more than `most` bytes.
  async putBack(text, other, most) {
    if (!this.response?.body) return true;
    // What comes in a coding that was not asked for cannot be searched.
    if ((this.response.headers.get("content-encoding") ?? "identity") !== "identity") return false;
    let length = 0;
    for (let at = 0; !this.whole && !this.broken && length <= most; at += 1) {
      await this.#read();
      length += this.peeked[at]?.byteLength ?? 0;
    }
    if (!this.whole || length > most) return false;
    const came = new TextDecoder().decode(joined(this.peeked, this.peeked.reduce((bytes, chunk) => bytes + chunk.byteLength, 0)));
    if (!came.includes(text)) return true;
    const put = new TextEncoder().encode(came.replaceAll(text, () => other));
    const { status, statusText } = this.response;
    const headers = new Headers(this.response.headers);
    headers.set("content-length", put.byteLength);
    this.response = new Response(put, { status, statusText, headers });
    this.peeked = [put];
    this.length = put.byteLength;
    return true;
  }

  // -1 if the body broke off meanwhile.
  get peekedBytes() {
    return this.broken ? -1 : this.#came;
  }

  // Bytes of what was peeked at, whatever followed.
  get #came() {
    return this.peeked.reduce((bytes, chunk) => bytes + chunk.byteLength, 0);
  }

  // Its time was over.
  get #late() {
    return this.control.signal.reason === TIMEOUT;
  }

  // The answer to the caller. `head`: the reason; and what changes of the vendor's headers, as src/http/changes.rs tells it. Byte for byte:
  // encodings are left alone, and a length stays.
  // `counted`: a limit counts the body's bytes, so that they are to be known whatever becomes of it.
  deliver(request, status, head, counted) {
    const { response } = this;
    const [reason, ...changes] = head.split("\n");
    const statusText = canBeReason(status, reason) ? reason : "";
    const answer = (body) => {
      const answer = new Response(body, { status, statusText, headers: response.headers, encodeBody: "manual" });
      change(answer.headers, changes);
      return answer;
    };
    if (!response.body || BODILESS.includes(status)) {
      this.end = Promise.resolve("whole");
      return answer(null);
    }
    if (this.whole && this.peeked[0]?.byteLength === this.length) {
      this.bytes = this.length;
      this.only = true;
      return answer(this.peeked[0]);
    }
    // Whatever becomes of the rest, this has come.
    this.bytes = this.#came;
    if (request.signal.aborted) {
      this.end = this.#readOn();
      return answer(null);
    }
    const { length } = this;
    const { readable, writable } = length === null ? new IdentityTransformStream() : new FixedLengthStream(length);
    const piped = length > READ_ON_BYTES && !counted;
    const pass = piped ? this.#pipe(writable, request.signal) : this.#copy(writable, request.signal, counted);
    this.end = pass.then((how) => {
      if (how === "whole" && length !== null) this.bytes = length;
      return how;
    });
    return answer(readable);
  }

  // How the body ended: whole, timeout, cut (by the vendor) or gone (the caller); its bytes; and 1 where more may have come; one a line.
  async ended() {
    return this.#said(await this.end);
  }

  // The same, where it was all there from the beginning.
  get over() {
    return this.only ? this.#said("whole") : undefined;
  }

  #said(how) {
    clearTimeout(this.timer);
    return `${how}\n${this.bytes}\n${this.more ? 1 : 0}`;
  }

  // Nothing of the answer is wanted.
  drop() {
    clearTimeout(this.timer);
    this.control.abort();
  }

  // A long body, passed on outside JavaScript. How much of it has come when it breaks off is not to be had any more: where its length is
  // known, it counts as if all had; else it is not known how many came.
  async #pipe(writable, signal) {
    this.bytes = Math.max(this.bytes, this.length ?? 0);
    this.more = this.length === null;
    try {
      await this.#repeat(writable);
      this.reader?.releaseLock();
      await this.response.body.pipeTo(writable, { signal });
      return "whole";
    } catch {
      if (this.#late) return TIMEOUT;
      return signal.aborted ? "gone" : "cut";
    }
  }

  async #repeat(writable) {
    const writer = writable.getWriter();
    for (const chunk of this.peeked) await writer.write(chunk);
    writer.releaseLock();
  }

  // A short body, one of unknown length, or one that a limit counts, passed on and counted. If its caller goes it is read on for a
  // while, since a vendor that has ended is known to be free. The signal is heeded because what nobody reads is never taken either.
  async #copy(writable, signal, counted) {
    const writer = writable.getWriter();
    const stop = () => writer.abort().catch(() => {});
    signal.addEventListener("abort", stop);
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
        return this.#pipe(writable, signal);
      }
      await writer.close();
      return "whole";
    } catch (error) {
      await writer.abort(error).catch(() => {});
      if (reading) return this.#late ? TIMEOUT : "cut";
      return this.#readOn();
    } finally {
      signal.removeEventListener("abort", stop);
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
  async #each(take) {
    this.reader?.releaseLock();
    this.reader = this.response.body.getReader({ mode: "byob" });
    for (let buffer = new ArrayBuffer(65_536); ; ) {
      const { value, done } = await this.reader.read(new Uint8Array(buffer));
      if (done) return true;
      if ((await take(value)) === false) return false;
      buffer = value.buffer;
    }
  }
}

// Whether the platform takes a vendor's reason, which may be in any language. An answer without its reason is better than none.
function canBeReason(status, reason) {
  if (/^[\t -~]*$/.test(reason)) return true;
  try {
    new Response(null, { status, statusText: reason });
    return true;
  } catch {
    return false;
  }
}

// Changes headers in place, so that what stays has the very bytes that came: as text they would have lost those that are no UTF-8. Where
// nothing changes, there is one line, with nothing in it. One that the platform does not take is left out, alone.
function change(headers, changes) {
  for (let at = 0; at < changes.length && changes[at] !== ""; ) {
    const line = changes[at++];
    const name = line.slice(1);
    if (line[0] === "-") headers.delete(name);
    else put(headers, line[0] === "=", name, changes[at++]);
  }
}

function put(headers, anew, name, value) {
  try {
    if (anew) headers.set(name, value);
    else headers.append(name, value);
  } catch {
    if (anew) headers.delete(name);
  }
}

// Sends once. `head`: method, URL, and what changes of the request's headers; one a line, since each text that is handed over takes its
// time, however short it is. Never throws.
export async function send(request, head, body, milliseconds) {
  const control = new AbortController();
  const sent = new Sent(control, setTimeout(() => control.abort(TIMEOUT), milliseconds));
  let fetched;
  try {
    const [method, url, ...changes] = head.split("\n");
    const headers = new Headers(request.headers);
    change(headers, changes);
    const init = { method, headers, redirect: "manual", signal: control.signal, cf: UNCACHED };
    fetched = body === null
      ? fetch(url, { ...init, encodeResponseBody: "manual" })
      : fetch(outgoing(request, url, method, init, body, control), { encodeResponseBody: "manual" });
  } catch {
    return sent.failed("unsent");
  }
  try {
    return await sent.came(await fetched);
  } catch {
    return sent.failed(body?.fault ?? (control.signal.reason === TIMEOUT ? TIMEOUT : "unreachable"));
  }
}

// A text, posted: a form to a token endpoint, a message to a callback's receiver. As JSON: status, Retry-After, Date, the body, empty if it
// is longer than `most` bytes, and not waited for if those are none, and Location; or 0 and why nothing came. Redirects are not
// followed: the text goes where it was meant to, and nowhere else.
export async function postForm(url, headers, form, most, milliseconds) {
  const control = new AbortController();
  const timer = setTimeout(() => control.abort(), milliseconds);
  try {
    const init = { method: "POST", headers: JSON.parse(headers), body: form, redirect: "manual", signal: control.signal, cf: UNCACHED };
    const response = await fetch(url, init);
    const body = response.body && most > 0 ? await readWhole(response, most) : null;
    if (most === 0) response.body?.cancel().catch(() => {});
    const text = new TextDecoder().decode(body ?? new Uint8Array());
    const said = (name) => response.headers.get(name) ?? "";
    return JSON.stringify([response.status, said("retry-after"), said("date"), text, said("location")]);
  } catch {
    return JSON.stringify([0, control.signal.aborted ? TIMEOUT : "unreachable", "", "", ""]);
  } finally {
    clearTimeout(timer);
  }
}

// RS256 (RFC 7518, section 3.3), with a key in PKCS #8; null if that is no such key.
export async function sign(key, text) {
  const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  try {
    const imported = await crypto.subtle.importKey("pkcs8", key.slice(), algorithm, false, ["sign"]);
    return new Uint8Array(await crypto.subtle.sign(algorithm.name, imported, new TextEncoder().encode(text)));
  } catch {
    return null;
  }
}

// Waits, and no longer than the caller of `request` does. Whether it is still there.
export function pause(milliseconds, request) {
  const signal = request?.signal;
  if (!signal) return new Promise((resolve) => setTimeout(resolve, milliseconds, true));
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const end = (there) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", leave);
      resolve(there);
    };
    const leave = () => end(false);
    const timer = setTimeout(end, milliseconds, true);
    signal.addEventListener("abort", leave);
  });
}

// `body`: true for the caller's own, streamed; or all of it, as bytes; or an upload of upload.js.
function outgoing(request, url, method, init, body, control) {
  if (body !== true) return new Request(url, { ...init, body: body.stream?.(control) ?? body });
  // A body with GET is taken over from a request; an init that has the method refuses it.
  if (method === "GET" || method === "HEAD") {
    const sent = new Request(new Request(url, request), { ...init, method: undefined });
    // Of these it sends a body only where a header says how it is framed.
    if (!sent.headers.has("content-length")) sent.headers.set("transfer-encoding", "chunked");
    return sent;
  }
  return new Request(url, { ...init, body: request.body });
}

// --- answers of our own

export function answer(status, headers, body) {
  return new Response(body === "" ? null : body, { status, headers: JSON.parse(headers) });
}

export function answerBytes(status, body) {
  return new Response(body.slice(), { status });
}

export function answerWhole(status, headers, body) {
  const init = { status, headers: JSON.parse(headers), encodeBody: "manual" };
  return new Response(BODILESS.includes(status) ? null : body.slice(), init);
}

// An answer that was to go to a caller, read to its end: status, headers as JSON, up to `most` bytes of the body, whether
// there were more. None if it breaks off.
export async function keep(response, most) {
  const chunks = [];
  let length = 0;
  try {
    for await (const chunk of response.body ?? []) {
      if (length < most) chunks.push(chunk.subarray(0, most - length));
      length += chunk.byteLength;
    }
  } catch {
    return null;
  }
  const body = new Uint8Array(await new Blob(chunks).arrayBuffer());
  return [response.status, JSON.stringify([...response.headers]), body, length > most];
}

// The body of a response, or of a request.
export async function bytes(message) {
  return new Uint8Array(await message.arrayBuffer());
}

export function log(line) {
  console.log(line);
}
