//! A call that asks to go, and the answers it can get.

use crate::Denial;
use crate::PermitId;
use crate::queue::Ticket;

/// A call that asks to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'a> {
    /// The name of its app, which is one of the plan's.
    pub app: &'a str,
    /// Bit i is set if limit i of the plan counts the call.
    pub mask: u32,
    /// The call's id. Asking again with the same id takes no second permit.
    pub id: u128,
    /// Whether the call has asked before, so that it may wait already or have a permit.
    pub again: bool,
    /// How long it has waited already under another policy, milliseconds.
    pub waited_ms: u64,
    /// The longest it will wait, milliseconds; if none, as long as the queue allows.
    pub wait_ms: Option<u64>,
    /// The urgency by RFC 9218, 0 first.
    pub urgency: u8,
}

/// The permission to send once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The permit, with which the call is settled.
    pub permit: PermitId,
    /// How long the call waited, milliseconds.
    pub waited_ms: u64,
    /// How long after the ask that this answers the permit was granted, milliseconds; below 0 where an earlier ask of the call had been
    /// granted it. The caller subtracts it from the time that has passed since it asked, and so knows the permit's age.
    pub since_ask_ms: i64,
    /// In observe mode, what would have been done where that is not to let the call go at once.
    pub would: Option<ObservedDecision>,
}

/// What would have been done with a call whose limits are only watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObservedDecision {
    /// The call would have waited so long at least, milliseconds.
    Wait(u64),
    /// The call would have been refused.
    Refuse(Denial),
}

/// The refusal of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why the call is refused.
    pub reason: Denial,
    /// After how many seconds it is worth asking again.
    pub retry_after_seconds: u64,
    /// The names of the limits that have no room.
    pub violated: Vec<String>,
}

/// What becomes of a call that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It may be sent.
    Granted(Grant),
    /// It waits; the outcome comes through [`Limiter::next_ready`].
    Waiting(Ticket),
    /// It may not be sent, and does not wait.
    Refused(Refused),
}
