//! How many permits to reserve: a forecast by what was used of late, bounded by what the limits can grant until the reservation ends.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "calls in flight, and reserved permits that are at most 256 a snapshot"
)]

use crate::config::{Kind, Unit};
use crate::counters::counter::CounterState;
use crate::durable::reservation::RESERVATION_MS;
use crate::index::{CounterId, LaneId, LimitId};
use crate::limiter::Limiter;

impl Limiter {
    /// Returns how many permits will be wanted until the next snapshot, by how many were `used`
    /// since the last one, which reserved `size`, of which so many are `left`. If the last ran out
    /// in time it is twice as many as that had; else what was used of it and a quarter more, halved
    /// for each second since, so that a long silence starts over. The grant that requires the
    /// snapshot is in it, and not reserved.
    pub(super) fn forecast(&self, live: bool, ran_out: bool, (used, left, size): (u64, u64, u64), time: i64) -> u64 {
        let spared = used.saturating_sub(1);
        if ran_out || (live && size == 0 && used > 0) {
            return 2 * size.max(1);
        }
        if live && left > 0 {
            return left.max(size);
        }
        let over = self.reservation.until.max(self.reservation.last_close);
        let seconds = time.saturating_sub(over).max(0) / 1_000;
        u32::try_from(seconds).ok().and_then(|halvings| (spared * 5 / 4).checked_shr(halvings)).unwrap_or(0)
    }

    /// Returns how many permits of a `reservation` a lane gets: as many as it will want by itself;
    /// or one where other lanes call too and it has called of late or waits, so that of many lanes
    /// that each call now and then none needs a snapshot of its own.
    pub(super) fn next_reserved(&self, lane: LaneId, live: bool, reservation: u64, time: i64) -> u64 {
        /// A lane that has called within this time may call again, milliseconds.
        const LATELY_MS: i64 = 60_000;
        let Some(entry) = self.leases.lanes().get(lane) else { return 0 };
        let (used, reserved, last) = (u64::from(entry.used), u64::from(entry.reserved), u64::from(entry.last_reserved));
        let ran_out = live && reserved == 0 && used > 0;
        let wanted = self.forecast(live, ran_out, (used, reserved, last), time);
        let lately = time.saturating_sub(entry.last_grant) <= LATELY_MS || entry.waiting > 0;
        let others = self.reservation.used > used && lately;
        wanted.max(u64::from(others)).min(reservation)
    }

    /// Returns the counters that count every call.
    pub(super) fn common_counters(&self) -> Vec<CounterId> {
        let masks = self.leases.lanes().classes().map(|(_, class)| class.mask);
        self.counters.shared_under(masks.fold(u32::MAX, |all, mask| all & mask))
    }

    /// Returns the slots of the smallest concurrency limit that counts every call: no more can be
    /// in flight.
    pub(super) fn slots_of_all(&self) -> u64 {
        let of_all = |at: LimitId| self.leases.lanes().classes().all(|(_, class)| at.is_in(class.mask));
        let limits = self.rules().limits().filter(|(at, limit)| !limit.per_app && of_all(*at));
        let slots = limits.filter_map(|(_, limit)| match limit.kind {
            Kind::Concurrency { calls, after_ms: 0 } => Some(calls),
            _ => None,
        });
        slots.min().unwrap_or(u64::MAX)
    }

    /// Returns the most that a counter can grant in a reservation: of a day or a budget a quarter
    /// of what is left, so that a crash costs it no more; of a window what is free now and what
    /// will be before the reservation ends.
    pub(super) fn most_reserved(&self, counter: CounterId, time: i64) -> u64 {
        let Some(entry) = self.counters.get(counter) else { return 0 };
        if let Some(loan) = entry.loan.as_ref().filter(|loan| loan.is_kept()) {
            // What a crash counts that never was is what it loses of the loan.
            return u64::from(loan.hand());
        }
        match Some(&entry.state) {
            Some(CounterState::Daily { calendar, count, amount, unit: Unit::Calls }) => {
                amount.saturating_sub(count.most(self.before_is_open(*calendar))) / 4
            }
            Some(CounterState::Window { window, calls, scaled: false }) => {
                calls.saturating_sub(window.total() + self.leases.in_flight(counter)) / 4
            }
            Some(CounterState::Window { window, .. }) if window.span() > RESERVATION_MS => {
                let counted = window.total() + self.leases.in_flight(counter) + self.prior.unsettled(counter);
                let freed = window.expiring_by(time.saturating_add(RESERVATION_MS));
                (self.capacity(counter) + freed).saturating_sub(counted)
            }
            _ => u64::MAX,
        }
    }
}
