// Tests what the page shows of a status document.

import assert from "node:assert/strict";
import { test } from "node:test";
import { board, isStatus, nextChange } from "../../www/model/board.js";
import { connectionState, limitState } from "../../www/model/connection-state.js";
import { NOW, busy, connection, failing, hostile, idle, inSeconds, limit, status } from "./documents.mjs";

const see = (document, now = NOW) => board(document, now, "UTC");
const only = (more) => see(status({ one: connection(more) })).connections[0];
const figure = (row, key) => row.figures.find((item) => item.key === key);

test("connections come by name, whatever order the document has", () => {
  const names = see(status({ b: connection(), 10: connection(), a: connection() })).connections.map((row) => row.name);
  assert.deepEqual(names, ["10", "a", "b"]);
});

test("a line of the overview says what a glance has to take in", () => {
  const cells = (name) => {
    const { overview } = see(failing()).connections.find((row) => row.name === name);
    return Object.fromEntries(Object.entries(overview).map(([key, cell]) => [key, `${cell.text} ${cell.note}`.trim()]));
  };
  assert.deepEqual(cells("hubspot"), { tightest: "100 % burst", day: "55 % lasts the day", waiting: "18 31 s", throttled: "702 7.7 %", jobs: "3 dead 40 to run" });
  assert.deepEqual(cells("marketo"), { tightest: "86 % rate", day: "100 % spent", waiting: "0", throttled: "310 3.5 %", jobs: "0" });
  assert.deepEqual(cells("sales-org"), { tightest: "8 % long-running", day: "–", waiting: "0", throttled: "0", jobs: "0" });
});

test("what is calm says so, for screens that have no room for it", () => {
  const calm = (more) => Object.entries(only(more).overview).filter(([, cell]) => cell.calm).map(([key]) => key);
  assert.deepEqual(calm({}), ["tightest", "day", "waiting", "throttled", "jobs"]);
  assert.deepEqual(calm({ queue: { depth: 1, size: 2 }, jobs: { queued: 0, running: 0, dead: 1 } }), ["tightest", "day", "throttled"]);
});

test("a limit is tight from 80 % on, and a spent day refuses where a full window only delays", () => {
  assert.equal(limitState(limit("w", "rolling_window", 0, 10)), "idle");
  assert.equal(limitState(limit("w", "rolling_window", 7, 10)), "flowing");
  assert.equal(limitState(limit("w", "rolling_window", 8, 10)), "tight");
  assert.equal(limitState(limit("w", "rolling_window", 10, 10)), "tight");
  assert.equal(limitState(limit("d", "daily", 9, 10)), "tight");
  assert.equal(limitState(limit("d", "daily", 10, 10)), "refusing");
  assert.equal(limitState(limit("d", "rolling_day", 11, 10)), "refusing");
});

test("the worst thing about a connection is its state", () => {
  const spent = { limits: [limit("d", "daily", 5, 5)] };
  const paused = { paused_until: inSeconds(5) };
  const cases = [
    [{}, "idle", "idle"],
    [{ in_flight: 1 }, "flowing", "flowing"],
    [{ limits: [limit("w", "rolling_window", 1, 10)] }, "flowing", "flowing"],
    [{ limits: [limit("d", "daily", 1, 10)] }, "idle", "idle"],
    [{ limits: [limit("w", "rolling_window", 9, 10)] }, "tight", "near a limit"],
    [{ limits: [limit("w", "rolling_window", 10, 10)] }, "tight", "at a limit"],
    [{ queue: { depth: 1, size: 5 } }, "tight", "calls wait"],
    [{ rate_factor: 0.5, queue: { depth: 1, size: 5 } }, "held", "slowed"],
    [{ rate_factor: 0.5, ...paused }, "held", "paused"],
    [{ paused_until: inSeconds(-1) }, "idle", "idle"],
    [{ queue: { depth: 5, size: 5 }, ...paused }, "refusing", "queue full"],
    [{ queue: { depth: 0, size: 0 } }, "idle", "idle"],
    [{ ...spent, ...paused }, "refusing", "day spent"],
    [{ ...spent, mode: "observe" }, "refusing", "would refuse: day spent"],
  ];
  for (const [more, state, word] of cases) {
    const row = only(more);
    assert.deepEqual([row.state, row.word], [state, word], JSON.stringify(more));
  }
});

