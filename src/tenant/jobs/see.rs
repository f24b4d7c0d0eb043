//! Jobs as they are seen, replayed and deleted from outside.

use super::{Desk, load};
use crate::job::index::Stage;
use crate::job::record::from_row;
use crate::job::{Answer, Record, State, id_text, parse_id, show};
use crate::json;
use crate::json::Value;
use crate::key::Role;
use crate::refusal::{Reason, Refusal};
use crate::tenant::desk::refused;
use crate::tenant::gate;
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
        let changes = matches!(ask.what, JobsWhat::Delete(..) | JobsWhat::Replay(_) | JobsWhat::ReplayAll);
        if changes && role != Role::Operator {
            return Ok(no(Reason::Role, "only an operator's key replays and deletes jobs"));
        }
        let bodies = role != Role::Viewer;
        let id = match &ask.what {
            JobsWhat::Show(id) | JobsWhat::Answer(id) | JobsWhat::Replay(id) | JobsWhat::Delete(id, _) => id,
            JobsWhat::List { dead, state, limit, after } => {
                return self.list_jobs(app.as_deref(), *dead, *state, *limit, after.as_deref(), host);
            }
            JobsWhat::ReplayAll => return self.replay_all(host),
        };
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
                Ok(document(202, show::document(&id_text(id), &record, None, bodies, host.now)))
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
                Ok(document(200, show::document(&id_text(id), &record, answer.as_ref(), bodies, host.now)))
            }
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
        let after = match after.map(parse_id) {
            Some(None) => return Ok(no(Reason::Request, "after is the id of a job: take it from next")),
            Some(id) => id,
            None => None,
        };
        let state = if dead { Some(State::Dead) } else { state };
        let index = &self.jobs.index;
        let own = |lane: u32| index.lanes.get(lane as usize).is_some_and(|lane| app.is_none_or(|app| app == lane.app));
        let mut items = Vec::new();
        let mut last = None;
        let mut more = false;
        let most = usize::try_from(limit.clamp(1, MOST_LISTED)).unwrap_or(1);
        for entry in index.before(after).rev() {
            if state.is_some_and(|state| entry.stage.state() != state) || !own(entry.lane) {
                continue;
            }
            if items.len() >= most {
                more = true;
                break;
            }
            if let Some(record) = load(host, entry.id)? {
                let id = id_text(entry.id);
                items.push(show::document(&id, &record, None, false, host.now));
                last = Some(id);
            }
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
        let mut replayed = 0;
        for id in dead {
            let Some(record) = load(host, id)? else { continue };
            let app = self.policy.as_ref().is_some_and(|policy| policy.apps.contains_key(&record.app));
            if app && self.lines.contains_key(&record.connection) {
                self.replay(id, record, host)?;
                replayed += 1;
            }
        }
        let connections: Vec<String> = self.lines.keys().cloned().collect();
        for connection in connections {
            self.finish(&connection, host)?;
        }
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
