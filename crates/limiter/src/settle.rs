//! Settles permits by reports of their ends. A repeated report changes nothing, and only an answer
//! says from when a call counts.

use crate::PermitId;
use crate::config::{Mode, Unit};
use crate::counters::counter::{CounterKey, CounterState};
use crate::durable::prior_epochs::Ended;
use crate::index::LaneId;
use crate::limiter::{Limiter, Now};
use crate::mutant::{self, Mutant};
use crate::outcome::{Outcome, ThrottledBy};
use crate::rate::FactorChange;

/// A vendor whose day is spent, where the policy declares no daily limit, is paused for so long, milliseconds.
const SPENT_PAUSE_MS: u64 = 60_000;

/// A report on a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// The permit.
    pub permit: PermitId,
    /// Which attempt to report this is, from 1.
    pub attempt: u32,
    /// What became of the permit.
    pub outcome: Outcome,
    /// How long ago the vendor's headers came, milliseconds: by then it had counted the call.
    pub since_headers_ms: u64,
    /// The length of the answer's body, bytes.
    pub response_bytes: u64,
}

/// What a report changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is the first report on this permit.
    News,
    /// The permit's outcome was unknown before, and is known now.
    Later,
    /// It repeats an earlier report, or comes too late to matter.
    Repeat,
}

impl Limiter {
    /// Takes a report on a permit.
    pub fn settle(&mut self, now: Now<'_>, report: Settlement) -> Settled {
        let time = self.begin(now);
        if self.is_of_another_life(report.permit) {
            // This epoch is superseded and must not take the report: its write fails, and the report goes to the other.
            self.reservation.require();
            return Settled::Repeat;
        }
        let settled = if report.permit.epoch == self.epoch.number() {
            self.settle_own(&report, time)
        } else {
            self.settle_past(&report, time)
        };
        if settled != Settled::Repeat {
            self.reservation.touch();
            self.grant_ready(time);
        }
        self.close_if_done(time);
        settled
    }

    /// Restores the rate factor to what it was before a throttle that turns out to say nothing of the rate, parts per million.
    pub fn restore(&mut self, now: Now<'_>, factor_ppm: u32) {
        let time = self.begin(now);
        if self.rate.restore(&self.plan.adaptive, factor_ppm, time) == FactorChange::Changed {
            self.queue.unpark_all();
            self.reservation.touch();
            self.grant_ready(time);
        }
        self.close_if_done(time);
    }

    /// Whether an epoch that began after this one has granted a permit. It may have the same number, if this one was superseded before it
    /// had written anything.
    fn is_of_another_life(&self, permit: PermitId) -> bool {
        let granted = self.leases.lanes().get(LaneId(permit.lane)).map_or(0, |lane| lane.seq);
        permit.epoch > self.epoch.number() || (permit.epoch == self.epoch.number() && permit.seq >= granted)
    }

    fn settle_own(&mut self, report: &Settlement, time: i64) -> Settled {
        // The vendor may still be at work: the lease stays in flight until it lapses, or a later
        // report states its end.
        if report.outcome == Outcome::Unknown {
            let Some((lease, bytes)) = self.leases.mark(report.permit, report.response_bytes) else {
                return Settled::Repeat;
            };
            self.count_bytes(lease.lane, bytes, time);
            return if lease.cut { Settled::Repeat } else { Settled::News };
        }
        let Some(lease) = self.leases.close(report.permit) else { return self.settle_late(report, time) };
        self.leases.note_flight(time.saturating_sub(lease.granted));
        if report.outcome == Outcome::Unused {
            self.give_back(lease.lane, None);
        } else {
            self.finish(report, lease.lane, (Some(lease.granted), lease.bytes), time);
        }
        if lease.cut { Settled::Later } else { Settled::News }
    }

