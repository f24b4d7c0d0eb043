//! The tenant's state machine: it makes every decision of the Durable Object, free of I/O. Each event is handled whole, with nothing
//! awaited: that is the correctness argument of admission.
//!
//! After each event the shell hands out [`TenantState::next_ready`] until it is empty and sets its timer to [`TenantState::next_wakeup`] and its
//! alarm to [`TenantState::next_alarm`]. After a [`StoreError`] it drops the state: what is in memory may then not be what is stored.

use super::connection_state::{AdmitResult, ConnectionState, kept_until};
use super::jobs::Jobs;
use super::keys::{self, KeyRow};
use super::pool_requests::PoolRequest;
use super::reseal::{Reseal, reseal_policy};
use super::retained::Retained;
use super::store::{Host, StoreError, Table};
use super::{admin, authorize, stats, status};
use crate::keys::Claims;
use crate::policy::Policy;
use crate::protocol::{Admin, Admit, Ask, Directory, No, Reply, Settle};
use crate::refusal::{Reason, Refusal};
use crate::upstream::Dialect;
use crate::webhooks::Outbox;
use sluice_limiter::pool::Pool;
use std::collections::BTreeMap;
use std::collections::VecDeque;

/// A waiting call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Where the tenant's name stands beside its policy.
pub(super) const NAME: &str = "name";

/// How often a tenant is woken whose policy cannot be read, milliseconds.
const LOCKED_MS: i64 = 600_000;

/// What is said to an ask.
#[derive(Debug)]
pub enum Answer {
    /// At once.
    Now(Reply),
    /// Later, through [`TenantState::next_ready`].
    Wait(Ticket),
}

/// The state of one tenant, or, under the name `*`, of the object that lists the tenants.
pub struct TenantState {
    pub(super) name: String,
    pub(super) policy: Option<Policy>,
    pub(super) keys: BTreeMap<String, KeyRow>,
    pub(super) connections: BTreeMap<String, ConnectionState>,
    pub(super) ready: VecDeque<(Ticket, Reply)>,
    pub(super) loans: VecDeque<PoolRequest>,
    pub(super) pool: Option<Pool>,
    pub(super) jobs: Jobs,
    pub(super) outbox: Outbox,
    pub(super) removed: BTreeMap<String, Retained>,
    /// Why the stored policy cannot be read: then nothing is done but to replace or to remove it.
    pub(super) locked: Option<String>,
    pub(super) reseal: Option<Reseal>,
    pub(super) next_ticket: u64,
    next_alarm: Option<i64>,
}

impl TenantState {
    /// Opens the state from what is stored. An object that its alarm has woken does not know its name: with an empty one the state
    /// has the name that its tenant was made under.
    ///
    /// # Errors
    /// If storage refuses, or holds what this build cannot read: then nothing is admitted.
    pub fn open(name: &str, host: &mut Host<'_>) -> Result<Self, StoreError> {
        let kept = if name.is_empty() { host.store.load(Table::Policy, NAME)? } else { None };
        let kept = kept.map(|kept| String::from_utf8_lossy(&kept).into_owned());
        let name = kept.as_deref().unwrap_or(name);
        let (mut policy, mut locked) = (None, None);
        if let Some(stored) = host.store.load(Table::Policy, "")? {
            let text = String::from_utf8_lossy(&stored);
            let settings = host.settings;
            match Policy::from_stored(&text, name, &settings.master, settings.allow_loopback) {
                Ok(read) => {
                    reseal_policy(&read, &text, name, host)?;
                    policy = Some(read);
                }
                Err(fault) => locked = Some(fault.to_string()),
            }
        }
        let mut tenant = Self {
            name: name.to_owned(),
            keys: keys::load(host)?,
            connections: BTreeMap::new(),
            policy: None,
            ready: VecDeque::new(),
            loans: VecDeque::new(),
            pool: None,
            jobs: Jobs::new(host.now),
            outbox: Outbox::default(),
            removed: BTreeMap::new(),
            locked,
            reseal: None,
            next_ticket: 0,
            next_alarm: None,
        };
        if tenant.locked.is_some() {
            tenant.look_again_later(host)?;
            return Ok(tenant);
        }
        if let Some(policy) = policy {
            for key in policy.connections.keys() {
                if let Some(connection) = ConnectionState::open((name, key), &policy, host)? {
                    tenant.connections.insert(key.clone(), connection);
                }
            }
            tenant.policy = Some(policy);
            tenant.load_removed(host)?;
            tenant.take_back_all(host)?;
            tenant.load_callbacks(host)?;
            tenant.load_jobs(host)?;
            tenant.begin_reseal(host)?;
        }
        tenant.plan_alarm(host)?;
        Ok(tenant)
    }

