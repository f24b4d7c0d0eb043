//! Jobs and dead letters as keys see them: found again, listed, replayed, deleted, each by whom it concerns alone.

use crate::jobs::{DAY, kept, one_run, ran, report, runs, setup};
use crate::rig::{NOON, Rig, policy};
use serde_json::json;
use sluice_core::job::Bytes;
use sluice_core::key::Claims;
use sluice_core::tenant::protocol::{Ask, Filter, JobsWhat, Reply};
use sluice_core::tenant::store::Table;

#[test]
fn the_same_idempotency_key_gives_the_same_job_for_a_day_and_another_request_is_refused() {
    let (mut rig, app) = setup();
    let ask = |rig: &mut Rig, body: &[u8]| {
        let mut keep = rig.keep(&app, "free", "POST");
        keep.key = Some("order-1".to_owned());
        keep.request.body = Bytes(body.to_vec());
        keep
    };
    let keep = ask(&mut rig, b"a");
    let id = rig.kept(keep);
    let keep = ask(&mut rig, b"a");
    assert_eq!(rig.kept(keep), id);
    rig.reopen();
    let keep = ask(&mut rig, b"a");
    assert_eq!(rig.kept(keep), id, "it outlives the object");
    let Reply::No(no) = ({
        let keep = ask(&mut rig, b"b");
        rig.now(Ask::Keep(Box::new(keep)))
    }) else {
        panic!()
    };
    assert_eq!((no.refusal.reason.status(), no.refusal.reason.as_str()), (422, "idempotency-key"));
    rig.go_to(NOON + DAY);
    let keep = ask(&mut rig, b"b");
    assert_ne!(rig.kept(keep), id);
}

#[test]
fn another_apps_key_and_another_tenants_find_no_job() {
    let mut rig = Rig::new();
    let mut both = policy();
    both["apps"]["other"] = json!({});
    rig.put(&both);
    let (app, other) = (rig.app("sync"), rig.app("other"));
    let id = kept(&mut rig, &app, "free", "GET");
    assert_eq!(rig.jobs(&other, JobsWhat::Show(id.clone())), (404, json!("not-found")));
    let (_, list) = rig.jobs(&other, JobsWhat::List { of: Filter::default(), limit: 10, after: None });
    assert_eq!(list["items"], json!([]));
    let foreign = Claims { tenant: "other".to_owned(), ..app.clone() };
    assert_eq!(rig.jobs(&foreign, JobsWhat::Show(id.clone())).0, 401);
    let viewer = rig.key(json!({"role": "viewer"}));
    assert_eq!(rig.jobs(&viewer, JobsWhat::Show(id)).0, 200);
}

#[test]
fn a_viewer_sees_no_bodies_and_only_an_operator_replays_and_deletes() {
    let (mut rig, app) = setup();
    let id = kept(&mut rig, &app, "free", "GET");
    let run = one_run(&mut rig);
    report(&mut rig, ran(&run, 400));
    let (viewer, operator) = (rig.key(json!({"role": "viewer"})), rig.key(json!({"role": "operator"})));
    assert!(rig.job(&viewer, &id)["response"].get("body").is_none());
    assert_eq!(rig.job(&operator, &id)["response"]["body_encoding"], "utf-8");
    assert_eq!(rig.jobs(&viewer, JobsWhat::Answer(id.clone())).0, 403);
    for what in [|id| JobsWhat::Replay(id), |id| JobsWhat::Delete(id, true), |_| JobsWhat::ReplayAll(None)] {
        for key in [&viewer, &app] {
            assert_eq!(rig.jobs(key, what(id.clone())), (403, json!("role")));
        }
    }
    assert_eq!(rig.jobs(&operator, JobsWhat::Delete(id.clone(), true)).0, 204);
    assert_eq!(rig.jobs(&operator, JobsWhat::Show(id)).0, 404);
    let tables = [Table::Job as u8, Table::JobRequest as u8, Table::JobAnswer as u8];
    assert!(rig.memory.rows.keys().all(|(table, _)| !tables.contains(table)), "nothing is left of it");
}

#[test]
fn a_dead_letter_is_replayed_with_attempts_anew_and_a_live_job_is_not() {
    let (mut rig, app) = setup();
    let operator = rig.key(json!({"role": "operator"}));
    let id = kept(&mut rig, &app, "free", "POST");
    assert_eq!(rig.jobs(&operator, JobsWhat::Replay(id.clone())), (409, json!("live")));
    let run = one_run(&mut rig);
    assert_eq!(rig.jobs(&operator, JobsWhat::Delete(id.clone(), false)), (409, json!("live")), "it runs");
    report(&mut rig, ran(&run, 400));
    let (status, shown) = rig.jobs(&operator, JobsWhat::Replay(id.clone()));
    assert_eq!((status, shown["state"].as_str(), shown.get("error")), (202, Some("queued"), None));
    let run = one_run(&mut rig);
    assert_eq!(run.run, 2);
    report(&mut rig, ran(&run, 200));
    let shown = rig.job(&app, &id);
    assert_eq!((shown["state"].as_str(), shown["attempts"].as_array().map(Vec::len)), (Some("done"), Some(2)));
}

