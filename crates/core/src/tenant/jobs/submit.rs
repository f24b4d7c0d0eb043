//! The submission of jobs.

use super::{back, load, stage};
use crate::jobs::index::{DONE_MS, Entry, Stage};
use crate::jobs::sealed::Path;
use crate::jobs::{Record, State, digest, id_text, job_id};
use crate::protocol::{Reply, SubmitJob};
use crate::refusal::{Reason, Refusal};
use crate::tenant::authorize;
use crate::tenant::replies::{Answer, refused};
use crate::tenant::state::TenantState;
use crate::tenant::store::{Host, StoreError, Table};

/// The most callers that wait for their jobs at once. Each is a future in the object; any further
/// caller is given the job's address at once.
const MOST_WAITING: usize = 1_000;

/// The seconds until a caller may ask again for whose job there is no room: nobody knows when there
/// will be.
const FULL_SECONDS: u64 = 60;

impl TenantState {
    /// Takes a job, which is stored before its caller learns of it. The reply is the job's id, or,
    /// if the job ends within the time that the caller waits, its answer.
    pub(in crate::tenant) fn submit_job(
        &mut self,
        submission: SubmitJob,
        host: &mut Host<'_>,
    ) -> Result<Answer, StoreError> {
        let wait_ms = submission.wait_ms;
        let connection = submission.admit.connection.clone();
        let id = match self.accept_job(submission, host)? {
            Ok(id) => id,
            Err(refusal) => return Ok(Answer::Now(refused(refusal))),
        };
        let ticket = self.replies.new_ticket();
        let Some(wait_ms) = wait_ms.filter(|_| self.jobs.waiting.len() < MOST_WAITING) else {
            self.commit(&connection, host)?;
            return Ok(Answer::Now(Reply::Queued(id_text(id))));
        };
        let until = host.now.saturating_add(i64::try_from(wait_ms).unwrap_or(i64::MAX / 4));
        self.jobs.waiting.add(ticket, id, until);
        // The same job again may have ended long ago.
        if let Some(record) = load(host, id)?.filter(|record| matches!(record.state, State::Done | State::Dead)) {
            let answer = self.answer_of(id, host)?;
            self.ended(id, &record, answer.as_ref(), host)?;
        }
        self.commit(&connection, host)?;
        Ok(Answer::Wait(ticket))
    }

    /// Checks and stores a job, and gives its id; a job that was submitted before is known by its
    /// id or its `Idempotency-Key`.
    fn accept_job(&mut self, submission: SubmitJob, host: &mut Host<'_>) -> Result<Result<u128, Refusal>, StoreError> {
        let SubmitJob { admit, request, key, made, .. } = submission;
        if let Err(refusal) = authorize::admissible(self, &admit, host.now) {
            return Ok(Err(refusal));
        }
        let id = job_id(made, u128::from_str_radix(&admit.call, 16).unwrap_or_default());
        if self.jobs.index.get(id).is_some() {
            return Ok(Ok(id));
        }
        if let Some(url) = &request.callback {
            let callbacks = self.policy.as_ref().and_then(|policy| policy.callbacks.as_ref());
            if !callbacks.is_some_and(|callbacks| callbacks.admit(url, host.settings.allow_loopback)) {
                let detail = "sluice-callback is not an address on one of the policy's callbacks.hosts";
                return Ok(Err(Refusal::new(Reason::Request, detail)));
            }
        }
        let app = admit.claims.app.clone().unwrap_or_default();
        let query = request.url.split_once('?').map_or("", |(_, query)| query);
        let kind = crate::http::value(&request.headers, "content-type").unwrap_or_default();
        let asked = [admit.connection.as_str(), &admit.method, &admit.path, query, kind];
        let mut parts: Vec<&[u8]> = asked.iter().map(|part| part.as_bytes()).collect();
        parts.push(&request.body.0);
        let fingerprint = digest(&parts);
        let key = key.map_or(0, |key| digest(&[app.as_bytes(), key.as_bytes()]));
        if let Some(known) = self.jobs.index.of_key(key).filter(|_| key != 0)
            && let Some(record) = load(host, known)?.filter(|record| host.now < record.created.saturating_add(DONE_MS))
        {
            if record.fingerprint == fingerprint {
                return Ok(Ok(known));
            }
            let detail = "this idempotency-key was used for another request within 24 hours: use a new one";
            return Ok(Err(Refusal::new(Reason::KeyReused, detail)));
        }
        let text = id_text(id);
        let sealed = request.to_row(&host.sealer(&self.name), &text).zip(Path::seal(
            &admit.path,
            &host.sealer(&self.name),
            &text,
        ));
        let Some((row, path)) = sealed else {
            let detail = "the request's url and headers are longer than the 131,072 bytes that are kept of a job";
            return Ok(Err(Refusal::new(Reason::Request, detail)));
        };
        if !self.jobs.index.has_room(&app, row.len() as u64) {
            let detail = "the app has as many jobs and dead letters as it may, half of what the tenant's other apps leave: \
                replay or delete dead letters, or ask again later";
            let refusal = Refusal::new(Reason::QueueFull, detail);
            return Ok(Err(Refusal { retry_after_seconds: Some(FULL_SECONDS), ..refusal }));
        }
        let Some(mask) = self
            .connections
            .get(&admit.connection)
            .map(|connection| connection.rules().mask(&admit.method, &admit.path))
        else {
            return Ok(Err(authorize::unknown(&admit.connection)));
        };
        let record = Record {
            app,
            connection: admit.connection,
            method: admit.method,
            path,
            urgency: admit.urgency,
            created: host.now,
            since: host.now,
            updated: host.now,
            due: host.now,
            state: State::Queued,
            run: 0,
            tries: 0,
            token_refused: false,
            attempts: Vec::new(),
            error: None,
            key,
            fingerprint,
            callback: request.callback.is_some(),
            bytes: u32::try_from(row.len()).unwrap_or(u32::MAX),
            answered: false,
        };
        host.store.save(Table::JobRequest, &text, &row)?;
        host.store.save(Table::Job, &text, &record.to_row())?;
        self.note(id, &record, mask, host.now);
        Ok(Ok(id))
    }

    /// Enters a stored job in the index.
    pub(super) fn note(&mut self, id: u128, record: &Record, mask: u32, now: i64) {
        let index = &mut self.jobs.index;
        let lane = index.lanes.lane(&record.connection, &record.app, mask);
        let (stage, at): (Stage, i64) = stage(record, now);
        let Record { run, urgency, key, bytes, .. } = *record;
        let (since, begun) = (back(record.since, record, now), record.has_begun());
        index.insert(Entry { id, stage, at, run, lane, urgency, key, bytes, since, begun });
    }
}
