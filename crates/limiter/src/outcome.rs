//! What became of a permit, as the Worker that held it reports.

use serde::{Deserialize, Serialize};

/// The end of a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The vendor answered, whatever it said, save a throttle.
    Answered,
    /// The vendor answered that it is asked too much.
    Throttled {
        /// Which of its limits it names.
        by: ThrottledBy,
        /// Its Retry-After, milliseconds from the answer.
        retry_after_ms: Option<u64>,
    },
    /// Cut off, lost, or answered by a gateway: the vendor may still be at work, and only time settles it.
    Unknown,
    /// Handed back without having been sent.
    Unused,
}

impl Outcome {
    /// Its name, as the log has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "Answered",
            Self::Throttled { .. } => "Throttled",
            Self::Unknown => "Unknown",
            Self::Unused => "Unused",
        }
    }
}

/// The vendor's limit that a throttle names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ThrottledBy {
    /// A rate or window, or nothing more exact.
    Rate,
    /// Too many at once.
    Concurrency,
    /// The day's quota is spent.
    Day,
}

/// What an answer says that the vendor itself has counted under one limit, the call included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The limit's name.
    pub limit: String,
    /// The vendor's figure.
    pub n: u64,
    /// It is what is left of the limit, rather than what is used.
    pub left: bool,
    /// The vendor's own total under that limit, where it tells it; never 0.
    pub total: Option<u64>,
}
