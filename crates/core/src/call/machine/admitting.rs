//! How a call comes by its permits.

use super::{AfterTelling, CallMachine, MOST_METHOD_CHANGES, PermitSettled, Purpose, RetryReason, State, no};
use crate::call::admission::{Admission, Admitted, Step, unavailable};
use crate::call::event::{Action, Context, Event};
use crate::call::ms_between;
use crate::call::settlement::PendingSettlement;
use crate::refusal::Refusal;

impl CallMachine {
    pub(super) fn ask_first(&mut self, context: &mut Context<'_>) -> Action {
        self.ask((1, self.callers_deadline()), Purpose::First, context)
    }

    pub(super) fn ask(
        &mut self,
        (nth, deadline): (u32, Option<i64>),
        purpose: Purpose,
        context: &mut Context<'_>,
    ) -> Action {
        let (admission, step) = Admission::begin(&mut self.admit, nth, deadline, self.call.pace, context.now);
        self.step_of(Box::new(admission), purpose, step, context)
    }

    /// Asks for a permit for a call whose former permit is settled: that one may have held the only
    /// slot, and a call that rests holds nothing.
    pub(super) fn ask_for_retry(&mut self, reason: RetryReason, context: &mut Context<'_>) -> Action {
        let now = context.now;
        let token = self.permit.as_ref().and_then(|permit| permit.token_mark());
        let (deadline, rejected) = match reason {
            RetryReason::TokenExpired => {
                self.renewed = true;
                (self.callers_deadline(), token)
            }
            RetryReason::Transient(_) => (Some(self.retry_deadline()), None),
        };
        self.admit.rejected_token = rejected;
        self.admit.known_token = token;
        self.admit.known_route = self.permit.as_ref().map(|permit| permit.route.version);
        self.ask_under_another_id(deadline, context);
        let nth = self.timings.attempts.saturating_add(1);
        self.ask((nth, deadline), Purpose::Again(reason, now), context)
    }

    /// Changes the call's id before it asks for another permit: asking twice with one id takes one
    /// permit.
    pub(super) fn ask_under_another_id(&mut self, deadline: Option<i64>, context: &Context<'_>) {
        self.admit.call = (context.random_id)();
        self.admit.repeated = false;
        self.admit.wait_ms = deadline.map(|deadline| ms_between(context.now, deadline));
    }

    /// Returns until when the caller waits, Unix ms, where it says so.
    pub(super) fn callers_deadline(&self) -> Option<i64> {
        let wait = i64::try_from(self.call.wait_ms?).unwrap_or(i64::MAX);
        Some(self.call.came_at.saturating_add(wait))
    }

    /// Returns until when a further attempt may be admitted, Unix ms: as long as the caller would
    /// wait for its first permit.
    pub(super) fn retry_deadline(&self) -> i64 {
        let most = self.permit.as_ref().map_or(0, |permit| permit.route.max_wait_ms);
        let wait = self.call.wait_ms.unwrap_or(u64::MAX).min(most);
        self.call.came_at.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX))
    }

    pub(super) fn admitting(
        &mut self,
        mut admission: Box<Admission>,
        purpose: Purpose,
        event: Event,
        context: &mut Context<'_>,
    ) -> Option<Action> {
        let now = context.now;
        let step = match event {
            Event::Replied(asked) if admission.is_asking() => {
                admission.replied(&mut self.admit, asked, now, context.isolate)
            }
            Event::NotReplied => admission.not_replied(&mut self.admit, now),
            Event::TokenFetched => admission.fetched(&mut self.admit, now),
            Event::Waited(caller) => admission.waited(&mut self.admit, caller, now),
            event => {
                self.state = State::Admitting(admission, purpose);
                self.not_waited_for(&event);
                return None;
            }
        };
        match step {
            Some(step) => Some(self.step_of(admission, purpose, step, context)),
            None => {
                self.state = State::Admitting(admission, purpose);
                None
            }
        }
    }

    pub(super) fn step_of(
        &mut self,
        admission: Box<Admission>,
        purpose: Purpose,
        step: Step,
        context: &mut Context<'_>,
    ) -> Action {
        let action = match step {
            Step::Ask(admit) => Action::Ask(admit),
            Step::FetchToken(fetch) => {
                let (tenant, connection) = (self.admit.claims.tenant.clone(), self.admit.connection.clone());
                Action::FetchToken { tenant, connection, fetch }
            }
            Step::Wait(ms) => Action::Rest(ms),
            Step::HandBack(permit) => {
                let (tenant, connection) = (&self.admit.claims.tenant, &self.admit.connection);
                self.settlements.note(PendingSettlement::of_unused(tenant, connection, permit));
                return self.tell(AfterTelling::Admission(admission, purpose), 0, context);
            }
            Step::End(end) => return self.admitted(purpose, end, context),
        };
        self.state = State::Admitting(admission, purpose);
        action
    }

    pub(super) fn admitted(&mut self, purpose: Purpose, end: Admitted, context: &mut Context<'_>) -> Action {
        match (purpose, end) {
            (Purpose::First, Admitted::Permit(permit)) => {
                self.timings.queue_ms = ms_between(self.call.came_at, permit.at);
                self.permit = Some(permit);
                self.state = State::ReadingMethods;
                Action::ReadMethods
            }
            (Purpose::Again(_, asked_at), Admitted::Permit(permit)) => {
                let waited = ms_between(asked_at, permit.at);
                self.timings.queue_ms = self.timings.queue_ms.saturating_add(waited);
                self.permit = Some(permit);
                self.send()
            }
            (_, Admitted::Gone) => self.leave(),
            (Purpose::Again(RetryReason::TokenExpired, _), Admitted::TokenStands)
            // The answer of the last attempt says more to the caller than that another one cannot
            // be made.
            | (Purpose::Again(RetryReason::Transient(_), _), _) => self.pass_on(PermitSettled::Yes, context),
            (_, Admitted::Refused(no)) => self.refuse(no),
            (_, Admitted::Unavailable | Admitted::TokenStands) => self.refuse(no(unavailable())),
        }
    }

    pub(super) fn methods_read(&mut self, methods: Result<String, Refusal>, context: &mut Context<'_>) -> Action {
        let after = match methods {
            Ok(methods) if methods == self.admit.method => return self.send(),
            // The policy's profile is another one than was known, and the vendor reads another method.
            Ok(methods) => {
                self.method_changes = self.method_changes.saturating_add(1);
                match self.method_changes < MOST_METHOD_CHANGES {
                    true => AfterTelling::OtherMethods(methods),
                    false => AfterTelling::Refuse(unavailable()),
                }
            }
            Err(refusal) => AfterTelling::Refuse(refusal),
        };
        if let Some(permit) = self.permit.take() {
            self.settlements.note(PendingSettlement::of_unused(&permit.tenant, &permit.connection, permit.id));
        }
        self.tell(after, 0, context)
    }
}
