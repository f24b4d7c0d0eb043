// The feed on a clock of the test's own, against a network that does what the test says.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as feed from "../../www/feeds/status.js";
import { busy, connection, idle, inSeconds, limit, status } from "./documents.mjs";

test("polls first, then goes live over the socket with the key as subprotocol", async () => {
  const world = new World();
  await world.start();
  assert.equal(world.phase, "polling");
  assert.deepEqual(world.sockets[0].asked, ["ws://test/status/live", ["sluice.v1", "slk_k"]]);
  await world.open();
  assert.equal(world.phase, "live");
  world.say(busy());
  assert.equal(world.state.status.connections.marketo.in_flight, 4);
  assert.equal(world.requests[0].headers["Sluice-Key"], "slk_k");
});

test("a live socket costs one check after its opening and then one in every silence", async () => {
  const world = new World();
  await world.start();
  await world.open();
  world.say(idleWithoutResets());
  const before = world.requests.length;
  await world.pass(feed.SILENCE_MS - 1);
  assert.equal(world.requests.length, before);
  await world.pass(1);
  assert.equal(world.requests.length, before + 1);
  assert.equal(world.phase, "live");
});

test("what a socket did not say between the poll and its opening is looked up", async () => {
  const world = new World();
  await world.start();
  await world.open();
  world.answer = () => ok(busy());
  await world.pass(1_000);
  assert.equal(world.phase, "live");
  assert.ok("marketo" in world.state.status.connections);
});

test("a reset falling due is looked up shortly after it", async () => {
  const world = new World();
  await world.start();
  await world.open();
  world.say(status({ a: connection({ limits: [limit("w", "rolling_window", 9, 10, { reset_at: inSeconds(5) })] }) }));
  const before = world.requests.length;
  await world.pass(5_000);
  assert.equal(world.requests.length, before);
  await world.pass(300);
  assert.equal(world.requests.length, before + 1);
});

test("resets due at once do not make the page ask in a loop", async () => {
  const world = new World();
  world.answer = () => ok(status({ a: connection({ limits: [limit("w", "token_bucket", 1, 2, { reset_at: inSeconds(0.01) })] }) }));
  await world.start();
  await world.open();
  const before = world.requests.length;
  await world.pass(20_000);
  assert.ok(world.requests.length - before <= 11, `${world.requests.length - before} requests in 20 s`);
});

test("without a socket it polls, the next armed only when the last has ended", async () => {
  const world = new World({ sockets: "fail" });
  await world.start();
  assert.equal(world.phase, "polling");
  const held = defer();
  world.answer = () => held.promise;
  await world.pass(feed.POLL_MS);
  const during = world.requests.length;
  await world.pass(7_000);
  assert.equal(world.requests.length, during);
  held.resolve(ok(busy()));
  await world.settle();
  assert.ok("marketo" in world.state.status.connections);
  await world.pass(feed.POLL_MS);
  assert.equal(world.requests.length, during + 1);
});

test("the socket is tried again, more and more rarely, while polling goes on", async () => {
  const world = new World({ sockets: "fail" });
  await world.start();
  await world.pass(300_000);
  assert.ok(world.sockets.length >= 10 && world.sockets.length <= 26, `${world.sockets.length} tries in 300 s`);
  const gap = world.sockets.at(-1).at - world.sockets.at(-2).at;
  assert.ok(gap >= feed.SOCKET_LONGEST_MS / 2 && gap <= feed.SOCKET_LONGEST_MS + feed.POLL_MS, `${gap} ms`);
  world.socketsWork();
  const tries = world.sockets.length;
  for (let waited = 0; world.sockets.length === tries; waited += 1_000) {
    assert.ok(waited <= feed.SOCKET_LONGEST_MS + feed.POLL_MS);
    await world.pass(1_000);
  }
  await world.open();
  assert.equal(world.phase, "live");
});

test("a socket that never opens is given up", async () => {
  const world = new World();
  await world.start();
  const [first] = world.sockets;
  await world.pass(feed.SOCKET_OPENING_MS);
  assert.ok(first.ended);
  await world.pass(5_000);
  assert.equal(world.sockets.length, 2);
  assert.equal(world.phase, "polling");
});

test("a restart: lost at once, figures kept and stale, back within 5 s of its end, live again", async () => {
  const world = new World();
  await world.start();
  await world.open();
  world.say(busy());
  world.answer = unreachable;
  world.sockets.at(-1).onclose();
  await world.settle();
  assert.equal(world.phase, "lost");
  assert.ok(feed.isStale(world.state, world.time));
  assert.ok("marketo" in world.state.status.connections);
  await world.pass(60_000);
  assert.equal(world.phase, "lost");
  assert.ok(world.requests.length < 40);
  world.answer = () => ok(idle());
  await world.pass(feed.POLL_LONGEST_MS);
  assert.equal(world.phase, "polling");
  await world.open();
  assert.equal(world.phase, "live");
  assert.ok(!feed.isStale(world.state, world.time));
  assert.ok(!("marketo" in world.state.status.connections));
});

test("a silent socket whose server is gone is found out", async () => {
  const world = new World();
  await world.start();
  await world.open();
  world.say(idleWithoutResets());
  world.answer = unreachable;
  await world.pass(feed.SILENCE_MS);
  assert.equal(world.phase, "lost");
  assert.ok(world.sockets.at(-1).ended);
});

