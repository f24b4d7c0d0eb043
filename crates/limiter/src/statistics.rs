//! What the statistics need of a limiter: which permits are in flight, and which have lapsed unreported.

use crate::PermitId;
use crate::calendar::Reset;
use crate::config::Kind;
use crate::counters::counter::CounterState;
use crate::index::LaneId;
use crate::limiter::Limiter;
use crate::limits::daily_quota::{is_unknown, known};

impl Limiter {
    /// Returns the epoch's number, which the permits it grants carry.
    pub const fn epoch(&self) -> u32 {
        self.epoch.number()
    }

    /// Whether permits of an earlier epoch may still be in flight.
    pub fn remembers(&self, epoch: u32) -> bool {
        self.prior.groups().any(|group| group.epoch == epoch && !group.over)
    }

    /// Returns the reset of the connection's own day.
    pub const fn day_reset(&self) -> &Reset {
        &self.plan.day
    }

    /// Returns of the first daily limit what is used, the limit, and when the day is surely over,
    /// Unix milliseconds. Of a limit by app it is the app that has used most. Where not all is
    /// known of its count, all of it is used.
    pub fn daily_used(&mut self) -> Option<(u64, u64, i64)> {
        let (at, limit) = self.rules().limits().find(|(_, limit)| matches!(limit.kind, Kind::Daily { .. }))?;
        let counter = if limit.per_app { self.counters.fullest(at) } else { self.counters.shared(at) }?;
        let over = match self.counters.state(counter)? {
            CounterState::Daily { calendar, .. } => self.days.get(*calendar).map_or(i64::MAX, |days| days.over()),
            _ => i64::MAX,
        };
        let (used, limit) = (self.used(counter), self.capacity(counter));
        Some((if is_unknown(used) { known(used).max(limit) } else { used }, limit, over))
    }

    /// Calls `each` with the permits of this epoch in flight that have not been reported, in the order of their grants: lane, number, app,
    /// and when they were granted, Unix milliseconds.
    pub fn for_each_open(&self, each: &mut dyn FnMut(u32, u64, &str, i64)) {
        for (_, lease) in self.leases.leases().filter(|(_, lease)| !lease.cut) {
            each(lease.lane.0, lease.seq, self.app_of(lease.lane), self.epoch.wall_time(lease.granted));
        }
    }

    /// Returns the permits of this epoch in flight that were reported as of unknown outcome.
    pub fn cut_off(&self) -> impl Iterator<Item = PermitId> + '_ {
        let cut = self.leases.leases().filter(|(_, lease)| lease.cut);
        cut.map(|(slot, lease)| PermitId { epoch: self.epoch.number(), lane: lease.lane.0, seq: lease.seq, slot })
    }

    /// Returns the next permit of this epoch that lapsed unreported: its app and when it was
    /// granted, Unix milliseconds.
    pub fn next_lapsed(&mut self) -> Option<(String, i64)> {
        let (lane, granted) = self.leases.next_unreported()?;
        Some((self.app_of(lane).to_owned(), self.epoch.wall_time(granted)))
    }

    fn app_of(&self, lane: LaneId) -> &str {
        self.leases.lanes().get(lane).map_or("", |lane| self.apps.name(lane.app))
    }
}
