//! A connection under Marketo's three limits, on a virtual clock: it is asked as fast as the limits allow, and never faster.
//!
//! Calls come in bursts of [`BURST`], one every 20 ms, each burst 10 s after the one before. So the window is nearly full all the
//! time, and each call that comes in is matched by one that has run out. The first call of a burst opens the block that the others go
//! under, and is told apart, as [`Connection::begin_burst`]: rows are stored between bursts.

use sluice_limiter::calendar::{Reset, Zone};
use sluice_limiter::{
    AdaptiveRule, Admission, AppRule, Call, Kind, Limit, Limiter, Mode, Now, Outcome, PermitId, Plan, QueueRule,
    Settlement, Unit,
};
use std::collections::VecDeque;

/// Calls of a burst, without its first: two bursts and what is in flight are within 100 in 20 s.
pub const BURST: u64 = 43;
/// Marketo's calls at once.
pub const SLOTS: usize = 10;
/// The app whose calls are measured, and its limits: bit i is limit i.
const OWN: (&str, u32) = ("crm-sync", 0b0111);
/// The app whose calls wait beside them, one at a time.
const OTHER: (&str, u32) = ("web-form", 0b1111);
/// In flight where nobody waits.
const SOME: usize = 5;
/// 2026-06-15 12:00 UTC.
const NOON: i64 = 1_781_524_800_000;
/// From one burst to the next, milliseconds.
const PAUSE_MS: i64 = 10_000;
/// From one call to the next within a burst, milliseconds.
const STEP_MS: i64 = 20;
/// From a call to its answer, or the next one's: milliseconds.
const HALF_MS: i64 = STEP_MS / 2;

/// The offset of Central time in summer, all year: the bench asks after it once a day.
const fn summer(_: &str, _: i64) -> Option<i32> {
    Some(-5 * 3_600)
}

/// A connection, and which of its calls are in flight.
pub struct Connection {
    limiter: Limiter,
    now: i64,
    asked: u128,
    flying: VecDeque<PermitId>,
    app: (&'static str, u32),
    rows: u64,
}

impl Connection {
    /// Nobody waits, some are in flight, and the window is as full as it will be.
    pub fn idle() -> Self {
        let mut connection = Self::new();
        for _ in 0..SOME {
            connection.admit();
        }
        connection.run(3, Self::call);
        connection
    }

    /// So many calls of another app wait for a limit of its own, and those of this one go past them.
    pub fn beside(waiting: usize) -> Self {
        let mut connection = Self::new();
        connection.app = OTHER;
        connection.admit();
        connection.flying.clear();
        connection.fill(waiting);
        connection.app = OWN;
        for _ in 0..SOME {
            connection.admit();
        }
        connection.run(3, Self::call);
        connection
    }

    /// All slots are taken and so many calls wait.
    pub fn waiting(calls: usize) -> Self {
        let mut connection = Self::new();
        for _ in 0..SLOTS {
            connection.admit();
        }
        connection.fill(calls);
        // All that wait have come one by one.
        connection.run(3 + calls as u64 / BURST, Self::turn);
        connection
    }

    fn new() -> Self {
        let limiter = Limiter::new(plan(), Now { wall: NOON, zones: &summer });
        Self { limiter, now: NOON, asked: 0, flying: VecDeque::with_capacity(2 * SLOTS), app: OWN, rows: 0 }
    }

    fn run(&mut self, bursts: u64, step: fn(&mut Self)) {
        for _ in 0..bursts {
            self.begin_burst(step);
            (0..BURST).for_each(|_| step(self));
        }
    }

    /// The first call of a burst, and the rows that it and the last one asked for.
    pub fn begin_burst(&mut self, step: fn(&mut Self)) {
        self.now += PAUSE_MS;
        self.limiter.wake(self.time());
        self.store();
        step(self);
        self.store();
    }

    /// Stores the row that is due, if one is.
    pub fn store(&mut self) {
        self.rows += u64::from(self.limiter.snapshot_due().is_some());
    }

    /// One call is admitted, and one that went before it settled.
    pub fn call(&mut self) {
        self.now += HALF_MS;
        self.admit();
        self.now += HALF_MS;
        self.settle();
    }

