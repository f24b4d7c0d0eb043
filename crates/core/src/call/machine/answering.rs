//! What the caller gets.

use super::{CallMachine, PermitSettled, Rest, State, no};
use crate::call::admission::unavailable;
use crate::call::attempt::AttemptEnd;
use crate::call::event::{Action, Context};
use crate::call::log::CallOutcome;
use crate::call::ms_between;
use crate::protocol::No;
use crate::refusal::Refusal;

impl CallMachine {
    pub(super) fn pass_on(&mut self, settled: PermitSettled, context: &mut Context<'_>) -> Action {
        let Some(attempt) = &self.attempt else {
            return self.refuse(no(unavailable()));
        };
        let status = match &attempt.came {
            Ok(status) => *status,
            Err(refusal) => {
                let refusal = refusal.clone();
                return self.answer_instead(refusal, settled);
            }
        };
        // An answer that was held back goes out later than its headers came.
        let at = if settled == PermitSettled::Yes { context.now } else { attempt.at };
        let total_ms = ms_between(self.call.came_at, at);
        self.facts.status = Some(status);
        self.state = State::Answering(Rest::Body, settled);
        Action::PassOn { timings: self.timings, total_ms }
    }

    /// Answers in the vendor's place a call that was sent.
    pub(super) fn answer_instead(&mut self, refusal: Refusal, settled: PermitSettled) -> Action {
        self.facts.status = None;
        self.facts.refused = Some(refusal.reason);
        self.state = State::Answering(Rest::Nothing, settled);
        Action::Refuse { no: no(refusal), attempts: Some(self.timings.attempts) }
    }

    /// Refuses a call that is not sent, or not sent again.
    pub(super) fn refuse(&mut self, no: Box<No>) -> Action {
        self.attempt = None;
        self.facts.refused = Some(no.refusal.reason);
        self.state = State::Stopping;
        Action::Refuse { no, attempts: None }
    }

    pub(super) fn leave(&mut self) -> Action {
        self.attempt = None;
        self.facts.outcome = Some(CallOutcome::Gone);
        self.state = State::Stopping;
        Action::Leave
    }

    /// Goes on once the caller has its answer. Where no limit waits for what follows, the answer
    /// leaves first.
    pub(super) fn caller_answered(&mut self, rest: Rest, settled: PermitSettled, context: &mut Context<'_>) -> Action {
        if self.permit.as_ref().is_some_and(|permit| permit.route.unhurried) {
            self.state = State::Yielding(rest, settled);
            return Action::Wait(0);
        }
        self.go_on(rest, settled, context)
    }

    pub(super) fn go_on(&mut self, rest: Rest, settled: PermitSettled, context: &mut Context<'_>) -> Action {
        match rest {
            Rest::Body => {
                self.state = State::Streaming(settled);
                Action::AwaitBody
            }
            Rest::Nothing => self.ended(self.attempt_end(), settled, context),
        }
    }

    pub(super) fn ended(&mut self, end: AttemptEnd, settled: PermitSettled, context: &mut Context<'_>) -> Action {
        self.facts.outcome = Some(CallOutcome::Settled(end.outcome));
        self.facts.error_code.clone_from(&end.error_code);
        self.facts.response_bytes = end.response_bytes;
        if settled == PermitSettled::No {
            self.note_end(end, context);
        }
        self.settle_all(context)
    }
}
