// What Worker and object say to each other: asks and their replies, errands, the live status. No decision is taken here.

// What goes in the URL from Worker to object, and in a header back, in base64, where the platform's traces may show it: asks and replies
// that Rust says may, up to so many bytes. To read a body takes both sides longer than all the rest of an ask; a header for it, a tenth.
const SHORT_BYTES = 2_048;

// --- the tenant's object

// Where the object of a name is. To be kept: to find it hashes the name, a twentieth of what an ask takes.
export function place(namespace, name) {
  return { id: namespace.idFromName(name), url: `http://object/${name}` };
}

// One ask, and the answer; in a list if the caller had gone by then. Its going is told to the object at once, in a request of
// its own: to abort the ask instead would lose a permit that is on its way back.
// Thousands may wait for their answers at once. What they hold meanwhile is copied and marked whenever the platform collects garbage,
// so none of the ask's bytes are among it.
export function ask(namespace, place, body, short, request, gone) {
  const { id, url } = place;
  const signal = request?.signal;
  if (signal?.aborted) return Promise.resolve([new Uint8Array(0)]);
  const stub = namespace.get(id);
  const leave = signal && leaving(stub, url, gone.toBase64());
  if (signal) signal.onabort = leave;
  // A body is a copy: Wasm's memory may move or be used anew before it is sent.
  const answer = short && body.byteLength <= SHORT_BYTES ? put(stub, url, body.toBase64()) : stub.fetch(url, { method: "POST", body: body.slice() });
  return answered(answer, signal);
}

const POST = { method: "POST" };

const put = (stub, url, words) => stub.fetch(`${url}?${words}`, POST);

const leaving = (stub, url, words) => () => put(stub, url, words).then((response) => response.text(), () => {});

async function answered(answer, signal) {
  try {
    const response = await answer;
    const reply = response.headers.get("sluice-reply");
    const whole = reply === null ? new Uint8Array(await response.arrayBuffer()) : Uint8Array.fromBase64(reply);
    if (response.status !== 200) throw new Error(`status ${response.status}`);
    return signal?.aborted ? [whole] : whole;
  } finally {
    if (signal) signal.onabort = null;
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
  if (body.byteLength <= SHORT_BYTES) return new Response(null, { headers: { "sluice-reply": body.toBase64() } });
  return new Response(body.slice());
}

// The ask that came in the URL, if it did.
export function shortAsk(request) {
  const { url } = request;
  const at = url.indexOf("?");
  return at < 0 ? undefined : Uint8Array.fromBase64(url.slice(at + 1));
}
