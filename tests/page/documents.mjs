// Status documents as the contract's section 5 describes them, for the states a person may find the page in.

/** The server's present in every document, unless told otherwise. */
export const NOW = Date.parse("2026-11-21T14:03:22.000Z");

/** An RFC 3339 time so many seconds from `now`. */
export const inSeconds = (seconds, now = NOW) => new Date(now + seconds * 1000).toISOString();

/** A limit, with what the server would make of the figures given. */
export function limit(name, kind, used, inForce, more = {}) {
  return { name, kind, limit: inForce, of: inForce, used, remaining: Math.max(0, inForce - used), ...more };
}

/** A connection with nothing going on, changed as given. */
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

const hour = (calls, throttled, refused) => ({
  calls, throttled, throttled_ratio: calls ? throttled / calls : 0, refused, by_endpoint: [], retries_histogram: [],
});

/** A document around connections. */
export function status(connections, more = {}, now = NOW) {
  return { tenant: "demo", at: inSeconds(0, now), connections, alerts: [], ...more };
}

/** Nothing happens. */
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

/** Every vendor of the brief under load, none in trouble. */
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
      daily: { used: 21_877, limit: 40_000 }, last_hour: hour(9_120, 4, 0),
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
      queue: { depth: 3, size: 100, oldest_wait_ms: 640 }, last_hour: hour(8_804, 12, 0),
    }),
    "sales-org": connection({
      vendor: "salesforce", in_flight: 9,
      limits: [limit("day", "rolling_day", 218_400, 1_000_000, { reset_at: inSeconds(52, now), vendor_used: 301_112 }), limit("long-running", "concurrency", 2, 25)],
      last_hour: hour(12_050, 0, 0),
    }),
  }, {}, now);
}

/** Trouble of every kind. */
export function failing(now = NOW) {
  const base = busy(now);
  const { aprimo, hubspot, marketo } = base.connections;
  return {
    ...base,
    connections: {
      ...base.connections,
      aprimo: { ...aprimo, queue: { depth: 100, size: 100, oldest_wait_ms: 9_870 }, last_hour: hour(38_204, 0, 1_915) },
      hubspot: {
        ...hubspot, rate_factor: 0.25,
        limits: [limit("burst", "rolling_window", 25, 25, { of: 100, reset_at: inSeconds(7, now) }), ...hubspot.limits.slice(1)],
        paused_until: inSeconds(42, now), queue: { depth: 18, size: 100, oldest_wait_ms: 31_000 }, last_hour: hour(9_120, 702, 44),
        jobs: { queued: 40, running: 0, dead: 3 },
      },
      marketo: {
        ...marketo,
        limits: [marketo.limits[0], marketo.limits[1], limit("daily", "daily", 25_000, 25_000, { of: 50_000, reset_at: inSeconds(57_398, now), vendor_used: 49_830 })],
        daily: { used: 25_000, limit: 25_000 }, queue: { depth: 0, size: 100, oldest_wait_ms: 0 }, in_flight: 0, last_hour: hour(8_804, 310, 2_206),
      },
    },
    alerts: [
      { kind: "throttled_ratio", connection: "hubspot", since: inSeconds(-410, now), value: 0.077, limit: 0.05 },
      { kind: "daily_used", connection: "marketo", since: inSeconds(-2_390, now), value: 1, limit: 0.95 },
      { kind: "dead_letters", connection: "hubspot", since: inSeconds(-95, now), value: 3, limit: 1 },
    ],
  };
}

const IMAGE = "<img src=x onerror=\"document.title='owned'\">";

/** Names and texts that are markup, or longer than any screen. */
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
