//! The callbacks as keys may list, show, replay and delete them.

use super::{Callbacks, load};
use crate::backlog_share::app_number;
use crate::jobs::show::Much;
use crate::protocol::Reply;
use crate::refusal::{Reason, Refusal};
use crate::tenant::replies::refused;
use crate::tenant::store::{Host, StoreError, Table};
use crate::webhooks::record::open_body;
use crate::webhooks::{Message, id_text};
use serde::Serialize;
use serde_json::{Value, json};

impl Callbacks {
    /// Loads a message for those who may see it; gives none if it is not there, or another app's.
    pub(in crate::tenant) fn get(
        &self,
        id: u128,
        app: Option<&str>,
        host: &Host<'_>,
    ) -> Result<Option<Message>, StoreError> {
        let message = if self.outbox.get(id).is_some() { load(host, id)? } else { None };
        Ok(message.filter(|message| app.is_none_or(|app| app == message.app)))
    }

    /// Shows a message, with its payload for those who may see bodies.
    pub(in crate::tenant) fn show(
        &self,
        id: u128,
        message: &Message,
        much: Much,
        host: &Host<'_>,
    ) -> Result<Value, StoreError> {
        let text = id_text(id);
        let mut shown = message.document(&text, host.now);
        let body = if much == Much::Whole { host.store.load(Table::WebhookBody, &text)? } else { None };
        shown.body = body.and_then(|body| open_body(&host.sealer(&self.tenant), &text, &body));
        Ok(json!(shown))
    }

    /// Queues a dead letter to be sent again, with all its attempts before it.
    pub(in crate::tenant) fn replay(
        &mut self,
        id: u128,
        message: Message,
        host: &mut Host<'_>,
    ) -> Result<(), StoreError> {
        self.store(id, Message { error: None, tries: 0, due: host.now, ..message }, host)
    }

    /// Replays one of all dead letters, if its app has room; returns whether it had.
    pub(in crate::tenant) fn replay_of_all(&mut self, id: u128, host: &mut Host<'_>) -> Result<bool, StoreError> {
        match load(host, id)?.filter(|message| self.outbox.has_room(app_number(&message.app))) {
            Some(message) => self.replay(id, message, host).map(|()| true),
            None => Ok(false),
        }
    }

    /// Deletes a dead letter.
    pub(in crate::tenant) fn delete(
        &mut self,
        id: u128,
        message: &Message,
        host: &mut Host<'_>,
    ) -> Result<Reply, StoreError> {
        if message.error.is_none() {
            return Ok(live_callback());
        }
        self.forget(id, host)?;
        Ok(Reply::Document { status: 204, body: String::new(), warnings: Vec::new() })
    }

    /// How many messages wait, and how many are dead letters.
    pub(in crate::tenant) fn counts(&self) -> (usize, usize) {
        self.outbox.counts()
    }

    /// The numbers of messages, as the status shows them.
    pub(in crate::tenant) fn document(&self) -> CallbackCounts {
        let (queued, dead) = self.counts();
        CallbackCounts { queued, dead }
    }

    /// Whether another message of an app may wait.
    pub(in crate::tenant) fn has_room(&self, app: &str) -> bool {
        self.outbox.has_room(app_number(app))
    }

    /// The dead letters of an app and for a connection, or of all, that were made before one, the
    /// oldest first.
    pub(in crate::tenant) fn dead_letters(
        &self,
        app: Option<&str>,
        connection: Option<&str>,
        before: Option<u128>,
    ) -> impl DoubleEndedIterator<Item = u128> {
        self.outbox.dead_of(app.map(app_number), connection.map(app_number), before)
    }
}

/// How many messages wait, and how many are dead letters.
#[derive(Serialize)]
pub(in crate::tenant) struct CallbackCounts {
    queued: usize,
    dead: usize,
}

/// The refusal (409) of a message that is yet to be delivered.
pub(in crate::tenant) fn live_callback() -> Reply {
    refused(Refusal::new(Reason::JobLive, "the callback is yet to be delivered, and this is for dead letters"))
}
