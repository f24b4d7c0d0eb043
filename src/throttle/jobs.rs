//! Jobs in the queue. They stand there by number, not one by one: however many of them want to go on a lane, they take one
//! place in it, apart from those that callers may take.
//!
//! A place that goes is charged to its app like any call and stands behind its peers again. One that has waited a minute
//! gains a level of urgency, so that no caller's urgency holds up jobs for ever.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "taken away where there is one: the place has a job, the urgency is above another"
)]

use super::admit::Grant;
use super::queue::{Ticket, Waiting};
use super::rule::Mode;
use super::state::{Now, Throttle};

/// A place that waits so long gains a level, milliseconds.
const LEVEL_MS: i64 = 60_000;

/// The place of one lane's jobs.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    lane: u32,
    ticket: Ticket,
    urgency: u8,
}

impl Throttle {
    /// So many jobs want to go, of that app, counted by `mask`'s limits; the first of them with that urgency. Said again
    /// whenever it has changed. Gives the lane, by which [`Throttle::next_job`] names who may go; none for an app that is
    /// not in the plan, or when there are too many lanes.
    pub fn want(&mut self, now: Now<'_>, app: &str, mask: u32, jobs: u32, urgency: u8) -> Option<u32> {
        let time = self.begin(now);
        let (app, lane) = self.lane_of(app, mask)?;
        if let Some(at) = self.places.iter().position(|place| place.lane == lane) {
            let place = self.places.get(at).copied()?;
            if jobs > 0 && place.urgency == urgency {
                self.queue.stand_for(place.ticket, jobs);
                return Some(lane);
            }
            self.queue.remove(place.ticket);
            self.places.swap_remove(at);
        }
        if jobs == 0 {
            return Some(lane);
        }
        let place = Waiting { app, lane, urgency, arrived: time, deadline: i64::MAX, call: 0, jobs };
        match self.plan.mode {
            Mode::Enforce => {
                self.stand(place, urgency);
                self.pump(time);
            }
            Mode::Observe => {
                for _ in 0..jobs {
                    self.queue.charge(app);
                    let Some(grant) = self.take(&place, time) else { break };
                    self.job_ready.push_back((lane, grant));
                }
            }
        }
        Some(lane)
    }

    /// Leave for one more job of a lane.
    pub fn next_job(&mut self) -> Option<(u32, Grant)> {
        self.job_ready.pop_front()
    }

    /// How long a permit's lease lasts, milliseconds: by then the vendor can no longer be at work on its call.
    pub fn lease_ms(&self) -> i64 {
        self.life_ms()
    }

    fn stand(&mut self, place: Waiting, urgency: u8) {
        let check = place.arrived.saturating_add(LEVEL_MS);
        if let Some(ticket) = self.queue.push(place, check) {
            self.places.push(Place { lane: place.lane, ticket, urgency });
        }
    }

    /// A place, taken out of `queue`, may go: one job of it goes, and the others stand behind their peers.
    pub(super) fn let_job_go(&mut self, place: Waiting, time: i64) {
        let Some(at) = self.places.iter().position(|known| known.lane == place.lane) else { return };
        let Place { urgency, .. } = self.places.swap_remove(at);
        // No lease left to have: the jobs are asked after again at the connection's next event.
        let Some(grant) = self.take(&place, time) else { return };
        self.job_ready.push_back((place.lane, grant));
        if place.jobs > 1 {
            self.stand(Waiting { jobs: place.jobs - 1, urgency, arrived: time, ..place }, urgency);
        }
    }

    /// A place that has waited long enough gains a level.
    pub(super) fn look_at_place(&mut self, ticket: Ticket, place: Waiting, time: i64) {
        let rises = place.arrived.saturating_add(LEVEL_MS);
        if time < rises {
            return self.queue.check_again(ticket, rises);
        }
        // At the top there is nothing more to gain, nor to look at.
        if place.urgency == 0 {
            return;
        }
        self.queue.remove(ticket);
        let risen = Waiting { urgency: place.urgency - 1, arrived: time, ..place };
        let ticket = self.queue.push(risen, rises.max(time).saturating_add(LEVEL_MS));
        let known = self.places.iter_mut().find(|known| known.lane == place.lane);
        if let (Some(known), Some(ticket)) = (known, ticket) {
            known.ticket = ticket;
        }
    }
}
