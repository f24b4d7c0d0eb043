//! What a connection has sent, whichever limits were in force: the calls that have ended, and the bytes of their answers, by time.
//!
//! A limit that a policy edit brings, or changes, begins with what would have counted on it had it been in force all along. What the limits
//! before it had counted does not always tell that; this does, from above: each call is dated no earlier than it ended. The older a
//! call is the less exactly it is dated, to an eighth of its age, so that a month takes some two hundred entries.

#![expect(clippy::arithmetic_side_effects, reason = "ages of at most a month, and sums that saturate")]

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The longest window of a policy is 31 days; what is older matters to no limit. Milliseconds.
const KEPT_MS: i64 = 32 * 86_400_000;
/// Calls within so long of each other are kept together in any case, milliseconds.
const LEAST_MS: i64 = 1_000;
/// Calls are kept together while they lie within this part of their age.
const PART: i64 = 8;
/// Beyond so many entries those that have grown old are put together.
const MOST: usize = 320;

/// Calls that ended between two moments. Limiter milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// No earlier than this.
    pub first: i64,
    /// No later than this.
    pub last: i64,
    /// How many.
    pub calls: u64,
    /// What came back, bytes.
    pub bytes: u64,
}

/// All that is known of the past.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    stretches: VecDeque<Stretch>,
    /// Calls before this are not known. Limiter milliseconds.
    known_from: Option<i64>,
    /// Bytes before this are not known.
    bytes_known_from: Option<i64>,
}

impl History {
    /// Goes on from what is stored; what comes from disk is dated `skew` milliseconds later.
    pub fn resume(stored: Vec<Stretch>, known_from: Option<i64>, bytes_known_from: Option<i64>, skew: i64) -> Self {
        let later = |at: i64| at.saturating_add(skew);
        let late = |one: Stretch| Stretch { first: later(one.first), last: later(one.last), ..one };
        let mut stretches: Vec<Stretch> = stored.into_iter().map(late).collect();
        stretches.sort_unstable_by_key(|one| one.last);
        Self {
            stretches: stretches.into(),
            known_from: known_from.map(later),
            bytes_known_from: bytes_known_from.map(later),
        }
    }

    /// `calls` ended at `at`, with so many bytes.
    pub fn push(&mut self, at: i64, calls: u32, bytes: u64) {
        match self.stretches.back_mut() {
            // One that is dated back counts as of the latest: later is the safe side.
            Some(last) if at <= last.last || at - last.first < LEAST_MS => {
                last.last = last.last.max(at);
                last.calls = last.calls.saturating_add(u64::from(calls));
                last.bytes = last.bytes.saturating_add(bytes);
            }
            _ => {
                if self.stretches.len() >= MOST {
                    self.tidy(at);
                }
                self.stretches.push_back(Stretch { first: at, last: at, calls: u64::from(calls), bytes });
            }
        }
    }

    /// Puts together what has grown old, and forgets what is too old to matter.
    fn tidy(&mut self, now: i64) {
        let mut kept: VecDeque<Stretch> = VecDeque::with_capacity(MOST);
        for one in self.stretches.drain(..) {
            if now.saturating_sub(one.last) > KEPT_MS {
                continue;
            }
            match kept.back_mut() {
                Some(last) if one.last - last.first < (now.saturating_sub(one.last) / PART).max(LEAST_MS) => {
                    last.last = one.last;
                    last.calls = last.calls.saturating_add(one.calls);
                    last.bytes = last.bytes.saturating_add(one.bytes);
                }
                _ => kept.push_back(one),
            }
        }
        self.stretches = kept;
    }

    /// The stretches, oldest first, some of whose calls may have ended at `from` or later.
    pub fn since(&self, from: i64) -> impl Iterator<Item = &Stretch> {
        self.stretches.iter().filter(move |one| one.last >= from)
    }

    /// Calls that may have ended at `from` or later, at most; none if that is not known.
    pub fn calls_since(&self, from: i64) -> Option<u64> {
        if self.known_from.is_some_and(|known| from < known) {
            return None;
        }
        Some(self.since(from).map(|one| one.calls).fold(0, u64::saturating_add))
    }

    /// Bytes that may have come back at `from` or later, at most; none if that is not known.
    pub fn bytes_since(&self, from: i64) -> Option<u64> {
        let unknown = |known: Option<i64>| known.is_some_and(|known| from < known);
        if unknown(self.known_from) || unknown(self.bytes_known_from) {
            return None;
        }
        Some(self.since(from).map(|one| one.bytes).fold(0, u64::saturating_add))
    }

    /// When the last call ended that is known of, or may have ended that is not; none if there never was one.
    pub fn last(&self) -> Option<i64> {
        self.stretches.back().map(|one| one.last).max(self.known_from).max(self.bytes_known_from)
    }

    /// Before which moment nothing is known, if there is one.
    pub const fn known_from(&self) -> Option<i64> {
        self.known_from
    }

