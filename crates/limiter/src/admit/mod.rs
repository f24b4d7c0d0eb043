//! Admission: all limits are checked, then one call is taken from each, with nothing between. Otherwise the call waits, or it is refused and
//! has consumed nothing.

pub(crate) mod call;
mod decide;
mod grant;
mod recheck;

use crate::admit::call::{Admission, Call, Grant, ObservedDecision, Refused};
use crate::admit::decide::Decision;
use crate::config::Mode;
use crate::index::{AppId, ClassId, LaneId};
use crate::limiter::{Limiter, Now, SLACK_MS};
use crate::pool::loan::LOAN_WAIT_MS;
use crate::queue::{Ticket, Waiting};
use crate::{Denial, PermitId};

impl Limiter {
    /// Answers a call that asks to go: it is granted a permit, waits, or is refused.
    pub fn admit(&mut self, now: Now<'_>, call: Call<'_>) -> Admission {
        let time = self.begin(now);
        if let Some(grant) = self.granted_before(call, time) {
            return Admission::Granted(grant);
        }
        let Some((app, lane)) = self.lane_of(call.app, call.mask) else {
            return Admission::Refused(self.full_table());
        };
        self.grant_ready(time);
        let arrived = time.saturating_sub(i64::try_from(call.waited_ms).unwrap_or(0));
        let mut waiting = Waiting {
            app,
            lane,
            urgency: call.urgency,
            arrived,
            asked: arrived,
            deadline: self.deadline(arrived, call.wait_ms).max(time),
            call: call.id,
            jobs: None,
        };
        if let Some(ticket) = self.waits_already(call, &mut waiting) {
            return Admission::Waiting(ticket);
        }
        let would = match self.decide(&waiting, time) {
            Decision::Go => None,
            Decision::LoanRequest => {
                // It may wait for a loan, whatever else it may wait.
                waiting.deadline = waiting.deadline.max(time.saturating_add(LOAN_WAIT_MS));
                return self.queue_up(waiting, time, time);
            }
            Decision::Wait(bound, gives_way) if self.plan.mode == Mode::Enforce => {
                if let Some(app) = gives_way {
                    self.shed_last(app, time);
                }
                return self.queue_up(waiting, bound, time);
            }
            Decision::Refuse(reason) if self.plan.mode == Mode::Enforce => {
                return Admission::Refused(self.refusal(reason, lane, time));
            }
            Decision::Wait(bound, _) => {
                Some(ObservedDecision::Wait(u64::try_from(bound.saturating_sub(time)).unwrap_or(0)))
            }
            Decision::Refuse(reason) => Some(ObservedDecision::Refuse(reason)),
        };
        match self.grant(&waiting, time) {
            Some(grant) => Admission::Granted(Grant { would, ..grant }),
            None => Admission::Refused(self.full_table()),
        }
    }

    /// Puts a call into the queue, to be checked again at the moment from which it cannot go before
    /// its deadline.
    fn queue_up(&mut self, waiting: Waiting, bound: i64, time: i64) -> Admission {
        let check = self.next_check(waiting.deadline, bound, time);
        let class = self.class_of(waiting.lane);
        let Some(ticket) = self.queue.push(waiting, class, check) else { return Admission::Refused(self.full_table()) };
        self.leases.lanes_mut().note_waiting(waiting.lane);
        Admission::Waiting(ticket)
    }

    /// Returns the class of a lane.
    pub(crate) fn class_of(&self, lane: LaneId) -> ClassId {
        self.leases.lanes().get(lane).map_or(ClassId(0), |lane| lane.class)
    }

    /// Takes a waiting call out of the queue, and its lane's count with it.
    pub(crate) fn leave_queue(&mut self, ticket: Ticket) -> Option<Waiting> {
        let call = self.queue.remove(ticket)?;
        self.leases.lanes_mut().note_left(call.lane);
        Some(call)
    }

    /// Refuses the call that would go last of an app that gives up a place.
    fn shed_last(&mut self, app: AppId, time: i64) {
        let Some(ticket) = self.queue.last_of(app) else { return };
        self.shed(ticket, Denial::QueueFull, time);
    }

