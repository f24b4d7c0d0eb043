//! The plan of a run, drawn from the seed before anything happens: the same seed gives the same
//! plan.

use crate::stage::{APPS, GUARD_MS, SEATS, TENANTS, VENDORS, WINDOW_MS};
use sluice_mock_upstreams::chance::Chance;
use sluice_mock_upstreams::{Fault, FaultRule, Latency};
use std::fmt;

/// The plan of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The faults, in order of time.
    pub steps: Vec<Step>,
    /// The calls, in order of time.
    pub calls: Vec<Call>,
}

/// Something that happens to the instance or to a vendor.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Milliseconds after the start.
    pub at: u64,
    /// What happens.
    pub act: Act,
}

/// An action on the instance or a vendor.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// workerd is killed, and started again after this many milliseconds.
    Kill { down: u64 },
    /// workerd is stopped for this many milliseconds.
    Stall { ms: u64 },
    /// No file can be written for this many milliseconds.
    Storage { ms: u64 },
    /// The wall clock is set back.
    Back { ms: u64 },
    /// The wall clock is set forward by no more than the windows' guards compensate.
    Forward { ms: u64 },
    /// The wall clock is set forward by far more, as if time had passed: windows may be exceeded,
    /// but nothing else.
    Leap { ms: u64 },
    /// A vendor falls ill.
    Sick { vendor: usize, ill: Ill },
    /// A vendor recovers.
    Well { vendor: usize },
    /// A tenant's policy is put again, with queues of this size.
    Edit { tenant: usize, queue: u64 },
}

/// An illness of a vendor.
#[derive(Debug, Clone, PartialEq)]
pub enum Ill {
    /// Its answers take between this many milliseconds and that many.
    Slow(u64, u64),
    /// A share of its answers has this fault.
    Faulty(FaultRule),
}

/// A call to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Milliseconds after the start.
    pub at: u64,
    /// Its number. It is part of the target, so that the vendor's journal shows it.
    pub number: usize,
    /// The connection, by its position in [`SEATS`].
    pub seat: usize,
    /// The app, by its position in [`APPS`].
    pub app: usize,
    /// The method.
    pub method: &'static str,
    /// The target below the connection.
    pub target: String,
    /// The bytes of its body, and whether it comes in chunks.
    pub body: Option<(usize, bool)>,
    /// The most seconds that it waits.
    pub wait: Option<u64>,
    /// The urgency in `Priority: u=`.
    pub urgency: Option<u64>,
    /// Whether it is a job.
    pub job: bool,
    /// Its `Idempotency-Key`.
    pub key: Option<String>,
    /// When its caller goes.
    pub leaves: Leaves,
}

/// When a caller goes, with a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// It stays until it has its answer.
    Never,
    /// It goes this many milliseconds after its request.
    After(u64),
    /// It goes when this many bytes of its body are sent.
    Uploading(usize),
    /// It goes when this many bytes of the answer are read.
    Reading(usize),
}

/// The mean time between two faults, milliseconds; in a short run less.
const FAULT_EVERY: u64 = 2_500;
/// Each minute has a pause of this length, in which objects lose their memory, milliseconds.
const IDLE_MS: u64 = 13_000;
/// The wall clock is never set further than this, so that no day ends, milliseconds.
const FARTHEST_MS: i64 = 3_600_000;

/// Draws random values.
struct Draw(Chance);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0.bits() % n.max(1)
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds of a run")]
    fn gap(&mut self, mean_ms: f64) -> u64 {
        (-(1.0 - self.0.unit()).ln() * mean_ms) as u64
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::try_from(self.below(list.len() as u64)).unwrap_or(0)]
    }
}

impl Plan {
    /// Makes the plan of a seed for this many seconds.
    pub fn new(seed: u64, seconds: u64) -> Self {
        let end = seconds * 1_000;
        // Steps and calls have separate draws, so that a change of one leaves the other as it was.
        let steps = steps(&mut Draw(Chance::new(seed)), end);
        let calls = calls(&mut Draw(Chance::new(seed ^ 0x5EED_CA11)), end);
        Self { steps, calls }
    }
}