    /// Before which moment no bytes are known, if there is one: a crash loses them.
    pub const fn bytes_known_from(&self) -> Option<i64> {
        self.bytes_known_from
    }

    /// Answers may have come back before `at` whose bytes nobody will tell.
    pub fn lose_bytes(&mut self, at: i64) {
        self.bytes_known_from = self.bytes_known_from.max(Some(at));
    }

    /// To be stored.
    pub fn stored(&mut self, now: i64) -> Vec<Stretch> {
        self.tidy(now);
        self.stretches.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_month_of_calls_takes_some_hundred_entries() {
        let mut history = History::default();
        for minute in 0..31 * 1_440_i64 {
            history.push(minute * 60_000, 3, 10);
        }
        assert!(history.stretches.len() <= MOST, "{}", history.stretches.len());
        assert!(history.stored(31 * 86_400_000).len() < 260);
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let mut history = History::resume(Vec::new(), Some(1_000), None, 0);
        history.push(2_000, 1, 7);
        assert_eq!((history.calls_since(999), history.calls_since(1_000)), (None, Some(1)));
        history.lose_bytes(3_000);
        assert_eq!((history.bytes_since(2_999), history.bytes_since(3_000)), (None, Some(0)));
    }

    #[test]
    fn calls_within_a_second_or_dated_back_are_kept_with_the_last_as_of_the_latest_of_them() {
        let mut history = History::default();
        for (at, calls, kept) in [(5_000, 1, 1), (5_999, 2, 1), (4_000, 4, 1), (6_000, 8, 2), (5_500, 16, 2)] {
            history.push(at, calls, 10 * u64::from(calls));
            assert_eq!(history.stretches.len(), kept, "{at}");
        }
        let stretch = |first, last, calls| Stretch { first, last, calls, bytes: 10 * calls };
        assert_eq!(history.stored(6_000), [stretch(5_000, 5_999, 7), stretch(6_000, 6_000, 24)]);
        assert_eq!(
            (history.calls_since(5_999), history.calls_since(6_000), history.calls_since(6_001)),
            (Some(31), Some(24), Some(0))
        );
        assert_eq!((history.bytes_since(6_000), history.last()), (Some(240), Some(6_000)));
    }

    #[test]
    fn what_is_older_than_any_window_is_forgotten_and_what_is_not_is_kept() {
        const LATER: i64 = 5 * 86_400_000;
        let mut history = History::default();
        history.push(0, 1, 1);
        history.push(LATER, 2, 2);
        assert_eq!(history.stored(KEPT_MS).len(), 2);
        assert_eq!(history.stored(KEPT_MS + 1), [Stretch { first: LATER, last: LATER, calls: 2, bytes: 2 }]);
        assert!(history.stored(KEPT_MS + LATER + 1).is_empty());
    }

    #[test]
    fn the_past_comes_from_disk_later_by_what_clocks_may_differ_and_in_order() {
        let stretch = |first, last| Stretch { first, last, calls: 3, bytes: 7 };
        let history = History::resume(vec![stretch(40, 50), stretch(10, 20)], Some(5), Some(15), 100);
        assert_eq!(history.since(i64::MIN).copied().collect::<Vec<_>>(), [stretch(110, 120), stretch(140, 150)]);
        assert_eq!(
            (history.known_from(), history.bytes_known_from(), history.last()),
            (Some(105), Some(115), Some(150))
        );
        assert_eq!((history.calls_since(105), history.calls_since(104)), (Some(6), None));
        assert_eq!(
            (history.bytes_since(115), history.bytes_since(114), history.bytes_since(121)),
            (Some(14), None, Some(7))
        );
        assert_eq!(History::resume(Vec::new(), Some(5), Some(9), 0).last(), Some(9));
        assert_eq!(History::default().last(), None);
    }

    #[test]
    fn bytes_once_lost_stay_so_and_no_earlier_loss_brings_them_back() {
        let mut history = History::default();
        history.lose_bytes(50);
        history.lose_bytes(20);
        assert_eq!(
            (history.bytes_known_from(), history.calls_since(0), history.bytes_since(49)),
            (Some(50), Some(0), None)
        );
    }

    proptest! {
        #[test]
        fn it_never_tells_less_than_was_and_little_more(gaps in prop::collection::vec(0_i64..400_000, 1..2_000), part in 0_i64..1_000) {
            let (mut history, mut ends, mut at) = (History::default(), Vec::new(), 0);
            for gap in gaps {
                at += gap;
                history.push(at, 1, 2);
                ends.push(at);
            }
            let from = at * part / 1_000;
            let count = |from: i64| ends.iter().filter(|end| **end >= from).count() as u64;
            let told = history.calls_since(from).unwrap();
            prop_assert!(told >= count(from));
            // An entry lies within an eighth of its age, and what is put together is looked at anew only now and then.
            prop_assert!(told <= count(from - (at - from) / 6 - 2_000));
            prop_assert_eq!(history.bytes_since(from), Some(2 * told));
        }
    }
}
