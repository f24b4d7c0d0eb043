// What a run has shown, line by line: the figure, and whether it is within its limit.

/** A line: what, the figure in words, its limit in words, and whether it holds; no limit, nothing to hold. */
const line = (what, figure, limit = '', held) => ({ what, figure, limit, held });

const one = (number, digits = 1) => (number === null || number === undefined ? '–' : number.toFixed(digits));
const percent = (ratio) => `${(ratio * 100).toFixed(1)} %`;

/** The lines of each section that was run. */
export function lines(figures, notes) {
  return Object.entries(SECTIONS).flatMap(([name, about]) => (figures[name] ? about(figures[name], notes[name] ?? {}) : []));
}

const SECTIONS = { core, edge, goodput, cost, scale, watchers, wasm };

function core({ admit_settle_ns: ns, governor_ns, allocations, queue, routes_ns, crowd: many }) {
  const flat = (about, figure) => {
    const [few, , many] = queue.map((length) => length[figure]);
    return line(`core: ${about}`, `${one(few, 0)} and ${one(many, 0)} ns`, 'flat: at most 1.5 times', many <= few * 1.5);
  };
  const most = Math.max(allocations, ...queue.map((length) => length.allocations));
  return [
    line('core: admit and settle, three limits', `${one(ns, 0)} ns`),
    line('core: governor, one key', `${one(governor_ns, 0)} ns`),
    // 150 ns on the machine on which governor takes 30: machines differ by more than what is to be seen.
    line("core: admit and settle by governor's one key", one(ns / governor_ns, 1), '≤ 5.0', ns / governor_ns <= 5),
    line('core: allocations a call, with any number waiting', `${most}`, '0', most === 0),
    flat('admit and settle past 1 and past 100,000 that wait', 'admit_settle_ns'),
    flat('one comes and waits, one ends and the first goes; with 1 and 100,000 waiting', 'turn_ns'),
    flat('one ends and the next goes, while 10 and while 100,000 drain', 'drain_ns'),
    line('core: the limits that count a call, of 32 with 100 routes each; a plain path, one read in several ways, a long one',
      `${routes_ns.map(us).join(', ')} µs`, '≤ 20 µs each', Math.max(...routes_ns) <= 20_000),
    ...crowd(many),
  ];
}

/** Rows a call at 100 calls/s, however many apps make them. */
const MOST_ROWS_OF_APPS = 0.05;
const us = (nanoseconds) => one(nanoseconds / 1000);

/** What events take on a connection of a thousand apps. */
function crowd({ rows_a_call, throttled_ms, turn_ns, open_ms, put_ms, refused_beside_jobs_ns, job_ns, memory_bytes, row_bytes }) {
  const most = (what, figure, unit, limit) => line(`core: ${what}`, `${one(figure)} ${unit}`, `≤ ${limit} ${unit}`, figure <= limit);
  return [
    ...rows_a_call.map(({ apps, rows }) =>
      line(`core: rows written a call at 100 calls/s, apps: ${apps}`, one(rows, 3), `≤ ${MOST_ROWS_OF_APPS}`, rows <= MOST_ROWS_OF_APPS)),
    most('a call ends and one goes, 10,000 calls of 1,000 apps waiting', turn_ns / 1000, 'µs', 5),
    most('a 429 with Retry-After 60 s refuses 10,000 waiting calls of 1,000 apps', throttled_ms, 'ms', 20),
    most('a PUT of the policy, 10,000 calls of 1,000 apps waiting', put_ms, 'ms', 50),
    most('a call is refused, 10,000 jobs of 1,000 apps waiting', refused_beside_jobs_ns / 1000, 'µs', 20),
    most('a job comes, one ends and the next runs, 10,000 jobs of 1,000 apps waiting', job_ns / 1000, 'µs', 60),
    most('opening 1,000 apps with 31 full windows each', open_ms, 'ms', 50),
    most('memory of 1,000 apps with 4 windows each', memory_bytes / 1e6, 'MB', 4),
    most('a row of 1,000 apps, each with a full window of 2,000 calls', row_bytes.full_windows / 1e6, 'MB', 1),
    most('a row of 1,000 apps, each with 31 full windows of 2,000 calls', row_bytes.most_windows / 1e6, 'MB', 1),
  ];
}

