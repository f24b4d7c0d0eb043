//! Jobs as they are seen, replayed and deleted from outside.

use super::{Desk, load};
use crate::job::index::{Entry, Stage};
use crate::job::record::from_row;
use crate::job::show::{self, Much};
use crate::job::{Answer, Record, State, id_text, parse_id};
use crate::json;
use crate::json::Value;
use crate::key::Role;
use crate::refusal::{Reason, Refusal};
use crate::room::app_number;
use crate::tenant::desk::refused;
use crate::tenant::gate;
use crate::tenant::hooks::live_hook;
use crate::tenant::protocol::{JobsAsk, JobsWhat, Reply};
use crate::tenant::store::{Host, StoreError, Table};

/// Most jobs of one list.
const MOST_LISTED: u32 = 1_000;

impl Desk {
    /// Answers an ask about jobs.
    pub(in crate::tenant) fn see_jobs(&mut self, ask: JobsAsk, host: &mut Host<'_>) -> Result<Reply, StoreError> {
        if let Err(refusal) = gate::may_see_jobs(self, &ask, host.now) {
            return Ok(refused(refusal));
        }
        let app = ask.claims.app;
        let role = ask.claims.role;
        if !ask.what.looks() && role != Role::Operator {
            return Ok(no(Reason::Role, "only an operator's key replays and deletes jobs"));
        }
        let bodies = role != Role::Viewer;
        let much = if bodies { Much::Whole } else { Much::Viewed };
        let id = match &ask.what {
            JobsWhat::Show(id) | JobsWhat::Answer(id) | JobsWhat::Replay(id) | JobsWhat::Delete(id, _) => id,
            JobsWhat::List { dead, state, limit, after } => {
                return self.list_jobs(app.as_deref(), *dead, *state, *limit, after.as_deref(), host);
            }
            JobsWhat::ReplayAll => return self.replay_all(host),
        };
        if let Some(hook) = crate::webhook::parse_id(id) {
            return self.see_hook(hook, app.as_deref(), bodies, &ask.what, host);
        }
        let known = parse_id(id).filter(|id| self.jobs.index.get(*id).is_some());
        let record = known.map(|id| load(host, id)).transpose()?.flatten();
        let own = record.filter(|record| app.as_ref().is_none_or(|app| *app == record.app));
        let (Some(id), Some(record)) = (known, own) else {
            return Ok(no(Reason::NotFound, "there is no job with this id"));
        };
        match ask.what {
            JobsWhat::Answer(_) if !bodies => Ok(no(Reason::Role, "a viewer's key does not see bodies")),
            JobsWhat::Answer(_) => Ok(match self.answer_of(id, host)? {
                Some(answer) => Reply::Answer(Box::new(answer)),
                None => no(Reason::NotFound, "the job has no answer, or none yet: see its state"),
            }),
            JobsWhat::Replay(_) if record.state != State::Dead => Ok(live(&record)),
            JobsWhat::Replay(_) => {
                let connection = record.connection.clone();
                if !self.lines.contains_key(&connection) {
                    return Ok(refused(gate::unknown(&connection)));
                }
                let record = self.replay(id, record, host)?;
                self.finish(&connection, host)?;
                Ok(document(202, show::document(&id_text(id), &record, None, much, host.now)))
            }
            JobsWhat::Delete(_, true) if record.state != State::Dead => Ok(live(&record)),
            JobsWhat::Delete(..) if record.state == State::Running => Ok(live(&record)),
            JobsWhat::Delete(..) => {
                self.forget(id, host)?;
                self.jobs.index.compact();
                self.finish(&record.connection, host)?;
                Ok(Reply::Document { status: 204, body: String::new(), warnings: Vec::new() })
            }
            _ => {
                let answer = self.answer_of(id, host)?;
                Ok(document(200, show::document(&id_text(id), &record, answer.as_ref(), much, host.now)))
            }
        }
    }

    /// The same of a callback, which has an id of another form.
    fn see_hook(
        &mut self,
        id: u128,
        app: Option<&str>,
        bodies: bool,
        what: &JobsWhat,
        host: &mut Host<'_>,
    ) -> Result<Reply, StoreError> {
        let Some(message) = self.hook_of(id, app, host)? else {
            return Ok(no(Reason::NotFound, "there is no callback with this id"));
        };
        match what {
            JobsWhat::Show(_) => Ok(document(200, self.show_hook(id, &message, bodies, host)?)),
            JobsWhat::Delete(..) => self.delete_hook(id, &message, host),
            JobsWhat::Replay(_) if message.error.is_none() => Ok(live_hook()),
            JobsWhat::Replay(_) if !self.hooks.has_room(app_number(&message.app)) => Ok(no(
                Reason::QueueFull,
                "as many callbacks of the app wait as may: replay this one when some are delivered",
            )),
            JobsWhat::Replay(_) => {
                self.replay_hook(id, message, host)?;
                let message = self.hook_of(id, app, host)?;
                let shown = message.map(|message| self.show_hook(id, &message, bodies, host)).transpose()?;
                Ok(document(202, shown.unwrap_or_default()))
            }
            _ => Ok(no(Reason::NotFound, "a callback has no answer")),
        }
    }

