//! Reports of a connection's limits, queue and day, for the status document and the `RateLimit` fields.

#![expect(clippy::arithmetic_side_effects, reason = "places among at most 33 counters")]

use crate::PermitId;
use crate::config::{Kind, Unit};
use crate::counters::counter::{CounterKey, CounterState};
use crate::index::{AppId, CalendarId, CounterId, LaneId, LimitId};
use crate::limiter::{Limiter, Now};
use crate::limits::daily_quota::{is_unknown, known};
use crate::limits::rolling_window;

/// One limit, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitReport {
    /// Its name.
    pub name: String,
    /// Its kind, as a policy writes it.
    pub kind: &'static str,
    /// The figure in force, after share and rate factor.
    pub limit: u64,
    /// The figure before share.
    pub of: u64,
    /// What is counted now, in flight included.
    pub used: u64,
    /// What is left.
    pub remaining: u64,
    /// When a day's count ends, Unix milliseconds.
    pub reset_at: Option<i64>,
    /// The vendor's own count, where its answers tell it.
    pub vendor_used: Option<u64>,
    /// The vendor's own total, where its answers tell it.
    pub vendor_limit: Option<u64>,
}

/// A connection's day, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayReport {
    /// Its date.
    pub date: String,
    /// The calls of each app.
    pub apps: Vec<(String, u64)>,
    /// When the day opened, Unix milliseconds.
    pub from: i64,
    /// When the day surely ends, Unix milliseconds.
    pub to: i64,
}

/// The wait queue, as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueReport {
    /// How many calls wait.
    pub depth: usize,
    /// How many calls may wait.
    pub size: u32,
    /// How long the first of them has waited, milliseconds.
    pub oldest_wait_ms: u64,
}

/// One item of the `RateLimit` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left<'a> {
    /// The limit's name.
    pub name: &'a str,
    /// How many calls or bytes are left.
    pub remaining: u64,
    /// After how many seconds there is more; none where only answers bring it.
    pub seconds: Option<u64>,
}

impl Limiter {
    /// Moves on to now, so that the reports are of now.
    pub fn tick(&mut self, now: Now<'_>) {
        self.begin(now);
    }

    /// Reports on all limits. Of a limit by app it is the app that has used most.
    pub fn limits(&mut self) -> Vec<LimitReport> {
        let mut reports = Vec::new();
        for at in LimitId::all(self.plan.limits.len()) {
            let counters: Vec<CounterId> = self.counters.of_limit(at).map(|(_, counter)| counter).collect();
            let fullest = counters.into_iter().max_by_key(|counter| self.used(*counter));
            let counter = fullest.unwrap_or(CounterId::NONE);
            let (used, reset_at) = (self.used(counter), self.reset_at(counter));
            let used = used.max(self.begins_with(at));
            let of_vendor = self.counters.get(counter);
            let vendor_used = of_vendor.and_then(|counter| counter.vendor_count);
            let vendor_limit = of_vendor.and_then(|counter| counter.vendor_total).map(|vendor| vendor.total);
            let Some(limit) = self.plan.limit(at) else { continue };
            let capacity = if fullest.is_some() { self.capacity(counter) } else { full(&limit.kind) };
            reports.push(LimitReport {
                name: limit.name.clone(),
                kind: kind_name(&limit.kind),
                limit: capacity,
                of: limit.of,
                used: shown(&limit.kind, used, capacity),
                remaining: capacity.saturating_sub(used),
                reset_at,
                vendor_used,
                vendor_limit,
            });
        }
        reports
    }

    /// Returns what every app begins with on a day by app, where that is no less than what it may
    /// have sent.
    fn begins_with(&self, limit: LimitId) -> u64 {
        match self.counters.before(limit) {
            Some(CounterState::Daily { calendar, count, .. }) if *calendar != CalendarId::OWN => {
                count.most(self.before_is_open(*calendar))
            }
            _ => 0,
        }
    }

    fn reset_at(&self, counter: CounterId) -> Option<i64> {
        match self.counters.state(counter)? {
            CounterState::Daily { calendar, .. } => Some(self.days.get(*calendar)?.over()),
            _ => None,
        }
    }

    /// Reports on the queue.
    pub fn queue(&self) -> QueueReport {
        let oldest = self.queue.oldest().map_or(0, |since| self.epoch.time().saturating_sub(since));
        QueueReport {
            depth: self.queue.callers(),
            size: self.plan.queue.size,
            oldest_wait_ms: u64::try_from(oldest).unwrap_or(0),
        }
    }

    /// Returns the rate factor, parts per million.
    pub const fn factor_ppm(&self) -> u32 {
        self.rate.factor()
    }

    /// Returns until when the connection is paused, Unix milliseconds.
    pub fn paused_until(&self) -> Option<i64> {
        let time = self.epoch.time();
        self.rate.paused(time).map(|until| self.epoch.wall_time(until))
    }

