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

    /// Adds calls that ended at `at`, limiter milliseconds, with so many bytes.
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

    /// Returns the stretches, oldest first, some of whose calls may have ended at `from` or later.
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

    /// Returns when the last call ended that is known of, or may have ended that is not; none if
    /// there never was one.
    pub fn last(&self) -> Option<i64> {
        self.stretches.back().map(|one| one.last).max(self.known_from).max(self.bytes_known_from)
    }

    /// Returns before which moment nothing is known, if there is one.
    pub const fn known_from(&self) -> Option<i64> {
        self.known_from
    }

    /// Returns before which moment no bytes are known, if there is one: a crash loses them.
    pub const fn bytes_known_from(&self) -> Option<i64> {
        self.bytes_known_from
    }

    /// Notes that answers may have come back before `at` whose bytes will never be known.
    pub fn lose_bytes(&mut self, at: i64) {
        self.bytes_known_from = self.bytes_known_from.max(Some(at));
    }

    /// Returns what is to be stored.
    pub fn stored(&mut self, now: i64) -> Vec<Stretch> {
        self.tidy(now);
        self.stretches.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests;
