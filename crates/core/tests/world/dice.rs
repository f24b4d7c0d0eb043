//! Random numbers, all from one seed.

pub struct Dice(fastrand::Rng);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Returns true this many times in a thousand.
    pub fn in_thousand(&mut self, times: u32) -> bool {
        times > 0 && self.0.u32(0..1_000) < times
    }

    pub fn half(&mut self) -> bool {
        self.0.bool()
    }

    /// Returns a number from `low` up to, not including, `high`.
    pub fn from(&mut self, low: i64, high: i64) -> i64 {
        if high > low { self.0.i64(low..high) } else { low }
    }

    pub fn below(&mut self, high: usize) -> usize {
        self.0.usize(0..high.max(1))
    }

    pub fn bytes(&mut self, to: &mut [u8]) {
        self.0.fill(to);
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.0.usize(0..of.len())]
    }

    /// Returns a number between `low` and `high`, each factor as likely as another.
    pub fn scale(&mut self, low: f64, high: f64) -> f64 {
        (low.ln() + self.0.f64() * (high / low).ln()).exp()
    }

    /// Returns microseconds, for a mean in seconds.
    pub fn exponential(&mut self, mean: f64) -> i64 {
        (-(1.0 - self.0.f64()).ln() * mean * 1e6) as i64
    }

    /// Returns microseconds, for a mean in seconds.
    pub fn log_normal(&mut self, mean: f64) -> i64 {
        let (one, other) = (1.0 - self.0.f64(), self.0.f64());
        let normal = (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * other).cos();
        ((mean.ln() - 0.32 + 0.8 * normal).exp() * 1e6) as i64
    }
}
