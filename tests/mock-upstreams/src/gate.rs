//! Enforces every limit of a vendor on its own clock. It is all or nothing: a refused call counts
//! nowhere. Times are arguments, microseconds since the vendor started, so the tests below need no
//! clock.

use crate::limit::{Kind, Limit};
use std::collections::{BTreeMap, VecDeque};

/// The decision of the limits on a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Say {
    /// It passes now.
    Pass,
    /// It passes after this many microseconds, and is counted already.
    Delay(u64),
    /// It is refused.
    Refuse(Refusal),
}

/// The refusal of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The limit that refused.
    pub limit: Limit,
    /// When the limit would next take a call, as far as is known: microseconds from now.
    pub retry_us: Option<u64>,
}

/// How much of a limit is used, for the headers of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The limit.
    pub limit: Limit,
    /// How many calls are counted now.
    pub used: u64,
    /// Microseconds until the limit is fresh: the reset of the day, or the moment when the oldest
    /// call leaves the window; 0 where that has no meaning.
    pub fresh_us: u64,
}

/// The limits and what they have counted.
#[derive(Debug)]
pub struct Gate {
    counters: Vec<Counter>,
    /// The calls in service: number → (arrival, which limits cover it).
    inside: BTreeMap<u64, (u64, Vec<bool>)>,
}

#[derive(Debug)]
struct Counter {
    limit: Limit,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    /// When each call in the window was counted, oldest first. There are never more than the
    /// limit's calls.
    Window(VecDeque<u64>),
    /// When the bucket would be empty, nanoseconds.
    Bucket { empty_ns: u64 },
    /// The number of the day, and what it has counted.
    Day { day: i64, used: u64 },
    /// The calls are counted by [`Gate::inside`].
    Inside,
}

impl Gate {
    /// Starts with these limits, which have counted nothing.
    pub fn new(limits: &[Limit]) -> Self {
        let counters = limits.iter().map(|limit| Counter { limit: limit.clone(), state: State::new(&limit.kind) });
        Self { counters: counters.collect(), inside: BTreeMap::new() }
    }

    /// Replaces the limits. Limits of the same name and kind keep their counts.
    pub fn set_limits(&mut self, limits: &[Limit]) {
        let old = std::mem::take(&mut self.counters);
        let mut fresh = Self::new(limits);
        for counter in &mut fresh.counters {
            let same = |o: &&Counter| {
                o.limit.name == counter.limit.name
                    && std::mem::discriminant(&o.limit.kind) == std::mem::discriminant(&counter.limit.kind)
            };
            if let Some(from) = old.iter().find(same) {
                counter.state = from.state.clone();
            }
        }
        self.counters = fresh.counters;
        for (_, covered) in self.inside.values_mut() {
            covered.resize(limits.len(), false);
        }
    }

    /// Forgets all counts but the calls in service.
    pub fn forget(&mut self) {
        for counter in &mut self.counters {
            counter.state = State::new(&counter.limit.kind);
        }
    }

    /// Returns the number of calls in service.
    pub fn in_service(&self) -> usize {
        self.inside.len()
    }

    /// Lets a call in whose head has arrived: it is in service from now, unless a concurrency limit
    /// refuses it.
    pub fn enter(&mut self, call: u64, now_us: u64, target: &str) -> Result<(), Refusal> {
        let covered: Vec<bool> = self.counters.iter().map(|c| c.limit.covers(target)).collect();
        for (index, counter) in self.counters.iter().enumerate() {
            let Kind::Concurrency { calls, after_ms } = counter.limit.kind else { continue };
            if covered[index] && self.concurrent(index, now_us, after_ms) >= calls {
                return Err(Refusal { limit: counter.limit.clone(), retry_us: None });
            }
        }
        self.inside.insert(call, (now_us, covered));
        Ok(())
    }

    /// Ends a call: the last byte of its answer has left, or its connection has closed.
    pub fn leave(&mut self, call: u64) {
        self.inside.remove(&call);
    }

    fn concurrent(&self, index: usize, now_us: u64, after_ms: u64) -> u64 {
        let long = |since: u64| after_ms == 0 || now_us.saturating_sub(since) > after_ms * 1000;
        let counts = self.inside.values().filter(|(since, covered)| long(*since) && covered.get(index) == Some(&true));
        counts.count() as u64
    }