    /// The stored answer of a job.
    pub(super) fn answer_of(&self, id: u128, host: &Host<'_>) -> Result<Option<Answer>, StoreError> {
        Ok(host.store.load(Table::JobAnswer, &id_text(id))?.and_then(|row| from_row(&row)))
    }

    /// The newest first.
    fn list_jobs(
        &self,
        app: Option<&str>,
        dead: bool,
        state: Option<State>,
        limit: u32,
        after: Option<&str>,
        host: &Host<'_>,
    ) -> Result<Reply, StoreError> {
        let after = match after.map(|after| parse_id(after).or_else(|| crate::webhook::parse_id(after))) {
            Some(None) => return Ok(no(Reason::Request, "after is the id of a job: take it from next")),
            Some(id) => id,
            None => None,
        };
        let state = if dead { Some(State::Dead) } else { state };
        let index = &self.jobs.index;
        let own = |lane: u32| index.lanes.get(lane).is_some_and(|lane| app.is_none_or(|app| app == lane.app));
        let mut items = Vec::new();
        let mut last = None;
        let mut more = false;
        let most = usize::try_from(limit.clamp(1, MOST_LISTED)).unwrap_or(1);
        let wanted = |entry: &&Entry| state.is_none_or(|state| entry.stage.state() == state) && own(entry.lane);
        let mut jobs = index.before(after).rev().filter(wanted).map(|entry| entry.id).peekable();
        let mut hooks = self.hooks.dead(app.map(app_number), after).rev().filter(|_| dead).peekable();
        loop {
            // The newer of the two.
            let hook = jobs.peek() < hooks.peek();
            let Some(id) = (if hook { hooks.next() } else { jobs.next() }) else { break };
            let text = if hook { crate::webhook::id_text(id) } else { id_text(id) };
            let item = match hook {
                true => self.hook_of(id, app, host)?.map(|message| message.document(&text, host.now)),
                false => load(host, id)?.map(|record| show::document(&text, &record, None, Much::NoBody, host.now)),
            };
            let Some(item) = item else { continue };
            if items.len() >= most {
                more = true;
                break;
            }
            items.push(item);
            last = Some(text);
        }
        let mut list = json!({ "items": items });
        list.set_some("next", last.filter(|_| more));
        Ok(document(200, list))
    }

    /// A dead letter is queued again, with all its attempts before it.
    fn replay(&mut self, id: u128, mut record: Record, host: &mut Host<'_>) -> Result<Record, StoreError> {
        record.state = State::Queued;
        record.tries = 0;
        record.error = None;
        record.due = host.now;
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

    /// All dead letters of connections and apps that the policy has: they go as the limits let them.
    fn replay_all(&mut self, host: &mut Host<'_>) -> Result<Reply, StoreError> {
        let dead: Vec<u128> =
            self.jobs.index.iter().filter(|entry| entry.stage == Stage::Dead).map(|entry| entry.id).collect();
        let mut replayed = 0_u64;
        for id in dead {
            let Some(record) = load(host, id)? else { continue };
            let app = self.policy.as_ref().is_some_and(|policy| policy.apps.contains_key(&record.app));
            if app && self.lines.contains_key(&record.connection) {
                self.replay(id, record, host)?;
                replayed = replayed.saturating_add(1);
            }
        }
        let connections: Vec<String> = self.lines.keys().cloned().collect();
        for connection in connections {
            self.finish(&connection, host)?;
        }
        replayed = replayed.saturating_add(self.replay_all_hooks(host)?);
        Ok(document(202, json!({ "replayed": replayed })))
    }
}

/// 409: a job that has not ended.
fn live(record: &Record) -> Reply {
    let detail = format!("the job is {}, and this is for dead letters, or jobs that do not run", record.state.as_str());
    refused(Refusal::new(Reason::JobLive, detail))
}

fn no(reason: Reason, detail: &str) -> Reply {
    refused(Refusal::new(reason, detail))
}

fn document(status: u16, body: Value) -> Reply {
    Reply::Document { status, body: body.to_string(), warnings: Vec::new() }
}
