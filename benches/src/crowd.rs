//! A connection that a thousand apps use, on a virtual clock. The events are those that could take
//! longer the more apps there are.

use sluice_limiter::calendar::{Reset, Zone};
use sluice_limiter::{
    AdaptiveRule, Admission, AppRule, Call, Kind, Limit, Limiter, Mode, Now, Outcome, PermitId, Plan, QueueRule,
    SKEW_MS, Settlement, ThrottledBy, Unit,
};
use std::collections::VecDeque;

/// 2026-06-15 12:00 UTC.
const NOON: i64 = 1_781_524_800_000;
/// One hour, milliseconds.
const HOUR_MS: u64 = 3_600_000;
/// How many calls wait, of all apps together.
const WAITING: usize = 10_000;
/// The most limits for each app that a policy may have beside a limit of another kind.
const MOST_BY_APP: usize = 31;

/// A connection, its apps and its calls in flight.
pub struct Crowd {
    limiter: Limiter,
    plan: Plan,
    now: i64,
    calls: u128,
    in_flight: VecDeque<PermitId>,
}

impl Crowd {
    /// Makes a connection of `apps` apps whose limits have room for all their calls.
    pub fn roomy(apps: usize) -> Self {
        Self::new(apps, vec![window("rate", 100_000, 20_000), day()])
    }

    /// Makes a connection on which 10,000 calls of `apps` apps wait for a full window. One call is
    /// in flight.
    pub fn behind_a_window(apps: usize) -> Self {
        const CALLS: usize = 12_000;
        let (rate_micro, burst) = (1_000_000_000_000, 1_000_000);
        let limits = vec![
            window("rate", CALLS as u64, 20_000),
            limit("bucket", burst, Kind::TokenBucket { rate_micro, burst }),
            slots(1_000_000),
            day(),
        ];
        let mut crowd = Self::new(apps, limits);
        (0..CALLS).for_each(|call| crowd.go(call));
        (0..CALLS).for_each(|_| crowd.settle(Outcome::Answered));
        crowd.now += 19_000;
        crowd.fill();
        // No limit counts this call, so it goes although the window is full.
        match crowd.admit(0, 0) {
            Admission::Granted(grant) => crowd.in_flight.push_back(grant.permit),
            other => unexpected(&other),
        }
        crowd
    }

    /// Makes a connection on which 10,000 calls of `apps` apps wait for one of a hundred slots, all
    /// of which are taken.
    pub fn behind_slots(apps: usize) -> Self {
        const SLOTS: u64 = 100;
        let mut crowd = Self::new(apps, vec![window("rate", 12_000, 20_000), slots(SLOTS), day()]);
        (0..SLOTS as usize).for_each(|call| crowd.go(call));
        crowd.fill();
        crowd
    }

    /// Makes a connection of a thousand apps, each of which has made one call under `limits`
    /// windows that count only that app.
    pub fn with_windows_by_app(limits: usize) -> Self {
        let limits = (0..limits).map(|at| Limit { per_app: true, ..window(&format!("limit-{at}"), 10_000, 60_000) });
        let mut crowd = Self::new(1_000, limits.collect());
        (0..1_000).for_each(|app| crowd.call(app));
        crowd
    }

    /// Makes a connection of a thousand apps, each of which has filled `limits` windows of 2,000
    /// calls an hour that count only that app.
    pub fn with_full_windows(limits: usize) -> Self {
        let limits = (0..limits).map(|at| Limit { per_app: true, ..window(&format!("limit-{at}"), 2_000, HOUR_MS) });
        let mut crowd = Self::new(1_000, limits.collect());
        for _ in 0..2_000 {
            crowd.now += 1_700;
            (0..1_000).for_each(|app| crowd.call(app));
            crowd.limiter.snapshot_due();
        }
        crowd
    }

    /// Makes the same with the most windows that a policy can have.
    pub fn with_most_windows() -> Self {
        Self::with_full_windows(MOST_BY_APP)
    }

    fn new(apps: usize, limits: Vec<Limit>) -> Self {
        let plan = plan(apps, limits);
        let limiter = Limiter::new(plan.clone(), Now { wall: NOON, zones: &sluice_testkit::utc_zones });
        Self { limiter, plan, now: NOON, calls: 0, in_flight: VecDeque::new() }
    }

    /// Returns how many rows are written for each call, where the apps make a hundred calls a
    /// second in turn and each call takes 200 ms. The first ten seconds, in which reservations find
    /// their size, are left out.
    pub fn rows_a_call(mut self) -> f64 {
        const WARM: usize = 1_000;
        const CALLS: usize = 6_000;
        let mut rows = 0;
        for call in 0..CALLS {
            if call == WARM {
                rows = 0;
            }
            self.now += 10;
            self.limiter.wake(self.time());
            rows += self.rows();
            if self.in_flight.len() == 20 {
                self.settle(Outcome::Answered);
                rows += self.rows();
            }
            self.go(call * 7);
            rows += self.rows();
        }
        f64::from(rows) / (CALLS - WARM) as f64
    }

