//! Jobs in the queue. However many jobs of a lane want to go, they take one place in it together, apart from those that callers may
//! take.
//!
//! When one of them goes it is charged to its app like any call, and the others stand behind their peers again. A place that has waited a
//! minute gains a level of urgency, so that no caller's urgency holds up jobs for ever.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "taken away where there is one: the place has a job, the urgency is above another; lanes are numbers of a list"
)]

use crate::admit::call::Grant;
use crate::config::Mode;
use crate::index::{LaneId, Table};
use crate::leases::JOB;
use crate::limiter::{Limiter, Now};
use crate::queue::{Ticket, Waiting};
use std::collections::VecDeque;
use std::num::NonZeroU32;

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
    /// Takes all jobs out of the queue.
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
    /// Sets how many jobs of an app, which the limits in `mask` count, want to go, and the urgency of the first of them; to be called
    /// whenever either has changed. Returns the lane, by which [`Limiter::next_job`] names the jobs that may go; none for an app that is not
    /// in the plan, or when the table of lanes is full.
    pub fn want(&mut self, now: Now<'_>, app: &str, mask: u32, jobs: u32, urgency: u8) -> Option<u32> {
        let time = self.begin(now);
        let (app, lane) = self.lane_of(app, mask)?;
        let jobs = NonZeroU32::new(jobs);
        if let Some(place) = self.jobs.place(lane) {
            if let Some(jobs) = jobs
                && place.urgency == urgency
            {
                self.queue.stand_for(place.ticket, jobs);
                return Some(lane.0);
            }
            self.leave_queue(place.ticket);
            self.jobs.set_place(lane, None);
        }
        let Some(jobs) = jobs else { return Some(lane.0) };
        let (arrived, asked, deadline) = (time, time, i64::MAX);
        let place = Waiting { app, lane, urgency, arrived, asked, deadline, call: JOB, jobs: Some(jobs) };
        match self.plan.mode {
            Mode::Enforce => {
                self.stand(place, urgency);
                self.grant_ready(time);
            }
            Mode::Observe => {
                for _ in 0..jobs.get() {
                    self.queue.charge(app);
                    let Some(grant) = self.take(&place, time) else { break };
                    self.jobs.ready.push_back((lane, grant));
                }
            }
        }
        Some(lane.0)
    }

    /// Returns the next permit for a job: the lane, and the grant. It is to be called until there
    /// is none.
    pub fn next_job(&mut self) -> Option<(u32, Grant)> {
        self.jobs.ready.pop_front().map(|(lane, grant)| (lane.0, grant))
    }

    fn stand(&mut self, place: Waiting, urgency: u8) {
        let check = place.arrived.saturating_add(LEVEL_MS);
        let class = self.class_of(place.lane);
        if let Some(ticket) = self.queue.push(place, class, check) {
            self.leases.lanes_mut().note_waiting(place.lane);
            self.jobs.set_place(place.lane, Some(JobPlace { ticket, urgency }));
        }
    }

    /// Grants one job of a place that was taken out of the queue, and lets the others stand behind their peers.
    pub(crate) fn let_job_go(&mut self, place: Waiting, time: i64) {
        let Some(JobPlace { urgency, .. }) = self.jobs.place(place.lane) else { return };
        self.jobs.set_place(place.lane, None);
        // The table of leases is full: how many jobs want to go is set again at the connection's next event.
        let Some(grant) = self.take(&place, time) else { return };
        self.jobs.ready.push_back((place.lane, grant));
        let left = place.jobs.and_then(|jobs| NonZeroU32::new(jobs.get() - 1));
        if left.is_some() {
            self.stand(Waiting { jobs: left, urgency, arrived: time, asked: time, ..place }, urgency);
        }
    }

    /// Raises the urgency of a place that has waited long enough.
    pub(crate) fn recheck_place(&mut self, ticket: Ticket, place: Waiting, time: i64) {
        let rises = place.arrived.saturating_add(LEVEL_MS);
        if time < rises {
            return self.queue.check_again(ticket, rises);
        }
        // At the top there is nothing more to gain.
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
