//! The jobs of a tenant. Each is stored before its caller hears of it, stands in the limiter's queue with its app's calls,
//! is stored as running before a Worker is told to make its call, and ends done or as a dead letter.

mod api;
mod complete;

mod load;
mod submit;
mod waits;

use super::authorize;
use super::connection_state::ConnectionState;
use super::state::{TenantState, Ticket};
use super::store::{Host, StoreError, Table};
use super::task::{Fetching, LEAVES_MS, MOST_ASKED, MOST_UNSENT, Run, SLOW_MS, Task};
use super::token_gate::ForJobs;
use crate::jobs::index::{DEAD_MS, DONE_MS, Index, Stage};
use crate::jobs::record::MOST_ATTEMPTS;
use crate::jobs::sealed::{Path, Sealer};
use crate::jobs::{Answer, Attempt, Record, Request, State, id_text, parse_id};
use crate::protocol::{Bearer, Fetch, Reply};
use sluice_limiter::{Grant, PermitId};
use std::collections::VecDeque;
use waits::Waits;

/// A task that was not taken, or a permit handed back, is tried again after this, milliseconds.
const AGAIN_MS: i64 = 100;

/// A job that is running is given up so long after its permit's lease has ended, milliseconds: its Worker reports three times.
const REPORT_MS: i64 = 5_000;

/// A clock that was set back by less is left alone: a job waits so much longer, milliseconds.
const SET_BACK_MS: i64 = 1_000;
/// Jobs that one event moves on, when many are due at once.
const MOST_AT_A_TIME: usize = 500;

/// Jobs that one event buries: each may take a callback with it.
const MOST_BURIED: usize = 200;

/// The jobs of a tenant.
pub(super) struct Jobs {
    pub(super) index: Index,
    /// What is to be handed to Workers: small, since what a job sends is read only as it goes.
    pending: VecDeque<Pending>,
    /// Connections on which jobs have not asked for a permit, since too many tasks have not left.
    held_up: VecDeque<String>,
    /// What is to be buried, since its connection or app has gone, and why.
    doomed: VecDeque<(u128, &'static str)>,
    /// Who waits for a job's end.
    waiting: Waits,
    /// When this life began, Unix ms.
    began: i64,
    /// The clock at the last event, Unix ms.
    seen: i64,
}

enum Pending {
    Run { id: u128, connection: String, permit: PermitId, at: i64 },
    Fetch(Box<Fetching>),
}

impl Jobs {
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

    /// Makes good a clock that was set back since the last event; by how much.
    fn heed_clock(&mut self, now: i64) -> i64 {
        let back = self.seen.saturating_sub(now);
        self.seen = now;
        if back <= SET_BACK_MS {
            return 0;
        }
        self.index.set_back(back);
        self.waiting.set_back(back);
        back
    }

    /// How many jobs of a lane may ask for a permit: none while too many tasks have not left, or leave too slowly.
    fn may_ask(&self, now: i64) -> u32 {
        let unsent = self.pending.len();
        let oldest = self.pending.iter().find_map(|pending| match pending {
            Pending::Run { at, .. } => Some(*at),
            Pending::Fetch(_) => None,
        });
        if unsent > MOST_UNSENT || oldest.is_some_and(|at| now.saturating_sub(at) > SLOW_MS) {
            return 0;
        }
        u32::try_from(MOST_ASKED.saturating_sub(unsent)).unwrap_or(0)
    }

    /// Whether there is a task for a Worker.
    pub(super) fn has_tasks(&self) -> bool {
        !self.pending.is_empty()
    }

    /// When something is next to happen here while the object is in memory, Unix ms.
    pub(super) fn next_wakeup(&mut self) -> Option<i64> {
        self.index.next_due().into_iter().chain(self.waiting.next_end()).min()
    }
}

impl TenantState {
    /// Jobs and callbacks wait as long as they had to when the clock is set back.
    pub(super) fn heed_clock(&mut self, now: i64) {
        let back = self.jobs.heed_clock(now);
        if back > 0 {
            self.outbox.set_back(back);
        }
    }

