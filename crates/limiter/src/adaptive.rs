//! The rate follows the vendor: cut at a throttle, raised after a run of good answers; a Retry-After pauses the connection.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "parts per million of 32 bits in 64, and a pause is no longer than its longest"
)]

use crate::config::AdaptiveRule;
use serde::{Deserialize, Serialize};

const WHOLE: u64 = 1_000_000;
/// A pause is lengthened by a random part of up to a tenth, and of at most this, so that tenants do not come back together.
const JITTER_MS: u64 = 1_000;

/// The state of one connection's adaptation. Times in limiter milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adaptive {
    factor_ppm: u32,
    cut_at: i64,
    good: u32,
    paused_until: i64,
}

impl Adaptive {
    /// Begins at the highest factor that the rule allows.
    pub fn new(rule: &AdaptiveRule) -> Self {
        Self { factor_ppm: rule.max_ppm.max(1), cut_at: i64::MIN, good: 0, paused_until: i64::MIN }
    }

    /// Returns the share of the limits that is in use, parts per million.
    pub const fn factor(&self) -> u32 {
        self.factor_ppm
    }

    /// Returns until when no call goes, if that lies ahead.
    pub fn paused(&self, now: i64) -> Option<i64> {
        (self.paused_until > now).then_some(self.paused_until)
    }

    /// Takes a good answer to a call granted at `granted`, limiter milliseconds.
    pub fn succeed(&mut self, rule: &AdaptiveRule, granted: i64) {
        if granted < self.cut_at || self.factor_ppm >= rule.max_ppm {
            return;
        }
        self.good = self.good.saturating_add(1);
        if self.good >= rule.successes.max(1) {
            self.good = 0;
            self.factor_ppm = scaled(self.factor_ppm, rule.recovery_ppm).max(self.factor_ppm + 1).min(rule.max_ppm);
        }
    }

    /// Takes a throttle of a call granted at `granted`. Only a call granted since the last cut says anything of the rate since.
    /// `noise` spreads the end of the pause. Returns whether a pause began or grew.
    pub fn throttle(
        &mut self,
        rule: &AdaptiveRule,
        now: i64,
        granted: i64,
        retry_after_ms: Option<u64>,
        noise: u64,
    ) -> bool {
        if granted >= self.cut_at {
            self.cut_at = now;
            self.good = 0;
            self.factor_ppm = scaled(self.factor_ppm, rule.backoff_ppm).clamp(rule.min_ppm.max(1), rule.max_ppm.max(1));
        }
        // 0 asks for no pause, and forbids none.
        let (pause, most) = match retry_after_ms.filter(|ms| *ms > 0) {
            Some(asked) => (asked.min(rule.max_pause_ms), rule.max_pause_ms),
            None => (rule.pause_ms, u64::MAX),
        };
        if pause == 0 {
            return false;
        }
        let jitter = noise % (longest_pause_ms(pause, most) - pause).saturating_add(1);
        let until = now.saturating_add(i64::try_from(pause.saturating_add(jitter)).unwrap_or(i64::MAX));
        let longer = until > self.paused_until;
        self.paused_until = self.paused_until.max(until);
        longer
    }

    /// Ends the pause. Returns whether one was set.
    pub fn lift(&mut self) -> bool {
        std::mem::replace(&mut self.paused_until, i64::MIN) > i64::MIN
    }

    /// Undoes a cut that turns out to say nothing of the rate: the factor is again what it was before, as far as the rule allows, or what it
    /// has become since, if that is more.
    pub fn restore(&mut self, rule: &AdaptiveRule, factor_ppm: u32) {
        self.factor_ppm = self.factor_ppm.max(factor_ppm.min(rule.max_ppm));
    }

    /// Fits a stored state to the rule now in force; `skew` is what the clocks of two hosts may differ by.
    pub fn resume(mut self, rule: &AdaptiveRule, skew: i64) -> Self {
        self.factor_ppm = self.factor_ppm.clamp(rule.min_ppm.max(1), rule.max_ppm.max(1));
        self.paused_until = self.paused_until.saturating_add(skew);
        self
    }
}

/// Returns the longest that a pause for this Retry-After lasts, with its jitter, where a pause may
/// last `max_pause_ms`; milliseconds.
pub fn longest_pause_ms(retry_after_ms: u64, max_pause_ms: u64) -> u64 {
    retry_after_ms.saturating_add((retry_after_ms / 10).min(JITTER_MS)).min(max_pause_ms)
}