test("figures say what the document says", () => {
  const row = only({ in_flight: 4, queue: { depth: 12, size: 100, oldest_wait_ms: 1_240 }, rate_factor: 0.5, daily: { used: 31_204, limit: 50_000, projected_exhaustion_at: inSeconds(9_398) } });
  assert.deepEqual(
    row.figures.map(({ value, rest }) => [value, rest ?? ""]),
    [["4", ""], ["12", "/ 100"], ["1.2 s", ""], ["50 %", ""], ["31,204", "/ 50,000"]],
  );
  assert.equal(figure(row, "today").detail, "62 % used, lasts until 16:40 at this rate");
});

test("a day that no projection ends lasts, and one that ends before its reset is bad news already", () => {
  assert.equal(figure(only({ daily: { used: 1, limit: 4 } }), "today").detail, "25 % used, lasts the day at this rate");
  assert.equal(figure(only({ daily: { used: 1, limit: 4 } }), "today").state, "");
  assert.equal(figure(only({ daily: { used: 1, limit: 4, projected_exhaustion_at: inSeconds(60) } }), "today").state, "tight");
});

test("a day already projected to be over, spent or unused, promises nothing", () => {
  assert.equal(figure(only({ daily: { used: 1, limit: 4, projected_exhaustion_at: inSeconds(-1) } }), "today").detail, "25 % used");
  assert.equal(figure(only({ daily: { used: 4, limit: 4 } }), "today").detail, "100 % used");
  assert.equal(figure(only({ daily: { used: 0, limit: 0 } }), "today").detail, "");
  assert.equal(figure(only({}), "today").detail, "no daily limit");
});

test("a pause counts down on the server's clock and ends", () => {
  const document = status({ one: connection({ paused_until: inSeconds(42) }) });
  assert.match(see(document).connections[0].notes[0].text, /^Paused until 14:04:04, for 42 s more/);
  assert.match(see(document, NOW + 41_500).connections[0].notes[0].text, /for 1 s more/);
  assert.deepEqual(see(document, NOW + 42_000).connections[0].notes, []);
});

