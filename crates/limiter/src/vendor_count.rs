//! Takes the vendor's own count, where its answers state it: so calls are seen that were made
//! elsewhere.
//!
//! An answer's count has in it every call that the vendor had counted by then: those answered before, the call itself, and of the
//! others in flight some. A day counts each call from its grant, so all of these are in it already, and it rises to the vendor's
//! count, rather than by it: nothing is counted twice. Calls granted after the answer's headers came are surely not in it, and come
//! on top. Others in flight may have hidden as many calls made elsewhere; the answer of the last of them brings those to light.
//!
//! Where a vendor tells of how many it has counted them, and that is less than the policy's figure, it is what holds, until it tells
//! another or the day ends. More than the policy's figure is only shown.

#![expect(clippy::arithmetic_side_effects, reason = "calls in flight")]

use crate::PermitId;
use crate::config::{Limit, Unit};
use crate::counters::counter::CounterState;
use crate::counters::vendor_total::VendorTotal;
use crate::index::{CalendarId, CounterId, LimitId};
use crate::limiter::{Limiter, Now};
use crate::outcome::Counted;

impl Limiter {
    /// Takes the vendor's counts from a call's answer, before the call is settled. Those on a permit that has ended, or that an earlier epoch
    /// granted, are left aside, since it is not known on which day its call was counted.
    pub fn on_vendor_count(&mut self, now: Now<'_>, permit: PermitId, since_headers_ms: u64, counts: &[Counted]) {
        let time = self.begin(now);
        let Some(lease) = self.leases.find(permit).filter(|_| permit.epoch == self.epoch.number()) else { return };
        let since = i64::try_from(since_headers_ms).unwrap_or(i64::MAX / 4);
        let at = time.saturating_sub(since).max(lease.granted);
        let mut full = false;
        for counted in counts {
            let named = |limit: &Limit| limit.name == counted.limit && !limit.per_app;
            for limit in LimitId::all(self.plan.limits.len()) {
                if self.plan.limit(limit).is_some_and(named) {
                    let Some(counter) = self.counters.shared(limit) else { continue };
                    self.raise_used(counter, limit, counted, (lease.granted, at));
                    full |= !self.here().has_room(counter);
                }
            }
        }
        if full {
            self.recheck_all(time);
        }
    }

    /// Raises a day's counter to the vendor's count in an answer to a call granted, and answered, then.
    fn raise_used(&mut self, counter: CounterId, limit: LimitId, counted: &Counted, (granted, at): (i64, i64)) {
        self.note_total(counter, limit, counted.total, granted);
        let capacity = self.capacity(counter);
        let of = self.plan.limit(limit).map_or(0, |limit| limit.of);
        let of = counted.total.map_or(of, |total| total.min(of)).max(capacity);
        let vendor = if counted.left { of.saturating_sub(counted.n) } else { counted.n };
        // What `share` leaves to others is theirs to use.
        let after = if at >= self.epoch.time() { 0 } else { self.leases.granted_after(at, counter) };
        let floor = vendor.saturating_add(after).saturating_sub(of.saturating_sub(capacity));
        let held = self.leases.in_flight(counter) + self.prior.unsettled(counter);
        let sent = self.epoch.wall_time(granted);
        let of_today = |calendar: CalendarId| self.days.get(calendar).is_some_and(|days| sent >= days.before_over());
        let (today, before) = match self.counters.state(counter) {
            Some(CounterState::Daily { calendar, unit: Unit::Calls, .. }) => {
                (of_today(*calendar), self.before_is_open(*calendar))
            }
            Some(CounterState::Window { scaled: false, .. }) => (true, false),
            _ => return,
        };
        let Some(entry) = self.counters.get_mut(counter) else { return };
        let lent = entry.is_lent();
        let risen = match &mut entry.state {
            // What is counted here is what this connection has spent; the vendor's count is
            // reported to the pool.
            CounterState::Daily { .. } if lent => {
                if today {
                    entry.vendor_count = entry.vendor_count.max(Some(vendor));
                }
                0
            }
            CounterState::Daily { count, .. } if today => {
                entry.vendor_count = entry.vendor_count.max(Some(vendor));
                raise(&mut count.used, floor)
            }
            // The vendor may have counted it on the day before, and then that day's count would be taken for this one's.
            CounterState::Daily { count, .. } if before => raise(&mut count.before, floor),
            CounterState::Window { window, .. } => {
                entry.vendor_count = Some(vendor);
                // Full is full: what a vendor counts beyond the limit need not run out of it.
                let risen = floor.min(capacity).saturating_sub(window.total().saturating_add(held));
                window.push(at, u32::try_from(risen).unwrap_or(u32::MAX));
                risen
            }
            _ => 0,
        };
        // What a crash loses the next answer brings again; a hundredth of a day is worth a snapshot.
        if risen > 0 && risen >= capacity / 100 {
            self.reservation.require();
        } else {
            self.reservation.touch();
        }
    }
}

impl Limiter {
    /// Takes the vendor's own total in an answer to a call granted then. That of a day that has ended is not the next one's.
    fn note_total(&mut self, counter: CounterId, limit: LimitId, total: Option<u64>, granted: i64) {
        let Some(total) = total.filter(|total| *total > 0) else { return };
        let sent = self.epoch.wall_time(granted);
        let of_today = match self.counters.state(counter) {
            Some(CounterState::Daily { calendar, unit: Unit::Calls, .. }) => {
                self.days.get(*calendar).is_some_and(|days| sent >= days.before_over())
            }
            Some(CounterState::Window { scaled: false, .. }) => true,
            _ => false,
        };
        let Some(rule) = self.plan.limit(limit).filter(|_| of_today) else { return };
        let vendor_total = Some(VendorTotal::of(total, rule));
        let Some(entry) = self.counters.get_mut(counter).filter(|entry| entry.vendor_total != vendor_total) else {
            return;
        };
        entry.vendor_total = vendor_total;
        self.queue.unpark_all();
    }
}

/// Raises a count to `to` and returns by how much.
fn raise(count: &mut u64, to: u64) -> u64 {
    let risen = to.saturating_sub(*count);
    *count += risen;
    risen
}