fn scaled(value: u32, ppm: u32) -> u32 {
    u32::try_from(u64::from(value) * u64::from(ppm) / WHOLE).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: AdaptiveRule = AdaptiveRule::USUAL;

    #[test]
    fn a_volley_of_throttles_cuts_once() {
        let mut state = Adaptive::new(&RULE);
        for answered in 100..150 {
            state.throttle(&RULE, answered, 50, None, 0);
        }
        assert_eq!(state.factor(), 500_000);
        state.throttle(&RULE, 200, 160, None, 0);
        assert_eq!(state.factor(), 250_000);
    }

    #[test]
    fn it_never_falls_below_the_least_nor_rises_above_the_most() {
        let mut state = Adaptive::new(&RULE);
        for time in 0..20 {
            state.throttle(&RULE, time, time, None, 0);
        }
        assert_eq!(state.factor(), 100_000);
        for _ in 0..1_000 {
            state.succeed(&RULE, 100);
        }
        assert_eq!(state.factor(), 1_000_000);
    }

    #[test]
    fn ten_good_answers_raise_it_by_a_tenth() {
        let mut state = Adaptive::new(&RULE);
        state.throttle(&RULE, 0, 0, None, 0);
        (0..9).for_each(|_| state.succeed(&RULE, 1));
        assert_eq!(state.factor(), 500_000);
        state.succeed(&RULE, 1);
        assert_eq!(state.factor(), 550_000);
    }

    #[test]
    fn answers_to_calls_granted_before_the_cut_say_nothing_and_one_at_it_does() {
        let mut state = Adaptive::new(&RULE);
        state.throttle(&RULE, 1_000, 900, None, 0);
        (0..100).for_each(|_| state.succeed(&RULE, 999));
        assert_eq!(state.factor(), 500_000);
        (0..10).for_each(|_| state.succeed(&RULE, 1_000));
        assert_eq!(state.factor(), 550_000);
        (0..10).for_each(|_| state.succeed(&RULE, 2_000));
        assert_eq!(state.factor(), 605_000);
    }

    #[test]
    fn a_rate_too_small_to_grow_by_its_part_grows_by_the_least_there_is() {
        let rule = AdaptiveRule { min_ppm: 5, successes: 1, ..RULE };
        let mut state = Adaptive::new(&rule);
        for time in 0..40 {
            state.throttle(&rule, time, time, None, 0);
        }
        assert_eq!(state.factor(), 5);
        state.succeed(&rule, 100);
        assert_eq!(state.factor(), 6);
    }

    #[test]
    fn a_shorter_pause_does_not_end_a_longer_one_and_is_no_news() {
        let mut state = Adaptive::new(&RULE);
        assert!(state.throttle(&RULE, 1_000, 0, Some(5_000), 0));
        assert!(!state.throttle(&RULE, 1_000, 0, Some(5_000), 0), "the same end once more");
        assert!(!state.throttle(&RULE, 1_000, 0, Some(1_000), 0));
        assert_eq!(state.paused(1_000), Some(6_000));
    }

    #[test]
    fn a_pause_is_longer_by_a_tenth_at_most_and_by_a_second_at_most() {
        let longest = |asked| longest_pause_ms(asked, 3_600_000);
        assert_eq!((longest(5), longest(5_000), longest(10_000), longest(100_000)), (5, 5_500, 11_000, 101_000));
        assert_eq!(longest_pause_ms(100_000, 100_500), 100_500);
    }

    #[test]
    fn a_cut_that_is_undone_leaves_no_more_than_the_rule_allows_and_never_less_than_there_is() {
        let mut state = Adaptive::new(&RULE);
        state.throttle(&RULE, 0, 0, None, 0);
        state.restore(&RULE, 900_000);
        assert_eq!(state.factor(), 900_000);
        state.restore(&RULE, 300_000);
        assert_eq!(state.factor(), 900_000);
        state.restore(&AdaptiveRule { max_ppm: 950_000, ..RULE }, u32::MAX);
        assert_eq!(state.factor(), 950_000);
    }

    #[test]
    fn retry_after_pauses_until_then_and_at_most_a_tenth_longer() {
        for noise in [0, 7, u64::MAX] {
            let mut state = Adaptive::new(&RULE);
            assert!(state.throttle(&RULE, 1_000, 0, Some(5_000), noise));
            let until = state.paused(1_000).unwrap();
            assert!((6_000..=6_500).contains(&until));
            assert_eq!(state.paused(until), None);
        }
    }

    #[test]
    fn a_vendor_stops_a_connection_no_longer_than_the_policy_lets_it() {
        let rule = AdaptiveRule { pause_ms: 90_000, max_pause_ms: 60_000, ..RULE };
        for noise in [0, 7, 999, u64::MAX] {
            for asked in [59_500, 60_000, 86_400_000, u64::MAX] {
                let mut state = Adaptive::new(&rule);
                assert!(state.throttle(&rule, 1_000, 0, Some(asked), noise));
                let until = state.paused(1_000).unwrap();
                assert!((60_500..=61_000).contains(&until), "{asked} with {noise}: {until}");
            }
        }
    }

    #[test]
    fn a_vendor_that_asks_for_no_pause_leaves_the_policys_own() {
        let rule = AdaptiveRule { pause_ms: 90_000, max_pause_ms: 60_000, ..RULE };
        for noise in [0, 7, 999, u64::MAX] {
            for asked in [None, Some(0)] {
                let mut state = Adaptive::new(&rule);
                assert!(state.throttle(&rule, 1_000, 0, asked, noise));
                let until = state.paused(1_000).unwrap();
                assert!((91_000..=92_000).contains(&until), "{asked:?} with {noise}: {until}");
            }
        }
    }
}
