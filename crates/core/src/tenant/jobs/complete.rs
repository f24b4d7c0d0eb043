//! The ends of runs, and what follows on them.

use super::load;
use crate::jobs::index::Stage;
use crate::jobs::{Answer, Bytes, Record, State, id_text, parse_id};
use crate::protocol::{RunReport, TokenMark};
use crate::retry::{self, Next, RetryContext, StopReason};
use crate::tenant::connection::TokenForJobs;
use crate::tenant::state::TenantState;
use crate::tenant::store::{Host, StoreError, Table};
use crate::upstream::outcome::{Classification, Unanswered, unanswered};
use sluice_limiter::Outcome;

/// A dead letter's error where it may have been executed, and must not be twice.
const UNKNOWN: &str = "outcome-unknown";

impl TenantState {
    /// Takes a Worker's report of a run. A repeated report, or one of a run that is over, changes
    /// nothing.
    pub(in crate::tenant) fn run_reported(&mut self, report: RunReport, host: &mut Host<'_>) -> Result<(), StoreError> {
        if report.settle.outcome == Outcome::Unused {
            return self.not_sent(&report.job, report.run, host);
        }
        let Some(id) = parse_id(&report.job) else { return Ok(()) };
        let Some(entry) = self.jobs.index.get(id).copied().filter(|entry| entry.run == report.run) else {
            return Ok(());
        };
        let Some(record) = load(host, id)? else { return Ok(()) };
        let given_up = match entry.stage {
            Stage::Running => false,
            // Given up, but not sent again since: now its outcome is known after all.
            Stage::Later | Stage::Ready => record.run > 0,
            Stage::Dead => record.error.as_deref() == Some(UNKNOWN),
            _ => return Ok(()),
        };
        if given_up && record.attempts.last().is_none_or(|attempt| attempt.error.as_deref() != Some(UNKNOWN)) {
            return Ok(());
        }
        // A route that is refused each time is not asked a third time.
        let own = self
            .connections
            .get(&record.connection)
            .is_some_and(|connection| connection.is_routes_own(&report.settle, host.now));
        let verdict = Classification {
            outcome: report.settle.outcome,
            error_code: report.settle.error_code.clone(),
            executed: report.executed,
            transient: report.transient && !(own && record.tries > 0),
            expired: report.rejected_token.is_some(),
            retry_after_ms: report.retry_after_ms,
        };
        let (status, error) = (report.settle.status, report.settle.error_code);
        let mut record = Record { error: None, ..record };
        if let Some(attempt) = record.attempts.last_mut() {
            (attempt.status, attempt.error) = (status.unwrap_or(0), error);
        }
        let rejected = report.rejected_token.filter(|_| !record.token_refused);
        let wants_token = rejected.is_some_and(|rejected| self.renews(&record, rejected, host));
        if wants_token {
            record.token_refused = true;
            record.state = State::Queued;
            record.due = host.now;
            return self.store_job(id, &mut record, host);
        }
        record.tries = record.tries.saturating_add(u32::from(!given_up));
        self.conclude(id, record, &verdict, report.answer, host)
    }

    /// Has another token fetched in the place of the one that the vendor has refused; returns
    /// whether there is another.
    fn renews(&mut self, record: &Record, rejected_token: TokenMark, host: &Host<'_>) -> bool {
        let Some(connection) = self.connections.get_mut(&record.connection) else { return false };
        match connection.token_for_jobs(host.now, Some(rejected_token)) {
            TokenForJobs::Stands => return false,
            TokenForJobs::Fetch(fetch, _) => self.jobs.fetch(connection, *fetch),
            TokenForJobs::Ready | TokenForJobs::Wait => {}
        }
        true
    }

