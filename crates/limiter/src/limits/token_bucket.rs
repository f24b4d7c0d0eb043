//! Token bucket, as the virtual scheduling form of the generic cell rate algorithm (ITU-T I.371), with tokens in flight frozen.
//!
//! The plain algorithm at grant does not protect a vendor behind a network that jitters: two calls granted a token apart arrive
//! together. Here a token comes back only from the settlement on: until then the call may still be on its way.

#![expect(clippy::arithmetic_side_effects, reason = "products of 64 bits by 32 and by 20 in 128")]

/// Microseconds of a millisecond, so that intervals need no fraction.
const MICROS: i128 = 1_000;
/// Parts per million of the whole.
const WHOLE: i128 = 1_000_000;

/// The time in which tokens come back: it runs at the rate factor's speed. A rate that changes so changes how fast tokens come back, and
/// never how many are gone. In millionths of a microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refill {
    /// The reading at the last change of the factor.
    read: i128,
    /// When that was, limiter milliseconds.
    changed: i64,
}

impl Refill {
    /// Returns a clock that begins at `time`.
    pub const fn new(time: i64) -> Self {
        Self { read: 0, changed: time }
    }

    /// Returns the reading at `time` under the factor since the last change, parts per million.
    /// Before that change, the reading at it: no earlier one is known, and a call dated later than
    /// it was comes back later.
    pub fn at(&self, time: i64, factor: u32) -> i128 {
        self.read + i128::from(time.saturating_sub(self.changed).max(0)) * MICROS * i128::from(factor)
    }

    /// Returns the latest that the reading can have been at `time`, where the factor was never
    /// below `least`.
    pub fn at_most(&self, time: i64, factor: u32, least: u32) -> i128 {
        let before = self.changed.saturating_sub(time).max(0);
        self.at(time, factor) - i128::from(before) * MICROS * i128::from(least.max(1))
    }

    /// Changes the factor at `time`; `factor` is the one before.
    pub fn change(&mut self, time: i64, factor: u32) {
        self.read = self.at(time, factor);
        self.changed = self.changed.max(time);
    }
}

/// One bucket. Its times are a [`Refill`]'s readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Theoretical arrival time: when the bucket is full again, were nothing in flight.
    tat: i128,
    /// The time of one token.
    token: i128,
    burst: i64,
}

impl Bucket {
    /// Returns a full bucket of `burst` that refills `rate_micro` millionths of a call a second.
    pub fn new(rate_micro: u64, burst: u64) -> Self {
        let interval = 1_000_000_000_000_u64.div_ceil(rate_micro.max(1));
        Self {
            tat: i128::from(i64::MIN),
            token: i128::from(interval) * WHOLE,
            burst: i64::try_from(burst.clamp(1, 1_000_000_000)).unwrap_or(1),
        }
    }

    /// Returns the time in which all that is owed comes back.
    fn owed(&self, refill: i128) -> i128 {
        (self.tat - refill).max(0)
    }

    /// Returns how long until one more call may be granted after `after` others, if those in flight
    /// were settled now, milliseconds.
    pub fn wait_ms(&self, refill: i128, in_flight: u64, after: u64, factor: u32) -> i64 {
        let taken = i128::from(in_flight) + i128::from(after) + 1 - i128::from(self.burst);
        let missing = (self.owed(refill) + taken * self.token).max(0);
        let step = i128::from(factor.max(1)) * MICROS;
        i64::try_from((missing + step - 1) / step).unwrap_or(i64::MAX / 4)
    }

    /// Returns how long until one more call may be granted if nothing is settled meanwhile,
    /// milliseconds: tokens in flight do not come back; none if only a settlement can make room.
    pub fn wait_by_time_ms(&self, refill: i128, in_flight: u64, factor: u32) -> Option<i64> {
        (i128::from(in_flight) < i128::from(self.burst)).then(|| self.wait_ms(refill, in_flight, 0, factor))
    }

    /// Whether one more call fits with so many in flight. Its long arithmetic is kept apart from what other limits need.
    #[inline(never)]
    pub fn has_room(&self, refill: i128, in_flight: u64) -> bool {
        self.owed(refill) + (i128::from(in_flight) + 1) * self.token <= i128::from(self.burst) * self.token
    }

    /// Returns how many whole tokens are left with so many calls in flight.
    pub fn left(&self, refill: i128, in_flight: u64) -> u64 {
        let spent = (self.owed(refill) + self.token - 1) / self.token;
        u64::try_from((i128::from(self.burst) - i128::from(in_flight) - spent).max(0)).unwrap_or(0)
    }

    /// Settles `n` calls at that reading.
    pub fn settle(&mut self, refill: i128, n: u32) {
        self.tat = self.tat.max(refill).saturating_add(self.token.saturating_mul(i128::from(n)));
    }

    /// Lets no more be owed than one burst: in observe mode more are let through than there are tokens, and of what was before an edit a bucket
    /// of this size could not have let more go.
    pub fn forgive(&mut self, refill: i128) {
        self.tat = self.tat.min(refill + self.token * i128::from(self.burst));
    }

