//! The callbacks of a tenant. Each message is stored in the event that it reports, goes to a Worker
//! as a task, and is forgotten when it is delivered. One that cannot be delivered is a dead letter.
//!
//! Nothing is stored when a message leaves: an epoch that ends before it learns of it sends it
//! again, under the same id.

mod api;
mod deliver;

pub(super) use api::{CallbackCounts, live_callback};

use super::store::{Host, StoreError, Table};
use crate::backlog_share::app_number;
use crate::jobs::record::{from_row, to_row};
use crate::jobs::{Answer, Record, Request, digest, id_text as job_text, job_id};
use crate::policy::Policy;
use crate::sealed::NONCE_BYTES;
use crate::usage::Change;
use crate::webhooks::book::{DEAD_MS, Entry, Outbox, Stage};
use crate::webhooks::record::{seal_body, seal_to};
use crate::webhooks::{Message, id_text, outcome, parse_id, receiver};

/// How many rows are read at once.
const PAGE: u32 = 500;

/// The callbacks of a tenant.
pub(super) struct Callbacks {
    /// The tenant's name.
    tenant: String,
    outbox: Outbox,
}

impl Callbacks {
    /// A tenant's callbacks, of which there are none yet.
    pub(super) fn of(tenant: &str) -> Self {
        Self { tenant: tenant.to_owned(), outbox: Outbox::default() }
    }

    /// Loads what is stored of all messages of a tenant.
    pub(super) fn load(tenant: &str, host: &mut Host<'_>) -> Result<Self, StoreError> {
        let mut callbacks = Self::of(tenant);
        let mut after = String::new();
        loop {
            let rows = host.store.some(Table::Webhook, &after, PAGE)?;
            let Some((last, _)) = rows.last() else { return Ok(callbacks) };
            after.clone_from(last);
            for (id, row) in rows {
                // Rows of another release stay as they are.
                if let (Some(id), Some(message)) = (parse_id(&id), from_row::<Message>(&row)) {
                    callbacks.place(id, &message, host.now);
                }
            }
        }
    }

    /// Removes all messages: the tenant is removed.
    pub(super) fn remove_all(tenant: &str, host: &mut Host<'_>) -> Result<Self, StoreError> {
        host.store.clear(Table::WebhookBody)?;
        host.store.clear(Table::Webhook)?;
        Ok(Self::of(tenant))
    }

    /// Lets messages wait as long as they would have: the clock was set back by so many
    /// milliseconds.
    pub(super) fn set_back(&mut self, ms: i64) {
        self.outbox.set_back(ms);
    }

    /// Whether a message may leave.
    pub(super) fn has_next(&self) -> bool {
        self.outbox.next().is_some()
    }

    /// When something is next due while the object is in memory, in Unix milliseconds.
    pub(super) fn next_wakeup(&self) -> Option<i64> {
        self.outbox.next_due()
    }

    /// When something is next due even if the object has left memory, in Unix milliseconds: at
    /// once, if a message is ready.
    pub(super) fn next_alarm(&self) -> Option<i64> {
        if self.outbox.is_ready() { Some(0) } else { self.outbox.next_due() }
    }

    /// Queues the message about a job's end, if the job has a callback.
    pub(super) fn queue_outcome(
        &mut self,
        id: u128,
        record: &Record,
        answer: Option<&Answer>,
        host: &mut Host<'_>,
    ) -> Result<(), StoreError> {
        if !record.callback {
            return Ok(());
        }
        let job = job_text(id);
        let request = host.store.load(Table::JobRequest, &job)?;
        let sealer = host.sealer(&self.tenant);
        // Sealed under a master key that is listed no more: nobody knows where to.
        let Some(url) = request.and_then(|row| Request::callback_of(&row, &sealer, &job)) else { return Ok(()) };
        let path = record.path.open(&sealer, &job);
        let (kind, body) = outcome(&self.tenant, &job, record, &path, answer, host.now);
        let message = Message {
            job: Some(job.clone()),
            app: record.app.clone(),
            connection: record.connection.clone(),
            ..message(kind, host.now)
        };
        // Told again of the same end, which storage may have cut short, it is the same message.
        let error = record.error.as_deref().unwrap_or_default();
        let (run, since) = (record.run.to_be_bytes(), record.since.to_be_bytes());
        let end = digest(&[job.as_bytes(), &run, &since, record.state.as_str().as_bytes(), error.as_bytes()]);
        let at = record.attempts.last().map_or(record.since, |attempt| attempt.at);
        self.queue(job_id(at, end), message, Some(&url), &body, host)
    }

