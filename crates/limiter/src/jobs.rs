//! Jobs in the queue. They stand there by number, not one by one: however many of them want to go on a lane, they take one
//! place in it, apart from those that callers may take.
//!
//! A place that goes is charged to its app like any call and stands behind its peers again. One that has waited a minute
//! gains a level of urgency, so that no caller's urgency holds up jobs for ever.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "taken away where there is one: the place has a job, the urgency is above another; lanes are numbers of a list"
)]

use crate::admit::call::Grant;
use crate::config::Mode;
use crate::index::{LaneId, Table};
use crate::limiter::{Limiter, Now};
use crate::queue::{Ticket, Waiting};
use std::collections::VecDeque;

/// A place that waits so long gains a level, milliseconds.
const LEVEL_MS: i64 = 60_000;

/// The place of one lane's jobs in the queue.
#[derive(Debug, Clone, Copy)]
struct JobPlace {
    ticket: Ticket,
    urgency: u8,
}

/// Where the jobs of each lane stand in the queue, and which of them may go.
#[derive(Debug, Clone, Default)]
pub struct Jobs {
    places: Table<LaneId, Option<JobPlace>>,
    /// Jobs that may go, for [`Limiter::next_job`].
    ready: VecDeque<(LaneId, Grant)>,
}

impl Jobs {
    /// No job stands in the queue any more.
    pub fn clear_places(&mut self) {
        self.places = Table::default();
    }

    fn place(&self, lane: LaneId) -> Option<JobPlace> {
        self.places.get(lane).copied().flatten()
    }

    fn set_place(&mut self, lane: LaneId, place: Option<JobPlace>) {
        self.places.grow_to(lane, None);
        if let Some(known) = self.places.get_mut(lane) {
            *known = place;
        }
    }
}

impl Limiter {
    /// So many jobs want to go, of that app, counted by `mask`'s limits; the first of them with that urgency. Said again
    /// whenever it has changed. Gives the lane, by which [`Limiter::next_job`] names who may go; none for an app that is
    /// not in the plan, or when there are too many lanes.
    pub fn want(&mut self, now: Now<'_>, app: &str, mask: u32, jobs: u32, urgency: u8) -> Option<u32> {
        let time = self.begin(now);
        let (app, lane) = self.lane_of(app, mask)?;
        if let Some(place) = self.jobs.place(lane) {
            if jobs > 0 && place.urgency == urgency {
                self.queue.stand_for(place.ticket, jobs);
                return Some(lane.0);
            }
            self.leave_queue(place.ticket);
            self.jobs.set_place(lane, None);
        }
        if jobs == 0 {
            return Some(lane.0);
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
                    self.jobs.ready.push_back((lane, grant));
                }
            }
        }
        Some(lane.0)
    }

    /// Leave for one more job of a lane.
    pub fn next_job(&mut self) -> Option<(u32, Grant)> {
        self.jobs.ready.pop_front().map(|(lane, grant)| (lane.0, grant))
    }

    /// How long a permit's lease lasts, milliseconds: by then the vendor can no longer be at work on its call.
    pub fn lease_ms(&self) -> i64 {
        self.life_ms()
    }

    fn stand(&mut self, place: Waiting, urgency: u8) {
        let check = place.arrived.saturating_add(LEVEL_MS);
        let class = self.class_of(place.lane);
        if let Some(ticket) = self.queue.push(place, class, check) {
            self.leases.lanes_mut().note_waiting(place.lane);
            self.jobs.set_place(place.lane, Some(JobPlace { ticket, urgency }));
        }
    }

    /// A place, taken out of `queue`, may go: one job of it goes, and the others stand behind their peers.
    pub(crate) fn let_job_go(&mut self, place: Waiting, time: i64) {
        let Some(JobPlace { urgency, .. }) = self.jobs.place(place.lane) else { return };
        self.jobs.set_place(place.lane, None);
        // No lease left to have: the jobs are asked after again at the connection's next event.
        let Some(grant) = self.take(&place, time) else { return };
        self.jobs.ready.push_back((place.lane, grant));
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
        let Some(known) = self.jobs.place(place.lane).filter(|known| known.ticket == ticket) else { return };
        self.leave_queue(ticket);
        let risen = Waiting { urgency: place.urgency - 1, arrived: time, ..place };
        let class = self.class_of(place.lane);
        if let Some(ticket) = self.queue.push(risen, class, rises.max(time).saturating_add(LEVEL_MS)) {
            self.leases.lanes_mut().note_waiting(place.lane);
            self.jobs.set_place(place.lane, Some(JobPlace { ticket, ..known }));
        }
    }
}
