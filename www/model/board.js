// Makes what the page shows of a status document, as plain text and fractions. The functions are
// pure: they use neither the document tree nor a clock.

import { NONE, bytes, clock, count, counted, countdown, fullTime, moment, parseTime, percent, span } from "./format.js";
import { hourOf, hourLine } from "./last-hour.js";
import { overviewRow } from "./overview.js";
import { isObject, list, number, objects, text } from "./fields.js";
import { connectionState, isDay, limitState } from "./connection-state.js";

/** The words for the kinds of limits. */
const KINDS = {
  token_bucket: "token bucket",
  rolling_window: "rolling window",
  rolling_day: "any 24 hours",
  daily: "a day",
  concurrency: "at once",
};

/** Returns whether a value has the form of an answer of `/status.json`. */
export function isStatus(value) {
  return isObject(value) && isObject(value.connections);
}

/**
 * Returns all that the page shows of a status document.
 * @param {object} status the document
 * @param {number} now the server's present, Unix milliseconds
 * @param {string} [zone] the IANA name of a time zone; the default is the viewer's
 */
export function board(status, now, zone) {
  const connections = Object.entries(status.connections)
    .filter(([, value]) => isObject(value))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => connectionRow(name, readConnection(value), now, zone));
  return {
    tenant: text(status.tenant),
    connections,
    alerts: objects(status.alerts).map((alert, index) => alertRow(alert, index, now, zone)),
    jobs: jobTotals(connections),
  };
}

/**
 * Returns the milliseconds until the figures next change without a call: until the next reset of a
 * limit or end of a pause. It is Infinity if there is none ahead.
 */
export function nextChange(status, now) {
  let soonest = Infinity;
  for (const connection of Object.values(status.connections)) {
    if (!isObject(connection)) continue;
    const pauses = objects(Array.isArray(connection.pauses) ? connection.pauses : [connection.paused]);
    const times = [connection.paused_until, ...pauses.map((pause) => pause.until), ...list(connection.limits).map((limit) => limit?.reset_at)];
    for (const time of times) {
      const ahead = parseTime(time) - now;
      if (ahead > 0 && ahead < soonest) soonest = ahead;
    }
  }
  return soonest;
}

function readConnection(value) {
  const queue = isObject(value.queue) ? value.queue : {};
  return {
    ...value,
    limits: objects(value.limits),
    queue: { depth: number(queue.depth), size: number(queue.size), oldest_wait_ms: number(queue.oldest_wait_ms) },
    in_flight: number(value.in_flight),
    rate_factor: number(value.rate_factor),
  };
}

function connectionRow(name, connection, now, zone) {
  const pausedUntil = parseTime(connection.paused_until);
  const pauses = operatorPauses(connection, now);
  const { state, word } = connectionState(connection, pauses.some(({ app }) => !app) ? Infinity : pausedUntil, now);
  const limits = uniqueKeys(connection.limits.map((limit) => limitRow(limit, now, zone)));
  const day = todayFigure(connection, now, zone);
  return {
    key: name,
    id: `c-${name}`,
    name: text(name),
    rawVendor: typeof connection.vendor === "string" ? connection.vendor : "",
    vendor: connection.vendor === name ? "" : text(connection.vendor),
    observe: connection.mode === "observe",
    state,
    word,
    figures: [...figures(connection), day],
    notes: [...pauses.map((pause) => pauseNote(pause, now, zone)), ...notes(connection, pausedUntil, now, zone)],
    limits,
    hour: hourOf(connection),
    hourLine: hourLine(connection),
    jobs: isObject(connection.jobs) ? connection.jobs : null,
    // The figures that change with each call: while they do not, the reports of usage need not be
    // loaded again.
    activity: [connection.last_hour?.calls, connection.last_hour?.throttled, connection.daily?.used].join(),
    overview: overviewRow(connection, limits, day),
  };
}