    /// Takes a report on a permit that has ended. If it had lapsed, the vendor was slower than was thought possible: its call counts from
    /// now on, and no longer from when it lapsed.
    fn settle_late(&mut self, report: &Settlement, time: i64) -> Settled {
        if report.outcome == Outcome::Unused {
            return Settled::Repeat;
        }
        let Some(lease) = self.leases.forget_late(LaneId(report.permit.lane), report.permit.seq) else {
            return Settled::Repeat;
        };
        let at = answered_at(report, Some(lease.granted), time);
        self.here().each_of(lease.lane, |_, counter, view| counter.record_again(lease.lapses, at, view));
        self.history.push(at, 1, 0);
        self.count_bytes(lease.lane, report.response_bytes.saturating_sub(lease.bytes), time);
        self.reservation.touch();
        Settled::Repeat
    }

    fn settle_past(&mut self, report: &Settlement, time: i64) -> Settled {
        let (epoch, lane, seq) = (report.permit.epoch, LaneId(report.permit.lane), report.permit.seq);
        if report.outcome == Outcome::Unknown {
            let lane_before = lane;
            let Some(lane) = self.prior.holds(epoch, lane, seq) else { return Settled::Repeat };
            self.count_bytes(lane, report.response_bytes, time);
            return if self.prior.is_over(epoch, lane_before, seq) { Settled::Repeat } else { Settled::News };
        }
        let in_flight: Vec<u64> = match self.prior.holds(epoch, lane, seq) {
            Some(lane) => self.leases.counters(lane).iter().map(|counter| self.prior.in_flight(*counter)).collect(),
            None => return Settled::Repeat,
        };
        let mut settled = Vec::new();
        let attempt = report.attempt;
        let ended = self.prior.settle(epoch, lane, seq, attempt, &self.leases, |counter, n| settled.push((counter, n)));
        let Some(Ended { lane, since, ran, late }) = ended else { return Settled::Repeat };
        if late {
            return self.answered_late(report, lane, time);
        }
        // Fewer of that epoch's calls are in flight than was thought, so those that its lane's counters do not count have ended before.
        if let Some(at) = ran.filter(|_| !mutant::is(Mutant::LandsUnseen)) {
            for (counter, n) in settled {
                self.record_on(counter, at, n);
            }
        }
        if report.outcome == Outcome::Unused {
            self.give_back(lane, Some((since, &in_flight)));
        } else {
            self.finish(report, lane, (None, 0), time);
        }
        Settled::News
    }

    /// Takes the answer to a call of an earlier epoch that was taken for ended: it counts again, from now on.
    fn answered_late(&mut self, report: &Settlement, lane: LaneId, time: i64) -> Settled {
        if report.outcome != Outcome::Unused {
            self.record_settled(lane, answered_at(report, None, time));
            self.count_bytes(lane, report.response_bytes, time);
            self.reservation.touch();
        }
        Settled::Repeat
    }

    /// Does what every answer does to its lane. `granted` is none for a permit of an earlier epoch; `bytes` is what has been counted of the
    /// answer already.
    fn finish(&mut self, report: &Settlement, lane: LaneId, (granted, bytes): (Option<i64>, u64), time: i64) {
        self.record_settled(lane, answered_at(report, granted, time));
        self.count_bytes(lane, report.response_bytes.saturating_sub(bytes), time);
        match report.outcome {
            Outcome::Throttled { by, retry_after_ms } => {
                self.on_throttled(report.permit, lane, granted, by, retry_after_ms, time)
            }
            _ => {
                let change = self.rate.succeed(&self.plan.adaptive, granted.unwrap_or(i64::MIN), time);
                self.factor_may_have_changed(change);
            }
        }
    }

    /// Unparks all lanes if the rate factor has changed: limits may have room that had none.
    fn factor_may_have_changed(&mut self, change: FactorChange) {
        if change == FactorChange::Changed {
            self.queue.unpark_all();
        }
    }

