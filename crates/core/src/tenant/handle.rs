//! The events of a tenant: its state is opened, handles what Workers ask, and is woken.

use super::connection::ConnectionState;
use super::jobs::Jobs;
use super::keys::Keys;
use super::pools::Pools;
use super::replies::{Answer, Replies, refused};
use super::reseal::{Reseal, reseal_policy};
use super::retained::RemovedConnections;
use super::state::{NAME, TenantState};
use super::store::{Host, StoreError, Table};
use super::webhooks::Callbacks;
use super::{admin, authorize, directory, stats, status};
use crate::keys::Claims;
use crate::policy::Policy;
use crate::protocol::{Admin, Admit, Ask, Reply, RunReport};
use crate::refusal::{Reason, Refusal};
use std::collections::BTreeMap;

impl TenantState {
    /// Opens the state from what is stored. An object that its alarm has woken does not know its
    /// name: with an empty one the state has the name that its tenant was made under.
    ///
    /// # Errors
    /// Fails if storage refuses, or holds what this build cannot read: then nothing is admitted.
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
            policy: None,
            locked,
            keys: Keys::load(host)?,
            connections: BTreeMap::new(),
            replies: Replies::default(),
            pools: Pools::default(),
            jobs: Jobs::new(host.now),
            callbacks: Callbacks::of(name),
            removed: RemovedConnections::default(),
            reseal: None,
            next_end: None,
        };
        if tenant.locked.is_some() {
            tenant.plan_unlock(host)?;
            return Ok(tenant);
        }
        if let Some(policy) = policy {
            tenant.load(policy, host)?;
        }
        tenant.plan_alarm(host)?;
        Ok(tenant)
    }

    /// Loads what is stored of a tenant with this policy.
    fn load(&mut self, policy: Policy, host: &mut Host<'_>) -> Result<(), StoreError> {
        for name in policy.connections.keys() {
            if let Some(connection) = ConnectionState::open((&self.name, name), &policy, host)? {
                self.connections.insert(name.clone(), connection);
            }
        }
        self.policy = Some(policy);
        self.removed = RemovedConnections::load(host)?;
        self.take_back_all(host)?;
        self.callbacks = Callbacks::load(&self.name, host)?;
        self.load_jobs(host)?;
        self.reseal = Reseal::begin(host)?;
        self.go_on_sealing(host)
    }

    /// Handles a message from a Worker.
    ///
    /// # Errors
    /// Fails if storage refuses.
    pub fn handle(&mut self, ask: Ask, host: &mut Host<'_>) -> Result<Answer, StoreError> {
        self.follow_clock(host.now);
        if let Some(why) = &self.locked
            && let Some(reply) = while_locked(why, &ask)
        {
            return Ok(Answer::Now(reply));
        }
        let reply = match ask {
            Ask::Admit(admit) => return self.admit(Box::new(admit), host),
            Ask::Describe(admit) => match authorize::describe(self, &admit, host.now) {
                Ok(connection) => Reply::Route(Box::new(connection.rules().route().clone())),
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
            Ask::RunReport(report) => return self.end_run(*report, host),
            Ask::Jobs(ask) => {
                let read_only = ask.what.is_read_only();
                let reply = self.handle_jobs(*ask, host)?;
                if !read_only {
                    self.check_all_alerts(host)?;
                }
                reply
            }
            Ask::DeliveryReport(report) => {
                self.callbacks.delivered(report, host)?;
                Reply::Done
            }
            Ask::TokenReport(report) => {
                let name = report.connection.clone();
                self.with_connection(&name, host, |connection, host| connection.token_reported(report, host))?;
                Reply::Done
            }
            Ask::LoanRequest(request) => self.pools.lend(&self.name, &request, host)?,
            Ask::Gone(_) => Reply::Done,
            Ask::Status(claims) => match authorize::may_look(self, &claims, host.now) {
                Ok(()) => Reply::Document { status: 200, body: status::document(self, host), warnings: Vec::new() },
                Err(refusal) => refused(refusal),
            },
            Ask::Figures(claims, figures) => stats::report(self, &claims, figures, host)?,
            Ask::Admin(admin) => {
                let reply = admin::administer(self, admin, host)?;
                self.check_all_alerts(host)?;
                reply
            }
            Ask::Directory(directory) => directory::handle(directory, host)?,
            Ask::Readable => Reply::Done,
            Ask::Operate(ask) => self.operate(*ask, host)?,
        };
        Ok(Answer::Now(reply))
    }

    fn admit(&mut self, admit: Box<Admit>, host: &mut Host<'_>) -> Result<Answer, StoreError> {
        if let Err(refusal) = authorize::admissible(self, &admit, host.now) {
            return Ok(Answer::Now(refused(refusal)));
        }
        let ticket = self.replies.new_ticket();
        self.admit_call(admit, ticket, 0, host)
    }

    /// Takes the report of a job's run, and settles its permit.
    fn end_run(&mut self, report: RunReport, host: &mut Host<'_>) -> Result<Answer, StoreError> {
        let settle = report.settle.clone();
        self.run_reported(report, host)?;
        self.settle(std::slice::from_ref(&settle), host)?;
        self.commit(&settle.connection, host)?;
        Ok(self.once_stored(&settle.connection))
    }

    /// Does what is due at the time of [`Self::next_wakeup`] or [`Self::next_alarm`].
    ///
    /// # Errors
    /// Fails if storage refuses.
    pub fn wake(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        if self.locked.is_some() {
            return self.plan_unlock(host);
        }
        self.go_on_sealing(host)?;
        let due = |connection: &mut ConnectionState| connection.next_wakeup().is_some_and(|at| at <= host.now);
        let names: Vec<String> = self
            .connections
            .iter_mut()
            .filter_map(|(name, connection)| due(connection).then(|| name.clone()))
            .collect();
        for name in names {
            self.with_connection(&name, host, |connection, host| Ok(connection.wake(host)))?;
        }
        self.follow_clock(host.now);
        self.wake_jobs(host)?;
        self.callbacks.wake(host)?;
        self.check_due_alerts(host)?;
        if self.next_end.is_some_and(|at| at <= host.now) {
            self.sweep(host)?;
            self.removed.forget_old(host)?;
            self.plan_alarm(host)?;
        }
        Ok(())
    }

    /// Lets jobs and callbacks wait as long as they had to when the clock is set back.
    fn follow_clock(&mut self, now: i64) {
        let back = self.jobs.follow_clock(now);
        if back > 0 {
            self.callbacks.set_back(back);
        }
    }

    /// Seals a few more rows anew, if that is due.
    fn go_on_sealing(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        // It stays as it was where storage refuses.
        if let Some(reseal) = self.reseal.clone() {
            self.reseal = reseal.go_on(&self.name, host)?;
        }
        Ok(())
    }

    /// The `/status.json` document. The key must have been checked.
    pub fn status(&mut self, host: &Host<'_>) -> String {
        status::document(self, host)
    }

    /// Returns which of these keys may see the status, and the status; it is empty if none may.
    pub fn visible_to(&mut self, keys: &[Claims], host: &Host<'_>) -> (Vec<bool>, String) {
        let may: Vec<bool> = keys.iter().map(|claims| authorize::may_look(self, claims, host.now).is_ok()).collect();
        let document = if may.contains(&true) { status::document(self, host) } else { String::new() };
        (may, document)
    }
}

/// The reply to an ask while the stored policy cannot be read; none to what an administrator may do
/// all the same. Reports are to come again: a later epoch may take them.
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
