// Tests the feed on a virtual clock, with a network that does what the test says.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as feed from "../../www/feeds/status.js";
import { busy, connection, idle, inSeconds, limit, status } from "./documents.mjs";

test("polls first, then goes live over the socket with the key as subprotocol", async () => {
  const platform = new FakePlatform();
  await platform.start();
  assert.equal(platform.phase, "polling");
  assert.deepEqual(platform.sockets[0].args, ["ws://test/status/live", ["sluice.v1", "slk_k"]]);
  await platform.open();
  assert.equal(platform.phase, "live");
  platform.push(busy());
  assert.equal(platform.state.status.connections.marketo.in_flight, 4);
  assert.equal(platform.requests[0].headers["Sluice-Key"], "slk_k");
});

test("a live socket costs one check after its opening and then one in every silence", async () => {
  const platform = new FakePlatform();
  await platform.start();
  await platform.open();
  platform.push(idleWithoutResets());
  const before = platform.requests.length;
  await platform.advance(feed.SILENCE_MS - 1);
  assert.equal(platform.requests.length, before);
  await platform.advance(1);
  assert.equal(platform.requests.length, before + 1);
  assert.equal(platform.phase, "live");
});

test("what a socket did not say between the poll and its opening is looked up", async () => {
  const platform = new FakePlatform();
  await platform.start();
  await platform.open();
  platform.respond = () => ok(busy());
  await platform.advance(1_000);
  assert.equal(platform.phase, "live");
  assert.ok("marketo" in platform.state.status.connections);
});

test("a reset falling due is looked up shortly after it", async () => {
  const platform = new FakePlatform();
  await platform.start();
  await platform.open();
  platform.push(status({ a: connection({ limits: [limit("w", "rolling_window", 9, 10, { reset_at: inSeconds(5) })] }) }));
  const before = platform.requests.length;
  await platform.advance(5_000);
  assert.equal(platform.requests.length, before);
  await platform.advance(300);
  assert.equal(platform.requests.length, before + 1);
});

test("resets due at once do not make the page ask in a loop", async () => {
  const platform = new FakePlatform();
  platform.respond = () => ok(status({ a: connection({ limits: [limit("w", "token_bucket", 1, 2, { reset_at: inSeconds(0.01) })] }) }));
  await platform.start();
  await platform.open();
  const before = platform.requests.length;
  await platform.advance(20_000);
  assert.ok(platform.requests.length - before <= 11, `${platform.requests.length - before} requests in 20 s`);
});

test("without a socket it polls, the next armed only when the last has ended", async () => {
  const platform = new FakePlatform({ sockets: "fail" });
  await platform.start();
  assert.equal(platform.phase, "polling");
  const held = defer();
  platform.respond = () => held.promise;
  await platform.advance(feed.POLL_MS);
  const during = platform.requests.length;
  await platform.advance(7_000);
  assert.equal(platform.requests.length, during);
  held.resolve(ok(busy()));
  await platform.flush();
  assert.ok("marketo" in platform.state.status.connections);
  await platform.advance(feed.POLL_MS);
  assert.equal(platform.requests.length, during + 1);
});

test("the socket is tried again, more and more rarely, while polling goes on", async () => {
  const platform = new FakePlatform({ sockets: "fail" });
  await platform.start();
  await platform.advance(300_000);
  assert.ok(platform.sockets.length >= 10 && platform.sockets.length <= 26, `${platform.sockets.length} tries in 300 s`);
  const gap = platform.sockets.at(-1).at - platform.sockets.at(-2).at;
  assert.ok(gap >= feed.SOCKET_LONGEST_MS / 2 && gap <= feed.SOCKET_LONGEST_MS + feed.POLL_MS, `${gap} ms`);
  platform.allowSockets();
  const tries = platform.sockets.length;
  for (let waited = 0; platform.sockets.length === tries; waited += 1_000) {
    assert.ok(waited <= feed.SOCKET_LONGEST_MS + feed.POLL_MS);
    await platform.advance(1_000);
  }
  await platform.open();
  assert.equal(platform.phase, "live");
});

