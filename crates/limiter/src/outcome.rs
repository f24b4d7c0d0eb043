//! What became of a permit, as the Worker that held it reports.

use serde::{Deserialize, Serialize};

/// The end of a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The vendor answered, with anything but a throttle.
    Answered,
    /// The vendor throttled the call.
    Throttled {
        /// The limit that it names.
        by: ThrottledBy,
        /// Its Retry-After, milliseconds from the answer.
        retry_after_ms: Option<u64>,
    },
    /// The call was cut off, lost, or answered by a gateway: the vendor may still be at work on it, and only time settles it.
    Unknown,
    /// The permit came back without having been used.
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
    /// A rate or a window, or it names none.
    Rate,
    /// How many calls are in flight at once.
    Concurrency,
    /// The day's quota.
    Day,
}

/// The vendor's own count under one limit, from its answer to a call, which is included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The limit's name.
    pub limit: String,
    /// The vendor's figure.
    pub n: u64,
    /// Whether the figure is what is left of the limit, rather than what is used.
    pub left: bool,
    /// The vendor's own total under that limit, where its answer states it; never 0.
    pub total: Option<u64>,
}
