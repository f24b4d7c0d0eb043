//! One counter of one limit: whether one more call fits, and when; and what a grant, a settlement and a new day do to it.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "counts of calls that were made, and a product of 64 bits by 32 in 128"
)]

use crate::Denial;
use crate::config::{Kind, Limit, Mode};
use crate::days::Days;
use crate::durable::prior_epochs::PriorEpochs;
use crate::epoch::Epoch;
use crate::index::{AppId, CalendarId};
use crate::leases::Leases;
use crate::limits::daily_quota::Daily;
use crate::limits::rolling_window::Window;
use crate::limits::token_bucket::Bucket;
use crate::mutant::{self, Mutant};
use crate::pauses::Pauses;
use crate::pool::loan::Loan;
use crate::rate::Rate;

/// Parts per million of the whole.
const WHOLE: u64 = 1_000_000;

/// What a counter stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterKey {
    /// Limit i of the plan.
    Limit(u32),
    /// An app's `daily_calls`, or, without a budget, just its count of the day.
    Budget,
}

/// One counter of one limit: the connection's, or one app's.
#[derive(Debug, Clone)]
pub struct Counter {
    pub key: CounterKey,
    pub app: Option<AppId>,
    pub state: CounterState,
    /// What the vendor says it has counted: of a day, the most that it has said on it.
    pub vendor: Option<u64>,
    /// Of how many it says that it has counted them: of a day, or of any 24 hours.
    pub told: Option<VendorCount>,
    /// Where it is a pool's, what that has lent.
    pub loan: Option<Box<Loan>>,
    /// Calls that it has refused of late.
    pub refused: Together,
}

/// The vendor's own total, which holds where it is lower than the policy's figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VendorCount {
    /// As the vendor tells it.
    pub total: u64,
    /// The limit's share of it, at least 1.
    most: u64,
}

impl VendorCount {
    /// That total under a limit, which has a share of what there is.
    pub fn of(total: u64, limit: &Limit) -> Self {
        let amount = match &limit.kind {
            Kind::Daily { amount, .. } => *amount,
            Kind::RollingDay { calls } => *calls,
            _ => limit.of,
        };
        let most = u128::from(total) * u128::from(amount) / u128::from(limit.of.max(amount).max(1));
        Self { total, most: u64::try_from(most).unwrap_or(u64::MAX).max(1) }
    }

    /// A figure of the policy's, or this where it is lower.
    fn estimate(told: Option<Self>, figure: u64) -> u64 {
        told.map_or(figure, |told| told.most.min(figure))
    }
}

/// Calls refused within a second of the first of them: those refused together are told successive times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Together {
    since: i64,
    n: u32,
}

impl Together {
    /// For how long the refused are together, milliseconds.
    const MS: i64 = 1_000;

    /// How many there are.
    pub fn count(&self, time: i64) -> u64 {
        if time.saturating_sub(self.since) < Self::MS { u64::from(self.n) } else { 0 }
    }

    /// One more is refused.
    pub fn add(&mut self, time: i64) {
        if self.count(time) == 0 {
            *self = Self { since: time, n: 0 };
        }
        self.n = self.n.saturating_add(1);
    }
}

/// How a counter counts.
#[derive(Debug, Clone)]
pub enum CounterState {
    Window { window: Window, calls: u64, scaled: bool },
    Bucket(Bucket),
    Daily { calendar: CalendarId, count: Daily, amount: u64, bytes: bool },
    Slots { calls: u64, after_ms: i64 },
}

/// What counters depend on beside themselves, at one moment.
pub struct View<'a> {
    pub epoch: &'a Epoch,
    pub rate: &'a Rate,
    pub days: &'a Days,
    pub leases: &'a Leases,
    pub prior: &'a PriorEpochs,
    /// What an operator has stopped.
    pub pauses: &'a Pauses,
    /// Whether limits are kept or only watched.
    pub mode: Mode,
}

impl<'a> View<'a> {
    /// The limiter time, milliseconds.
    pub const fn time(&self) -> i64 {
        self.epoch.time()
    }

    /// The rate factor, parts per million.
    pub const fn factor(&self) -> u32 {
        self.rate.factor()
    }

    /// The counters that count a lane's calls.
    pub fn counters_of(&self, lane: u32) -> &'a [u32] {
        self.leases.counters(lane)
    }

    /// Whether the day before is still open under a calendar.
    pub fn before_is_open(&self, calendar: CalendarId) -> bool {
        self.days.before_is_open(calendar, self.epoch.wall())
    }

    /// Calls in flight, or settled at a time not yet known, that a counter counts.
    fn unsettled(&self, counter: u32) -> u64 {
        self.leases.in_flight(counter) + self.prior.unsettled(counter)
    }

    /// The reading of the time in which tokens come back, now.
    pub fn refilled(&self) -> i128 {
        self.rate.refilled(self.time())
    }

    /// Calls in flight that a concurrency limit counts.
    pub fn in_slots(&self, counter: u32, after_ms: i64) -> u64 {
        // Which calls of earlier lives are old is not known.
        let own = if after_ms == 0 { self.leases.in_flight(counter) } else { self.leases.aged(counter) };
        self.prior.in_flight(counter) + own
    }
}

