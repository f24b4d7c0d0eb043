//! Leases in flight for longer than a time: limits that count no others count these.

use crate::config::{Kind, Limit};
use crate::index::{CounterId, Index, LaneId, LimitId, SlotId};
use crate::leases::{Change, Lease, Leases};

/// A limit that counts only calls in flight for longer than a time.
#[derive(Debug, Clone)]
pub struct Ageing {
    /// Its place in the plan.
    limit: LimitId,
    after_ms: i64,
    /// Leases granted before this, limiter milliseconds, are counted.
    pub(super) until: i64,
    /// The slot of the oldest lease that is not counted.
    pub(super) next: SlotId,
}

impl Leases {
    /// Sets the limits of the plan that count calls in flight for longer than so many milliseconds. To be called before any lease begins, or
    /// before [`Self::recount`].
    pub fn watch_ages(&mut self, limits: impl Iterator<Item = (LimitId, i64)>) {
        self.ageing =
            limits.map(|(limit, after_ms)| Ageing { limit, after_ms, until: i64::MIN, next: SlotId::NONE }).collect();
    }

    /// Takes an ended lease out of the counts of old ones.
    pub(super) fn grow_no_older(&mut self, slot: SlotId, newer: SlotId, lease: &Lease) {
        for at in 0..self.ageing.len() {
            let Some(ageing) = self.ageing.get_mut(at) else { continue };
            if ageing.next == slot {
                ageing.next = newer;
            } else if lease.granted < ageing.until {
                let limit = ageing.limit;
                self.count_aged(lease.lane, limit, Change::Less);
            }
        }
    }

    /// Counts the leases that have grown old by `time`.
    pub fn age(&mut self, time: i64) {
        for at in 0..self.ageing.len() {
            while let Some((lane, limit)) = self.grows_old(at, time) {
                self.count_aged(lane, limit, Change::More);
            }
        }
    }

    /// Returns the next lease that has grown old by `time` for the `at`-th limit that counts such:
    /// its lane, and the limit's place in the plan.
    fn grows_old(&mut self, at: usize, time: i64) -> Option<(LaneId, LimitId)> {
        let ageing = self.ageing.get_mut(at)?;
        let until = time.saturating_sub(ageing.after_ms).saturating_add(1);
        let slot = self.slots.get(ageing.next.position());
        let old = slot.filter(|slot| slot.lease.granted < until).map(|slot| (slot.lease, slot.newer));
        match old {
            Some((lease, newer)) => {
                (ageing.next, ageing.until) = (newer, ageing.until.max(lease.granted.saturating_add(1)));
                Some((lease.lane, ageing.limit))
            }
            None => {
                ageing.until = ageing.until.max(until);
                None
            }
        }
    }

    fn count_aged(&mut self, lane: LaneId, limit: LimitId, change: Change) {
        let Some(lane) = self.lanes.get(lane).filter(|lane| limit.is_in(lane.mask)) else { return };
        // The first is the app's budget; the limits follow in the plan's order.
        let before = lane.mask & (limit.bit() - 1);
        let counter = lane.counters.get(before.count_ones() as usize + 1).copied();
        if let Some(count) = counter.and_then(|counter| self.aged.get_mut(counter)) {
            change.apply(count);
        }
    }

    /// Returns how many leases that a counter counts have been in flight for longer than its limit
    /// says.
    pub fn aged(&self, counter: CounterId) -> u64 {
        self.aged.get(counter).copied().map_or(0, u64::from)
    }
}

/// Returns the limits that count only calls in flight for longer than a time: their places in the
/// plan, and that time in milliseconds.
pub(crate) fn ages(limits: &[Limit]) -> impl Iterator<Item = (LimitId, i64)> + '_ {
    LimitId::all(limits.len()).zip(limits).filter_map(|(at, limit)| match limit.kind {
        Kind::Concurrency { after_ms, .. } if after_ms > 0 => {
            Some((at, i64::try_from(after_ms).unwrap_or(i64::MAX / 4)))
        }
        _ => None,
    })
}
