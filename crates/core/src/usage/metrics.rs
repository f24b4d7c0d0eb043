//! Exposes the counts as metrics. Counters only grow: they cover all that a connection has counted
//! since it was made.

use super::exposition::Exposition;
use super::{REASONS, Usage};

/// A counter of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// The vendor calls by app.
    Calls,
    /// The errors of vendor calls by code.
    Errors,
    /// The calls that the vendor throttled.
    Throttled,
    /// The limiter's refusals by reason.
    Refused,
    /// How long calls waited for their permits: sum and count.
    Waits,
    /// How long the vendor took to send its answer's headers: sum and count.
    Answers,
}

impl Usage {
    /// Writes the samples of one counter.
    pub fn expose(&self, counter: Counter, connection: &str, to: &mut Exposition) {
        let own = ("connection", connection);
        match counter {
            Counter::Calls => {
                for (place, n) in &self.ever.apps.0 {
                    to.sample("", &[own, ("app", self.apps.name(*place))], *n, 0);
                }
            }
            Counter::Errors => {
                for (place, n) in &self.ever.codes.0 {
                    to.sample("", &[own, ("code", self.codes.name(*place))], *n, 0);
                }
            }
            Counter::Throttled => to.sample("", &[own], self.throttled_ever, 0),
            Counter::Refused => {
                for (reason, place) in REASONS.iter().zip(0..) {
                    to.sample("", &[own, ("reason", reason.as_str())], self.refused_ever.of(place), 0);
                }
            }
            Counter::Waits | Counter::Answers => {
                let (sum, count) = if counter == Counter::Waits { self.waits } else { self.answers };
                to.sample("_sum", &[own], sum, 3);
                to.sample("_count", &[own], count, 0);
            }
        }
    }
}
