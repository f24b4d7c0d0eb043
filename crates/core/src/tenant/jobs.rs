//! The jobs of a tenant. Each is stored before its caller learns of it, stands in the limiter's
//! queue with its app's calls, is stored as running before a Worker is asked to make its call, and
//! ends done or as a dead letter.

mod api;
mod bulk;
mod bury;
mod complete;
mod dispatch;
mod load;
mod schedule;
mod submit;
mod waits;

use super::replies::Ticket;
use super::state::TenantState;
use super::store::{Host, StoreError, Table};
use super::task::Fetching;
use crate::jobs::index::{DEAD_MS, DONE_MS, Index, Stage};
use crate::jobs::lanes::Counts;
use crate::jobs::sealed::Path;
use crate::jobs::{Answer, Record, State, id_text};
use crate::protocol::Reply;
use sluice_limiter::PermitId;
use std::collections::VecDeque;
use waits::Waits;

/// A clock that was set back by less is ignored, in milliseconds: a job waits so much longer.
const SET_BACK_MS: i64 = 1_000;

/// The jobs of a tenant.
pub(super) struct Jobs {
    index: Index,
    /// What is to be handed to Workers. It is small, since what a job sends is read only as it
    /// goes.
    pending: VecDeque<Pending>,
    /// Connections on which jobs have not asked for a permit, since too many tasks have not left.
    held_up: VecDeque<String>,
    /// The jobs that are to be buried, since their connections or apps have gone, and why.
    doomed: VecDeque<(u128, &'static str)>,
    /// The callers who wait for the end of a job.
    waiting: Waits,
    /// When this epoch began, in Unix milliseconds.
    began: i64,
    /// The clock at the last event, in Unix milliseconds.
    seen: i64,
}

/// Something to be handed to a Worker.
enum Pending {
    /// The run of a job, with its permit and the time of its grant, in Unix milliseconds.
    Run { id: u128, connection: String, permit: PermitId, at: i64 },
    /// The exchange for an access token.
    Fetch(Box<Fetching>),
}

impl Jobs {
    /// A tenant without jobs, whose epoch begins now.
    pub(super) fn new(now: i64) -> Self {
        Self {
            index: Index::default(),
            pending: VecDeque::new(),
            held_up: VecDeque::new(),
            doomed: VecDeque::new(),
            waiting: Waits::default(),
            began: now,
            seen: now,
        }
    }

    /// Makes good a clock that was set back since the last event; returns by how many milliseconds.
    pub(super) fn follow_clock(&mut self, now: i64) -> i64 {
        let back = self.seen.saturating_sub(now);
        self.seen = now;
        if back <= SET_BACK_MS {
            return 0;
        }
        self.index.set_back(back);
        self.waiting.set_back(back);
        back
    }

    /// Whether there is a task for a Worker.
    pub(super) fn has_tasks(&self) -> bool {
        !self.pending.is_empty()
    }

    /// When something is next to happen here while the object is in memory, in Unix milliseconds,
    /// except that urgencies rise.
    pub(super) fn next_wakeup(&mut self) -> Option<i64> {
        self.index.next_due().into_iter().chain(self.waiting.next_end()).min()
    }

    /// When the urgency of a job next rises, in Unix milliseconds.
    pub(super) fn next_rise(&mut self) -> Option<i64> {
        self.index.lanes.next_rise()
    }

    /// When something is next to happen to a job even if the object has left memory, in Unix
    /// milliseconds.
    pub(super) fn next_due(&mut self) -> Option<i64> {
        self.index.next_due()
    }

    /// Whether there is a job that has not ended.
    pub(super) fn has_live(&self) -> bool {
        self.index.live() > 0
    }

    /// The numbers of a connection's jobs.
    pub(super) fn counts(&self, connection: &str) -> Counts {
        self.index.lanes.counts(connection)
    }

    /// Ends the wait of a caller who has gone; returns whether it waited for a job.
    pub(super) fn cancel(&mut self, ticket: Ticket) -> bool {
        self.waiting.remove(ticket)
    }
}

impl TenantState {
    /// Stores a job and notes where it is.
    fn store_job(&mut self, id: u128, record: &mut Record, host: &mut Host<'_>) -> Result<(), StoreError> {
        record.updated = host.now;
        let text = id_text(id);
        // An earlier release has stored it in clear.
        if let Path::Clear(path) = &record.path
            && let Some(sealed) = Path::seal(path, &host.sealer(&self.name), &text)
        {
            record.path = sealed;
        }
        host.store.save(Table::Job, &text, &record.to_row())?;
        let ended = self.jobs.index.get(id).is_some_and(|entry| matches!(entry.stage, Stage::Done | Stage::Dead));
        let (stage, at) = stage(record, host.now);
        if ended && matches!(record.state, State::Queued | State::Running) {
            // It stands anew in the lane of the limits that count it now.
            self.jobs.index.remove(id);
            let mask = self.mask_of(id, record, host);
            self.note(id, record, mask, host.now);
            return Ok(());
        }
        self.jobs.index.set_bytes(id, record.bytes);
        self.jobs.index.set(id, stage, at);
        Ok(())
    }

    /// Removes a job with all that is stored of it, its record last.
    fn forget(&mut self, id: u128, host: &mut Host<'_>) -> Result<(), StoreError> {
        let text = id_text(id);
        for table in [Table::JobRequest, Table::JobAnswer, Table::Job] {
            host.store.remove(table, &text)?;
        }
        self.jobs.index.remove(id);
        Ok(())
    }

    /// Tells those who wait for a job that it has ended.
    fn ended(
        &mut self,
        id: u128,
        record: &Record,
        answer: Option<&Answer>,
        host: &mut Host<'_>,
    ) -> Result<(), StoreError> {
        for ticket in self.jobs.waiting.of_job(id) {
            // What was cut is not passed off as the answer.
            let reply = match answer.filter(|answer| !answer.truncated) {
                Some(answer) => Reply::Answer(Box::new(answer.clone())),
                None => Reply::Queued(id_text(id)),
            };
            self.replies.push(ticket, reply);
        }
        if record.state == State::Done {
            for old in self.jobs.index.too_many_done() {
                self.forget(old, host)?;
            }
            self.jobs.index.compact();
        }
        Ok(())
    }
}

/// The stage of a stored job, and when something happens to it, in Unix milliseconds.
fn stage(record: &Record, now: i64) -> (Stage, i64) {
    let due = back(record.due, record, now);
    match record.state {
        State::Queued if due > now => (Stage::Later, due),
        State::Queued => (Stage::Ready, due),
        State::Running => (Stage::Running, due),
        State::Done => (Stage::Done, record.updated.saturating_add(DONE_MS)),
        State::Dead => (Stage::Dead, record.updated.saturating_add(DEAD_MS)),
    }
}

/// Moves a stored time, if the clock has been set back since: it is then as long from now as it was
/// from when it was stored.
fn back(at: i64, record: &Record, now: i64) -> i64 {
    at.saturating_sub(record.updated.saturating_sub(now).max(0))
}

/// Loads the record of a job.
fn load(host: &Host<'_>, id: u128) -> Result<Option<Record>, StoreError> {
    Ok(host.store.load(Table::Job, &id_text(id))?.and_then(|row| Record::from_row(&row)))
}
