//! Jobs at the tenant state: they are stored, run, retried and ended.

use crate::harness::{Harness, NOON, policy};
use crate::job_steps::{DAY, grants, kept, one_run, ran, report, runs, setup};
use serde_json::{Value, json};
use sluice_core::protocol::{Ask, JobsWhat, Reply, RunReport, SubmitJob};
use sluice_core::tenant::state::{Answer, Ticket};
use sluice_core::tenant::store::Table;
use sluice_core::tenant::task::Task;

#[test]
fn a_job_is_stored_before_its_caller_hears_of_it_and_runs_when_the_vendor_takes_it() {
    let (mut harness, app) = setup();
    let id = kept(&mut harness, &app, "free", "POST");
    assert_eq!(harness.job(&app, &id)["state"], "queued");
    harness.reopen();
    let run = one_run(&mut harness);
    assert_eq!((run.job.as_str(), run.run, run.request.method.as_str()), (id.as_str(), 1, "POST"));
    assert_eq!(harness.job(&app, &id)["state"], "running");
    harness.now += 100;
    report(&mut harness, ran(&run, 200));
    let shown = harness.job(&app, &id);
    assert_eq!((shown["state"].as_str(), shown["response"]["body"].as_str()), (Some("done"), Some("the answer")));
    assert_eq!(shown["attempts"], json!([{"at": "2026-06-15T12:00:00.000Z", "status": 200}]));
    assert_eq!(harness.jobs(&app, JobsWhat::Answer(id)), (200, json!("the answer")));
    assert_eq!(harness.tenant.next_alarm(), Some(harness.now + DAY), "nothing more is to be done but to forget it");
}

#[test]
fn jobs_keep_to_the_limits_of_direct_calls_and_take_none_of_their_places() {
    let (mut harness, app) = setup();
    for _ in 0..20 {
        kept(&mut harness, &app, "crm", "GET");
    }
    let run = one_run(&mut harness);
    for _ in 0..5 {
        let admit = harness.admit(&app, "crm");
        assert!(matches!(harness.ask(Ask::Admit(admit)), Answer::Wait(_)), "jobs make no queue full");
    }
    assert_eq!(harness.status()["connections"]["crm"]["queue"]["depth"], 5);
    let numbers = json!({"queued": 19, "running": 1, "dead": 0});
    assert_eq!(harness.status()["connections"]["crm"]["jobs"], numbers);
    report(&mut harness, ran(&run, 200));
    harness.go_to(NOON + 10_001);
    assert!(runs(&mut harness).is_empty(), "of one app, what is called directly goes first");
    assert_eq!(grants(&mut harness), 1);
}

#[test]
fn of_two_apps_each_gets_its_share_whether_it_calls_directly_or_by_jobs() {
    let mut harness = Harness::empty();
    let mut policy = policy();
    policy["apps"]["form"] = json!({});
    policy["connections"]["crm"]["limits"][0]["calls"] = json!(10);
    policy["connections"]["crm"]["queue"]["size"] = json!(100);
    harness.put(&policy);
    let (sync, form) = (harness.app("sync"), harness.app("form"));
    for _ in 0..200 {
        kept(&mut harness, &sync, "crm", "GET");
    }
    let first = runs(&mut harness);
    assert_eq!(first.len(), 10);
    for _ in 0..40 {
        let admit = harness.admit(&form, "crm");
        assert!(matches!(harness.ask(Ask::Admit(admit)), Answer::Wait(_)));
    }
    harness.now += 100;
    for run in &first {
        report(&mut harness, ran(run, 200));
    }
    harness.go_to(NOON + 10_102);
    let direct = grants(&mut harness);
    let jobs = runs(&mut harness).len();
    assert_eq!(direct + jobs, 10);
    assert!((4..=6).contains(&jobs), "{jobs} of 10 to the jobs of an app that had ten before");
}

#[test]
fn jobs_of_a_removed_connection_are_dead_letters_and_a_removed_tenant_leaves_none() {
    let (mut harness, app) = setup();
    let id = kept(&mut harness, &app, "crm", "GET");
    let waiting = kept(&mut harness, &app, "crm", "GET");
    let run = one_run(&mut harness);
    let mut without = policy();
    without["connections"].as_object_mut().unwrap().remove("crm");
    without["apps"].as_object_mut().unwrap().remove("form");
    harness.put(&without);
    assert_eq!(harness.job(&app, &waiting)["error"], "connection");
    assert_eq!(harness.job(&app, &id)["state"], "running", "its Worker will say how it ended");
    report(&mut harness, ran(&run, 200));
    assert_eq!(harness.job(&app, &id)["state"], "done");
    harness.admin(sluice_core::protocol::Admin::Delete);
    let left: Vec<u8> =
        harness.memory.rows.keys().map(|(table, _)| *table).filter(|t| *t != Table::Tombstone as u8).collect();
    assert_eq!(left, Vec::<u8>::new());
}

#[test]
fn a_changed_policy_keeps_the_queue_and_counts_what_now_limits_it() {
    let (mut harness, app) = setup();
    for _ in 0..10 {
        kept(&mut harness, &app, "free", "GET");
    }
    let mut limited = policy();
    let limit = json!({"name": "r", "kind": "rolling_window", "calls": 3, "seconds": 10, "routes": ["GET /things"]});
    limited["connections"]["free"]["limits"] = json!([limit]);
    harness.put(&limited);
    assert_eq!(runs(&mut harness).len(), 3);
    assert_eq!(harness.status()["connections"]["free"]["jobs"]["queued"], 7);
}

