//! Draws runs at random: a policy from the whole language with limits that bind, its edits, and the
//! faults.

use super::days::readings;
use super::dice::Dice;
use super::edit::edited;
use super::scenario::{Faults, SECOND, Scenario, Tenant, Traffic};
use super::spec::{Adaptive, App, Conn, Kind, Lim, Reset, Route, Spec, TARGETS};

pub const APPS: [&str; 4] = ["ada", "bea", "cis", "dan"];
pub const LIMITS: [&str; 5] = ["one", "two", "three", "four", "five"];

/// The scale around which limits are drawn.
pub struct Scale {
    /// The calls a second on a connection.
    pub rate: f64,
    pub latency: f64,
    /// The calls of the whole run.
    pub calls: f64,
    pub reset: Reset,
    /// Whether pools may be named.
    pub pools: bool,
}

/// Noon in UTC on some days: ordinary ones, and some on which clocks are set in some zone.
const DAYS: [(&str, i64); 6] = [
    ("2026-06-15", 1_781_524_800),
    ("2026-01-20", 1_768_910_400),
    ("2026-03-08 Chicago springs forward", 1_772_971_200),
    ("2026-11-01 Chicago falls back", 1_793_534_400),
    ("2026-10-04 Lord Howe springs forward by 30 min", 1_791_115_200),
    ("2026-09-06 Santiago springs forward at midnight", 1_788_696_000),
];

const ZONES: [&[&str]; 9] = [
    &["+00:00"],
    &["America/Chicago"],
    &["America/Chicago", "-06:00"],
    &["Asia/Kolkata"],
    &["+05:30", "Asia/Kolkata"],
    &["Australia/Lord_Howe"],
    &["America/Santiago"],
    &["Europe/London", "+00:00"],
    &["-08:00"],
];

pub fn scenario(seed: u64) -> Scenario {
    let mut dice = Dice::new(seed);
    let latency = dice.scale(0.03, 0.8);
    let pools = dice.in_thousand(200);
    let rate = dice.scale(1.0, 40.0);
    let seconds = (dice.scale(1_500.0, 6_000.0) / rate).clamp(60.0, 1_500.0);
    let scale = Scale { rate, latency, calls: rate * seconds, reset: any_reset(&mut dice), pools };
    let start = any_start(&mut dice, &scale.reset, seconds as i64);
    let faults = any_faults(&mut dice, latency);
    let edits = if dice.in_thousand(750) { dice.from(1, 12) } else { 0 };
    let names = ["acme", "beta"];
    let n = if pools { 2 } else { 1 };
    let tenants = names.iter().take(n).map(|name| any_tenant(&mut dice, &scale, name, seconds, edits)).collect();
    let mut scenario = Scenario { seed, luck: seed, start, seconds: seconds as i64, tenants, faults, lie: None };
    if !pools && dice.in_thousand(150) {
        crowd(&mut dice, &mut scenario);
    }
    scenario
}

/// Makes many calls wait: more callers than the limits admit, most of them under the same limits,
/// and one app that is often blocked by limits of its own.
fn crowd(dice: &mut Dice, s: &mut Scenario) {
    s.faults.calm = true;
    for tenant in &mut s.tenants {
        let edits = tenant.edits.iter_mut().filter_map(|(_, spec)| spec.as_mut());
        for spec in std::iter::once(&mut tenant.first).chain(edits) {
            for conn in spec.conns.values_mut() {
                (conn.queue, conn.max_wait_ms) = (400, 30_000);
                conn.limits.iter_mut().for_each(|limit| (limit.per_app, limit.routes) = (false, Vec::new()));
            }
            spec.apps.values_mut().skip(1).for_each(|app| app.daily_calls = None);
            let blocked = spec.apps.values_mut().next();
            blocked.into_iter().for_each(|app| app.daily_calls = Some(dice.from(1, 60) as u64));
        }
        // One app calls below the limits' rate for a long time, and then another joins, and both
        // want more than there is.
        for traffic in &mut tenant.traffic {
            traffic.per_second *= 1.5;
            traffic.turn = s.seconds * SECOND * 6 / 10;
            (traffic.jobs, traffic.before, traffic.after) = match &traffic.app {
                app if app == APPS[0] => (300, 0.5, 0.5),
                app if app == APPS[1] => (0, 0.3, 3.0),
                app if app == APPS[2] => (0, 0.0, 3.0),
                _ => (0, 0.1, 1.0),
            };
        }
    }
}

