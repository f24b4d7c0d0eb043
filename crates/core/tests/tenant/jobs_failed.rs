//! Jobs that fail: tried again, given up, or dead letters.

use crate::harness::NOON;
use crate::job_steps::{kept, one_run, ran, report, runs, setup};
use sluice_core::protocol::{Filter, JobsWhat, RunReport, Settle};
use sluice_limiter::Outcome;

#[test]
fn a_transient_failure_is_tried_again_and_the_third_is_the_last() {
    let (mut harness, app) = setup();
    let id = kept(&mut harness, &app, "free", "PUT");
    for attempt in 1..=3 {
        let run = one_run(&mut harness);
        assert_eq!(run.run, attempt);
        report(&mut harness, ran(&run, 503));
        if attempt < 3 {
            assert_eq!(harness.job(&app, &id)["state"], "queued");
            let later = harness.now + 300_000;
            harness.go_to(later);
        }
    }
    let shown = harness.job(&app, &id);
    assert_eq!((shown["state"].as_str(), shown["error"].as_str()), (Some("dead"), Some("attempts-spent")));
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 3);
    assert_eq!(shown["attempts"][2]["error"], "503");
    assert_eq!(shown["response"]["status"], 503, "what the vendor said last is kept");
}

#[test]
fn a_clock_set_back_holds_no_job_back() {
    const BACK: i64 = 1_800_000;
    let (mut harness, app) = setup();
    // One that had nothing to wait for, in the next life.
    let id = kept(&mut harness, &app, "free", "PUT");
    harness.now -= BACK;
    harness.reopen();
    let run = one_run(&mut harness);
    assert_eq!(run.job, id);
    // One that rests before its next attempt, in the same life, and others' events come before its time.
    report(&mut harness, ran(&run, 503));
    harness.now -= BACK;
    harness.status();
    let again = harness.now + 1_000;
    kept(&mut harness, &app, "free", "GET");
    let other = one_run(&mut harness);
    harness.go_to(again);
    assert_eq!(one_run(&mut harness).job, id);
    // One that a life's end cut off: its lease's end is waited for, and no longer.
    harness.now -= BACK;
    harness.reopen();
    let (early, late) = (harness.now + 62_000, harness.now + 70_000);
    harness.go_to(early);
    assert_eq!(harness.job(&app, &other.job)["state"], "running");
    harness.go_to(late);
    assert_eq!(harness.job(&app, &other.job)["state"], "queued");
}

#[test]
fn what_the_vendor_refuses_for_good_is_a_dead_letter_at_once() {
    let (mut harness, app) = setup();
    let id = kept(&mut harness, &app, "free", "POST");
    let run = one_run(&mut harness);
    report(&mut harness, ran(&run, 400));
    let shown = harness.job(&app, &id);
    assert_eq!((shown["state"].as_str(), shown["error"].as_str()), (Some("dead"), Some("refused")));
    let (status, list) =
        harness.jobs(&app, JobsWhat::List { of: Filter { dead: true, ..Filter::default() }, limit: 10, after: None });
    assert_eq!((status, list["items"][0]["id"].as_str()), (200, Some(id.as_str())));
}

#[test]
fn an_unknown_outcome_is_tried_again_only_where_that_is_safe() {
    for (method, key, again) in [
        ("POST", None, false),
        ("PATCH", None, false),
        ("POST", Some("k"), false),
        ("PUT", None, true),
        ("GET", None, true),
    ] {
        let (mut harness, app) = setup();
        let mut keep = harness.keep(&app, "free", method);
        keep.key = key.map(str::to_owned);
        let id = harness.kept(keep);
        let run = one_run(&mut harness);
        report(&mut harness, ran(&run, 0));
        let shown = harness.job(&app, &id);
        let expected = if again { "queued" } else { "dead" };
        assert_eq!(shown["state"], expected, "{method}: the vendor honours no idempotency key");
        assert_eq!(shown["error"].as_str(), (!again).then_some("outcome-unknown"));
    }
}

#[test]
fn a_run_cut_off_by_a_restart_waits_for_the_leases_end_and_uses_up_no_attempt() {
    for (method, expected) in [("GET", "queued"), ("POST", "dead")] {
        let (mut harness, app) = setup();
        let id = kept(&mut harness, &app, "free", method);
        one_run(&mut harness);
        harness.now += 1;
        harness.reopen();
        harness.go_to(NOON + 62_000);
        assert_eq!(harness.job(&app, &id)["state"], "running", "the vendor may still be at work on it");
        harness.go_to(NOON + 68_000);
        let shown = harness.job(&app, &id);
        assert_eq!(shown["state"], expected);
        assert_eq!(shown["attempts"][0]["error"], "outcome-unknown");
        if method == "GET" {
            for _ in 0..3 {
                let later = harness.now + 300_000;
                harness.go_to(later);
                let run = one_run(&mut harness);
                report(&mut harness, ran(&run, 503));
            }
            assert_eq!(harness.job(&app, &id)["state"], "dead", "three more, and no fourth");
        }
    }
}

#[test]
fn a_report_to_a_later_life_is_taken_and_so_is_one_that_comes_after_the_job_was_given_up() {
    let (mut harness, app) = setup();
    let ids = [kept(&mut harness, &app, "free", "POST"), kept(&mut harness, &app, "free", "POST")];
    let runs = runs(&mut harness);
    harness.reopen();
    report(&mut harness, ran(&runs[0], 200));
    assert_eq!(harness.job(&app, &ids[0])["state"], "done");
    harness.go_to(NOON + 100_000);
    assert_eq!(harness.job(&app, &ids[1])["error"], "outcome-unknown");
    report(&mut harness, ran(&runs[1], 200));
    let shown = harness.job(&app, &ids[1]);
    assert_eq!((shown["state"].as_str(), shown.get("error")), (Some("done"), None));
}

#[test]
fn a_repeated_report_changes_nothing() {
    let (mut harness, app) = setup();
    let id = kept(&mut harness, &app, "free", "GET");
    let run = one_run(&mut harness);
    report(&mut harness, ran(&run, 503));
    let before = harness.job(&app, &id);
    report(&mut harness, ran(&run, 503));
    assert_eq!(harness.job(&app, &id), before);
}

#[test]
fn a_task_that_is_not_taken_and_a_permit_that_grew_old_go_back_unused() {
    let (mut harness, app) = setup();
    let id = kept(&mut harness, &app, "crm", "POST");
    let task = harness.next_task().unwrap();
    harness.task_refused(task);
    assert_eq!(harness.job(&app, &id)["state"], "queued");
    harness.go_to(NOON + 200);
    harness.now += 1_500;
    let run = one_run(&mut harness);
    assert_eq!((run.run, run.granted), (2, harness.now), "the permit that waited too long was changed for another");
    let unused = RunReport { answer: None, ..ran(&run, 200) };
    report(&mut harness, RunReport { settle: Settle { outcome: Outcome::Unused, ..unused.settle.clone() }, ..unused });
    let shown = harness.job(&app, &id);
    assert_eq!((shown["state"].as_str(), shown["attempts"].as_array().map(Vec::len)), (Some("queued"), Some(0)));
    assert_eq!(harness.status()["connections"]["crm"]["limits"][0]["used"], 0, "and nothing has been counted");
}
