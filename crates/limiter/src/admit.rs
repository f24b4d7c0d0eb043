//! Admission: all limits are checked, then all are taken, with nothing between. Or the call waits, or it is refused and has consumed
//! nothing.

use crate::Denial;
use crate::PermitId;
use crate::config::Mode;
use crate::index::{AppId, ClassId, LaneId};
use crate::limiter::{Limiter, Now, SLACK_MS};
use crate::mutant::{self, Mutant};
use crate::pauses::has_no_end;
use crate::places::Admit;
use crate::pool::loan::LOAN_WAIT_MS;
use crate::queue::{Ticket, Waiting};

/// A call that is late by less than this is looked at again no sooner, milliseconds.
const CHECK_MS: i64 = 50;

/// Calls that wait for loans alone are not counted against the queue's size, but against this.
const MOST_WAITING: usize = 10_000;

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

impl Limiter {
    /// A call asks to go.
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
            jobs: 0,
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

    fn queue_up(&mut self, waiting: Waiting, bound: i64, time: i64) -> Admission {
        let check = self.next_check(waiting.deadline, bound, time);
        let class = self.class_of(waiting.lane);
        let Some(ticket) = self.queue.push(waiting, class, check) else { return Admission::Refused(self.full_table()) };
        self.waits_on(waiting.lane, true);
        Admission::Waiting(ticket)
    }

    /// Notes on a lane that one more waits there, or one less.
    pub(crate) fn waits_on(&mut self, lane: LaneId, more: bool) {
        if let Some(lane) = self.leases.lanes_mut().get_mut(lane) {
            lane.waiting = if more { lane.waiting.saturating_add(1) } else { lane.waiting.saturating_sub(1) };
        }
    }

    /// The class of a lane.
    pub(crate) fn class_of(&self, lane: LaneId) -> ClassId {
        self.leases.lanes().get(lane).map_or(ClassId(0), |lane| lane.class)
    }

    /// Takes a waiting call out of the queue, and its lane's count with it.
    pub(crate) fn leave_queue(&mut self, ticket: Ticket) -> Option<Waiting> {
        let call = self.queue.remove(ticket)?;
        self.waits_on(call.lane, false);
        Some(call)
    }

    /// The app that holds most for its weight gives a place up: that of its call that would go last.
    fn shed_last(&mut self, app: AppId, time: i64) {
        let Some(ticket) = self.queue.last_of(app) else { return };
        self.shed(ticket, Denial::QueueFull, time);
    }

    /// A waiting call is refused.
    fn shed(&mut self, ticket: Ticket, reason: Denial, time: i64) {
        let Some(call) = self.leave_queue(ticket) else { return };
        let refused = self.refusal(reason, call.lane, time);
        self.ready.push_back((ticket, Err(refused)));
    }

    /// The caller of a waiting call has gone: its place is free at once.
    pub fn cancel(&mut self, now: Now<'_>, ticket: Ticket) {
        let time = self.begin(now);
        self.leave_queue(ticket);
        self.grant_ready(time);
    }

    /// The ticket of the call of this id, if it waits.
    pub fn ticket_of(&self, call: u128) -> Option<Ticket> {
        self.queue.find(call)
    }

    /// How long a call has waited, milliseconds.
    pub fn waited(&self, ticket: Ticket) -> u64 {
        let since = self.queue.get(ticket).map_or(0, |call| self.epoch.time().saturating_sub(call.arrived));
        u64::try_from(since).unwrap_or(0)
    }

    /// The time that [`Limiter::next_wakeup`] named has come.
    pub fn wake(&mut self, now: Now<'_>) {
        let time = self.begin(now);
        self.grant_ready(time);
        while let Some(ticket) = self.queue.due(time) {
            self.recheck(ticket, time);
        }
        if self.quiet_at().is_some_and(|at| at <= time) {
            self.close(time);
        }
    }

    /// The next waiting call whose end is known.
    pub fn next_ready(&mut self) -> Option<(Ticket, Result<Grant, Refused>)> {
        self.ready.pop_front()
    }