fn any_start(dice: &mut Dice, reset: &Reset, seconds: i64) -> i64 {
    let noon = dice.pick(&DAYS).1 * SECOND + dice.from(-3_600, 3_600) * SECOND;
    if dice.in_thousand(400) {
        return noon;
    }
    let readings = readings(reset, noon, noon);
    let (_, next) = readings[dice.below(readings.len())].around(noon);
    next - dice.from(seconds / 10, seconds * 9 / 10 + 1) * SECOND
}

fn any_faults(dice: &mut Dice, mean_latency: f64) -> Faults {
    let mut some =
        |chance: u32, most: i64| -> u32 { if dice.in_thousand(chance) { dice.from(1, most) as u32 } else { 0 } };
    let (slow, hung, streams) = (some(500, 40), some(400, 20), some(400, 400));
    let (throttles, day_throttles, counts) = (some(350, 40), some(100, 3), some(250, 400));
    let (lost_words, lost_replies) = (some(500, 60), some(400, 60));
    let (repeated, late, held_up, leave) = (some(500, 150), some(400, 30), some(400, 30), some(400, 100));
    let (storage, pool_lost, say_wait) = (some(250, 200), some(400, 100), some(600, 600));
    let (others, gathered) = (some(200, 60), some(400, 400));
    let mut every = |chance: u32, low: f64, high: f64| -> f64 {
        if dice.in_thousand(chance) { dice.scale(low, high) } else { 0.0 }
    };
    let (kill_every, reset_every) = (every(350, 15.0, 400.0), every(350, 10.0, 300.0));
    let (supersede_every, worker_every) = (every(300, 10.0, 300.0), every(300, 20.0, 400.0));
    let step_every = every(250, 10.0, 200.0);
    Faults {
        mean_latency,
        at_arrival: dice.in_thousand(300),
        calm: dice.in_thousand(600),
        say_wait,
        slow,
        hung,
        streams,
        throttles,
        day_throttles,
        counts,
        others,
        lost_words,
        lost_replies,
        repeated,
        late,
        held_up,
        gathered,
        leave,
        kill_every,
        reset_every,
        supersede_every,
        worker_every,
        step_every,
        storage,
        wild_clock: step_every > 0.0 && dice.in_thousand(300),
        pool_lost,
    }
}

fn any_tenant(dice: &mut Dice, scale: &Scale, name: &'static str, seconds: f64, edits: i64) -> Tenant {
    let mut first = Spec::default();
    let n = dice.from(1, 1 + APPS.len() as i64) as usize;
    for app in APPS.iter().take(n) {
        first.apps.insert((*app).to_owned(), any_app(dice, scale));
    }
    let conns = if dice.in_thousand(250) { &["crm", "ads"][..] } else { &["crm"] };
    for conn in conns {
        first.conns.insert((*conn).to_owned(), any_conn(dice, scale));
    }
    let mut traffic = Vec::new();
    let weights: Vec<f64> = (0..n).map(|_| dice.scale(0.1, 2.0)).collect();
    let sum: f64 = weights.iter().sum::<f64>() * conns.len() as f64;
    let jobs = if dice.in_thousand(300) { dice.from(20, 500) as u32 } else { 0 };
    for conn in conns {
        for (app, weight) in APPS.iter().zip(&weights) {
            let one_class = dice.in_thousand(500);
            let targets = if one_class { vec![dice.below(TARGETS.len())] } else { (0..TARGETS.len()).collect() };
            let volley = if dice.in_thousand(250) { dice.from(2, 60) as usize } else { 1 };
            let per_second = scale.rate * weight / sum;
            let (conn, app) = ((*conn).to_owned(), (*app).to_owned());
            let turn = dice.from(0, (seconds * 1e6) as i64);
            let changes = dice.in_thousand(300);
            let mut times = || if changes { *dice.pick(&[0.0, 0.2, 0.5, 1.0, 3.0]) } else { 1.0 };
            let (before, after) = (times(), times());
            traffic.push(Traffic { conn, app, per_second, turn, before, after, volley, targets, jobs });
        }
    }
    let mut last = first.clone();
    let mut made = Vec::new();
    let mut times: Vec<i64> = (0..edits).map(|_| dice.from(0, (seconds * 1e6) as i64)).collect();
    times.sort_unstable();
    for at in times {
        if dice.in_thousand(60) {
            made.push((at, None));
            made.push((at + dice.from(1, 20 * SECOND), Some(last.clone())));
            continue;
        }
        last = edited(dice, scale, &last, &first);
        made.push((at, Some(last.clone())));
    }
    made.sort_by_key(|(at, _)| *at);
    Tenant { name, first, edits: made, traffic }
}

