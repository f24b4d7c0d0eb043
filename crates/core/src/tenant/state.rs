//! The state of a tenant: its parts, and the end that every event on a connection has.
//!
//! The state makes every decision of the Durable Object, free of I/O. Each event is handled whole,
//! with nothing awaited: that is the correctness argument of admission. After each event the shell
//! hands out [`TenantState::next_ready`] until it is empty and sets its timer to
//! [`TenantState::next_wakeup`] and its alarm to [`TenantState::next_alarm`]. After a
//! [`StoreError`] it drops the state: what is in memory may then not be what is stored.

pub use super::replies::{Answer, Ticket};

use super::authorize;
use super::connection::{AdmitResult, AskingCall, ConnectionState};
use super::jobs::Jobs;
use super::keys::Keys;
use super::pools::Pools;
use super::replies::{Replies, refused};
use super::reseal::Reseal;
use super::retained::RemovedConnections;
use super::store::{Host, StoreError, Table};
use super::tombstone::kept_until;
use super::webhooks::Callbacks;
use crate::policy::Policy;
use crate::protocol::{Admit, Reply, Settle};
use std::collections::BTreeMap;

/// The row, among the policy's, that has the tenant's name.
pub(super) const NAME: &str = "name";

/// How often a tenant is woken whose policy cannot be read, in milliseconds.
const LOCKED_MS: i64 = 600_000;

/// The state of one tenant, or, under the name `*`, of the object that lists the tenants.
pub struct TenantState {
    pub(super) name: String,
    pub(super) policy: Option<Policy>,
    /// Why the stored policy cannot be read, if it cannot: then nothing is done but to replace or
    /// to remove it.
    pub(super) locked: Option<String>,
    pub(super) keys: Keys,
    pub(super) connections: BTreeMap<String, ConnectionState>,
    pub(super) replies: Replies,
    pub(super) pools: Pools,
    pub(super) jobs: Jobs,
    pub(super) callbacks: Callbacks,
    pub(super) removed: RemovedConnections,
    pub(super) reseal: Option<Reseal>,
    /// When what is kept of removed connections next ends, or, while the policy cannot be read,
    /// when to look at it again.
    pub(super) next_end: Option<i64>,
}

impl TenantState {
    /// The tenant's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts a call that has passed the checks to its connection.
    pub(super) fn admit_call(
        &mut self,
        admit: Box<Admit>,
        ticket: Ticket,
        waited_ms: u64,
        host: &mut Host<'_>,
    ) -> Result<Answer, StoreError> {
        let name = admit.connection.clone();
        let Some(connection) = self.connections.get_mut(&name) else {
            return Ok(Answer::Now(refused(authorize::unknown(&name))));
        };
        let app = admit.claims.app.as_deref().unwrap_or_default();
        let app = self.policy.as_ref().and_then(|policy| policy.apps.get(app));
        let weight = app.map_or(1, |app| app.weight);
        let result = connection.admit(AskingCall { admit, ticket, waited_ms, weight }, host);
        while let Some((displaced, reply)) = connection.next_displaced(host.now) {
            self.replies.push(displaced, reply);
        }
        self.commit(&name, host)?;
        Ok(match result {
            AdmitResult::Now(reply) => Answer::Now(reply),
            AdmitResult::Waiting => Answer::Wait(ticket),
        })
    }

    /// Takes reports on permits.
    pub(super) fn settle(&mut self, reports: &[Settle], host: &mut Host<'_>) -> Result<(), StoreError> {
        // Neighbouring reports on one connection are one event.
        for reports in reports.chunk_by(|one, next| one.connection == next.connection) {
            let Some(name) = reports.first().map(|report| report.connection.as_str()) else { continue };
            if let Some(connection) = self.connections.get_mut(name) {
                reports.iter().for_each(|report| connection.settle(report, host));
                self.commit(name, host)?;
            }
        }
        Ok(())
    }

    /// Answers once all that has happened on a connection is stored. That takes a second at most:
    /// then the connection's row follows, or with its next call. Should this epoch end before,
    /// those who wait report to the next one.
    pub(super) fn once_stored(&mut self, name: &str) -> Answer {
        let replies = &mut self.replies;
        let waits =
            self.connections.get_mut(name).and_then(|connection| connection.awaits_storage(|| replies.new_ticket()));
        match waits {
            Some(ticket) => Answer::Wait(ticket),
            None => Answer::Now(Reply::Done),
        }
    }

