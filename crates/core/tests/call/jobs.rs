//! The report of a job's run.

use crate::play::{answered, id, plain, route_with_token};
use sluice_core::call::job::{JobReport, is_fresh};
use sluice_core::call::{Attempt, AttemptEnd, BodyCompletion, BodyEnd, Permit, SendFailure};
use sluice_core::jobs::{Answer, Bytes};
use sluice_core::protocol::{Bearer, Sent, TokenMark};
use sluice_core::upstream::profile::Executed;
use sluice_limiter::Outcome;
use std::rc::Rc;

fn permit() -> Permit {
    Permit {
        tenant: "acme".to_owned(),
        connection: "crm".to_owned(),
        id: id(1),
        route: Rc::new(route_with_token()),
        bearer: Some(Rc::new(Bearer { token: "t".to_owned(), mark: TokenMark(5) })),
        rate_limit: String::new(),
        would: None,
        at: 1_000,
        sent: Sent { app: "sync".to_owned(), method: "PUT".to_owned(), path: "/x".to_owned(), nth: 2, ago_ms: 0 },
    }
}

fn answer() -> Option<Answer> {
    Some(Answer { status: 200, headers: Vec::new(), body: Bytes::default(), truncated: false })
}

fn report(attempt: &Attempt, end: AttemptEnd) -> JobReport {
    JobReport::of("job", 2, &permit(), attempt, end, answer())
}

fn body(end: BodyEnd) -> BodyCompletion {
    BodyCompletion { end, bytes: 3, more: false }
}

#[test]
fn a_run_is_reported_seven_times_with_rising_numbers() {
    let attempt = answered(&plain(), 200, &[], 1_100);
    let mut report = report(&attempt, attempt.end.clone().with_body(&body(BodyEnd::Whole)));
    let mut pauses = Vec::new();
    for told in 1.. {
        let ran = report.tell(1_300);
        assert_eq!((ran.settle.attempt, ran.settle.outcome, ran.run), (told, Outcome::Answered, 2));
        assert_eq!((ran.settle.since_headers_ms, ran.settle.sent.unwrap().ago_ms), (Some(200), 300));
        assert_eq!((ran.executed, ran.transient, ran.rejected_token), (Executed::Yes, false, None));
        assert!(ran.answer.is_some());
        let Some(pause) = report.next_pause_ms() else { break };
        pauses.push(pause);
    }
    assert_eq!(pauses, [50, 100, 200, 400, 800, 1_600]);
}

#[test]
fn an_answer_that_was_cut_off_is_none_and_nobody_knows_whether_it_took_effect() {
    for end in [BodyEnd::CutOff, BodyEnd::TimedOut, BodyEnd::CallerGone] {
        let attempt = answered(&plain(), 200, &[], 1_100);
        let ran = report(&attempt, attempt.end.clone().with_body(&body(end))).tell(1_300);
        assert_eq!(
            (ran.settle.outcome, ran.executed, ran.transient),
            (Outcome::Unknown, Executed::Maybe, true),
            "{end:?}"
        );
        assert!(ran.answer.is_none());
    }
}

#[test]
fn a_run_without_an_answer_says_what_is_known_of_it() {
    let cases = [
        (SendFailure::TimedOut(30_000), Outcome::Unknown, true),
        (SendFailure::Unreachable, Outcome::Unknown, true),
        (SendFailure::NotSendable, Outcome::Unused, false),
    ];
    for (failure, outcome, transient) in cases {
        let attempt = Attempt::failed(failure, 1_100);
        let ran = report(&attempt, attempt.end.clone()).tell(1_300);
        assert_eq!((ran.settle.outcome, ran.executed, ran.transient), (outcome, Executed::Maybe, transient));
        assert!(ran.answer.is_none());
    }
}

#[test]
fn a_refused_token_is_named() {
    let attempt = answered(&plain(), 401, &[], 1_100);
    let ran = report(&attempt, attempt.end.clone().with_body(&body(BodyEnd::Whole))).tell(1_300);
    assert_eq!((ran.rejected_token, ran.executed), (Some(TokenMark(5)), Executed::No));
}

#[test]
fn a_permit_that_came_too_late_is_not_used_and_that_is_reported() {
    for (now, fresh) in [(1_000, true), (2_000, true), (2_001, false), (500, true)] {
        assert_eq!(is_fresh(1_000, now), fresh, "{now}");
    }
    let ran = JobReport::not_sent("job", 2, &permit()).tell(1_300);
    assert_eq!((ran.settle.outcome, ran.executed, ran.transient), (Outcome::Unused, Executed::Maybe, false));
}