    /// Queues the message about an alert, if the policy says where to.
    pub(super) fn queue_alert(
        &mut self,
        policy: Option<&Policy>,
        connection: &str,
        change: Change,
        host: &mut Host<'_>,
    ) -> Result<(), StoreError> {
        if policy.is_none_or(|policy| policy.alerts.callback.is_none()) {
            return Ok(());
        }
        let body = change.body(&self.tenant, connection, host.now);
        let kind = if change.raised { "alert.raised" } else { "alert.cleared" };
        let message = Message { connection: connection.to_owned(), ..message(kind.to_owned(), host.now) };
        let mut chance = [0; 16];
        (host.random)(&mut chance);
        self.queue(job_id(host.now, u128::from_be_bytes(chance)), message, None, &body, host)
    }

    /// Stores a message with its payload, sealed. Without `url` it goes where the policy sends
    /// alerts.
    fn queue(
        &mut self,
        id: u128,
        mut message: Message,
        url: Option<&str>,
        body: &str,
        host: &mut Host<'_>,
    ) -> Result<(), StoreError> {
        let mut nonce = [0; NONCE_BYTES];
        (host.random)(&mut nonce);
        let text = id_text(id);
        if let Some(url) = url {
            // An address that was admitted is short enough.
            let Some(to) = seal_to(&host.settings.master, nonce, &self.tenant, &text, url) else { return Ok(()) };
            message.to = to;
            message.receiver = receiver(url);
        }
        if !self.outbox.has_room(app_number(&message.app)) {
            message.error = Some("queue-full".to_owned());
        }
        let Some(body) = seal_body(&host.sealer(&self.tenant), &text, body) else { return Ok(()) };
        host.store.save(Table::WebhookBody, &text, &body)?;
        self.store(id, message, host)
    }

    /// Stores a message and notes where it is.
    fn store(&mut self, id: u128, mut message: Message, host: &mut Host<'_>) -> Result<(), StoreError> {
        message.updated = host.now;
        host.store.save(Table::Webhook, &id_text(id), &to_row(&message))?;
        self.place(id, &message, host.now);
        for old in self.outbox.too_many_dead() {
            self.forget(old, host)?;
        }
        Ok(())
    }

    /// Notes where a message is.
    fn place(&mut self, id: u128, message: &Message, now: i64) {
        // As long from now as it was from then, if the clock has been set back since.
        let due = message.due.saturating_sub(message.updated.saturating_sub(now).max(0));
        let (stage, at) = match message.error {
            Some(_) => (Stage::Dead, message.updated.saturating_add(DEAD_MS)),
            None if due > now => (Stage::Later, due),
            None => (Stage::Ready, due),
        };
        let (app, connection) = (app_number(&message.app), app_number(&message.connection));
        self.outbox.put(Entry { id, app, connection, receiver: message.receiver, stage, at });
    }

    /// Removes a message with all that is stored of it.
    pub(in crate::tenant) fn forget(&mut self, id: u128, host: &mut Host<'_>) -> Result<(), StoreError> {
        let text = id_text(id);
        host.store.remove(Table::WebhookBody, &text)?;
        host.store.remove(Table::Webhook, &text)?;
        self.outbox.remove(id);
        Ok(())
    }

    /// Makes a message a dead letter.
    fn bury(&mut self, id: u128, message: Message, why: &str, host: &mut Host<'_>) -> Result<(), StoreError> {
        self.store(id, Message { error: Some(why.to_owned()), ..message }, host)
    }
}

/// A message of a kind, about nothing yet.
fn message(kind: String, now: i64) -> Message {
    Message {
        kind,
        job: None,
        app: String::new(),
        connection: String::new(),
        to: String::new(),
        receiver: 0,
        created: now,
        updated: now,
        due: now,
        tries: 0,
        attempts: Vec::new(),
        error: None,
    }
}

/// Loads a message.
fn load(host: &Host<'_>, id: u128) -> Result<Option<Message>, StoreError> {
    Ok(host.store.load(Table::Webhook, &id_text(id))?.and_then(|row| from_row(&row)))
}
