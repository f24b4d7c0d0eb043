//! Daily limits: one calendar for each kind of reset, one count for each counter.
//!
//! A reset is an interval: the vendor's clock and ours differ, and the vendor's zone may be uncertain. At its earliest instant the new
//! day opens with everything in flight counted in it; until its latest, each grant must fit, and counts, on both days.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "a multiple of a day at or before a time that is no longer than 9,999 years"
)]

use crate::calendar::{Day, Reset, Zones};

/// What the vendor's clock and ours may differ by, milliseconds: added on both sides of a reset.
pub const SIGMA_MS: i64 = 1_000;

/// A count begins at this if not all of it is known, and what is known is added: so it is more than any limit, now or after an edit, for as
/// long as it counts.
pub const UNKNOWN: u64 = 1 << 62;

/// Whether not all is known of a count.
pub const fn is_unknown(count: u64) -> bool {
    count >= UNKNOWN / 2
}

/// Returns what is known of a count.
pub const fn known(count: u64) -> u64 {
    if is_unknown(count) { count.saturating_sub(UNKNOWN) } else { count }
}

/// Returns the sum of two counts.
pub const fn together(one: u64, other: u64) -> u64 {
    let sum = known(one).saturating_add(known(other));
    if is_unknown(one) || is_unknown(other) { UNKNOWN.saturating_add(sum) } else { sum }
}

/// The days of one kind of reset. Wall time, milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    reset: Reset,
    today: Day,
}

/// How a calendar moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Still the same day.
    Same,
    /// The next day opened.
    Next,
    /// More than one day passed.
    Skipped,
}

impl Calendar {
    /// Returns the calendar at `wall`. A zone that the platform has forgotten is taken for UTC: the
    /// policy was validated against it.
    pub fn new(reset: &Reset, zones: &dyn Zones, wall: i64) -> Self {
        let today = day_at(reset, zones, wall.saturating_add(SIGMA_MS));
        Self { reset: reset.clone(), today }
    }

    /// Goes on from a stored day.
    pub const fn resume(reset: Reset, today: Day) -> Self {
        Self { reset, today }
    }

    /// Returns when its days end.
    pub const fn reset(&self) -> &Reset {
        &self.reset
    }

    /// Returns the day that is open.
    pub const fn today(&self) -> &Day {
        &self.today
    }

    /// Returns the earliest instant of the next reset, less the clocks' difference: the new day
    /// opens.
    pub const fn opens_next(&self) -> i64 {
        self.today.ends.0.saturating_sub(SIGMA_MS)
    }

    /// Returns the latest instant of the next reset, and the clocks' difference: the day is over
    /// for certain.
    pub const fn over(&self) -> i64 {
        self.today.ends.1.saturating_add(SIGMA_MS)
    }

    /// Returns when the day that is open opened here: the earliest instant of its opening, less the
    /// clocks' difference.
    pub const fn opened(&self) -> i64 {
        self.today.opens.0.saturating_sub(SIGMA_MS)
    }

    /// Returns until when the day before is open too, Unix milliseconds.
    pub const fn before_over(&self) -> i64 {
        self.today.opens.1.saturating_add(SIGMA_MS)
    }

    /// Moves on to the day that is open at `wall`. Never back.
    pub fn turn(&mut self, zones: &dyn Zones, wall: i64) -> Turn {
        if wall < self.opens_next() {
            return Turn::Same;
        }
        let next = day_at(&self.reset, zones, wall.saturating_add(SIGMA_MS));
        let turn = if next.opens.0 <= self.today.ends.0 { Turn::Next } else { Turn::Skipped };
        self.today = next;
        turn
    }
}

fn day_at(reset: &Reset, zones: &dyn Zones, at: i64) -> Day {
    reset.day_at(zones, at).unwrap_or_else(|| {
        const DAY: i64 = 86_400_000;
        let opens = at.div_euclid(DAY) * DAY;
        Day { date: crate::calendar::utc_date(opens), opens: (opens, opens), ends: (opens + DAY, opens + DAY) }
    })
}

/// What one counter has counted on the day that is open and the one before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Daily {
    /// Today.
    pub used: u64,
    /// The day before, while it is open.
    pub before: u64,
}

impl Daily {
    /// Begins a new day with so many calls in flight.
    pub const fn turn(&mut self, turn: Turn, in_flight: u64) {
        self.before = if matches!(turn, Turn::Next) { self.used } else { 0 };
        self.used = in_flight;
    }

    /// Counts `n` on each day that is open.
    pub const fn count(&mut self, n: u64, before_is_open: bool) {
        self.used = self.used.saturating_add(n);
        if before_is_open {
            self.before = self.before.saturating_add(n);
        }
    }

    /// Takes a permit back that was not used. Only today gets it back: the day before is over, or nearly.
    pub const fn give_back(&mut self) {
        self.used = self.used.saturating_sub(1);
    }

    /// Returns the most that counts against a limit now.
    pub const fn most(&self, before_is_open: bool) -> u64 {
        if before_is_open && self.before > self.used { self.before } else { self.used }
    }
}
