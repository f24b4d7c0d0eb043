//! Jobs as they are seen, replayed and deleted from outside.

use super::{TenantState, load};
use crate::backlog_share::app_number;
use crate::document::text;
use crate::jobs::index::{Entry, Stage};
use crate::jobs::lanes::Lane;
use crate::jobs::show::{self, Much};
use crate::jobs::{Answer, Record, State, id_text, parse_id};
use crate::keys::Role;
use crate::protocol::{Deletable, Filter, JobsAsk, JobsWhat, Reply};
use crate::refusal::{Reason, Refusal};
use crate::tenant::authorize;
use crate::tenant::state::refused;
use crate::tenant::store::{Host, StoreError, Table};
use crate::tenant::webhooks::live_callback;
use serde::Serialize;
use serde_json::{Value, json};

/// Jobs that one event replays or deletes; for more, the Worker asks again.
const MOST_CHANGED: usize = 200;

/// Most jobs of one list.
const MOST_LISTED: u32 = 1_000;

impl TenantState {
    /// Answers an ask about jobs.
    pub(in crate::tenant) fn handle_jobs(&mut self, ask: JobsAsk, host: &mut Host<'_>) -> Result<Reply, StoreError> {
        if let Err(refusal) = authorize::may_see_jobs(self, &ask, host.now) {
            return Ok(refused(refusal));
        }
        let app = ask.claims.app;
        let role = ask.claims.role;
        if !ask.what.is_read_only() && role != Role::Operator {
            return Ok(no(Reason::Role, "only an operator's key replays and deletes jobs"));
        }
        let bodies = role != Role::Viewer;
        let much = if bodies { Much::Whole } else { Much::Viewed };
        let id = match &ask.what {
            JobsWhat::Show(id) | JobsWhat::Answer(id) | JobsWhat::Replay(id) | JobsWhat::Delete(id, _) => id,
            JobsWhat::List { of, limit, after } => return self.list_jobs(app, of, *limit, after.as_deref(), host),
            JobsWhat::ReplayAll(after) => return self.replay_all(after.as_deref(), host),
            JobsWhat::DeleteAll(of, after) => return self.delete_all(of, after.as_deref(), host),
        };
        if let Some(callback) = crate::webhooks::parse_id(id) {
            return self.handle_callback(callback, app.as_deref(), bodies, &ask.what, host);
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

    /// The same of a callback, which has an id of another form.
    fn handle_callback(
        &mut self,
        id: u128,
        app: Option<&str>,
        bodies: bool,
        what: &JobsWhat,
        host: &mut Host<'_>,
    ) -> Result<Reply, StoreError> {
        let Some(message) = self.callback_of(id, app, host)? else {
            return Ok(no(Reason::NotFound, "there is no callback with this id"));
        };
        match what {
            JobsWhat::Show(_) => Ok(document(200, self.show_callback(id, &message, bodies, host)?)),
            JobsWhat::Delete(..) => self.delete_callback(id, &message, host),
            JobsWhat::Replay(_) if message.error.is_none() => Ok(live_callback()),
            JobsWhat::Replay(_) if !self.outbox.has_room(app_number(&message.app)) => Ok(no(
                Reason::QueueFull,
                "as many callbacks of the app wait as may: replay this one when some are delivered",
            )),
            JobsWhat::Replay(_) => {
                self.replay_callback(id, message, host)?;
                let message = self.callback_of(id, app, host)?;
                let shown = message.map(|message| self.show_callback(id, &message, bodies, host)).transpose()?;
                Ok(document(202, shown.unwrap_or_default()))
            }
            _ => Ok(no(Reason::NotFound, "a callback has no answer")),
        }
    }

    /// The stored answer of a job.
    pub(super) fn answer_of(&self, id: u128, host: &Host<'_>) -> Result<Option<Answer>, StoreError> {
        let text = id_text(id);
        let row = host.store.load(Table::JobAnswer, &text)?;
        Ok(row.and_then(|row| Answer::from_row(&row, &self.sealer(host), &text)))
    }

    /// A job's document.
    fn shown(&self, id: u128, record: &Record, answer: Option<&Answer>, much: Much, host: &Host<'_>) -> Value {
        let text = id_text(id);
        let path = record.path.open(&self.sealer(host), &text);
        json!(show::document(&text, record, &path, answer, much, host.now))
    }

    /// Those that are meant, the newest first, made before that one; callbacks among dead letters.
    fn matching<'s>(&'s self, of: &'s Filter, before: Option<u128>) -> impl Iterator<Item = Found> + 's {
        let state = |entry: &Entry| {
            let state = entry.stage.state();
            of.state.is_none_or(|own| own == state) && (state == State::Dead || !of.dead)
        };
        let index = &self.jobs.index;
        let is = |own: &Option<String>, name: &str| own.as_ref().is_none_or(|own| own == name);
        let of_lane = move |lane: &Lane| is(&of.app, &lane.app) && is(&of.connection, &lane.connection);
        let wanted = move |entry: &&Entry| state(entry) && index.lanes.get(entry.lane).is_some_and(of_lane);
        let mut jobs = index.before(before).rev().filter(wanted).map(|entry| entry.id).peekable();
        let number = |name: &Option<String>| name.as_deref().map(app_number);
        let with_callbacks = of.dead && of.state.is_none_or(|state| state == State::Dead);
        let callbacks = self.outbox.dead_of(number(&of.app), number(&of.connection), before);
        let mut callbacks = callbacks.rev().filter(move |_| with_callbacks).peekable();
        // The newer of the two.
        std::iter::from_fn(move || match jobs.peek() < callbacks.peek() {
            true => callbacks.next().map(Found::Callback),
            false => jobs.next().map(Found::Job),
        })
    }

    /// The newest first. An app's key sees its own.
    fn list_jobs(
        &self,
        app: Option<String>,
        of: &Filter,
        limit: u32,
        after: Option<&str>,
        host: &Host<'_>,
    ) -> Result<Reply, StoreError> {
        let before = match cursor(after) {
            Ok(before) => before,
            Err(reply) => return Ok(*reply),
        };
        let strange = app.as_ref().is_some_and(|app| of.app.as_ref().is_some_and(|other| other != app));
        let of = Filter { app: app.or_else(|| of.app.clone()), ..of.clone() };
        let most = usize::try_from(limit.clamp(1, MOST_LISTED)).unwrap_or(1);
        let mut found = self.matching(&of, before).filter(|_| !strange);
        let (mut items, mut last) = (Vec::new(), None);
        // No more is read of storage than is shown.
        for one in found.by_ref().take(most) {
            let item = match one {
                Found::Job(id) => load(host, id)?.map(|record| self.shown(id, &record, None, Much::NoBody, host)),
                Found::Callback(id) => {
                    let message = self.callback_of(id, of.app.as_deref(), host)?;
                    message.map(|message| json!(message.document(&one.text(), host.now)))
                }
            };
            items.extend(item);
            last = Some(one.text());
        }
        let more = found.next().is_some();
        Ok(document(200, List { items, next: last.filter(|_| more) }))
    }

    /// So many of those that are meant as one event may change, and how to go on where there are more.
    fn slice(&self, of: &Filter, before: Option<u128>, may: impl Fn(&Found) -> bool) -> (Vec<Found>, Option<String>) {
        let mut found = self.matching(of, before).filter(may);
        let some: Vec<Found> = found.by_ref().take(MOST_CHANGED).collect();
        let next = some.last().map(Found::text).filter(|_| found.next().is_some());
        (some, next)
    }

    /// Forgets all that are meant, but for jobs that run.
    fn delete_all(&mut self, of: &Filter, after: Option<&str>, host: &mut Host<'_>) -> Result<Reply, StoreError> {
        let before = match cursor(after) {
            Ok(before) => before,
            Err(reply) => return Ok(*reply),
        };
        let index = &self.jobs.index;
        let runs = |id: u128| index.get(id).is_some_and(|entry| entry.stage == Stage::Running);
        let (some, next) = self.slice(of, before, |found| !matches!(found, Found::Job(id) if runs(*id)));
        let mut connections = Vec::new();
        for found in &some {
            match *found {
                Found::Job(id) => {
                    connections.extend(self.connection_of(id));
                    self.forget(id, host)?;
                }
                Found::Callback(id) => self.forget_callback(id, host)?,
            }
        }
        self.jobs.index.compact();
        self.commit_all(connections, host)?;
        Ok(document(200, Changed { deleted: Some(some.len()), replayed: None, next }))
    }

    /// The connection that a job is for.
    fn connection_of(&self, id: u128) -> Option<String> {
        let lane = self.jobs.index.get(id).and_then(|entry| self.jobs.index.lanes.get(entry.lane));
        lane.map(|lane| lane.connection.clone())
    }

    fn commit_all(&mut self, mut connections: Vec<String>, host: &mut Host<'_>) -> Result<(), StoreError> {
        connections.sort_unstable();
        connections.dedup();
        connections.iter().try_for_each(|connection| self.commit(connection, host))
    }

    /// A dead letter is queued again, with all its attempts before it.
    fn replay(&mut self, id: u128, mut record: Record, host: &mut Host<'_>) -> Result<Record, StoreError> {
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

    /// All dead letters of connections and apps that the policy has: they go as the limits let them.
    fn replay_all(&mut self, after: Option<&str>, host: &mut Host<'_>) -> Result<Reply, StoreError> {
        let before = match cursor(after) {
            Ok(before) => before,
            Err(reply) => return Ok(*reply),
        };
        let (some, next) = self.slice(&Filter { dead: true, ..Filter::default() }, before, |_| true);
        let mut replayed = 0_u64;
        let mut connections = Vec::new();
        for found in &some {
            let replays = match *found {
                Found::Job(id) => match load(host, id)? {
                    Some(record) if self.has_place_for(&record) => {
                        connections.push(record.connection.clone());
                        self.replay(id, record, host)?;
                        true
                    }
                    _ => false,
                },
                Found::Callback(id) => self.replay_callback_of_all(id, host)?,
            };
            replayed = replayed.saturating_add(replays.into());
        }
        self.commit_all(connections, host)?;
        Ok(document(202, Changed { deleted: None, replayed: Some(replayed), next }))
    }

    /// Whether the policy has a job's app and connection.
    fn has_place_for(&self, record: &Record) -> bool {
        let app = self.policy.as_ref().is_some_and(|policy| policy.apps.contains_key(&record.app));
        app && self.connections.contains_key(&record.connection)
    }
}

/// A part of a list, and where it goes on.
#[derive(Serialize)]
struct List {
    items: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// How many were changed, and where it goes on.
#[derive(Serialize)]
struct Changed {
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A job, or a callback that could not be delivered.
enum Found {
    Job(u128),
    Callback(u128),
}

impl Found {
    /// Writes the id as a job's address has it.
    fn text(&self) -> String {
        match *self {
            Self::Job(id) => id_text(id),
            Self::Callback(id) => crate::webhooks::id_text(id),
        }
    }
}

/// The id before which a list goes on; all for none.
fn cursor(after: Option<&str>) -> Result<Option<u128>, Box<Reply>> {
    let id = after.map(|after| parse_id(after).or_else(|| crate::webhooks::parse_id(after)));
    match id {
        Some(None) => Err(Box::new(no(Reason::Request, "after is the id of a job: take it from next"))),
        Some(id) => Ok(id),
        None => Ok(None),
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

fn document(status: u16, body: impl Serialize) -> Reply {
    Reply::Document { status, body: text(&body), warnings: Vec::new() }
}