    /// Its tenant's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Answers an ask.
    ///
    /// # Errors
    /// If storage refuses.
    pub fn handle(&mut self, ask: Ask, host: &mut Host<'_>) -> Result<Answer, StoreError> {
        self.heed_clock(host.now);
        if let Some(why) = &self.locked
            && let Some(reply) = while_locked(why, &ask)
        {
            return Ok(Answer::Now(reply));
        }
        let reply = match ask {
            Ask::Admit(admit) => return self.admit(Box::new(admit), host),
            Ask::Describe(admit) => match authorize::describe(self, &admit, host.now) {
                Ok(connection) => Reply::Route(connection.route()),
                Err(refusal) => refused(refusal),
            },
            Ask::Settle(report) => {
                self.settle(&[report], host)?;
                Reply::Done
            }
            Ask::SettleBatch(reports) => {
                self.settle(&reports, host)?;
                let connection = reports.first().map(|report| report.connection.as_str());
                return Ok(self.once_stored(connection.unwrap_or_default()));
            }
            Ask::SubmitJob(submission) => return self.submit_job(*submission, host),
            Ask::RunReport(report) => {
                let settle = report.settle.clone();
                self.run_reported(*report, host)?;
                self.settle(std::slice::from_ref(&settle), host)?;
                self.commit(&settle.connection, host)?;
                return Ok(self.once_stored(&settle.connection));
            }
            Ask::Jobs(ask) => {
                let read_only = ask.what.is_read_only();
                let reply = self.handle_jobs(*ask, host)?;
                if !read_only {
                    self.check_all_alerts(host)?;
                }
                reply
            }
            Ask::DeliveryReport(report) => {
                self.delivered(report, host)?;
                Reply::Done
            }
            Ask::TokenReport(report) => {
                let connection = report.connection.clone();
                self.with_connection(&connection, host, |connection, host| connection.fetched(report, host))?;
                Reply::Done
            }
            Ask::LoanRequest(ask) => self.lend(&ask, host)?,
            Ask::Gone(_) => Reply::Done,
            Ask::Status(claims) => match authorize::may_look(self, &claims, host.now) {
                Ok(()) => Reply::Document { status: 200, body: status::document(self, host), warnings: Vec::new() },
                Err(refusal) => refused(refusal),
            },
            Ask::Figures(claims, figures) => stats::told(self, &claims, figures, host)?,
            Ask::Admin(admin) => {
                let reply = admin::administer(self, admin, host)?;
                self.check_all_alerts(host)?;
                reply
            }
            Ask::Directory(directory) => list(directory, host)?,
            Ask::Readable => Reply::Done,
            Ask::Operate(ask) => self.operate(*ask, host)?,
        };
        Ok(Answer::Now(reply))
    }

    fn admit(&mut self, admit: Box<Admit>, host: &mut Host<'_>) -> Result<Answer, StoreError> {
        if let Err(refusal) = authorize::check(self, &admit, host.now).and_then(|connection| connection.fits(&admit)) {
            return Ok(Answer::Now(refused(refusal)));
        }
        self.next_ticket = self.next_ticket.wrapping_add(1);
        self.admit_call(admit, Ticket(self.next_ticket), 0, host)
    }

    /// Takes reports on permits.
    fn settle(&mut self, reports: &[Settle], host: &mut Host<'_>) -> Result<(), StoreError> {
        // Those of one connection beside each other are one event.
        for reports in reports.chunk_by(|one, next| one.connection == next.connection) {
            let Some(name) = reports.first().map(|report| report.connection.as_str()) else { continue };
            if let Some(connection) = self.connections.get_mut(name) {
                reports.iter().for_each(|report| connection.settle(report, host));
                self.commit(name, host)?;
            }
        }
        Ok(())
    }

    /// Done, once all that has happened on a connection is stored. That is a second off at most: then the connection's row follows, or
    /// its next call's does. Should this life end before, whoever waits reports to the next one.
    fn once_stored(&mut self, name: &str) -> Answer {
        match self.connections.get_mut(name).filter(|connection| !connection.limiter.is_stored()) {
            Some(connection) => {
                self.next_ticket = self.next_ticket.saturating_add(1);
                connection.limiter.await_snapshot();
                connection.unstored.push(self.next_ticket);
                Answer::Wait(Ticket(self.next_ticket))
            }
            None => Answer::Now(Reply::Done),
        }
    }

    /// Whoever waits until something of a connection is stored: it is stored with what follows.
    pub(super) fn tell_stored(&mut self, connection: &mut ConnectionState) {
        let reported = std::mem::take(&mut connection.unstored);
        self.ready.extend(reported.into_iter().map(|ticket| (Ticket(ticket), Reply::Done)));
    }

