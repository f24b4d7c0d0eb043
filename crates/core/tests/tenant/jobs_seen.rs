//! The API for jobs and dead letters: each is found, listed, replayed and deleted only with the
//! keys that may.

use crate::harness::{Harness, NOON, policy};
use crate::job_steps::{DAY, kept, one_run, ran, report, runs, setup};
use serde_json::json;
use sluice_core::jobs::Bytes;
use sluice_core::keys::Claims;
use sluice_core::protocol::{Ask, Deletable, Filter, JobsWhat, Reply};
use sluice_core::tenant::store::Table;

#[test]
fn the_same_idempotency_key_gives_the_same_job_for_a_day_and_another_request_is_refused() {
    let (mut harness, app) = setup();
    let ask = |harness: &mut Harness, body: &[u8]| {
        let mut keep = harness.keep(&app, "free", "POST");
        keep.key = Some("order-1".to_owned());
        keep.request.body = Bytes(body.to_vec());
        keep
    };
    let keep = ask(&mut harness, b"a");
    let id = harness.kept(keep);
    let keep = ask(&mut harness, b"a");
    assert_eq!(harness.kept(keep), id);
    harness.reopen();
    let keep = ask(&mut harness, b"a");
    assert_eq!(harness.kept(keep), id, "it outlives the object");
    let Reply::Refused(no) = ({
        let keep = ask(&mut harness, b"b");
        harness.now(Ask::SubmitJob(Box::new(keep)))
    }) else {
        panic!()
    };
    assert_eq!((no.refusal.reason.status(), no.refusal.reason.as_str()), (422, "idempotency-key"));
    harness.go_to(NOON + DAY);
    let keep = ask(&mut harness, b"b");
    assert_ne!(harness.kept(keep), id);
}

#[test]
fn another_apps_key_and_another_tenants_find_no_job() {
    let mut harness = Harness::new();
    let mut both = policy();
    both["apps"]["other"] = json!({});
    harness.put(&both);
    let (app, other) = (harness.app("sync"), harness.app("other"));
    let id = kept(&mut harness, &app, "free", "GET");
    assert_eq!(harness.jobs(&other, JobsWhat::Show(id.clone())), (404, json!("not-found")));
    let (_, list) = harness.jobs(&other, JobsWhat::List { of: Filter::default(), limit: 10, after: None });
    assert_eq!(list["items"], json!([]));
    let foreign = Claims { tenant: "other".to_owned(), ..app.clone() };
    assert_eq!(harness.jobs(&foreign, JobsWhat::Show(id.clone())).0, 401);
    let viewer = harness.key(json!({"role": "viewer"}));
    assert_eq!(harness.jobs(&viewer, JobsWhat::Show(id)).0, 200);
}

#[test]
fn a_viewer_sees_no_bodies_and_only_an_operator_replays_and_deletes() {
    let (mut harness, app) = setup();
    let id = kept(&mut harness, &app, "free", "GET");
    let run = one_run(&mut harness);
    report(&mut harness, ran(&run, 400));
    let (viewer, operator) = (harness.key(json!({"role": "viewer"})), harness.key(json!({"role": "operator"})));
    assert!(harness.job(&viewer, &id)["response"].get("body").is_none());
    assert_eq!(harness.job(&operator, &id)["response"]["body_encoding"], "utf-8");
    assert_eq!(harness.jobs(&viewer, JobsWhat::Answer(id.clone())).0, 403);
    for what in
        [|id| JobsWhat::Replay(id), |id| JobsWhat::Delete(id, Deletable::DeadLetter), |_| JobsWhat::ReplayAll(None)]
    {
        for key in [&viewer, &app] {
            assert_eq!(harness.jobs(key, what(id.clone())), (403, json!("role")));
        }
    }
    assert_eq!(harness.jobs(&operator, JobsWhat::Delete(id.clone(), Deletable::DeadLetter)).0, 204);
    assert_eq!(harness.jobs(&operator, JobsWhat::Show(id)).0, 404);
    let tables = [Table::Job as u8, Table::JobRequest as u8, Table::JobAnswer as u8];
    assert!(harness.memory.rows.keys().all(|(table, _)| !tables.contains(table)), "nothing is left of it");
}

#[test]
fn a_dead_letter_is_replayed_with_attempts_anew_and_a_live_job_is_not() {
    let (mut harness, app) = setup();
    let operator = harness.key(json!({"role": "operator"}));
    let id = kept(&mut harness, &app, "free", "POST");
    assert_eq!(harness.jobs(&operator, JobsWhat::Replay(id.clone())), (409, json!("live")));
    let run = one_run(&mut harness);
    assert_eq!(harness.jobs(&operator, JobsWhat::Delete(id.clone(), Deletable::Job)), (409, json!("live")), "it runs");
    report(&mut harness, ran(&run, 400));
    let (status, shown) = harness.jobs(&operator, JobsWhat::Replay(id.clone()));
    assert_eq!((status, shown["state"].as_str(), shown.get("error")), (202, Some("queued"), None));
    let run = one_run(&mut harness);
    assert_eq!(run.run, 2);
    report(&mut harness, ran(&run, 200));
    let shown = harness.job(&app, &id);
    assert_eq!((shown["state"].as_str(), shown["attempts"].as_array().map(Vec::len)), (Some("done"), Some(2)));
}

