//! What happens to jobs by time alone: they fall due, runs are given up, and jobs that may no
//! longer be made are buried.

use super::load;
use crate::jobs::index::Stage;
use crate::jobs::{Record, State, id_text};
use crate::protocol::Reply;
use crate::tenant::state::TenantState;
use crate::tenant::store::{Host, StoreError};

/// The most jobs that one event moves on, when many are due at once.
const MOST_AT_A_TIME: usize = 500;

/// The most jobs that one event buries: each may take a callback with it.
const MOST_BURIED: usize = 200;

impl TenantState {
    /// Does what is due, and answers callers who have waited long enough.
    pub(in crate::tenant) fn wake_jobs(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        let mut connections = Vec::new();
        for _ in 0..MOST_AT_A_TIME {
            let Some(entry) = self.jobs.index.due(host.now) else { break };
            let lane = self.jobs.index.lanes.get(entry.lane);
            let connection = lane.map(|lane| lane.connection.clone()).unwrap_or_default();
            match entry.stage {
                Stage::Later => self.jobs.index.set(entry.id, Stage::Ready, entry.at),
                Stage::Running => self.run_lost(entry.id, host)?,
                _ => self.forget(entry.id, host)?,
            }
            if !connections.contains(&connection) {
                connections.push(connection);
            }
        }
        connections.extend(self.bury_some(host)?);
        connections.sort_unstable();
        connections.dedup();
        self.jobs.index.compact();
        while let Some(lane) = self.jobs.index.lanes.risen(host.now) {
            if !connections.contains(&lane.connection) {
                connections.push(lane.connection.clone());
            }
        }
        for connection in connections {
            self.commit(&connection, host)?;
        }
        while let Some((ticket, id)) = self.jobs.waiting.next_late(host.now) {
            self.replies.push(ticket, Reply::Queued(id_text(id)));
        }
        Ok(())
    }

    /// When jobs are next to be buried that wait for nothing else, in Unix milliseconds: at once,
    /// where there are more than one event buries.
    pub(in crate::tenant) fn next_burial(&mut self) -> Option<i64> {
        if !self.jobs.doomed.is_empty() {
            return Some(0);
        }
        let (since, _) = self.jobs.index.first_fresh()?;
        let expire_ms = self.policy.as_ref()?.jobs.expire_ms;
        Some(since.saturating_add(i64::try_from(expire_ms).unwrap_or(i64::MAX)))
    }

    /// Buries jobs whose connection or app has gone, and those that have waited too long to begin;
    /// as many as one event may. Gives the connections that they were for.
    pub(super) fn bury_some(&mut self, host: &mut Host<'_>) -> Result<Vec<String>, StoreError> {
        let mut connections = Vec::new();
        for _ in 0..MOST_BURIED {
            if self.next_burial().is_none_or(|at| at > host.now) {
                break;
            }
            let doomed = self.jobs.doomed.pop_front();
            let expired = || self.jobs.index.first_fresh().map(|(_, id)| (id, "expired"));
            let Some((id, why)) = doomed.or_else(expired) else { break };
            // One that is running will say itself how it ends.
            let Some(entry) = self.jobs.index.get(id).filter(|entry| entry.stage.state() == State::Queued) else {
                continue;
            };
            let lane = self.jobs.index.lanes.get(entry.lane);
            connections.extend(lane.map(|lane| lane.connection.clone()));
            match load(host, id)? {
                Some(record) => self.bury_job(id, record, why, host)?,
                None => self.forget(id, host)?,
            }
        }
        Ok(connections)
    }

    /// Makes a job a dead letter that was not sent.
    pub(super) fn bury_job(
        &mut self,
        id: u128,
        mut record: Record,
        error: &str,
        host: &mut Host<'_>,
    ) -> Result<(), StoreError> {
        record.state = State::Dead;
        record.error = Some(error.to_owned());
        record.updated = host.now;
        // First the message, then the job: should storage refuse between, the job ends once more.
        self.callbacks.queue_outcome(id, &record, None, host)?;
        self.store_job(id, &mut record, host)?;
        self.ended(id, &record, None, host)
    }
}
