//! What the statistics ask of a limiter: which permits are in flight, and of which nothing will be heard any more.

use crate::PermitId;
use crate::calendar::Reset;
use crate::config::Kind;
use crate::counter::{CounterKey, CounterState};
use crate::limiter::Limiter;
use crate::limits::daily_quota::{is_unknown, known};

impl Limiter {
    /// This life's number, as in the permits it grants.
    pub const fn epoch(&self) -> u32 {
        self.epoch.number()
    }

    /// Whether permits of an earlier life may still be in flight.
    pub fn remembers(&self, epoch: u32) -> bool {
        self.prior.groups().any(|group| group.epoch == epoch && !group.over)
    }

    /// The reset of the connection's own day.
    pub const fn day_reset(&self) -> &Reset {
        &self.plan.day
    }

    /// The first daily limit: used, limit, and when the day is surely over (Unix milliseconds). Of one that is
    /// counted by app, the app that has used most; all of it where not all is known of its count.
    pub fn daily_used(&mut self) -> Option<(u64, u64, i64)> {
        let at = self.plan.limits.iter().position(|limit| matches!(limit.kind, Kind::Daily { .. }))?;
        let per_app = self.plan.limits.get(at).is_some_and(|limit| limit.per_app);
        let counter = *if per_app { self.fullest.get(at) } else { self.shared.get(at) }?;
        let over = match self.gauge_of(counter)? {
            CounterState::Daily { calendar, .. } => self.days.get(*calendar).map_or(i64::MAX, |days| days.over()),
            _ => i64::MAX,
        };
        let (used, limit) = (self.used(counter), self.capacity(counter));
        Some((if is_unknown(used) { known(used).max(limit) } else { used }, limit, over))
    }

    /// Something was counted on a lane: its app may be the one that has used most of a day by app.
    pub(crate) fn note_fullest(&mut self, lane: u32) {
        if !self.days_by_app {
            return;
        }
        for place in 0..self.leases.lanes.get(lane).map_or(0, |lane| lane.own.len()) {
            let counter = self.leases.lanes.get(lane).and_then(|lane| lane.own.get(place).copied());
            let key = counter.and_then(|counter| Some((counter, self.counters.get(counter as usize)?.key)));
            if let Some((counter, CounterKey::Limit(limit))) = key {
                self.raise_fullest(limit, counter);
            }
        }
    }

    /// A counter of a limit by app has risen: it may be the fullest of that day.
    pub(crate) fn raise_fullest(&mut self, limit: u32, counter: u32) {
        let used = |counter: u32| match self.counters.get(counter as usize).map(|counter| &counter.state) {
            Some(CounterState::Daily { count, .. }) => Some(count.used),
            _ => None,
        };
        if let Some(most) = self.fullest.get_mut(limit as usize).filter(|most| used(counter) > used(**most)) {
            *most = counter;
        }
    }

    /// Permits of this life in flight whose end nobody has reported, in the order of their grants: lane, number, app, and when they
    /// were granted, Unix milliseconds.
    pub fn for_each_open(&self, each: &mut dyn FnMut(u32, u64, &str, i64)) {
        for (_, lease) in self.leases.leases().filter(|(_, lease)| !lease.cut) {
            each(lease.lane, lease.seq, self.app_of(lease.lane), self.epoch.wall_time(lease.granted));
        }
    }

    /// Permits of this life in flight that were reported as of unknown outcome.
    pub fn cut_off(&self) -> impl Iterator<Item = PermitId> + '_ {
        let cut = self.leases.leases().filter(|(_, lease)| lease.cut);
        cut.map(|(slot, lease)| PermitId { epoch: self.epoch.number(), lane: lease.lane, seq: lease.seq, slot })
    }

    /// The next permit of this life that lapsed unreported: its app and when it was granted, Unix milliseconds.
    pub fn next_lapsed(&mut self) -> Option<(String, i64)> {
        let (lane, granted) = self.lapsed.pop_front()?;
        Some((self.app_of(lane).to_owned(), self.epoch.wall_time(granted)))
    }

    fn app_of(&self, lane: u32) -> &str {
        self.leases.lanes.get(lane).map_or("", |lane| self.apps.name(lane.app))
    }
}