#[test]
fn all_dead_letters_are_replayed_at_the_rate_the_limits_allow() {
    let (mut harness, app) = setup();
    let operator = harness.key(json!({"role": "operator"}));
    for _ in 0..30 {
        kept(&mut harness, &app, "free", "POST");
    }
    for run in runs(&mut harness) {
        report(&mut harness, ran(&run, 400));
    }
    let mut limited = policy();
    limited["connections"]["free"]["limits"] =
        json!([{"name": "r", "kind": "rolling_window", "calls": 4, "seconds": 10}]);
    harness.put(&limited);
    assert_eq!(harness.jobs(&operator, JobsWhat::ReplayAll(None)), (202, json!({"replayed": 30})));
    assert!(runs(&mut harness).is_empty(), "the window remembers the thirty");
    harness.go_to(NOON + 10_001);
    assert_eq!(runs(&mut harness).len(), 4);
}

#[test]
fn a_list_goes_on_where_it_ended() {
    let (mut harness, app) = setup();
    let mut ids: Vec<String> = (0..5)
        .map(|_| {
            harness.now += 1;
            kept(&mut harness, &app, "crm", "GET")
        })
        .collect();
    ids.reverse();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let (_, list) = harness.jobs(&app, JobsWhat::List { of: Filter::default(), limit: 2, after });
        seen.extend(list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        after = list["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids, "the newest first");
    let (status, _) = harness.jobs(&app, JobsWhat::List { of: Filter::default(), limit: 2, after: Some("x".into()) });
    assert_eq!(status, 400);
}

#[test]
fn a_callback_goes_to_the_policys_hosts_alone() {
    let (mut harness, app) = setup();
    let mut keep = harness.keep(&app, "free", "GET");
    keep.request.callback = Some("https://evil.example.com/x".to_owned());
    let Reply::Refused(no) = harness.now(Ask::SubmitJob(Box::new(keep))) else { panic!() };
    assert_eq!(no.refusal.reason.status(), 400);
}

#[test]
fn the_key_of_a_page_reads_a_job_by_its_id_and_lists_none() {
    const PAGE: Option<&str> = Some("https://www.example.com");
    let (mut harness, _) = setup();
    let page = harness.app("form");
    let mut keep = harness.keep(&page, "crm", "POST");
    (keep.admit.path, keep.admit.from_browser, keep.admit.origin) =
        ("/leads".to_owned(), true, PAGE.map(str::to_owned));
    let id = harness.kept(keep);
    let run = one_run(&mut harness);
    report(&mut harness, ran(&run, 400));
    assert_eq!(harness.jobs_from(&page, PAGE, JobsWhat::Show(id.clone())).1["response"]["body"], "the answer");
    assert_eq!(harness.jobs_from(&page, PAGE, JobsWhat::Answer(id)).0, 200);
    for dead in [false, true] {
        let list = JobsWhat::List { of: Filter { dead, ..Filter::default() }, limit: 10, after: None };
        assert_eq!(harness.jobs_from(&page, PAGE, list), (403, json!("role")));
    }
    assert_eq!(harness.jobs_from(&page, PAGE, JobsWhat::ReplayAll(None)), (403, json!("role")));
    let list = JobsWhat::List { of: Filter::default(), limit: 10, after: None };
    assert_eq!(harness.jobs_from(&page, Some("https://evil.example.com"), list), (403, json!("origin")));
}

#[test]
fn a_viewer_sees_what_an_answer_is_and_an_operator_all_of_it_but_its_cookies() {
    let (mut harness, app) = setup();
    let id = kept(&mut harness, &app, "free", "GET");
    let run = one_run(&mut harness);
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut told = ran(&run, 200);
    told.answer.as_mut().unwrap().headers = vec![
        header("content-type", "text/plain"),
        header("Content-Length", "10"),
        header("Date", "Mon, 15 Jun 2026 12:00:00 GMT"),
        header("X-Account", "hush"),
        header("Set-Cookie", "session=hush-cookie"),
    ];
    report(&mut harness, told);
    let (viewer, operator) = (harness.key(json!({"role": "viewer"})), harness.key(json!({"role": "operator"})));
    let seen = harness.job(&viewer, &id);
    let kept =
        json!([["content-type", "text/plain"], ["Content-Length", "10"], ["Date", "Mon, 15 Jun 2026 12:00:00 GMT"]]);
    assert_eq!(seen["response"], json!({"status": 200, "headers": kept, "truncated": false}));
    for key in [&app, &operator] {
        let seen = harness.job(key, &id);
        assert_eq!(seen["response"]["headers"][3], json!(["X-Account", "hush"]));
        assert_eq!(seen["response"]["headers"].as_array().unwrap().len(), 4);
        assert_eq!(seen["response"]["body"], "the answer");
    }
    assert!(!harness.memory.rows.values().any(|row| String::from_utf8_lossy(row).contains("hush-cookie")));
}
