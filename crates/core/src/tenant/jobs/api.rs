//! The jobs as keys may list, show, replay and delete them.

use super::load;
use crate::document::text;
use crate::jobs::show::{self, Much};
use crate::jobs::{Answer, Record, State, id_text, parse_id};
use crate::keys::Role;
use crate::protocol::{Deletable, JobsAsk, JobsWhat, Reply};
use crate::refusal::{Reason, Refusal};
use crate::tenant::authorize;
use crate::tenant::replies::refused;
use crate::tenant::state::TenantState;
use crate::tenant::store::{Host, StoreError, Table};
use crate::tenant::webhooks::live_callback;
use serde::Serialize;
use serde_json::{Value, json};

impl TenantState {
    /// Answers a request about jobs.
    pub(in crate::tenant) fn handle_jobs(&mut self, ask: JobsAsk, host: &mut Host<'_>) -> Result<Reply, StoreError> {
        if let Err(refusal) = authorize::may_see_jobs(self, &ask, host.now) {
            return Ok(refused(refusal));
        }
        let app = ask.claims.app;
        let role = ask.claims.role;
        if !ask.what.is_read_only() && role != Role::Operator {
            return Ok(no(Reason::Role, "only an operator's key replays and deletes jobs"));
        }
        let much = if role == Role::Viewer { Much::Viewed } else { Much::Whole };
        let id = match &ask.what {
            JobsWhat::Show(id) | JobsWhat::Answer(id) | JobsWhat::Replay(id) | JobsWhat::Delete(id, _) => id,
            JobsWhat::List { of, limit, after } => return self.list_jobs(app, of, *limit, after.as_deref(), host),
            JobsWhat::ReplayAll(after) => return self.replay_all(after.as_deref(), host),
            JobsWhat::DeleteAll(of, after) => return self.delete_all(of, after.as_deref(), host),
        };
        if let Some(callback) = crate::webhooks::parse_id(id) {
            return self.handle_callback(callback, app.as_deref(), much, &ask.what, host);
        }
        let known = parse_id(id).filter(|id| self.jobs.index.get(*id).is_some());
        let record = known.map(|id| load(host, id)).transpose()?.flatten();
        let own = record.filter(|record| app.as_ref().is_none_or(|app| *app == record.app));
        let (Some(id), Some(record)) = (known, own) else {
            return Ok(no(Reason::NotFound, "there is no job with this id"));
        };
        match ask.what {
            JobsWhat::Answer(_) if much != Much::Whole => Ok(no(Reason::Role, "a viewer's key does not see bodies")),
            JobsWhat::Answer(_) => Ok(match self.answer_of(id, host)? {
                Some(answer) => Reply::Answer(Box::new(answer)),
                None => no(Reason::NotFound, "the job has no answer, or none yet: see its state"),
            }),
            JobsWhat::Replay(_) if record.state != State::Dead => Ok(live(&record)),
            JobsWhat::Replay(_) => {
                let connection = record.connection.clone();
                if !self.connections.contains_key(&connection) {
                    return Ok(refused(authorize::unknown(&connection)));
                }
                let record = self.replay(id, record, host)?;
                self.commit(&connection, host)?;
                Ok(document(202, self.shown(id, &record, None, much, host)))
            }
            JobsWhat::Delete(_, Deletable::DeadLetter) if record.state != State::Dead => Ok(live(&record)),
            JobsWhat::Delete(..) if record.state == State::Running => Ok(live(&record)),
            JobsWhat::Delete(..) => {
                self.forget(id, host)?;
                self.jobs.index.compact();
                self.commit(&record.connection, host)?;
                Ok(Reply::Document { status: 204, body: String::new(), warnings: Vec::new() })
            }
            _ => {
                let answer = self.answer_of(id, host)?;
                Ok(document(200, self.shown(id, &record, answer.as_ref(), much, host)))
            }
        }
    }

    /// Answers a request about a callback, which has an id of another form.
    fn handle_callback(
        &mut self,
        id: u128,
        app: Option<&str>,
        much: Much,
        what: &JobsWhat,
        host: &mut Host<'_>,
    ) -> Result<Reply, StoreError> {
        let Some(message) = self.callbacks.get(id, app, host)? else {
            return Ok(no(Reason::NotFound, "there is no callback with this id"));
        };
        match what {
            JobsWhat::Show(_) => Ok(document(200, self.callbacks.show(id, &message, much, host)?)),
            JobsWhat::Delete(..) => self.callbacks.delete(id, &message, host),
            JobsWhat::Replay(_) if message.error.is_none() => Ok(live_callback()),
            JobsWhat::Replay(_) if !self.callbacks.has_room(&message.app) => Ok(no(
                Reason::QueueFull,
                "as many callbacks of the app wait as may: replay this one when some are delivered",
            )),
            JobsWhat::Replay(_) => {
                self.callbacks.replay(id, message, host)?;
                let message = self.callbacks.get(id, app, host)?;
                let shown = message.map(|message| self.callbacks.show(id, &message, much, host)).transpose()?;
                Ok(document(202, shown.unwrap_or_default()))
            }
            _ => Ok(no(Reason::NotFound, "a callback has no answer")),
        }
    }

    /// Loads the vendor's answer to a job.
    pub(super) fn answer_of(&self, id: u128, host: &Host<'_>) -> Result<Option<Answer>, StoreError> {
        let text = id_text(id);
        let row = host.store.load(Table::JobAnswer, &text)?;
        Ok(row.and_then(|row| Answer::from_row(&row, &host.sealer(&self.name), &text)))
    }

    /// Shows a job.
    pub(super) fn shown(
        &self,
        id: u128,
        record: &Record,
        answer: Option<&Answer>,
        much: Much,
        host: &Host<'_>,
    ) -> Value {
        let text = id_text(id);
        let path = record.path.open(&host.sealer(&self.name), &text);
        json!(show::document(&text, record, &path, answer, much, host.now))
    }

    /// Queues a dead letter again, with all its attempts before it.
    pub(super) fn replay(&mut self, id: u128, mut record: Record, host: &mut Host<'_>) -> Result<Record, StoreError> {
        record.state = State::Queued;
        record.tries = 0;
        record.error = None;
        record.due = host.now;
        record.since = host.now;
        if std::mem::take(&mut record.answered) {
            // What remains is its request.
            let text = id_text(id);
            host.store.remove(Table::JobAnswer, &text)?;
            let row = host.store.load(Table::JobRequest, &text)?;
            record.bytes = row.map_or(0, |row| u32::try_from(row.len()).unwrap_or(u32::MAX));
        }
        self.store_job(id, &mut record, host)?;
        Ok(record)
    }
}

/// The refusal (409) of a job that has not ended.
fn live(record: &Record) -> Reply {
    let detail = format!("the job is {}, and this is for dead letters, or jobs that do not run", record.state.as_str());
    refused(Refusal::new(Reason::JobLive, detail))
}

/// A refusal.
pub(super) fn no(reason: Reason, detail: &str) -> Reply {
    refused(Refusal::new(reason, detail))
}

/// A document, as a reply.
pub(super) fn document(status: u16, body: impl Serialize) -> Reply {
    Reply::Document { status, body: text(&body), warnings: Vec::new() }
}
