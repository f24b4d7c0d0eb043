//! The callbacks of a tenant. Each message is stored in the event that it tells of, goes to a Worker as a task, and is
//! forgotten when it is delivered. One that cannot be delivered is a dead letter.
//!
//! Nothing is stored when a message leaves: a life that ends before it hears of it sends it again, under the same id.

mod api;

pub(super) use api::{CallbackCounts, live_callback};

use super::state::TenantState;
use super::store::{Host, StoreError, Table};
use super::task::{Delivery, Task};
use crate::backlog_share::app_number;
use crate::jobs::record::{from_row, to_row};
use crate::jobs::{Answer, Record, Request, digest, id_text as job_text, job_id};
use crate::protocol::{DeliveryOutcome, DeliveryReport};
use crate::sealed::NONCE_BYTES;
use crate::usage::Change;
use crate::webhooks::book::{DEAD_MS, Entry, Outbox, Stage};
use crate::webhooks::record::{open_body, open_to, seal_body, seal_to};
use crate::webhooks::{Message, Next, TIMEOUT_MS, id_text, next, outcome, parse_id, receiver, sign};

/// A message that was not taken by a Worker is handed out again after this, milliseconds.
const AGAIN_MS: i64 = 100;

/// A delivery of which nothing was heard is given up so long after its time-out, milliseconds: its Worker reports several times.
const REPORT_MS: i64 = 10_000;

/// How long a Worker has it, milliseconds.
const SENDING_MS: i64 = TIMEOUT_MS as i64 + REPORT_MS;

/// Messages that one event moves on, when many are due at once.
const MOST_AT_A_TIME: usize = 500;

/// Rows read at once.
const PAGE: u32 = 500;

impl TenantState {
    /// Reads what is stored of all messages.
    pub(super) fn load_callbacks(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        self.outbox = Outbox::default();
        let mut after = String::new();
        loop {
            let rows = host.store.some(Table::Webhook, &after, PAGE)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after.clone_from(last);
            for (id, row) in rows {
                // Another release's are left alone.
                if let (Some(id), Some(message)) = (parse_id(&id), from_row::<Message>(&row)) {
                    self.place_callback(id, &message, host.now);
                }
            }
        }
    }

    /// The tenant is removed.
    pub(super) fn remove_callbacks(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        self.outbox = Outbox::default();
        host.store.clear(Table::WebhookBody)?;
        host.store.clear(Table::Webhook)
    }