test("a refused key ends it: no figures, no more requests, until asked again", async () => {
  const world = new World();
  await world.start();
  await world.open();
  world.answer = () => problem(401, "the key is revoked");
  world.sockets.at(-1).onclose();
  await world.settle();
  assert.deepEqual([world.phase, world.state.error, world.state.status], ["refused", "the key is revoked", null]);
  const before = world.requests.length;
  await world.pass(3_600_000);
  assert.equal(world.requests.length, before);
  world.answer = () => ok(idle());
  world.feed.resume();
  await world.settle();
  assert.equal(world.phase, "polling");
});

test("a role that may not see this is refused too", async () => {
  const world = new World();
  world.answer = () => problem(403, "the key's role does not reach this");
  await world.start();
  assert.equal(world.phase, "refused");
});

test("a missing secret is told apart from other 503s and watched until it is there", async () => {
  const world = new World();
  world.answer = () => problem(503, "the secret MASTER_KEY is missing", { "Sluice-Reason": "setup" });
  await world.start();
  assert.deepEqual([world.phase, world.state.error], ["setup", "the secret MASTER_KEY is missing"]);
  world.answer = () => problem(503, "the object cannot be asked");
  await world.pass(feed.POLL_LONGEST_MS);
  assert.equal(world.phase, "lost");
  world.answer = () => ok(idle());
  await world.pass(feed.POLL_LONGEST_MS);
  assert.equal(world.phase, "polling");
});

test("an answer overtaken by the socket is dropped", async () => {
  const world = new World();
  await world.start();
  await world.open();
  const held = defer();
  world.answer = () => held.promise;
  await world.pass(1_000);
  world.say(busy());
  held.resolve(ok(idle()));
  await world.settle();
  assert.ok("marketo" in world.state.status.connections);
});

test("a socket that says something else is closed, and polling goes on", async () => {
  for (const text of ["pong", "[]", "{}", "\u0000"]) {
    const world = new World();
    await world.start();
    await world.open();
    world.sockets.at(-1).onmessage({ data: text });
    await world.settle();
    assert.equal(world.phase, "polling", text);
    assert.ok(world.sockets.at(-1).ended);
  }
});

test("an answer that is no status document is a failure with words, not an exception", async () => {
  for (const body of ["", "<html>", "[]", '{"connections":[]}']) {
    const world = new World();
    world.answer = () => new Response(body, { status: 200 });
    await world.start();
    assert.deepEqual([world.phase, world.state.error], ["lost", "the answer is not a status document"], body);
  }
});

test("a hidden page asks nothing and looks at once when it is seen again", async () => {
  const world = new World({ sockets: "fail" });
  await world.start();
  world.feed.pause();
  const before = world.requests.length;
  await world.pass(600_000);
  assert.equal(world.requests.length, before);
  world.feed.resume();
  await world.settle();
  assert.equal(world.requests.length, before + 1);
  assert.ok(!feed.isStale(world.state, world.time));
});

test("reasons to look that come together cost one request", async () => {
  const world = new World();
  await world.start();
  const before = world.requests.length;
  world.feed.resume();
  world.feed.resume();
  world.feed.poll();
  await world.settle();
  assert.equal(world.requests.length, before + 1);
});

test("figures grow stale by age, whatever the phase says", async () => {
  const world = new World();
  await world.start();
  await world.open();
  world.feed.pause();
  await world.pass(feed.STALE_MS + 1);
  assert.equal(world.phase, "live");
  assert.ok(feed.isStale(world.state, world.time));
});

test("a stopped feed says nothing more", async () => {
  const world = new World();
  const held = defer();
  world.answer = () => held.promise;
  world.feed.start();
  world.feed.stop();
  held.resolve(ok(idle()));
  await world.settle();
  await world.pass(60_000);
  assert.equal(world.changes, 0);
  assert.equal(world.sockets.length, 0);
});

// ---- the world the feed lives in

const ok = (document) => new Response(JSON.stringify(document), { status: 200 });
const problem = (code, detail, headers = {}) => new Response(JSON.stringify({ detail }), { status: code, headers });
const unreachable = () => Promise.reject(new TypeError("failed to fetch"));
const idleWithoutResets = () => status({ a: connection() });

function defer() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}

class World {
  constructor({ sockets = "work" } = {}) {
    this.time = 0;
    this.timers = new Map();
    this.timerIds = 0;
    this.requests = [];
    this.sockets = [];
    this.failing = sockets === "fail";
    this.answer = () => ok(idle());
    this.changes = 0;
    const world = this;
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
        return this.answer();
      },
      WebSocket: class {
        constructor(...asked) {
          Object.assign(this, { asked, ended: false, at: world.time });
          world.sockets.push(this);
          if (world.failing) queueMicrotask(() => this.onclose?.());
        }
        close() {
          this.ended = true;
        }
      },
    };
    const changed = (state) => {
      this.changes += 1;
      this.state = state;
    };
    this.feed = new feed.StatusFeed("slk_k", changed, parts);
  }

  get phase() {
    return this.state.phase;
  }

  socketsWork() {
    this.failing = false;
  }

  async start() {
    this.feed.start();
    await this.settle();
  }

  async open() {
    this.sockets.at(-1).onopen();
    await this.settle();
  }

  say(document) {
    this.sockets.at(-1).onmessage({ data: JSON.stringify(document) });
  }

  // Lets every promise that can go on do so.
  async settle() {
    await new Promise((done) => setImmediate(done));
    await new Promise((done) => setImmediate(done));
  }

  // Moves the clock from timer to timer.
  async pass(wait) {
    const end = this.time + wait;
    for (;;) {
      const due = [...this.timers].filter(([, timer]) => timer.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      const [id, timer] = due;
      this.timers.delete(id);
      this.time = timer.at;
      timer.run();
      await this.settle();
    }
    this.time = end;
  }
}
