//! How fast a connection may go: the factor that follows the vendor's throttles, the time in which tokens come back at that factor, and
//! the turns of those that wait after a throttle.

use crate::adaptive::Adaptive;
use crate::config::AdaptiveRule;
use crate::limits::token_bucket::Refill;
use crate::pacer::Pacer;

/// The rate of one connection. Limiter milliseconds.
#[derive(Debug, Clone)]
pub struct Rate {
    adaptive: Adaptive,
    refill: Refill,
    pacer: Pacer,
}

/// Whether the rate factor has changed, so that limits may have room that had none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum FactorChange {
    /// The factor is as it was.
    Same,
    /// The factor is another.
    Changed,
}

impl Rate {
    /// Returns the rate of a connection that has not been throttled.
    pub fn new(rule: &AdaptiveRule, time: i64) -> Self {
        Self { adaptive: Adaptive::new(rule), refill: Refill::new(time), pacer: Pacer::default() }
    }

    /// Goes on from a stored state; what comes from disk is held `skew` milliseconds longer. What was owed then comes back from now on.
    pub fn resume(&mut self, stored: Adaptive, rule: &AdaptiveRule, row_time: i64, skew: i64) {
        self.adaptive = stored.resume(rule, skew);
        self.refill = Refill::new(row_time.saturating_add(skew));
    }

    /// Returns what is stored of it.
    pub const fn stored(&self) -> Adaptive {
        self.adaptive
    }

    /// Returns the share of the limits that is in use, parts per million.
    pub const fn factor(&self) -> u32 {
        self.adaptive.factor()
    }

    /// Returns the reading, now or earlier, of the time in which tokens come back.
    pub fn refilled(&self, at: i64) -> i128 {
        self.refill.at(at, self.factor())
    }

    /// Returns the latest that the reading can have been at `at`, where the factor was never below
    /// `least_ppm`.
    pub fn refilled_at_most(&self, at: i64, least_ppm: u32) -> i128 {
        self.refill.at_most(at, self.factor(), least_ppm)
    }

    /// Returns until when the vendor has asked for a pause, if that lies ahead.
    pub fn paused(&self, time: i64) -> Option<i64> {
        self.adaptive.paused(time)
    }

    /// Ends the vendor's pause. Returns whether one was set.
    pub fn lift(&mut self) -> bool {
        self.adaptive.lift()
    }

    /// Puts another rule in force.
    pub fn follow(&mut self, rule: &AdaptiveRule, time: i64) {
        let _ = self.change(time, |adaptive| *adaptive = adaptive.resume(rule, 0));
    }

    /// Notes that a call granted at `granted` was answered well.
    pub fn succeed(&mut self, rule: &AdaptiveRule, granted: i64, time: i64) -> FactorChange {
        self.change(time, |adaptive| adaptive.succeed(rule, granted)).1
    }

    /// Undoes a cut that says nothing of the rate after all: see [`Adaptive::restore`].
    pub fn restore(&mut self, rule: &AdaptiveRule, factor_ppm: u32, time: i64) -> FactorChange {
        self.change(time, |adaptive| adaptive.restore(rule, factor_ppm)).1
    }

    /// Notes that the vendor throttled a call granted at `granted`: see [`Adaptive::throttle`].
    /// Returns also whether a pause began or grew.
    pub fn throttle(
        &mut self,
        rule: &AdaptiveRule,
        time: i64,
        granted: i64,
        retry_after_ms: Option<u64>,
        noise: u64,
    ) -> (FactorChange, bool) {
        self.pacer.begin(time);
        let (paused, change) =
            self.change(time, |adaptive| adaptive.throttle(rule, time, granted, retry_after_ms, noise));
        (change, paused)
    }

    /// Changes the factor: tokens come back at another speed from then on.
    fn change<T>(&mut self, time: i64, change: impl FnOnce(&mut Adaptive) -> T) -> (T, FactorChange) {
        let before = self.factor();
        let result = change(&mut self.adaptive);
        if self.factor() == before {
            return (result, FactorChange::Same);
        }
        self.refill.change(time, before);
        (result, FactorChange::Changed)
    }

    /// Returns when the next of those that wait may go, if that lies ahead.
    pub fn turn(&self, time: i64) -> Option<i64> {
        self.pacer.ahead(time)
    }

    /// Notes that a waiting call has gone; the next may go `pace` milliseconds later.
    pub fn take_turn(&mut self, time: i64, pace: i64) {
        self.pacer.take(time, pace);
    }

    /// Ends the waiting by turns.
    pub fn end_turns(&mut self) {
        self.pacer = Pacer::default();
    }
}
