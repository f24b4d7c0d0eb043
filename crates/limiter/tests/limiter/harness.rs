//! A connection on a virtual clock.

use sluice_limiter::calendar::{Reset, Zone};
use sluice_limiter::{
    AdaptiveRule, Admission, AppRule, Call, Counted, Grant, Kind, Limit, Limiter, Mode, Now, Outcome, PermitId, Plan,
    QueueRule, Refused, Settled, Settlement, Stays, Ticket, Unit,
};

/// 2026-06-15 12:00 UTC.
pub const NOON: i64 = 1_781_524_800_000;

pub struct Harness {
    pub now: i64,
    pub limiter: Limiter,
    pub rows: Vec<Vec<u8>>,
    pub next: u128,
}

impl Harness {
    pub fn new(plan: Plan) -> Self {
        Self::at(plan, NOON)
    }

    pub fn at(plan: Plan, now: i64) -> Self {
        let limiter = Limiter::new(plan, Now { wall: now, zones: &sluice_testkit::time_zones });
        Self { now, limiter, rows: Vec::new(), next: 0 }
    }

    pub fn time(&self) -> Now<'static> {
        Now { wall: self.now, zones: &sluice_testkit::time_zones }
    }

    pub fn admit(&mut self, call: Call<'_>) -> Admission {
        self.next += 1;
        let admission = self.limiter.admit(self.time(), Call { id: self.next, ..call });
        self.rows.extend(self.limiter.snapshot_due());
        admission
    }

    /// Puts another policy in force; whoever waits stays.
    pub fn edit(&mut self, plan: Plan) {
        let now = self.time();
        let stays = |_: Ticket, _: &str| Some(Stays { mask: u32::MAX, wait_ms: None });
        self.limiter.replan(plan, now, stays);
        self.rows.extend(self.limiter.snapshot_due());
    }

    /// Asks without waiting.
    pub fn try_now(&mut self, app: &str) -> Result<Grant, Refused> {
        match self.admit(Call { wait_ms: Some(0), ..call(app) }) {
            Admission::Granted(grant) => Ok(grant),
            Admission::Refused(refused) => Err(refused),
            Admission::Waiting(_) => panic!("a call that may not wait was made to"),
        }
    }

    pub fn wait(&mut self, app: &str) -> Ticket {
        match self.admit(call(app)) {
            Admission::Waiting(ticket) => ticket,
            other => panic!("expected to wait: {other:?}"),
        }
    }

    pub fn settle(&mut self, permit: PermitId, outcome: Outcome) -> Settled {
        let report = Settlement { permit, attempt: 1, outcome, since_headers_ms: 0, response_bytes: 0 };
        let settled = self.limiter.settle(self.time(), report);
        self.rows.extend(self.limiter.snapshot_due());
        settled
    }

    /// A call's answer, whose headers came so long ago, says that the vendor has counted `n` on the limit `daily`.
    pub fn told(&mut self, permit: PermitId, since_headers_ms: u64, n: u64) {
        self.told_of(permit, since_headers_ms, Counted { limit: "daily".to_owned(), n, left: false, total: None });
    }

    pub fn told_of(&mut self, permit: PermitId, since_headers_ms: u64, counted: Counted) {
        self.limiter.on_vendor_count(self.time(), permit, since_headers_ms, &[counted]);
        self.rows.extend(self.limiter.snapshot_due());
    }

    /// One call, answered at once.
    pub fn call(&mut self, app: &str) -> Result<(), Refused> {
        let grant = self.try_now(app)?;
        self.settle(grant.permit, Outcome::Answered);
        Ok(())
    }

    /// Goes on to a time, waking the throttle whenever it asks to be. Gives what became of waiting calls, and when.
    pub fn go_to(&mut self, at: i64) -> Vec<(i64, Ticket, Result<Grant, Refused>)> {
        let mut ended = Vec::new();
        loop {
            while let Some((ticket, outcome)) = self.limiter.next_ready() {
                ended.push((self.now, ticket, outcome));
            }
            let Some(wake) = self.limiter.next_wakeup().filter(|wake| *wake <= at) else { break };
            assert!(wake > self.now, "woken for nothing");
            self.now = wake;
            self.limiter.wake(self.time());
            self.rows.extend(self.limiter.snapshot_due());
        }
        self.now = at;
        ended
    }

    pub fn used(&mut self) -> Vec<u64> {
        self.limiter.tick(self.time());
        self.limiter.limits().iter().map(|limit| limit.used).collect()
    }
}

pub fn call(app: &str) -> Call<'_> {
    Call { app, mask: u32::MAX, id: 0, again: false, waited_ms: 0, wait_ms: None, urgency: 3 }
}

pub fn plan(limits: Vec<Limit>) -> Plan {
    Plan {
        limits,
        queue: QueueRule { size: 100, max_wait_ms: 10_000 },
        adaptive: AdaptiveRule::USUAL,
        mode: Mode::Enforce,
        apps: ["a", "b"].map(|name| AppRule { name: name.to_owned(), weight: 1, daily_calls: None }).into(),
        ceiling_ms: 60_000,
        day: zone("Etc/UTC"),
    }
}

pub fn limit(name: &str, kind: Kind) -> Limit {
    Limit { name: name.to_owned(), kind, of: 0, per_app: false, pool: None, routes: 0 }
}

pub fn window(calls: u64, seconds: u64) -> Limit {
    limit("window", Kind::RollingWindow { calls, window_ms: seconds * 1_000, guard_ms: 0 })
}

pub fn bucket(per_second: u64, burst: u64) -> Limit {
    limit("bucket", Kind::TokenBucket { rate_micro: per_second * 1_000_000, burst })
}

pub fn slots(calls: u64) -> Limit {
    limit("slots", Kind::Concurrency { calls, after_ms: 0 })
}

pub fn daily(amount: u64, reset: Reset) -> Limit {
    limit("daily", Kind::Daily { amount, reset, unit: Unit::Calls })
}

pub fn zone(name: &str) -> Reset {
    Reset { minute: 0, zones: vec![Zone::Iana(name.to_owned())] }
}
