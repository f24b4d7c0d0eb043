// Tests what the page shows of a connection's seven days.

import assert from "node:assert/strict";
import { test } from "node:test";
import { dayShares, errorLine, huesOf, isReport, usageOf } from "../../www/model/usage.js";
import { errors, usage } from "./documents.mjs";

const apps = (counts) => ({ result: [{ date: "2026-11-21", total: Object.values(counts).reduce((a, b) => a + b, 0), users: Object.entries(counts).map(([userId, count]) => ({ userId, count })) }] });
const see = (report, codes = errors({})) => usageOf(report, codes, huesOf([report]));

test("who used the day comes largest first, with the part of the day's calls", () => {
  const shares = dayShares(see(apps({ form: 250, sync: 750 })), 0);
  assert.deepEqual(shares.map(({ name, count, share }) => [name, count, share]), [["sync", "750", "75 %"], ["form", "250", "25 %"]]);
});

test("parts of a day add up to its total", () => {
  const use = see(usage({ a: 0.5, b: 0.3, c: 0.2 }, 10_000));
  use.totals.forEach((total, day) => assert.equal(use.apps.reduce((sum, app) => sum + app.counts[day], 0), total));
  assert.equal(use.days.at(-1).today, true);
  assert.equal(use.days.length, 7);
});

test("more apps than a chart can show are added up", () => {
  const use = see(apps({ a: 9, b: 8, c: 7, d: 6, e: 5, f: 4, g: 3, h: 2 }));
  assert.deepEqual(use.apps.map((app) => app.name), ["a", "b", "c", "d", "e", "3 others"]);
  assert.deepEqual(use.apps.at(-1).counts, [9]);
  assert.deepEqual(see(apps({ a: 9, b: 8, c: 7, d: 6, e: 5, f: 4 })).apps.length, 6);
});

test("an app has one colour in every chart, and no two apps of a chart share one", () => {
  const [first, second] = [apps({ a: 1, z: 5 }), apps({ b: 1, z: 5 })];
  const hues = huesOf([first, second]);
  const hue = (report) => usageOf(report, null, hues).apps.find((app) => app.name === "z").hue;
  assert.equal(hue(first), hue(second));
  const many = apps(Object.fromEntries([..."abcdefghijkl"].map((name, index) => [name, name < "d" || name > "i" ? 100 - index : 1])));
  const used = see(many).apps.map((app) => app.hue);
  assert.equal(new Set(used).size, used.length);
});

test("errors come by today's count, with what is known of the code", () => {
  const use = see(apps({ a: 1 }), errors({ 606: 16, 999: 80 }));
  assert.deepEqual(use.errors.map((row) => row.cells), [["999", "", "80", "140"], ["606", "rate limit", "16", "28"]]);
  assert.equal(errorLine(use.errors), "Errors today: 999 × 80 · 606 × 16");
  assert.equal(errorLine(see(apps({ a: 1 })).errors), "");
});

test("a week without calls is empty, and a report of another shape is none", () => {
  assert.equal(see(usage({}, 0)).empty, true);
  for (const body of [null, {}, { result: 3 }, { result: [null] }, { result: [{}] }]) assert.ok(!isReport(body));
  assert.doesNotThrow(() => see({ result: [{ date: "soon", users: [null, 3, { userId: 7 }, { userId: "__proto__", count: "x" }] }] }));
});
