//! Settlement: what became of a permit. Idempotent by id; only an answer dates a call.

#![expect(clippy::arithmetic_side_effects, reason = "places among at most 33 meters")]

use super::PermitId;
use super::meter::Gauge;
use super::mutant::{self, Mutant};
use super::outcome::{Outcome, ThrottledBy};
use super::past::Group;
use super::rule::Mode;
use super::state::{Now, Parts, Throttle};

/// A vendor that says its day is spent, where no daily limit is declared, is left alone so long, milliseconds.
const SPENT_PAUSE_MS: u64 = 60_000;

/// A report on a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// Which.
    pub permit: PermitId,
    /// 1 for the first try to report.
    pub attempt: u32,
    /// Its end.
    pub outcome: Outcome,
    /// How long ago the vendor's headers came, milliseconds: by then it had counted the call.
    pub since_headers_ms: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
}

/// Whether a report was news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The first word of this permit.
    News,
    /// Its outcome was unknown before, and is known now.
    Later,
    /// Heard before, or too late to matter.
    Repeat,
}

impl Throttle {
    /// Takes a report.
    pub fn settle(&mut self, now: Now<'_>, report: Settlement) -> Settled {
        let time = self.begin(now);
        let settled = if report.permit.epoch == self.epoch {
            self.settle_own(&report, time)
        } else {
            self.settle_past(&report, time)
        };
        if settled != Settled::Repeat {
            self.block.touch();
            self.pump(time);
        }
        self.close_if_done(time);
        settled
    }

    fn settle_own(&mut self, report: &Settlement, time: i64) -> Settled {
        // The vendor may still be at work: the lease stays in flight until it lapses, or a later report dates it.
        if report.outcome == Outcome::Unknown {
            return if self.ledger.mark(report.permit) { Settled::News } else { Settled::Repeat };
        }
        let Some(lease) = self.ledger.close(report.permit) else { return Settled::Repeat };
        let flight = time.saturating_sub(lease.granted).saturating_mul(16);
        self.mean_flight = self.mean_flight.saturating_add((flight.saturating_sub(self.mean_flight)) / 16);
        self.finish(report, lease.lane, Some(lease.granted), time);
        if lease.cut { Settled::Later } else { Settled::News }
    }

    fn settle_past(&mut self, report: &Settlement, time: i64) -> Settled {
        let PermitId { epoch, lane, seq, .. } = report.permit;
        if report.outcome == Outcome::Unknown {
            return if self.past.holds(epoch, lane, seq) { Settled::News } else { Settled::Repeat };
        }
        let before = self.past.group(epoch).filter(|group| group.ran).cloned();
        let Some(lane) = self.past.settle(epoch, lane, seq, report.attempt == 1) else { return Settled::Repeat };
        if let Some(before) = before.filter(|_| !mutant::is(Mutant::LandsUnseen)) {
            self.land_others(&before, lane);
        }
        self.finish(report, lane, None, time);
        Settled::News
    }

    /// A call of an earlier life has ended, so fewer of that life's are in flight than was thought; those that its lane's meters do not
    /// count have landed before, then, and their meters count them from when that life had ended.
    fn land_others(&mut self, before: &Group, lane: u32) {
        for meter in 0..u32::try_from(self.meters.len()).unwrap_or(0) {
            if self.ledger.counts(lane, meter) {
                continue;
            }
            let still = self.past.group(before.epoch).map_or(0, |group| group.flying(meter, &self.ledger));
            let landed = before.flying(meter, &self.ledger).saturating_sub(still);
            self.date(meter, before.run_until, u32::try_from(landed).unwrap_or(u32::MAX));
        }
    }

    /// What every end of a permit does to its lane. `granted` is not known of a permit of an earlier life.
    fn finish(&mut self, report: &Settlement, lane: u32, granted: Option<i64>, time: i64) {
        if report.outcome == Outcome::Unused {
            return self.give_back(lane);
        }
        let since = i64::try_from(report.since_headers_ms).unwrap_or(i64::MAX / 4);
        let at = time.saturating_sub(since).max(granted.unwrap_or(time)).min(time);
        self.date_lane(lane, at);
        if self.counts_bytes {
            self.count_bytes(lane, report.response_bytes);
        }
        match report.outcome {
            Outcome::Throttled { by, retry_after_ms } => {
                self.heed(report.permit, lane, granted, by, retry_after_ms, time)
            }
            _ => {
                let rule = self.plan.adaptive;
                self.adaptive.succeed(&rule, granted.unwrap_or(i64::MIN));
            }
        }
    }

    fn give_back(&mut self, lane: u32) {
        let Parts { meters, sight, .. } = self.parts(self.clock.last());
        for &meter in sight.meters_of(lane) {
            let gauge = meters.get_mut(meter as usize).map(|entry| &mut entry.gauge);
            if let Some(Gauge::Daily { count, bytes: false, .. }) = gauge {
                count.give_back();
            }
        }
    }

    /// Bytes are known only now, and only here: they are stored before anything else happens.
    fn count_bytes(&mut self, lane: u32, n: u64) {
        let Parts { meters, sight, .. } = self.parts(self.clock.last());
        let mut counted = false;
        for &meter in sight.meters_of(lane) {
            counted |= meters.get_mut(meter as usize).is_some_and(|entry| entry.count_bytes(n, &sight));
        }
        if counted {
            self.block.require();
        }
    }

    fn heed(
        &mut self,
        permit: PermitId,
        lane: u32,
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
                self.block.require();
                return self.look_at_all(time);
            }
            retry_after = retry_after.or(Some(SPENT_PAUSE_MS));
        }
        let rule = self.plan.adaptive;
        let granted = granted.unwrap_or(i64::MIN);
        self.turns.begin(time);
        let noise = mixed(permit.seq ^ (u64::from(permit.epoch) << 40) ^ (u64::from(permit.lane) << 20));
        if self.adaptive.throttle(&rule, time, granted, retry_after, noise) {
            self.block.require();
            self.look_at_all(time);
        }
    }

    /// The vendor says the day is spent: so it is. In the interval of a reset it is the day before that is meant.
    fn spend_day(&mut self, lane: u32) -> bool {
        let mut found = false;
        let mut place = 0;
        while let Some(meter) = self.meter_of(lane, place) {
            place += 1;
            let Some(Gauge::Daily { calendar, bytes: false, .. }) = self.gauge_of(meter) else { continue };
            let before_is_open = self.before_is_open(*calendar);
            let budget = self.day_reason(meter) == Some(crate::refusal::Reason::AppBudget);
            let all = Some(self.capacity(meter));
            if let Some(entry) = self.meters.get_mut(meter as usize).filter(|entry| entry.loan.is_some()) {
                // The pool's calls are others' too: that it is spent is the vendor's word, not our count.
                entry.vendor = entry.vendor.max(all);
            }
            if let Some(Gauge::Daily { count, amount, .. }) = self.gauge_mut(meter).filter(|_| !budget) {
                let day = if before_is_open { &mut count.before } else { &mut count.used };
                *day = (*day).max(*amount);
                found = true;
            }
        }
        found
    }
}

/// Spreads neighbouring numbers over all (the finaliser of SplitMix64, Steele, Lea and Flood, 2014).
const fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