    /// Refuses a waiting call.
    pub(super) fn shed(&mut self, ticket: Ticket, reason: Denial, time: i64) {
        let Some(call) = self.leave_queue(ticket) else { return };
        let refused = self.refusal(reason, call.lane, time);
        self.ready.push_back((ticket, Err(refused)));
    }

    /// Takes a waiting call out whose caller has gone: its place is free at once.
    pub fn cancel(&mut self, now: Now<'_>, ticket: Ticket) {
        let time = self.begin(now);
        self.leave_queue(ticket);
        self.grant_ready(time);
    }

    /// Returns the ticket of the call of this id, if it waits.
    pub fn ticket_of(&self, call: u128) -> Option<Ticket> {
        self.queue.find(call)
    }

    /// Returns how long a call has waited, milliseconds.
    pub fn waited(&self, ticket: Ticket) -> u64 {
        let since = self.queue.get(ticket).map_or(0, |call| self.epoch.time().saturating_sub(call.arrived));
        u64::try_from(since).unwrap_or(0)
    }

    /// Returns the next call that has waited and is granted or refused now. It is to be called
    /// until there is none.
    pub fn next_ready(&mut self) -> Option<(Ticket, Result<Grant, Refused>)> {
        self.ready.pop_front()
    }

    /// Returns until when a call waits that arrived at `arrived` and is willing to wait `asked`
    /// milliseconds.
    pub(crate) fn deadline(&self, arrived: i64, asked: Option<u64>) -> i64 {
        let most = self.plan.queue.max_wait_ms;
        arrived.saturating_add(i64::try_from(asked.unwrap_or(most).min(most)).unwrap_or(i64::MAX / 4))
    }

    /// Returns the permit that an earlier ask of the same call was granted.
    fn granted_before(&self, call: Call<'_>, time: i64) -> Option<Grant> {
        if !call.again {
            return None;
        }
        let (slot, lease) = self.leases.of_call(call.id)?;
        let permit = PermitId { epoch: self.epoch.number(), lane: lease.lane.0, seq: lease.seq, slot };
        let since_ask_ms = lease.granted.saturating_sub(time);
        Some(Grant { permit, waited_ms: lease.waited, since_ask_ms, would: None })
    }

    /// Returns the ticket of a call that asks again while it waits, which keeps its place if it is
    /// still as urgent. In any case it keeps the time since which it waits.
    fn waits_already(&mut self, call: Call<'_>, waiting: &mut Waiting) -> Option<Ticket> {
        if !call.again {
            return None;
        }
        let ticket = self.queue.find(call.id)?;
        let held = *self.queue.get(ticket)?;
        waiting.arrived = held.arrived.min(waiting.arrived);
        let deadline = self.deadline(waiting.arrived, call.wait_ms).max(self.epoch.time());
        waiting.deadline = deadline;
        if held.lane != waiting.lane || held.urgency != waiting.urgency.min(7) {
            self.leave_queue(ticket);
            return None;
        }
        self.queue.ask_again(ticket, waiting.asked, deadline);
        let now = self.epoch.time();
        let check = self.next_check(deadline, now, now);
        self.queue.check_again(ticket, check);
        Some(ticket)
    }

    /// Returns the refusal of a call on a lane, with the limits that have no room and when to come
    /// again.
    pub(super) fn refusal(&mut self, reason: Denial, lane: LaneId, time: i64) -> Refused {
        let (at, full) = self.retry_at(lane, time);
        let seconds = u64::try_from(at.saturating_sub(time)).unwrap_or(0).div_ceil(1_000).max(1);
        Refused { reason, retry_after_seconds: seconds, violated: full.into_iter().map(|at| self.name(at)).collect() }
    }

    /// Returns the refusal where the table of leases or of lanes is full, which is far beyond what
    /// a vendor takes at once.
    pub(super) fn full_table(&self) -> Refused {
        let seconds = u64::try_from(SLACK_MS).unwrap_or(0).div_ceil(1_000);
        Refused { reason: Denial::Concurrency, retry_after_seconds: seconds, violated: Vec::new() }
    }
}