    /// Puts a call that has passed the gate to its connection.
    pub(super) fn admit_call(
        &mut self,
        admit: Box<Admit>,
        ticket: Ticket,
        waited: u64,
        host: &mut Host<'_>,
    ) -> Result<Answer, StoreError> {
        let name = admit.connection.clone();
        let Some(connection) = self.connections.get_mut(&name) else {
            return Ok(Answer::Now(refused(authorize::unknown(&name))));
        };
        let app = admit.claims.app.as_deref().unwrap_or_default();
        let app = self.policy.as_ref().and_then(|policy| policy.apps.get(app));
        let asked = connection.ask(admit, ticket.0, waited, app.map_or(1, |app| app.weight), host);
        while let Some((displaced, reply)) = connection.next_displaced(host.now) {
            self.ready.push_back((Ticket(displaced), reply));
        }
        self.commit(&name, host)?;
        Ok(match asked {
            AdmitResult::Now(reply) => Answer::Now(reply),
            AdmitResult::Waiting => Answer::Wait(ticket),
        })
    }

    /// The caller of a waiting call has gone.
    ///
    /// # Errors
    /// If storage refuses.
    pub fn cancel(&mut self, ticket: Ticket, host: &mut Host<'_>) -> Result<(), StoreError> {
        if self.stops_waiting_for_job(ticket)
            || self.connections.values_mut().any(|connection| connection.stops_waiting_for_token(ticket.0))
        {
            return Ok(());
        }
        let stopped = self
            .connections
            .values_mut()
            .find_map(|connection| connection.stops_waiting(ticket.0, host).then(|| connection.name.clone()));
        match stopped {
            Some(connection) => self.commit(&connection, host),
            None => Ok(()),
        }
    }

    /// The time of [`Self::next_wakeup`] or [`Self::next_alarm`] has come.
    ///
    /// # Errors
    /// If storage refuses.
    pub fn wake(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        if self.locked.is_some() {
            return self.look_again_later(host);
        }
        self.go_on_sealing(host)?;
        let due = |connection: &mut ConnectionState| connection.next_wakeup().is_some_and(|at| at <= host.now);
        let names: Vec<String> = self
            .connections
            .iter_mut()
            .filter_map(|(name, connection)| due(connection).then(|| name.clone()))
            .collect();
        for connection in names {
            self.with_connection(&connection, host, |connection, host| {
                connection.limiter.wake(host.time());
                connection.save_refusals(host.now);
                Ok(connection.wake_for_token(host))
            })?;
        }
        self.heed_clock(host.now);
        self.wake_jobs(host)?;
        self.wake_callbacks(host)?;
        self.check_due_alerts(host)?;
        if self.next_alarm.is_some_and(|at| at <= host.now) {
            self.sweep(host)?;
            self.wake_removed(host)?;
            self.plan_alarm(host)?;
        }
        Ok(())
    }

    /// The next waiting call whose end is known.
    pub fn next_ready(&mut self) -> Option<(Ticket, Reply)> {
        self.ready.pop_front()
    }

    /// Whether [`Self::next_task`] has something.
    pub fn has_tasks(&self) -> bool {
        self.jobs.has_tasks() || self.outbox.next().is_some()
    }

    /// When to call [`Self::wake`], while the object is in memory: Unix milliseconds.
    pub fn next_wakeup(&mut self) -> Option<i64> {
        let burial = self.next_burial();
        let sealing = self.reseal.as_ref().map(|reseal| reseal.at);
        self.next_event().into_iter().chain(self.jobs.index.lanes.next_rise()).chain(burial).chain(sealing).min()
    }

    /// When something is next to happen, Unix ms, but for jobs whose urgency rises.
    fn next_event(&mut self) -> Option<i64> {
        self.connections
            .values_mut()
            .filter_map(ConnectionState::next_wakeup)
            .chain(self.jobs.next_wakeup())
            .chain(self.outbox.next_due())
            .min()
    }

    /// When to call [`Self::wake`], even if the object has left memory: Unix milliseconds.
    pub fn next_alarm(&mut self) -> Option<i64> {
        let due = self.jobs.index.next_due();
        // Jobs that have nothing to wait for are on their way; should this life end now, the next takes them up soon.
        let live = if self.jobs.index.live() > 0 { self.next_event().or(Some(0)) } else { None };
        // The same of messages.
        let callbacks = if self.outbox.is_ready() { Some(0) } else { self.outbox.next_due() };
        let burial = self.next_burial();
        let alerts = self.connections.values().filter_map(|connection| connection.alert_schedule.alarm_at);
        // Should this life end before a pool has heard of an edit, the next one tells it.
        let declares = self.connections.values().filter_map(|connection| connection.limiter.next_declaration());
        alerts.chain(declares).chain(self.next_alarm).chain(burial).chain(due).chain(live).chain(callbacks).min()
    }

