//! What a limit of the new plan would have counted: by what the limits before it had, and by what the connection has sent.

use crate::config::{Kind, Limit, Mode, Unit};
use crate::counters::counter::CounterState;
use crate::index::{CalendarId, LimitId};
use crate::limiter::{Limiter, Now};
use crate::limits::daily_quota::{Calendar, Daily, UNKNOWN, is_unknown, together};
use crate::limits::rolling_window;
use crate::replan::{LONGEST_DAY_MS, Old};

impl Limiter {
    /// Returns what all counters of an old limit have counted together, as the new limit would
    /// have; none if that is not known.
    pub(super) fn sum(&self, at: LimitId, place: LimitId, old: &Old) -> Option<CounterState> {
        let gauges: Vec<&CounterState> = old.counters_of(place).map(|(_, counter)| &counter.state).collect();
        let before = old.counters.before(place);
        // Apps that have no counter have counted nothing since.
        let gauges: Vec<&CounterState> = if gauges.is_empty() { before.into_iter().collect() } else { gauges };
        self.counted(at, place, &gauges, old)
    }

    /// Returns what counters of an old limit have counted, as the new limit `at` would have; none
    /// if that is not known.
    pub(super) fn counted(
        &self,
        at: LimitId,
        place: LimitId,
        gauges: &[&CounterState],
        old: &Old,
    ) -> Option<CounterState> {
        let was = old.limit(place)?;
        let mut state = self.rules().fresh(at);
        let refill = self.rate.refilled(self.epoch.time());
        let watched = old.mode == Mode::Observe;
        for before in gauges {
            match (&mut state, before) {
                (CounterState::Window { window, calls, .. }, CounterState::Window { window: was, calls: kept, .. }) => {
                    // Where limits were only watched, no more were kept than the limit held.
                    if window.span() > was.span() || (watched && *calls > *kept) {
                        return None;
                    }
                    window.take_over(was);
                }
                (CounterState::Bucket(bucket), CounterState::Bucket(was)) => {
                    // Tokens of many buckets came back side by side, and would have come back one after the other.
                    if bucket.is_slower_than(was) || gauges.len() > 1 {
                        return None;
                    }
                    bucket.take_over(was, refill);
                    // A smaller bucket may have forgiven what this one would not have: at most what it holds more.
                    bucket
                        .settle(refill, u32::try_from(bucket.burst().saturating_sub(was.burst())).unwrap_or(u32::MAX));
                }
                (
                    CounterState::Daily { calendar, count, unit, .. },
                    CounterState::Daily { count: was_count, unit: was_unit, .. },
                ) => {
                    if unit != was_unit {
                        return None;
                    }
                    let days = old.days.of_reset(reset_of(was)?)?;
                    let known = count_on(days, *was_count, self.days.get(*calendar)?)?;
                    count.used = together(count.used, known.used);
                    count.before = together(count.before, known.before);
                }
                (CounterState::Slots { .. }, _) => {}
                _ => return None,
            }
        }
        if let CounterState::Window { window, .. } = &mut state {
            window.expire(self.epoch.time());
        }
        Some(state)
    }

    /// Returns what the new limit `at` would have counted of all that the connection has sent; none
    /// where that is not known.
    pub(super) fn sent(&self, at: LimitId, now: Now<'_>) -> Option<CounterState> {
        let mut state = self.rules().fresh(at);
        let time = self.epoch.time();
        match &mut state {
            CounterState::Window { window, .. } => {
                let from = time.saturating_sub(window.span());
                if self.history.known_from().is_some_and(|known| known > from) {
                    return None;
                }
                for one in self.history.since(from) {
                    window.push(one.last, u32::try_from(one.calls).unwrap_or(u32::MAX));
                }
                window.expire(time);
            }
            CounterState::Bucket(bucket) => {
                let clock = |at: i64| self.rate.refilled_at_most(at, self.plan.adaptive.min_ppm);
                for one in self.history.since(i64::MIN) {
                    bucket.settle(clock(one.last), u32::try_from(one.calls).unwrap_or(u32::MAX));
                    bucket.forgive(clock(one.last));
                }
                if let Some(known) = self.history.known_from() {
                    bucket.drain(clock(known));
                }
                bucket.forgive(self.rate.refilled(time));
            }
            CounterState::Daily { calendar, count, unit, .. } => *count = self.sent_on(*calendar, *unit, now)?,
            CounterState::Slots { .. } => {}
        }
        Some(state)
    }

