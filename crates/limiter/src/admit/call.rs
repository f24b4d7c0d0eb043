//! A call that asks to go, and what it is answered.

use crate::Denial;
use crate::PermitId;
use crate::queue::Ticket;

/// A call that asks to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'a> {
    /// Its app: one of the plan's.
    pub app: &'a str,
    /// Bit i: limit i of the plan counts it.
    pub mask: u32,
    /// Its id. Asking again with the same takes no second permit.
    pub id: u128,
    /// An earlier ask may have been heard.
    pub again: bool,
    /// What it has waited already, milliseconds: under another policy.
    pub waited_ms: u64,
    /// The longest it will wait, milliseconds; none: as long as the queue allows.
    pub wait_ms: Option<u64>,
    /// RFC 9218, 0 first.
    pub urgency: u8,
}

/// Leave to send once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What to settle with.
    pub permit: PermitId,
    /// How long the call waited, milliseconds.
    pub waited_ms: u64,
    /// How long after the ask that this answers the permit was granted, milliseconds: below 0 where an earlier ask of the call had been
    /// granted it. Whoever asked takes it from the time that has passed since, and so knows the permit's age.
    pub since_ask_ms: i64,
    /// In observe mode, what would have been done, where that is not to let it go at once.
    pub would: Option<ObservedDecision>,
}

/// What observe mode would have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObservedDecision {
    /// Waited at least so long, milliseconds.
    Wait(u64),
    /// Refused.
    Refuse(Denial),
}

/// No leave to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Denial,
    /// Whole seconds until asking again makes sense.
    pub retry_after_seconds: u64,
    /// The names of the limits that refuse.
    pub violated: Vec<String>,
}

/// What becomes of a call that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It goes.
    Granted(Grant),
    /// It waits; the outcome comes through [`Limiter::next_ready`].
    Waiting(Ticket),
    /// It does not go.
    Refused(Refused),
}