    /// An event on a connection, and what it says to some that waited.
    pub(super) fn with_connection(
        &mut self,
        name: &str,
        host: &mut Host<'_>,
        event: impl FnOnce(&mut ConnectionState, &mut Host<'_>) -> Result<Vec<(u64, Reply)>, StoreError>,
    ) -> Result<(), StoreError> {
        let Some(connection) = self.connections.get_mut(name) else { return Ok(()) };
        for (tenant, reply) in event(connection, host)? {
            self.ready.push_back((Ticket(tenant), reply));
        }
        self.commit(name, host)
    }

    /// What every event on a connection ends with: store first, then let the waiting ones know.
    pub(super) fn commit(&mut self, name: &str, host: &mut Host<'_>) -> Result<(), StoreError> {
        self.sync_jobs(name, host);
        self.check_alerts(name, host)?;
        let Some(connection) = self.connections.get_mut(name) else { return Ok(()) };
        connection.store(host)?;
        if connection.limiter.is_stored() {
            let stored = std::mem::take(&mut connection.unstored);
            self.ready.extend(stored.into_iter().map(|ticket| (Ticket(ticket), Reply::Done)));
        }
        while let Some((tenant, reply)) = connection.next_ready(host.now) {
            self.ready.push_back((Ticket(tenant), reply));
        }
        self.collect_loans(name, host);
        Ok(())
    }

    /// While its policy cannot be read, a tenant that has jobs or messages to go on with is woken now and then: it may be readable again.
    fn look_again_later(&mut self, host: &Host<'_>) -> Result<(), StoreError> {
        let has_work = |table| Ok(!host.store.some(table, "", 1)?.is_empty());
        let has_work = has_work(Table::Job)? || has_work(Table::Webhook)?;
        self.next_alarm = has_work.then(|| host.now.saturating_add(LOCKED_MS));
        Ok(())
    }

    pub(super) fn plan_alarm(&mut self, host: &Host<'_>) -> Result<(), StoreError> {
        let stones = host.store.all(Table::Tombstone)?;
        self.next_alarm = stones.iter().map(|(_, stone)| kept_until(stone)).chain(self.removed_until()).min();
        Ok(())
    }

    /// The `/status.json` document. The key must have been checked.
    pub fn status(&mut self, host: &Host<'_>) -> String {
        status::document(self, host)
    }

    /// Which of these keys may see the status, and the status; empty if none may.
    pub fn visible_to(&mut self, keys: &[Claims], host: &Host<'_>) -> (Vec<bool>, String) {
        let may: Vec<bool> = keys.iter().map(|claims| authorize::may_look(self, claims, host.now).is_ok()).collect();
        let document = if may.contains(&true) { status::document(self, host) } else { String::new() };
        (may, document)
    }
}

/// A refusal that is not in a vendor's words.
pub(super) const fn refused(refusal: Refusal) -> Reply {
    Reply::Refused(No { refusal, dialect: Dialect::Generic, rate_limit: None })
}

/// Most tenants of one installation: as many names as the list can be read in one go.
const MOST_TENANTS: usize = 100_000;

/// What is answered while the stored policy cannot be read; none to what an administrator may do all the same. Reports are to come again:
/// a later life may take them.
fn while_locked(why: &str, ask: &Ask) -> Option<Reply> {
    match ask {
        Ask::Admin(Admin::PutPolicy(_) | Admin::Delete) | Ask::Directory(_) | Ask::LoanRequest(_) | Ask::Gone(_) => {
            None
        }
        Ask::Settle(_) | Ask::SettleBatch(_) | Ask::RunReport(_) | Ask::TokenReport(_) | Ask::DeliveryReport(_) => {
            Some(Reply::Retry)
        }
        _ => Some(refused(Refusal::new(Reason::Setup, why))),
    }
}

fn list(directory: Directory, host: &mut Host<'_>) -> Result<Reply, StoreError> {
    match directory {
        Directory::Add(name) => {
            if host.store.load(Table::Tenant, &name)?.is_none() {
                if host.store.all(Table::Tenant)?.len() >= MOST_TENANTS {
                    let detail = format!("this installation has {MOST_TENANTS} tenants, the most it takes: remove one");
                    return Ok(refused(Refusal::new(Reason::Request, detail)));
                }
                host.store.save(Table::Tenant, &name, &[])?;
            }
            Ok(Reply::Done)
        }
        Directory::Remove(name) => {
            host.store.remove(Table::Tenant, &name)?;
            Ok(Reply::Done)
        }
        Directory::Has(name) => Ok(match host.store.load(Table::Tenant, &name)? {
            Some(_) => Reply::Done,
            None => refused(Refusal::new(Reason::NotFound, format!("there is no tenant {name}"))),
        }),
        Directory::List => {
            let names: Vec<String> = host.store.all(Table::Tenant)?.into_iter().map(|(name, _)| name).collect();
            let body = serde_json::json!({"items": names}).to_string();
            Ok(Reply::Document { status: 200, body, warnings: Vec::new() })
        }
    }
}
