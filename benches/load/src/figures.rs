//! The figures of many calls.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The calls that count.
#[derive(Debug, Default)]
pub struct Figures {
    took_us: Vec<u64>,
    by_status: BTreeMap<u16, u64>,
    broken: u64,
}

impl Figures {
    /// Adds a call that has ended.
    pub fn add(&mut self, status: u16, time: Duration) {
        *self.by_status.entry(status).or_default() += 1;
        self.took_us.push(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Adds a call that had no answer.
    pub const fn add_broken(&mut self) {
        self.broken += 1;
    }

    /// Returns the figures as JSON. `over` is the time in which the calls ended.
    pub fn into_json(mut self, over: Duration) -> Value {
        self.took_us.sort_unstable();
        let seconds = over.as_secs_f64();
        let ms = |part: f64| self.percentile(part).map(|us| us as f64 / 1_000.0);
        json!({
            "calls": self.took_us.len(), "seconds": seconds, "rps": self.took_us.len() as f64 / seconds,
            "p50_ms": ms(0.5), "p99_ms": ms(0.99), "most_ms": ms(1.0), "by_status": self.by_status, "broken": self.broken,
        })
    }

    /// Returns the time within which this part of the calls ended, microseconds.
    fn percentile(&self, part: f64) -> Option<u64> {
        let rank = (part * self.took_us.len() as f64).ceil() as usize;
        self.took_us.get(rank.saturating_sub(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_seen() {
        let mut figures = Figures::default();
        for us in (1..=200).rev() {
            figures.add(200, Duration::from_micros(us * 1_000));
        }
        let json = figures.into_json(Duration::from_secs(2));
        assert_eq!((&json["p50_ms"], &json["p99_ms"], &json["rps"]), (&json!(100.0), &json!(198.0), &json!(100.0)));
    }
}
