//! What a run of the simulation is like.

use crate::calendar::{Reset, Zone};
use crate::{Kind, Limit, SKEW_MS, Unit};

pub const SECOND: i64 = 1_000_000;
/// 2026-06-15 00:00 UTC.
pub const MIDNIGHT: i64 = 1_781_481_600 * SECOND;

/// What a run is like.
#[derive(Clone)]
pub struct Setting {
    pub limits: Vec<Limit>,
    /// Of each app: its weight, the share of calls in thousandths, and its budget.
    pub apps: Vec<(u32, u32, Option<u64>)>,
    /// Masks of limits that calls meet, chosen at random.
    pub masks: Vec<u32>,
    pub calls_per_second: f64,
    pub mean_latency: f64,
    /// In thousandths: answers of 2 to 9 s; settlements lost; settlements repeated; permits held up.
    pub slow: u32,
    pub lost: u32,
    pub repeated: u32,
    pub held_up: u32,
    /// Mean seconds between crashes; 0: none.
    pub crash_every: f64,
    /// Mean seconds between steps back of the clock; 0: none.
    pub step_every: f64,
    /// What the clocks of two hosts differ by at most, milliseconds.
    pub skew: i64,
    pub patience: i64,
    pub queue: u32,
    pub start: i64,
    /// The vendor counts at a random instant; else at arrival.
    pub any_instant: bool,
}

impl Setting {
    pub fn new(limits: Vec<Limit>) -> Self {
        Self {
            limits,
            apps: vec![(1, 1_000, None)],
            masks: vec![u32::MAX],
            calls_per_second: 6.0,
            mean_latency: 0.2,
            slow: 2,
            lost: 1,
            repeated: 10,
            held_up: 3,
            crash_every: 60.0,
            step_every: 0.0,
            skew: SKEW_MS,
            patience: 30 * SECOND,
            queue: 400,
            start: MIDNIGHT + 40_000 * SECOND,
            any_instant: true,
        }
    }
}

pub fn limit(name: &str, kind: Kind) -> Limit {
    Limit { name: name.to_owned(), kind, of: 0, per_app: false, pool: None, routes: 0 }
}

pub fn window(calls: u64, seconds: u64) -> Limit {
    limit("window", Kind::RollingWindow { calls, window_ms: seconds * 1_000, guard_ms: 0 })
}

pub fn slots(calls: u64) -> Limit {
    limit("slots", Kind::Concurrency { calls, after_ms: 0 })
}

pub fn daily(amount: u64, reset: Reset) -> Limit {
    limit("daily", Kind::Daily { amount, reset, unit: Unit::Calls })
}

pub fn utc() -> Reset {
    Reset { minute: 0, zones: vec![Zone::Fixed(0)] }
}