    /// Grants whatever waits and fits, in order.
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
            self.waits_on(call.lane, false);
            if call.jobs > 0 {
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

    /// Limits are only watched from now on: nobody waits any more.
    pub(crate) fn let_all_go(&mut self, time: i64) {
        for ticket in self.queue.tickets() {
            let Some(call) = self.queue.serve(ticket) else { continue };
            self.waits_on(call.lane, false);
            let outcome = self.take(&call, time).ok_or_else(|| self.full_table());
            self.ready.push_back((ticket, outcome));
        }
    }

    /// The first reason that holds, in the order the interface promises.
    fn decide(&mut self, call: &Waiting, time: i64) -> Decision {
        let paused = self.paused_for(call.app, time);
        let held = paused.max(self.turn(time));
        let mut here = self.here();
        if held.is_none() && !here.is_full(call.lane) {
            return if here.view.leases.is_full() { Decision::Refuse(Denial::Concurrency) } else { Decision::Go };
        }
        let mut day: Option<(i64, Denial)> = None;
        let mut rate = Denial::Rate;
        let (mut lacks_loan, mut lacks_more) = (false, held.is_some());
        for &at in here.view.counters_of(call.lane) {
            let Some((counter, view)) = here.get(at) else { continue };
            if counter.has_room(at, view) {
                continue;
            }
            if counter.awaits_loan(view) {
                lacks_loan = true;
                continue;
            }
            lacks_more = true;
            match counter.day_reason() {
                Some(reason) => {
                    let until = counter.free_at(at, 1, view.factor(), view);
                    if day.is_none_or(|(other, _)| until > other) {
                        day = Some((until, reason));
                    }
                }
                None => rate = counter.rate_reason(),
            }
        }
        if lacks_loan && !lacks_more && self.queue.callers() < MOST_WAITING {
            return Decision::LoanRequest;
        }
        if let Some((_, reason)) = day.filter(|(until, _)| *until > call.deadline) {
            return Decision::Refuse(reason);
        }
        let size = self.plan.queue.size;
        let place = if size == 0 { Admit::Free } else { self.queue.admit(call.app) };
        // A pause without an end may be over any moment: it is worth waiting for, where a call may.
        let may_wait = self.plan.mode == Mode::Enforce && place != Admit::Full && size > 0 && call.deadline > time;
        if paused.is_some_and(|until| until > call.deadline && !(has_no_end(until) && may_wait)) {
            return Decision::Refuse(Denial::Paused);
        }
        if place == Admit::Full {
            return Decision::Refuse(Denial::QueueFull);
        }
        if size == 0 || call.deadline <= time {
            return Decision::Refuse(rate);
        }
        let bound = self.estimate(call.app, call.lane, call.urgency, time);
        if bound > call.deadline {
            return Decision::Refuse(Denial::Deadline);
        }
        Decision::Wait(bound, if let Admit::Instead(app) = place { Some(app) } else { None })
    }

    /// A waiting call's check is due: refuse it if its deadline has come, or surely will before its turn.
    fn recheck(&mut self, ticket: Ticket, time: i64) {
        let Some(&call) = self.queue.get(ticket) else { return };
        if call.jobs > 0 {
            return self.look_at_place(ticket, call, time);
        }
        let bound = if call.deadline <= time { i64::MAX } else { self.least_wait(call.lane, time) };
        if bound <= call.deadline {
            let next = self.next_check(call.deadline, bound, time);
            self.queue.check_again(ticket, next);
            return;
        }
        let reason = self.late_reason(call, time);
        self.shed(ticket, reason, time);
    }

    /// Looks at every waiting caller's call again: something has put off all of them. Those of one lane are put off until the same moment.
    pub(crate) fn look_at_all(&mut self, time: i64) {
        let mut known: Option<(LaneId, i64)> = None;
        for ticket in self.queue.tickets() {
            let Some(&call) = self.queue.get(ticket) else { continue };
            let bound = match known.filter(|(lane, _)| *lane == call.lane) {
                Some((_, bound)) => bound,
                None => self.least_wait(call.lane, time),
            };
            known = Some((call.lane, bound));
            // The others are looked at when their own time comes.
            if bound > call.deadline {
                let reason = self.late_reason(call, time);
                self.shed(ticket, reason, time);
            }
        }
    }

    /// The least time until a call that waits already is granted: like a newcomer's, but without those before it.
    fn least_wait(&mut self, lane: LaneId, time: i64) -> i64 {
        let app = self.leases.lanes().get(lane).map_or(AppId::NONE, |lane| lane.app);
        let mut bound = self.surely_paused_for(app, time).unwrap_or(time);
        let best = self.best_factor();
        self.here().each_of(lane, |at, counter, view| bound = bound.max(counter.free_at(at, 1, best, view)));
        bound
    }

    fn late_reason(&mut self, call: Waiting, time: i64) -> Denial {
        let mut here = self.here();
        for &at in here.view.counters_of(call.lane) {
            let Some((counter, view)) = here.get(at) else { continue };
            if let Some(reason) = counter.day_reason()
                && !counter.has_room(at, view)
                && counter.free_at(at, 1, view.factor(), view) > call.deadline
            {
                return reason;
            }
        }
        if self.paused_for(call.app, time).is_some_and(|until| until > call.deadline) {
            Denial::Paused
        } else {
            Denial::Deadline
        }
    }

    /// The bound moves on with time while answers are outstanding; it passes the deadline no sooner than this.
    fn next_check(&self, deadline: i64, bound: i64, time: i64) -> i64 {
        let passes = deadline.saturating_sub(bound.saturating_sub(time)).saturating_add(1);
        passes.max(time.saturating_add(CHECK_MS)).min(deadline)
    }

    /// Until when a call waits at most that arrived then and says how long it would.
    pub(crate) fn deadline(&self, arrived: i64, asked: Option<u64>) -> i64 {
        let most = self.plan.queue.max_wait_ms;
        arrived.saturating_add(i64::try_from(asked.unwrap_or(most).min(most)).unwrap_or(i64::MAX / 4))
    }

    fn grant(&mut self, call: &Waiting, time: i64) -> Option<Grant> {
        let grant = self.take(call, time)?;
        self.queue.charge(call.app);
        Some(grant)
    }

    /// Takes one from every limit of the call's lane. None, and nothing taken, where no lease can begin.
    pub(crate) fn take(&mut self, call: &Waiting, time: i64) -> Option<Grant> {
        if self.leases.is_full() {
            return None;
        }
        let waited = u64::try_from(time.saturating_sub(call.arrived)).unwrap_or(0);
        let lapses = time.saturating_add(self.life_ms());
        self.spend(call.lane, time);
        let permit = self.leases.open(self.epoch.number(), call.lane, time, lapses, call.call, waited)?;
        if mutant::is(Mutant::CountBySend) {
            self.date_each(call.lane, time);
        }
        self.here().each_of(call.lane, |_, counter, view| counter.grant(view));
        self.note_fullest(call.lane);
        Some(Grant { permit, waited_ms: waited, since_ask_ms: time.saturating_sub(call.asked), would: None })
    }

    /// The permit that an earlier ask of the same call was granted.
    fn granted_before(&self, call: Call<'_>, time: i64) -> Option<Grant> {
        let (slot, lease) = self.leases.of_call(call.id).filter(|_| call.again)?;
        let permit = PermitId { epoch: self.epoch.number(), lane: lease.lane.0, seq: lease.seq, slot };
        let since_ask_ms = lease.granted.saturating_sub(time);
        Some(Grant { permit, waited_ms: lease.waited, since_ask_ms, would: None })
    }

    /// A call that asks again while it waits keeps its place, if it is still as urgent; in any case it keeps since when it waits.
    fn waits_already(&mut self, call: Call<'_>, waiting: &mut Waiting) -> Option<Ticket> {
        let ticket = self.queue.find(call.id).filter(|_| call.again)?;
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

    /// The refusal of a call on a lane, with the limits that have no room and when to come again.
    fn refusal(&mut self, reason: Denial, lane: LaneId, time: i64) -> Refused {
        let (at, full) = self.retry_at(lane, time);
        let seconds = u64::try_from(at.saturating_sub(time)).unwrap_or(0).div_ceil(1_000).max(1);
        Refused { reason, retry_after_seconds: seconds, violated: full.into_iter().map(|at| self.name(at)).collect() }
    }

    /// The bound on leases or lanes is reached: far beyond what a vendor takes at once.
    fn full_table(&self) -> Refused {
        let seconds = u64::try_from(SLACK_MS).unwrap_or(0).div_ceil(1_000);
        Refused { reason: Denial::Concurrency, retry_after_seconds: seconds, violated: Vec::new() }
    }

    /// When [`Limiter::wake`] must next be called, Unix milliseconds: a waiting call may go or must be refused, or the stored row is
    /// to be made exact. None: only an event of its own can change anything.
    pub fn next_wakeup(&mut self) -> Option<i64> {
        let time = self.epoch.time();
        let mut next = self.quiet_at().into_iter().chain(self.loans_due(time)).min();
        let mut sooner = |at: i64| next = Some(next.map_or(at, |other: i64| other.min(at)));
        if !self.queue.is_empty() {
            self.queue.next_check().map(&mut sooner);
            self.queue.next_unpark().map(&mut sooner);
            self.prior.next_known().map(&mut sooner);
            self.leases.oldest().map(|lease| lease.lapses).map(&mut sooner);
            let held = self.held(time);
            let stuck = held.is_some() || self.leases.is_full();
            held.map(|until| Self::look_at_held(until, time)).map(&mut sooner);
            let (queue, mut here) = self.split();
            for class in queue.ready_classes() {
                let mut blocked = false;
                for &at in here.view.leases.lanes().shared(class) {
                    let Some((counter, view)) = here.get(at) else { continue };
                    if !counter.has_room(at, view) {
                        blocked = true;
                        counter.next_change(at, view).map(&mut sooner);
                    }
                }
                // Time has moved on since anything was granted, as when somebody only looks: what waits here can go.
                if !blocked && !stuck {
                    sooner(time);
                }
            }
        }
        next.map(|at| self.epoch.wall_time(at.max(time.saturating_add(1))))
    }
}

enum Decision {
    Go,
    /// It lacks nothing but a permit of a pool's.
    LoanRequest,
    /// At least until then; and the app that gives a place up for it, where none is free.
    Wait(i64, Option<AppId>),
    Refuse(Denial),
}
