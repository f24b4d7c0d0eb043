//! The throttle of one connection: a state machine without clock, storage or network.
//!
//! Events come in with the time: [`Throttle::admit`], [`Throttle::settle`], [`Throttle::cancel`], [`Throttle::wake`]. After each, in
//! this order: store [`Throttle::row_due`] if there is one, and let nothing leave before it is stored; hand out
//! [`Throttle::next_ready`] until it is empty; set the timer to [`Throttle::next_wakeup`]. Everything within an event happens without
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
mod block;
mod bound;
mod bucket;
pub mod calendar;
mod checks;
mod clock;
pub mod codec;
mod counted;
mod daily;
mod denial;
mod history;
pub mod ids;
mod jobs;
mod lanes;
mod ledger;
mod loan;
mod meter;
mod mutant;
mod open;
mod order;
mod outcome;
mod past;
pub mod places;
pub mod pool;
mod queue;
mod replan;
mod report;
mod row;
mod row_before;
mod rule;
mod seats;
mod settle;
mod share;
mod state;
mod stop;
mod turns;
mod window;

#[cfg(test)]
mod simulation;

pub use adaptive::longest_pause_ms;
pub use admit::{Admission, Call, Grant, Refused, Would};
pub use daily::{Calendar, Daily, Turn};
pub use denial::Denial;
pub use outcome::{Counted, Outcome, ThrottledBy};
pub use queue::Ticket;
pub use replan::Stays;
pub use report::{DayReport, Left, LimitReport, QueueReport, kind_name, policy_item};
pub use rule::{AdaptiveRule, Kind, Limit, Mode, QueueRule, Unit};
pub use settle::{Settled, Settlement};
pub use state::{AppRule, Now, Plan, SKEW_MS, SLACK_MS, Throttle};

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
