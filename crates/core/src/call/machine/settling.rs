//! Reports the ends of the call's permits to the tenant's object.

use super::{AfterTelling, CallMachine, RetryReason, State, TRIES_AT_ONCE, no};
use crate::call::admission::unavailable;
use crate::call::attempt::AttemptEnd;
use crate::call::batch::{Batch, BatchStep};
use crate::call::event::{Action, Context, Event};
use crate::call::log::Log;
use crate::call::settlement::PendingSettlement;

impl CallMachine {
    /// Notes the end of the permit in hand, to be reported.
    pub(super) fn note_end(&mut self, end: AttemptEnd, context: &mut Context<'_>) {
        let Some(permit) = self.permit.as_deref() else { return };
        if let Some(line) = Log::of_throttle(&self.call.id, &self.call.logged_path, permit, &end) {
            (context.log)(line);
        }
        self.settlements.note(PendingSettlement::of_used(permit, end));
    }

    /// Reports what was noted last, so that it takes effect; and goes on, also if the object does
    /// not acknowledge it.
    pub(super) fn tell(&mut self, after: AfterTelling, tries: u32, context: &mut Context<'_>) -> Action {
        if tries >= TRIES_AT_ONCE {
            return self.told(after, context);
        }
        match self.settlements.tell_last(context.now) {
            Some((tenant, settlement)) => {
                self.state = State::Telling(after, tries.saturating_add(1));
                Action::Settle { tenant, settlement: Box::new(settlement) }
            }
            None => self.told(after, context),
        }
    }

    pub(super) fn told(&mut self, after: AfterTelling, context: &mut Context<'_>) -> Action {
        match after {
            AfterTelling::Admission(mut admission, purpose) => {
                match admission.handed_back(&mut self.admit, context.now) {
                    Some(step) => self.step_of(admission, purpose, step, context),
                    None => self.refuse(no(unavailable())),
                }
            }
            AfterTelling::OtherMethods(methods) => {
                self.admit.method = methods;
                self.ask_under_another_id(self.callers_deadline(), context);
                self.ask_first(context)
            }
            AfterTelling::Refuse(refusal) => self.refuse(no(refusal)),
            AfterTelling::Retry(reason @ RetryReason::TokenExpired) => self.ask_for_retry(reason, context),
            AfterTelling::Retry(reason @ RetryReason::Transient(wait)) => {
                self.state = State::Resting(reason);
                Action::Rest(wait)
            }
        }
    }

    /// Reports all settlements of the call, which are certain once the object has stored them.
    pub(super) fn settle_all(&mut self, context: &mut Context<'_>) -> Action {
        let settlements = self.settlements.take();
        let (batch, step) = Batch::begin(settlements, self.call.number, context.now, context.isolate);
        self.batch_step(Box::new(batch), step, context)
    }

    pub(super) fn batching(
        &mut self,
        mut batch: Box<Batch>,
        event: Event,
        context: &mut Context<'_>,
    ) -> Option<Action> {
        let step = match event {
            Event::Waited(_) => batch.waited(context.now, context.isolate),
            Event::Acknowledged => batch.acknowledged(),
            Event::NotAcknowledged => batch.not_acknowledged(),
            _ => None,
        };
        match step {
            Some(step) => Some(self.batch_step(batch, step, context)),
            None => {
                self.state = State::Batching(batch);
                None
            }
        }
    }

    pub(super) fn batch_step(&mut self, batch: Box<Batch>, step: BatchStep, context: &mut Context<'_>) -> Action {
        let action = match step {
            BatchStep::Wait(ms) => Action::Wait(ms),
            BatchStep::Tell { tenant, settlements } => Action::SettleBatch { tenant, settlements },
            BatchStep::Done => {
                self.state = State::Over;
                return Action::End;
            }
            BatchStep::GivenUp { whose: (tenant, connection), settlements } => {
                (context.log)(Log::Unheard { tenant, connection, settlements });
                self.state = State::Over;
                return Action::End;
            }
        };
        self.state = State::Batching(batch);
        action
    }
}
