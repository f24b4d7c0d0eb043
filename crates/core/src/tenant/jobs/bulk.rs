//! The lists of jobs, and what is done to many jobs at once.

use super::api::{document, no};
use super::load;
use crate::jobs::index::{Entry, Stage};
use crate::jobs::lanes::Lane;
use crate::jobs::show::Much;
use crate::jobs::{Record, State, id_text, parse_id};
use crate::protocol::{Filter, Reply};
use crate::refusal::Reason;
use crate::tenant::state::TenantState;
use crate::tenant::store::{Host, StoreError};
use serde::Serialize;
use serde_json::{Value, json};

/// The most jobs that one event replays or deletes; for more, the Worker asks again.
const MOST_CHANGED: usize = 200;

/// The most jobs of one list.
const MOST_LISTED: u32 = 1_000;

impl TenantState {
    /// The jobs that a filter selects and that were made before one, the newest first; callbacks
    /// among dead letters.
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
        let with_callbacks = of.dead && of.state.is_none_or(|state| state == State::Dead);
        let callbacks = self.callbacks.dead_letters(of.app.as_deref(), of.connection.as_deref(), before);
        let mut callbacks = callbacks.rev().filter(move |_| with_callbacks).peekable();
        // The newer of the two.
        std::iter::from_fn(move || match jobs.peek() < callbacks.peek() {
            true => callbacks.next().map(Found::Callback),
            false => jobs.next().map(Found::Job),
        })
    }

    /// Lists jobs, the newest first. An app's key sees the app's own.
    pub(super) fn list_jobs(
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
                    let message = self.callbacks.get(id, of.app.as_deref(), host)?;
                    message.map(|message| json!(message.document(&one.text(), host.now)))
                }
            };
            items.extend(item);
            last = Some(one.text());
        }
        let more = found.next().is_some();
        Ok(document(200, List { items, next: last.filter(|_| more) }))
    }

    /// As many of the jobs that are selected as one event may change, and where to go on if there
    /// are more.
    fn slice(&self, of: &Filter, before: Option<u128>, may: impl Fn(&Found) -> bool) -> (Vec<Found>, Option<String>) {
        let mut found = self.matching(of, before).filter(may);
        let some: Vec<Found> = found.by_ref().take(MOST_CHANGED).collect();
        let next = some.last().map(Found::text).filter(|_| found.next().is_some());
        (some, next)
    }

    /// Deletes all that are selected, except jobs that run.
    pub(super) fn delete_all(
        &mut self,
        of: &Filter,
        after: Option<&str>,
        host: &mut Host<'_>,
    ) -> Result<Reply, StoreError> {
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
                Found::Callback(id) => self.callbacks.forget(id, host)?,
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

    /// Commits an event on several connections.
    fn commit_all(&mut self, mut connections: Vec<String>, host: &mut Host<'_>) -> Result<(), StoreError> {
        connections.sort_unstable();
        connections.dedup();
        connections.iter().try_for_each(|connection| self.commit(connection, host))
    }

    /// Replays all dead letters of connections and apps that the policy has: they go as the limits
    /// let them.
    pub(super) fn replay_all(&mut self, after: Option<&str>, host: &mut Host<'_>) -> Result<Reply, StoreError> {
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
                Found::Callback(id) => self.callbacks.replay_of_all(id, host)?,
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

/// How many jobs were changed, and where it goes on.
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
#[derive(Debug, Clone, Copy)]
enum Found {
    /// The job with this id.
    Job(u128),
    /// The callback with this id.
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

/// Reads the id before which a list goes on; none stands for the beginning.
fn cursor(after: Option<&str>) -> Result<Option<u128>, Box<Reply>> {
    let id = after.map(|after| parse_id(after).or_else(|| crate::webhooks::parse_id(after)));
    match id {
        Some(None) => Err(Box::new(no(Reason::Request, "after is the id of a job: take it from next"))),
        Some(id) => Ok(id),
        None => Ok(None),
    }
}
