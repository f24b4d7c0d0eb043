//! The decision on a call that asks: the first reason that holds, in the order that the interface promises.

use crate::Denial;
use crate::config::Mode;
use crate::index::AppId;
use crate::limiter::Limiter;
use crate::pauses::has_no_end;
use crate::places::Admit;
use crate::queue::Waiting;

/// The most calls that may wait where some wait for nothing but loans, which the queue's size does not bound.
const MOST_WAITING: usize = 10_000;

/// What is done with a call that asks.
pub(super) enum Decision {
    Go,
    /// It waits for nothing but a pool's loan.
    LoanRequest,
    /// It waits until that limiter time at least; if no place is free, that app gives one up for it.
    Wait(i64, Option<AppId>),
    Refuse(Denial),
}

impl Limiter {
    /// Decides on a call by the first reason that holds, in the order that the interface promises.
    pub(super) fn decide(&mut self, call: &Waiting, time: i64) -> Decision {
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
}
