//! Rolling window: a call counts from its grant to its settlement, and the window's length more.
//!
//! Take the calls that the vendor counts within one window of its own, and of them the one granted last. Every other was counted
//! less than a window before it, so was settled less than a window before that grant, or not yet: it still counted here, and the
//! grant fitted. So no window is overrun, wherever between send and settlement the vendor counts. This file keeps the settled
//! ones; those in flight are in [`leases`](crate::leases).

#![expect(clippy::arithmetic_side_effects, reason = "the total is the entries' sum, each of which is 32 bits")]

use std::collections::VecDeque;

/// The most entries that a window keeps where memory is no concern: a window of no more calls keeps each by itself.
pub const MOST_ENTRIES: usize = 2_048;
/// A window that cannot keep each call by itself is cut into at most so many cells.
const MOST_CELLS: usize = 512;
/// A list that could hold more than this is made smaller when it is nearly empty.
const SMALL: usize = 64;

/// A count of which nothing is known: more than any window holds, now or after an edit.
pub const UNKNOWN: u32 = 2_000_000_000;

/// Settled calls that cease to count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    until: i64,
    n: u32,
}

/// The settled calls that still count, by the time they cease to.
///
/// A window of many calls keeps those of one cell of time as one entry, which ceases to count with the latest of them: so a call counts
/// longer than it must by at most a cell, and never shorter. Cells lie at fixed multiples of their length, so calls that are merged again
/// and again stay where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    entries: VecDeque<Entry>,
    total: u64,
    span: i64,
    cell: i64,
}

impl Window {
    /// Returns a window of `calls` in `window_ms`, each held `guard_ms` longer, which keeps `most`
    /// entries.
    pub fn new(calls: u64, window_ms: u64, guard_ms: u64, most: usize) -> Self {
        // One millisecond more: both clocks are cut down to milliseconds.
        let span = i64::try_from(window_ms.saturating_add(guard_ms).saturating_add(1)).unwrap_or(i64::MAX / 4);
        let cells = i64::try_from(most.clamp(1, MOST_CELLS)).unwrap_or(1);
        let cell = if calls <= most as u64 { 1 } else { (span / cells).max(1) };
        Self { entries: VecDeque::new(), total: 0, span, cell }
    }

    /// Returns how long a settled call counts, milliseconds.
    pub const fn span(&self) -> i64 {
        self.span
    }

    /// Returns how many settled calls still count.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Forgets what has run out.
    pub fn expire(&mut self, now: i64) {
        while let Some(&Entry { until, n }) = self.entries.front() {
            if until > now {
                break;
            }
            self.total -= u64::from(n);
            self.entries.pop_front();
            let held = self.entries.capacity();
            if held > SMALL && self.entries.len() < held / 8 {
                self.entries.shrink_to(held / 4);
            }
        }
    }

    /// Counts `n` calls as settled at `settled`. Settlements come nearly in order; one dated from its headers may be older.
    pub fn push(&mut self, settled: i64, n: u32) {
        self.hold(settled.saturating_add(self.span), n);
    }

    /// Takes one call back that [`Self::push`] had taken as settled at `settled`, where it is known by itself.
    pub fn take_back(&mut self, settled: i64) {
        let until = settled.saturating_add(self.span);
        let Ok(at) = self.entries.binary_search_by_key(&until, |entry| entry.until) else { return };
        let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.n > 0) else { return };
        entry.n -= 1;
        self.total -= 1;
        if entry.n == 0 {
            self.entries.remove(at);
        }
    }

    /// Counts `n` settled calls until `until`, limiter milliseconds.
    pub fn hold(&mut self, until: i64, n: u32) {
        if n == 0 {
            return;
        }
        let cell = until.div_euclid(self.cell);
        // Most often it is the last.
        let mut place = self.entries.len();
        while let Some(entry) = place.checked_sub(1).and_then(|before| self.entries.get(before))
            && entry.until > until
            && entry.until.div_euclid(self.cell) != cell
        {
            place -= 1;
        }
        match place.checked_sub(1).and_then(|before| self.entries.get_mut(before)) {
            Some(entry) if entry.until.div_euclid(self.cell) == cell => {
                entry.until = entry.until.max(until);
                let more = n.min(u32::MAX - entry.n);
                entry.n += more;
                self.total += u64::from(more);
            }
            _ => {
                self.entries.insert(place, Entry { until, n });
                self.total += u64::from(n);
            }
        }
    }

    /// Keeps only the `calls` latest: in observe mode more are let through than the window holds.
    pub fn keep_latest(&mut self, calls: u64) {
        while self.total > calls {
            let Some(front) = self.entries.front_mut() else { return };
            let surplus = self.total - calls;
            let dropped = u64::from(front.n).min(surplus);
            front.n -= u32::try_from(dropped).unwrap_or(front.n);
            self.total -= dropped;
            if front.n == 0 {
                self.entries.pop_front();
            }
        }
    }

    /// Returns when the `n`-th of the settled calls (from 1) ceases to count; none past the last.
    pub fn release(&self, n: u64) -> Option<i64> {
        if self.total == self.entries.len() as u64 {
            // Each entry is one call.
            let place = usize::try_from(n.saturating_sub(1)).ok()?;
            return self.entries.get(place).map(|entry| entry.until);
        }
        if n > self.total {
            return None;
        }
        // From the nearer end.
        if n > self.total / 2 {
            let mut before = self.total;
            return self.entries.iter().rev().find_map(|entry| {
                before -= u64::from(entry.n);
                (before < n).then_some(entry.until)
            });
        }
        let mut seen = 0;
        self.entries.iter().find_map(|entry| {
            seen += u64::from(entry.n);
            (seen >= n).then_some(entry.until)
        })
    }

    /// Returns how many settled calls cease to count by `at`.
    pub fn expiring_by(&self, at: i64) -> u64 {
        self.entries.iter().take_while(|entry| entry.until <= at).map(|entry| u64::from(entry.n)).sum()
    }

    /// Returns the entries: until when they count, and how many they are; the first to go first.
    pub fn entries(&self) -> impl Iterator<Item = (i64, u32)> + '_ {
        self.entries.iter().map(|entry| (entry.until, entry.n))
    }

    /// Takes over what another window of the same calls holds, each as long after its settlement as this one's length says.
    pub fn take_over(&mut self, other: &Self) {
        for (until, n) in other.entries() {
            self.hold(until.saturating_sub(other.span).saturating_add(self.span), n);
        }
    }
}

#[cfg(test)]
mod tests;
