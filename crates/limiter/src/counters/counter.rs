//! One counter of one limit, and what a grant, a settlement and a new day do to it. Whether it has room, and when, is in
//! [`room`](super::room).

use crate::Denial;
use crate::config::{Mode, Unit};
use crate::counters::together::Together;
use crate::counters::vendor_total::VendorTotal;
use crate::counters::view::View;
use crate::index::{AppId, CalendarId, LimitId};
use crate::limits::daily_quota::{Daily, Turn};
use crate::limits::rolling_window::Window;
use crate::limits::token_bucket::Bucket;
use crate::mutant::{self, Mutant};
use crate::pool::loan::Loan;

/// What a counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterKey {
    /// The calls under a limit of the plan.
    Limit(LimitId),
    /// An app's calls on the connection's own day, for its `daily_calls` where it has them.
    Budget,
}

/// One counter of one limit: the connection's, or one app's.
#[derive(Debug, Clone)]
pub struct Counter {
    pub key: CounterKey,
    pub app: Option<AppId>,
    pub state: CounterState,
    /// The vendor's own count, where its answers tell it; of a day the highest on it.
    pub vendor_count: Option<u64>,
    /// The vendor's own total, of a day or of any 24 hours, where its answers tell it.
    pub vendor_total: Option<VendorTotal>,
    /// What its pool has lent, where its limit is a pool's.
    pub loan: Option<Box<Loan>>,
    /// The calls that it has refused of late.
    pub refused: Together,
}

/// How a counter counts, and what it has counted.
#[derive(Debug, Clone)]
pub enum CounterState {
    Window { window: Window, calls: u64, scaled: bool },
    Bucket(Bucket),
    Daily { calendar: CalendarId, count: Daily, amount: u64, unit: Unit },
    Slots { calls: u64, after_ms: i64 },
}

impl Counter {
    /// Returns a counter that begins with `state`.
    pub fn new(key: CounterKey, app: Option<AppId>, state: CounterState, loan: Option<Box<Loan>>) -> Self {
        Self { key, app, state, vendor_count: None, vendor_total: None, loan, refused: Together::default() }
    }

    /// Opens a new day under a calendar, with so many calls in flight that this counter counts.
    pub fn open_day(&mut self, calendar: CalendarId, turn: Turn, in_flight: impl FnOnce() -> u64) {
        let CounterState::Daily { calendar: kept, count, unit, .. } = &mut self.state else { return };
        if *kept != calendar {
            return;
        }
        let in_flight = in_flight();
        let counted = *unit == Unit::Calls && !mutant::is(Mutant::OneSided);
        count.turn(turn, if counted { in_flight } else { 0 });
        (self.vendor_count, self.vendor_total) = (None, None);
        if let Some(loan) = &mut self.loan {
            loan.open_day(in_flight);
        }
    }

    /// Returns the reason with which it refuses for the rest of a day; none for a limit that is not
    /// by the day.
    pub fn day_reason(&self) -> Option<Denial> {
        match (&self.state, self.key) {
            (CounterState::Daily { .. }, CounterKey::Budget) => Some(Denial::AppBudget),
            (CounterState::Daily { .. } | CounterState::Window { scaled: false, .. }, _) => Some(Denial::DailyQuota),
            _ => None,
        }
    }

    /// Returns the reason with which it refuses a call that may not wait.
    pub const fn rate_reason(&self) -> Denial {
        match self.state {
            CounterState::Slots { .. } => Denial::Concurrency,
            _ => Denial::Rate,
        }
    }

    /// Counts a granted call: a day counts it from now on.
    pub fn grant(&mut self, view: &View<'_>) {
        if let Some(loan) = &mut self.loan {
            loan.spend();
        }
        if let CounterState::Daily { calendar, count, unit: Unit::Calls, .. } = &mut self.state {
            count.count(1, view.before_is_open(*calendar));
        }
    }

    /// Counts `n` calls as settled at `at`, limiter milliseconds.
    pub fn record_settled(&mut self, at: i64, n: u32, view: &View<'_>) {
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

    /// Counts a call as settled at `at` that was counted as settled at `before`: its lease had lapsed, and then it was answered.
    pub fn record_again(&mut self, before: i64, at: i64, view: &View<'_>) {
        if let CounterState::Window { window, .. } = &mut self.state {
            window.expire(view.time());
            window.take_back(before);
        }
        self.record_settled(at, 1, view);
    }

    /// Counts so many bytes of an answer. Returns whether the limit counts bytes.
    pub fn count_bytes(&mut self, n: u64, view: &View<'_>) -> bool {
        match &mut self.state {
            CounterState::Daily { calendar, count, unit: Unit::ResponseBytes, .. } => {
                count.count(n, view.before_is_open(*calendar));
                true
            }
            _ => false,
        }
    }
}