fn steps(draw: &mut Draw, end: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut offset, mut guarded_until, mut at) = (0_i64, 0, 1_000);
    let every = (end / 12).clamp(1_000, FAULT_EVERY);
    loop {
        at += draw.between(every / 3, every * 5 / 3);
        if at >= end {
            break;
        }
        let act = match draw.below(16) {
            0 | 1 => Act::Kill { down: draw.of(&[0, 0, 300, 1_500]) },
            2 | 3 => Act::Stall { ms: draw.between(50, 3_000) },
            4 => Act::Storage { ms: draw.between(100, 2_500) },
            5 => Act::Back { ms: draw.of(&[1, 40, 900, 1_001, 5_000, 61_000, 1_800_000]) },
            6 if at >= guarded_until => {
                // At most one comes in each window and the time that a call takes.
                guarded_until = at + WINDOW_MS + 5_000;
                Act::Forward { ms: draw.between(1, GUARD_MS - 200) }
            }
            7 if draw.one_in(3) => Act::Leap { ms: draw.of(&[5_000, 61_000, 900_000]) },
            8 => Act::Edit { tenant: at as usize % TENANTS.len(), queue: draw.between(5, 60) },
            _ => {
                let vendor = usize::try_from(draw.below(VENDORS.len() as u64)).unwrap_or(0);
                let ill = ill(draw);
                // It must not be longer than the longest answer may take after it.
                steps.push(Step { at: at + draw.between(500, 6_000), act: Act::Well { vendor } });
                Act::Sick { vendor, ill }
            }
        };
        let moved = match &act {
            Act::Back { ms } => -ms.cast_signed(),
            Act::Forward { ms } | Act::Leap { ms } => ms.cast_signed(),
            _ => 0,
        };
        if (offset + moved).abs() <= FARTHEST_MS {
            offset += moved;
            steps.push(Step { at, act });
        }
    }
    steps.sort_by_key(|step| step.at);
    steps
}

fn ill(draw: &mut Draw) -> Ill {
    let status = |status, retry_after_s| Fault::Status { status, retry_after_s, retry_at_s: None };
    let raw = |text: &str| Fault::Raw { text: text.to_owned() };
    let fault = match draw.below(20) {
        0 | 1 => return Ill::Slow(300, 2_500),
        2 | 3 => Fault::Throttle { retry_after_s: None },
        4 => Fault::Throttle { retry_after_s: Some(draw.between(1, 3)) },
        5 => status(429, None),
        6 => status(503, Some(1)),
        7 => status(503, None),
        8 => status(draw.of(&[500, 502, 504, 520]), None),
        9 => status(draw.of(&[199, 404, 600, 999]), None),
        10 => Fault::ResetBefore,
        11 => Fault::ResetAfterHead,
        12 | 13 => Fault::ResetMidBody { bytes: draw.between(0, 5_000) },
        14 => Fault::Hang,
        15 => Fault::HangAfterHead,
        16 => Fault::SlowBody { pause_ms: draw.between(10, 100) },
        17 => Fault::Oversized { bytes: 2 << 20 },
        18 => Fault::MalformedJson,
        _ => raw(draw.of(&[
            "no answer at all\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
            "HTTP/1.1 200 OK\r\n",
        ])),
    };
    Ill::Faulty(FaultRule::some(draw.of(&[0.2, 0.5, 1.0]), fault))
}

impl Ill {
    /// Changes a vendor's spec according to the illness.
    pub fn befall(&self, spec: &mut sluice_mock_upstreams::Spec) {
        match self {
            Self::Slow(min_ms, max_ms) => spec.latency = Latency::Uniform { min_ms: *min_ms, max_ms: *max_ms },
            Self::Faulty(rule) => spec.faults = vec![rule.clone()],
        }
    }
}

fn calls(draw: &mut Draw, end: u64) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for (seat, of) in SEATS.iter().enumerate() {
        let mut at = 0;
        loop {
            // One arrival in ten is a burst of eight.
            at += draw.gap(1_700.0 / of.rate);
            if at >= end {
                break;
            }
            if end > 60_000 && at % 60_000 > 60_000 - IDLE_MS {
                continue;
            }
            for _ in 0..if draw.one_in(10) { 8 } else { 1 } {
                let number = calls.len();
                calls.push(call(draw, seat, at, number));
            }
            // The same job comes once more, as from a caller that had no answer.
            let repeated = calls.last().filter(|call| call.job && call.key.is_some()).cloned();
            if let Some(repeated) = repeated.filter(|_| draw.one_in(3)) {
                let number = calls.len();
                calls.push(Call { at: at + draw.below(3_000), number, leaves: Leaves::Never, ..repeated });
            }
        }
    }
    calls.sort_by_key(|call| call.at);
    calls
}

