// Documents as `/status.json`, `/stats/…`, `/jobs` and `/dead-letters` answer, for the states in
// which a person may see the page.

/** The server's present in the documents, unless another is given, Unix milliseconds. */
export const NOW = Date.parse("2026-11-21T14:03:22.000Z");

/** Returns the RFC 3339 time that is `seconds` after `now`. */
export const inSeconds = (seconds, now = NOW) => new Date(now + seconds * 1000).toISOString();

/** Makes a limit from the figures that are given, with those that the server would compute. */
export function limit(name, kind, used, inForce, more = {}) {
  return { name, kind, limit: inForce, of: inForce, used, remaining: Math.max(0, inForce - used), ...more };
}

/** Makes a connection on which nothing happens, with `more` in place of its fields. */
export function connection(more = {}) {
  return {
    vendor: "generic",
    mode: "enforce",
    limits: [],
    in_flight: 0,
    queue: { depth: 0, size: 100, oldest_wait_ms: 0 },
    rate_factor: 1,
    last_hour: { calls: 0, throttled: 0, throttled_ratio: 0, refused: 0, by_endpoint: [], retries_histogram: [] },
    jobs: { queued: 0, running: 0, dead: 0 },
    ...more,
  };
}

// Makes a last hour, spread over endpoints that are [method, path, part of the calls, part of the
// throttles].
const hour = (calls, throttled, refused, endpoints = [], retried = throttled) => ({
  calls, throttled, throttled_ratio: calls ? throttled / calls : 0, refused,
  by_endpoint: endpoints.map(([method, path, part, partThrottled]) => ({ method, path, calls: Math.round(calls * part), throttled: Math.round(throttled * partThrottled) })),
  retries_histogram: calls ? [{ attempts: 1, calls: calls - Math.round(retried * 1.4) }, ...(retried ? [{ attempts: 2, calls: retried }, { attempts: 3, calls: Math.round(retried * 0.2) }] : [])] : [],
});

const CRM = [["GET", "/crm/v3/objects/contacts/{id}", 0.52, 0.1], ["POST", "/crm/v3/objects/contacts/search", 0.2, 0.86], ["POST", "/crm/v3/objects/contacts/batch/upsert", 0.18, 0.04], ["GET", "/crm/v3/owners", 0.1, 0]];
const LEADS = [["POST", "/rest/v1/leads.json", 0.61, 0.9], ["GET", "/rest/v1/leads.json", 0.3, 0.1], ["GET", "/rest/v1/leads/describe.json", 0.09, 0]];

/** Makes a status document of connections. */
export function status(connections, more = {}, now = NOW) {
  return { tenant: "demo", at: inSeconds(0, now), connections, alerts: [], ...more };
}

/** Makes a document of a tenant whose connections are idle. */
export function idle(now = NOW) {
  return status({
    aprimo: connection({ vendor: "aprimo", limits: [limit("rate", "token_bucket", 0, 15)] }),
    hubspot: connection({
      vendor: "hubspot",
      limits: [limit("burst", "rolling_window", 0, 100), limit("daily", "daily", 0, 40_000, { reset_at: inSeconds(35_798, now) })],
      daily: { used: 0, limit: 40_000 },
    }),
  }, {}, now);
}

