//! The limiter of one connection: a state machine without clock, storage or network.
//!
//! Events come in with the time: [`Limiter::admit`], [`Limiter::settle`], [`Limiter::cancel`], [`Limiter::wake`]. After each, in
//! this order: store [`Limiter::snapshot_due`] if there is one, and let nothing leave before it is stored; hand out
//! [`Limiter::next_ready`] until it is empty; set the timer to [`Limiter::next_wakeup`]. Everything within an event happens without
//! waiting for anything, which is what makes taking several limits all or nothing.

// What overflows wraps round silently in a shipped build. Tests may calculate as they like: there it panics.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::get_unwrap,
        clippy::string_slice,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable
    )
)]

use serde::{Deserialize, Serialize};

mod adaptive;
mod admit;
pub mod calendar;
mod clock;
pub mod codec;
mod config;
mod counter;
mod denial;
mod durable;
mod estimate;
mod history;
pub mod ids;
mod in_flight;
mod jobs;
mod leases;
mod limiter;
mod limits;
mod mutant;
mod outcome;
mod pacer;
mod pauses;
pub mod places;
pub mod pool;
mod queue;
mod replan;
mod report;
mod settle;
mod share;
mod vendor_count;

#[cfg(test)]
mod simulation;

pub use adaptive::longest_pause_ms;
pub use admit::{Admission, Call, Grant, ObservedDecision, Refused};
pub use config::{AdaptiveRule, Kind, Limit, Mode, QueueRule, Unit};
pub use denial::Denial;
pub use limiter::{AppRule, Limiter, Now, Plan, SKEW_MS, SLACK_MS};
pub use limits::daily_quota::{Calendar, Daily, Turn};
pub use outcome::{Counted, Outcome, ThrottledBy};
pub use queue::Ticket;
pub use replan::Stays;
pub use report::{DayReport, Left, LimitReport, QueueReport, kind_name, policy_item};
pub use settle::{Settled, Settlement};

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
