//! After a throttle the waiting calls go one by one, at the pace of the rate. The end of a pause, or a window that comes free all at once,
//! would otherwise send them all together to a vendor that has just refused one.

use crate::limiter::Limiter;

/// A wake-up that comes late may be caught up with by so much, milliseconds: timers are late by some.
const CATCH_UP_MS: i64 = 50;

/// When the next waiting call may go. It is not stored: after a restart only the limits hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pacer {
    /// From a throttle until the rate has recovered, when the next waiting call may go, limiter milliseconds.
    next: Option<i64>,
}

impl Pacer {
    /// Lets waiting calls go one by one from now on: the vendor has throttled.
    pub fn begin(&mut self, time: i64) {
        self.next = self.next.or(Some(time));
    }

    /// Notes that a waiting call has gone, and that the next may go `pace` milliseconds later.
    pub fn take(&mut self, time: i64, pace: i64) {
        self.next = self.next.map(|next| next.max(time.saturating_sub(CATCH_UP_MS)).saturating_add(pace));
    }

    /// Returns when the next waiting call may go, if that lies ahead.
    pub fn ahead(&self, time: i64) -> Option<i64> {
        self.next.filter(|next| *next > time)
    }
}

impl Limiter {
    /// Returns until when no waiting call goes, if that lies ahead: the end of the vendor's pause
    /// or an operator's, or the turn of the first.
    pub(crate) fn held(&self, time: i64) -> Option<i64> {
        self.paused(time).max(self.turn(time))
    }

    /// Returns the turn of the first waiting call, if that lies ahead.
    pub(crate) fn turn(&self, time: i64) -> Option<i64> {
        self.rate.turn(time).filter(|_| self.queue.has_ready())
    }

    /// Ends the turns if the rate has recovered; no call waits that could go.
    pub(crate) fn end_turns(&mut self) {
        if self.rate.factor() >= self.plan.adaptive.max_ppm {
            self.rate.end_turns();
        }
    }
}
