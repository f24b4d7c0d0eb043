//! The delivery of messages: handed to Workers, reported, tried again or given up.

use super::{Callbacks, load};
use crate::policy::Policy;
use crate::protocol::{DeliveryOutcome, DeliveryReport};
use crate::tenant::store::{Host, StoreError, Table};
use crate::tenant::task::{Delivery, Task};
use crate::webhooks::book::Stage;
use crate::webhooks::record::{open_body, open_to};
use crate::webhooks::{Message, Next, TIMEOUT_MS, id_text, next, parse_id, sign};

/// A message that no Worker has taken is handed out again after this time, in milliseconds.
const AGAIN_MS: i64 = 100;

/// A delivery without a report is given up so long after its time-out, in milliseconds: its Worker
/// reports several times.
const REPORT_MS: i64 = 10_000;

/// How long a Worker has a message, in milliseconds.
const SENDING_MS: i64 = TIMEOUT_MS as i64 + REPORT_MS;

/// The most messages that one event moves on, when many are due at once.
const MOST_AT_A_TIME: usize = 500;

impl Callbacks {
    /// The next message for a Worker, signed as of now, if the policy still lets it go.
    pub(in crate::tenant) fn next_delivery(
        &mut self,
        policy: Option<&Policy>,
        host: &mut Host<'_>,
    ) -> Result<Option<Task>, StoreError> {
        // Those that must no longer go are buried here.
        for _ in 0..MOST_AT_A_TIME {
            let Some(id) = self.outbox.next() else { break };
            let text = id_text(id);
            let body = host.store.load(Table::WebhookBody, &text)?;
            let (Some(message), Some(body)) = (load(host, id)?, body) else {
                self.forget(id, host)?;
                continue;
            };
            let body = open_body(&host.sealer(&self.tenant), &text, &body).ok_or("request");
            let (url, body) = match self.receiver_of(policy, &message, &text, host).and_then(|url| Ok((url, body?))) {
                Ok(sent) => sent,
                Err(why) => {
                    self.bury(id, message, why, host)?;
                    continue;
                }
            };
            let seconds = host.now.div_euclid(1_000);
            let callbacks = policy.and_then(|policy| policy.callbacks.as_ref());
            let signature = callbacks.and_then(|callbacks| sign(&callbacks.secret, &text, seconds, &body));
            self.outbox.move_on(id, Stage::Sending, host.now.saturating_add(SENDING_MS));
            let (tenant, attempt) = (self.tenant.clone(), message.tries.saturating_add(1));
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

    /// The address that a message goes to, if the policy still lets it.
    fn receiver_of(
        &self,
        policy: Option<&Policy>,
        message: &Message,
        id: &str,
        host: &Host<'_>,
    ) -> Result<String, &'static str> {
        let policy = policy.ok_or("not-allowed")?;
        if message.to.is_empty() {
            return policy.alerts.callback.clone().ok_or("not-allowed");
        }
        let settings = host.settings;
        let url = open_to(&settings.master, &self.tenant, id, &message.to).ok_or("request")?;
        let callbacks = policy.callbacks.as_ref();
        match callbacks.is_some_and(|callbacks| callbacks.admit(&url, settings.allow_loopback)) {
            true => Ok(url),
            false => Err("not-allowed"),
        }
    }

    /// Takes back a message that surely no Worker has taken: it counts as no attempt.
    pub(in crate::tenant) fn refused(&mut self, delivery: &Delivery, now: i64) {
        if let Some(id) = parse_id(&delivery.id)
            && self.outbox.get(id).is_some_and(|entry| entry.stage == Stage::Sending)
        {
            self.outbox.move_on(id, Stage::Later, now.saturating_add(AGAIN_MS));
        }
    }

    /// Takes a Worker's report. A repeated report, or one of an attempt that is over, changes
    /// nothing, unless it says that the message was delivered.
    pub(in crate::tenant) fn delivered(
        &mut self,
        report: DeliveryReport,
        host: &mut Host<'_>,
    ) -> Result<(), StoreError> {
        let Some(id) = parse_id(&report.id) else { return Ok(()) };
        let Some(entry) = self.outbox.get(id) else { return Ok(()) };
        let Some(message) = load(host, id)? else { return Ok(()) };
        let own = entry.stage == Stage::Sending && report.attempt == message.tries.saturating_add(1);
        if own || next(report.outcome.status().unwrap_or(0), 0, None, 0) == Next::Delivered {
            return self.conclude(id, message, &report, host);
        }
        Ok(())
    }

    fn conclude(
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
            Next::Delivered => self.forget(id, host),
            Next::After(ms) => {
                message.due = host.now.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX / 4));
                self.store(id, message, host)
            }
            Next::Dead(why) => self.bury(id, message, why, host),
        }
    }

    /// Does what is due.
    pub(in crate::tenant) fn wake(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        for _ in 0..MOST_AT_A_TIME {
            let Some(entry) = self.outbox.due(host.now) else { break };
            match entry.stage {
                Stage::Later | Stage::Ready => self.outbox.move_on(entry.id, Stage::Ready, entry.at),
                Stage::Dead => self.forget(entry.id, host)?,
                Stage::Sending => match load(host, entry.id)? {
                    Some(message) => {
                        let report = DeliveryReport {
                            id: String::new(),
                            attempt: 0,
                            outcome: DeliveryOutcome::Unknown,
                            retry_after_ms: None,
                        };
                        self.conclude(entry.id, message, &report, host)?;
                    }
                    None => self.forget(entry.id, host)?,
                },
            }
        }
        Ok(())
    }
}
