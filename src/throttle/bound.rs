//! Room, and when there will be some: the least time until so many more calls fit, were all that is in flight settled now.
//!
//! For a rolling window that bound is exact once every counted call is answered: releases come in a known order, and a new grant
//! frees its place a window later. No useful upper bound exists while answers are outstanding.

use super::mutant::{self, Mutant};
use super::rule::Mode;
use super::state::{Gauge, Stands, Throttle};
use crate::refusal::Reason;

/// Parts per million of the whole.
const WHOLE: u64 = 1_000_000;

impl Throttle {
    /// Whether one more call fits under a meter.
    pub(super) fn has_room(&mut self, meter: u32, time: i64) -> bool {
        if let Some(in_hand) = self.in_hand(meter, time) {
            return in_hand;
        }
        let factor = self.adaptive.factor();
        let flying = self.ledger.flying(meter);
        let Some(entry) = self.meters.get_mut(meter as usize) else { return false };
        match &mut entry.gauge {
            Gauge::Window { window, calls, scaled } => {
                window.expire(time);
                let by_send = mutant::is(Mutant::CountBySend);
                let unsettled = if by_send { 0 } else { flying + self.past.unsettled(meter, &self.ledger) };
                window.total() + unsettled < scale(*calls, *scaled, factor)
            }
            Gauge::Bucket(bucket) => bucket.has_room(time, flying + self.past.unsettled(meter, &self.ledger), factor),
            Gauge::Daily { calendar, count, amount, .. } => {
                let (calendar, count, amount) = (*calendar, *count, *amount);
                count.most(self.before_is_open(calendar)) < amount
            }
            Gauge::Slots { calls, after_ms } => {
                let (calls, after_ms) = (scale(*calls, true, factor), *after_ms);
                self.in_slots(meter, after_ms, time, calls) < calls
            }
        }
    }

    /// Calls in flight that a concurrency limit counts, as far as `most`.
    fn in_slots(&self, meter: u32, after_ms: i64, time: i64, most: u64) -> u64 {
        let past = self.past.flying(meter, &self.ledger);
        if after_ms == 0 {
            return past + self.ledger.flying(meter);
        }
        let counted = |lane: u32| self.ledger.lane(lane).is_some_and(|lane| lane.meters.contains(&meter));
        let old = self.ledger.leases().take_while(|(_, lease)| lease.granted.saturating_add(after_ms) <= time);
        let long = old.filter(|(_, lease)| counted(lease.lane)).take(usize::try_from(most).unwrap_or(usize::MAX));
        past + long.count() as u64
    }

    /// What a meter counts now: calls, or bytes.
    pub(super) fn used(&mut self, meter: u32, time: i64) -> u64 {
        let factor = self.adaptive.factor();
        let unsettled = self.ledger.flying(meter) + self.past.unsettled(meter, &self.ledger);
        let Some(entry) = self.meters.get_mut(meter as usize) else { return 0 };
        match &mut entry.gauge {
            Gauge::Window { window, .. } => {
                window.expire(time);
                window.total() + unsettled
            }
            Gauge::Bucket(bucket) => {
                let (full, left) = (bucket.burst(), bucket.left(time, unsettled, factor));
                full - left.min(full)
            }
            Gauge::Daily { calendar, count, .. } => {
                let (calendar, count) = (*calendar, *count);
                count.most(self.before_is_open(calendar))
            }
            Gauge::Slots { after_ms, .. } => {
                let after_ms = *after_ms;
                self.in_slots(meter, after_ms, time, u64::MAX)
            }
        }
    }

    /// A meter's figure in force, the rate factor applied.
    pub(super) fn capacity(&self, meter: u32) -> u64 {
        let factor = self.adaptive.factor();
        match self.meters.get(meter as usize).map(|meter| &meter.gauge) {
            Some(Gauge::Window { calls, scaled, .. }) => scale(*calls, *scaled, factor),
            Some(Gauge::Bucket(bucket)) => bucket.burst(),
            Some(Gauge::Daily { amount, .. }) => *amount,
            Some(Gauge::Slots { calls, .. }) => scale(*calls, true, factor),
            None => 0,
        }
    }