/** Makes a document of connections to seven vendors under load, none of them in trouble. */
export function busy(now = NOW) {
  return status({
    aprimo: connection({
      vendor: "aprimo", in_flight: 3,
      limits: [limit("rate", "token_bucket", 15, 15, { reset_at: inSeconds(0.067, now) })],
      queue: { depth: 62, size: 100, oldest_wait_ms: 4_130 }, last_hour: hour(38_204, 0, 15),
    }),
    "ga4-reports": connection({
      vendor: "ga4-data", in_flight: 2,
      limits: [limit("concurrent", "concurrency", 2, 10), limit("daily", "daily", 4_410, 10_000, { reset_at: inSeconds(64_598, now), vendor_used: 5_120 })],
      daily: { used: 4_410, limit: 10_000 }, last_hour: hour(611, 0, 0),
    }),
    hubspot: connection({
      vendor: "hubspot", in_flight: 7,
      limits: [
        limit("burst", "rolling_window", 71, 100, { reset_at: inSeconds(3.2, now) }),
        limit("search", "rolling_window", 1, 5, { reset_at: inSeconds(0.6, now) }),
        limit("daily", "daily", 21_877, 40_000, { reset_at: inSeconds(35_798, now), vendor_used: 24_310 }),
      ],
      daily: { used: 21_877, limit: 40_000 }, last_hour: hour(9_120, 4, 0, CRM),
    }),
    "keap-eu": connection({
      vendor: "keap", mode: "observe", in_flight: 1,
      limits: [limit("spike", "token_bucket", 3, 10), limit("minute", "rolling_window", 48, 240, { reset_at: inSeconds(21, now) }), limit("daily", "daily", 6_320, 30_000, { reset_at: inSeconds(35_798, now) })],
      daily: { used: 6_320, limit: 30_000 }, last_hour: hour(1_730, 0, 0),
    }),
    mailchimp: connection({ vendor: "mailchimp", in_flight: 4, limits: [limit("connections", "concurrency", 4, 10)], last_hour: hour(2_290, 0, 0), jobs: { queued: 14, running: 1, dead: 0 } }),
    marketo: connection({
      vendor: "marketo", in_flight: 4,
      limits: [
        limit("rate", "rolling_window", 43, 50, { of: 100, reset_at: inSeconds(11.4, now) }),
        limit("concurrent", "concurrency", 4, 5, { of: 10 }),
        limit("daily", "daily", 17_204, 25_000, { of: 50_000, reset_at: inSeconds(57_398, now), vendor_used: 38_900 }),
        limit("bulk extract", "daily", 212_400_000, 250_000_000, { of: 500_000_000, reset_at: inSeconds(57_398, now), unit: "response_bytes" }),
      ],
      daily: { used: 17_204, limit: 25_000, projected_exhaustion_at: inSeconds(9_398, now) },
      queue: { depth: 3, size: 100, oldest_wait_ms: 640 }, last_hour: hour(8_804, 12, 0, LEADS),
    }),
    "sales-org": connection({
      vendor: "salesforce", in_flight: 9,
      limits: [limit("day", "rolling_day", 218_400, 1_000_000, { reset_at: inSeconds(52, now), vendor_used: 301_112 }), limit("long-running", "concurrency", 2, 25)],
      last_hour: hour(12_050, 0, 0),
    }),
  }, {}, now);
}

/** Makes a document with trouble of every kind. */
export function failing(now = NOW) {
  const base = busy(now);
  const { aprimo, hubspot, marketo } = base.connections;
  return {
    ...base,
    connections: {
      ...base.connections,
      aprimo: { ...aprimo, queue: { depth: 100, size: 100, oldest_wait_ms: 9_870 }, last_hour: hour(38_204, 0, 1_915, [["GET", "/api/core/records", 0.8, 0], ["GET", "/api/core/record/{id}", 0.2, 0]]) },
      hubspot: {
        ...hubspot, rate_factor: 0.25,
        limits: [limit("burst", "rolling_window", 25, 25, { of: 100, reset_at: inSeconds(7, now) }), ...hubspot.limits.slice(1)],
        paused_until: inSeconds(42, now), queue: { depth: 18, size: 100, oldest_wait_ms: 31_000 }, last_hour: hour(9_120, 702, 44, CRM),
        jobs: { queued: 40, running: 0, dead: 3 },
      },
      marketo: {
        ...marketo,
        limits: [marketo.limits[0], marketo.limits[1], limit("daily", "daily", 25_000, 25_000, { of: 50_000, reset_at: inSeconds(57_398, now), vendor_used: 49_830 })],
        daily: { used: 25_000, limit: 25_000 }, queue: { depth: 0, size: 100, oldest_wait_ms: 0 }, in_flight: 0, last_hour: hour(8_804, 310, 2_206, LEADS),
      },
    },
    alerts: [
      { kind: "throttled_ratio", connection: "hubspot", since: inSeconds(-410, now), value: 0.077, limit: 0.05 },
      { kind: "daily_used", connection: "marketo", since: inSeconds(-2_390, now), value: 1, limit: 0.95 },
      { kind: "dead_letters", connection: "hubspot", since: inSeconds(-95, now), value: 3, limit: 1 },
    ],
  };
}

/** Markup that would show that it was taken for markup. */
export const IMAGE = "<img src=x onerror=\"document.title='owned'\">";

