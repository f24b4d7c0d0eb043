//! Checks of calls that wait: one that surely cannot go before its deadline is refused as soon as that is known.

use crate::Denial;
use crate::index::{AppId, LaneId};
use crate::limiter::{Limiter, Now};
use crate::queue::{Ticket, Waiting};

/// Between two checks of a call lies at least so long, milliseconds.
const CHECK_MS: i64 = 50;

impl Limiter {
    /// Does what is due at the time that [`Limiter::next_wakeup`] gave.
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

    /// Returns when [`Limiter::wake`] must next be called, Unix milliseconds: a waiting call may go
    /// or must be refused, or the stored snapshot is to be made exact; none while only another
    /// event can change anything.
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
            held.map(|until| Self::recheck_held(until, time)).map(&mut sooner);
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
                // Time has moved on since the last grant, as when only a report was made: what waits here can go.
                if !blocked && !stuck {
                    sooner(time);
                }
            }
        }
        next.map(|at| self.epoch.wall_time(at.max(time.saturating_add(1))))
    }

    /// Checks a waiting call: it is refused if its deadline has come, or surely will before its turn.
    fn recheck(&mut self, ticket: Ticket, time: i64) {
        let Some(&call) = self.queue.get(ticket) else { return };
        if call.jobs.is_some() {
            return self.recheck_place(ticket, call, time);
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

    /// Checks every waiting caller's call: something has put off all of them. Those of one lane are put off until the same moment.
    pub(crate) fn recheck_all(&mut self, time: i64) {
        let mut known: Option<(LaneId, i64)> = None;
        for ticket in self.queue.tickets() {
            let Some(&call) = self.queue.get(ticket) else { continue };
            let bound = match known.filter(|(lane, _)| *lane == call.lane) {
                Some((_, bound)) => bound,
                None => self.least_wait(call.lane, time),
            };
            known = Some((call.lane, bound));
            // The others are checked when their own time comes.
            if bound > call.deadline {
                let reason = self.late_reason(call, time);
                self.shed(ticket, reason, time);
            }
        }
    }

    /// Returns the earliest limiter time at which a waiting call can be granted: like a newcomer's,
    /// but without the calls before it.
    fn least_wait(&mut self, lane: LaneId, time: i64) -> i64 {
        let app = self.leases.lanes().get(lane).map_or(AppId::NONE, |lane| lane.app);
        let mut bound = self.surely_paused_for(app, time).unwrap_or(time);
        let best = self.best_factor();
        self.here().each_of(lane, |at, counter, view| bound = bound.max(counter.free_at(at, 1, best, view)));
        bound
    }

    /// Returns why a waiting call is refused that cannot go before its deadline.
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

    /// Returns when a waiting call is to be checked again. The bound moves on with time while
    /// answers are outstanding, and passes the deadline no sooner than this.
    pub(super) fn next_check(&self, deadline: i64, bound: i64, time: i64) -> i64 {
        let passes = deadline.saturating_sub(bound.saturating_sub(time)).saturating_add(1);
        passes.max(time.saturating_add(CHECK_MS)).min(deadline)
    }
}