    /// The least limiter time at which the `nth` (from 1) more call fits under a meter.
    pub(super) fn free_at(&mut self, meter: u32, nth: u64, time: i64) -> i64 {
        if self.in_hand(meter, time).is_some() {
            return self.pool_has_more_at(meter, time).unwrap_or(time);
        }
        let factor = self.adaptive.factor();
        let unsettled = self.ledger.flying(meter) + self.past.unsettled(meter, &self.ledger);
        let capacity = self.capacity(meter);
        let Some(entry) = self.meters.get_mut(meter as usize) else { return time };
        match &mut entry.gauge {
            Gauge::Window { window, .. } => {
                window.expire(time);
                let rounds = (nth - 1) / capacity.max(1);
                let place = (nth - 1) % capacity.max(1) + 1;
                let counted = window.total() + unsettled;
                let first = if counted + place <= capacity {
                    time
                } else {
                    window.release(counted + place - capacity).unwrap_or(time.saturating_add(window.span()))
                };
                first.saturating_add(window.span().saturating_mul(i64::try_from(rounds).unwrap_or(i64::MAX)))
            }
            Gauge::Bucket(bucket) => bucket.free_at(time, unsettled, nth - 1, factor),
            Gauge::Daily { calendar, count, amount, .. } => {
                let (calendar, count, amount) = (*calendar, *count, *amount);
                let Some(days) = self.calendars.get(calendar) else { return time };
                let fits = |used: u64| used.saturating_add(nth) <= amount;
                if !fits(count.used) {
                    self.limiter_time(days.over())
                } else if self.before_is_open(calendar) && !fits(count.before) {
                    self.limiter_time(days.before_over())
                } else {
                    time
                }
            }
            Gauge::Slots { .. } => time,
        }
    }

    /// When something next frees room under a full meter by time alone; none if only a settlement can.
    pub(super) fn next_change(&mut self, meter: u32, time: i64) -> Option<i64> {
        if self.in_hand(meter, time).is_some() {
            return self.pool_has_more_at(meter, time).map(|at| at.max(time + 1));
        }
        let factor = self.adaptive.factor();
        let unsettled = self.ledger.flying(meter) + self.past.unsettled(meter, &self.ledger);
        let at = match self.meters.get(meter as usize).map(|meter| &meter.gauge)? {
            Gauge::Window { window, .. } => window.release(1)?,
            Gauge::Bucket(bucket) => bucket.free_at(time, unsettled, 0, factor),
            Gauge::Daily { .. } => self.free_at(meter, 1, time),
            Gauge::Slots { .. } => return None,
        };
        Some(at.max(time + 1))
    }

    /// What refuses on a spent day, if this meter does.
    pub(super) fn day_reason(&self, meter: u32) -> Option<Reason> {
        let meter = self.meters.get(meter as usize)?;
        match (&meter.gauge, meter.stands) {
            (Gauge::Daily { .. }, Stands::Budget) => Some(Reason::AppBudget),
            (Gauge::Daily { .. } | Gauge::Window { scaled: false, .. }, _) => Some(Reason::DailyQuota),
            _ => None,
        }
    }

    /// Why a full meter holds up a call that may not wait.
    pub(super) fn rate_reason(&self, meter: u32) -> Reason {
        match self.meters.get(meter as usize).map(|meter| &meter.gauge) {
            Some(Gauge::Slots { .. }) => Reason::Concurrency,
            _ => Reason::Rate,
        }
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
        let mut place = 0;
        while let Some(meter) = self.meter_of(lane, place) {
            let counts = |lane: u32| self.ledger.lane(lane).is_some_and(|lane| lane.meters.contains(&meter));
            let ahead = self.queue.ahead(app, urgency, counts);
            bound = bound.max(self.free_at(meter, ahead + 1, time));
            place += 1;
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
            let counts = |lane: u32| self.ledger.lane(lane).is_some_and(|lane| lane.meters.contains(&meter));
            let ahead = self.queue.waiting(counts);
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
        let factor = self.adaptive.factor();
        match self.meters.get(meter as usize).map(|meter| &meter.gauge) {
            Some(Gauge::Window { window, calls, scaled }) => {
                window.span() / i64::try_from(scale(*calls, *scaled, factor)).unwrap_or(i64::MAX)
            }
            Some(Gauge::Bucket(bucket)) => bucket.pace_ms(factor),
            _ => 0,
        }
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

/// A count under the rate factor: rounded down, at least 1.
fn scale(calls: u64, scaled: bool, factor: u32) -> u64 {
    if !scaled || u64::from(factor) == WHOLE {
        return calls;
    }
    let part = u128::from(calls) * u128::from(factor) / u128::from(WHOLE);
    u64::try_from(part).unwrap_or(calls).max(1)
}
