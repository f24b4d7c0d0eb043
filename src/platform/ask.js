// What Worker and object say to each other: asks and their replies, errands, the live status. No decision is taken here.

// What goes in a header between Worker and object, in base64, where the platform's traces may show it: asks and replies that Rust says
// may, up to so many bytes. To read a body takes both sides longer than all the rest of an ask.
const ASK = "sluice-ask";
const REPLY = "sluice-reply";
const SHORT_BYTES = 2_048;

// --- the tenant's object

// One ask: when it was put, when answered, whether the caller had gone by then, and the answer. Its going is told to
// the object at once, in a request of its own: to abort the ask instead would lose a permit that is on its way back.
export async function ask(namespace, tenant, body, short, request, gone) {
  // Views of the Wasm's memory, which may move or be used anew before they are sent.
  body = body.slice();
  gone = gone?.slice();
  const asked = Date.now();
  const signal = request?.signal;
  const stub = namespace.getByName(tenant);
  const post = (body) => stub.fetch(`http://object/${tenant}`, { method: "POST", body });
  const put = () => stub.fetch(`http://object/${tenant}`, { method: "POST", headers: { [ASK]: body.toBase64() } });
  const leave = () => post(gone).then((response) => response.text(), () => {});
  const said = (at, bytes) => {
    const whole = new Uint8Array(17 + bytes.byteLength);
    const head = new DataView(whole.buffer);
    head.setBigInt64(0, BigInt(asked));
    head.setBigInt64(8, BigInt(at));
    whole[16] = signal?.aborted ? 1 : 0;
    whole.set(bytes, 17);
    return whole;
  };
  if (signal?.aborted) return said(asked, new Uint8Array(0));
  signal?.addEventListener("abort", leave);
  try {
    const response = await (short && body.byteLength <= SHORT_BYTES ? put() : post(body));
    const reply = response.headers.get(REPLY);
    const whole = reply === null ? new Uint8Array(await response.arrayBuffer()) : Uint8Array.fromBase64(reply);
    if (response.status !== 200) throw new Error(`status ${response.status}`);
    return said(Date.now(), whole);
  } finally {
    signal?.removeEventListener("abort", leave);
  }
}

export function live(namespace, tenant, claims, protocol) {
  const headers = { Upgrade: "websocket", "Sluice-Claims": claims };
  if (protocol) headers["Sec-WebSocket-Protocol"] = protocol;
  return namespace.getByName(tenant).fetch(`http://object/${tenant}`, { headers });
}

// --- errands of the object, which a Worker does

// Posts an errand to this same Worker. The status it is taken with; 0 if nobody can say. The answer's body ends with the
// errand, and is held until then: the platform lets a Worker run while somebody waits for its answer, and 30 s more.
export async function post(self, stamp, body) {
  try {
    const response = await self.fetch("http://sluice/", { method: "POST", headers: { "Sluice-Errand": stamp }, body: body.slice() });
    response.arrayBuffer().catch(() => {});
    return response.status;
  } catch {
    return 0;
  }
}

// The answer to one who posted an errand: at once, with a body that ends when `end` is called.
export class Taken {
  constructor() {
    const { readable, writable } = new IdentityTransformStream();
    this.writable = writable;
    this.response = new Response(readable, { status: 202 });
  }

  end() {
    this.writable.close().catch(() => {});
  }
}

// --- in the object

// An object's reply that anybody may see.
export function reply(body) {
  if (body.byteLength <= SHORT_BYTES) return new Response(null, { headers: { [REPLY]: body.toBase64() } });
  return new Response(body.slice());
}

// The ask that came in a header, if it did.
export function shortAsk(request) {
  const ask = request.headers.get(ASK);
  return ask === null ? undefined : Uint8Array.fromBase64(ask);
}
