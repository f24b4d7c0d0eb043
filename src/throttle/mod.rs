//! The throttle of one connection: a state machine without clock, storage or network.

mod outcome;
mod rule;

pub use outcome::{Outcome, ThrottledBy};
pub use rule::{AdaptiveRule, Kind, Limit, Mode, QueueRule, Unit};
use serde::{Deserialize, Serialize};

/// Leave to send once; settled by this id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PermitId {
    /// The life of the connection's state that granted it.
    pub epoch: u32,
    /// Who was granted, in that life's table.
    pub lane: u32,
    /// Never reused within the lane.
    pub seq: u64,
    /// Where that life keeps its lease.
    pub slot: u32,
}