    /// Takes a permit back that was not used. One of an earlier epoch counts on the days that were open when its snapshot was written; on
    /// those that have opened since, only if it was among those in flight. `prior` is when the snapshot was written, and how many were in
    /// flight under each counter of the lane.
    fn give_back(&mut self, lane: LaneId, prior: Option<(i64, &[u64])>) {
        for place in 0..self.leases.counters(lane).len() {
            let Some(&counter) = self.leases.counters(lane).get(place) else { continue };
            let Some(CounterState::Daily { calendar, unit: Unit::Calls, .. }) = self.counters.state(counter) else {
                continue;
            };
            let opened = self.days.get(*calendar).map_or(i64::MIN, |days| self.epoch.limiter_time(days.opened()));
            let counted = prior.is_none_or(|(since, in_flight)| {
                since >= opened || in_flight.get(place).is_some_and(|before| self.prior.in_flight(counter) < *before)
            });
            let Some(entry) = self.counters.get_mut(counter).filter(|_| counted) else { continue };
            if let CounterState::Daily { count, .. } = &mut entry.state {
                count.give_back();
            }
            if let Some(loan) = &mut entry.loan {
                loan.give_back();
            }
        }
        self.unpark_app_of(lane);
    }

    /// Counts bytes of an answer. They are known only now, and only here, so where a limit counts them they are stored at once.
    fn count_bytes(&mut self, lane: LaneId, n: u64, time: i64) {
        if n == 0 {
            return;
        }
        self.history.push(time, 0, n);
        if !self.counters.counts_bytes() {
            return;
        }
        let mut counted = false;
        self.here().each_of(lane, |_, counter, view| counted |= counter.count_bytes(n, view));
        if counted {
            self.note_fullest(lane);
            self.reservation.require();
        }
    }

    fn on_throttled(
        &mut self,
        permit: PermitId,
        lane: LaneId,
        granted: Option<i64>,
        by: ThrottledBy,
        retry_after: Option<u64>,
        time: i64,
    ) {
        if self.plan.mode == Mode::Observe {
            return;
        }
        let mut retry_after = retry_after;
        if by == ThrottledBy::Day {
            if self.spend_day(lane) {
                self.reservation.require();
                return self.recheck_all(time);
            }
            retry_after = retry_after.or(Some(SPENT_PAUSE_MS));
        }
        let granted = granted.unwrap_or(i64::MIN);
        let noise = mixed(permit.seq ^ (u64::from(permit.epoch) << 40) ^ (u64::from(permit.lane) << 20));
        let (change, paused) = self.rate.throttle(&self.plan.adaptive, time, granted, retry_after, noise);
        self.factor_may_have_changed(change);
        if paused {
            self.reservation.require();
            self.recheck_all(time);
        }
    }

    /// Marks the day as spent, as the vendor says it is; in the interval of a reset the day before. Returns whether a limit counts days.
    fn spend_day(&mut self, lane: LaneId) -> bool {
        let mut found = false;
        for place in 0..self.leases.counters(lane).len() {
            let Some(&counter) = self.leases.counters(lane).get(place) else { continue };
            let Some(CounterState::Daily { calendar, unit: Unit::Calls, .. }) = self.counters.state(counter) else {
                continue;
            };
            let before_is_open = self.before_is_open(*calendar);
            let budget = self.counters.get(counter).is_some_and(|entry| entry.key == CounterKey::Budget);
            let all = self.capacity(counter);
            if let Some(entry) = self.counters.get_mut(counter)
                && let Some(loan) = &entry.loan
            {
                // The pool's calls are other connections' too, so that it is spent is the vendor's count and not ours.
                entry.vendor_count = entry.vendor_count.max(Some(all.saturating_add(loan.others)));
                found = true;
                continue;
            }
            if let Some(CounterState::Daily { count, amount, .. }) =
                self.counters.state_mut(counter).filter(|_| !budget)
            {
                let day = if before_is_open { &mut count.before } else { &mut count.used };
                *day = (*day).max(*amount);
                found = true;
            }
        }
        found
    }
}

/// Returns when at the latest the vendor had counted a call: by the time its headers came.
fn answered_at(report: &Settlement, granted: Option<i64>, time: i64) -> i64 {
    let since = i64::try_from(report.since_headers_ms).unwrap_or(i64::MAX / 4);
    time.saturating_sub(since).max(granted.unwrap_or(time)).min(time)
}

/// Spreads neighbouring numbers over all (the finaliser of SplitMix64, Steele, Lea and Flood, 2014).
const fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
