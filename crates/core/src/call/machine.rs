//! The machine of one call. Each state waits for one event; each event leads to one action.

mod admitting;
mod answering;
mod attempting;
mod settling;

use super::Caller;
use super::admission::{Admission, ObjectReply};
use super::attempt::Attempt;
use super::batch::Batch;
use super::event::{Action, CallSpec, Context, Event, Timings};
use super::log::CallFacts;
use super::permit::Permit;
use super::settlement::{PendingSettlement, PendingSettlements};
use crate::protocol::{Admit, No, Reply};
use crate::refusal::{Reason, Refusal};
use crate::upstream::Dialect;

/// How often a settlement is sent at once. The batch at the call's end sends it again.
const TRIES_AT_ONCE: u32 = 3;

/// Permits that are handed back because the vendor reads another method by their route than was
/// asked for: each needs a policy that has changed since.
const MOST_METHOD_CHANGES: u32 = 3;

/// Why a call is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RetryReason {
    /// The vendor refuses the access token: at once, with another.
    TokenExpired,
    /// It may go well so many milliseconds from the answer.
    Transient(u64),
}

/// What a permit is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    First,
    /// Another attempt, asked for at this time, Unix ms.
    Again(RetryReason, i64),
}

/// What follows when a permit's end has been reported to the object.
#[derive(Debug)]
enum AfterTelling {
    /// The admission that the unused permit came from goes on.
    Admission(Box<Admission>, Purpose),
    /// The call asks again, with these methods.
    OtherMethods(String),
    /// The call is refused.
    Refuse(Refusal),
    /// The call is sent again.
    Retry(RetryReason),
}

/// What of a call's answer is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Its body.
    Body,
    /// Nothing.
    Nothing,
}

/// Whether the permit of the answer that the caller gets is settled already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PermitSettled {
    Yes,
    No,
}

#[derive(Debug)]
enum State {
    Admitting(Box<Admission>, Purpose),
    Telling(AfterTelling, u32),
    ReadingMethods,
    Sending,
    HoldingBack(RetryReason),
    Resting(RetryReason),
    /// The caller gets an answer: what follows of it, and whether its permit is settled.
    Answering(Rest, PermitSettled),
    /// The answer goes out before anything else is done.
    Yielding(Rest, PermitSettled),
    Streaming(PermitSettled),
    /// The caller was refused, or has gone: nothing more comes of the call itself.
    Stopping,
    Batching(Box<Batch>),
    Over,
}

/// The machine of one call.
#[derive(Debug)]
pub struct CallMachine {
    call: CallSpec,
    admit: Admit,
    state: State,
    /// How many actions it has led to.
    step: u32,
    permit: Option<Box<Permit>>,
    attempt: Option<Box<Attempt>>,
    timings: Timings,
    /// It was sent again with another access token.
    renewed: bool,
    method_changes: u32,
    settlements: PendingSettlements,
    facts: CallFacts,
}

impl CallMachine {
    /// Begins a call that asks to go as `admit` describes it.
    pub fn begin(call: CallSpec, admit: Admit, context: &mut Context<'_>) -> (Self, Action) {
        let mut machine = Self {
            call,
            admit,
            state: State::Over,
            step: 0,
            permit: None,
            attempt: None,
            timings: Timings::default(),
            renewed: false,
            method_changes: 0,
            settlements: PendingSettlements::default(),
            facts: CallFacts::default(),
        };
        let action = machine.ask_first(context);
        (machine, action)
    }

    /// Returns the number of the action that is to be done.
    pub const fn step(&self) -> u32 {
        self.step
    }

    /// Returns the permit to send with, or with which the call was sent last.
    pub fn permit(&self) -> Option<&Permit> {
        self.permit.as_deref()
    }

    /// Returns what became of the call so far, for its line in the log; complete when
    /// [`Self::is_settling`] has become true.
    pub const fn facts(&self) -> &CallFacts {
        &self.facts
    }

    /// Whether the call itself has ended, and only its settlements are still to be reported.
    pub const fn is_settling(&self) -> bool {
        matches!(self.state, State::Batching(_) | State::Over)
    }

    /// Takes what came of the action with the number `step`, and gives what is to be done next.
    /// None for an event that the machine does not wait for, such as one that is repeated or comes
    /// late: it changes nothing, and the last action still stands.
    pub fn handle(&mut self, step: u32, event: Event, context: &mut Context<'_>) -> Option<Action> {
        if step != self.step {
            self.not_waited_for(&event);
            return None;
        }
        let action = self.take(event, context)?;
        self.step = self.step.wrapping_add(1);
        Some(action)
    }

    fn take(&mut self, event: Event, context: &mut Context<'_>) -> Option<Action> {
        let state = std::mem::replace(&mut self.state, State::Over);
        match (state, event) {
            (State::Admitting(admission, purpose), event) => self.admitting(admission, purpose, event, context),
            (State::Telling(after, _), Event::Acknowledged) => Some(self.told(after, context)),
            (State::Telling(after, tries), Event::NotAcknowledged) => Some(self.tell(after, tries, context)),
            (State::ReadingMethods, Event::MethodsRead(methods)) => Some(self.methods_read(methods, context)),
            (State::Sending, Event::Attempted(attempt)) => Some(self.attempted(attempt, context)),
            (State::HoldingBack(reason), Event::HeldBack(held)) => Some(self.held_back(reason, held, context)),
            (State::Resting(_), Event::Waited(Caller::Gone)) => Some(self.leave()),
            (State::Resting(reason), Event::Waited(Caller::Present)) => Some(self.ask_for_retry(reason, context)),
            (State::Answering(Rest::Body, settled), Event::NotDeliverable) => {
                // The vendor has answered, and is done with the call: that is what is settled,
                // whatever answer the caller can be given.
                let detail = "the vendor has answered with what cannot be passed on";
                Some(self.answer_instead(Refusal::new(Reason::VendorUnreachable, detail), settled))
            }
            (State::Answering(rest, settled), Event::CallerAnswered) => {
                Some(self.caller_answered(rest, settled, context))
            }
            (State::Yielding(rest, settled), Event::Waited(_)) => Some(self.go_on(rest, settled, context)),
            (State::Streaming(settled), Event::BodyEnded(body)) => {
                let end = self.attempt_end().with_body(&body);
                Some(self.ended(end, settled, context))
            }
            (State::Stopping, Event::CallerAnswered) => Some(self.settle_all(context)),
            (State::Batching(batch), event) => self.batching(batch, event, context),
            (state, event) => {
                self.state = state;
                self.not_waited_for(&event);
                None
            }
        }
    }

    /// Hands a permit that nobody waits for back with the call's settlements.
    fn not_waited_for(&mut self, event: &Event) {
        let Event::Replied(ObjectReply { reply: Reply::Permit(go), .. }) = event else { return };
        let is_held = self.permit.as_ref().is_some_and(|permit| permit.id == go.permit);
        if !is_held && !self.settlements.has(go.permit) && !self.is_settling() {
            let (tenant, connection) = (&self.admit.claims.tenant, &self.admit.connection);
            self.settlements.note_late(PendingSettlement::of_unused(tenant, connection, go.permit));
        }
    }
}

/// Returns a refusal that is not worded as a vendor's.
fn no(refusal: Refusal) -> Box<No> {
    Box::new(No { refusal, dialect: Dialect::Generic, rate_limit: None })
}
