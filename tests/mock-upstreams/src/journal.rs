//! The vendor's journal: every call with its instants and verdict, and checks over them.

use crate::gate::day_of;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// A call as the vendor saw it. Times are microseconds since the vendor started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The call's number, from 1 in order of arrival, also over resets of the journal.
    pub number: u64,
    /// When the head had arrived.
    pub arrived_us: u64,
    /// When the limits counted or refused the call.
    pub counted_us: Option<u64>,
    /// When the last byte of the answer had left, or the connection had closed.
    pub ended_us: Option<u64>,
    /// The vendor's calendar at the arrival, Unix milliseconds.
    pub civil_ms: i64,
    /// The method.
    pub method: String,
    /// The request target, byte for byte (one character for each byte), at most 8,192.
    pub target: String,
    /// The value of the app header, at most 64 characters.
    pub app: Option<String>,
    /// How the call went.
    pub verdict: Verdict,
    /// The status of the answer, 0 where there was none.
    pub status: u16,
}

/// How a call went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "by", rename_all = "snake_case")]
pub enum Verdict {
    /// It is still in service.
    Open,
    /// It was within every limit.
    Passed,
    /// It exceeded the limit of this name.
    Refused(String),
    /// It was within every limit, and the fault of this name occurred.
    Fault(String),
    /// It went to the token endpoint, which no limit counts.
    Free,
    /// Its credential was not valid.
    Unauthorized,
}

/// The calls, newest last, at most as many as the spec says.
#[derive(Debug)]
pub struct Journal {
    calls: VecDeque<Call>,
    most: usize,
    next: u64,
    forgotten: u64,
}

impl Journal {
    /// Makes an empty journal.
    pub const fn new(most: usize) -> Self {
        Self { calls: VecDeque::new(), most, next: 1, forgotten: 0 }
    }

    /// Forgets every call. Calls that are still open are not written when they end.
    pub fn clear(&mut self) {
        self.calls.clear();
        self.forgotten = 0;
    }

    /// Adds a call that has arrived, and returns its number.
    pub fn open(&mut self, mut call: Call) -> u64 {
        call.number = self.next;
        self.next += 1;
        self.calls.push_back(call);
        while self.calls.len() > self.most.max(1) {
            self.calls.pop_front();
            self.forgotten += 1;
        }
        self.next - 1
    }