impl Counter {
    /// Whether one more call fits; `at` is the counter's own number.
    pub fn has_room(&mut self, at: u32, view: &View<'_>) -> bool {
        if let Some(in_hand) = self.in_hand(view.time()) {
            return in_hand;
        }
        let told = self.told;
        match &mut self.state {
            CounterState::Window { window, calls, scaled } => {
                window.expire(view.time());
                let unsettled = if mutant::is(Mutant::CountBySend) { 0 } else { view.unsettled(at) };
                window.total() + unsettled < VendorCount::estimate(told, scale(*calls, *scaled, view.factor()))
            }
            CounterState::Bucket(bucket) => bucket.has_room(view.refilled(), view.unsettled(at)),
            CounterState::Daily { calendar, count, amount, .. } => {
                let amount = VendorCount::estimate(told, *amount);
                count.used < amount && (count.before < amount || !view.before_is_open(*calendar))
            }
            CounterState::Slots { calls, after_ms } => {
                view.in_slots(at, *after_ms) < scale(*calls, true, view.factor())
            }
        }
    }

    /// The least limiter time at which the `nth` (from 1) more call fits, under a rate factor.
    pub fn free_at(&mut self, at: u32, nth: u64, factor: u32, view: &View<'_>) -> i64 {
        let time = view.time();
        if self.is_lent() {
            return self.pool_has_more_at(view).unwrap_or(time);
        }
        let told = self.told;
        match &mut self.state {
            CounterState::Window { window, calls, scaled } => {
                window.expire(time);
                let capacity = VendorCount::estimate(told, scale(*calls, *scaled, factor));
                let (rounds, place) = if nth <= capacity {
                    (0, nth)
                } else {
                    ((nth - 1) / capacity.max(1), (nth - 1) % capacity.max(1) + 1)
                };
                let counted = window.total() + view.unsettled(at);
                let first = if counted + place <= capacity {
                    time
                } else {
                    window.release(counted + place - capacity).unwrap_or(time.saturating_add(window.span()))
                };
                first.saturating_add(window.span().saturating_mul(i64::try_from(rounds).unwrap_or(i64::MAX)))
            }
            CounterState::Bucket(bucket) => {
                time.saturating_add(bucket.wait_ms(view.refilled(), view.unsettled(at), nth - 1, factor))
            }
            CounterState::Daily { calendar, count, amount, .. } => {
                let Some(days) = view.days.get(*calendar) else { return time };
                let fits = |used: u64| used.saturating_add(nth) <= VendorCount::estimate(told, *amount);
                if !fits(count.used) {
                    view.epoch.limiter_time(days.over())
                } else if view.before_is_open(*calendar) && !fits(count.before) {
                    view.epoch.limiter_time(days.before_over())
                } else {
                    time
                }
            }
            CounterState::Slots { .. } => time,
        }
    }

    /// When something next frees room, once it is full, by time alone; none if only a settlement can.
    pub fn next_change(&mut self, at: u32, view: &View<'_>) -> Option<i64> {
        let later = view.time().saturating_add(1);
        if self.is_lent() {
            return self.pool_has_more_at(view).map(|at| at.max(later));
        }
        let next = match &self.state {
            CounterState::Window { window, .. } => window.release(1)?,
            CounterState::Bucket(bucket) => {
                let wait = bucket.wait_by_time_ms(view.refilled(), view.unsettled(at), view.factor())?;
                view.time().saturating_add(wait)
            }
            CounterState::Daily { .. } => self.free_at(at, 1, view.factor(), view),
            CounterState::Slots { .. } => return None,
        };
        Some(next.max(later))
    }

    /// What it counts now: calls, or bytes.
    pub fn used(&mut self, at: u32, view: &View<'_>) -> u64 {
        match &mut self.state {
            CounterState::Window { window, .. } => {
                window.expire(view.time());
                window.total() + view.unsettled(at)
            }
            CounterState::Bucket(bucket) => {
                let (full, left) = (bucket.burst(), bucket.left(view.refilled(), view.unsettled(at)));
                full - left.min(full)
            }
            CounterState::Daily { calendar, count, .. } => {
                let own = count.most(view.before_is_open(*calendar));
                self.loan.as_ref().map_or(own, |loan| own.max(loan.pool_used()))
            }
            CounterState::Slots { after_ms, .. } => view.in_slots(at, *after_ms),
        }
    }

    /// Its figure in force under a rate factor.
    pub fn capacity(&self, factor: u32) -> u64 {
        match &self.state {
            CounterState::Window { calls, scaled, .. } => {
                VendorCount::estimate(self.told, scale(*calls, *scaled, factor))
            }
            CounterState::Bucket(bucket) => bucket.burst(),
            CounterState::Daily { amount, .. } => VendorCount::estimate(self.told, *amount),
            CounterState::Slots { calls, .. } => scale(*calls, true, factor),
        }
    }