#[test]
fn results_are_kept_a_day_and_dead_letters_a_month() {
    let (mut harness, app) = setup();
    let (good, bad) = (kept(&mut harness, &app, "free", "GET"), kept(&mut harness, &app, "free", "GET"));
    let runs = runs(&mut harness);
    report(&mut harness, ran(&runs[0], 200));
    report(&mut harness, ran(&runs[1], 400));
    harness.reopen();
    assert_eq!(harness.tenant.next_alarm(), Some(NOON + DAY));
    harness.go_to(NOON + DAY - 1);
    assert_eq!(harness.job(&app, &good)["state"], "done");
    harness.go_to(NOON + DAY);
    assert_eq!(harness.jobs(&app, JobsWhat::Show(good)).0, 404);
    assert_eq!(harness.job(&app, &bad)["state"], "dead");
    harness.go_to(NOON + 30 * DAY);
    assert_eq!(harness.jobs(&app, JobsWhat::Show(bad)).0, 404);
    assert_eq!(harness.tenant.next_alarm(), None);
}

#[test]
fn the_alarm_wakes_an_object_whose_jobs_are_not_done_whatever_moment_its_life_ended() {
    let (mut harness, app) = setup();
    kept(&mut harness, &app, "free", "GET");
    assert!(harness.tenant.next_alarm().is_some(), "granted, and not yet handed over");
    one_run(&mut harness);
    assert!(harness.tenant.next_alarm().is_some_and(|at| at <= NOON + 68_000), "running");
    let (mut harness, app) = setup();
    kept(&mut harness, &app, "crm", "GET");
    kept(&mut harness, &app, "crm", "GET");
    let run = one_run(&mut harness);
    report(&mut harness, ran(&run, 200));
    assert!(harness.tenant.next_alarm().is_some_and(|at| at <= NOON + 10_002), "waiting for the window");
}

fn waits(harness: &mut Harness, keep: SubmitJob) -> Ticket {
    match harness.ask(Ask::SubmitJob(Box::new(keep))) {
        Answer::Wait(ticket) => ticket,
        Answer::Now(reply) => panic!("{reply:?}"),
    }
}

#[test]
fn who_waits_for_a_job_gets_its_answer_in_time_or_its_address() {
    let (mut harness, app) = setup();
    let keep = SubmitJob { wait_ms: Some(5_000), ..harness.keep(&app, "free", "GET") };
    let ticket = waits(&mut harness, keep);
    let run = one_run(&mut harness);
    harness.now += 4_000;
    report(&mut harness, ran(&run, 200));
    let Some((told, Reply::Answer(answer))) = harness.tenant.next_ready() else { panic!() };
    assert_eq!((told, answer.status, answer.body.0.as_slice()), (ticket, 200, b"the answer".as_slice()));

    let keep = SubmitJob { wait_ms: Some(5_000), ..harness.keep(&app, "free", "GET") };
    let ticket = waits(&mut harness, keep);
    let run = one_run(&mut harness);
    let late = harness.now + 5_000;
    harness.go_to(late);
    let Some((told, Reply::Queued(id))) = harness.tenant.next_ready() else { panic!() };
    assert_eq!((told, id.as_str()), (ticket, run.job.as_str()));
    let mut cut = ran(&run, 200);
    cut.answer.as_mut().unwrap().truncated = true;
    report(&mut harness, cut);
    assert_eq!(harness.job(&app, &id)["response"]["truncated"], true);
}

#[test]
fn jobs_wait_for_an_access_token_that_is_fetched_on_a_task() {
    let mut harness = Harness::empty();
    let credential: Value = json!({"type": "client_credentials", "client_id": "i", "client_secret": "hush",
        "token_url": "https://t.example.com/token"});
    let connection =
        json!({"vendor": "generic", "base_url": "https://crm.example.com", "limits": [], "credential": credential});
    harness.put(&json!({"connections": {"crm": connection}, "apps": {"sync": {}}}));
    let app = harness.app("sync");
    let id = kept(&mut harness, &app, "crm", "GET");
    let Some(Task::Fetch(fetching)) = harness.next_task() else { panic!() };
    assert!(harness.next_task().is_none());
    let issued = |token: &str| {
        Ok(sluice_core::upstream::grant::Issued { token: token.to_owned(), refresh_token: None, life_s: Some(3_600) })
    };
    let report_token = |harness: &mut Harness, fetching: &sluice_core::tenant::task::Fetching, token: &str| {
        let (whose, began) = (fetching.fetch.whose, fetching.fetch.began);
        let report =
            sluice_core::protocol::TokenReport { connection: "crm".into(), whose, began, result: issued(token) };
        harness.now(Ask::TokenReport(report));
    };
    report_token(&mut harness, &fetching, "token-1");
    let run = one_run(&mut harness);
    let mark = run.bearer.as_ref().unwrap().mark;
    harness.now += 100_000;
    report(&mut harness, RunReport { rejected_token: Some(mark), ..ran(&run, 401) });
    assert_eq!(harness.job(&app, &id)["state"], "queued", "with another token");
    let Some(Task::Fetch(fetching)) = harness.next_task() else { panic!() };
    report_token(&mut harness, &fetching, "token-2");
    let run = one_run(&mut harness);
    assert_eq!(run.bearer.as_ref().unwrap().token, "token-2");
    report(&mut harness, RunReport { rejected_token: Some(run.bearer.as_ref().unwrap().mark), ..ran(&run, 401) });
    assert_eq!(harness.job(&app, &id)["error"], "refused", "once is enough");
}