    /// Returns the entry of a call, unless it has been forgotten.
    pub fn entry(&mut self, number: u64) -> Option<&mut Call> {
        let first = self.calls.front()?.number;
        self.calls.get_mut(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    /// Returns how many calls were dropped because the journal was full.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Returns the calls after a number.
    pub fn after(&self, number: u64) -> Calls {
        Calls(self.calls.iter().filter(|call| call.number > number).cloned().collect())
    }
}

/// Calls read from a journal, in order of arrival.
#[derive(Debug, Clone, Default)]
pub struct Calls(pub Vec<Call>);

impl Calls {
    /// Returns the calls for which `keep` is true.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&Call) -> bool) -> Self {
        Self(self.0.iter().filter(|call| keep(call)).cloned().collect())
    }

    /// Returns the calls that the limits counted or refused: all but the token endpoint's.
    #[must_use]
    pub fn counted(&self) -> Self {
        self.only(|call| !matches!(call.verdict, Verdict::Free))
    }

    /// Returns how many were within every limit, faults included.
    pub fn passed(&self) -> usize {
        self.0.iter().filter(|call| matches!(call.verdict, Verdict::Passed | Verdict::Fault(_))).count()
    }

    /// Returns how many calls each limit refused.
    pub fn refused(&self) -> BTreeMap<String, usize> {
        let mut by = BTreeMap::new();
        for call in &self.0 {
            if let Verdict::Refused(limit) = &call.verdict {
                *by.entry(limit.clone()).or_insert(0) += 1;
            }
        }
        by
    }

    /// Returns the most arrivals in any window of `ms` milliseconds, both ends included.
    pub fn most_in_window(&self, ms: u64) -> usize {
        let mut at: Vec<u64> = self.counted().0.iter().map(|call| call.arrived_us).collect();
        at.sort_unstable();
        let (mut most, mut first) = (0, 0);
        for (index, instant) in at.iter().enumerate() {
            while at[first] + ms * 1000 < *instant {
                first += 1;
            }
            most = most.max(index - first + 1);
        }
        most
    }

    /// Returns the most calls in service at once. Calls that are still open count to the end.
    pub fn most_at_once(&self) -> usize {
        let mut steps: Vec<(u64, i64)> = Vec::new();
        for call in &self.counted().0 {
            steps.push((call.arrived_us, 1));
            // A call that was refused at once was in service all the same.
            steps.push((call.ended_us.unwrap_or(u64::MAX).max(call.arrived_us + 1), -1));
        }
        // Of two steps in the same microsecond the end comes first, as no overlap was seen.
        steps.sort_unstable();
        let (mut now, mut most) = (0_i64, 0_i64);
        for (_, step) in steps {
            now += step;
            most = most.max(now);
        }
        usize::try_from(most).unwrap_or(0)
    }

    /// Returns the calls that passed, by quota day (its number since 1970 in the vendor's zone).
    pub fn by_day(&self, reset_s: u32, offset_s: i32) -> BTreeMap<i64, usize> {
        let mut by = BTreeMap::new();
        for call in self.only(|c| matches!(c.verdict, Verdict::Passed | Verdict::Fault(_))).0 {
            *by.entry(day_of(call.civil_ms, reset_s, offset_s)).or_insert(0) += 1;
        }
        by
    }

    /// Returns the number of calls of each app.
    pub fn by_app(&self) -> BTreeMap<String, usize> {
        let mut by = BTreeMap::new();
        for call in &self.0 {
            *by.entry(call.app.clone().unwrap_or_default()).or_insert(0) += 1;
        }
        by
    }

    /// Returns when each call arrived, microseconds after the first.
    pub fn since_first_us(&self) -> Vec<u64> {
        let first = self.0.first().map_or(0, |call| call.arrived_us);
        self.0.iter().map(|call| call.arrived_us.saturating_sub(first)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(arrived_ms: u64, ended_ms: Option<u64>, verdict: Verdict) -> Call {
        Call {
            number: 0,
            arrived_us: arrived_ms * 1000,
            counted_us: None,
            ended_us: ended_ms.map(|ms| ms * 1000),
            civil_ms: i64::try_from(arrived_ms).unwrap(),
            method: "GET".to_owned(),
            target: "/".to_owned(),
            app: None,
            verdict,
            status: 200,
        }
    }

    #[test]
    fn the_fullest_window_is_found_wherever_it_lies() {
        let at = [0, 900, 950, 1899, 1900, 3000];
        let calls = Calls(at.iter().map(|ms| call(*ms, None, Verdict::Passed)).collect());
        assert_eq!(calls.most_in_window(1000), 4, "900, 950, 1899 and 1900 lie within one second");
        assert_eq!(calls.most_in_window(100), 2);
    }

    #[test]
    fn what_overlaps_is_counted_and_what_only_touches_is_not() {
        let spans = [(0, Some(10)), (10, Some(20)), (15, None), (17, Some(18))];
        let calls = Calls(spans.iter().map(|(a, e)| call(*a, *e, Verdict::Passed)).collect());
        assert_eq!(calls.most_at_once(), 3);
    }

    #[test]
    fn a_full_journal_forgets_the_oldest_and_says_so() {
        let mut journal = Journal::new(2);
        for ms in 0..5 {
            journal.open(call(ms, None, Verdict::Open));
        }
        assert_eq!(journal.forgotten(), 3);
        assert_eq!(journal.after(0).0.iter().map(|c| c.number).collect::<Vec<_>>(), [4, 5]);
        assert!(journal.entry(3).is_none());
        journal.entry(4).unwrap().verdict = Verdict::Refused("rate".to_owned());
        assert_eq!(journal.after(0).refused()["rate"], 1);
    }
}