    /// Reports on the connection's own day.
    pub fn day(&self) -> Option<DayReport> {
        let days = self.days.own()?;
        let budget = |app: AppId| self.counters.budget(app).and_then(|budget| self.counters.state(budget));
        let budgets = self.apps.iter().filter_map(|(at, app)| Some((app, budget(at)?)));
        let apps = budgets.filter_map(|(app, state)| match state {
            CounterState::Daily { count, .. } => Some((app.name.clone(), known(count.used))),
            _ => None,
        });
        let day = days.today();
        Some(DayReport { date: day.date.clone(), apps: apps.collect(), from: day.opens.0, to: days.over() })
    }

    /// Calls `each` with what is left of each limit that counts a permit's call, in the plan's order.
    pub fn left(&mut self, permit: PermitId, mut each: impl FnMut(Left<'_>)) {
        self.left_on(LaneId(permit.lane), &mut each);
    }

    /// Calls `each` with what is left of each limit in `mask` for an app's calls, in the plan's order.
    pub fn left_for(&mut self, app: &str, mask: u32, mut each: impl FnMut(Left<'_>)) {
        if let Some((_, lane)) = self.lane_of(app, mask) {
            self.left_on(lane, &mut each);
        }
    }

    fn left_on(&mut self, lane: LaneId, each: &mut impl FnMut(Left<'_>)) {
        let time = self.epoch.time();
        for place in 0..self.leases.counters(lane).len() {
            let Some(&counter) = self.leases.counters(lane).get(place) else { continue };
            let Some(CounterKey::Limit(at)) = self.counters.get(counter).map(|counter| counter.key) else {
                continue;
            };
            let used = self.used(counter);
            let remaining = self.capacity(counter).saturating_sub(used);
            let seconds = if used == 0 { None } else { self.more_in(counter, time) };
            if let Some(limit) = self.plan.limit(at) {
                each(Left { name: &limit.name, remaining, seconds });
            }
        }
    }

    /// Returns after how many seconds a counter that has counted something counts less.
    fn more_in(&mut self, counter: CounterId, time: i64) -> Option<u64> {
        let at = match self.counters.state(counter)? {
            CounterState::Window { window, .. } => window.release(1).unwrap_or(time.saturating_add(window.span())),
            CounterState::Bucket(bucket) => time.saturating_add(bucket.pace_ms(self.rate.factor())),
            CounterState::Daily { calendar, .. } => self.epoch.limiter_time(self.days.get(*calendar)?.over()),
            CounterState::Slots { .. } => return None,
        };
        Some(u64::try_from(at.saturating_sub(time)).unwrap_or(0).div_ceil(1_000))
    }
}

/// Returns a kind's name, as a policy writes it.
pub const fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::TokenBucket { .. } => "token_bucket",
        Kind::RollingWindow { .. } => "rolling_window",
        Kind::RollingDay { .. } => "rolling_day",
        Kind::Daily { .. } => "daily",
        Kind::Concurrency { .. } => "concurrency",
    }
}

/// Returns the count that is shown. Where not all is known of it, the limit shows as full, or as
/// more if more is known.
fn shown(kind: &Kind, used: u64, capacity: u64) -> u64 {
    match kind {
        Kind::Daily { .. } if is_unknown(used) => known(used).max(capacity),
        Kind::RollingWindow { .. } | Kind::RollingDay { .. } if used >= rolling_window::UNKNOWN.into() => capacity,
        _ => used,
    }
}

const fn full(kind: &Kind) -> u64 {
    match kind {
        Kind::TokenBucket { burst, .. } => *burst,
        Kind::RollingWindow { calls, .. } | Kind::RollingDay { calls } | Kind::Concurrency { calls, .. } => *calls,
        Kind::Daily { amount, .. } => *amount,
    }
}

/// Returns the figures of a limit in the `RateLimit-Policy` field: quota, unit, and window in
/// seconds.
pub fn policy_item(kind: &Kind) -> (u64, &'static str, Option<u64>) {
    match kind {
        Kind::TokenBucket { rate_micro, burst } => {
            let seconds = (*burst as u128 * 1_000_000).div_ceil(if *rate_micro == 0 { 1 } else { *rate_micro } as u128);
            (*burst, "requests", Some(if seconds == 0 { 1 } else { u64::try_from(seconds).unwrap_or(u64::MAX) }))
        }
        Kind::RollingWindow { calls, window_ms, .. } => (*calls, "requests", Some(window_ms.div_ceil(1_000))),
        Kind::RollingDay { calls } => (*calls, "requests", Some(86_400)),
        Kind::Daily { amount, unit: Unit::Calls, .. } => (*amount, "requests", Some(86_400)),
        Kind::Daily { amount, unit: Unit::ResponseBytes, .. } => (*amount, "content-bytes", Some(86_400)),
        Kind::Concurrency { calls, .. } => (*calls, "concurrent-requests", None),
    }
}