    /// Has the vendor throttle a call and ask for a pause of a minute. No waiting call may wait so
    /// long, so all are refused.
    pub fn throttled(&mut self) {
        self.settle(Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: Some(60_000) });
        self.limiter.snapshot_due();
        let refused = std::iter::from_fn(|| self.limiter.next_ready()).filter(|(_, end)| end.is_err()).count();
        if refused != WAITING {
            unexpected(&refused);
        }
        self.limiter.next_wakeup();
    }

    /// Ends a call, so that one that waits goes.
    pub fn turn(&mut self) {
        self.now += 1;
        self.settle(Outcome::Answered);
        self.limiter.snapshot_due();
        while let Some((_, end)) = self.limiter.next_ready() {
            match end {
                Ok(grant) => self.in_flight.push_back(grant.permit),
                Err(refused) => unexpected(&refused),
            }
        }
        let now = self.time();
        self.limiter.next_borrow(now);
        self.limiter.daily_used();
        self.limiter.next_wakeup();
    }

    /// Returns the snapshot from which the next epoch begins.
    pub fn row(&mut self) -> Vec<u8> {
        self.limiter.require_snapshot();
        self.limiter.snapshot_due().unwrap_or_default()
    }

    /// Loads a limiter from the snapshot, as an object that has been started anew does.
    pub fn open(&self, row: &[u8]) -> Limiter {
        match Limiter::load(self.plan.clone(), row, self.time(), SKEW_MS) {
            Ok(limiter) => limiter,
            Err(why) => unexpected(&why),
        }
    }

    fn rows(&mut self) -> u32 {
        u32::from(self.limiter.snapshot_due().is_some())
    }

    /// Makes a call of an app, and ends it.
    fn call(&mut self, app: usize) {
        self.go(app);
        self.settle(Outcome::Answered);
    }

    fn go(&mut self, app: usize) {
        match self.admit(app, u32::MAX) {
            Admission::Granted(grant) => self.in_flight.push_back(grant.permit),
            other => unexpected(&other),
        }
    }

    /// Makes calls of all apps in turn until enough wait.
    fn fill(&mut self) {
        for call in 0..WAITING {
            match self.admit(call, u32::MAX) {
                Admission::Waiting(_) => {}
                other => unexpected(&other),
            }
        }
        self.limiter.snapshot_due();
    }

    fn admit(&mut self, app: usize, mask: u32) -> Admission {
        self.calls += 1;
        let at = app % self.plan.apps.len();
        let app = self.plan.apps.get(at).map_or("", |app| app.name.as_str());
        let call = Call { app, mask, id: self.calls, again: false, waited_ms: 0, wait_ms: None, urgency: 3 };
        self.limiter.admit(Now { wall: self.now, zones: &sluice_testkit::utc_zones }, call)
    }

    fn settle(&mut self, outcome: Outcome) {
        let Some(permit) = self.in_flight.pop_front() else { unexpected(&"nothing in flight") };
        let report = Settlement { permit, attempt: 1, outcome, since_headers_ms: 0, response_bytes: 1_000 };
        self.limiter.settle(self.time(), report);
    }

    const fn time(&self) -> Now<'static> {
        Now { wall: self.now, zones: &sluice_testkit::utc_zones }
    }
}

/// Ends the benchmark: calls that do not go as planned would measure something else.
#[cold]
fn unexpected(what: &dyn std::fmt::Debug) -> ! {
    panic!("the benchmark is out of step: {what:?}");
}

fn limit(name: &str, of: u64, kind: Kind) -> Limit {
    Limit { name: name.to_owned(), kind, of, per_app: false, pool: None, routes: 0 }
}

fn window(name: &str, calls: u64, window_ms: u64) -> Limit {
    limit(name, calls, Kind::RollingWindow { calls, window_ms, guard_ms: 0 })
}

fn slots(calls: u64) -> Limit {
    limit("concurrent", calls, Kind::Concurrency { calls, after_ms: 0 })
}

fn day() -> Limit {
    let amount = 100_000_000;
    limit("daily", amount, Kind::Daily { amount, reset: midnight(), unit: Unit::Calls })
}

fn midnight() -> Reset {
    Reset { minute: 0, zones: vec![Zone::Fixed(0)] }
}

fn plan(apps: usize, limits: Vec<Limit>) -> Plan {
    let app = |at| AppRule { name: format!("app-{at:04}"), weight: 1, daily_calls: None };
    Plan {
        limits,
        queue: QueueRule { size: 10_000, max_wait_ms: 30_000 },
        adaptive: AdaptiveRule::USUAL,
        mode: Mode::Enforce,
        apps: (0..apps).map(app).collect(),
        ceiling_ms: 60_000,
        day: midnight(),
    }
}
