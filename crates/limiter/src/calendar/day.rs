//! The day between two resets that contains a moment.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "a date is Unix ms by 86,400,000, so below 2^37; instants are saturated"
)]

use super::date::format_date;
use super::{DAY_MS, Day, Reset, Zones};

/// Moments the calendar is asked about: those a JavaScript date can name.
const MOMENTS: std::ops::RangeInclusive<i64> = -8_640_000_000_000_000..=8_640_000_000_000_000;

impl Reset {
    /// Returns the day that contains `at` (Unix milliseconds): the latest that may have opened by
    /// then. Within an opening interval that is the day that opens there. None if the platform does
    /// not know a zone, or `at` is beyond what a JavaScript date can name.
    ///
    /// Days tile time: each ends where the next opens.
    pub fn day_at(&self, zones: &dyn Zones, at: i64) -> Option<Day> {
        if !MOMENTS.contains(&at) {
            return None;
        }
        let shown = at.saturating_add(i64::from(self.zones.first()?.offset_seconds(zones, at)?) * 1_000);
        let today = shown.div_euclid(DAY_MS);
        // The latest that may have opened is a date ahead where clocks were set back over midnight, and two where another
        // zone of the list is 26 hours ahead. Its end is one more.
        let ahead = if self.zones.len() > 1 { 3 } else { 2 };
        let mut ends = self.opening(zones, today + ahead)?;
        for date in (today - 3..today + ahead).rev() {
            let opens = self.opening(zones, date)?;
            if opens.0 <= at && at < ends.0 {
                return Some(Day { date: format_date(date), opens, ends });
            }
            ends = opens;
        }
        None
    }

    /// Returns the interval in which the day of that date (days since 1970-01-01) opens.
    fn opening(&self, zones: &dyn Zones, date: i64) -> Option<(i64, i64)> {
        let shown = date.saturating_mul(DAY_MS).saturating_add(i64::from(self.minute) * 60_000);
        let mut interval: Option<(i64, i64)> = None;
        for zone in &self.zones {
            let (first, last) = zone.instants(zones, shown)?;
            interval = Some(interval.map_or((first, last), |(low, high)| (low.min(first), high.max(last))));
        }
        interval
    }
}
