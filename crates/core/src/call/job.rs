//! The run of a job: one attempt with the permit that came with its task, and the report of it,
//! repeated until it is acknowledged.

use super::attempt::{Attempt, AttemptEnd};
use super::permit::Permit;
use super::repeat::Repeats;
use super::settlement::PendingSettlement;
use crate::jobs::Answer;
use crate::protocol::{RunReport, Sent, TokenMark};
use crate::tenant::task::{FRESH_MS, Run};
use crate::upstream::outcome::Classification;
use crate::upstream::profile::Executed;
use crate::usage::fold;
use std::rc::Rc;

/// Pauses after reports that are not acknowledged, milliseconds. Without a report a job whose call
/// must not be made twice is a dead letter; after these, the object gives up waiting.
const PAUSES_MS: [u64; 6] = [50, 100, 200, 400, 800, 1_600];

/// Whether the permit of a run is young enough to be used. Times in Unix ms.
pub const fn is_fresh(granted_at: i64, now: i64) -> bool {
    now.saturating_sub(granted_at) <= FRESH_MS
}

/// Returns the permit that came with a task at `now`, Unix ms; `path`: the vendor's, without the
/// query.
pub fn permit_of(run: &Run, path: &str, now: i64) -> Permit {
    let (app, method) = (run.app.clone(), run.request.method.clone());
    Permit {
        tenant: run.tenant.clone(),
        connection: run.connection.clone(),
        id: run.permit,
        route: Rc::from(run.route.clone()),
        bearer: run.bearer.clone().map(Rc::new),
        rate_limit: run.rate_limit.clone(),
        would: None,
        at: now,
        sent: Sent { app, method, path: fold(path), nth: run.run, ago_ms: 0 },
    }
}

/// A run that has ended, to be reported.
#[derive(Debug)]
pub struct JobReport {
    job: String,
    run: u32,
    settlement: PendingSettlement,
    verdict: Option<Classification>,
    rejected_token: Option<TokenMark>,
    answer: Option<Answer>,
    repeats: Repeats,
}

impl JobReport {
    /// Returns the run of that number of a job, which was sent once. `answer` is the vendor's
    /// answer; one that was cut off in its middle counts as none.
    pub fn of(
        job: &str,
        run: u32,
        permit: &Permit,
        attempt: &Attempt,
        end: AttemptEnd,
        answer: Option<Answer>,
    ) -> Self {
        let verdict = attempt.verdict.as_ref();
        let whole = end.headers_at.is_some() && verdict.is_some_and(|verdict| verdict.outcome == end.outcome);
        let verdict = verdict.map(|verdict| match whole {
            true => verdict.clone(),
            false => Classification { executed: Executed::Maybe, transient: true, ..verdict.clone() },
        });
        let rejected_token = match &verdict {
            Some(verdict) if verdict.expired => permit.token_mark(),
            _ => None,
        };
        let answer = answer.filter(|_| whole);
        Self { verdict, rejected_token, answer, ..Self::unsent(job, run, permit, end) }
    }

    /// Returns a run that was not sent: its permit came too late, or the call cannot be made here.
    pub fn not_sent(job: &str, run: u32, permit: &Permit) -> Self {
        Self::unsent(job, run, permit, AttemptEnd::unsent())
    }

    fn unsent(job: &str, run: u32, permit: &Permit, end: AttemptEnd) -> Self {
        Self {
            job: job.to_owned(),
            run,
            settlement: PendingSettlement::of_used(permit, end),
            verdict: None,
            rejected_token: None,
            answer: None,
            repeats: Repeats::after(&PAUSES_MS),
        }
    }

    /// Returns the report, with an attempt number one higher than the last. Times count back from
    /// `now`.
    pub fn tell(&mut self, now: i64) -> RunReport {
        let verdict = self.verdict.as_ref();
        RunReport {
            settle: self.settlement.tell(now),
            job: self.job.clone(),
            run: self.run,
            executed: verdict.map_or(Executed::Maybe, |verdict| verdict.executed),
            transient: verdict.is_some_and(|verdict| verdict.transient),
            retry_after_ms: verdict.and_then(|verdict| verdict.retry_after_ms),
            rejected_token: self.rejected_token,
            answer: self.answer.clone(),
        }
    }

    /// Returns the pause before the report is sent again, milliseconds; none when it is given up.
    pub fn next_pause_ms(&mut self) -> Option<u64> {
        self.repeats.next_pause_ms()
    }
}
