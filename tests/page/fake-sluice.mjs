// A double of Sluice for the page: it serves www/ under the strictest content security policy, and
// whatever status a test wants. Node's http and as much of RFC 6455 as a page needs.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname } from "node:path";
import { gzipSync } from "node:zlib";
import { inSeconds } from "./documents.mjs";

const WWW = new URL("../../www/", import.meta.url);
const TYPES = { ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml" };

/** Allows no inline script or style, no other origin, and no markup from strings. */
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/**
 * Makes a key in Sluice's format: version, role, expiry, then bytes that the page does not read.
 */
const keyOf = (role, name) => `slk_${Buffer.from([1, role, 0, 0, 0, 0, 0, 0, 0, 0, ...Buffer.from(name)]).toString("base64url")}`;

export const APP_KEY = keyOf(0, "fake-app-key");
export const KEY = keyOf(1, "fake-viewer-key");
export const OPERATOR_KEY = keyOf(2, "fake-operator-key");

export class FakeSluice {
  constructor() {
    /** The document that `/status.json` and the socket send. */
    this.status = null;
    /** The keys that are accepted. */
    this.keys = new Set([KEY, OPERATOR_KEY, APP_KEY]);
    /**
     * The reports of seven days, `{usage, errors}` by the connection's name. If null, no connection
     * is known.
     */
    this.reports = null;
    /** The jobs of each list: `dead`, `running`, `queued`. */
    this.jobs = { dead: [], running: [], queued: [] };
    /** If not null, every request is answered with 503 `setup` and this detail. */
    this.setup = null;
    /** If false, upgrades are answered with 500, as by a proxy that supports no WebSockets. */
    this.allowSockets = true;
    /** The delay of `/status.json`, milliseconds. */
    this.delay = 0;
    /** Every request that has come, as `{method, url, headers}`. */
    this.requests = [];
    this.sockets = new Set();
    this.port = 0;
  }

  /** Starts to listen. A second start takes the port of the first. */
  async start() {
    this.server = createServer((request, response) => this.answer(request, response));
    this.server.on("upgrade", (request, socket) => this.upgrade(request, socket));
    await new Promise((done) => this.server.listen(this.port, "127.0.0.1", done));
    this.port = this.server.address().port;
    return this;
  }

  /** Ends at once with all its connections, as a killed server does. */
  async stop() {
    for (const socket of this.sockets) socket.destroy();
    this.sockets.clear();
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Sets the status document, and pushes it to all sockets. */
  show(status) {
    this.status = status;
    for (const socket of this.sockets) socket.write(frame(JSON.stringify(status)));
  }

  /** Sends raw text to every socket. */
  push(text) {
    for (const socket of this.sockets) socket.write(frame(text));
  }

  /** Revokes a key: closes its sockets and refuses it from now on. */
  revoke(key) {
    this.keys.delete(key);
    for (const socket of this.sockets) socket.end(frame(Buffer.from([0x03, 0xf0]), 8));
    this.sockets.clear();
  }

  async answer(request, response) {
    this.requests.push({ method: request.method, url: request.url, headers: request.headers });
    if (request.url === "/status.json") {
      if (this.delay) await new Promise((done) => setTimeout(done, this.delay));
      const problem = this.problem(request.headers["sluice-key"]);
      if (problem) return send(response, problem.status, problem, { "Sluice-Reason": problem.reason });
      // A document without a time gets the present of the test's documents.
      return send(response, 200, { ...this.status, at: this.status.at ?? inSeconds(0) });
    }
    const known = this.statistics(request) ?? this.work(request);
    if (known) return send(response, known.status ?? 200, known);
    const path = request.url === "/" ? "index.html" : request.url.slice(1);
    const type = TYPES[extname(path)];
    const body = type && /^([a-z-]+\/)?[a-z.-]+$/.test(path) ? await readFile(new URL(path, WWW)).catch(() => null) : null;
    if (!body) return send(response, 404, { title: "not found", status: 404, detail: "nothing is at this address" });
    response.writeHead(200, { "Content-Type": type, "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache", "Content-Encoding": "gzip" });
    response.end(gzipSync(body));
  }

  // Returns the answer of `/stats/…`, or undefined for any other address.
  statistics({ url, headers }) {
    const [, kind, query] = url.match(/^\/stats\/(usage|errors)\/last7days\.json\?(.*)$/) ?? [];
    if (!kind) return undefined;
    const problem = this.problem(headers["sluice-key"]);
    if (problem) return problem;
    return this.reports?.[new URLSearchParams(query).get("connection")]?.[kind] ?? { title: "not found", status: 404, detail: "no such connection" };
  }

  // Returns the answer of `/jobs` and `/dead-letters`, or undefined for any other address. It
  // replays and deletes jobs too.
  work({ method, url, headers }) {
    const { pathname, searchParams } = new URL(url, this.url);
    const [, list, id, verb] = pathname.match(/^\/(jobs|dead-letters)(?:\/([\w-]+))?(?:\/(replay))?$/) ?? [];
    if (!list) return undefined;
    const problem = this.problem(headers["sluice-key"]);
    if (problem) return problem;
    if (method === "GET") return page(list === "jobs" ? this.jobs[searchParams.get("state")] : this.jobs.dead, searchParams);
    if (headers["sluice-key"] !== OPERATOR_KEY) return { title: "forbidden", status: 403, detail: "the key's role may not do this" };
    const replays = verb === "replay" || id === "replay";
    for (const name of list === "jobs" ? ["queued", "running"] : ["dead"]) {
      const [chosen, rest] = [[], []];
      for (const job of this.jobs[name]) (id === "replay" || job.id === id ? chosen : rest).push(job);
      this.jobs[name] = rest;
      if (replays) this.jobs.queued.push(...chosen.map((job) => ({ ...job, state: "queued" })));
    }
    this.recount();
    return { items: [] };
  }

  /** Puts the numbers of jobs into the status document, and pushes it to all sockets. */
  recount() {
    const [first] = Object.keys(this.status.connections);
    const counts = Object.fromEntries(Object.entries(this.jobs).map(([name, all]) => [name, all.length]));
    for (const [name, one] of Object.entries(this.status.connections)) one.jobs = name === first ? counts : { queued: 0, running: 0, dead: 0 };
    this.show(this.status);
  }

  problem(key) {
    if (this.setup) return { type: "about:blank", title: "set-up is incomplete", status: 503, detail: this.setup, reason: "setup" };
    if (!key) return { type: "about:blank", title: "no key", status: 401, detail: "no key was sent: put it in the header Sluice-Key", reason: "key" };
    if (!this.keys.has(key)) return { type: "about:blank", title: "key refused", status: 401, detail: "the key is revoked", reason: "key" };
    return null;
  }

  upgrade(request, socket) {
    this.requests.push({ method: "UPGRADE", url: request.url, headers: request.headers });
    const [protocol, key] = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((part) => part.trim());
    if (!this.allowSockets || protocol !== "sluice.v1" || this.problem(key) || request.url !== "/status/live") {
      socket.end("HTTP/1.1 500 no\r\nConnection: close\r\n\r\n");
      return;
    }
    const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: sluice.v1\r\n\r\n`,
    );
    this.sockets.add(socket);
    const gone = () => this.sockets.delete(socket);
    socket.on("close", gone).on("error", gone);
    // The page sends nothing but a close frame.
    socket.on("data", () => socket.end());
  }
}

function page(all, query) {
  const from = query.has("after") ? all.findIndex((job) => job.id === query.get("after")) + 1 : 0;
  const items = all.slice(from, from + Number(query.get("limit") ?? 50));
  return { items, ...(from + items.length < all.length && { next: items.at(-1).id }) };
}

function send(response, status, body, headers = {}) {
  response.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store", ...headers });
  response.end(JSON.stringify(body));
}

// Returns an unmasked WebSocket frame: text (opcode 1) or close (opcode 8).
function frame(payload, opcode = 1) {
  const body = Buffer.from(payload);
  const head = body.length < 126 ? Buffer.from([0x80 | opcode, body.length]) : Buffer.alloc(body.length < 65_536 ? 4 : 10);
  if (head.length === 4) {
    head.set([0x80 | opcode, 126]);
    head.writeUInt16BE(body.length, 2);
  } else if (head.length === 10) {
    head.set([0x80 | opcode, 127]);
    head.writeBigUInt64BE(BigInt(body.length), 2);
  }
  return Buffer.concat([head, body]);
}