    /// Counts a call at `now_us` against every limit but concurrency, or refuses it and counts
    /// nothing.
    pub fn count(&mut self, now_us: u64, civil_ms: i64, target: &str) -> Say {
        let mut delay_us = 0;
        for counter in self.counters.iter_mut().filter(|c| c.limit.covers(target)) {
            match counter.ask(now_us, civil_ms) {
                Ok(wait) => delay_us = delay_us.max(wait),
                Err(retry_us) => return Say::Refuse(Refusal { limit: counter.limit.clone(), retry_us }),
            }
        }
        for counter in self.counters.iter_mut().filter(|c| c.limit.covers(target)) {
            counter.take(now_us);
        }
        if delay_us == 0 { Say::Pass } else { Say::Delay(delay_us) }
    }

    /// Returns how much of each limit is used.
    pub fn standings(&mut self, now_us: u64, civil_ms: i64) -> Vec<Standing> {
        let inside: Vec<u64> = (0..self.counters.len()).map(|index| self.concurrent(index, now_us, 0)).collect();
        let one = |(index, counter): (usize, &mut Counter)| {
            // This rolls the day and drops calls that have left the window.
            let _ = counter.ask(now_us, civil_ms);
            let (used, fresh_us) = counter.standing(now_us, civil_ms, inside[index]);
            Standing { limit: counter.limit.clone(), used, fresh_us }
        };
        self.counters.iter_mut().enumerate().map(one).collect()
    }
}

impl State {
    fn new(kind: &Kind) -> Self {
        match kind {
            Kind::RollingWindow { .. } => Self::Window(VecDeque::new()),
            Kind::LeakyBucket { .. } => Self::Bucket { empty_ns: 0 },
            Kind::Daily { .. } => Self::Day { day: i64::MIN, used: 0 },
            Kind::Concurrency { .. } => Self::Inside,
        }
    }
}

impl Counter {
    /// Returns after how many microseconds a call fits, or else when to try again.
    fn ask(&mut self, now_us: u64, civil_ms: i64) -> Result<u64, Option<u64>> {
        match (&self.limit.kind, &mut self.state) {
            (Kind::RollingWindow { calls, ms }, State::Window(counted)) => {
                // A call leaves the window only when the whole window is after it, strictly to the
                // microsecond.
                while counted.front().is_some_and(|at| at + ms * 1000 < now_us) {
                    counted.pop_front();
                }
                if (counted.len() as u64) < *calls {
                    return Ok(0);
                }
                Err(counted.front().map(|at| (at + ms * 1000 + 1).saturating_sub(now_us)))
            }
            (Kind::LeakyBucket { per_second, burst, queue }, State::Bucket { empty_ns }) => {
                let drop_ns = 1_000_000_000 / per_second.max(&1);
                let level_ns = empty_ns.saturating_sub(now_us * 1000);
                let over_ns = (level_ns + drop_ns).saturating_sub(burst * drop_ns);
                if over_ns.div_ceil(drop_ns) <= *queue {
                    return Ok(over_ns.div_ceil(1000));
                }
                Err(Some((over_ns - queue * drop_ns).div_ceil(1000)))
            }
            (Kind::Daily { calls, reset_s, offset_s }, State::Day { day, used }) => {
                let today = day_of(civil_ms, *reset_s, *offset_s);
                if *day != today {
                    (*day, *used) = (today, 0);
                }
                if *used < *calls { Ok(0) } else { Err(Some(until_reset_us(civil_ms, *reset_s, *offset_s))) }
            }
            _ => Ok(0),
        }
    }

    /// Counts a call that [`Self::ask`] has just accepted.
    fn take(&mut self, now_us: u64) {
        match (&self.limit.kind, &mut self.state) {
            (Kind::RollingWindow { .. }, State::Window(counted)) => counted.push_back(now_us),
            (Kind::LeakyBucket { per_second, .. }, State::Bucket { empty_ns }) => {
                *empty_ns = (*empty_ns).max(now_us * 1000) + 1_000_000_000 / per_second.max(&1);
            }
            (Kind::Daily { .. }, State::Day { used, .. }) => *used += 1,
            _ => {}
        }
    }

