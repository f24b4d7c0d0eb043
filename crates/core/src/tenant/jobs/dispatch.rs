//! The tasks of jobs: each run is stored before it is handed to a Worker, and taken back if no
//! Worker takes it.

use super::{Pending, load};
use crate::jobs::index::Stage;
use crate::jobs::record::MOST_ATTEMPTS;
use crate::jobs::{Attempt, Request, State, id_text, parse_id};
use crate::protocol::TokenReport;
use crate::tenant::authorize;
use crate::tenant::state::TenantState;
use crate::tenant::store::{Host, StoreError, Table};
use crate::tenant::task::{Fetching, LEAVES_MS, Run, Task};
use crate::upstream::grant::Failure;
use sluice_limiter::PermitId;

/// The job of a task that was not taken waits so long before it asks for a permit again, in
/// milliseconds.
const AGAIN_MS: i64 = 100;

/// A job that is running is given up so long after its permit's lease has ended, in milliseconds:
/// its Worker reports three times.
const REPORT_MS: i64 = 5_000;

impl TenantState {
    /// The next task for a Worker. A job is stored as running before its task leaves.
    ///
    /// # Errors
    /// Fails if storage refuses.
    pub fn next_task(&mut self, host: &mut Host<'_>) -> Result<Option<Task>, StoreError> {
        while let Some(pending) = self.jobs.pending.pop_front() {
            // There may be room for others: one connection after the other asks, so that none is passed over.
            while self.jobs.may_ask(host.now) > 0
                && let Some(connection) = self.jobs.held_up.pop_front()
            {
                self.commit(&connection, host)?;
            }
            match pending {
                Pending::Fetch(fetching) => return Ok(Some(Task::Fetch(fetching))),
                Pending::Run { id, connection, permit, at } => {
                    let run = self.start(id, &connection, permit, at, host)?;
                    if let Some(connection) = self.connections.get_mut(&connection) {
                        connection.job_leaves(permit);
                    }
                    if let Some(run) = run {
                        return Ok(Some(Task::Run(Box::new(run))));
                    }
                    self.hand_back(&connection, permit, host)?;
                }
            }
        }
        // These can wait: they hold no permit.
        self.callbacks.next_delivery(self.policy.as_ref(), host)
    }

    /// Begins the run of a job with its permit, unless the job is gone, the permit has grown old,
    /// or nothing could be sent.
    fn start(
        &mut self,
        id: u128,
        connection: &str,
        permit: PermitId,
        at: i64,
        host: &mut Host<'_>,
    ) -> Result<Option<Run>, StoreError> {
        let Some(entry) = self.jobs.index.get(id).copied().filter(|entry| entry.stage == Stage::Granted) else {
            return Ok(None);
        };
        // Back in its lane, unless all goes well.
        self.jobs.index.set(id, Stage::Ready, entry.at);
        let Some(connection) =
            self.connections.get_mut(connection).filter(|_| host.now.saturating_sub(at) <= LEAVES_MS)
        else {
            return Ok(None);
        };
        let Ok(bearer) = connection.token_for_run(host.now) else { return Ok(None) };
        let (route, rate_limit) = connection.route_for_run(permit);
        let given_up = host.now.saturating_add(connection.limiter().lease_ms()).saturating_add(REPORT_MS);
        let text = id_text(id);
        let Some(mut record) = load(host, id)? else { return Ok(None) };
        let request = host.store.load(Table::JobRequest, &text)?;
        let Some(request) = request.and_then(|row| Request::from_row(&row, &host.sealer(&self.name), &text)) else {
            // Sealed under a master key that is listed no more.
            self.bury_job(id, record, "request", host)?;
            return Ok(None);
        };
        if let Some(why) = authorize::bars_job(self, &record, &record.path.open(&host.sealer(&self.name), &text)) {
            self.bury_job(id, record, why, host)?;
            return Ok(None);
        }
        record.state = State::Running;
        record.run = record.run.saturating_add(1);
        record.due = given_up;
        if record.attempts.len() >= MOST_ATTEMPTS {
            record.attempts.remove(0);
        }
        record.attempts.push(Attempt { at: host.now, status: 0, error: None });
        self.jobs.index.set_run(id, record.run);
        self.jobs.index.set_begun(id, true);
        self.store_job(id, &mut record, host)?;
        Ok(Some(Run {
            tenant: self.name.clone(),
            app: record.app,
            connection: record.connection,
            job: text,
            run: record.run,
            created: record.created,
            granted: at,
            permit,
            route,
            bearer,
            rate_limit,
            request,
        }))
    }

    /// Takes back a task that surely no Worker has taken: nothing was sent.
    ///
    /// # Errors
    /// Fails if storage refuses.
    pub fn task_refused(&mut self, task: Task, host: &mut Host<'_>) -> Result<(), StoreError> {
        match task {
            Task::Fetch(fetching) => {
                let Fetching { connection, fetch, .. } = *fetching;
                let result = Err(Failure::Lost);
                let report = TokenReport { connection, whose: fetch.whose, began: fetch.began, result };
                let connection = report.connection.clone();
                self.with_connection(&connection, host, |connection, host| connection.token_reported(report, host))
            }
            Task::Deliver(delivery) => {
                self.callbacks.refused(&delivery, host.now);
                Ok(())
            }
            Task::Run(run) => {
                self.not_sent(&run.job, run.run, host)?;
                self.hand_back(&run.connection, run.permit, host)
            }
        }
    }

    /// Ends a run that was not sent, and queues its job again.
    pub(super) fn not_sent(&mut self, id: &str, run: u32, host: &mut Host<'_>) -> Result<(), StoreError> {
        let Some(id) = parse_id(id) else { return Ok(()) };
        if self.jobs.index.get(id).is_none_or(|entry| entry.stage != Stage::Running || entry.run != run) {
            return Ok(());
        }
        let Some(mut record) = load(host, id)? else { return Ok(()) };
        record.attempts.pop();
        record.state = State::Queued;
        record.due = host.now.saturating_add(AGAIN_MS);
        self.store_job(id, &mut record, host)?;
        self.jobs.index.set_begun(id, record.has_begun());
        Ok(())
    }

    /// Hands back a permit that nothing was sent with.
    pub(super) fn hand_back(
        &mut self,
        connection: &str,
        permit: PermitId,
        host: &mut Host<'_>,
    ) -> Result<(), StoreError> {
        if let Some(connection) = self.connections.get_mut(connection) {
            connection.hand_back(permit, host);
        }
        self.commit(connection, host)
    }
}
