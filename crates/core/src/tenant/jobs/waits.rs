//! The callers that wait for the ends of their jobs. They are found by ticket, by job and by time,
//! so that an event looks at no more of them than it ends.

use crate::lookup::Lookup;
use crate::tenant::replies::Ticket;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The callers that wait.
#[derive(Default)]
pub(super) struct Waits {
    /// The job that a ticket waits for, and until when, in Unix milliseconds.
    tickets: Lookup<u64, (u128, i64)>,
    /// The tickets that wait for a job.
    jobs: Lookup<u128, Vec<Ticket>>,
    /// When tickets have waited long enough; those that wait no more are left behind.
    ends: BinaryHeap<Reverse<(i64, u64)>>,
}

impl Waits {
    /// How many callers wait.
    pub(super) fn len(&self) -> usize {
        self.tickets.len()
    }

    /// Whether somebody waits for the end of this job.
    pub(super) fn has(&self, id: u128) -> bool {
        self.jobs.contains_key(&id)
    }

    /// Adds a caller who waits for a job until a time, in Unix milliseconds.
    pub(super) fn add(&mut self, ticket: Ticket, id: u128, until: i64) {
        self.tickets.insert(ticket.0, (id, until));
        let mut tickets = self.jobs.remove(&id).unwrap_or_default();
        tickets.push(ticket);
        self.jobs.insert(id, tickets);
        if self.ends.len() > self.tickets.len().saturating_mul(2).saturating_add(64) {
            self.ends.retain(|Reverse((_, ticket))| self.tickets.contains_key(ticket));
        }
        self.ends.push(Reverse((until, ticket.0)));
    }

    /// Removes a caller; returns whether it waited.
    pub(super) fn remove(&mut self, ticket: Ticket) -> bool {
        let Some((id, _)) = self.tickets.remove(&ticket.0) else { return false };
        let mut tickets = self.jobs.remove(&id).unwrap_or_default();
        tickets.retain(|other| *other != ticket);
        if !tickets.is_empty() {
            self.jobs.insert(id, tickets);
        }
        true
    }

    /// Takes out everyone who waits for the end of this job.
    pub(super) fn of_job(&mut self, id: u128) -> Vec<Ticket> {
        let tickets = self.jobs.remove(&id).unwrap_or_default();
        for ticket in &tickets {
            self.tickets.remove(&ticket.0);
        }
        tickets
    }

    /// When the next caller has waited long enough, in Unix milliseconds.
    pub(super) fn next_end(&mut self) -> Option<i64> {
        while let Some(&Reverse((until, ticket))) = self.ends.peek() {
            if self.tickets.get(&ticket).is_some_and(|(_, own)| *own == until) {
                return Some(until);
            }
            self.ends.pop();
        }
        None
    }

    /// Takes out the next that has waited long enough by `now`, with the job that it waited for.
    pub(super) fn next_late(&mut self, now: i64) -> Option<(Ticket, u128)> {
        self.next_end().filter(|until| *until <= now)?;
        let Reverse((_, ticket)) = self.ends.pop()?;
        let (id, _) = *self.tickets.get(&ticket)?;
        self.remove(Ticket(ticket));
        Some((Ticket(ticket), id))
    }

    /// Lets all wait as long as they would have: the clock was set back by so many milliseconds.
    pub(super) fn set_back(&mut self, ms: i64) {
        let ends = std::mem::take(&mut self.ends).into_iter();
        self.ends = ends.map(|Reverse((until, ticket))| Reverse((until.saturating_sub(ms), ticket))).collect();
        self.tickets.values_mut().for_each(|(_, until)| *until = until.saturating_sub(ms));
    }

    /// All tickets that wait, in no order.
    pub(super) fn into_tickets(self) -> impl Iterator<Item = Ticket> {
        self.jobs.into_values().flatten()
    }
}