    /// Takes over what another bucket owes, in tokens.
    pub fn take_over(&mut self, other: &Self, refill: i128) {
        let owed = other.owed(refill);
        let whole = (owed / other.token).saturating_mul(self.token);
        let part =
            ((owed % other.token).saturating_mul(self.token / WHOLE) + other.token / WHOLE - 1) / (other.token / WHOLE);
        self.tat = self.tat.max(refill).saturating_add(whole).saturating_add(part);
    }

    /// Empties it, since what went before is not known.
    pub fn drain(&mut self, refill: i128) {
        self.tat = self.tat.max(refill + self.token * i128::from(self.burst));
    }

    /// Returns how many calls may go at once.
    pub fn burst(&self) -> u64 {
        u64::try_from(self.burst).unwrap_or(1)
    }

    /// Whether it brings tokens back more slowly than another.
    pub const fn is_slower_than(&self, other: &Self) -> bool {
        self.token > other.token
    }

    /// Milliseconds for a token at the rate scaled by `factor`, rounded up.
    pub fn pace_ms(&self, factor: u32) -> i64 {
        let step = i128::from(factor.max(1)) * MICROS;
        i64::try_from((self.token + step - 1) / step).unwrap_or(i64::MAX / 4)
    }

    /// Whether nothing is owed.
    pub fn is_full(&self, refill: i128) -> bool {
        self.owed(refill) == 0
    }

    /// Returns what is owed, to be stored: millionths of a microsecond, in two halves.
    pub fn debt(&self, refill: i128) -> (u64, u64) {
        let owed = u128::try_from(self.owed(refill)).unwrap_or(0);
        let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
        (half(owed >> 64), half(owed))
    }

    /// Goes on from a stored debt. A torn one is cut at a million bursts.
    pub fn resume(&mut self, (high, low): (u64, u64), refill: i128) {
        let owed = i128::try_from((u128::from(high) << 64) | u128::from(low)).unwrap_or(i128::MAX);
        let most = self.token.saturating_mul(i128::from(self.burst)).saturating_mul(WHOLE);
        self.tat = refill.saturating_add(owed.min(most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: u32 = 1_000_000;

    fn at(time: i64) -> i128 {
        Refill::new(0).at(time, FULL)
    }

    #[test]
    fn a_burst_goes_at_once_and_the_next_waits_for_a_token() {
        let mut bucket = Bucket::new(15_000_000, 15);
        assert!(bucket.has_room(at(0), 14) && !bucket.has_room(at(0), 15));
        bucket.settle(at(0), 15);
        assert_eq!(bucket.wait_ms(at(0), 0, 0, FULL), 67);
        assert_eq!(bucket.wait_ms(at(0), 0, 99, FULL), 6_667);
    }

    #[test]
    fn a_token_in_flight_does_not_refill() {
        let bucket = Bucket::new(1_000_000, 1);
        assert!(!bucket.has_room(at(1_000_000), 1));
        assert_eq!(bucket.wait_by_time_ms(at(1_000_000), 1, FULL), None);
    }

    #[test]
    fn a_cut_rate_brings_tokens_back_slower_and_gives_none() {
        let mut refill = Refill::new(0);
        let mut bucket = Bucket::new(10_000_000, 10);
        bucket.settle(refill.at(0, FULL), 10);
        refill.change(0, FULL);
        assert!(!bucket.has_room(refill.at(0, 500_000), 0));
        assert!(!bucket.has_room(refill.at(199, 500_000), 0) && bucket.has_room(refill.at(200, 500_000), 0));
        refill.change(200, 500_000);
        assert_eq!(bucket.left(refill.at(300, FULL), 0), 2);
    }

    #[test]
    fn the_wait_ends_in_the_first_millisecond_with_room() {
        for rate in [300_000, 1_000_000, 7_000_000, 15_000_000] {
            for burst in 1..5 {
                for in_flight in 0..burst {
                    let (mut bucket, refill) = (Bucket::new(rate, burst), Refill::new(0));
                    bucket.settle(refill.at(1_000, 700_000), 3);
                    let wait = bucket.wait_ms(refill.at(1_000, 700_000), in_flight, 0, 700_000);
                    // What is in flight settles now at the earliest.
                    let mut settled = bucket;
                    settled.settle(refill.at(1_000, 700_000), u32::try_from(in_flight).unwrap());
                    assert!(settled.has_room(refill.at(1_000 + wait, 700_000), 0));
                    assert!(wait == 0 || !settled.has_room(refill.at(999 + wait, 700_000), 0));
                }
            }
        }
    }

    #[test]
    fn what_is_owed_is_taken_over_in_tokens() {
        let (mut slow, mut quick) = (Bucket::new(1_000_000, 10), Bucket::new(10_000_000, 20));
        quick.settle(at(0), 5);
        slow.take_over(&quick, at(0));
        assert_eq!(slow.left(at(0), 0), 5);
        let mut next = Bucket::new(1_000_000, 10);
        next.resume(slow.debt(at(0)), at(77));
        assert_eq!(next.left(at(77), 0), 5);
    }
}
