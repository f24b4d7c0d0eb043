//! Grants: a call takes one from every limit that counts it, with nothing between.

use crate::Denial;
use crate::admit::call::Grant;
use crate::limiter::Limiter;
use crate::mutant::{self, Mutant};
use crate::queue::Waiting;

impl Limiter {
    /// Grants the waiting calls that fit, in their order.
    pub(crate) fn grant_ready(&mut self, time: i64) {
        if self.paused(time).is_some() {
            return;
        }
        self.queue.unpark_due(time);
        while self.rate.turn(time).is_none() {
            let (queue, mut here) = self.split();
            let Some(ticket) = queue.next(&mut here) else { return self.end_turns() };
            if queue.get(ticket).is_some_and(|call| call.deadline < time) {
                self.shed(ticket, Denial::Deadline, time);
                continue;
            }
            if self.leases.is_full() {
                return;
            }
            let Some(call) = self.queue.serve(ticket) else { return };
            self.leases.lanes_mut().note_left(call.lane);
            if call.jobs.is_some() {
                // Its jobs stand in the queue again, if there are more.
                self.let_job_go(call, time);
            } else {
                let granted = self.take(&call, time);
                let outcome = granted.ok_or_else(|| self.full_table());
                self.ready.push_back((ticket, outcome));
            }
            self.rate.take_turn(time, self.lane_pace(call.lane));
        }
    }

    /// Grants all waiting callers' calls: limits are only watched from now on.
    pub(crate) fn let_all_go(&mut self, time: i64) {
        for ticket in self.queue.tickets() {
            let Some(call) = self.queue.serve(ticket) else { continue };
            self.leases.lanes_mut().note_left(call.lane);
            let outcome = self.take(&call, time).ok_or_else(|| self.full_table());
            self.ready.push_back((ticket, outcome));
        }
    }

    pub(super) fn grant(&mut self, call: &Waiting, time: i64) -> Option<Grant> {
        let grant = self.take(call, time)?;
        self.queue.charge(call.app);
        Some(grant)
    }

    /// Takes one from every limit of the call's lane. None, and nothing is taken, where the table of leases is full.
    pub(crate) fn take(&mut self, call: &Waiting, time: i64) -> Option<Grant> {
        if self.leases.is_full() {
            return None;
        }
        let waited = u64::try_from(time.saturating_sub(call.arrived)).unwrap_or(0);
        let lapses = time.saturating_add(self.lease_ms());
        self.spend(call.lane, time);
        let permit = self.leases.open(self.epoch.number(), call.lane, time, lapses, call.call, waited)?;
        if mutant::is(Mutant::CountBySend) {
            self.record_on_each(call.lane, time);
        }
        self.here().each_of(call.lane, |_, counter, view| counter.grant(view));
        self.note_fullest(call.lane);
        Some(Grant { permit, waited_ms: waited, since_ask_ms: time.saturating_sub(call.asked), would: None })
    }
}