    /// Returns the state of the new limit `at` if not all of its past is known: full until its
    /// window or day is over, also under a later policy that raises it.
    fn full(&self, at: LimitId) -> CounterState {
        let mut state = self.rules().fresh(at);
        match &mut state {
            CounterState::Window { window, .. } => {
                window.push(self.history.known_from().unwrap_or(self.epoch.time()), rolling_window::UNKNOWN);
            }
            CounterState::Bucket(bucket) => bucket.drain(self.rate.refilled(self.epoch.time())),
            CounterState::Daily { calendar, count, unit, .. } => {
                let opened = self.days.get(*calendar).map_or(i64::MAX, Calendar::opened);
                let ended = self.history.since(self.epoch.limiter_time(opened));
                let (ended, in_flight) = match unit {
                    Unit::Calls => (ended.map(|one| one.calls).fold(0, u64::saturating_add), self.in_flight()),
                    Unit::ResponseBytes => (ended.map(|one| one.bytes).fold(0, u64::saturating_add), 0),
                };
                *count = Daily { used: together(UNKNOWN, ended.saturating_add(in_flight)), before: UNKNOWN };
            }
            CounterState::Slots { .. } => {}
        }
        state
    }

    /// Returns what the connection has sent on the day that is open under a calendar, and on the
    /// one before while that is: what has ended, and what is in flight; none if that is not known.
    pub(super) fn sent_on(&self, calendar: CalendarId, unit: Unit, now: Now<'_>) -> Option<Daily> {
        let days = self.days.get(calendar)?;
        let since = |wall: i64| {
            let from = self.epoch.limiter_time(wall);
            match unit {
                Unit::Calls => self.history.calls_since(from),
                Unit::ResponseBytes => self.history.bytes_since(from),
            }
        };
        let in_flight = if unit == Unit::Calls { self.in_flight() } else { 0 };
        let used = since(days.opened())?.saturating_add(in_flight);
        let before = since(days.opened().saturating_sub(LONGEST_DAY_MS)).map(|n| n.saturating_add(in_flight));
        // When it is over it holds no call back, but a later edit may bring a day that opened in it.
        let before = if now.wall < days.before_over() { before? } else { before.unwrap_or(UNKNOWN) };
        Some(Daily { used, before })
    }

    /// Returns the lesser of two counts of the new limit `at`, neither of which is too small; full
    /// where there is none.
    pub(super) fn lesser(&self, at: LimitId, known: Option<CounterState>, sent: Option<CounterState>) -> CounterState {
        let (known, sent) = match (known, sent) {
            (Some(known), Some(sent)) => (known, sent),
            (one, other) => return one.or(other).unwrap_or_else(|| self.full(at)),
        };
        let refill = self.rate.refilled(self.epoch.time());
        match (&known, &sent) {
            (CounterState::Window { window: one, .. }, CounterState::Window { window: other, .. })
                if other.total() < one.total() =>
            {
                sent
            }
            (CounterState::Bucket(one), CounterState::Bucket(other)) if other.debt(refill) < one.debt(refill) => sent,
            (CounterState::Daily { count: one, calendar, amount, unit }, CounterState::Daily { count: other, .. }) => {
                let count = Daily { used: one.used.min(other.used), before: one.before.min(other.before) };
                CounterState::Daily { calendar: *calendar, count, amount: *amount, unit: *unit }
            }
            _ => known,
        }
    }

    /// Returns the lesser of two counts of a day, neither of which is too small; unknown where
    /// there is none.
    pub(super) fn lesser_day(&self, known: Option<Daily>, sent: Option<Daily>) -> Daily {
        match (known, sent) {
            (Some(one), Some(other)) => Daily { used: one.used.min(other.used), before: one.before.min(other.before) },
            (one, other) => one.or(other).unwrap_or(Daily { used: UNKNOWN, before: UNKNOWN }),
        }
    }

    /// Returns what all apps have sent on the connection's own day.
    pub(super) fn budgets(&self) -> Daily {
        let mut all = Daily::default();
        for at in self.apps.ids().filter_map(|app| self.counters.budget(app)) {
            if let Some(CounterState::Daily { count, .. }) = self.counters.state(at) {
                all.used = together(all.used, count.used);
                all.before = together(all.before, count.before);
            }
        }
        all
    }
}

/// Returns when the day of a daily limit ends; none for another.
pub(super) const fn reset_of(limit: &Limit) -> Option<&crate::calendar::Reset> {
    match &limit.kind {
        Kind::Daily { reset, .. } => Some(reset),
        _ => None,
    }
}

/// Returns what a count on the days of one calendar is at most on those of another; none if nothing
/// follows.
pub(super) fn count_on(days: &Calendar, count: Daily, other: &Calendar) -> Option<Daily> {
    if days.reset() == other.reset() {
        return Some(count);
    }
    // The day before ours is no shorter than 23 hours.
    const SHORTEST_DAY_MS: i64 = 23 * 3_600_000;
    let known_from = days.opened().saturating_sub(SHORTEST_DAY_MS);
    let all = (!is_unknown(count.before)).then(|| together(count.used, count.before));
    let since = |opened: i64| match opened {
        opened if opened >= days.opened() => Some(count.used),
        opened if opened >= known_from => all,
        _ => None,
    };
    let used = since(other.opened())?;
    Some(Daily { used, before: since(other.opened().saturating_sub(LONGEST_DAY_MS)).unwrap_or(UNKNOWN) })
}
