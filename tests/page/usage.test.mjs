import assert from "node:assert/strict";
import { test } from "node:test";
import { hourLine, hourOf } from "../../www/hour.js";
import { bound, isJobList, jobRow, jobsLine } from "../../www/jobs.js";
import { guideOf } from "../../www/guide.js";
import { OPERATOR_KEY, APP_KEY, KEY } from "./fake.mjs";
import { roleOf } from "../../www/key.js";
import { dayShares, errorLine, huesOf, isReport, usageOf } from "../../www/usage.js";
import { NOW, errors, inSeconds, usage } from "./documents.mjs";

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

test("the last hour has its worst endpoints first and says how many it leaves out", () => {
  const by_endpoint = Array.from({ length: 20 }, (_, index) => ({ method: "GET", path: `/p/${index}`, calls: 100, throttled: index }));
  const { endpoints, more } = hourOf({ last_hour: { by_endpoint, retries_histogram: [] } });
  assert.deepEqual([endpoints.length, endpoints[0].cells, more], [12, ["GET /p/19", "100", "19 (19 %)"], "8 endpoints more with fewer"]);
  const { retries } = hourOf({ last_hour: { by_endpoint: [], retries_histogram: [{ attempts: 2, calls: 4 }, { attempts: 1, calls: 90 }] } });
  assert.deepEqual(retries.map((row) => row.cells), [["1 attempt", "90"], ["2 attempts", "4"]]);
  assert.deepEqual(hourOf({}), { endpoints: [], more: "", retries: [] });
  assert.equal(hourLine({ last_hour: { calls: 1, throttled: 0, throttled_ratio: 0, refused: 2 } }), "Last hour: 1 call · 0 throttled by the vendor · 2 refused by Sluice");
});

test("a dead letter says why, with its last attempt", () => {
  const job = { id: "j", state: "dead", connection: "hubspot", app: "crm", method: "POST", path: "/x", attempts: [{ at: inSeconds(-5), status: 502, error: "502" }, { at: inSeconds(-1), error: "timeout" }], updated: inSeconds(0), error: "outcome-unknown" };
  const row = jobRow(job, NOW, "UTC");
  assert.deepEqual([row.request, row.tries, row.why, row.since], ["POST /x", "2 attempts", "outcome-unknown: timeout", "14:03"]);
  assert.deepEqual(row.attempts.map((attempt) => attempt.text), ["14:03:17  status 502", "14:03:21  timeout"]);
  assert.equal(jobRow({ state: "queued", next_attempt: inSeconds(12) }, NOW).next, "in 12 s");
  assert.doesNotThrow(() => jobRow({ attempts: [null, {}], path: 3 }, NOW));
  const callback = { id: "msg_1", kind: "callback", type: "job.done", state: "dead", attempts: [{ at: inSeconds(-1), status: 410, error: "410" }], error: "gone" };
  assert.deepEqual([jobRow(callback, NOW, "UTC").request, jobRow(callback, NOW, "UTC").why], ["callback job.done", "gone: status 410"]);
  assert.ok(!isJobList({}) && isJobList({ items: [] }));
});

test("the section says what there is, and who may do something about it", () => {
  assert.equal(jobsLine({ queued: 0, running: 0, dead: 0 }), "No jobs waiting, no dead letters.");
  assert.equal(jobsLine({ queued: 40, running: 1, dead: 1 }), "40 queued, 1 running, 1 dead letter.");
  assert.match(bound("viewer", ""), /operator's key/);
  assert.equal(bound("operator", ""), "");
  assert.equal(bound(null, ""), "");
  assert.match(bound(null, "the role is too low"), /refused: the role is too low/);
});

test("a key says its role, and one of another form says nothing", () => {
  assert.deepEqual([APP_KEY, KEY, OPERATOR_KEY].map(roleOf), ["app", "viewer", "operator"]);
  assert.equal(roleOf("slk_AQAAAAAAa0nSABAwMTIzNDU2Nzg5YWJjZGVmBGFjbWUIY3JtLXN5bmNLZuBhSbXK7KM20alq-vct"), "app");
  assert.deepEqual(["slk_", "slk_x", "slk_~~", "slk_fake-viewer-key"].map(roleOf), [null, null, null, null]);
});

test("the guide names the connection, and never the key that looks at the page", () => {
  const { base, examples } = guideOf("https://sluice.example.com", "crm-eu", "hubspot");
  assert.equal(base, "https://sluice.example.com/v/crm-eu");
  assert.deepEqual(examples.map((example) => example.title), ["curl", "JavaScript", "SDK: @hubspot/api-client"]);
  for (const { code } of examples) assert.match(code, /https:\/\/sluice\.example\.com\/v\/crm-eu/);
  for (const vendor of ["marketo", "salesforce", "mailchimp", "aprimo", "ga4-mp", "ga4-data", "keap", "keap-oauth", "generic", "constructor"]) {
    for (const { code } of guideOf("http://h", "c", vendor).examples) {
      assert.match(code, /slk_…/);
      assert.doesNotMatch(code, /undefined|function/);
    }
  }
});
