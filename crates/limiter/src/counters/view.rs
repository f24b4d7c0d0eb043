//! The counters at one moment, with everything that decides whether they have room.

use crate::config::Mode;
use crate::counters::Counters;
use crate::counters::counter::Counter;
use crate::days::Days;
use crate::durable::prior_epochs::PriorEpochs;
use crate::epoch::Epoch;
use crate::index::{AppId, CalendarId, ClassId, CounterId, LaneId};
use crate::leases::Leases;
use crate::pauses::Pauses;
use crate::queue::Room;
use crate::rate::Rate;

/// What counters depend on beside themselves.
#[derive(Clone, Copy)]
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
    /// Returns the limiter time, milliseconds.
    pub const fn time(&self) -> i64 {
        self.epoch.time()
    }

    /// Returns the rate factor, parts per million.
    pub const fn factor(&self) -> u32 {
        self.rate.factor()
    }

    /// Returns the counters that count a lane's calls.
    pub fn counters_of(&self, lane: LaneId) -> &'a [CounterId] {
        self.leases.counters(lane)
    }

    /// Whether the day before is still open under a calendar.
    pub fn before_is_open(&self, calendar: CalendarId) -> bool {
        self.days.before_is_open(calendar, self.epoch.wall())
    }

    /// Calls in flight, or settled at a time not yet known, that a counter counts.
    pub fn unsettled(&self, counter: CounterId) -> u64 {
        self.leases.in_flight(counter).saturating_add(self.prior.unsettled(counter))
    }

    /// Returns the reading of the time in which tokens come back, now.
    pub fn refilled(&self) -> i128 {
        self.rate.refilled(self.time())
    }

    /// Calls in flight that a concurrency limit counts.
    pub fn in_slots(&self, counter: CounterId, after_ms: i64) -> u64 {
        // Which calls of earlier epochs are old is not known.
        let own = if after_ms == 0 { self.leases.in_flight(counter) } else { self.leases.aged(counter) };
        self.prior.in_flight(counter).saturating_add(own)
    }
}

/// The counters, and what they depend on.
pub struct CountersNow<'a> {
    pub counters: &'a mut Counters,
    pub view: View<'a>,
}

impl<'a> CountersNow<'a> {
    /// Returns one counter, and what it depends on.
    pub fn get(&mut self, counter: CounterId) -> Option<(&mut Counter, &View<'a>)> {
        Some((self.counters.get_mut(counter)?, &self.view))
    }

    /// Does something with each counter of a lane, in their order.
    pub fn each_of(&mut self, lane: LaneId, mut each: impl FnMut(CounterId, &mut Counter, &View<'a>)) {
        for &counter in self.view.counters_of(lane) {
            if let Some(entry) = self.counters.get_mut(counter) {
                each(counter, entry, &self.view);
            }
        }
    }

    /// Whether one more call fits under a counter.
    pub fn has_room(&mut self, counter: CounterId) -> bool {
        self.get(counter).is_some_and(|(entry, view)| entry.has_room(counter, view))
    }

    /// Whether a lane's next call has to wait.
    pub fn is_full(&mut self, lane: LaneId) -> bool {
        let class = self.view.leases.lanes().get(lane).map_or(ClassId::NONE, |lane| lane.class);
        !self.is_open(class) || self.own_full(lane).is_some()
    }

    fn own_full(&mut self, lane: LaneId) -> Option<CounterId> {
        let own = self.view.leases.lanes().get(lane).map_or(&[][..], |lane| &lane.own);
        own.iter().copied().find(|&counter| !self.has_room(counter))
    }
}

impl Room for CountersNow<'_> {
    fn is_open(&mut self, class: ClassId) -> bool {
        let Some(class) = self.view.leases.lanes().class(class) else { return true };
        if class.full_in.get() == self.view.epoch.event() {
            return false;
        }
        let tight = class.tight.get();
        if class.shared.is_empty() || self.has_room(tight) {
            let Some(found) = class.shared.iter().copied().find(|&counter| counter != tight && !self.has_room(counter))
            else {
                return true;
            };
            class.tight.set(found);
        }
        class.full_in.set(self.view.epoch.event());
        false
    }

    fn blocked_until(&mut self, lane: LaneId) -> Option<i64> {
        let app = self.view.leases.lanes().get(lane).map_or(AppId::NONE, |lane| lane.app);
        if let Some(until) = self.view.pauses.recheck_at(app, self.view.time()) {
            return Some(until);
        }
        let counter = self.own_full(lane)?;
        let (entry, view) = self.get(counter)?;
        Some(entry.next_change(counter, view).unwrap_or(i64::MAX))
    }
}