    /// Gives the limiter's permits to jobs of a connection, and tells it how many want to go on the lanes where that has changed.
    pub(super) fn sync_jobs(&mut self, name: &str, host: &mut Host<'_>) {
        let jobs = &mut self.jobs;
        let Some(connection) = self.connections.get_mut(name) else {
            // Nobody is to be told.
            while let Some((lane, _)) = jobs.index.lanes.next_changed(name) {
                jobs.index.lanes.said(lane, None, None);
            }
            return;
        };
        connection.jobs_again = None;
        if jobs.index.lanes.has_waiting(name) {
            let held_back = !jobs.has_token(connection, host.now);
            jobs.index.lanes.hold_back(name, held_back);
        }
        jobs.index.lanes.repeat_one(name);
        loop {
            while let Some((lane, grant)) = connection.limiter.next_job() {
                jobs.give(connection, lane, &grant, host);
            }
            let may_ask = jobs.may_ask(host.now);
            if may_ask == 0 {
                let known = jobs.held_up.iter().any(|known| known == name);
                if !known && jobs.index.lanes.has_changed(name) {
                    jobs.held_up.push_back(name.to_owned());
                }
                return;
            }
            let Some((at, held_back)) = jobs.index.lanes.next_changed(name) else { return };
            let (wanted, urgency, rises) = if held_back { (0, 0, None) } else { jobs.index.wants(at, host.now) };
            let wanted = wanted.min(may_ask);
            let Some(lane) = jobs.index.lanes.get(at) else { continue };
            let told = match wanted {
                0 if !lane.is_told() => None,
                _ => connection.limiter.want(host.time(), &lane.app, lane.mask, wanted, urgency).filter(|_| wanted > 0),
            };
            jobs.index.lanes.said(at, told, rises.filter(|_| wanted > 0));
        }
    }

