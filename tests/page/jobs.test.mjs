// Tests what the page shows of jobs and dead letters.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isJobList, jobRow, jobsLine, restriction } from "../../www/model/jobs.js";
import { NOW, inSeconds } from "./documents.mjs";

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
  assert.match(restriction("viewer", ""), /operator's key/);
  assert.equal(restriction("operator", ""), "");
  assert.equal(restriction(null, ""), "");
  assert.match(restriction(null, "the role is too low"), /refused: the role is too low/);
});