function figures(connection) {
  const { depth, size, oldest_wait_ms: oldest } = connection.queue;
  const factor = connection.rate_factor;
  return [
    { key: "flight", label: "In flight", value: count(connection.in_flight), state: "" },
    {
      key: "queue",
      label: "Queue",
      value: count(depth),
      rest: Number.isFinite(size) ? `/ ${count(size)}` : "",
      state: size > 0 && depth >= size ? "refusing" : depth > 0 ? "tight" : "",
    },
    { key: "wait", label: "Oldest wait", value: depth > 0 ? span(oldest) : NONE, state: depth > 0 ? "tight" : "" },
    { key: "rate", label: "Rate", value: percent(factor), state: factor < 1 ? "held" : "" },
  ];
}

function todayFigure(connection, now, zone) {
  const daily = connection.daily;
  const figure = { key: "today", label: "Today", value: NONE, state: "" };
  if (!isObject(daily)) return { ...figure, detail: "no daily limit" };
  const [used, limit] = [number(daily.used), number(daily.limit)];
  const row = { kind: "daily", used, limit, remaining: limit - used };
  const state = limitState(row);
  const fraction = limit > 0 ? used / limit : NaN;
  const lasting = lastsUntil(daily, used, limit, now, zone);
  return {
    ...figure,
    value: count(used),
    rest: Number.isFinite(limit) ? `/ ${count(limit)}` : "",
    detail: [limit > 0 ? `${percent(fraction)} used` : "", lasting && `lasts ${lasting} at this rate`].filter(Boolean).join(", "),
    // A quota that will be spent before its reset is shown as tight long before that.
    state: state === "refusing" ? state : state === "tight" || lasting.startsWith("until") ? "tight" : "",
    fraction,
    lasting,
  };
}

// Returns how long the day's quota will last. A document has `projected_exhaustion_at` only if that
// is not until the reset.
function lastsUntil(daily, used, limit, now, zone) {
  if (daily.projected_exhaustion_at === undefined) return used > 0 && used < limit ? "the day" : "";
  const end = parseTime(daily.projected_exhaustion_at);
  return end > now ? `until ${moment(end, now, zone)}` : "";
}

// Returns the pauses by operators that are not over, as `{app, until, by, reason}`. A pause without
// an end has Infinity as `until`, and one of the whole connection has an empty `app`.
function operatorPauses(connection, now) {
  const all = Array.isArray(connection.pauses) ? connection.pauses : [connection.paused];
  return objects(all)
    .map(({ app, until, by, reason }) => ({ app: app === undefined ? "" : text(app), until: until === undefined ? Infinity : parseTime(until), by, reason }))
    .filter(({ until }) => until > now);
}

function pauseNote({ app, until, by, reason }, now, zone) {
  const what = app ? `App ${app} paused` : "Paused";
  const end = until === Infinity ? "until it is resumed" : `until ${moment(until, now, zone)}`;
  const why = typeof reason === "string" && reason !== "" ? `: ${text(reason)}` : "";
  return { key: `paused ${app}`, text: `${what} ${end} by an operator's key, ${text(by)}${why}.` };
}

function notes(connection, pausedUntil, now, zone) {
  const lines = [];
  if (pausedUntil > now) {
    lines.push({ key: "pause", text: `Paused until ${clock(pausedUntil, zone)}, for ${countdown(pausedUntil - now)} more: the vendor asked for it.` });
  }
  if (connection.rate_factor < 1) {
    lines.push({ key: "rate", text: `Slowed to ${percent(connection.rate_factor)} of the rate after throttling by the vendor; it recovers as calls succeed.` });
  }
  if (connection.mode === "observe") {
    lines.push({ key: "observe", text: "Observing: counted, never delayed or refused." });
  }
  return lines;
}

