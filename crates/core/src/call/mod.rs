//! The life of a vendor call as a pure state machine: from the first ask for a permit to the
//! acknowledged settlement.
//!
//! [`CallMachine`] takes one [`Event`] at a time and answers with the one [`Action`] that the Worker
//! is to carry out next. It waits for nothing, reads no clock and knows no network: the time, the
//! memory of the isolate and fresh ids come in with each event ([`Context`]).
//!
//! | the machine decides | in |
//! |---|---|
//! | what is checked before anything is asked: where a call goes, who makes it | [`arrival`] |
//! | how often the tenant's object is asked, and when a permit is too old to be used | [`admission`](Admission), [`asks`](Asks) |
//! | what an attempt without an answer, or with half of one, means | [`attempt`](Attempt) |
//! | whether and when a call is sent again, and what its caller gets in the end | [`machine`](CallMachine) |
//! | how a request's body is taken before its call asks for a permit | [`body`] |
//! | what is kept of a call that nobody waits for | [`submission`] |
//! | how the run of a job is reported | [`job`] |
//! | what is said of a permit, under which attempt number, and what may wait for others | [`settlement`](PendingSettlement), [`batch`](Batch) |
//! | how long the call took, and where | [`Timings`] |
//! | what the log tells of it | [`AccessLog`], [`Log`] |
//!
//! Three promises hold whatever is lost, repeated or late:
//!
//! - Every permit that reaches a call is settled or handed back, each report of it with a higher
//!   attempt number than the one before.
//! - Nothing is sent without a permit of its own that is younger than its slack.
//! - The caller is answered once, or has gone; and the machine ends in bounded time.
//!
//! `tests/call` plays it against the real state of a tenant over a network that loses, repeats and
//! delays.

mod admission;
pub mod arrival;
mod asks;
mod attempt;
mod batch;
pub mod body;
mod event;
mod isolate;
pub mod job;
mod log;
mod machine;
mod permit;
mod repeat;
mod settlement;
pub mod submission;

pub use admission::{Admission, Admitted, ObjectReply, Pace, Step, unavailable, unexpected_reply};
pub use asks::{Asks, Heard};
pub use attempt::{Attempt, AttemptEnd, BodyCompletion, BodyEnd, SendFailure, body_too_long};
pub use batch::{Batch, BatchStep};
pub use event::{Action, CallSpec, Context, Event, HeldBack, Timings};
pub use isolate::Isolate;
pub use log::{AccessLog, CallFacts, CallOutcome, Log, without_keys};
pub use machine::CallMachine;
pub use permit::{OutgoingCredential, Permit};
pub use repeat::Repeats;
pub use settlement::{PendingSettlement, PendingSettlements};

/// Whether the one who makes the call is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// The caller waits for an answer.
    Present,
    /// The caller has closed the connection: nobody takes an answer.
    Gone,
}

/// Milliseconds from one moment to a later one; 0 if the clock has stepped back between.
pub fn ms_between(earlier: i64, later: i64) -> u64 {
    u64::try_from(later.saturating_sub(earlier)).unwrap_or_default()
}
