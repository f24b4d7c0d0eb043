// A caller's body of unknown length. What comes first of it is held, so that the call can be repeated; behind that a longer one is passed on
// and counted. It is never ended for the vendor as if it were whole: the platform ends a body properly however it was left, unless the call
// goes with it. No decision is taken here.

// All of it, as bytes, if it ends within `most` bytes; null if it is longer than `limit`; else what passes it on.
export async function readFirst(request, most, limit) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request.body.values({ preventCancel: true })) {
    chunks.push(chunk);
    length += chunk.byteLength;
    if (length > limit) return null;
    if (length > most) return new Upload(chunks, length, request.body, limit);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

// How long it is, once all of it has come; -1 if that is more than `most` bytes. The body itself stays, to be sent as it came.
export async function measure(request, most) {
  let length = 0;
  for await (const chunk of request.clone().body) {
    length += chunk.byteLength;
    if (length > most) return -1;
  }
  return length;
}

class Upload {
  constructor(chunks, length, rest, limit) {
    this.chunks = chunks;
    this.length = length;
    this.rest = rest;
    this.limit = limit;
  }

  // All of it. If it is longer than its limit or breaks off, the call that `control` ends goes with it, and `fault` says why: "payload",
  // or "gone" with its caller.
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
    for (let buffer = new ArrayBuffer(65_536); ; ) {
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
