//! After a throttle those that wait go one by one, at the pace of the rate. A pause's end, or a window that comes free at one
//! stroke, would let them go all at once, at a vendor that has just said that it is asked too much.

use crate::limiter::Limiter;

/// A wake-up that comes late may be caught up with by so much, milliseconds: timers are late by some.
const CATCH_UP_MS: i64 = 50;

/// Whose turn it is. Not stored: after a restart the limits alone hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pacer {
    /// Since the vendor's throttle, until the rate has recovered: when the next one may go, limiter milliseconds.
    next: Option<i64>,
}

impl Pacer {
    /// The vendor has throttled: from now on one by one.
    pub fn begin(&mut self, time: i64) {
        self.next = self.next.or(Some(time));
    }

    /// One that waited has gone.
    pub fn take(&mut self, time: i64, pace: i64) {
        self.next = self.next.map(|next| next.max(time.saturating_sub(CATCH_UP_MS)).saturating_add(pace));
    }

    /// When the next one may go, if that lies ahead.
    pub fn ahead(&self, time: i64) -> Option<i64> {
        self.next.filter(|next| *next > time)
    }
}

impl Limiter {
    /// Until when nobody goes, if that lies ahead: the vendor's pause or an operator's, or the turn of the first of those that wait.
    pub(crate) fn held(&self, time: i64) -> Option<i64> {
        self.paused(time).max(self.turn(time))
    }

    /// The turn of the first of those that wait, if that lies ahead.
    pub(crate) fn turn(&self, time: i64) -> Option<i64> {
        self.rate.turn(time).filter(|_| self.queue.has_ready())
    }

    /// Nobody waits who could go: if the rate has recovered too, the throttle is forgotten.
    pub(crate) fn end_turns(&mut self) {
        if self.rate.factor() >= self.plan.adaptive.max_ppm {
            self.rate.end_turns();
        }
    }
}