#[test]
fn all_dead_letters_are_replayed_at_the_rate_the_limits_allow() {
    let (mut rig, app) = setup();
    let operator = rig.key(json!({"role": "operator"}));
    for _ in 0..30 {
        kept(&mut rig, &app, "free", "POST");
    }
    for run in runs(&mut rig) {
        report(&mut rig, ran(&run, 400));
    }
    let mut limited = policy();
    limited["connections"]["free"]["limits"] =
        json!([{"name": "r", "kind": "rolling_window", "calls": 4, "seconds": 10}]);
    rig.put(&limited);
    assert_eq!(rig.jobs(&operator, JobsWhat::ReplayAll(None)), (202, json!({"replayed": 30})));
    assert!(runs(&mut rig).is_empty(), "the window remembers the thirty");
    rig.go_to(NOON + 10_001);
    assert_eq!(runs(&mut rig).len(), 4);
}

#[test]
fn a_list_goes_on_where_it_ended() {
    let (mut rig, app) = setup();
    let mut ids: Vec<String> = (0..5)
        .map(|_| {
            rig.now += 1;
            kept(&mut rig, &app, "crm", "GET")
        })
        .collect();
    ids.reverse();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let (_, list) = rig.jobs(&app, JobsWhat::List { of: Filter::default(), limit: 2, after });
        seen.extend(list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        after = list["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids, "the newest first");
    let (status, _) = rig.jobs(&app, JobsWhat::List { of: Filter::default(), limit: 2, after: Some("x".into()) });
    assert_eq!(status, 400);
}

#[test]
fn a_callback_goes_to_the_policys_hosts_alone() {
    let (mut rig, app) = setup();
    let mut keep = rig.keep(&app, "free", "GET");
    keep.request.callback = Some("https://evil.example.com/x".to_owned());
    let Reply::No(no) = rig.now(Ask::Keep(Box::new(keep))) else { panic!() };
    assert_eq!(no.refusal.reason.status(), 400);
}

#[test]
fn the_key_of_a_page_reads_a_job_by_its_id_and_lists_none() {
    const PAGE: Option<&str> = Some("https://www.example.com");
    let (mut rig, _) = setup();
    let page = rig.app("form");
    let mut keep = rig.keep(&page, "crm", "POST");
    (keep.admit.path, keep.admit.page, keep.admit.origin) = ("/leads".to_owned(), true, PAGE.map(str::to_owned));
    let id = rig.kept(keep);
    let run = one_run(&mut rig);
    report(&mut rig, ran(&run, 400));
    assert_eq!(rig.jobs_from(&page, PAGE, JobsWhat::Show(id.clone())).1["response"]["body"], "the answer");
    assert_eq!(rig.jobs_from(&page, PAGE, JobsWhat::Answer(id)).0, 200);
    for dead in [false, true] {
        let list = JobsWhat::List { of: Filter { dead, ..Filter::default() }, limit: 10, after: None };
        assert_eq!(rig.jobs_from(&page, PAGE, list), (403, json!("role")));
    }
    assert_eq!(rig.jobs_from(&page, PAGE, JobsWhat::ReplayAll(None)), (403, json!("role")));
    let list = JobsWhat::List { of: Filter::default(), limit: 10, after: None };
    assert_eq!(rig.jobs_from(&page, Some("https://evil.example.com"), list), (403, json!("origin")));
}

#[test]
fn a_viewer_sees_what_an_answer_is_and_an_operator_all_of_it_but_its_cookies() {
    let (mut rig, app) = setup();
    let id = kept(&mut rig, &app, "free", "GET");
    let run = one_run(&mut rig);
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut told = ran(&run, 200);
    told.answer.as_mut().unwrap().headers = vec![
        header("content-type", "text/plain"),
        header("Content-Length", "10"),
        header("Date", "Mon, 15 Jun 2026 12:00:00 GMT"),
        header("X-Account", "hush"),
        header("Set-Cookie", "session=hush-cookie"),
    ];
    report(&mut rig, told);
    let (viewer, operator) = (rig.key(json!({"role": "viewer"})), rig.key(json!({"role": "operator"})));
    let seen = rig.job(&viewer, &id);
    let kept =
        json!([["content-type", "text/plain"], ["Content-Length", "10"], ["Date", "Mon, 15 Jun 2026 12:00:00 GMT"]]);
    assert_eq!(seen["response"], json!({"status": 200, "headers": kept, "truncated": false}));
    for key in [&app, &operator] {
        let seen = rig.job(key, &id);
        assert_eq!(seen["response"]["headers"][3], json!(["X-Account", "hush"]));
        assert_eq!(seen["response"]["headers"].as_array().unwrap().len(), 4);
        assert_eq!(seen["response"]["body"], "the answer");
    }
    assert!(!rig.memory.rows.values().any(|row| String::from_utf8_lossy(row).contains("hush-cookie")));
}
