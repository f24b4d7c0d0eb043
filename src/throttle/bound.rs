//! Room, and when there will be some: the least time until so many more calls fit, were all that is in flight settled now.
//!
//! For a rolling window that bound is exact once every counted call is answered: releases come in a known order, and a new grant
//! frees its place a window later. No useful upper bound exists while answers are outstanding.

#![expect(clippy::arithmetic_side_effects, reason = "calls in flight and in the queue, places among at most 33 meters")]

use super::meter::{Gauge, Stands};
use super::rule::Mode;
use super::state::{Parts, Throttle};
use crate::refusal::Reason;

impl Throttle {
    /// Whether one more call fits under a meter.
    pub(super) fn has_room(&mut self, meter: u32, time: i64) -> bool {
        let Parts { meters, sight, .. } = self.parts(time);
        meters.get_mut(meter as usize).is_some_and(|entry| entry.has_room(meter, &sight))
    }

    /// What a meter counts now: calls, or bytes.
    pub(super) fn used(&mut self, meter: u32, time: i64) -> u64 {
        let Parts { meters, sight, .. } = self.parts(time);
        meters.get_mut(meter as usize).map_or(0, |entry| entry.used(meter, &sight))
    }

    /// A meter's figure in force, the rate factor applied.
    pub(super) fn capacity(&self, meter: u32) -> u64 {
        self.meters.get(meter as usize).map_or(0, |entry| entry.capacity(self.adaptive.factor()))
    }

    /// The least limiter time at which the `nth` (from 1) more call fits under a meter.
    pub(super) fn free_at(&mut self, meter: u32, nth: u64, time: i64) -> i64 {
        let Parts { meters, sight, .. } = self.parts(time);
        meters.get_mut(meter as usize).map_or(time, |entry| entry.free_at(meter, nth, &sight))
    }

    /// See [`Meter::awaits_loan`].
    pub(super) fn awaits_loan(&mut self, meter: u32, time: i64) -> bool {
        let Parts { meters, sight, .. } = self.parts(time);
        meters.get(meter as usize).is_some_and(|entry| entry.awaits_loan(&sight))
    }

    /// See [`Meter::day_reason`].
    pub(super) fn day_reason(&self, meter: u32) -> Option<Reason> {
        self.meters.get(meter as usize)?.day_reason()
    }

    /// A meter's name, as refusals and reports have it.
    pub(super) fn name(&self, meter: u32) -> String {
        match self.meters.get(meter as usize).map(|meter| meter.stands) {
            Some(Stands::Limit(at)) => {
                self.plan.limits.get(at as usize).map(|limit| limit.name.clone()).unwrap_or_default()
            }
            _ => "daily_calls".to_owned(),
        }
    }

    /// The least time at which a new call of that app, lane and urgency is admitted, counting those that surely go before it.
    pub(super) fn bound(&mut self, app: u32, lane: u32, urgency: u8, time: i64) -> i64 {
        let mut bound = self.held(time).filter(|_| self.plan.mode == Mode::Enforce).unwrap_or(time);
        let Parts { queue, meters, sight } = self.parts(time);
        let ahead = queue.is_all(app, lane).then(|| queue.ahead(app, urgency, |_| true));
        for &at in sight.meters_of(lane) {
            let Some(meter) = meters.get_mut(at as usize) else { continue };
            let ahead = ahead.unwrap_or_else(|| queue.ahead(app, urgency, |other| sight.ledger.counts(other, at)));
            bound = bound.max(meter.free_at(at, ahead + 1, &sight));
        }
        bound
    }

    /// When a refused call would be admitted if no other came first but those that wait, and those refused within the last second.
    pub(super) fn retry_at(&mut self, lane: u32, time: i64) -> i64 {
        const TOGETHER_MS: i64 = 1_000;
        const MOST_TOGETHER: usize = 4_096;
        while self.refused.front().is_some_and(|&at| at.saturating_add(TOGETHER_MS) <= time) {
            self.refused.pop_front();
        }
        let together = self.refused.len() as u64;
        if self.refused.len() < MOST_TOGETHER {
            self.refused.push_back(time);
        }
        // A day's reset or a pause's end frees everybody at one moment, so there the pace of the tightest rate spreads them.
        let (mut at_once, mut in_turn, mut pace) = (time, time, 0);
        if let Some(until) = self.adaptive.paused(time) {
            at_once = until;
        }
        let mut place = 0;
        while let Some(meter) = self.meter_of(lane, place) {
            place += 1;
            let ahead = self.queue.waiting(|lane| self.ledger.counts(lane, meter));
            if self.day_reason(meter).is_some() {
                at_once = at_once.max(self.free_at(meter, 1, time));
                continue;
            }
            pace = pace.max(self.pace(meter));
            let nth = ahead + together + 1;
            let free = self.free_at(meter, nth, time);
            in_turn = in_turn.max(free.max(self.slot_estimate(meter, nth, time)));
        }
        let spread = i64::try_from(together).unwrap_or(0).saturating_mul(pace);
        in_turn.max(if at_once > time { at_once.saturating_add(spread) } else { time })
    }

    /// Milliseconds a call, at a meter's rate in force.
    pub(super) fn pace(&self, meter: u32) -> i64 {
        self.meters.get(meter as usize).map_or(0, |entry| entry.pace(self.adaptive.factor()))
    }

    /// Slots come free as answers come: by the mean time that one takes.
    fn slot_estimate(&self, meter: u32, nth: u64, time: i64) -> i64 {
        match self.meters.get(meter as usize).map(|meter| &meter.gauge) {
            Some(Gauge::Slots { calls, after_ms: 0 }) => {
                let free = calls.saturating_sub(self.ledger.flying(meter) + self.past.flying(meter, &self.ledger));
                let rounds = nth.saturating_sub(free).div_ceil((*calls).max(1));
                time.saturating_add(i64::try_from(rounds).unwrap_or(0).saturating_mul(self.mean_flight / 16))
            }
            _ => time,
        }
    }
}