function edge({ sluice, before, floor, passthrough, js_object }) {
  const added = (one) => one.p50_ms - passthrough.p50_ms;
  const each = { Sluice: sluice, 'the build before': before, 'the floor': floor, 'pass-through': passthrough, 'object limiter in JavaScript': js_object };
  const beside = (what, other, least, most) => [
    line(`edge: Sluice's calls/s by ${what}`, one(sluice.rps / other.rps, 2), `≥ ${least}`, sluice.rps / other.rps >= least),
    line(`edge: p50 added to pass-through, Sluice's by ${what}`, one(added(sluice) / added(other), 2), `≤ ${most}`, added(sluice) <= added(other) * most),
  ];
  return [
    ...Object.entries(each).filter(([, seen]) => seen).map(([name, { rps, p50_ms, p99_ms }]) =>
      line(`edge: ${name}`, `${one(rps / floor.rps, 2)} of the floor's calls/s (${one(rps, 0)}); one at a time p50 ${one(p50_ms, 2)}, p99 ${one(p99_ms, 2)} ms`)),
    ...beside("the floor's", floor, 0.6, 2.2),
    ...(before ? beside("the build before's", before, 0.9, 1.15) : []),
  ];
}

function goodput(all, { settings = {}, missing }) {
  const { sluice } = all;
  const shown = Object.entries(all).map(([name, { refused, used_ratio, p99_wait_ms }]) =>
    line(`goodput: ${name}${settings[name] ? ` (${settings[name]})` : ''}`, `${refused} refused, ${percent(used_ratio)} used, p99 wait ${one(p99_wait_ms / 1000)} s`));
  const peers = Object.entries(all).filter(([name]) => name !== 'sluice').map(([, peer]) => peer);
  return [
    ...shown,
    ...(missing ? [line(`goodput: ${missing}`, '')] : []),
    line('goodput: Sluice refused by the vendor', `${sluice.refused}`, '0', sluice.refused === 0),
    line('goodput: Sluice uses of the limit', percent(sluice.used_ratio), '≥ 97 %', sluice.used_ratio >= 0.97),
    line('goodput: peers that neither are refused nor use less', `${peers.filter((peer) => !peer.refused && peer.used_ratio >= sluice.used_ratio).length}`, '0',
      peers.every((peer) => peer.refused || peer.used_ratio < sluice.used_ratio)),
  ];
}

/** Rows a call. */
const MOST_ROWS = { unthrottled: 0.05, saturated: 0.5, lone: 4 };
const KINDS = { unthrottled: '100 calls/s', saturated: 'Marketo saturated, 5 calls/s', lone: 'a call now and then' };

function cost(all) {
  return Object.entries(all).flatMap(([kind, { object_requests_per_call: requests, rows_written_per_call: rows, object_seconds_per_million, dollars_per_million }]) => [
    line(`cost: ${KINDS[kind]}, object requests a call`, one(requests, 3), '≤ 2.0', requests <= 2),
    line(`cost: ${KINDS[kind]}, rows written a call`, one(rows, 3), `≤ ${MOST_ROWS[kind]}`, rows <= MOST_ROWS[kind]),
    line(`cost: ${KINDS[kind]}, a million calls`, `$${one(dollars_per_million, 2)}, ${one(object_seconds_per_million, 0)} object-seconds`),
  ]);
}

/** More than this times as long is slower, and not the machine's unrest. */
const SLOWER = 1.1;

