// Makes the overview: one row of few figures for each connection.

import { NONE, count, percent, span } from "./format.js";
import { isObject, number } from "./fields.js";

/**
 * The part of the calls from which throttling by the vendor is marked as tight, and as failing. The
 * second is the default of the policy's alert.
 */
const TIGHT_FROM = 0.01;
const FAILING_FROM = 0.05;

/**
 * Returns the cells of a connection's row. A cell that is `calm` shows nothing of interest, and
 * narrow screens leave it out.
 * @param {object} connection the connection of the status document
 * @param {object[]} limits the rows of the connection's limits
 * @param {object} day the figure "Today" of the connection
 */
export function overviewRow(connection, limits, day) {
  return { tightest: tightest(limits), day: dayCell(day), waiting: waiting(connection), throttled: throttled(connection), jobs: jobs(connection) };
}

// Shows the window or bucket of which the largest part is used. Days have another cell.
function tightest(limits) {
  const [worst] = limits.filter((row) => !row.day && row.full >= 0).sort((a, b) => b.full - a.full);
  if (!worst) return { text: NONE, note: "", bar: null, state: null, calm: true };
  return { text: percent(worst.full), note: worst.name, bar: Math.min(1, worst.full), state: worst.state, calm: worst.full < 0.01 };
}

function dayCell(day) {
  if (!(day.fraction >= 0)) return { text: NONE, note: "", bar: null, state: null, calm: true };
  const note = day.state === "refusing" ? "spent" : day.lasting && `lasts ${day.lasting}`;
  return { text: percent(day.fraction), note, bar: Math.min(1, day.fraction), state: day.state || "flowing", calm: false };
}

function waiting({ queue }) {
  const { depth, size, oldest_wait_ms: oldest } = queue;
  if (!(depth > 0)) return { text: depth === 0 ? "0" : NONE, note: "", state: null, calm: true };
  return { text: count(depth), note: span(oldest), state: depth >= size ? "refusing" : "tight", calm: false };
}

function throttled({ last_hour: hour }) {
  const [times, ratio] = isObject(hour) ? [number(hour.throttled), number(hour.throttled_ratio)] : [NaN, NaN];
  if (!(times > 0)) return { text: count(times), note: "", state: null, calm: true };
  return { text: count(times), note: percent(ratio), state: ratio >= FAILING_FROM ? "refusing" : ratio >= TIGHT_FROM ? "tight" : null, calm: false };
}

function jobs({ jobs: counts }) {
  if (!isObject(counts)) return { text: NONE, note: "", state: null, calm: true };
  const [queued, dead] = [(number(counts.queued) || 0) + (number(counts.running) || 0), number(counts.dead) || 0];
  const note = queued > 0 ? `${count(queued)} to run` : "";
  return { text: dead > 0 ? `${count(dead)} dead` : "", note: dead > 0 || queued > 0 ? note : "0", state: dead > 0 ? "refusing" : null, calm: dead === 0 && queued === 0 };
}
