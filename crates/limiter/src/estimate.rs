//! Room, and when there will be some: the least time until so many more calls fit, were all that is in flight settled now.
//!
//! For a rolling window that bound is exact once every counted call is answered: releases come in a known order, and a new grant
//! frees its place a window later. No useful upper bound exists while answers are outstanding.

#![expect(clippy::arithmetic_side_effects, reason = "calls in flight and in the queue")]

use crate::config::Mode;
use crate::counter::{CounterKey, CounterState};
use crate::index::AppId;
use crate::limiter::{Limiter, Split};

/// The pace at which calls are spread is never slower than this, milliseconds: a slow limit spreads its calls by itself.
const SLOWEST_PACE_MS: i64 = 1_000;

impl Limiter {
    /// Whether one more call fits under a counter.
    pub(crate) fn has_room(&mut self, counter: u32) -> bool {
        self.here().has_room(counter)
    }

    /// What a counter counts now: calls, or bytes.
    pub(crate) fn used(&mut self, counter: u32) -> u64 {
        let here = self.here();
        here.counters.get_mut(counter as usize).map_or(0, |entry| entry.used(counter, &here.view))
    }

    /// A counter's figure in force, the rate factor applied.
    pub(crate) fn capacity(&self, counter: u32) -> u64 {
        self.counters.get(counter as usize).map_or(0, |entry| entry.capacity(self.rate.factor()))
    }

    /// A counter's name, as refusals and reports have it.
    pub(crate) fn name(&self, counter: u32) -> String {
        match self.counters.get(counter as usize).map(|counter| counter.key) {
            Some(CounterKey::Limit(at)) => {
                self.plan.limits.get(at as usize).map(|limit| limit.name.clone()).unwrap_or_default()
            }
            _ => "daily_calls".to_owned(),
        }
    }

    /// The best that the rate may have become by the time that a call's turn comes: a bound that holds must reckon with it.
    pub(crate) fn best_factor(&self) -> u32 {
        self.rate.factor().max(self.plan.adaptive.max_ppm)
    }

    /// The least time at which a new call of that app, lane and urgency is admitted, counting those that surely go before it.
    pub(crate) fn estimate(&mut self, app: AppId, lane: u32, urgency: u8, time: i64) -> i64 {
        let held = self.surely_paused_for(app, time).max(self.turn(time));
        let mut bound = held.filter(|_| self.plan.mode == Mode::Enforce).unwrap_or(time);
        let best = self.best_factor();
        let Split { queue, here } = self.parts();
        let ahead = queue.is_all(app, lane).then(|| queue.ahead(app, urgency, |_| true));
        for &at in here.view.counters_of(lane) {
            let Some(counter) = here.counters.get_mut(at as usize) else { continue };
            let ahead = ahead.unwrap_or_else(|| queue.ahead(app, urgency, |other| here.view.leases.counts(other, at)));
            bound = bound.max(counter.free_at(at, ahead + 1, best, &here.view));
        }
        bound
    }

    /// When a refused call would be admitted if no other came first but those that wait for the same limits, and those that these limits
    /// have refused within the last second. And the limits that have no room.
    pub(crate) fn retry_at(&mut self, lane: u32, time: i64) -> (i64, Vec<u32>) {
        let pace = self.lane_pace(lane);
        let spread = |together: u64| i64::try_from(together).unwrap_or(i64::MAX).saturating_mul(pace);
        let mut full = Vec::new();
        // Until when, and which limit it is that has room last.
        let (mut at, mut last) = (time, None);
        // A pause's end, or a day's, frees everybody at one moment, so there the pace of the rate spreads them.
        let app = self.leases.lanes.get(lane).map_or(AppId::NONE, |lane| lane.app);
        let held = self.paused_for(app, time).max(self.turn(time));
        if let Some(until) = held {
            at = Self::come_again(until, time).saturating_add(spread(self.refused.count(time)));
        }
        for place in 0..self.leases.counters(lane).len() {
            let Some(counter) = self.counters_of(lane, place) else { continue };
            let waiting = self.waiting_on(counter, lane);
            let mean_flight = self.mean_flight / 16;
            let here = self.here();
            let Some(entry) = here.counters.get_mut(counter as usize) else { continue };
            let (has_room, together) = (entry.has_room(counter, &here.view), entry.refused.count(time));
            if !has_room && !entry.awaits_loan(&here.view) {
                full.push(counter);
            }
            let factor = here.view.factor();
            let free = if entry.day_reason().is_some() {
                let free = entry.free_at(counter, 1, factor, &here.view);
                if free > time { free.saturating_add(spread(together)) } else { time }
            } else {
                let nth = waiting + together + 1;
                let free = entry.free_at(counter, nth, factor, &here.view);
                free.max(slot_estimate(&entry.state, here.view.in_slots(counter, 0), nth, time, mean_flight))
            };
            if free > at {
                (at, last) = (free, Some(counter));
            }
        }
        // The next that this limit refuses comes after this one; those that others refuse have nothing to do with it.
        match last.and_then(|counter| self.counters.get_mut(counter as usize)) {
            Some(entry) => entry.refused.add(time),
            None => self.refused.add(time),
        }
        (at, full)
    }

    /// Calls that wait and that a counter counts.
    fn waiting_on(&self, counter: u32, lane: u32) -> u64 {
        let Some(entry) = self.counters.get(counter as usize) else { return 0 };
        match (entry.key, entry.app) {
            (CounterKey::Limit(at), None) => {
                let classes = self.leases.lanes.classes().filter(|(_, class)| class.mask & (1 << at) != 0);
                classes.map(|(class, _)| self.queue.waiting_in(class)).sum()
            }
            _ => {
                let app = self.leases.lanes.get(lane).map_or(AppId::NONE, |lane| lane.app);
                self.queue.waiting_of(app, |lane| self.leases.counts(lane, counter))
            }
        }
    }

    /// The pace at which calls on a lane are spread where nothing else spreads them, milliseconds a call: that of the limit whose calls come
    /// back soonest; 0 where it has no rate. A window of an hour says nothing of how soon after each other calls may go.
    pub(crate) fn lane_pace(&self, lane: u32) -> i64 {
        let factor = self.rate.factor();
        let counters = self.leases.counters(lane).iter().filter_map(|counter| self.counters.get(*counter as usize));
        counters.filter_map(|counter| counter.pace(factor)).min().unwrap_or(0).min(SLOWEST_PACE_MS)
    }
}

/// Slots come free as answers come: by the mean time that one takes.
fn slot_estimate(state: &CounterState, in_flight: u64, nth: u64, time: i64, mean_flight: i64) -> i64 {
    let CounterState::Slots { calls, after_ms: 0 } = state else { return time };
    let rounds = nth.saturating_sub(calls.saturating_sub(in_flight)).div_ceil((*calls).max(1));
    time.saturating_add(i64::try_from(rounds).unwrap_or(0).saturating_mul(mean_flight))
}
