//! When there will be room: the least time until so many more calls fit, if all that is in flight were settled now.
//!
//! For a rolling window that bound is exact once every counted call is answered: releases come in a known order, and a new grant
//! frees its place a window later. No useful upper bound exists while answers are outstanding.

#![expect(clippy::arithmetic_side_effects, reason = "calls in flight and in the queue")]

use crate::config::Mode;
use crate::counters::counter::{CounterKey, CounterState};
use crate::index::{AppId, CounterId, LaneId};
use crate::limiter::Limiter;

/// The pace at which calls are spread is never slower than this, milliseconds: a slow limit spreads its calls by itself.
const SLOWEST_PACE_MS: i64 = 1_000;

impl Limiter {
    /// Returns how much a counter counts now, calls or bytes.
    pub(crate) fn used(&mut self, counter: CounterId) -> u64 {
        self.here().get(counter).map_or(0, |(entry, view)| entry.used(counter, view))
    }

    /// Returns a counter's figure in force, the rate factor applied.
    pub(crate) fn capacity(&self, counter: CounterId) -> u64 {
        self.counters.get(counter).map_or(0, |entry| entry.capacity(self.rate.factor()))
    }

    /// Returns a counter's name, as refusals and reports have it.
    pub(crate) fn name(&self, counter: CounterId) -> String {
        match self.counters.get(counter).map(|counter| counter.key) {
            Some(CounterKey::Limit(at)) => self.plan.limit(at).map(|limit| limit.name.clone()).unwrap_or_default(),
            _ => "daily_calls".to_owned(),
        }
    }

    /// Returns the highest that the rate factor may be when a call's turn comes, with which a lower
    /// bound must reckon.
    pub(crate) fn best_factor(&self) -> u32 {
        self.rate.factor().max(self.plan.adaptive.max_ppm)
    }

    /// Returns the least time at which a new call of that app, lane and urgency is admitted,
    /// counting those that surely go before it.
    pub(crate) fn estimate(&mut self, app: AppId, lane: LaneId, urgency: u8, time: i64) -> i64 {
        let held = self.surely_paused_for(app, time).max(self.turn(time));
        let mut bound = held.filter(|_| self.plan.mode == Mode::Enforce).unwrap_or(time);
        let best = self.best_factor();
        let (queue, mut here) = self.split();
        let ahead = queue.is_all(app, lane).then(|| queue.ahead(app, urgency, |_| true));
        for &at in here.view.counters_of(lane) {
            let Some((counter, view)) = here.get(at) else { continue };
            let ahead = ahead.unwrap_or_else(|| queue.ahead(app, urgency, |other| view.leases.counts(other, at)));
            bound = bound.max(counter.free_at(at, ahead + 1, best, view));
        }
        bound
    }

    /// Returns when a refused call would be admitted if no others went first but those that wait
    /// for the same limits, and those that these limits have refused within the last second; and
    /// the counters that have no room.
    pub(crate) fn retry_at(&mut self, lane: LaneId, time: i64) -> (i64, Vec<CounterId>) {
        let pace = self.lane_pace(lane);
        let spread = |together: u64| i64::try_from(together).unwrap_or(i64::MAX).saturating_mul(pace);
        let mut full = Vec::new();
        // Until when, and which limit it is that has room last.
        let (mut at, mut last) = (time, None);
        // The end of a pause or a day frees all calls at one moment, so there the pace of the rate spreads them.
        let app = self.leases.lanes().get(lane).map_or(AppId::NONE, |lane| lane.app);
        let held = self.paused_for(app, time).max(self.turn(time));
        if let Some(until) = held {
            at = Self::come_again(until, time).saturating_add(spread(self.counters.refused_with_room(time)));
        }
        for place in 0..self.leases.counters(lane).len() {
            let Some(&counter) = self.leases.counters(lane).get(place) else { continue };
            let waiting = self.waiting_on(counter, lane);
            let mut here = self.here();
            let Some((entry, view)) = here.get(counter) else { continue };
            let (has_room, together) = (entry.has_room(counter, view), entry.refused.count(time));
            if !has_room && !entry.awaits_loan(view) {
                full.push(counter);
            }
            let factor = view.factor();
            let free = if entry.day_reason().is_some() {
                let free = entry.free_at(counter, 1, factor, view);
                if free > time { free.saturating_add(spread(together)) } else { time }
            } else {
                let nth = waiting + together + 1;
                let free = entry.free_at(counter, nth, factor, view);
                let mean_flight = view.leases.mean_flight_ms();
                free.max(slot_estimate(&entry.state, view.in_slots(counter, 0), nth, time, mean_flight))
            };
            if free > at {
                (at, last) = (free, Some(counter));
            }
        }
        // The next that this limit refuses comes after this one; those that others refuse have nothing to do with it.
        self.counters.refuse(last, time);
        (at, full)
    }

    /// Returns how many waiting calls a counter counts.
    fn waiting_on(&self, counter: CounterId, lane: LaneId) -> u64 {
        let Some(entry) = self.counters.get(counter) else { return 0 };
        match (entry.key, entry.app) {
            (CounterKey::Limit(at), None) => {
                let classes = self.leases.lanes().classes().filter(|(_, class)| at.is_in(class.mask));
                classes.map(|(class, _)| self.queue.waiting_in(class)).sum()
            }
            _ => {
                let app = self.leases.lanes().get(lane).map_or(AppId::NONE, |lane| lane.app);
                self.queue.waiting_of(app, |lane| self.leases.counts(lane, counter))
            }
        }
    }

    /// Returns the pace at which calls on a lane are spread where nothing else spreads them,
    /// milliseconds a call: that of the limit whose calls come back soonest; 0 where it has no
    /// rate. A window of an hour says nothing of how soon after each other calls may go.
    pub(crate) fn lane_pace(&self, lane: LaneId) -> i64 {
        let factor = self.rate.factor();
        let counters = self.leases.counters(lane).iter().filter_map(|counter| self.counters.get(*counter));
        counters.filter_map(|counter| counter.pace(factor)).min().unwrap_or(0).min(SLOWEST_PACE_MS)
    }
}

/// Slots come free as answers come: by the mean time that one takes.
fn slot_estimate(state: &CounterState, in_flight: u64, nth: u64, time: i64, mean_flight: i64) -> i64 {
    let CounterState::Slots { calls, after_ms: 0 } = state else { return time };
    let rounds = nth.saturating_sub(calls.saturating_sub(in_flight)).div_ceil((*calls).max(1));
    time.saturating_add(i64::try_from(rounds).unwrap_or(0).saturating_mul(mean_flight))
}
