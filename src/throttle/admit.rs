//! Admission: all limits are checked, then all are taken, with nothing between. Or the call waits, or it is refused and has consumed
//! nothing.

#![expect(clippy::arithmetic_side_effects, reason = "places among at most 33 meters")]

use super::PermitId;
use super::meter::{Gauge, Meter, Sight};
use super::mutant::{self, Mutant};
use super::queue::{Ticket, Waiting};
use super::rule::Mode;
use super::state::{Now, Parts, SLACK_MS, Throttle};
use crate::refusal::Reason;

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
    /// In observe mode, what would have been done, where that is not to let it go at once.
    pub would: Option<Would>,
}

/// What observe mode would have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Would {
    /// Waited at least so long, milliseconds.
    Wait(u64),
    /// Refused.
    Refuse(Reason),
}

/// No leave to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
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
    /// It waits; the outcome comes through [`Throttle::next_ready`].
    Waiting(Ticket),
    /// It does not go.
    Refused(Refused),
}

impl Throttle {
    /// A call asks to go.
    pub fn admit(&mut self, now: Now<'_>, call: Call<'_>) -> Admission {
        let time = self.begin(now);
        let Some((app, lane)) = self.lane_of(call.app, call.mask) else {
            return Admission::Refused(self.full_table());
        };
        let arrived = match self.heard_before(call) {
            Some(Heard::Granted(grant)) => return Admission::Granted(grant),
            Some(Heard::Waiting(since)) => since,
            None => time.saturating_sub(i64::try_from(call.waited_ms).unwrap_or(0)),
        };
        self.pump(time);
        let mut waiting = Waiting {
            app,
            lane,
            urgency: call.urgency,
            arrived,
            deadline: arrived.saturating_add(self.longest_wait(call.wait_ms)).max(time),
            call: call.id,
            jobs: 0,
        };
        let would = match self.decide(&waiting, time) {
            Decision::Go => None,
            Decision::Borrow => {
                waiting = Self::wait_for_loan(waiting, time);
                return match self.queue.push(waiting, self.next_check(waiting.deadline, time, time)) {
                    Some(ticket) => Admission::Waiting(ticket),
                    None => Admission::Refused(self.full_table()),
                };
            }
            Decision::Wait(bound) if self.plan.mode == Mode::Enforce => {
                return match self.queue.push(waiting, self.next_check(waiting.deadline, bound, time)) {
                    Some(ticket) => Admission::Waiting(ticket),
                    None => Admission::Refused(self.full_table()),
                };
            }
            Decision::Refuse(reason) if self.plan.mode == Mode::Enforce => {
                return Admission::Refused(self.refusal(reason, lane, time));
            }
            Decision::Wait(bound) => Some(Would::Wait(u64::try_from(bound.saturating_sub(time)).unwrap_or(0))),
            Decision::Refuse(reason) => Some(Would::Refuse(reason)),
        };
        match self.grant(&waiting, time) {
            Some(grant) => Admission::Granted(Grant { would, ..grant }),
            None => Admission::Refused(self.full_table()),
        }
    }

    /// The caller of a waiting call has gone: its place is free at once.
    pub fn cancel(&mut self, now: Now<'_>, ticket: Ticket) {
        let time = self.begin(now);
        self.queue.remove(ticket);
        self.pump(time);
    }

    /// The ticket of the call of this id, if it waits.
    pub fn ticket_of(&self, call: u128) -> Option<Ticket> {
        self.queue.find(call)
    }

    /// How long a call has waited, milliseconds.
    pub fn waited(&self, ticket: Ticket) -> u64 {
        let since = self.queue.get(ticket).map_or(0, |call| self.clock.last().saturating_sub(call.arrived));
        u64::try_from(since).unwrap_or(0)
    }

