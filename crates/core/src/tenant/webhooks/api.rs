//! Messages as they are seen, replayed and deleted from outside.

use super::load;
use crate::backlog_share::app_number;
use crate::protocol::Reply;
use crate::refusal::{Reason, Refusal};
use crate::tenant::state::{TenantState, refused};
use crate::tenant::store::{Host, StoreError, Table};
use crate::webhooks::record::open_body;
use crate::webhooks::{Message, id_text};
use serde::Serialize;
use serde_json::{Value, json};

impl TenantState {
    /// A message for those who may see it; none if it is not there, or another app's.
    pub(in crate::tenant) fn callback_of(
        &self,
        id: u128,
        app: Option<&str>,
        host: &Host<'_>,
    ) -> Result<Option<Message>, StoreError> {
        let message = if self.outbox.get(id).is_some() { load(host, id)? } else { None };
        Ok(message.filter(|message| app.is_none_or(|app| app == message.app)))
    }

    /// A message's document, with its payload for those who may see bodies.
    pub(in crate::tenant) fn show_callback(
        &self,
        id: u128,
        message: &Message,
        bodies: bool,
        host: &Host<'_>,
    ) -> Result<Value, StoreError> {
        let text = id_text(id);
        let mut shown = message.document(&text, host.now);
        let body = if bodies { host.store.load(Table::WebhookBody, &text)? } else { None };
        shown.body = body.and_then(|body| open_body(&self.sealer(host), &text, &body));
        Ok(json!(shown))
    }

    /// A dead letter is to be sent again, with all its attempts before it.
    pub(in crate::tenant) fn replay_callback(
        &mut self,
        id: u128,
        message: Message,
        host: &mut Host<'_>,
    ) -> Result<(), StoreError> {
        self.store_callback(id, Message { error: None, tries: 0, due: host.now, ..message }, host)
    }

    /// One of all, if its app has room; whether it had.
    pub(in crate::tenant) fn replay_callback_of_all(
        &mut self,
        id: u128,
        host: &mut Host<'_>,
    ) -> Result<bool, StoreError> {
        match load(host, id)?.filter(|message| self.outbox.has_room(app_number(&message.app))) {
            Some(message) => self.replay_callback(id, message, host).map(|()| true),
            None => Ok(false),
        }
    }

    /// Deletes a dead letter.
    pub(in crate::tenant) fn delete_callback(
        &mut self,
        id: u128,
        message: &Message,
        host: &mut Host<'_>,
    ) -> Result<Reply, StoreError> {
        if message.error.is_none() {
            return Ok(live_callback());
        }
        self.forget_callback(id, host)?;
        Ok(Reply::Document { status: 204, body: String::new(), warnings: Vec::new() })
    }

    /// For the status.
    pub(in crate::tenant) fn callback_counts(&self) -> CallbackCounts {
        let (queued, dead) = self.outbox.counts();
        CallbackCounts { queued, dead }
    }
}

/// How many messages wait, and how many are dead letters.
#[derive(Serialize)]
pub(in crate::tenant) struct CallbackCounts {
    queued: usize,
    dead: usize,
}

/// 409: a message that is yet to be delivered.
pub(in crate::tenant) fn live_callback() -> Reply {
    refused(Refusal::new(Reason::JobLive, "the callback is yet to be delivered, and this is for dead letters"))
}
