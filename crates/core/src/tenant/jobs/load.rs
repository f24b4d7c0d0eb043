//! The jobs over epochs and the policy's changes.

use super::{Jobs, Pending};
use crate::jobs::{Record, State, id_text, parse_id};
use crate::protocol::Reply;
use crate::tenant::state::TenantState;
use crate::tenant::store::{Host, StoreError, Table};

/// How many rows are read at once: a path may be some kilobytes long.
const PAGE: u32 = 500;

impl TenantState {
    /// Loads what is stored of all jobs, and buries those whose connection or app is no longer in
    /// the policy.
    pub(in crate::tenant) fn load_jobs(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        self.jobs.index = Default::default();
        self.jobs.doomed.clear();
        let mut after = String::new();
        loop {
            let rows = host.store.some(Table::Job, &after, PAGE)?;
            let Some((last, _)) = rows.last() else { break };
            after.clone_from(last);
            for (id, row) in rows {
                // Rows of another release stay as they are.
                let (Some(id), Some(record)) = (parse_id(&id), Record::from_row(&row)) else { continue };
                self.load_job(id, &record, host);
            }
        }
        self.bury_some(host)?;
        let connections: Vec<String> = self.connections.keys().cloned().collect();
        for connection in connections {
            self.commit(&connection, host)?;
        }
        Ok(())
    }

    fn load_job(&mut self, id: u128, record: &Record, host: &Host<'_>) {
        let connection = self.connections.get(&record.connection);
        let mask = self.mask_of(id, record, host);
        let known = self.policy.as_ref().is_some_and(|policy| policy.apps.contains_key(&record.app));
        let gone = match (connection.is_some(), known) {
            (false, _) => Some("connection"),
            (true, false) => Some("app"),
            (true, true) => None,
        };
        self.note(id, record, mask, host.now);
        let gone = gone.filter(|_| record.state == State::Queued);
        self.jobs.doomed.extend(gone.map(|gone| (id, gone)));
    }

    /// Returns which limits count a job. For a job that does not wait for them nobody needs to
    /// know, and its path is left sealed.
    pub(super) fn mask_of(&self, id: u128, record: &Record, host: &Host<'_>) -> u32 {
        let live = matches!(record.state, State::Queued | State::Running);
        let connection = self.connections.get(&record.connection).filter(|_| live);
        connection.map_or(0, |connection| {
            connection.rules().mask_with(&record.method, || record.path.open(&host.sealer(&self.name), &id_text(id)))
        })
    }

    /// Puts all jobs anew into their lanes: the policy has changed, so limits count other calls,
    /// connections and apps come and go.
    pub(in crate::tenant) fn replan_jobs(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        if self.jobs.index.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.jobs.pending);
        for pending in pending {
            match pending {
                // Its job is queued, as it is stored.
                Pending::Run { connection, permit, .. } => self.hand_back(&connection, permit, host)?,
                Pending::Fetch(_) => self.jobs.pending.push_back(pending),
            }
        }
        self.load_jobs(host)
    }

    /// Removes all jobs: the tenant is removed.
    pub(in crate::tenant) fn remove_jobs(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        for ticket in std::mem::take(&mut self.jobs.waiting).into_tickets() {
            self.replies.push(ticket, Reply::Retry);
        }
        for table in [Table::JobRequest, Table::JobAnswer, Table::Job] {
            host.store.clear(table)?;
        }
        self.jobs = Jobs::new(host.now);
        Ok(())
    }
}
