//! What follows on an attempt.

use super::{AfterTelling, CallMachine, PermitSettled, RetryReason, State};
use crate::call::attempt::{Attempt, AttemptEnd};
use crate::call::event::{Action, Context, HeldBack};
use crate::call::ms_between;
use crate::retry::{Next, RetryContext, next, place_of};

impl CallMachine {
    pub(super) fn send(&mut self) -> Action {
        self.attempt = None;
        self.timings.attempts = self.timings.attempts.saturating_add(1);
        self.state = State::Sending;
        Action::Send
    }

    pub(super) fn attempted(&mut self, attempt: Box<Attempt>, context: &mut Context<'_>) -> Action {
        let sent_at = self.permit.as_ref().map_or(attempt.at, |permit| permit.at);
        self.timings.vendor_ms = self.timings.vendor_ms.saturating_add(ms_between(sent_at, attempt.at));
        self.facts.timings = Some(self.timings);
        let retry = self.retry(&attempt);
        let came = attempt.came.is_ok();
        self.attempt = Some(attempt);
        match retry {
            Some(reason) if came => {
                self.state = State::HoldingBack(reason);
                Action::HoldBack
            }
            Some(reason) => self.settle_attempt(reason, context),
            None => self.pass_on(PermitSettled::No, context),
        }
    }

    /// Whether and when it is sent again.
    pub(super) fn retry(&self, attempt: &Attempt) -> Option<RetryReason> {
        let (verdict, permit) = (attempt.verdict.as_ref()?, self.permit.as_deref()?);
        if !self.call.body_is_kept {
            return None;
        }
        if verdict.expired && permit.bearer.is_some() && !self.renewed {
            return Some(RetryReason::TokenExpired);
        }
        let route = &permit.route;
        let tried = RetryContext {
            profile: &route.profile,
            method: &self.admit.method,
            path: &self.call.path,
            idempotency_key: self.call.idempotency_key,
            unattended: false,
            // The repetition with another token is none of these: nothing was wrong with the call.
            made: self.timings.attempts.saturating_sub(u32::from(self.renewed)),
            most: route.attempts,
            left_ms: Some(ms_between(attempt.at, self.retry_deadline())),
            max_pause_ms: route.max_pause_ms,
            random: place_of(permit.id, &format!("{}/{}", permit.tenant, permit.connection)),
        };
        match next(&tried, verdict) {
            Next::After(wait) => Some(RetryReason::Transient(wait)),
            Next::Stop(_) => None,
        }
    }

    pub(super) fn held_back(&mut self, reason: RetryReason, held: HeldBack, context: &mut Context<'_>) -> Action {
        match held {
            HeldBack::Whole(bytes) => {
                if let Some(attempt) = &mut self.attempt {
                    attempt.end.response_bytes = bytes;
                }
                self.settle_attempt(reason, context)
            }
            HeldBack::No => self.pass_on(PermitSettled::No, context),
        }
    }

    pub(super) fn settle_attempt(&mut self, reason: RetryReason, context: &mut Context<'_>) -> Action {
        self.note_end(self.attempt_end(), context);
        self.tell(AfterTelling::Retry(reason), 0, context)
    }

    pub(super) fn attempt_end(&self) -> AttemptEnd {
        self.attempt.as_ref().map_or_else(AttemptEnd::unsent, |attempt| attempt.end.clone())
    }
}
