//! What the tests of jobs do again and again: keep jobs, take their runs, report them.

use crate::harness::Harness;
use sluice_core::jobs::{Answer as Answered, Bytes};
use sluice_core::keys::Claims;
use sluice_core::protocol::{Ask, Reply, RunReport, Sent, Settle};
use sluice_core::tenant::task::{Run, Task};
use sluice_core::upstream::profile::Executed;
use sluice_limiter::{Outcome, ThrottledBy};

pub const DAY: i64 = 86_400_000;

pub fn runs(harness: &mut Harness) -> Vec<Run> {
    std::iter::from_fn(|| harness.next_task())
        .map(|task| match task {
            Task::Run(run) => *run,
            other => panic!("{other:?}"),
        })
        .collect()
}

/// How many calls that waited may go now.
pub fn grants(harness: &mut Harness) -> usize {
    let ready = std::iter::from_fn(|| harness.tenant.next_ready());
    ready.filter(|(_, reply)| matches!(reply, Reply::Permit(_))).count()
}

pub fn one_run(harness: &mut Harness) -> Run {
    let mut runs = runs(harness);
    assert_eq!(runs.len(), 1);
    runs.remove(0)
}

/// What the Worker reports of a run that got this status.
pub fn ran(run: &Run, status: u16) -> RunReport {
    let (outcome, executed, transient) = match status {
        0 => (Outcome::Unknown, Executed::Maybe, true),
        429 => (Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: None }, Executed::No, true),
        500..=599 => (Outcome::Answered, Executed::Maybe, true),
        400..=499 => (Outcome::Answered, Executed::No, false),
        _ => (Outcome::Answered, Executed::Yes, false),
    };
    let error_code = match status {
        0 => Some("timeout".to_owned()),
        1..=399 => None,
        _ => Some(status.to_string()),
    };
    let sent = Sent { app: run.app.clone(), method: "GET".into(), path: "/things".into(), nth: run.run, ago_ms: 0 };
    let settle = Settle {
        connection: run.connection.clone(),
        permit: run.permit,
        attempt: 1,
        outcome,
        since_headers_ms: (status > 0).then_some(0),
        response_bytes: 0,
        status: (status > 0).then_some(status),
        counts: Vec::new(),
        error_code,
        sent: Some(sent),
    };
    let answer = Answered {
        status,
        headers: vec![("X-Seen".to_owned(), "1".to_owned())],
        body: Bytes(b"the answer".to_vec()),
        truncated: false,
    };
    RunReport {
        settle,
        job: run.job.clone(),
        run: run.run,
        executed,
        transient,
        retry_after_ms: None,
        rejected_token: None,
        answer: (status > 0).then_some(answer),
    }
}

pub fn report(harness: &mut Harness, ran: RunReport) {
    harness.told(Ask::RunReport(Box::new(ran)));
}

pub fn setup() -> (Harness, Claims) {
    let mut harness = Harness::new();
    let app = harness.app("sync");
    (harness, app)
}

pub fn kept(harness: &mut Harness, app: &Claims, connection: &str, method: &str) -> String {
    let keep = harness.keep(app, connection, method);
    harness.kept(keep)
}
