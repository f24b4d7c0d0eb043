// Makes what the page shows of jobs and dead letters.

import { NONE, clock, count, counted, countdown, moment, parseTime } from "./format.js";
import { isObject, number, objects, text } from "./fields.js";

/** The longest path or error that is shown, characters. */
const LONGEST = 160;

/** Returns whether a value has the form of an answer of `/jobs` or `/dead-letters`. */
export function isJobList(body) {
  return isObject(body) && Array.isArray(body.items);
}

/** Returns a job or dead letter as a row. */
export function jobRow(job, now, zone) {
  const attempts = objects(job.attempts);
  const id = typeof job.id === "string" ? job.id : "";
  return {
    key: id,
    id,
    state: text(job.state),
    connection: text(job.connection),
    app: text(job.app),
    request: job.kind === "callback" ? `callback ${text(job.type)}` : `${text(job.method)} ${text(job.path, LONGEST)}`,
    tries: attempts.length > 0 ? counted(attempts.length, "attempt") : "not tried yet",
    why: why(job, attempts),
    since: moment(parseTime(job.updated), now, zone),
    next: next(job, now, zone),
    attempts: attempts.map((attempt, index) => ({ key: String(index), text: `${attemptTime(attempt.at, now, zone)}  ${outcome(attempt)}` })),
  };
}

// Returns the job's error and the outcome of its last attempt: either may be the one that explains
// why the job failed.
function why(job, attempts) {
  const last = attempts.at(-1);
  const parts = [typeof job.error === "string" ? text(job.error, LONGEST) : "", last ? outcome(last) : ""].filter(Boolean);
  return [...new Set(parts)].join(": ") || NONE;
}

function outcome({ status, error }) {
  const parts = [Number.isFinite(number(status)) ? `status ${status}` : "", typeof error === "string" && error !== String(status) ? text(error, LONGEST) : ""].filter(Boolean);
  return parts.join(", ") || "no outcome";
}

function attemptTime(at, now, zone) {
  const time = parseTime(at);
  return Math.abs(now - time) < 18 * 3_600_000 ? clock(time, zone) : moment(time, now, zone);
}

function next(job, now, zone) {
  const at = parseTime(job.next_attempt);
  if (!Number.isFinite(at)) return job.state === "running" ? "now" : NONE;
  return at - now < 3_600_000 ? `in ${countdown(at - now)}` : `at ${moment(at, now, zone)}`;
}

/** Returns the line above the tables. */
export function jobsLine(totals) {
  if (!totals) return "This version of Sluice does not report jobs.";
  const { queued, running, dead } = totals;
  if (queued + running + dead === 0) return "No jobs waiting, no dead letters.";
  return `${count(queued)} queued, ${count(running)} running, ${counted(dead, "dead letter")}.`;
}

/** Returns why there are no buttons to replay and delete; an empty text means that there are. */
export function restriction(role, refusal) {
  if (refusal) return `Replaying and deleting were refused: ${refusal}.`;
  return role === "viewer" || role === "app" ? `Replaying and deleting take an operator's key; this one is ${role === "app" ? "an app's" : "a viewer's"}.` : "";
}