    /// A job has ended: whoever is to be called back about it will be.
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
        let sealer = self.sealer(host);
        // Sealed under a master key that is listed no more: nobody knows where to.
        let Some(url) = request.and_then(|row| Request::callback_of(&row, &sealer, &job)) else { return Ok(()) };
        let path = record.path.open(&sealer, &job);
        let (kind, body) = outcome(&self.name, &job, record, &path, answer, host.now);
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
        self.queue_callback(job_id(at, end), message, Some(&url), &body, host)
    }

    /// An alert was raised or cleared: it is said where the policy says.
    pub(super) fn queue_alert(
        &mut self,
        connection: &str,
        change: Change,
        host: &mut Host<'_>,
    ) -> Result<(), StoreError> {
        if self.policy.as_ref().is_none_or(|policy| policy.alerts.callback.is_none()) {
            return Ok(());
        }
        let body = change.body(&self.name, connection, host.now);
        let kind = if change.raised { "alert.raised" } else { "alert.cleared" };
        let message = Message { connection: connection.to_owned(), ..message(kind.to_owned(), host.now) };
        let mut chance = [0; 16];
        (host.random)(&mut chance);
        self.queue_callback(job_id(host.now, u128::from_be_bytes(chance)), message, None, &body, host)
    }

    fn queue_callback(
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
            let Some(to) = seal_to(&host.settings.master, nonce, &self.name, &text, url) else { return Ok(()) };
            message.to = to;
            message.receiver = receiver(url);
        }
        if !self.outbox.has_room(app_number(&message.app)) {
            message.error = Some("queue-full".to_owned());
        }
        let Some(body) = seal_body(&self.sealer(host), &text, body) else { return Ok(()) };
        host.store.save(Table::WebhookBody, &text, &body)?;
        self.store_callback(id, message, host)
    }

    /// Stores a message and takes note of where it is.
    fn store_callback(&mut self, id: u128, mut message: Message, host: &mut Host<'_>) -> Result<(), StoreError> {
        message.updated = host.now;
        host.store.save(Table::Webhook, &id_text(id), &to_row(&message))?;
        self.place_callback(id, &message, host.now);
        for old in self.outbox.too_many_dead() {
            self.forget_callback(old, host)?;
        }
        Ok(())
    }

    fn place_callback(&mut self, id: u128, message: &Message, now: i64) {
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

    pub(super) fn forget_callback(&mut self, id: u128, host: &mut Host<'_>) -> Result<(), StoreError> {
        let text = id_text(id);
        host.store.remove(Table::WebhookBody, &text)?;
        host.store.remove(Table::Webhook, &text)?;
        self.outbox.remove(id);
        Ok(())
    }

    /// A message will not be sent again.
    fn bury_callback(&mut self, id: u128, message: Message, why: &str, host: &mut Host<'_>) -> Result<(), StoreError> {
        self.store_callback(id, Message { error: Some(why.to_owned()), ..message }, host)
    }

    /// The next message for a Worker, signed as of now.
    pub(super) fn next_delivery(&mut self, host: &mut Host<'_>) -> Result<Option<Task>, StoreError> {
        // Those that must not go any more are buried here.
        for _ in 0..MOST_AT_A_TIME {
            let Some(id) = self.outbox.next() else { break };
            let text = id_text(id);
            let body = host.store.load(Table::WebhookBody, &text)?;
            let (Some(message), Some(body)) = (load(host, id)?, body) else {
                self.forget_callback(id, host)?;
                continue;
            };
            let body = open_body(&self.sealer(host), &text, &body).ok_or("request");
            let (url, body) = match self.where_to(&message, &text, host).and_then(|url| Ok((url, body?))) {
                Ok(sent) => sent,
                Err(why) => {
                    self.bury_callback(id, message, why, host)?;
                    continue;
                }
            };
            let seconds = host.now.div_euclid(1_000);
            let callbacks = self.policy.as_ref().and_then(|policy| policy.callbacks.as_ref());
            let signature = callbacks.and_then(|callbacks| sign(&callbacks.secret, &text, seconds, &body));
            self.outbox.move_on(id, Stage::Sending, host.now.saturating_add(SENDING_MS));
            let (tenant, attempt) = (self.name.clone(), message.tries.saturating_add(1));
            return Ok(Some(Task::Deliver(Box::new(Delivery {
                tenant,
                id: text,
                attempt,
                url,
                seconds,
                signature,
                body,
            }))));
        }
        Ok(None)
    }

    /// Where a message goes, if the policy still lets it.
    fn where_to(&self, message: &Message, id: &str, host: &Host<'_>) -> Result<String, &'static str> {
        let policy = self.policy.as_ref().ok_or("not-allowed")?;
        if message.to.is_empty() {
            return policy.alerts.callback.clone().ok_or("not-allowed");
        }
        let settings = host.settings;
        let url = open_to(&settings.master, &self.name, id, &message.to).ok_or("request")?;
        let callbacks = policy.callbacks.as_ref();
        match callbacks.is_some_and(|callbacks| callbacks.admit(&url, settings.allow_loopback)) {
            true => Ok(url),
            false => Err("not-allowed"),
        }
    }

    /// A message was surely not taken by a Worker: it is no attempt.
    pub(super) fn delivery_refused(&mut self, delivery: &Delivery, now: i64) {
        if let Some(id) = parse_id(&delivery.id)
            && self.outbox.get(id).is_some_and(|entry| entry.stage == Stage::Sending)
        {
            self.outbox.move_on(id, Stage::Later, now.saturating_add(AGAIN_MS));
        }
    }

    /// Takes a Worker's report. A repeated one, or one of an attempt that is over, changes nothing; but what is delivered is.
    pub(super) fn delivered(&mut self, report: DeliveryReport, host: &mut Host<'_>) -> Result<(), StoreError> {
        let Some(id) = parse_id(&report.id) else { return Ok(()) };
        let Some(entry) = self.outbox.get(id) else { return Ok(()) };
        let Some(message) = load(host, id)? else { return Ok(()) };
        let own = entry.stage == Stage::Sending && report.attempt == message.tries.saturating_add(1);
        if own || next(report.outcome.status().unwrap_or(0), 0, None, 0) == Next::Delivered {
            return self.conclude_callback(id, message, &report, host);
        }
        Ok(())
    }

    fn conclude_callback(
        &mut self,
        id: u128,
        mut message: Message,
        report: &DeliveryReport,
        host: &mut Host<'_>,
    ) -> Result<(), StoreError> {
        let sent = self.outbox.get(id).filter(|entry| entry.stage == Stage::Sending);
        let at = sent.map_or(host.now, |entry| entry.at.saturating_sub(SENDING_MS));
        let status = report.outcome.status().unwrap_or(0);
        message.tried(at, status, Some(report.outcome.error()));
        let mut random = [0; 8];
        (host.random)(&mut random);
        match next(status, message.tries, report.retry_after_ms, u64::from_be_bytes(random)) {
            Next::Delivered => self.forget_callback(id, host),
            Next::After(ms) => {
                message.due = host.now.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX / 4));
                self.store_callback(id, message, host)
            }
            Next::Dead(why) => self.bury_callback(id, message, why, host),
        }
    }

    /// Something may be due.
    pub(super) fn wake_callbacks(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        for _ in 0..MOST_AT_A_TIME {
            let Some(entry) = self.outbox.due(host.now) else { break };
            match entry.stage {
                Stage::Later | Stage::Ready => self.outbox.move_on(entry.id, Stage::Ready, entry.at),
                Stage::Dead => self.forget_callback(entry.id, host)?,
                Stage::Sending => match load(host, entry.id)? {
                    Some(message) => {
                        let report = DeliveryReport {
                            id: String::new(),
                            attempt: 0,
                            outcome: DeliveryOutcome::Unknown,
                            retry_after_ms: None,
                        };
                        self.conclude_callback(entry.id, message, &report, host)?;
                    }
                    None => self.forget_callback(entry.id, host)?,
                },
            }
        }
        Ok(())
    }
}

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

/// What is stored of a message.
fn load(host: &Host<'_>, id: u128) -> Result<Option<Message>, StoreError> {
    Ok(host.store.load(Table::Webhook, &id_text(id))?.and_then(|row| from_row(&row)))
}