test("what an operator has paused is said with who, until when and why, and is over at its end", () => {
  const whole = { by: "8f2a", until: inSeconds(60), reason: "maintenance" };
  const row = only({ paused: whole });
  assert.deepEqual([row.state, row.word], ["held", "paused"]);
  assert.match(row.notes[0].text, /^Paused until .*14:04.* by an operator's key, 8f2a: maintenance\.$/);
  const both = { paused: whole, pauses: [whole, { by: "8f2a", app: "crm-sync" }] };
  assert.match(only(both).notes[1].text, /^App crm-sync paused until it is resumed by an operator's key, 8f2a\.$/);
  const app = only({ paused: { by: "8f2a", app: "crm-sync" } });
  assert.deepEqual([app.state, app.notes.length], ["idle", 1], "the others go on");
  assert.deepEqual(see(status({ one: connection({ paused: whole }) }), NOW + 60_000).connections[0].notes, []);
  assert.equal(nextChange(status({ one: connection({ paused: whole }) }), NOW), 60_000);
  for (const odd of [1, "x", null, [], { until: "x", by: {} }, { by: null, reason: {}, app: 3 }]) assert.doesNotThrow(() => only({ paused: odd, pauses: odd }));
});

test("a bar is drawn over the vendor's whole limit, with what is not ours apart", () => {
  const { bar, of, limit: inForce } = only({ limits: [limit("rate", "rolling_window", 25, 50, { of: 100, vendor_used: 75 })] }).limits[0];
  assert.deepEqual([bar.used, bar.limit, bar.vendor], [0.25, 0.5, 0.75]);
  assert.deepEqual([inForce, of], ["50", "of 100"]);
});

test("a small share still has a bar that can be read", () => {
  const { bar } = only({ limits: [limit("rate", "rolling_window", 5, 10, { of: 1000 })] }).limits[0];
  assert.deepEqual([bar.used, bar.limit], [0.125, 0.25]);
});

test("what is over the limit stays inside the bar", () => {
  for (const used of [15, 10_000]) {
    const { bar, left } = only({ mode: "observe", limits: [limit("rate", "rolling_window", used, 10)] }).limits[0];
    assert.ok(bar.used <= 1 && bar.limit < bar.used, `${used}`);
    assert.deepEqual([bar.now, bar.max, left], [10, 10, "0"]);
  }
});

test("a limit of nought neither divides by nought nor has an empty range", () => {
  const { bar } = only({ limits: [limit("none", "daily", 0, 0)] }).limits[0];
  assert.deepEqual([bar.used, bar.limit, bar.now, bar.max], [0, 0, 0, 1]);
});

test("a limit that counts bytes shows bytes", () => {
  const row = only({ limits: [limit("bulk", "daily", 212_400_000, 250_000_000, { unit: "response_bytes" })] }).limits[0];
  assert.deepEqual([row.used, row.limit, row.left], ["212 MB", "250 MB", "37.6 MB"]);
});

test("a reset within the hour counts down, a later one has its time, a past one is gone", () => {
  const reset = (seconds) => only({ limits: [limit("w", "daily", 0, 1, { reset_at: inSeconds(seconds) })] }).limits[0].reset;
  assert.deepEqual([reset(12), reset(7_200), reset(-1)], ["in 12 s", "at 16:03", "–"]);
});

test("limits of one name, one for each app, have rows of their own", () => {
  const { limits } = only({ limits: [limit("rate", "concurrency", 1, 5), limit("rate", "concurrency", 2, 5), limit("rate", "concurrency", 3, 5, { app: "crm" })] });
  assert.equal(new Set(limits.map((row) => row.key)).size, 3);
  assert.match(limits[2].kind, /app crm/);
});

test("alerts are sentences with the value, the limit and since when", () => {
  assert.deepEqual(see(failing()).alerts.map(({ connection: name, text, since }) => [name, text, since]), [
    ["hubspot", "the vendor throttles 7.7 % of the calls (alert from 5 %)", "since 13:56"],
    ["marketo", "100 % of the day's quota used (alert from 95 %)", "since 13:23"],
    ["hubspot", "3 dead letters (alert from 1)", "since 14:01"],
  ]);
});

test("an alert of a kind this page does not know is still shown", () => {
  const [alert] = see(status({}, { alerts: [{ kind: "constructor", since: inSeconds(0), value: 3, limit: 2 }] })).alerts;
  assert.equal(alert.text, "constructor: 3 (alert from 2)");
});

test("a name cannot be written backwards, nor fill the screen", () => {
  const { limits } = see(hostile()).connections.find((row) => row.limits.length === 3);
  assert.equal(limits[1].name.length, 81);
  assert.equal(limits[2].name, "\ufffdgnp.exe");
});

test("no document the network could bring throws", () => {
  const odd = [null, 1, "x", [], {}, { limits: "no", queue: 3, daily: [], last_hour: 1, jobs: null }, { limits: [null, 1, {}], in_flight: "4", rate_factor: null, paused_until: 7 }];
  const connections = Object.fromEntries(odd.map((value, index) => [`c${index}`, value]));
  const seen = see({ connections, alerts: [null, 1, {}] });
  assert.equal(seen.connections.length, 3);
  assert.equal(seen.connections[0].figures[0].value, "–");
  assert.equal(seen.tenant, "–");
  assert.doesNotThrow(() => see(hostile()));
  for (const value of [null, [], "x", {}, { connections: [] }, { connections: null }]) assert.ok(!isStatus(value), JSON.stringify(value));
  assert.ok(isStatus(idle()));
});

test("the next change by time alone is the soonest reset or end of a pause ahead", () => {
  assert.equal(nextChange(status({ a: connection({ limits: [limit("w", "daily", 1, 2, { reset_at: inSeconds(-3) })] }) }), NOW), Infinity);
  const two = { a: connection({ paused_until: inSeconds(9) }), b: connection({ limits: [limit("w", "daily", 1, 2, { reset_at: inSeconds(4) })] }) };
  assert.equal(nextChange(status(two), NOW), 4_000);
});

test("a connection's state needs no field that a Sluice could leave out", () => {
  const bare = { limits: [], queue: { depth: NaN, size: NaN }, in_flight: NaN, rate_factor: NaN };
  assert.deepEqual(connectionState(bare, NaN, NOW), { state: "idle", word: "idle" });
});