    /// One call comes and waits; one that went is settled, and so the first that waits goes.
    pub fn turn(&mut self) {
        self.now += HALF_MS;
        self.wait();
        self.now += HALF_MS;
        self.serve();
    }

    /// The next call is settled, and so the first that waits goes.
    pub fn next(&mut self) {
        self.now += STEP_MS;
        self.serve();
    }

    /// One call is settled, and so the first that waits goes.
    pub fn serve(&mut self) {
        self.settle();
        match self.limiter.next_ready() {
            Some((_, Ok(grant))) => self.flying.push_back(grant.permit),
            other => unexpected(&other),
        }
    }

    /// Has so many more calls wait.
    pub fn fill(&mut self, calls: usize) {
        (0..calls).for_each(|_| self.wait());
    }

    /// Calls that wait.
    pub fn depth(&self) -> usize {
        self.limiter.queue().depth
    }

    /// What the shell does after each event, beside what the others here do.
    pub fn next_wakeup(&mut self) -> Option<i64> {
        self.limiter.next_wakeup()
    }

    fn admit(&mut self) {
        match self.ask() {
            Admission::Granted(grant) => self.flying.push_back(grant.permit),
            other => unexpected(&other),
        }
    }

    fn wait(&mut self) {
        match self.ask() {
            Admission::Waiting(_) => {}
            other => unexpected(&other),
        }
    }

    fn ask(&mut self) -> Admission {
        self.asked += 1;
        let call = Call {
            app: self.app.0,
            mask: self.app.1,
            id: self.asked,
            again: false,
            waited_ms: 0,
            wait_ms: None,
            urgency: 3,
        };
        self.limiter.admit(self.time(), call)
    }

    fn settle(&mut self) {
        let Some(permit) = self.flying.pop_front() else { return unexpected(&"nothing in flight") };
        let outcome = Outcome::Answered;
        let report = Settlement { permit, attempt: 1, outcome, since_headers_ms: 0, response_bytes: 1_000 };
        self.limiter.settle(self.time(), report);
    }

    const fn time(&self) -> Now<'static> {
        Now { wall: self.now, zones: &summer }
    }
}

/// A benchmark whose calls do not go as they should measures something else.
#[cold]
fn unexpected(what: &dyn std::fmt::Debug) {
    panic!("the benchmark is out of step: {what:?}");
}

/// Marketo's 100 calls in 20 s and ten at once; a day of 500,000, so that no day ends early. The fourth limit counts [`OTHER`] alone.
fn plan() -> Plan {
    let zones = vec![Zone::Iana("America/Chicago".to_owned()), Zone::Fixed(-360)];
    let day = Reset { minute: 0, zones };
    let limit = |name: &str, of: u64, kind: Kind| Limit {
        name: name.to_owned(),
        kind,
        of,
        per_app: false,
        pool: None,
        routes: 0,
    };
    Plan {
        limits: vec![
            limit("rate", 100, Kind::RollingWindow { calls: 100, window_ms: 20_000, guard_ms: 0 }),
            limit("daily", 500_000, Kind::Daily { amount: 500_000, reset: day.clone(), unit: Unit::Calls }),
            limit("concurrent", 10, Kind::Concurrency { calls: 10, after_ms: 0 }),
            Limit { per_app: true, ..limit("one", 1, Kind::Concurrency { calls: 1, after_ms: 0 }) },
        ],
        queue: QueueRule { size: 200_000, max_wait_ms: 30 * 86_400_000 },
        adaptive: AdaptiveRule {
            min_ppm: 100_000,
            max_ppm: 1_000_000,
            backoff_ppm: 500_000,
            recovery_ppm: 1_100_000,
            successes: 10,
            pause_ms: 0,
            max_pause_ms: 3_600_000,
        },
        mode: Mode::Enforce,
        apps: ["crm-sync", "web-form"]
            .map(|name| AppRule { name: name.to_owned(), weight: 1, daily_calls: None })
            .into(),
        // No call is given up while the benchmark runs.
        ceiling_ms: 1 << 50,
        day,
    }
}
