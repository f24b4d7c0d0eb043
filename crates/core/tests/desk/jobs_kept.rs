//! What is kept of jobs, how long, and what storage sees of it.

use crate::jobs::{kept, one_run, ran, report, runs, setup};
use crate::rig::{NOON, Rig, policy};
use serde_json::{Value, json};
use sluice_core::job::{Bytes, Record, State};
use sluice_core::key::Claims;
use sluice_core::tenant::protocol::{Admin, Ask, Filter, JobsWhat, Reply};
use sluice_core::tenant::store::Table;

/// A policy whose jobs expire after a minute.
fn expiring(seconds: u32) -> Value {
    let mut policy = policy();
    policy["jobs"] = json!({"expire_seconds": seconds});
    policy["callbacks"] = json!({"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "hosts": ["hooks.example.com"]});
    policy
}

fn state(rig: &mut Rig, app: &Claims, id: &str) -> (String, Option<String>) {
    let shown = rig.job(app, id);
    (shown["state"].as_str().unwrap().to_owned(), shown["error"].as_str().map(str::to_owned))
}

fn dead(why: &str) -> (String, Option<String>) {
    ("dead".to_owned(), Some(why.to_owned()))
}

fn deletes(rig: &mut Rig, key: &Claims, of: &Filter) -> u64 {
    let (mut deleted, mut after) = (0, None);
    loop {
        let (status, told) = rig.jobs(key, JobsWhat::DeleteAll(of.clone(), after));
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
    let mut rig = Rig::empty();
    rig.put(&expiring(60));
    let app = rig.app("sync");
    let mut keep = rig.keep(&app, "free", "POST");
    keep.admit.path = "/hush-path".to_owned();
    keep.key = Some("hush-key".to_owned());
    keep.request.url = "https://sluice.example/v/free/hush-path?hush-query".to_owned();
    keep.request.headers = vec![("x-own".to_owned(), "hush-header".to_owned())];
    keep.request.body = Bytes(b"hush-body".to_vec());
    keep.request.callback = Some("https://hooks.example.com/hush-callback".to_owned());
    let id = rig.kept(keep);
    let run = one_run(&mut rig);
    assert_eq!(run.request.body.0, b"hush-body");
    let mut told = ran(&run, 400);
    let answer = told.answer.as_mut().unwrap();
    (answer.headers[0].1, answer.body) = ("hush-answer-header".to_owned(), Bytes(b"hush-answer".to_vec()));
    report(&mut rig, told);
    for ((table, row), value) in &rig.memory.rows {
        // Statistics have paths, with their ids folded.
        if *table != Table::Limiter as u8 {
            assert!(!String::from_utf8_lossy(value).contains("hush"), "{table} {row}");
        }
    }
    rig.reopen();
    let shown = rig.job(&app, &id);
    assert_eq!((&shown["path"], &shown["response"]["body"]), (&json!("/hush-path"), &json!("hush-answer")));
    let list = JobsWhat::List { of: Filter::default(), limit: 10, after: None };
    assert_eq!(rig.jobs(&app, list).1["items"][0]["path"], "/hush-path");
}

#[test]
fn a_job_that_has_not_begun_by_its_time_is_a_dead_letter_and_one_that_has_is_not() {
    let mut rig = Rig::empty();
    rig.put(&expiring(60));
    let app = rig.app("sync");
    // One that has begun, and rests before its next attempt; one that waits for the window, which another call fills.
    let begun = kept(&mut rig, &app, "free", "PUT");
    let run = one_run(&mut rig);
    report(&mut rig, ran(&run, 503));
    let mut at = rig.now;
    let waiting: Vec<String> = (0..8).map(|_| kept(&mut rig, &app, "crm", "GET")).collect();
    assert!(rig.desk.next_alarm().is_some());
    while at < NOON + 59_900 {
        at += 9_000;
        for _ in runs(&mut rig) {}
        rig.go_to(at.min(NOON + 59_999));
        rig.reopen();
    }
    let left: Vec<&String> = waiting.iter().filter(|id| state(&mut rig, &app, id).0 == "queued").collect();
    assert!(!left.is_empty());
    rig.go_to(NOON + 60_000);
    for id in left {
        assert_eq!(state(&mut rig, &app, id), dead("expired"));
    }
    assert_ne!(state(&mut rig, &app, &begun).1, Some("expired".to_owned()));
    // Replayed, it waits as long again.
    let operator = rig.key(json!({"role": "operator"}));
    let id = waiting.last().unwrap();
    assert_eq!(rig.jobs(&operator, JobsWhat::Replay(id.clone())).0, 202);
    let later = rig.now + 9_000;
    rig.go_to(later);
    assert_ne!(state(&mut rig, &app, id).1, Some("expired".to_owned()));
}

#[test]
fn very_many_jobs_expire_some_at_a_time_and_each_is_told_of() {
    let mut rig = Rig::empty();
    rig.put(&expiring(60));
    let app = rig.app("sync");
    for _ in 0..1_000 {
        let mut keep = rig.keep(&app, "crm", "GET");
        keep.request.callback = Some("https://hooks.example.com/in".to_owned());
        rig.kept(keep);
    }
    one_run(&mut rig);
    rig.now = NOON + 60_000;
    assert_eq!(rig.desk.next_alarm().map(|at| at <= NOON + 60_000), Some(true));
    for _ in 0..5 {
        let before = rig.status()["connections"]["crm"]["jobs"]["dead"].as_u64().unwrap();
        rig.wake();
        let after = rig.status()["connections"]["crm"]["jobs"]["dead"].as_u64().unwrap();
        assert!(after > before && after - before <= 200, "{before} {after}");
    }
    let status = rig.status();
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
        let (mut rig, app) = setup();
        kept(&mut rig, &app, "crm", "GET");
        let first = one_run(&mut rig);
        report(&mut rig, ran(&first, 200));
        let id = kept(&mut rig, &app, "crm", "GET");
        let mut changed = policy();
        changed["apps"]["sync"] = change;
        assert_eq!(rig.put(&changed).0, 200);
        assert_eq!(state(&mut rig, &app, &id).0, "queued", "its turn has not come");
        rig.go_to(NOON + 11_000);
        assert!(runs(&mut rig).is_empty());
        assert_eq!(state(&mut rig, &app, &id), dead(why));
        assert_eq!(rig.status()["connections"]["crm"]["in_flight"], 0, "and no permit is lost");
        // The app may again: replayed, it goes.
        assert_eq!(rig.put(&policy()).0, 200);
        let operator = rig.key(json!({"role": "operator"}));
        assert_eq!(rig.jobs(&operator, JobsWhat::Replay(id.clone())).0, 202);
        rig.go_to(NOON + 30_000);
        assert!(runs(&mut rig).iter().any(|run| run.job == id));
    }
}

#[test]
fn jobs_of_a_removed_connection_become_dead_letters_some_at_a_time() {
    let (mut rig, app) = setup();
    for _ in 0..500 {
        kept(&mut rig, &app, "crm", "GET");
    }
    one_run(&mut rig);
    let mut without = policy();
    without["connections"].as_object_mut().unwrap().remove("crm");
    without["apps"].as_object_mut().unwrap().remove("form");
    rig.put(&without);
    let list = |rig: &mut Rig| {
        let of = Filter { dead: true, connection: Some("crm".to_owned()), ..Filter::default() };
        let (_, list) = rig.jobs(&app, JobsWhat::List { of, limit: 1_000, after: None });
        assert!(list["items"].as_array().unwrap().iter().all(|item| item["error"] == "connection"));
        list["items"].as_array().unwrap().len()
    };
    assert_eq!(list(&mut rig), 200, "in one event");
    assert!(rig.desk.next_alarm().is_some_and(|at| at <= rig.now));
    rig.reopen();
    assert_eq!(list(&mut rig), 400, "a life that ends meanwhile forgets none");
    rig.wake();
    assert_eq!(list(&mut rig), 499);
}

#[test]
fn an_operator_deletes_what_matches_and_nobody_else_does() {
    let mut rig = Rig::empty();
    let mut policy = policy();
    policy["apps"]["other"] = json!({});
    rig.put(&policy);
    let (sync, other) = (rig.app("sync"), rig.app("other"));
    let (viewer, operator) = (rig.key(json!({"role": "viewer"})), rig.key(json!({"role": "operator"})));
    for _ in 0..300 {
        kept(&mut rig, &sync, "crm", "GET");
        kept(&mut rig, &other, "crm", "GET");
    }
    let done = kept(&mut rig, &sync, "free", "GET");
    let failed = kept(&mut rig, &sync, "free", "GET");
    for run in runs(&mut rig) {
        if run.connection == "free" {
            report(&mut rig, ran(&run, if run.job == done { 200 } else { 400 }));
        }
    }
    for key in [&sync, &viewer] {
        assert_eq!(rig.jobs(key, JobsWhat::DeleteAll(Filter::default(), None)), (403, json!("role")));
    }
    let of = |app: &str| Filter { app: Some(app.to_owned()), ..Filter::default() };
    let dead = Filter { dead: true, ..Filter::default() };
    assert_eq!(deletes(&mut rig, &operator, &Filter { state: Some(State::Queued), ..dead.clone() }), 0);
    assert_eq!(deletes(&mut rig, &operator, &Filter { connection: Some("crm".to_owned()), ..dead.clone() }), 0);
    assert_eq!(deletes(&mut rig, &operator, &dead), 1);
    assert_eq!(rig.jobs(&operator, JobsWhat::Show(failed)).0, 404);
    // Of the one app the first runs, and stays.
    assert_eq!(deletes(&mut rig, &operator, &Filter { state: Some(State::Queued), ..of("sync") }), 299);
    assert_eq!(deletes(&mut rig, &operator, &Filter { state: Some(State::Running), ..of("sync") }), 0);
    assert_eq!(rig.status()["connections"]["crm"]["jobs"], json!({"queued": 300, "running": 1, "dead": 0}));
    assert_eq!(deletes(&mut rig, &operator, &of("nobody")), 0);
    assert_eq!(deletes(&mut rig, &operator, &Filter::default()), 301, "all but what runs");
    let left = rig.memory.rows.keys().filter(|(table, _)| *table == Table::JobRequest as u8).count();
    assert_eq!(left, 1);
    rig.reopen();
    assert_eq!(rig.status()["connections"]["crm"]["jobs"], json!({"queued": 0, "running": 1, "dead": 0}));
}

#[test]
fn dead_letters_are_deleted_with_the_callbacks_among_them() {
    let mut rig = Rig::empty();
    rig.put(&expiring(60));
    let (app, operator) = (rig.app("sync"), rig.key(json!({"role": "operator"})));
    let mut keep = rig.keep(&app, "free", "GET");
    keep.request.callback = Some("https://hooks.example.com/in".to_owned());
    rig.kept(keep);
    let run = one_run(&mut rig);
    report(&mut rig, ran(&run, 400));
    let mut gone = policy();
    gone["callbacks"] = json!({"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "hosts": []});
    rig.put(&gone);
    assert!(rig.next_errand().is_none());
    let of = |connection: &str| Filter { dead: true, connection: Some(connection.to_owned()), ..Filter::default() };
    assert_eq!(deletes(&mut rig, &operator, &of("crm")), 0);
    assert_eq!(deletes(&mut rig, &operator, &of("free")), 2);
    let tables = [Table::Job, Table::JobRequest, Table::JobAnswer, Table::Webhook, Table::WebhookBody];
    assert!(rig.memory.rows.keys().all(|(held, _)| tables.iter().all(|table| *table as u8 != *held)));
}

#[test]
fn a_list_reads_no_more_of_storage_than_it_shows() {
    let mut rig = Rig::empty();
    let mut policy = policy();
    policy["apps"]["other"] = json!({});
    rig.put(&policy);
    let (sync, other) = (rig.app("sync"), rig.app("other"));
    for at in 0..400 {
        rig.now += 1;
        kept(&mut rig, if at % 40 == 0 { &other } else { &sync }, "free", "GET");
    }
    for run in runs(&mut rig) {
        report(&mut rig, ran(&run, 400));
    }
    for of in [Filter { dead: true, ..Filter::default() }, Filter { state: Some(State::Dead), ..Filter::default() }] {
        for (key, limit) in [(&other, 4), (&sync, 7)] {
            let before = rig.memory.loads.get();
            let (_, list) = rig.jobs(key, JobsWhat::List { of: of.clone(), limit, after: None });
            assert_eq!(list["items"].as_array().unwrap().len(), limit as usize);
            assert!(list["next"].is_string());
            assert!(rig.memory.loads.get() - before <= limit, "{}", rig.memory.loads.get() - before);
        }
    }
    let of = Filter { app: Some("sync".to_owned()), ..Filter::default() };
    let (_, list) = rig.jobs(&other, JobsWhat::List { of, limit: 10, after: None });
    assert_eq!(list, json!({"items": []}), "another app's are not to be had by asking for them");
    let viewer = rig.key(json!({"role": "viewer"}));
    let of = Filter { app: Some("other".to_owned()), connection: Some("free".to_owned()), ..Filter::default() };
    let (_, list) = rig.jobs(&viewer, JobsWhat::List { of, limit: 100, after: None });
    assert_eq!(list["items"].as_array().unwrap().len(), 10);
}

#[test]
fn an_answer_that_finds_no_room_is_kept_without_its_body() {
    let (mut rig, app) = setup();
    let (large, next) = (kept(&mut rig, &app, "free", "GET"), kept(&mut rig, &app, "free", "GET"));
    let runs = runs(&mut rig);
    // One that takes all bytes that the app may have.
    let row = rig.memory.rows.get_mut(&(Table::Job as u8, large)).unwrap();
    *row = Record { bytes: 1 << 29, ..Record::from_row(row).unwrap() }.to_row();
    rig.reopen();
    report(&mut rig, ran(&runs[1], 200));
    let shown = rig.job(&app, &next);
    assert_eq!((&shown["state"], &shown["response"]["body"]), (&json!("done"), &json!("")));
    assert_eq!((&shown["response"]["status"], &shown["response"]["truncated"]), (&json!(200), &json!(true)));
    let more = rig.keep(&app, "free", "GET");
    let Reply::No(no) = rig.now(Ask::Keep(Box::new(more))) else { panic!() };
    assert_eq!(no.refusal.reason.as_str(), "queue-full");
}

#[test]
fn a_job_is_wholly_there_or_not_at_all_wherever_storage_refuses_and_asking_again_keeps_one() {
    for operations in 0.. {
        let (mut rig, app) = setup();
        let keep = rig.keep(&app, "free", "POST");
        let again = sluice_core::tenant::protocol::Keep {
            admit: keep.admit.clone(),
            request: keep.request.clone(),
            made: keep.made,
            key: None,
            wait_ms: 0,
        };
        rig.memory.operations_left = Some(operations);
        let cut = rig.try_ask(Ask::Keep(Box::new(keep))).is_err();
        rig.memory.operations_left = None;
        rig.reopen();
        let Reply::Kept(_) = rig.now(Ask::Keep(Box::new(again))) else { panic!() };
        let run = one_run(&mut rig);
        report(&mut rig, ran(&run, 200));
        let list = JobsWhat::List { of: Filter::default(), limit: 10, after: None };
        assert_eq!(rig.jobs(&app, list).1["items"].as_array().unwrap().len(), 1);
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
            let mut rig = Rig::empty();
            rig.put(&expiring(60));
            let app = rig.app("sync");
            let mut keep = rig.keep(&app, "free", "POST");
            keep.request.callback = Some("https://hooks.example.com/in".to_owned());
            let id = rig.kept(keep);
            let run = one_run(&mut rig);
            rig.memory.operations_left = Some(operations);
            let cut = rig.try_ask(Ask::Ran(Box::new(ran(&run, status)))).is_err();
            rig.memory.operations_left = None;
            rig.reopen();
            report(&mut rig, ran(&run, status));
            let expected = if status == 200 { "done" } else { "dead" };
            assert_eq!(state(&mut rig, &app, &id).0, expected, "after {operations}");
            assert_eq!(rig.status()["callbacks"]["queued"], 1, "after {operations} operations");
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
        let mut rig = Rig::empty();
        rig.put(&expiring(60));
        let (app, operator) = (rig.app("sync"), rig.key(json!({"role": "operator"})));
        for _ in 0..4 {
            kept(&mut rig, &app, "crm", "GET");
        }
        one_run(&mut rig);
        rig.memory.operations_left = Some(operations);
        rig.now = NOON + 60_000;
        let expired = rig.try_wake().is_ok();
        rig.memory.operations_left = None;
        rig.reopen();
        rig.wake();
        let jobs = rig.status()["connections"]["crm"]["jobs"].clone();
        assert_eq!(jobs, json!({"queued": 0, "running": 1, "dead": 3}), "after {operations}");
        rig.memory.operations_left = Some(operations);
        let of = Filter { dead: true, ..Filter::default() };
        let ask = sluice_core::tenant::protocol::JobsAsk {
            claims: operator.clone(),
            page: false,
            origin: None,
            own_origin: false,
            what: JobsWhat::DeleteAll(of.clone(), None),
        };
        let deleted = rig.try_ask(Ask::Jobs(Box::new(ask))).is_ok();
        rig.memory.operations_left = None;
        rig.reopen();
        deletes(&mut rig, &operator, &of);
        let left = rig.memory.rows.keys().filter(|(table, _)| *table == Table::JobRequest as u8).count();
        assert_eq!(left, 1, "after {operations}");
        if expired && deleted {
            assert!(operations >= 6);
            return;
        }
    }
}

#[test]
fn jobs_that_a_removal_of_their_connection_leaves_behind_are_gone_with_the_tenant() {
    let (mut rig, app) = setup();
    for _ in 0..300 {
        kept(&mut rig, &app, "crm", "GET");
    }
    let mut without = policy();
    without["connections"].as_object_mut().unwrap().remove("crm");
    without["apps"].as_object_mut().unwrap().remove("form");
    rig.put(&without);
    assert_eq!(rig.admin(Admin::Delete).0, 204);
    let tables = [Table::Job, Table::JobRequest, Table::JobAnswer];
    assert!(rig.memory.rows.keys().all(|(held, _)| tables.iter().all(|table| *table as u8 != *held)));
    rig.wake();
}
