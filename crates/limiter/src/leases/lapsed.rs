//! Leases that have lapsed: each is remembered for a while, since its call may yet be answered.

use crate::PermitId;
use crate::durable::prior_epochs::LATE_MS;
use crate::index::LaneId;
use crate::leases::{Lease, Leases, MOST_LEASES};

impl Leases {
    /// Ends the lease granted first and returns it, if it has lapsed by `time`. Its call may yet be answered.
    pub fn lapse(&mut self, epoch: u32, time: i64) -> Option<Lease> {
        while let Some(&(until, lane, seq)) = self.late_until.front()
            && (until <= time || self.late_until.len() >= MOST_LEASES)
        {
            self.late_until.pop_front();
            self.forget_late(lane, seq);
        }
        let lease = *self.oldest().filter(|lease| lease.lapses <= time)?;
        let lease = self.close(PermitId { epoch, lane: lease.lane.0, seq: lease.seq, slot: self.oldest.0 })?;
        self.late.insert((lease.lane, lease.seq), lease);
        self.late_until.push_back((time.saturating_add(LATE_MS), lease.lane, lease.seq));
        if !lease.cut && self.unreported.len() < MOST_LEASES {
            self.unreported.push_back((lease.lane, lease.granted));
        }
        self.lanes.pin(lease.lane);
        Some(lease)
    }

    /// Returns the next lease that lapsed unreported: its lane, and when it was granted, limiter
    /// milliseconds. Each is returned once.
    pub fn next_unreported(&mut self) -> Option<(LaneId, i64)> {
        self.unreported.pop_front()
    }

    /// Takes out a lease that had lapsed, whose call was answered after all.
    pub fn forget_late(&mut self, lane: LaneId, seq: u64) -> Option<Lease> {
        let lease = self.late.remove(&(lane, seq))?;
        self.lanes.unpin(lane);
        Some(lease)
    }

    /// Returns the leases that have lapsed and may yet be answered: lane and number, ordered by
    /// lane.
    pub fn late(&self) -> impl Iterator<Item = (LaneId, u64)> + '_ {
        self.late.keys().copied()
    }
}