    fn standing(&self, now_us: u64, civil_ms: i64, inside: u64) -> (u64, u64) {
        match (&self.limit.kind, &self.state) {
            (Kind::RollingWindow { ms, .. }, State::Window(counted)) => {
                (counted.len() as u64, counted.front().map_or(0, |at| (at + ms * 1000).saturating_sub(now_us)))
            }
            (Kind::LeakyBucket { per_second, .. }, State::Bucket { empty_ns }) => {
                let level_ns = empty_ns.saturating_sub(now_us * 1000);
                (level_ns.div_ceil(1_000_000_000 / per_second.max(&1)), level_ns / 1000)
            }
            (Kind::Daily { reset_s, offset_s, .. }, State::Day { used, .. }) => {
                (*used, until_reset_us(civil_ms, *reset_s, *offset_s))
            }
            _ => (inside, 0),
        }
    }
}

const DAY_MS: i64 = 86_400_000;

/// Returns the number of the quota day that contains an instant.
pub fn day_of(civil_ms: i64, reset_s: u32, offset_s: i32) -> i64 {
    (civil_ms + i64::from(offset_s) * 1000 - i64::from(reset_s) * 1000).div_euclid(DAY_MS)
}

fn until_reset_us(civil_ms: i64, reset_s: u32, offset_s: i32) -> u64 {
    let into = (civil_ms + i64::from(offset_s) * 1000 - i64::from(reset_s) * 1000).rem_euclid(DAY_MS);
    u64::try_from((DAY_MS - into) * 1000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;

    fn gate(limits: &[(&str, Kind)]) -> Gate {
        Gate::new(&limits.iter().map(|(name, kind)| Limit::new(name, kind.clone())).collect::<Vec<_>>())
    }

    fn refused_by(say: &Say) -> Option<&str> {
        match say {
            Say::Refuse(refusal) => Some(&refusal.limit.name),
            _ => None,
        }
    }

    #[test]
    fn a_rolling_window_refuses_what_a_fixed_window_would_pass() {
        let mut gate = gate(&[("rate", Kind::window(2, 10))]);
        assert_eq!(gate.count(9 * S, 0, "/"), Say::Pass);
        assert_eq!(gate.count(9 * S + 1, 0, "/"), Say::Pass);
        // A fixed window of 10 s would begin again here.
        assert_eq!(refused_by(&gate.count(11 * S, 0, "/")), Some("rate"));
        // The window is closed at both ends: one microsecond early is too early.
        assert_eq!(refused_by(&gate.count(19 * S, 0, "/")), Some("rate"));
        assert_eq!(gate.count(19 * S + 1, 0, "/"), Say::Pass);
    }

    #[test]
    fn asking_again_when_told_passes_and_a_microsecond_before_does_not() {
        for kind in [Kind::window(1, 20), Kind::LeakyBucket { per_second: 15, burst: 1, queue: 0 }] {
            let mut gate = gate(&[("rate", kind)]);
            assert_eq!(gate.count(S, 0, "/"), Say::Pass);
            let Say::Refuse(Refusal { retry_us: Some(retry), .. }) = gate.count(S + 5, 0, "/") else {
                panic!("passed")
            };
            assert!(refused_by(&gate.count(S + 5 + retry - 1, 0, "/")).is_some());
            assert_eq!(gate.count(S + 5 + retry, 0, "/"), Say::Pass);
        }
    }

    #[test]
    fn a_leaky_bucket_of_15_passes_15_at_once_and_then_one_every_fifteenth_of_a_second() {
        let mut gate = gate(&[("rate", Kind::LeakyBucket { per_second: 15, burst: 15, queue: 0 })]);
        let passed = (0..130).filter(|_| gate.count(S, 0, "/") == Say::Pass).count();
        assert_eq!(passed, 15);
        let passed = (0..1000).filter(|i| gate.count(S + i * 1000, 0, "/") == Say::Pass).count();
        assert_eq!(passed, 14, "in the 999 ms after, one each 66.7 ms");
    }

    #[test]
    fn with_a_queue_100_wait_and_the_last_of_them_6_7_s() {
        let mut gate = gate(&[("rate", Kind::LeakyBucket { per_second: 15, burst: 15, queue: 100 })]);
        let says: Vec<Say> = (0..130).map(|_| gate.count(S, 0, "/")).collect();
        assert_eq!(says.iter().filter(|s| **s == Say::Pass).count(), 15);
        let delays: Vec<u64> =
            says.iter().filter_map(|s| if let Say::Delay(us) = s { Some(*us) } else { None }).collect();
        assert_eq!(delays.len(), 100);
        assert!((6_600_000..6_700_000).contains(&delays[99]), "last waits {} us", delays[99]);
        assert_eq!(says.iter().filter(|s| refused_by(s).is_some()).count(), 15);
    }

    #[test]
    fn a_slot_is_taken_from_enter_to_leave_and_a_refused_call_takes_none() {
        let mut gate = gate(&[("concurrent", Kind::concurrency(2))]);
        gate.enter(1, 0, "/").unwrap();
        gate.enter(2, 0, "/").unwrap();
        assert_eq!(gate.enter(3, 0, "/").unwrap_err().limit.name, "concurrent");
        gate.leave(1);
        gate.enter(4, 0, "/").unwrap();
        assert_eq!(gate.in_service(), 2);
    }

    #[test]
    fn with_after_ms_only_long_calls_count() {
        let mut gate = gate(&[("long", Kind::Concurrency { calls: 1, after_ms: 20_000 })]);
        gate.enter(1, 0, "/").unwrap();
        gate.enter(2, 20 * S, "/").unwrap();
        assert!(gate.enter(3, 20 * S + 1, "/").is_err());
    }

    #[test]
    fn a_refusal_by_one_limit_counts_in_no_other_in_either_order() {
        let (day, window) = (("day", Kind::daily(10, 0)), ("rate", Kind::window(1, 10)));
        for limits in [[day.clone(), window.clone()], [window, day]] {
            let mut gate = gate(&limits);
            assert_eq!(gate.count(0, 0, "/"), Say::Pass);
            assert_eq!(refused_by(&gate.count(1, 0, "/")), Some("rate"));
            let day = gate.standings(2, 0).into_iter().find(|s| s.limit.name == "day").unwrap();
            assert_eq!(day.used, 1);
        }
    }

    #[test]
    fn the_day_begins_anew_at_its_reset_in_its_zone() {
        // 06:00 in UTC−6 is 12:00 UTC.
        let kind = Kind::Daily { calls: 1, reset_s: 6 * 3600, offset_s: -6 * 3600 };
        let mut gate = gate(&[("day", kind)]);
        let noon = 12 * 3_600_000;
        assert_eq!(gate.count(0, noon - 2, "/"), Say::Pass);
        let Say::Refuse(refusal) = gate.count(1, noon - 1, "/") else { panic!("passed") };
        assert_eq!(refusal.retry_us, Some(1000));
        assert_eq!(gate.count(2, noon, "/"), Say::Pass);
        assert!(refused_by(&gate.count(3, noon + DAY_MS - 1, "/")).is_some());
    }

    #[test]
    fn a_limit_counts_only_the_paths_it_covers() {
        let window = || Kind::window(1, 10);
        let limits = [Limit::new("search", window()).on("/search"), Limit::new("rest", window()).on("!/search")];
        let mut gate = Gate::new(&limits);
        assert_eq!(gate.count(0, 0, "/search?q"), Say::Pass);
        assert_eq!(gate.count(0, 0, "/contacts"), Say::Pass);
        assert_eq!(refused_by(&gate.count(1, 0, "/search")), Some("search"));
        assert_eq!(refused_by(&gate.count(1, 0, "/contacts")), Some("rest"));
    }

    #[test]
    fn limits_replaced_keep_what_they_have_counted() {
        let mut gate = gate(&[("day", Kind::daily(1, 0))]);
        assert_eq!(gate.count(0, 0, "/"), Say::Pass);
        gate.set_limits(&[Limit::new("day", Kind::daily(2, 0))]);
        assert_eq!(gate.count(0, 0, "/"), Say::Pass);
        assert_eq!(refused_by(&gate.count(0, 0, "/")), Some("day"));
    }
}