    /// Ends the wait of a call whose caller has gone.
    ///
    /// # Errors
    /// Fails if storage refuses.
    pub fn cancel(&mut self, ticket: Ticket, host: &mut Host<'_>) -> Result<(), StoreError> {
        if self.jobs.cancel(ticket)
            || self.connections.values_mut().any(|connection| connection.cancel_for_token(ticket))
        {
            return Ok(());
        }
        let stopped = self
            .connections
            .values_mut()
            .find_map(|connection| connection.cancel(ticket, host).then(|| connection.name().to_owned()));
        match stopped {
            Some(connection) => self.commit(&connection, host),
            None => Ok(()),
        }
    }

    /// The next waiting call whose end is known.
    pub fn next_ready(&mut self) -> Option<(Ticket, Reply)> {
        self.replies.pop()
    }

    /// Whether [`Self::next_task`] has something.
    pub fn has_tasks(&self) -> bool {
        self.jobs.has_tasks() || self.callbacks.has_next()
    }

    /// When to call [`Self::wake`] while the object is in memory, in Unix milliseconds.
    pub fn next_wakeup(&mut self) -> Option<i64> {
        let burial = self.next_burial();
        let sealing = self.reseal.as_ref().map(Reseal::next_wakeup);
        self.next_event().into_iter().chain(self.jobs.next_rise()).chain(burial).chain(sealing).min()
    }

    /// When something is next to happen, in Unix milliseconds, except that the urgency of jobs
    /// rises.
    fn next_event(&mut self) -> Option<i64> {
        self.connections
            .values_mut()
            .filter_map(ConnectionState::next_wakeup)
            .chain(self.jobs.next_wakeup())
            .chain(self.callbacks.next_wakeup())
            .min()
    }

    /// When to call [`Self::wake`] even if the object has left memory, in Unix milliseconds.
    pub fn next_alarm(&mut self) -> Option<i64> {
        // Jobs that have nothing to wait for are on their way; should this epoch end now, the next
        // takes them up soon.
        let live = if self.jobs.has_live() { self.next_event().or(Some(0)) } else { None };
        let connections = self.connections.values().filter_map(ConnectionState::next_alarm);
        let connections = connections.min();
        connections
            .into_iter()
            .chain(self.next_end)
            .chain(self.next_burial())
            .chain(self.jobs.next_due())
            .chain(live)
            .chain(self.callbacks.next_alarm())
            .min()
    }

    /// Lets an event happen on a connection, which gives replies to some that waited, and commits
    /// it.
    pub(super) fn with_connection(
        &mut self,
        name: &str,
        host: &mut Host<'_>,
        event: impl FnOnce(&mut ConnectionState, &mut Host<'_>) -> Result<Vec<(Ticket, Reply)>, StoreError>,
    ) -> Result<(), StoreError> {
        let Some(connection) = self.connections.get_mut(name) else { return Ok(()) };
        self.replies.extend(event(connection, host)?);
        self.commit(name, host)
    }

    /// Commits an event on a connection: first what has changed is stored, then those that waited
    /// are answered.
    pub(super) fn commit(&mut self, name: &str, host: &mut Host<'_>) -> Result<(), StoreError> {
        self.sync_jobs(name, host);
        self.check_alerts(name, host)?;
        let Some(connection) = self.connections.get_mut(name) else { return Ok(()) };
        connection.store(host)?;
        self.replies.acknowledge(connection.take_stored_reports());
        while let Some((ticket, reply)) = connection.next_ready(host.now) {
            self.replies.push(ticket, reply);
        }
        self.collect_loans(name, host);
        Ok(())
    }

    /// Plans when to look again at a policy that cannot be read: it may be readable then. A tenant
    /// without jobs and callbacks has nothing to go on with, and is not woken.
    pub(super) fn plan_unlock(&mut self, host: &Host<'_>) -> Result<(), StoreError> {
        let has_work = |table| Ok(!host.store.some(table, "", 1)?.is_empty());
        let has_work = has_work(Table::Job)? || has_work(Table::Webhook)?;
        self.next_end = has_work.then(|| host.now.saturating_add(LOCKED_MS));
        Ok(())
    }

    /// Plans when what is kept of removed connections next ends.
    pub(super) fn plan_alarm(&mut self, host: &Host<'_>) -> Result<(), StoreError> {
        let stones = host.store.all(Table::Tombstone)?;
        self.next_end = stones.iter().map(|(_, stone)| kept_until(stone)).chain(self.removed.next_end()).min();
        Ok(())
    }
}