    /// Gives up a run whose report never came. A run that the end of the object's life has cut off
    /// uses up no attempt.
    pub(super) fn run_lost(&mut self, id: u128, host: &mut Host<'_>) -> Result<(), StoreError> {
        let Some(mut record) = load(host, id)? else { return self.forget(id, host) };
        let began = self.jobs.began;
        if let Some(attempt) = record.attempts.last_mut() {
            attempt.error = Some(UNKNOWN.to_owned());
            record.tries = record.tries.saturating_add(u32::from(attempt.at >= began));
        }
        self.conclude(id, record, &unanswered(Unanswered::Timeout), None, host)
    }

    /// Decides what becomes of a job after a run: it is done, is tried again later, or is a dead
    /// letter.
    fn conclude(
        &mut self,
        id: u128,
        mut record: Record,
        verdict: &Classification,
        answer: Option<Answer>,
        host: &mut Host<'_>,
    ) -> Result<(), StoreError> {
        record.token_refused = false;
        let next = match self.connections.get(&record.connection) {
            _ if verdict.error_code.is_none() => Next::Stop(StopReason::Final),
            Some(connection) => {
                let mut random = [0; 8];
                (host.random)(&mut random);
                let path = record.path.open(&host.sealer(&self.name), &id_text(id));
                let tried = RetryContext {
                    profile: &connection.policy().profile,
                    method: &record.method,
                    path: &path,
                    idempotency_key: record.key != 0,
                    unattended: true,
                    made: record.tries,
                    most: connection.policy().retry_attempts,
                    left_ms: None,
                    max_pause_ms: connection.policy().adaptive.max_pause_ms,
                    random: u64::from_be_bytes(random),
                };
                retry::next(&tried, verdict)
            }
            None => Next::Stop(StopReason::Late),
        };
        let why = match next {
            Next::After(ms) => {
                record.state = State::Queued;
                record.due = host.now.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX / 4));
                return self.store_job(id, &mut record, host);
            }
            Next::Stop(_) if verdict.error_code.is_none() => None,
            Next::Stop(StopReason::Final) => Some("refused"),
            Next::Stop(StopReason::OutcomeUnknown) => Some(UNKNOWN),
            Next::Stop(StopReason::Spent) => Some("attempts-spent"),
            // It would be tried again, and its connection is no longer there.
            Next::Stop(StopReason::Late) => Some("connection"),
        };
        record.state = if why.is_some() { State::Dead } else { State::Done };
        record.error = why.map(str::to_owned);
        // Who waits for the job is answered as a direct caller would be.
        let waited_for = answer.clone().filter(|_| self.jobs.waiting.has(id));
        let kept = self.keep_answer(id, &mut record, answer, host)?;
        record.updated = host.now;
        // First the message, then the job: should storage refuse between, the job ends once more.
        self.callbacks.queue_outcome(id, &record, kept.as_ref(), host)?;
        self.store_job(id, &mut record, host)?;
        self.ended(id, &record, waited_for.as_ref(), host)
    }

    /// Stores the vendor's answer, and gives what is kept of it.
    fn keep_answer(
        &self,
        id: u128,
        record: &mut Record,
        answer: Option<Answer>,
        host: &mut Host<'_>,
    ) -> Result<Option<Answer>, StoreError> {
        let Some(mut kept) = answer.map(Answer::without_cookies) else { return Ok(None) };
        let text = id_text(id);
        let Some(mut row) = kept.to_row(&host.sealer(&self.name), &text) else { return Ok(None) };
        if !self.jobs.index.has_bytes(&record.app, row.len() as u64) {
            // There is no room for its body: what came of the job is kept all the same.
            kept = Answer { body: Bytes::default(), truncated: true, ..kept };
            row = kept.to_row(&host.sealer(&self.name), &text).unwrap_or_default();
        }
        record.bytes = record.bytes.saturating_add(u32::try_from(row.len()).unwrap_or(u32::MAX));
        record.answered = true;
        host.store.save(Table::JobAnswer, &text, &row)?;
        Ok(Some(kept))
    }
}