fn call(draw: &mut Draw, seat: usize, at: u64, number: usize) -> Call {
    let job = draw.one_in(6);
    let method = draw.of(&["GET", "GET", "GET", "GET", "POST", "POST", "POST", "PUT", "DELETE"]);
    let body = match method {
        "GET" => None,
        _ => Some((usize::try_from(draw.of(&[0, 20, 2_000, 2_000, 70_000, 1_300_000])).unwrap_or(0), draw.one_in(3))),
    };
    // The body of a job is kept whole, and is at most 1 MB.
    let body = body.map(|(bytes, chunked)| (if job { bytes.min(70_000) } else { bytes }, chunked));
    let path = match draw.below(8) {
        0 => format!(
            "/bytes/{}?piece=20000&pause_ms={}&",
            draw.of(&[10, 5_000, 200_000, 1_000_000]),
            draw.of(&[0, 0, 20])
        ),
        1 => "/bytes/30000?encoding=gzip&".to_owned(),
        2 => "/bytes/50000?framing=chunked&piece=9000&".to_owned(),
        3..6 if SEATS[seat].name == "marketo" && method == "GET" => "/rest/v1/leads.json?".to_owned(),
        _ => "/echo?".to_owned(),
    };
    let leaves = match draw.below(16) {
        0 => Leaves::After(draw.between(0, 3_000)),
        1 => Leaves::Reading(usize::try_from(draw.below(20_000)).unwrap_or(0)),
        2 => match body {
            Some((bytes @ 1.., _)) => Leaves::Uploading(usize::try_from(draw.below(bytes as u64)).unwrap_or(0)),
            _ => Leaves::After(draw.between(0, 100)),
        },
        _ => Leaves::Never,
    };
    Call {
        at,
        number,
        seat,
        app: usize::from(draw.below(APPS.len() as u64) == 1),
        method,
        target: format!("{path}n={number}."),
        body,
        wait: if draw.one_in(3) { Some(draw.of(&[0, 1, 3, 20])) } else { None },
        urgency: draw.one_in(4).then(|| draw.below(8)),
        key: (job && draw.one_in(2) || draw.one_in(20)).then(|| format!("key-{number}")),
        job,
        leaves,
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8} s  {:?}", Seconds(self.at), self.act)
    }
}

/// Milliseconds, shown as seconds.
pub struct Seconds(pub u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:03}", self.0 / 1_000, self.0 % 1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_has_the_same_plan_and_another_seed_another() {
        assert_eq!(Plan::new(7, 100), Plan::new(7, 100));
        assert_ne!(Plan::new(7, 100).steps, Plan::new(8, 100).steps);
        assert_ne!(Plan::new(7, 100).calls, Plan::new(8, 100).calls);
    }

    #[test]
    fn every_fault_comes_in_ten_minutes_of_any_seed() {
        for seed in 1..20 {
            let plan = Plan::new(seed, 600);
            let has = |what: fn(&Act) -> bool| plan.steps.iter().any(|step| what(&step.act));
            assert!(has(|act| matches!(act, Act::Kill { .. })) && has(|act| matches!(act, Act::Stall { .. })));
            assert!(has(|act| matches!(act, Act::Storage { .. })) && has(|act| matches!(act, Act::Back { .. })));
            assert!(has(|act| matches!(act, Act::Forward { .. })) && has(|act| matches!(act, Act::Leap { .. })));
            assert!(has(|act| matches!(act, Act::Sick { .. })) && has(|act| matches!(act, Act::Edit { .. })));
            let (jobs, left) = (
                plan.calls.iter().filter(|call| call.job),
                plan.calls.iter().filter(|call| call.leaves != Leaves::Never),
            );
            assert!(jobs.count() > 1_000 && left.count() > 1_000);
        }
    }
}