/** Makes a document with names and texts that are markup, or longer than any screen. */
export function hostile(now = NOW) {
  return status({
    [`${IMAGE}`]: connection({
      vendor: "<script>document.title='owned'</script>",
      limits: [
        limit(`"><svg onload=alert(1)>`, "<b>kind</b>", 3, 10, { app: IMAGE }),
        limit("n".repeat(400), "rolling_window", 1, 10),
        limit("\u202Egnp.exe", "daily", 1, 10),
      ],
    }),
    ["c".repeat(63)]: connection({ limits: [limit("rate", "rolling_window", 999_999_999, 1_000_000_000)], in_flight: 123_456 }),
  }, { tenant: `demo ${IMAGE}`, alerts: [{ kind: "__proto__", connection: IMAGE, since: "never", value: 1, limit: 2 }] }, now);
}

/**
 * Makes seven days of calls by app, as in `/stats/usage/last7days.json`. `today` is the total of
 * the last day.
 */
export function usage(apps, today, now = NOW) {
  const wave = [0.82, 0.95, 1.1, 1.02, 0.9, 0.35, 1];
  const result = wave.map((height, index) => {
    const users = Object.entries(apps).map(([userId, part], place) => ({ userId, count: Math.round(today * part * (index === 6 ? 1 : height * (1 + 0.25 * Math.sin(index * (place + 2))))) }));
    return { date: day(index - 6, now), total: users.reduce((sum, user) => sum + user.count, 0), users };
  });
  return { requestId: "1", success: true, result };
}

/**
 * Makes seven days of errors by code. `codes` has today's counts; each day before has an eighth of
 * them.
 */
export function errors(codes, now = NOW) {
  const result = Array.from({ length: 7 }, (_, index) => {
    const list = Object.entries(codes).map(([errorCode, n]) => ({ errorCode, count: index === 6 ? n : Math.round(n / 8) }));
    return { date: day(index - 6, now), total: list.reduce((sum, one) => sum + one.count, 0), errors: list };
  });
  return { requestId: "1", success: true, result };
}

const day = (offset, now) => new Date(now + offset * 86_400_000).toISOString().slice(0, 10);

/** Makes the reports of the connections of `busy` and `failing`, by the connection's name. */
export function reports(document, now = NOW) {
  const apps = { "crm-sync": 0.58, "web-form": 0.11, "nightly-export": 0.31 };
  const broken = document.alerts.length > 0;
  const all = Object.entries(document.connections).map(([name, one]) => {
    const today = one.daily?.used ?? one.last_hour.calls * 9;
    const mix = name === "marketo" ? { "nightly-export": 0.64, "crm-sync": 0.25, "web-form": 0.07, "lead-scoring": 0.04 } : name === "keap-eu" ? { "web-form": 1 } : apps;
    const codes = !broken ? {} : name === "marketo" ? { 606: 214, 607: 88, 615: 8 } : name === "hubspot" ? { 429: 2_114, 502: 31, timeout: 12 } : {};
    return [name, { usage: usage(today ? mix : {}, today, now), errors: errors(codes, now) }];
  });
  return Object.fromEntries(all);
}

/** Makes the jobs of `failing`: three dead letters, and some that are queued. */
export function jobs(now = NOW) {
  const attempt = (seconds, status, error) => ({ at: inSeconds(seconds, now), ...(status && { status }), ...(error && { error }) });
  const job = (id, state, more) => ({ id, state, connection: "hubspot", app: "crm-sync", method: "POST", path: "/crm/v3/objects/contacts", attempts: [], created: inSeconds(-900, now), updated: inSeconds(-95, now), ...more });
  return {
    dead: [
      job("job-3", "dead", { attempts: [attempt(-700, 502), attempt(-640, 502), attempt(-95, 504)], error: "out of attempts" }),
      job("job-2", "dead", { app: "nightly-export", attempts: [attempt(-3_000, 0, "timeout")], error: "outcome-unknown", updated: inSeconds(-2_940, now) }),
      job("job-1", "dead", { app: "web-form", path: "/crm/v3/objects/contacts/batch/create", attempts: [attempt(-5_000, 400)], error: "refused for good", updated: inSeconds(-5_000, now) }),
    ],
    running: [],
    queued: Array.from({ length: 40 }, (_, index) => job(`job-${index + 10}`, "queued", { next_attempt: inSeconds(12 + index * 3, now), attempts: index < 2 ? [attempt(-60, 429)] : [] })),
  };
}