    /// Milliseconds a call, at its rate under a factor; none where it has no rate that follows the vendor's throttles.
    pub fn pace(&self, factor: u32) -> Option<i64> {
        match &self.state {
            CounterState::Window { window, calls, scaled: true } => {
                Some(window.span() / i64::try_from(scale(*calls, true, factor)).unwrap_or(i64::MAX))
            }
            CounterState::Bucket(bucket) => Some(bucket.pace_ms(factor)),
            _ => None,
        }
    }

    /// What refuses on a spent day, if it does.
    pub fn day_reason(&self) -> Option<Denial> {
        match (&self.state, self.key) {
            (CounterState::Daily { .. }, CounterKey::Budget) => Some(Denial::AppBudget),
            (CounterState::Daily { .. } | CounterState::Window { scaled: false, .. }, _) => Some(Denial::DailyQuota),
            _ => None,
        }
    }

    /// Why, being full, it holds up a call that may not wait.
    pub const fn rate_reason(&self) -> Denial {
        match self.state {
            CounterState::Slots { .. } => Denial::Concurrency,
            _ => Denial::Rate,
        }
    }

    /// A call is granted: a day counts it from now on.
    pub fn grant(&mut self, view: &View<'_>) {
        if let Some(loan) = &mut self.loan {
            loan.spend();
        }
        if let CounterState::Daily { calendar, count, bytes: false, .. } = &mut self.state {
            count.count(1, view.before_is_open(*calendar));
        }
    }

    /// `n` calls were settled at `at`.
    pub fn date(&mut self, at: i64, n: u32, view: &View<'_>) {
        match &mut self.state {
            CounterState::Window { window, calls, .. } => {
                window.push(at, n);
                if view.mode == Mode::Observe {
                    window.keep_latest(*calls);
                }
            }
            CounterState::Bucket(bucket) if n > 0 => {
                bucket.settle(view.rate.refilled(at), n);
                if view.mode == Mode::Observe {
                    bucket.forgive(view.refilled());
                }
            }
            _ => {}
        }
    }

    /// One call that was dated at `before` is dated later after all: its lease had lapsed, and then it was answered.
    pub fn date_again(&mut self, before: i64, at: i64, view: &View<'_>) {
        if let CounterState::Window { window, .. } = &mut self.state {
            window.expire(view.time());
            window.take_back(before);
        }
        self.date(at, 1, view);
    }

    /// So many bytes came back. Whether it counts them.
    pub fn count_bytes(&mut self, n: u64, view: &View<'_>) -> bool {
        match &mut self.state {
            CounterState::Daily { calendar, count, bytes: true, .. } => {
                count.count(n, view.before_is_open(*calendar));
                true
            }
            _ => false,
        }
    }

    /// Whether there is a permit in hand; none where the counter is no pool's.
    pub fn in_hand(&self, time: i64) -> Option<bool> {
        let loan = self.loan.as_ref().filter(|loan| loan.is_kept())?;
        Some(loan.in_hand(time) && !self.loaned_day_is_spent())
    }

    /// Whether its calls go on what a pool has lent.
    pub fn is_lent(&self) -> bool {
        self.loan.as_ref().is_some_and(|loan| loan.is_kept())
    }

    /// The vendor itself says that the day is spent: more than what `share` leaves to others, and all of ours.
    fn loaned_day_is_spent(&self) -> bool {
        let CounterState::Daily { amount, .. } = &self.state else { return false };
        self.vendor_of_pool().is_some_and(|n| n >= VendorCount::estimate(self.told, *amount))
    }

    /// The vendor's count of a pool's day, less what `share` leaves to others.
    pub fn vendor_of_pool(&self) -> Option<u64> {
        let others = self.loan.as_ref()?.others;
        self.vendor.map(|n| n.saturating_sub(others))
    }

    /// The call lacks nothing that is known to be wanting: only a loan, whose pool is not known to be empty.
    pub fn awaits_loan(&self, view: &View<'_>) -> bool {
        self.in_hand(view.time()) == Some(false) && self.pool_has_more_at(view).is_none_or(|at| at <= view.time())
    }

    /// When its pool, which is empty, has more. None where it is no pool's, or not known to be empty.
    pub fn pool_has_more_at(&self, view: &View<'_>) -> Option<i64> {
        let loan = self.loan.as_ref()?;
        if let CounterState::Daily { calendar, .. } = &self.state
            && self.loaned_day_is_spent()
        {
            return view.days.get(*calendar).map(|days| view.epoch.limiter_time(days.over()));
        }
        let (until, more) = loan.dry_at(view.time())?;
        Some(view.epoch.limiter_time(more).max(until))
    }
}

/// A count under the rate factor: rounded down, at least 1.
fn scale(calls: u64, scaled: bool, factor: u32) -> u64 {
    if !scaled || u64::from(factor) == WHOLE {
        return calls;
    }
    let part = u128::from(calls) * u128::from(factor) / u128::from(WHOLE);
    u64::try_from(part).unwrap_or(calls).max(1)
}
