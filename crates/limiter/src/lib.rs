//! Admission to one connection at a metered API: several limits taken all or nothing, and no window of the vendor's ever overrun.
//!
//! A [`Limiter`] is a state machine without clock, storage or network. It promises:
//!
//! - **No overrun.** A call counts from its grant to its settlement, and a window more, because the vendor counts by arrival, whose
//!   time is not known here. So it holds whatever the network does, over crashes, and while a superseded instance still runs.
//! - **All or nothing.** Every limit is checked, then every limit is taken. A refused call consumes nothing.
//! - **Exact waits.** A refusal says when to ask again, and no call waits that cannot go before its deadline.
//! - **Fairness** between apps by weight (start-time fair queueing: Goyal, Vin, Cheng, 1996), within an app by urgency (RFC 9218).
//! - **Bounds**: all that is kept in memory is bounded, and all arithmetic is of integers.
//!
//! # Order of events
//!
//! Events come in with the time: [`Limiter::admit`], [`Limiter::settle`], [`Limiter::cancel`], [`Limiter::wake`]. After each, in
//! this order: store [`Limiter::snapshot_due`] if there is one, and let nothing leave before it is stored; hand out
//! [`Limiter::next_ready`] until it is empty; set the timer to [`Limiter::next_wakeup`]. Everything within an event happens without
//! waiting for anything, which is what makes taking several limits all or nothing.
//!
//! # Example
//!
//! Two calls in any ten seconds, and one in flight at a time:
//!
//! ```
//! use sluice_limiter::calendar::{Reset, Zone};
//! use sluice_limiter::{
//!     Admission, AdaptiveRule, AppRule, Call, Kind, Limit, Limiter, Mode, Now, Outcome, Plan, QueueRule, Settlement,
//! };
//!
//! let limit = |name: &str, kind| Limit { name: name.to_owned(), kind, of: 2, per_app: false, pool: None, routes: 0 };
//! let plan = Plan {
//!     limits: vec![
//!         limit("rate", Kind::RollingWindow { calls: 2, window_ms: 10_000, guard_ms: 0 }),
//!         limit("slots", Kind::Concurrency { calls: 1, after_ms: 0 }),
//!     ],
//!     queue: QueueRule { size: 100, max_wait_ms: 30_000 },
//!     adaptive: AdaptiveRule::default(),
//!     mode: Mode::Enforce,
//!     apps: vec![AppRule { name: "crm".to_owned(), weight: 1, daily_calls: None }],
//!     ceiling_ms: 60_000,
//!     day: Reset { minute: 0, zones: vec![Zone::Fixed(0)] },
//! };
//! // The platform knows the time zones; UTC alone is enough here.
//! let utc = |_: &str, _: i64| Some(0);
//! let at = |wall| Now { wall, zones: &utc };
//! let call = |id, wait_ms| Call { app: "crm", mask: 0b11, id, again: false, waited_ms: 0, wait_ms: Some(wait_ms), urgency: 3 };
//! let start = 1_700_000_000_000;
//!
//! let mut limiter = Limiter::new(plan, at(start));
//! let Admission::Granted(first) = limiter.admit(at(start), call(1, 0)) else { panic!("it is free") };
//! // The only slot is taken, and this call may not wait: it is refused, and consumes nothing.
//! assert!(matches!(limiter.admit(at(start), call(2, 0)), Admission::Refused(_)));
//!
//! // The first call ends after 200 ms; the next one goes at once.
//! let end = |permit| Settlement {
//!     permit, attempt: 1, outcome: Outcome::Answered, since_headers_ms: 0, response_bytes: 0,
//! };
//! limiter.settle(at(start + 200), end(first.permit));
//! let Admission::Granted(second) = limiter.admit(at(start + 200), call(3, 0)) else { panic!("the slot is free") };
//! limiter.settle(at(start + 300), end(second.permit));
//!
//! // The window is full until ten seconds after the first settlement: a call that may wait so long does.
//! assert!(matches!(limiter.admit(at(start + 300), call(4, 20_000)), Admission::Waiting(_)));
//! ```

// An arithmetic overflow wraps silently in a shipped build, so unchecked arithmetic is linted. In
// tests it panics, so they may calculate freely.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::get_unwrap,
        clippy::string_slice
    )
)]

use serde::{Deserialize, Serialize};

mod adaptive;
mod admit;
mod apps;
pub mod calendar;
mod clock;
pub mod codec;
mod config;
mod counters;
mod days;
mod denial;
mod durable;
mod epoch;
mod estimate;
mod history;
pub mod ids;
mod index;
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
mod rate;
mod replan;
mod report;
mod settle;
mod share;
mod statistics;
mod vendor_count;

#[cfg(test)]
mod simulation;

pub use adaptive::longest_pause_ms;
pub use admit::call::{Admission, Call, Grant, ObservedDecision, Refused};
pub use apps::AppRule;
pub use config::{AdaptiveRule, Kind, Limit, Mode, Plan, QueueRule, Unit};
pub use denial::Denial;
pub use limiter::{Limiter, Now, SKEW_MS, SLACK_MS};
pub use limits::daily_quota::{Calendar, Daily, Turn};
pub use outcome::{Counted, Outcome, ThrottledBy};
pub use queue::Ticket;
pub use replan::Stays;
pub use report::{DayReport, Left, LimitReport, QueueReport, kind_name, policy_item};
pub use settle::{Settled, Settlement};

/// The right to send once, named by the epoch that granted it. It is settled by this id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PermitId {
    /// The number of the epoch that granted it.
    pub epoch: u32,
    /// The lane to which it was granted, in that epoch's table.
    pub lane: u32,
    /// The number of the permit in the lane, which is never used again.
    pub seq: u64,
    /// The slot in which that epoch keeps its lease.
    pub slot: u32,
}