test("a socket that never opens is given up", async () => {
  const platform = new FakePlatform();
  await platform.start();
  const [first] = platform.sockets;
  await platform.advance(feed.SOCKET_OPENING_MS);
  assert.ok(first.ended);
  await platform.advance(5_000);
  assert.equal(platform.sockets.length, 2);
  assert.equal(platform.phase, "polling");
});

test("a restart: lost at once, figures kept and stale, back within 5 s of its end, live again", async () => {
  const platform = new FakePlatform();
  await platform.start();
  await platform.open();
  platform.push(busy());
  platform.respond = unreachable;
  platform.sockets.at(-1).onclose();
  await platform.flush();
  assert.equal(platform.phase, "lost");
  assert.ok(feed.isStale(platform.state, platform.time));
  assert.ok("marketo" in platform.state.status.connections);
  await platform.advance(60_000);
  assert.equal(platform.phase, "lost");
  assert.ok(platform.requests.length < 40);
  platform.respond = () => ok(idle());
  await platform.advance(feed.POLL_LONGEST_MS);
  assert.equal(platform.phase, "polling");
  await platform.open();
  assert.equal(platform.phase, "live");
  assert.ok(!feed.isStale(platform.state, platform.time));
  assert.ok(!("marketo" in platform.state.status.connections));
});

test("a silent socket whose server is gone is found out", async () => {
  const platform = new FakePlatform();
  await platform.start();
  await platform.open();
  platform.push(idleWithoutResets());
  platform.respond = unreachable;
  await platform.advance(feed.SILENCE_MS);
  assert.equal(platform.phase, "lost");
  assert.ok(platform.sockets.at(-1).ended);
});

test("a refused key ends it: no figures, no more requests, until asked again", async () => {
  const platform = new FakePlatform();
  await platform.start();
  await platform.open();
  platform.respond = () => problem(401, "the key is revoked");
  platform.sockets.at(-1).onclose();
  await platform.flush();
  assert.deepEqual([platform.phase, platform.state.error, platform.state.status], ["refused", "the key is revoked", null]);
  const before = platform.requests.length;
  await platform.advance(3_600_000);
  assert.equal(platform.requests.length, before);
  platform.respond = () => ok(idle());
  platform.feed.resume();
  await platform.flush();
  assert.equal(platform.phase, "polling");
});

test("a role that may not see this is refused too", async () => {
  const platform = new FakePlatform();
  platform.respond = () => problem(403, "the key's role does not reach this");
  await platform.start();
  assert.equal(platform.phase, "refused");
});

test("a missing secret is told apart from other 503s and watched until it is there", async () => {
  const platform = new FakePlatform();
  platform.respond = () => problem(503, "the secret MASTER_KEY is missing", { "Sluice-Reason": "setup" });
  await platform.start();
  assert.deepEqual([platform.phase, platform.state.error], ["setup", "the secret MASTER_KEY is missing"]);
  platform.respond = () => problem(503, "the object cannot be asked");
  await platform.advance(feed.POLL_LONGEST_MS);
  assert.equal(platform.phase, "lost");
  platform.respond = () => ok(idle());
  await platform.advance(feed.POLL_LONGEST_MS);
  assert.equal(platform.phase, "polling");
});

test("an answer overtaken by the socket is dropped", async () => {
  const platform = new FakePlatform();
  await platform.start();
  await platform.open();
  const held = defer();
  platform.respond = () => held.promise;
  await platform.advance(1_000);
  platform.push(busy());
  held.resolve(ok(idle()));
  await platform.flush();
  assert.ok("marketo" in platform.state.status.connections);
});

test("a socket that says something else is closed, and polling goes on", async () => {
  for (const text of ["pong", "[]", "{}", "\u0000"]) {
    const platform = new FakePlatform();
    await platform.start();
    await platform.open();
    platform.sockets.at(-1).onmessage({ data: text });
    await platform.flush();
    assert.equal(platform.phase, "polling", text);
    assert.ok(platform.sockets.at(-1).ended);
  }
});

test("an answer that is no status document is a failure with words, not an exception", async () => {
  for (const body of ["", "<html>", "[]", '{"connections":[]}']) {
    const platform = new FakePlatform();
    platform.respond = () => new Response(body, { status: 200 });
    await platform.start();
    assert.deepEqual([platform.phase, platform.state.error], ["lost", "the answer is not a status document"], body);
  }
});