pub fn any_app(dice: &mut Dice, scale: &Scale) -> App {
    let daily_calls = dice.in_thousand(200).then(|| (scale.calls * dice.scale(0.03, 0.8)) as u64 + 1);
    let routes = if dice.in_thousand(100) { any_routes(dice) } else { Vec::new() };
    App { weight: *dice.pick(&[1, 1, 1, 2, 3, 10]), daily_calls, routes }
}

pub fn any_conn(dice: &mut Dice, scale: &Scale) -> Conn {
    let n = dice.from(1, 5) as usize;
    let limits = (0..n).map(|at| any_limit(dice, scale, LIMITS[at])).collect();
    Conn {
        limits,
        share_ppm: *dice.pick(&[1_000_000, 1_000_000, 1_000_000, 500_000, 333_333, 100_000]),
        queue: *dice.pick(&[0, 3, 20, 100, 100, 400]),
        max_wait_ms: *dice.pick(&[0, 500, 3_000, 10_000, 30_000]),
        adaptive: Adaptive {
            min_ppm: *dice.pick(&[100_000, 500_000]),
            backoff_ppm: *dice.pick(&[500_000, 900_000]),
            successes: *dice.pick(&[2, 10]),
            pause_ms: *dice.pick(&[0, 0, 1_000]),
        },
        observe: dice.in_thousand(100),
        attempts: *dice.pick(&[1, 2, 3]),
    }
}

/// Draws a limit whose number, before a share, is close to what the traffic needs.
pub fn any_limit(dice: &mut Dice, scale: &Scale, name: &str) -> Lim {
    let per_app = dice.in_thousand(250);
    let routes = if dice.in_thousand(300) { any_routes(dice) } else { Vec::new() };
    let mut pool = None;
    let kind = any_kind(dice, scale);
    let kind = match kind {
        Kind::Daily { amount, .. } if scale.pools && dice.in_thousand(700) => {
            pool = Some("shared".to_owned());
            Kind::Daily { amount, reset: scale.reset.clone(), bytes: false }
        }
        kind => kind,
    };
    Lim { name: name.to_owned(), kind, routes, per_app: per_app && pool.is_none(), pool }
}

pub fn any_kind(dice: &mut Dice, scale: &Scale) -> Kind {
    let whole = |figure: f64| (figure as u64).max(1);
    match dice.below(if scale.pools { 14 } else { 12 }) {
        0..=3 => {
            let window_ms = *dice.pick(&[500, 1_000, 1_000, 2_500, 10_000, 20_000, 60_000]);
            let calls = whole(scale.rate * window_ms as f64 / 1_000.0 * dice.scale(0.3, 2.0));
            Kind::Window { calls, window_ms, guard_ms: *dice.pick(&[0, 0, 0, 200, 1_500]) }
        }
        4..=5 => {
            let rate = scale.rate * dice.scale(0.4, 2.0);
            let rate_micro = if dice.half() { whole(rate) * 1_000_000 } else { whole(rate * 1e6) };
            Kind::Bucket { rate_micro, burst: whole(dice.scale(1.0, 40.0)) }
        }
        6..=8 => {
            let after_ms = *dice.pick(&[0, 0, 0, 500, 2_000]);
            Kind::Slots { calls: whole(1.0 + scale.rate * scale.latency * dice.scale(0.4, 3.0)), after_ms }
        }
        9 => Kind::RollingDay { calls: whole(scale.calls * dice.scale(0.3, 2.0)) },
        _ => {
            let bytes = dice.in_thousand(250);
            let each = if bytes { 20_000.0 } else { 1.0 };
            let reset = if dice.in_thousand(700) { scale.reset.clone() } else { any_reset(dice) };
            Kind::Daily { amount: whole(scale.calls * each * dice.scale(0.1, 1.5)), reset, bytes }
        }
    }
}

pub fn any_reset(dice: &mut Dice) -> Reset {
    let zones = dice.pick(&ZONES).iter().map(|zone| (*zone).to_owned()).collect();
    Reset { minute: *dice.pick(&[0, 0, 0, 90, 120, 150, 1_439]), zones }
}

pub fn any_routes(dice: &mut Dice) -> Vec<Route> {
    const ALL: [Route; 8] = [
        Route { not: false, method: None, path: "/a/*" },
        Route { not: false, method: Some("GET"), path: "/a/*" },
        Route { not: false, method: None, path: "/b" },
        Route { not: false, method: Some("POST"), path: "/**" },
        Route { not: true, method: None, path: "/b" },
        Route { not: true, method: Some("GET"), path: "/a/1" },
        Route { not: false, method: None, path: "/c/**" },
        Route { not: true, method: None, path: "/c/*" },
    ];
    (0..dice.from(1, 3)).map(|_| dice.pick(&ALL).clone()).collect()
}
