//! Token bucket, as the virtual scheduling form of the generic cell rate algorithm (ITU-T I.371), with tokens in flight frozen.
//!
//! The plain algorithm at grant does not protect a vendor behind a network that jitters: two calls granted a token apart arrive
//! together. Here a token comes back only from the settlement on: until then the call may still be on its way.

#![expect(clippy::arithmetic_side_effects, reason = "products of 64 bits by 32 and by 20 in 128")]

/// Microseconds, so that intervals need no fraction.
const MICROS: i64 = 1_000;

/// One bucket. Times in microseconds of limiter time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Theoretical arrival time: when the bucket is full again, were nothing in flight.
    tat: i64,
    interval: i64,
    burst: i64,
}

impl Bucket {
    /// A full bucket of `burst` that refills `rate_micro` millionths of a call a second.
    pub fn new(rate_micro: u64, burst: u64) -> Self {
        let interval = 1_000_000_000_000_u64.div_ceil(rate_micro.max(1));
        Self {
            tat: i64::MIN / 4,
            interval: i64::try_from(interval).unwrap_or(i64::MAX / 1_000_000),
            burst: i64::try_from(burst.clamp(1, 1_000_000)).unwrap_or(1),
        }
    }

    /// Microseconds for a token, the rate scaled by `factor` parts per million; rounded up.
    fn interval(&self, factor: u32) -> i64 {
        let factor = i128::from(factor.max(1));
        let scaled = (i128::from(self.interval) * 1_000_000 + factor - 1) / factor;
        i64::try_from(scaled).unwrap_or(i64::MAX / 1_000_000)
    }

    /// When one more may be granted, were the `flying` ones settled now: limiter milliseconds. `after`: and so many more before it.
    pub fn free_at(&self, now: i64, flying: u64, after: u64, factor: u32) -> i64 {
        let interval = i128::from(self.interval(factor));
        let start = i128::from(self.tat).max(i128::from(now) * i128::from(MICROS));
        let taken = i128::from(flying) + i128::from(after) + 1;
        let at = start + (taken - i128::from(self.burst)) * interval;
        let millis = (at + i128::from(MICROS) - 1).div_euclid(i128::from(MICROS));
        i64::try_from(millis).unwrap_or(i64::MAX / 4).max(now)
    }

    /// Whether one more fits with `flying` in flight. Its long arithmetic is kept apart from what other limits need.
    #[inline(never)]
    pub fn has_room(&self, now: i64, flying: u64, factor: u32) -> bool {
        let interval = i128::from(self.interval(factor));
        let backlog = (i128::from(self.tat) - i128::from(now) * i128::from(MICROS)).max(0);
        backlog + (i128::from(flying) + 1) * interval <= i128::from(self.burst) * interval
    }

    /// Whole tokens left with `flying` in flight.
    pub fn left(&self, now: i64, flying: u64, factor: u32) -> u64 {
        let interval = i128::from(self.interval(factor));
        let backlog = (i128::from(self.tat) - i128::from(now) * i128::from(MICROS)).max(0);
        let left = i128::from(self.burst) - i128::from(flying) - (backlog + interval - 1) / interval;
        u64::try_from(left.max(0)).unwrap_or(0)
    }

    /// `n` calls were settled at `settled`, limiter milliseconds.
    pub fn settle(&mut self, settled: i64, n: u32, factor: u32) {
        let spent = self.interval(factor).saturating_mul(i64::from(n));
        self.tat = self.tat.max(settled.saturating_mul(MICROS)).saturating_add(spent);
    }

    /// In observe mode more are let through than there are tokens: the debt is at most one burst.
    pub fn forgive(&mut self, now: i64, factor: u32) {
        let most = now.saturating_mul(MICROS).saturating_add(self.interval(factor).saturating_mul(self.burst));
        self.tat = self.tat.min(most);
    }

    /// Empties the bucket as of `at`: what went before is not known.
    pub fn drain(&mut self, at: i64, factor: u32) {
        let full = at.saturating_mul(MICROS).saturating_add(self.interval(factor).saturating_mul(self.burst));
        self.tat = self.tat.max(full);
    }

    /// Its burst.
    pub fn burst(&self) -> u64 {
        u64::try_from(self.burst).unwrap_or(1)
    }

    /// Milliseconds for a token, rounded up.
    pub fn pace_ms(&self, factor: u32) -> i64 {
        self.interval(factor).saturating_add(MICROS - 1) / MICROS
    }

    /// Milliseconds until a bucket that is emptied now is full again.
    pub fn full_in_ms(&self, now: i64, factor: u32) -> i64 {
        let backlog = (self.tat / MICROS).saturating_sub(now).max(0);
        backlog.saturating_add(self.pace_ms(factor).saturating_mul(self.burst))
    }

    /// The theoretical arrival time, microseconds.
    pub const fn tat(&self) -> i64 {
        self.tat
    }

    /// Goes on from a stored one.
    pub fn resume(&mut self, tat: i64) {
        self.tat = tat;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: u32 = 1_000_000;

    #[test]
    fn a_burst_goes_at_once_and_the_next_waits_for_a_token() {
        let mut bucket = Bucket::new(15_000_000, 15);
        assert!(bucket.has_room(0, 14, FULL) && !bucket.has_room(0, 15, FULL));
        bucket.settle(0, 15, FULL);
        assert_eq!(bucket.free_at(0, 0, 0, FULL), 67);
        assert_eq!(bucket.free_at(0, 0, 99, FULL), 6_667);
    }

    #[test]
    fn a_token_in_flight_does_not_refill() {
        let bucket = Bucket::new(1_000_000, 1);
        assert!(!bucket.has_room(1_000_000, 1, FULL));
    }

    #[test]
    fn free_at_is_the_first_millisecond_with_room() {
        for rate in [300_000, 1_000_000, 7_000_000, 15_000_000] {
            for burst in 1..5 {
                for flying in 0..burst {
                    let mut bucket = Bucket::new(rate, burst);
                    bucket.settle(1_000, 3, 700_000);
                    let at = bucket.free_at(1_000, flying, 0, 700_000);
                    // What is in flight settles now at the earliest.
                    let mut settled = bucket;
                    settled.settle(1_000, u32::try_from(flying).unwrap(), 700_000);
                    assert!(settled.has_room(at, 0, 700_000));
                    assert!(at == 1_000 || !settled.has_room(at - 1, 0, 700_000));
                }
            }
        }
    }
}
