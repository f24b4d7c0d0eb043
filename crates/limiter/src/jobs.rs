//! Jobs in the queue. They stand there by number, not one by one: however many of them want to go on a lane, they take one
//! place in it, apart from those that callers may take.
//!
//! A place that goes is charged to its app like any call and stands behind its peers again. One that has waited a minute
//! gains a level of urgency, so that no caller's urgency holds up jobs for ever.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "taken away where there is one: the place has a job, the urgency is above another; lanes are numbers of a list"
)]

use crate::admit::Grant;
use crate::config::Mode;
use crate::limiter::{Limiter, Now};
use crate::queue::{Ticket, Waiting};

/// A place that waits so long gains a level, milliseconds.
const LEVEL_MS: i64 = 60_000;

/// The place of one lane's jobs.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    ticket: Ticket,
    urgency: u8,
}

impl Limiter {
    /// So many jobs want to go, of that app, counted by `mask`'s limits; the first of them with that urgency. Said again
    /// whenever it has changed. Gives the lane, by which [`Limiter::next_job`] names who may go; none for an app that is
    /// not in the plan, or when there are too many lanes.
    pub fn want(&mut self, now: Now<'_>, app: &str, mask: u32, jobs: u32, urgency: u8) -> Option<u32> {
        let time = self.begin(now);
        let (app, lane) = self.lane_of(app, mask)?;
        if let Some(place) = self.place_of_jobs(lane) {
            if jobs > 0 && place.urgency == urgency {
                self.queue.stand_for(place.ticket, jobs);
                return Some(lane);
            }
            self.leave_queue(place.ticket);
            self.set_place(lane, None);
        }
        if jobs == 0 {
            return Some(lane);
        }
        let place = Waiting { app, lane, urgency, arrived: time, asked: time, deadline: i64::MAX, call: 0, jobs };
        match self.plan.mode {
            Mode::Enforce => {
                self.stand(place, urgency);
                self.grant_ready(time);
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

    fn place_of_jobs(&self, lane: u32) -> Option<Place> {
        self.places.get(lane as usize).copied().flatten()
    }

    fn set_place(&mut self, lane: u32, place: Option<Place>) {
        let at = lane as usize;
        if self.places.len() <= at {
            self.places.resize(at + 1, None);
        }
        if let Some(known) = self.places.get_mut(at) {
            *known = place;
        }
    }

    fn stand(&mut self, place: Waiting, urgency: u8) {
        let check = place.arrived.saturating_add(LEVEL_MS);
        let class = self.leases.lanes.get(place.lane).map_or(0, |lane| lane.class);
        if let Some(ticket) = self.queue.push(place, class, check) {
            self.waits_on(place.lane, true);
            self.set_place(place.lane, Some(Place { ticket, urgency }));
        }
    }

    /// A place, taken out of `queue`, may go: one job of it goes, and the others stand behind their peers.
    pub(crate) fn let_job_go(&mut self, place: Waiting, time: i64) {
        let Some(Place { urgency, .. }) = self.place_of_jobs(place.lane) else { return };
        self.set_place(place.lane, None);
        // No lease left to have: the jobs are asked after again at the connection's next event.
        let Some(grant) = self.take(&place, time) else { return };
        self.job_ready.push_back((place.lane, grant));
        if place.jobs > 1 {
            self.stand(Waiting { jobs: place.jobs - 1, urgency, arrived: time, asked: time, ..place }, urgency);
        }
    }

    /// A place that has waited long enough gains a level.
    pub(crate) fn look_at_place(&mut self, ticket: Ticket, place: Waiting, time: i64) {
        let rises = place.arrived.saturating_add(LEVEL_MS);
        if time < rises {
            return self.queue.check_again(ticket, rises);
        }
        // At the top there is nothing more to gain, nor to look at.
        if place.urgency == 0 {
            return;
        }
        let Some(known) = self.place_of_jobs(place.lane).filter(|known| known.ticket == ticket) else { return };
        self.leave_queue(ticket);
        let risen = Waiting { urgency: place.urgency - 1, arrived: time, ..place };
        let class = self.leases.lanes.get(place.lane).map_or(0, |lane| lane.class);
        if let Some(ticket) = self.queue.push(risen, class, rises.max(time).saturating_add(LEVEL_MS)) {
            self.waits_on(place.lane, true);
            self.set_place(place.lane, Some(Place { ticket, ..known }));
        }
    }
}