    /// The next task for a Worker. A job's is stored as running before it leaves.
    ///
    /// # Errors
    /// If storage refuses.
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
                    // They leave in the order in which they came.
                    if let Some(connection) = self.connections.get_mut(&connection)
                        && let Some(at) = connection.unsent.iter().position(|unsent| *unsent == permit)
                    {
                        connection.unsent.remove(at);
                    }
                    if let Some(run) = run {
                        return Ok(Some(Task::Run(Box::new(run))));
                    }
                    self.hand_back(&connection, permit, host)?;
                }
            }
        }
        // These can wait: they hold no permit.
        self.next_delivery(host)
    }

    /// A job with its permit begins to run; unless it is gone, or the permit has grown old, or nothing could be sent.
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
        let bearer = connection.access.as_ref().map(|access| {
            let held = access.current(host.now)?;
            Some(Bearer { token: held.token.clone(), mark: held.mark })
        });
        let bearer = match bearer {
            Some(None) => return Ok(None),
            Some(bearer) => bearer,
            None => None,
        };
        let (route, rate_limit) = (connection.route(), connection.rate_limit(permit));
        let given_up = host.now.saturating_add(connection.limiter.lease_ms()).saturating_add(REPORT_MS);
        let text = id_text(id);
        let Some(mut record) = load(host, id)? else { return Ok(None) };
        let request = host.store.load(Table::JobRequest, &text)?;
        let Some(request) = request.and_then(|row| Request::from_row(&row, &self.sealer(host), &text)) else {
            // Sealed under a master key that is listed no more.
            self.bury_job(id, record, "request", host)?;
            return Ok(None);
        };
        if let Some(why) = authorize::bars_job(self, &record, &record.path.open(&self.sealer(host), &text)) {
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

    /// A task was surely not taken: nothing was sent.
    ///
    /// # Errors
    /// If storage refuses.
    pub fn task_refused(&mut self, task: Task, host: &mut Host<'_>) -> Result<(), StoreError> {
        match task {
            Task::Fetch(fetching) => {
                let Fetching { connection, fetch, .. } = *fetching;
                let result = Err(crate::upstream::grant::Failure::Lost);
                let report =
                    crate::protocol::TokenReport { connection, whose: fetch.whose, began: fetch.began, result };
                let connection = report.connection.clone();
                self.with_connection(&connection, host, |connection, host| connection.fetched(report, host))
            }
            Task::Deliver(delivery) => {
                self.delivery_refused(&delivery, host.now);
                Ok(())
            }
            Task::Run(run) => {
                self.not_sent(&run.job, run.run, host)?;
                self.hand_back(&run.connection, run.permit, host)
            }
        }
    }

    /// A run ends without having been sent.
    fn not_sent(&mut self, id: &str, run: u32, host: &mut Host<'_>) -> Result<(), StoreError> {
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

    /// A permit that nothing was sent with.
    fn hand_back(&mut self, connection: &str, permit: PermitId, host: &mut Host<'_>) -> Result<(), StoreError> {
        if let Some(connection) = self.connections.get_mut(connection) {
            connection.hand_back(permit, host);
        }
        self.commit(connection, host)
    }

    /// Something may be due, or someone has waited long enough.
    pub(super) fn wake_jobs(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
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
            self.ready.push_back((ticket, Reply::Queued(id_text(id))));
        }
        Ok(())
    }

    /// The one who waited for a job has gone. Whether there was one.
    pub(super) fn stops_waiting_for_job(&mut self, ticket: Ticket) -> bool {
        self.jobs.waiting.remove(ticket)
    }

    /// What seals and opens what is stored of this tenant's jobs.
    pub(super) fn sealer<'s, 'h: 's>(&'s self, host: &Host<'h>) -> Sealer<'s> {
        Sealer { master: &host.settings.master, tenant: &self.name, random: host.random }
    }

    /// Stores a job and takes note of where it is.
    fn store_job(&mut self, id: u128, record: &mut Record, host: &mut Host<'_>) -> Result<(), StoreError> {
        record.updated = host.now;
        let text = id_text(id);
        // An earlier release has stored it in clear.
        if let Path::Clear(path) = &record.path
            && let Some(sealed) = Path::seal(path, &self.sealer(host), &text)
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

    /// When jobs are next to be buried that wait for nothing else, Unix ms: at once, where there are more than one event buries.
    pub(super) fn next_burial(&mut self) -> Option<i64> {
        if !self.jobs.doomed.is_empty() {
            return Some(0);
        }
        let (since, _) = self.jobs.index.first_fresh()?;
        let expire_ms = self.policy.as_ref()?.jobs.expire_ms;
        Some(since.saturating_add(i64::try_from(expire_ms).unwrap_or(i64::MAX)))
    }

    /// Buries jobs whose connection or app has gone, and those that have waited too long to begin; as many as one event may. Gives the
    /// connections that they were for.
    fn bury_some(&mut self, host: &mut Host<'_>) -> Result<Vec<String>, StoreError> {
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

    /// A job will not be tried again.
    fn bury_job(&mut self, id: u128, mut record: Record, error: &str, host: &mut Host<'_>) -> Result<(), StoreError> {
        record.state = State::Dead;
        record.error = Some(error.to_owned());
        record.updated = host.now;
        // First the message, then the job: should storage refuse between, the job ends once more.
        self.queue_outcome(id, &record, None, host)?;
        self.store_job(id, &mut record, host)?;
        self.ended(id, &record, None, host)
    }

    /// Removes a job with all that is stored of it: what it is known by last.
    fn forget(&mut self, id: u128, host: &mut Host<'_>) -> Result<(), StoreError> {
        let text = id_text(id);
        for table in [Table::JobRequest, Table::JobAnswer, Table::Job] {
            host.store.remove(table, &text)?;
        }
        self.jobs.index.remove(id);
        Ok(())
    }

    /// A job has ended, one way or the other: those who wait are told.
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
            self.ready.push_back((ticket, reply));
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

impl Jobs {
    /// Whether jobs of a connection may ask to go, as far as an access token is concerned.
    fn has_token(&mut self, connection: &mut ConnectionState, now: i64) -> bool {
        match connection.token_for_jobs(now, None) {
            ForJobs::Ready => true,
            ForJobs::Wait | ForJobs::Stands => false,
            ForJobs::Fetch(fetch, meanwhile) => {
                self.fetch(connection, *fetch);
                meanwhile
            }
        }
    }

    /// Has an access token fetched.
    fn fetch(&mut self, connection: &ConnectionState, fetch: Fetch) {
        let (tenant, connection) = (connection.tenant.clone(), connection.name.clone());
        self.pending.push_back(Pending::Fetch(Box::new(Fetching { tenant, connection, fetch })));
    }

    /// Gives a permit to the first job of a lane; or back.
    fn give(&mut self, connection: &mut ConnectionState, told: u32, grant: &Grant, host: &Host<'_>) {
        let lane = self.index.lanes.of_told(&connection.name, told);
        let Some(entry) = lane.and_then(|lane| self.index.first(lane)) else {
            return connection.hand_back(grant.permit, host);
        };
        self.index.set(entry.id, Stage::Granted, entry.at);
        connection.unsent.push(grant.permit);
        let (id, connection, permit) = (entry.id, connection.name.clone(), grant.permit);
        self.pending.push_back(Pending::Run { id, connection, permit, at: host.now });
    }
}

/// Where a stored job is, and when something happens to it.
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

/// A stored time, as long from now as it was from when it was stored, if the clock has been set back since.
fn back(at: i64, record: &Record, now: i64) -> i64 {
    at.saturating_sub(record.updated.saturating_sub(now).max(0))
}

/// What is stored of a job.
fn load(host: &Host<'_>, id: u128) -> Result<Option<Record>, StoreError> {
    Ok(host.store.load(Table::Job, &id_text(id))?.and_then(|row| Record::from_row(&row)))
}
