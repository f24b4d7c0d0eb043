//! The end of a connection: until when its counts matter, and the snapshot that keeps them.

use crate::counters::counter::CounterState;
use crate::index::CounterId;
use crate::limiter::{Limiter, Now};
use crate::replan::LONGEST_DAY_MS;

impl Limiter {
    /// Ends the limiter for good. Returns until when its counts matter, Unix milliseconds, and the snapshot that keeps them; none if nothing
    /// counts.
    ///
    /// They matter for the longest day after the last call at least, whatever the limits were that end here: a connection made anew under
    /// the name may bring a day that ends at another hour, or a `rolling_day`, and such a one counts these calls.
    pub fn bury(mut self, now: Now<'_>) -> Option<(i64, Vec<u8>)> {
        let time = self.begin(now);
        let mut until = time;
        for counter in self.counters.ids() {
            if self.used(counter) > 0 {
                until = until.max(self.counts_until(counter, time));
            }
        }
        let in_flight = (self.in_flight() > 0).then(|| time.saturating_add(self.lease_ms()));
        if let Some(last) = self.history.last().max(in_flight) {
            until = until.max(last.saturating_add(LONGEST_DAY_MS));
        }
        if until <= time {
            return None;
        }
        self.close(time);
        let row = self.snapshot_due().unwrap_or_default();
        Some((now.wall.saturating_add(until.saturating_sub(time)).saturating_add(2 * crate::SKEW_MS), row))
    }

    /// Returns until when anything that a counter counts now can still count.
    fn counts_until(&self, counter: CounterId, time: i64) -> i64 {
        let settled = time.saturating_add(if self.in_flight() > 0 { self.lease_ms() } else { 0 });
        match self.counters.state(counter) {
            Some(CounterState::Window { window, .. }) => settled.saturating_add(window.span()),
            Some(CounterState::Daily { calendar, .. }) => {
                let over = self.days.get(*calendar).map_or(time, |days| self.epoch.limiter_time(days.over()));
                over.max(settled)
            }
            Some(CounterState::Bucket(bucket)) => {
                let (factor, burst) = (self.rate.factor(), bucket.burst());
                settled.saturating_add(bucket.wait_ms(self.rate.refilled(time), burst, burst, factor))
            }
            _ => settled,
        }
    }
}