    /// The time that [`Throttle::next_wakeup`] named has come.
    pub fn wake(&mut self, now: Now<'_>) {
        let time = self.begin(now);
        self.pump(time);
        while let Some(ticket) = self.queue.due(time) {
            self.look_again(ticket, time);
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
    pub(super) fn pump(&mut self, time: i64) {
        if self.adaptive.paused(time).is_some() {
            return;
        }
        if self.queue.is_empty() {
            return self.end_turns();
        }
        while self.turns.ahead(time).is_none() {
            let Parts { queue, meters, sight } = self.parts(time);
            let Some(ticket) = queue.next(|lane| is_full(lane, meters, &sight)) else { break };
            let Some(call) = queue.remove(ticket) else { break };
            queue.charge(call.app);
            if call.jobs > 0 {
                // Its jobs stand in the queue again, if there are more.
                self.let_job_go(call, time);
                continue;
            }
            if call.deadline < time {
                let refused = self.refusal(Reason::Deadline, call.lane, time);
                self.ready.push_back((ticket, Err(refused)));
                continue;
            }
            let granted = self.take(&call, time);
            let outcome = granted.ok_or_else(|| self.full_table());
            self.ready.push_back((ticket, outcome));
            self.turns.take(time, self.lane_pace(call.lane));
        }
    }

    fn full(&mut self, lane: u32, time: i64) -> bool {
        let Parts { meters, sight, .. } = self.parts(time);
        is_full(lane, meters, &sight)
    }

    /// The first reason that holds, in the order the interface promises.
    fn decide(&mut self, call: &Waiting, time: i64) -> Decision {
        let paused = self.adaptive.paused(time);
        if self.held(time).is_none() && !self.full(call.lane, time) {
            return Decision::Go;
        }
        let mut day: Option<(i64, Reason)> = None;
        let mut rate = Reason::Rate;
        let mut only_a_loan = paused.is_none();
        let Parts { meters, sight, .. } = self.parts(time);
        for &at in sight.meters_of(call.lane) {
            let Some(meter) = meters.get_mut(at as usize) else { continue };
            if meter.has_room(at, &sight) || meter.awaits_loan(&sight) {
                continue;
            }
            only_a_loan = false;
            match meter.day_reason() {
                Some(reason) => {
                    let until = meter.free_at(at, 1, &sight);
                    if day.is_none_or(|(other, _)| until > other) {
                        day = Some((until, reason));
                    }
                }
                None => rate = meter.rate_reason(),
            }
        }
        if only_a_loan && self.queue.callers() < MOST_WAITING {
            return Decision::Borrow;
        }
        if let Some((_, reason)) = day.filter(|(until, _)| *until > call.deadline) {
            return Decision::Refuse(reason);
        }
        if paused.is_some_and(|until| until > call.deadline) {
            return Decision::Refuse(Reason::Paused);
        }
        let size = self.plan.queue.size as usize;
        if size > 0 && self.queue.callers() >= size {
            return Decision::Refuse(Reason::QueueFull);
        }
        if size == 0 || call.deadline <= time {
            return Decision::Refuse(rate);
        }
        let bound = self.bound(call.app, call.lane, call.urgency, time);
        if bound > call.deadline { Decision::Refuse(Reason::Deadline) } else { Decision::Wait(bound) }
    }

    /// A waiting call's check is due: refuse it if its deadline has come, or surely will before its turn.
    fn look_again(&mut self, ticket: Ticket, time: i64) {
        let Some(&call) = self.queue.get(ticket) else { return };
        if call.jobs > 0 {
            return self.look_at_place(ticket, call, time);
        }
        let bound = if call.deadline <= time { i64::MAX } else { self.least_wait(call, time) };
        if bound <= call.deadline {
            let next = self.next_check(call.deadline, bound, time);
            self.queue.check_again(ticket, next);
            return;
        }
        self.queue.remove(ticket);
        let reason = self.late_reason(call, time);
        let refused = self.refusal(reason, call.lane, time);
        self.ready.push_back((ticket, Err(refused)));
    }

    /// Looks at every waiting caller's call again: something has put off all of them.
    pub(super) fn look_at_all(&mut self, time: i64) {
        for ticket in self.queue.tickets() {
            self.look_again(ticket, time);
        }
    }

    /// The least time until a call that waits already is granted: like a newcomer's, but without those behind it.
    fn least_wait(&mut self, call: Waiting, time: i64) -> i64 {
        let mut bound = self.adaptive.paused(time).unwrap_or(time);
        let mut place = 0;
        while let Some(meter) = self.meter_of(call.lane, place) {
            bound = bound.max(self.free_at(meter, 1, time));
            place += 1;
        }
        bound
    }

    fn late_reason(&mut self, call: Waiting, time: i64) -> Reason {
        let mut place = 0;
        while let Some(meter) = self.meter_of(call.lane, place) {
            place += 1;
            if let Some(reason) = self.day_reason(meter)
                && !self.has_room(meter, time)
                && self.free_at(meter, 1, time) > call.deadline
            {
                return reason;
            }
        }
        if self.adaptive.paused(time).is_some_and(|until| until > call.deadline) {
            Reason::Paused
        } else {
            Reason::Deadline
        }
    }

    /// The bound moves on with time while answers are outstanding; it passes the deadline no sooner than this.
    fn next_check(&self, deadline: i64, bound: i64, time: i64) -> i64 {
        let passes = deadline.saturating_sub(bound.saturating_sub(time)).saturating_add(1);
        passes.max(time.saturating_add(CHECK_MS)).min(deadline)
    }

    fn longest_wait(&self, asked: Option<u64>) -> i64 {
        let most = self.plan.queue.max_wait_ms;
        i64::try_from(asked.unwrap_or(most).min(most)).unwrap_or(i64::MAX / 4)
    }

    fn grant(&mut self, call: &Waiting, time: i64) -> Option<Grant> {
        let grant = self.take(call, time)?;
        self.queue.charge(call.app);
        Some(grant)
    }

    /// Takes one from every limit of the call's lane.
    pub(super) fn take(&mut self, call: &Waiting, time: i64) -> Option<Grant> {
        let waited = u64::try_from(time.saturating_sub(call.arrived)).unwrap_or(0);
        let lapses = time.saturating_add(self.life_ms());
        self.spend(call.lane, time);
        let permit = self.ledger.open(self.epoch, call.lane, time, lapses, call.call, waited)?;
        if mutant::is(Mutant::CountBySend) {
            self.date_each(call.lane, time);
        }
        let Parts { meters, sight, .. } = self.parts(time);
        for &meter in sight.meters_of(call.lane) {
            if let Some(entry) = meters.get_mut(meter as usize) {
                entry.grant(&sight);
            }
        }
        Some(Grant { permit, waited_ms: waited, would: None })
    }

    pub(super) fn gauge_of(&self, meter: u32) -> Option<&Gauge> {
        self.meters.get(meter as usize).map(|meter| &meter.gauge)
    }

    pub(super) fn gauge_mut(&mut self, meter: u32) -> Option<&mut Gauge> {
        self.meters.get_mut(meter as usize).map(|meter| &mut meter.gauge)
    }

    /// An ask that may repeat an earlier one: its permit, if that was granted; its place in time, if it waits.
    fn heard_before(&mut self, call: Call<'_>) -> Option<Heard> {
        if !call.again {
            return None;
        }
        let granted = self.ledger.leases().find(|(_, lease)| lease.call == call.id);
        if let Some((slot, lease)) = granted {
            let permit = PermitId { epoch: self.epoch, lane: lease.lane, seq: lease.seq, slot };
            return Some(Heard::Granted(Grant { permit, waited_ms: lease.waited, would: None }));
        }
        let ticket = self.queue.find(call.id)?;
        self.queue.remove(ticket).map(|held| Heard::Waiting(held.arrived))
    }

    /// The refusal of a call on a lane, with the limits that have no room and when to come again.
    fn refusal(&mut self, reason: Reason, lane: u32, time: i64) -> Refused {
        let at = self.retry_at(lane, time);
        let seconds = u64::try_from(at.saturating_sub(time)).unwrap_or(0).div_ceil(1_000).max(1);
        let mut violated = Vec::new();
        let mut place = 0;
        while let Some(meter) = self.meter_of(lane, place) {
            if !self.has_room(meter, time) && !self.awaits_loan(meter, time) {
                violated.push(self.name(meter));
            }
            place += 1;
        }
        Refused { reason, retry_after_seconds: seconds, violated }
    }

    /// The bound on leases or lanes is reached: far beyond what a vendor takes at once.
    fn full_table(&self) -> Refused {
        let seconds = u64::try_from(SLACK_MS).unwrap_or(0).div_ceil(1_000);
        Refused { reason: Reason::Concurrency, retry_after_seconds: seconds, violated: Vec::new() }
    }

    /// When [`Throttle::wake`] must next be called, Unix milliseconds: a waiting call may go or must be refused, or the stored row is
    /// to be made exact. None: only an event of its own can change anything.
    pub fn next_wakeup(&mut self) -> Option<i64> {
        let time = self.clock.last();
        let mut next = self.quiet_at().into_iter().chain(self.loans_due(time)).min();
        let mut sooner = |at: i64| next = Some(next.map_or(at, |other: i64| other.min(at)));
        if !self.queue.is_empty() {
            self.queue.next_check().map(&mut sooner);
            self.past.next_known().map(&mut sooner);
            self.ledger.oldest().map(|lease| lease.lapses).map(&mut sooner);
            self.held(time).map(&mut sooner);
            let held = self.held(time).is_some();
            let Parts { queue, meters, sight } = self.parts(time);
            for lane in queue.lanes() {
                let mut blocked = false;
                for &at in sight.meters_of(lane) {
                    let Some(meter) = meters.get_mut(at as usize) else { continue };
                    if !meter.has_room(at, &sight) {
                        blocked = true;
                        meter.next_change(at, &sight).map(&mut sooner);
                    }
                }
                // Time has moved on since anything was granted, as when somebody only looks: what waits here can go.
                if !blocked && !held {
                    sooner(time);
                }
            }
        }
        next.map(|at| self.wall.saturating_add(at.max(time.saturating_add(1)).saturating_sub(time)))
    }
}

/// Whether a lane's next call has to wait.
fn is_full(lane: u32, meters: &mut [Meter], sight: &Sight<'_>) -> bool {
    let Some(lane) = sight.ledger.lane(lane) else { return false };
    let mut full = |at: u32| meters.get_mut(at as usize).is_some_and(|meter| !meter.has_room(at, sight));
    if lane.full_in.get() == sight.event {
        return true;
    }
    let tight = lane.tight.get();
    if !full(tight) {
        let Some(found) = lane.meters.iter().copied().find(|&at| at != tight && full(at)) else { return false };
        lane.tight.set(found);
    }
    lane.full_in.set(sight.event);
    true
}

enum Decision {
    Go,
    /// It lacks nothing but a permit of a pool's.
    Borrow,
    Wait(i64),
    Refuse(Reason),
}

enum Heard {
    Granted(Grant),
    Waiting(i64),
}
