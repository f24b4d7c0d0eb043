//! Seeded random numbers: the same seed gives the same latencies and faults in the same order of
//! arrival.

use crate::spec::Latency;
use std::time::Duration;

/// SplitMix64: small, fast, and good enough to draw latencies.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// Starts from a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a uniform number in 0..1, never 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Draws one latency.
    pub fn latency(&mut self, latency: Latency) -> Duration {
        match latency {
            Latency::None => Duration::ZERO,
            Latency::Fixed { ms } => Duration::from_millis(ms),
            Latency::Uniform { min_ms, max_ms } => {
                let span = max_ms.saturating_sub(min_ms) * 1000;
                Duration::from_micros(min_ms * 1000 + if span == 0 { 0 } else { self.bits() % (span + 1) })
            }
            Latency::LogNormal { mean_ms, sigma } => {
                // The mean of a log-normal is exp(mu + sigma²/2); Box–Muller draws the normal.
                let mean = Duration::from_millis(mean_ms).as_secs_f64();
                let mu = mean.max(1e-6).ln() - sigma * sigma / 2.0;
                let normal = (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos();
                // It is cut at 100 times the mean: one call in many millions must not hold a test
                // for hours.
                Duration::from_secs_f64((mu + sigma * normal).exp().min(mean * 100.0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_latencies() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            (0..20).map(|_| chance.latency(Latency::Uniform { min_ms: 20, max_ms: 400 })).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!(draw(7).iter().all(|d| (20..=400).contains(&d.as_millis())));
    }

    #[test]
    fn a_log_normal_has_its_mean() {
        let mut chance = Chance::new(1);
        let total: f64 =
            (0..20_000).map(|_| chance.latency(Latency::LogNormal { mean_ms: 200, sigma: 0.5 }).as_secs_f64()).sum();
        assert!((0.19..0.21).contains(&(total / 20_000.0)), "mean {}", total / 20_000.0);
    }
}
