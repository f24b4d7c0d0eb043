//! What is kept of jobs, for how long, and in which form it is stored.

use crate::harness::{Harness, NOON, policy};
use crate::job_steps::{kept, one_run, ran, report, runs, setup};
use serde_json::{Value, json};
use sluice_core::jobs::{Bytes, Record, State};
use sluice_core::keys::Claims;
use sluice_core::protocol::{Admin, Ask, Filter, JobsWhat, Reply};
use sluice_core::tenant::store::Table;

/// A policy whose jobs expire after a minute.
fn expiring(seconds: u32) -> Value {
    let mut policy = policy();
    policy["jobs"] = json!({"expire_seconds": seconds});
    policy["callbacks"] = json!({"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "hosts": ["hooks.example.com"]});
    policy
}

fn state(harness: &mut Harness, app: &Claims, id: &str) -> (String, Option<String>) {
    let shown = harness.job(app, id);
    (shown["state"].as_str().unwrap().to_owned(), shown["error"].as_str().map(str::to_owned))
}

fn dead(why: &str) -> (String, Option<String>) {
    ("dead".to_owned(), Some(why.to_owned()))
}

fn deletes(harness: &mut Harness, key: &Claims, of: &Filter) -> u64 {
    let (mut deleted, mut after) = (0, None);
    loop {
        let (status, told) = harness.jobs(key, JobsWhat::DeleteAll(of.clone(), after));
        assert_eq!(status, 200, "{told}");
        let some = told["deleted"].as_u64().unwrap();
        assert!(some <= 200, "one event deletes {some}");
        deleted += some;
        after = told["next"].as_str().map(str::to_owned);
        if after.is_none() {
            return deleted;
        }
    }
}

#[test]
fn nothing_of_a_jobs_request_answer_or_callback_is_stored_in_clear() {
    let mut harness = Harness::empty();
    harness.put(&expiring(60));
    let app = harness.app("sync");
    let mut keep = harness.keep(&app, "free", "POST");
    keep.admit.path = "/hush-path".to_owned();
    keep.key = Some("hush-key".to_owned());
    keep.request.url = "https://sluice.example/v/free/hush-path?hush-query".to_owned();
    keep.request.headers = vec![("x-own".to_owned(), "hush-header".to_owned())];
    keep.request.body = Bytes(b"hush-body".to_vec());
    keep.request.callback = Some("https://hooks.example.com/hush-callback".to_owned());
    let id = harness.kept(keep);
    let run = one_run(&mut harness);
    assert_eq!(run.request.body.0, b"hush-body");
    let mut told = ran(&run, 400);
    let answer = told.answer.as_mut().unwrap();
    (answer.headers[0].1, answer.body) = ("hush-answer-header".to_owned(), Bytes(b"hush-answer".to_vec()));
    report(&mut harness, told);
    for ((table, row), value) in &harness.memory.rows {
        // Statistics have paths, with their ids folded.
        if *table != Table::Limiter as u8 {
            assert!(!String::from_utf8_lossy(value).contains("hush"), "{table} {row}");
        }
    }
    harness.reopen();
    let shown = harness.job(&app, &id);
    assert_eq!((&shown["path"], &shown["response"]["body"]), (&json!("/hush-path"), &json!("hush-answer")));
    let list = JobsWhat::List { of: Filter::default(), limit: 10, after: None };
    assert_eq!(harness.jobs(&app, list).1["items"][0]["path"], "/hush-path");
}

#[test]
fn a_job_that_has_not_begun_by_its_time_is_a_dead_letter_and_one_that_has_is_not() {
    let mut harness = Harness::empty();
    harness.put(&expiring(60));
    let app = harness.app("sync");
    // One that has begun, and rests before its next attempt; one that waits for the window, which another call fills.
    let begun = kept(&mut harness, &app, "free", "PUT");
    let run = one_run(&mut harness);
    report(&mut harness, ran(&run, 503));
    let mut at = harness.now;
    let waiting: Vec<String> = (0..8).map(|_| kept(&mut harness, &app, "crm", "GET")).collect();
    assert!(harness.tenant.next_alarm().is_some());
    while at < NOON + 59_900 {
        at += 9_000;
        for _ in runs(&mut harness) {}
        harness.go_to(at.min(NOON + 59_999));
        harness.reopen();
    }
    let left: Vec<&String> = waiting.iter().filter(|id| state(&mut harness, &app, id).0 == "queued").collect();
    assert!(!left.is_empty());
    harness.go_to(NOON + 60_000);
    for id in left {
        assert_eq!(state(&mut harness, &app, id), dead("expired"));
    }
    assert_ne!(state(&mut harness, &app, &begun).1, Some("expired".to_owned()));
    // Replayed, it waits as long again.
    let operator = harness.key(json!({"role": "operator"}));
    let id = waiting.last().unwrap();
    assert_eq!(harness.jobs(&operator, JobsWhat::Replay(id.clone())).0, 202);
    let later = harness.now + 9_000;
    harness.go_to(later);
    assert_ne!(state(&mut harness, &app, id).1, Some("expired".to_owned()));
}

#[test]
fn very_many_jobs_expire_some_at_a_time_and_each_is_told_of() {
    let mut harness = Harness::empty();
    harness.put(&expiring(60));
    let app = harness.app("sync");
    for _ in 0..1_000 {
        let mut keep = harness.keep(&app, "crm", "GET");
        keep.request.callback = Some("https://hooks.example.com/in".to_owned());
        harness.kept(keep);
    }
    one_run(&mut harness);
    harness.now = NOON + 60_000;
    assert_eq!(harness.tenant.next_alarm().map(|at| at <= NOON + 60_000), Some(true));
    for _ in 0..5 {
        let before = harness.status()["connections"]["crm"]["jobs"]["dead"].as_u64().unwrap();
        harness.wake();
        let after = harness.status()["connections"]["crm"]["jobs"]["dead"].as_u64().unwrap();
        assert!(after > before && after - before <= 200, "{before} {after}");
    }
    let status = harness.status();
    assert_eq!(status["connections"]["crm"]["jobs"], json!({"queued": 0, "running": 1, "dead": 999}));
    assert_eq!(status["callbacks"]["queued"], 999);
}

#[test]
fn jobs_of_an_app_that_lost_a_connection_or_a_route_are_dead_letters_when_their_turn_comes() {
    for (change, why) in [
        (json!({"connections": ["free"]}), "app"),
        (json!({"routes": ["GET /other"]}), "route"),
        (json!({"routes": ["!/things"]}), "route"),
    ] {
        let (mut harness, app) = setup();
        kept(&mut harness, &app, "crm", "GET");
        let first = one_run(&mut harness);
        report(&mut harness, ran(&first, 200));
        let id = kept(&mut harness, &app, "crm", "GET");
        let mut changed = policy();
        changed["apps"]["sync"] = change;
        assert_eq!(harness.put(&changed).0, 200);
        assert_eq!(state(&mut harness, &app, &id).0, "queued", "its turn has not come");
        harness.go_to(NOON + 11_000);
        assert!(runs(&mut harness).is_empty());
        assert_eq!(state(&mut harness, &app, &id), dead(why));
        assert_eq!(harness.status()["connections"]["crm"]["in_flight"], 0, "and no permit is lost");
        // The app may again: replayed, it goes.
        assert_eq!(harness.put(&policy()).0, 200);
        let operator = harness.key(json!({"role": "operator"}));
        assert_eq!(harness.jobs(&operator, JobsWhat::Replay(id.clone())).0, 202);
        harness.go_to(NOON + 30_000);
        assert!(runs(&mut harness).iter().any(|run| run.job == id));
    }
}

#[test]
fn jobs_of_a_removed_connection_become_dead_letters_some_at_a_time() {
    let (mut harness, app) = setup();
    for _ in 0..500 {
        kept(&mut harness, &app, "crm", "GET");
    }
    one_run(&mut harness);
    let mut without = policy();
    without["connections"].as_object_mut().unwrap().remove("crm");
    without["apps"].as_object_mut().unwrap().remove("form");
    harness.put(&without);
    let list = |harness: &mut Harness| {
        let of = Filter { dead: true, connection: Some("crm".to_owned()), ..Filter::default() };
        let (_, list) = harness.jobs(&app, JobsWhat::List { of, limit: 1_000, after: None });
        assert!(list["items"].as_array().unwrap().iter().all(|item| item["error"] == "connection"));
        list["items"].as_array().unwrap().len()
    };
    assert_eq!(list(&mut harness), 200, "in one event");
    assert!(harness.tenant.next_alarm().is_some_and(|at| at <= harness.now));
    harness.reopen();
    assert_eq!(list(&mut harness), 400, "a life that ends meanwhile forgets none");
    harness.wake();
    assert_eq!(list(&mut harness), 499);
}

#[test]
fn an_operator_deletes_what_matches_and_nobody_else_does() {
    let mut harness = Harness::empty();
    let mut policy = policy();
    policy["apps"]["other"] = json!({});
    harness.put(&policy);
    let (sync, other) = (harness.app("sync"), harness.app("other"));
    let (viewer, operator) = (harness.key(json!({"role": "viewer"})), harness.key(json!({"role": "operator"})));
    for _ in 0..300 {
        kept(&mut harness, &sync, "crm", "GET");
        kept(&mut harness, &other, "crm", "GET");
    }
    let done = kept(&mut harness, &sync, "free", "GET");
    let failed = kept(&mut harness, &sync, "free", "GET");
    for run in runs(&mut harness) {
        if run.connection == "free" {
            report(&mut harness, ran(&run, if run.job == done { 200 } else { 400 }));
        }
    }
    for key in [&sync, &viewer] {
        assert_eq!(harness.jobs(key, JobsWhat::DeleteAll(Filter::default(), None)), (403, json!("role")));
    }
    let of = |app: &str| Filter { app: Some(app.to_owned()), ..Filter::default() };
    let dead = Filter { dead: true, ..Filter::default() };
    assert_eq!(deletes(&mut harness, &operator, &Filter { state: Some(State::Queued), ..dead.clone() }), 0);
    assert_eq!(deletes(&mut harness, &operator, &Filter { connection: Some("crm".to_owned()), ..dead.clone() }), 0);
    assert_eq!(deletes(&mut harness, &operator, &dead), 1);
    assert_eq!(harness.jobs(&operator, JobsWhat::Show(failed)).0, 404);
    // Of the one app the first runs, and stays.
    assert_eq!(deletes(&mut harness, &operator, &Filter { state: Some(State::Queued), ..of("sync") }), 299);
    assert_eq!(deletes(&mut harness, &operator, &Filter { state: Some(State::Running), ..of("sync") }), 0);
    assert_eq!(harness.status()["connections"]["crm"]["jobs"], json!({"queued": 300, "running": 1, "dead": 0}));
    assert_eq!(deletes(&mut harness, &operator, &of("nobody")), 0);
    assert_eq!(deletes(&mut harness, &operator, &Filter::default()), 301, "all but what runs");
    let left = harness.memory.rows.keys().filter(|(table, _)| *table == Table::JobRequest as u8).count();
    assert_eq!(left, 1);
    harness.reopen();
    assert_eq!(harness.status()["connections"]["crm"]["jobs"], json!({"queued": 0, "running": 1, "dead": 0}));
}

#[test]
fn dead_letters_are_deleted_with_the_callbacks_among_them() {
    let mut harness = Harness::empty();
    harness.put(&expiring(60));
    let (app, operator) = (harness.app("sync"), harness.key(json!({"role": "operator"})));
    let mut keep = harness.keep(&app, "free", "GET");
    keep.request.callback = Some("https://hooks.example.com/in".to_owned());
    harness.kept(keep);
    let run = one_run(&mut harness);
    report(&mut harness, ran(&run, 400));
    let mut gone = policy();
    gone["callbacks"] = json!({"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "hosts": []});
    harness.put(&gone);
    assert!(harness.next_task().is_none());
    let of = |connection: &str| Filter { dead: true, connection: Some(connection.to_owned()), ..Filter::default() };
    assert_eq!(deletes(&mut harness, &operator, &of("crm")), 0);
    assert_eq!(deletes(&mut harness, &operator, &of("free")), 2);
    let tables = [Table::Job, Table::JobRequest, Table::JobAnswer, Table::Webhook, Table::WebhookBody];
    assert!(harness.memory.rows.keys().all(|(held, _)| tables.iter().all(|table| *table as u8 != *held)));
}

#[test]
fn a_list_reads_no_more_of_storage_than_it_shows() {
    let mut harness = Harness::empty();
    let mut policy = policy();
    policy["apps"]["other"] = json!({});
    harness.put(&policy);
    let (sync, other) = (harness.app("sync"), harness.app("other"));
    for at in 0..400 {
        harness.now += 1;
        kept(&mut harness, if at % 40 == 0 { &other } else { &sync }, "free", "GET");
    }
    for run in runs(&mut harness) {
        report(&mut harness, ran(&run, 400));
    }
    for of in [Filter { dead: true, ..Filter::default() }, Filter { state: Some(State::Dead), ..Filter::default() }] {
        for (key, limit) in [(&other, 4), (&sync, 7)] {
            let before = harness.memory.loads.get();
            let (_, list) = harness.jobs(key, JobsWhat::List { of: of.clone(), limit, after: None });
            assert_eq!(list["items"].as_array().unwrap().len(), limit as usize);
            assert!(list["next"].is_string());
            assert!(harness.memory.loads.get() - before <= limit, "{}", harness.memory.loads.get() - before);
        }
    }
    let of = Filter { app: Some("sync".to_owned()), ..Filter::default() };
    let (_, list) = harness.jobs(&other, JobsWhat::List { of, limit: 10, after: None });
    assert_eq!(list, json!({"items": []}), "another app's are not to be had by asking for them");
    let viewer = harness.key(json!({"role": "viewer"}));
    let of = Filter { app: Some("other".to_owned()), connection: Some("free".to_owned()), ..Filter::default() };
    let (_, list) = harness.jobs(&viewer, JobsWhat::List { of, limit: 100, after: None });
    assert_eq!(list["items"].as_array().unwrap().len(), 10);
}

#[test]
fn an_answer_that_finds_no_room_is_kept_without_its_body() {
    let (mut harness, app) = setup();
    let (large, next) = (kept(&mut harness, &app, "free", "GET"), kept(&mut harness, &app, "free", "GET"));
    let runs = runs(&mut harness);
    // One that takes all bytes that the app may have.
    let row = harness.memory.rows.get_mut(&(Table::Job as u8, large)).unwrap();
    *row = Record { bytes: 1 << 29, ..Record::from_row(row).unwrap() }.to_row();
    harness.reopen();
    report(&mut harness, ran(&runs[1], 200));
    let shown = harness.job(&app, &next);
    assert_eq!((&shown["state"], &shown["response"]["body"]), (&json!("done"), &json!("")));
    assert_eq!((&shown["response"]["status"], &shown["response"]["truncated"]), (&json!(200), &json!(true)));
    let more = harness.keep(&app, "free", "GET");
    let Reply::Refused(no) = harness.now(Ask::SubmitJob(Box::new(more))) else { panic!() };
    assert_eq!(no.refusal.reason.as_str(), "queue-full");
}

#[test]
fn a_job_is_wholly_there_or_not_at_all_wherever_storage_refuses_and_asking_again_keeps_one() {
    for operations in 0.. {
        let (mut harness, app) = setup();
        let keep = harness.keep(&app, "free", "POST");
        let again = sluice_core::protocol::SubmitJob {
            admit: keep.admit.clone(),
            request: keep.request.clone(),
            made: keep.made,
            key: None,
            wait_ms: None,
        };
        harness.memory.operations_left = Some(operations);
        let cut = harness.try_ask(Ask::SubmitJob(Box::new(keep))).is_err();
        harness.memory.operations_left = None;
        harness.reopen();
        let Reply::Queued(_) = harness.now(Ask::SubmitJob(Box::new(again))) else { panic!() };
        let run = one_run(&mut harness);
        report(&mut harness, ran(&run, 200));
        let list = JobsWhat::List { of: Filter::default(), limit: 10, after: None };
        assert_eq!(harness.jobs(&app, list).1["items"].as_array().unwrap().len(), 1);
        if !cut {
            assert!(operations >= 2);
            return;
        }
    }
}

#[test]
fn an_end_that_storage_cuts_short_is_told_of_all_the_same_under_one_id() {
    for status in [200, 400] {
        for operations in 0.. {
            let mut harness = Harness::empty();
            harness.put(&expiring(60));
            let app = harness.app("sync");
            let mut keep = harness.keep(&app, "free", "POST");
            keep.request.callback = Some("https://hooks.example.com/in".to_owned());
            let id = harness.kept(keep);
            let run = one_run(&mut harness);
            harness.memory.operations_left = Some(operations);
            let cut = harness.try_ask(Ask::RunReport(Box::new(ran(&run, status)))).is_err();
            harness.memory.operations_left = None;
            harness.reopen();
            report(&mut harness, ran(&run, status));
            let expected = if status == 200 { "done" } else { "dead" };
            assert_eq!(state(&mut harness, &app, &id).0, expected, "after {operations}");
            assert_eq!(harness.status()["callbacks"]["queued"], 1, "after {operations} operations");
            if !cut {
                assert!(operations >= 4);
                break;
            }
        }
    }
}

#[test]
fn deleting_and_expiring_that_storage_cuts_short_are_finished_by_going_on() {
    for operations in 0.. {
        let mut harness = Harness::empty();
        harness.put(&expiring(60));
        let (app, operator) = (harness.app("sync"), harness.key(json!({"role": "operator"})));
        for _ in 0..4 {
            kept(&mut harness, &app, "crm", "GET");
        }
        one_run(&mut harness);
        harness.memory.operations_left = Some(operations);
        harness.now = NOON + 60_000;
        let expired = harness.try_wake().is_ok();
        harness.memory.operations_left = None;
        harness.reopen();
        harness.wake();
        let jobs = harness.status()["connections"]["crm"]["jobs"].clone();
        assert_eq!(jobs, json!({"queued": 0, "running": 1, "dead": 3}), "after {operations}");
        harness.memory.operations_left = Some(operations);
        let of = Filter { dead: true, ..Filter::default() };
        let ask = sluice_core::protocol::JobsAsk {
            claims: operator.clone(),
            from_browser: false,
            origin: None,
            own_origin: false,
            what: JobsWhat::DeleteAll(of.clone(), None),
        };
        let deleted = harness.try_ask(Ask::Jobs(Box::new(ask))).is_ok();
        harness.memory.operations_left = None;
        harness.reopen();
        deletes(&mut harness, &operator, &of);
        let left = harness.memory.rows.keys().filter(|(table, _)| *table == Table::JobRequest as u8).count();
        assert_eq!(left, 1, "after {operations}");
        if expired && deleted {
            assert!(operations >= 6);
            return;
        }
    }
}

#[test]
fn jobs_that_a_removal_of_their_connection_leaves_behind_are_gone_with_the_tenant() {
    let (mut harness, app) = setup();
    for _ in 0..300 {
        kept(&mut harness, &app, "crm", "GET");
    }
    let mut without = policy();
    without["connections"].as_object_mut().unwrap().remove("crm");
    without["apps"].as_object_mut().unwrap().remove("form");
    harness.put(&without);
    assert_eq!(harness.admin(Admin::Delete).0, 204);
    let tables = [Table::Job, Table::JobRequest, Table::JobAnswer];
    assert!(harness.memory.rows.keys().all(|(held, _)| tables.iter().all(|table| *table as u8 != *held)));
    harness.wake();
}
