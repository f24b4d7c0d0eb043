//! Rolling window: a call counts from its grant to its settlement, and the window's length more.
//!
//! Take the calls that the vendor counts within one window of its own, and of them the one granted last. Every other was counted
//! less than a window before it, so was settled less than a window before that grant, or not yet: it still counted here, and the
//! grant fitted. So no window is overrun, wherever between send and settlement the vendor counts. This file keeps the settled
//! ones; those in flight are the ledger's.

#![expect(clippy::arithmetic_side_effects, reason = "the total is the entries' sum, each of which is 32 bits")]

use std::collections::VecDeque;

/// Windows of more calls than this are kept in buckets.
const EXACT_CALLS: u64 = 2_048;
/// Into so many buckets is such a window cut; an entry leaves with its bucket's end, so at most 1/512 late.
const BUCKETS: i64 = 512;

/// The settled calls that still count, by the time they cease to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    expiries: VecDeque<(i64, u32)>,
    total: u64,
    span: i64,
    grain: i64,
}

impl Window {
    /// A window of `calls` in `window_ms`, each held `guard_ms` longer.
    pub fn new(calls: u64, window_ms: u64, guard_ms: u64) -> Self {
        // One millisecond more: both clocks are cut down to milliseconds.
        let span = i64::try_from(window_ms.saturating_add(guard_ms).saturating_add(1)).unwrap_or(i64::MAX / 4);
        let grain = if calls <= EXACT_CALLS { 1 } else { (span / BUCKETS).max(1) };
        let kept = usize::try_from(calls.min(EXACT_CALLS)).unwrap_or(0);
        Self { expiries: VecDeque::with_capacity(kept), total: 0, span, grain }
    }

    /// How long a settled call counts, milliseconds.
    pub const fn span(&self) -> i64 {
        self.span
    }

    /// Settled calls that still count.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Forgets what has run out.
    pub fn expire(&mut self, now: i64) {
        while let Some(&(at, n)) = self.expiries.front() {
            if at > now {
                break;
            }
            self.total -= u64::from(n);
            self.expiries.pop_front();
        }
    }

    /// `n` calls were settled at `settled`. Settlements come nearly in order; one dated from its headers may be older.
    pub fn push(&mut self, settled: i64, n: u32) {
        if n > 0 {
            self.hold(settled.saturating_add(self.span), n);
        }
    }

    fn hold(&mut self, until: i64, n: u32) {
        let until = self.grained(until);
        self.total += u64::from(n);
        match self.expiries.back_mut() {
            Some(last) if last.0 == until => last.1 = last.1.saturating_add(n),
            Some(last) if last.0 > until => self.hold_among(until, n),
            _ => self.expiries.push_back((until, n)),
        }
    }

    /// The end of the bucket that a moment is in.
    const fn grained(&self, until: i64) -> i64 {
        if self.grain == 1 {
            return until;
        }
        let whole = until.div_euclid(self.grain);
        let begun = if until.rem_euclid(self.grain) > 0 { 1 } else { 0 };
        whole.saturating_add(begun).saturating_mul(self.grain)
    }

    /// Before the last.
    fn hold_among(&mut self, until: i64, n: u32) {
        let place = self.expiries.iter().rposition(|&(at, _)| at <= until);
        match place.and_then(|i| self.expiries.get_mut(i)).filter(|entry| entry.0 == until) {
            Some(entry) => entry.1 = entry.1.saturating_add(n),
            None => self.expiries.insert(place.map_or(0, |i| i + 1), (until, n)),
        }
    }

    /// Keeps only the `calls` latest: in observe mode more are let through than the window holds.
    pub fn keep_latest(&mut self, calls: u64) {
        while self.total > calls {
            let Some(front) = self.expiries.front_mut() else { return };
            let surplus = self.total - calls;
            let dropped = u64::from(front.1).min(surplus);
            front.1 -= u32::try_from(dropped).unwrap_or(front.1);
            self.total -= dropped;
            if front.1 == 0 {
                self.expiries.pop_front();
            }
        }
    }

    /// When the `n`-th of the settled calls (from 1) ceases to count; none past the last.
    pub fn release(&self, n: u64) -> Option<i64> {
        if self.total == self.expiries.len() as u64 {
            // Each entry is one call.
            let place = usize::try_from(n.saturating_sub(1)).ok()?;
            return self.expiries.get(place).map(|(at, _)| *at);
        }
        if n > self.total {
            return None;
        }
        // From the nearer end.
        if n > self.total / 2 {
            let mut before = self.total;
            return self.expiries.iter().rev().find_map(|&(at, count)| {
                before -= u64::from(count);
                (before < n).then_some(at)
            });
        }
        let mut seen = 0;
        self.expiries.iter().find_map(|&(at, count)| {
            seen += u64::from(count);
            (seen >= n).then_some(at)
        })
    }

    /// Settled calls that cease to count by then.
    pub fn expiring_by(&self, at: i64) -> u64 {
        self.expiries.iter().take_while(|(until, _)| *until <= at).map(|(_, n)| u64::from(*n)).sum()
    }

    /// The entries as settlement times and counts, oldest first.
    pub fn settled(&self) -> impl Iterator<Item = (i64, u32)> + '_ {
        self.expiries.iter().map(|&(at, n)| (at.saturating_sub(self.span), n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settled_call_counts_for_the_window_and_a_millisecond() {
        let mut window = Window::new(2, 1_000, 0);
        window.push(500, 1);
        window.expire(1_500);
        assert_eq!(window.total(), 1);
        window.expire(1_501);
        assert_eq!(window.total(), 0);
    }

    #[test]
    fn a_settlement_dated_back_takes_its_place_in_order() {
        let mut window = Window::new(10, 1_000, 0);
        window.push(500, 1);
        window.push(100, 1);
        window.push(300, 2);
        assert_eq!(
            (1..=5).map(|n| window.release(n)).collect::<Vec<_>>(),
            [Some(1_101), Some(1_301), Some(1_301), Some(1_501), None]
        );
    }

    #[test]
    fn releases_are_found_from_either_end() {
        let mut window = Window::new(20, 1_000, 0);
        for (settled, n) in [(0, 3), (10, 1), (20, 4), (30, 1), (40, 2)] {
            window.push(settled, n);
        }
        let expected = [0, 0, 0, 10, 20, 20, 20, 20, 30, 40, 40].map(|settled| Some(settled + 1_001));
        assert_eq!((1..=11).map(|n| window.release(n)).collect::<Vec<_>>(), expected);
        assert_eq!(window.release(12), None);
    }

    #[test]
    fn a_million_a_day_are_kept_in_few_buckets_that_never_expire_early() {
        let day = 86_400_000;
        let mut window = Window::new(1_000_000, day, 0);
        for settled in (0..86_400_000).step_by(86_400) {
            window.push(settled, 1);
        }
        assert!(window.expiries.len() <= 514);
        window.expire(i64::try_from(day).unwrap());
        assert_eq!(window.total(), 1_000, "the first has its millisecond left");
    }

    #[test]
    fn only_the_latest_are_kept_when_more_are_let_through() {
        let mut window = Window::new(3, 1_000, 0);
        (1..=5).for_each(|settled| window.push(settled, 1));
        window.keep_latest(3);
        assert_eq!((window.total(), window.release(1)), (3, Some(1_004)));
    }
}
