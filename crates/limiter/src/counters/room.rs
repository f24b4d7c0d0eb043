//! Whether one more call fits under a counter, when it will, and how much of its figure is used.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "counts of calls that were made, and a product of 64 bits by 32 in 128"
)]

use crate::counters::counter::{Counter, CounterState};
use crate::counters::vendor_total::VendorTotal;
use crate::counters::view::View;
use crate::index::CounterId;
use crate::mutant::{self, Mutant};

/// Parts per million of the whole.
const WHOLE: u64 = 1_000_000;

impl Counter {
    /// Whether one more call fits. `at` is the counter's own number, here and below.
    pub fn has_room(&mut self, at: CounterId, view: &View<'_>) -> bool {
        if let Some(in_hand) = self.in_hand(view.time()) {
            return in_hand;
        }
        let vendor_total = self.vendor_total;
        match &mut self.state {
            CounterState::Window { window, calls, scaled } => {
                window.expire(view.time());
                let unsettled = if mutant::is(Mutant::CountBySend) { 0 } else { view.unsettled(at) };
                window.total() + unsettled < VendorTotal::lower(vendor_total, scale(*calls, *scaled, view.factor()))
            }
            CounterState::Bucket(bucket) => bucket.has_room(view.refilled(), view.unsettled(at)),
            CounterState::Daily { calendar, count, amount, .. } => {
                let amount = VendorTotal::lower(vendor_total, *amount);
                count.used < amount && (count.before < amount || !view.before_is_open(*calendar))
            }
            CounterState::Slots { calls, after_ms } => {
                view.in_slots(at, *after_ms) < scale(*calls, true, view.factor())
            }
        }
    }

    /// Returns the earliest limiter time at which `nth` more calls fit under a rate factor; 1 is
    /// the next one.
    pub fn free_at(&mut self, at: CounterId, nth: u64, factor: u32, view: &View<'_>) -> i64 {
        let time = view.time();
        if self.is_lent() {
            return self.pool_has_more_at(view).unwrap_or(time);
        }
        let vendor_total = self.vendor_total;
        match &mut self.state {
            CounterState::Window { window, calls, scaled } => {
                window.expire(time);
                let capacity = VendorTotal::lower(vendor_total, scale(*calls, *scaled, factor));
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
                let fits = |used: u64| used.saturating_add(nth) <= VendorTotal::lower(vendor_total, *amount);
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

    /// Returns when room next comes free in a full counter if nothing is settled, limiter
    /// milliseconds; none if only a settlement can free it.
    pub fn next_change(&mut self, at: CounterId, view: &View<'_>) -> Option<i64> {
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

    /// Returns how much it counts now, calls or bytes.
    pub fn used(&mut self, at: CounterId, view: &View<'_>) -> u64 {
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
                VendorTotal::lower(self.vendor_total, scale(*calls, *scaled, factor))
            }
            CounterState::Bucket(bucket) => bucket.burst(),
            CounterState::Daily { amount, .. } => VendorTotal::lower(self.vendor_total, *amount),
            CounterState::Slots { calls, .. } => scale(*calls, true, factor),
        }
    }

    /// Returns the time from one call to the next at its rate under a factor, milliseconds; none
    /// where it has no rate that follows throttles.
    pub fn pace(&self, factor: u32) -> Option<i64> {
        match &self.state {
            CounterState::Window { window, calls, scaled: true } => {
                Some(window.span() / i64::try_from(scale(*calls, true, factor)).unwrap_or(i64::MAX))
            }
            CounterState::Bucket(bucket) => Some(bucket.pace_ms(factor)),
            _ => None,
        }
    }

    /// Whether a lent permit is in hand; none where the limit is no pool's.
    pub fn in_hand(&self, time: i64) -> Option<bool> {
        let loan = self.loan.as_ref().filter(|loan| loan.is_kept())?;
        Some(loan.in_hand(time) && !self.loaned_day_is_spent())
    }

    /// Whether its calls go on what a pool has lent.
    pub fn is_lent(&self) -> bool {
        self.loan.as_ref().is_some_and(|loan| loan.is_kept())
    }

    /// Whether the vendor itself counts the day as spent: what `share` leaves to others, and all of ours.
    fn loaned_day_is_spent(&self) -> bool {
        let CounterState::Daily { amount, .. } = &self.state else { return false };
        self.vendor_of_pool().is_some_and(|n| n >= VendorTotal::lower(self.vendor_total, *amount))
    }

    /// Returns the vendor's count of a pool's day, less what `share` leaves to others.
    pub fn vendor_of_pool(&self) -> Option<u64> {
        let others = self.loan.as_ref()?.others;
        self.vendor_count.map(|n| n.saturating_sub(others))
    }

    /// Whether a call only lacks a loan here, and the pool is not known to be empty.
    pub fn awaits_loan(&self, view: &View<'_>) -> bool {
        self.in_hand(view.time()) == Some(false) && self.pool_has_more_at(view).is_none_or(|at| at <= view.time())
    }

    /// Returns when its pool, which is empty, has more, limiter milliseconds; none where the limit
    /// is no pool's, or the pool not known to be empty.
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

/// Returns a count under the rate factor: rounded down, at least 1.
fn scale(calls: u64, scaled: bool, factor: u32) -> u64 {
    if !scaled || u64::from(factor) == WHOLE {
        return calls;
    }
    let part = u128::from(calls) * u128::from(factor) / u128::from(WHOLE);
    u64::try_from(part).unwrap_or(calls).max(1)
}