function scale(all) {
  const waiting = all.filter((one) => one.waiting);
  const [few] = waiting;
  return [
    ...all.filter((one) => one.tenants).map(({ tenants, rps, p99_ms, memory_mb }) =>
      line(`scale: tenants, ${tenants}`, `${one(rps, 0)} calls/s, p99 ${one(p99_ms, 1)} ms, workerd ${one(memory_mb, 0)} MB`)),
    ...waiting.flatMap((here) => [
      line(`scale: waiting, ${here.waiting}`, `${one(here.per_call_ms, 2)} ms a call (a bare queue ${one(here.plain_per_call_ms, 2)}), workerd with all connections + ${one(here.memory_mb, 0)} MB`),
      line(`scale: waiting, ${here.waiting}: admitted in order`, here.in_order ? 'yes' : 'no', 'yes', here.in_order),
      line(`scale: waiting, ${here.waiting}: memory of the object's isolate`, `+ ${one(here.object_mb)} MB`, '≤ 64 MB', here.object_mb <= 64),
      ...(here === few ? [] : slower(here, few)),
    ]),
  ];
}

/** With so many open calls the platform itself takes longer, for whomever: the object's part is seen beside another, and the rest beside a bare queue. */
function slower(many, few) {
  const [ratio, plain] = ['per_call_ms', 'plain_per_call_ms'].map((figure) => many[figure] / few[figure]);
  return [
    ...(many.by_beside === undefined ? [] : [beside(many, few)]),
    line(`scale: waiting, ${many.waiting}: a call by that with ${few.waiting} on an instance alone; a bare queue's`, `${one(ratio, 2)}; ${one(plain, 2)}`,
      `≤ ${one(Math.max(SLOWER, plain), 2)}`, ratio <= Math.max(SLOWER, plain)),
  ];
}

const beside = ({ waiting, by_beside }, few) =>
  line(`scale: waiting, ${waiting}: a call by that of an object with ${few.waiting} on the same instance`, one(by_beside, 2), `≤ ${one(SLOWER, 2)}`, by_beside <= SLOWER);

/** A tenant's watchers are pushed to so often a second; a turn's edges may catch one more. */
const MOST_PUSHES = 2;

function watchers({ watchers: many, calls_per_second, call_ms, median_ratio, pushes_per_second }) {
  return [
    line(`watchers: ${many} of one tenant's live status, at ${calls_per_second} calls/s`,
      `p50 ${one(call_ms.with.p50)}, p99 ${one(call_ms.with.p99)} ms a call; without them p50 ${one(call_ms.without.p50)}, p99 ${one(call_ms.without.p99)} ms`),
    line('watchers: p50 of a call by that without them', one(median_ratio, 2)),
    line('watchers: pushes a second to each', `${one(pushes_per_second.least)} to ${one(pushes_per_second.most)}`, `≤ ${MOST_PUSHES}`, pushes_per_second.most <= MOST_PUSHES * 1.1),
  ];
}

function wasm({ gzip_bytes, startup_ms }) {
  return [
    line('wasm: gzip', `${Math.ceil(gzip_bytes / 1000)} kB`, '≤ 1 MB', gzip_bytes <= 1_000_000),
    line('wasm: start-up in workerd', `${one(startup_ms, 0)} ms`, '≤ 60 ms', startup_ms <= 60),
  ];
}

const verdict = ({ held }) => (held === undefined ? '' : held ? 'held' : 'NOT HELD');

export function asText(all) {
  const width = (name) => Math.max(...all.map((one) => one[name].length));
  const [what, figure, limit] = ['what', 'figure', 'limit'].map(width);
  return all.map((one) => `${one.what.padEnd(what)}  ${one.figure.padEnd(figure)}  ${one.limit.padEnd(limit)}  ${verdict(one)}`.trimEnd()).join('\n');
}

export function asMarkdown(all) {
  const rows = all.map((one) => `| ${one.what} | ${one.figure} | ${one.limit} | ${verdict(one)} |`);
  return ['| what | figure | limit | |', '|---|---|---|---|', ...rows, ''].join('\n');
}