function limitRow(limit, now, zone) {
  const amount = limit.unit === "response_bytes" ? bytes : count;
  const [used, inForce, of] = [number(limit.used), number(limit.limit), number(limit.of)];
  const vendorUsed = number(limit.vendor_used);
  const left = Number.isFinite(number(limit.remaining)) ? limit.remaining : Math.max(0, inForce - used);
  const scale = barScale(used, inForce, of);
  const reset = parseTime(limit.reset_at);
  const name = text(limit.name);
  const details = [KINDS[limit.kind] ?? text(limit.kind), typeof limit.app === "string" ? `app ${text(limit.app)}` : ""];
  return {
    key: `${name} ${limit.kind} ${limit.app ?? ""}`,
    name,
    kind: details.filter(Boolean).join(", "),
    state: limitState({ kind: limit.kind, used, limit: inForce, remaining: left }),
    used: amount(used),
    limit: amount(inForce),
    of: Number.isFinite(of) && of !== inForce ? `of ${amount(of)}` : "",
    left: amount(left),
    vendorCount: Number.isFinite(vendorUsed) ? `vendor counts ${amount(vendorUsed)}` : "",
    reset: reset > now ? resetText(reset, now, zone) : NONE,
    resetFull: reset > now ? fullTime(reset, zone) : "",
    day: isDay(limit),
    full: inForce > 0 ? used / inForce : NaN,
    bar: {
      now: Number.isFinite(used) && inForce > 0 ? Math.min(used, inForce) : 0,
      max: inForce > 0 ? inForce : 1,
      text: `${amount(used)} of ${amount(inForce)} used, ${amount(left)} left`,
      used: fraction(used, scale),
      limit: fraction(inForce, scale),
      vendor: Number.isFinite(vendorUsed) ? fraction(vendorUsed, scale) : null,
    },
  };
}

// Returns the amount that the whole bar stands for. It is the vendor's limit, so that the part of
// others shows; but at most four times our part, so that ours can be read. In observe mode more
// than our part may be used, so it is at least what is used, up to twice our part.
function barScale(used, inForce, of) {
  const whole = Number.isFinite(of) ? Math.min(of, 4 * inForce) : inForce;
  return Math.max(whole, inForce, Math.min(used || 0, 2 * inForce));
}

function resetText(reset, now, zone) {
  const ahead = reset - now;
  return ahead < 3_600_000 ? `in ${countdown(ahead)}` : `at ${moment(reset, now, zone)}`;
}

// Adds up the jobs of all connections; null if the document reports no jobs.
function jobTotals(connections) {
  const known = connections.map((row) => row.jobs).filter(Boolean);
  const sum = (state) => known.reduce((total, jobs) => total + (jobs[state] > 0 ? jobs[state] : 0), 0);
  return known.length > 0 ? { queued: sum("queued"), running: sum("running"), dead: sum("dead") } : null;
}

/** The text of each kind of alert. */
const ALERTS = {
  throttled_ratio: (value, limit) => `the vendor throttles ${percent(value)} of the calls (alert from ${percent(limit)})`,
  daily_used: (value, limit) => `${percent(value)} of the day's quota used (alert from ${percent(limit)})`,
  queue_wait_seconds: (value, limit) => `the oldest call waits ${span(value * 1000)} (alert from ${span(limit * 1000)})`,
  dead_letters: (value, limit) => `${counted(value, "dead letter")} (alert from ${count(limit)})`,
};

function alertRow(alert, index, now, zone) {
  const [value, limit] = [number(alert.value), number(alert.limit)];
  const describe = Object.hasOwn(ALERTS, alert.kind) ? ALERTS[alert.kind] : () => `${text(alert.kind)}: ${value} (alert from ${limit})`;
  const since = parseTime(alert.since);
  return {
    key: `${index} ${alert.kind} ${alert.connection ?? ""}`,
    connection: typeof alert.connection === "string" ? text(alert.connection) : "",
    href: typeof alert.connection === "string" ? `#${encodeURIComponent(`c-${alert.connection}`)}` : "",
    text: describe(value, limit),
    since: Number.isFinite(since) ? `since ${moment(since, now, zone)}` : "",
  };
}

// Gives every row another key: two limits may have one name, such as a limit for each app.
function uniqueKeys(rows) {
  const seen = new Map();
  return rows.map((row) => {
    const times = seen.get(row.key) ?? 0;
    seen.set(row.key, times + 1);
    return times === 0 ? row : { ...row, key: `${row.key} #${times}` };
  });
}

function fraction(part, whole) {
  return whole > 0 && part > 0 ? Math.min(1, part / whole) : 0;
}
