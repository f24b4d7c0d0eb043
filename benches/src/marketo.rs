//! A connection under Marketo's three limits, on a virtual clock. It makes calls as fast as the
//! limits allow, and never faster.
//!
//! Calls come in bursts of [`BURST`], one every 20 ms, and a burst begins 10 s after the last one.
//! So the window is nearly full all the time, and whenever a call comes in, another leaves the
//! window. The first call of a burst makes the reservation from which the others take their
//! permits, so it is measured apart, as [`Connection::begin_burst`]. Rows are stored between
//! bursts.

use sluice_limiter::calendar::{Reset, Zone};
use sluice_limiter::{
    AdaptiveRule, Admission, AppRule, Call, Kind, Limit, Limiter, Mode, Now, Outcome, PermitId, Plan, QueueRule,
    Settlement, Unit,
};
use std::collections::VecDeque;

/// The calls of a burst without its first. Two bursts and what is in flight are within 100 calls in
/// 20 s.
pub const BURST: u64 = 43;
/// The calls that Marketo takes at once.
pub const SLOTS: usize = 10;
/// The app whose calls are measured, and the limits that count them: bit i stands for limit i.
const OWN: (&str, u32) = ("crm-sync", 0b0111);
/// The app whose calls wait beside those: a limit lets one of them go at a time.
const OTHER: (&str, u32) = ("web-form", 0b1111);
/// The calls in flight where none waits.
const SOME: usize = 5;
/// 2026-06-15 12:00 UTC.
const NOON: i64 = 1_781_524_800_000;
/// The time from one burst to the next, milliseconds.
const PAUSE_MS: i64 = 10_000;
/// The time from one call of a burst to the next, milliseconds.
const STEP_MS: i64 = 20;
/// The time from a call to the next answer, milliseconds.
const HALF_MS: i64 = STEP_MS / 2;

/// Returns the offset of Central time in summer, in seconds, all year: it is needed once a day.
const fn summer(_: &str, _: i64) -> Option<i32> {
    Some(-5 * 3_600)
}

/// A connection and its calls in flight.
pub struct Connection {
    limiter: Limiter,
    now: i64,
    calls: u128,
    in_flight: VecDeque<PermitId>,
    app: (&'static str, u32),
    rows: u64,
}

impl Connection {
    /// Makes a connection on which no call waits and some are in flight. Its window is as full as
    /// it will ever be.
    pub fn idle() -> Self {
        let mut connection = Self::new();
        for _ in 0..SOME {
            connection.admit();
        }
        connection.run(3, Self::call);
        connection
    }

    /// Makes a connection on which `waiting` calls of another app wait for a limit that counts only
    /// them. The calls that are measured go past them.
    pub fn beside(waiting: usize) -> Self {
        let mut connection = Self::new();
        connection.app = OTHER;
        connection.admit();
        connection.in_flight.clear();
        connection.fill(waiting);
        connection.app = OWN;
        for _ in 0..SOME {
            connection.admit();
        }
        connection.run(3, Self::call);
        connection
    }

    /// Makes a connection whose slots are all taken, and on which `calls` calls wait.
    pub fn waiting(calls: usize) -> Self {
        let mut connection = Self::new();
        for _ in 0..SLOTS {
            connection.admit();
        }
        connection.fill(calls);
        // Until every call that waits has come one by one.
        connection.run(3 + calls as u64 / BURST, Self::turn);
        connection
    }

    fn new() -> Self {
        let limiter = Limiter::new(plan(), Now { wall: NOON, zones: &summer });
        Self { limiter, now: NOON, calls: 0, in_flight: VecDeque::with_capacity(2 * SLOTS), app: OWN, rows: 0 }
    }

    fn run(&mut self, bursts: u64, step: fn(&mut Self)) {
        for _ in 0..bursts {
            self.begin_burst(step);
            (0..BURST).for_each(|_| step(self));
        }
    }

    /// Makes the first call of a burst, and stores the rows that it and the last burst made due.
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

    /// Admits a call, and settles one that went before it.
    pub fn call(&mut self) {
        self.now += HALF_MS;
        self.admit();
        self.now += HALF_MS;
        self.settle();
    }

    /// Has a call come and wait, and settles one that went, so that the first that waits goes.
    pub fn turn(&mut self) {
        self.now += HALF_MS;
        self.wait();
        self.now += HALF_MS;
        self.serve();
    }

    /// Moves the clock on and settles a call, so that the first that waits goes.
    pub fn next(&mut self) {
        self.now += STEP_MS;
        self.serve();
    }

    /// Settles a call, so that the first that waits goes.
    pub fn serve(&mut self) {
        self.settle();
        match self.limiter.next_ready() {
            Some((_, Ok(grant))) => self.in_flight.push_back(grant.permit),
            other => unexpected(&other),
        }
    }

    /// Has `calls` more calls wait.
    pub fn fill(&mut self, calls: usize) {
        (0..calls).for_each(|_| self.wait());
    }

    /// Returns how many calls wait.
    pub fn depth(&self) -> usize {
        self.limiter.queue().depth
    }

    /// Asks for the next wake-up, as the Durable Object does after each event.
    pub fn next_wakeup(&mut self) -> Option<i64> {
        self.limiter.next_wakeup()
    }

    fn admit(&mut self) {
        match self.try_admit() {
            Admission::Granted(grant) => self.in_flight.push_back(grant.permit),
            other => unexpected(&other),
        }
    }

    fn wait(&mut self) {
        match self.try_admit() {
            Admission::Waiting(_) => {}
            other => unexpected(&other),
        }
    }

    fn try_admit(&mut self) -> Admission {
        self.calls += 1;
        let call = Call {
            app: self.app.0,
            mask: self.app.1,
            id: self.calls,
            again: false,
            waited_ms: 0,
            wait_ms: None,
            urgency: 3,
        };
        self.limiter.admit(self.time(), call)
    }

    fn settle(&mut self) {
        let Some(permit) = self.in_flight.pop_front() else { return unexpected(&"nothing in flight") };
        let outcome = Outcome::Answered;
        let report = Settlement { permit, attempt: 1, outcome, since_headers_ms: 0, response_bytes: 1_000 };
        self.limiter.settle(self.time(), report);
    }

    const fn time(&self) -> Now<'static> {
        Now { wall: self.now, zones: &summer }
    }
}

/// Ends the benchmark: calls that do not go as planned would measure something else.
#[cold]
fn unexpected(what: &dyn std::fmt::Debug) {
    panic!("the benchmark is out of step: {what:?}");
}

/// Returns Marketo's 100 calls in 20 s and ten at once, and a day of 500,000, so that no day is
/// spent. The fourth limit counts only [`OTHER`].
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
        adaptive: AdaptiveRule::USUAL,
        mode: Mode::Enforce,
        apps: ["crm-sync", "web-form"]
            .map(|name| AppRule { name: name.to_owned(), weight: 1, daily_calls: None })
            .into(),
        // No call is given up while the benchmark runs.
        ceiling_ms: 1 << 50,
        day,
    }
}