test("a hidden page asks nothing and looks at once when it is seen again", async () => {
  const platform = new FakePlatform({ sockets: "fail" });
  await platform.start();
  platform.feed.pause();
  const before = platform.requests.length;
  await platform.advance(600_000);
  assert.equal(platform.requests.length, before);
  platform.feed.resume();
  await platform.flush();
  assert.equal(platform.requests.length, before + 1);
  assert.ok(!feed.isStale(platform.state, platform.time));
});

test("reasons to look that come together cost one request", async () => {
  const platform = new FakePlatform();
  await platform.start();
  const before = platform.requests.length;
  platform.feed.resume();
  platform.feed.resume();
  platform.feed.poll();
  await platform.flush();
  assert.equal(platform.requests.length, before + 1);
});

test("figures grow stale by age, whatever the phase says", async () => {
  const platform = new FakePlatform();
  await platform.start();
  await platform.open();
  platform.feed.pause();
  await platform.advance(feed.STALE_MS + 1);
  assert.equal(platform.phase, "live");
  assert.ok(feed.isStale(platform.state, platform.time));
});

test("a stopped feed says nothing more", async () => {
  const platform = new FakePlatform();
  const held = defer();
  platform.respond = () => held.promise;
  platform.feed.start();
  platform.feed.stop();
  held.resolve(ok(idle()));
  await platform.flush();
  await platform.advance(60_000);
  assert.equal(platform.changes, 0);
  assert.equal(platform.sockets.length, 0);
});

// A double of what the feed uses of the browser: a clock, timers, `fetch` and WebSockets.

const ok = (document) => new Response(JSON.stringify(document), { status: 200 });
const problem = (code, detail, headers = {}) => new Response(JSON.stringify({ detail }), { status: code, headers });
const unreachable = () => Promise.reject(new TypeError("failed to fetch"));
const idleWithoutResets = () => status({ a: connection() });

function defer() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}

class FakePlatform {
  constructor({ sockets = "work" } = {}) {
    this.time = 0;
    this.timers = new Map();
    this.timerIds = 0;
    this.requests = [];
    this.sockets = [];
    this.failing = sockets === "fail";
    this.respond = () => ok(idle());
    this.changes = 0;
    const platform = this;
    const parts = {
      socketUrl: "ws://test/status/live",
      random: () => 0.5,
      now: () => this.time,
      setTimeout: (run, wait) => {
        this.timers.set((this.timerIds += 1), { run, at: this.time + wait });
        return this.timerIds;
      },
      clearTimeout: (id) => this.timers.delete(id),
      fetch: async (url, options) => {
        this.requests.push({ url, headers: options.headers, at: this.time });
        return this.respond();
      },
      WebSocket: class {
        constructor(...args) {
          Object.assign(this, { args, ended: false, at: platform.time });
          platform.sockets.push(this);
          if (platform.failing) queueMicrotask(() => this.onclose?.());
        }
        close() {
          this.ended = true;
        }
      },
    };
    const onChange = (state) => {
      this.changes += 1;
      this.state = state;
    };
    this.feed = new feed.StatusFeed("slk_k", onChange, parts);
  }

  get phase() {
    return this.state.phase;
  }

  allowSockets() {
    this.failing = false;
  }

  async start() {
    this.feed.start();
    await this.flush();
  }

  async open() {
    this.sockets.at(-1).onopen();
    await this.flush();
  }

  push(document) {
    this.sockets.at(-1).onmessage({ data: JSON.stringify(document) });
  }

  // Lets every promise settle that can.
  async flush() {
    await new Promise((done) => setImmediate(done));
    await new Promise((done) => setImmediate(done));
  }

  // Moves the clock on, from timer to timer.
  async advance(wait) {
    const end = this.time + wait;
    for (;;) {
      const due = [...this.timers].filter(([, timer]) => timer.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      const [id, timer] = due;
      this.timers.delete(id);
      this.time = timer.at;
      timer.run();
      await this.flush();
    }
    this.time = end;
  }
}
