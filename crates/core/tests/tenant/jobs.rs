//! Jobs: kept, run, tried again, ended.

use crate::harness::{Harness, NOON, policy};
use serde_json::{Value, json};
use sluice_core::jobs::{Answer as Answered, Bytes};
use sluice_core::keys::Claims;
use sluice_core::protocol::{Ask, Filter, JobsWhat, Reply, RunReport, Sent, Settle, SubmitJob};
use sluice_core::tenant::state::{Answer, Ticket};
use sluice_core::tenant::store::Table;
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
fn grants(harness: &mut Harness) -> usize {
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

#[test]
#[expect(clippy::disallowed_methods, reason = "what is measured is work, not waiting")]
fn ten_thousand_queued_jobs_cost_an_event_no_more_than_ten() {
    let events = |jobs: usize| {
        let (mut harness, app) = setup();
        for _ in 0..jobs {
            kept(&mut harness, &app, "crm", "GET");
        }
        let began = std::time::Instant::now();
        for _ in 0..50 {
            let run = one_run(&mut harness);
            report(&mut harness, ran(&run, 200));
            let later = harness.now + 10_002;
            harness.go_to(later);
        }
        began.elapsed()
    };
    let (few, many) = (events(60), events(10_000));
    assert!(many < few * 5 + std::time::Duration::from_millis(50), "{few:?} for 60, {many:?} for 10,000");
}

#[test]
fn two_thousand_jobs_at_100_per_10_seconds_take_the_least_possible_time() {
    let mut harness = Harness::empty();
    let mut policy = policy();
    policy["connections"]["crm"]["limits"][0]["calls"] = json!(100);
    harness.put(&policy);
    let app = harness.app("sync");
    for _ in 0..2_000 {
        kept(&mut harness, &app, "crm", "GET");
    }
    let mut flying: Vec<(i64, Run)> = Vec::new();
    let mut done = 0;
    while done < 2_000 {
        let at = harness.now + 200;
        flying.extend(runs(&mut harness).into_iter().map(|run| (at, run)));
        let landed = flying.iter().map(|(at, _)| *at).min();
        let next = harness.tenant.next_wakeup().into_iter().chain(landed).min().unwrap();
        harness.go_to(next.max(harness.now));
        let now = harness.now;
        for (_, run) in flying.extract_if(.., |(at, _)| *at <= now).collect::<Vec<_>>() {
            report(&mut harness, ran(&run, 200));
            done += 1;
        }
    }
    // Twenty windows: the first batch at 0, the last at 190 s; each waits for an answer of 0.2 s before its window.
    let (took, least) = (harness.now - NOON, 190_000 + 200);
    assert!(took * 100 <= least * 105, "{took} ms, and {least} ms is the least");
}

#[test]
fn an_app_keeps_half_of_the_jobs_that_a_tenant_may_and_another_half_of_what_it_leaves() {
    let mut harness = Harness::empty();
    let mut policy = policy();
    policy["apps"] = json!({"sync": {}, "other": {}, "third": {}});
    harness.put(&policy);
    // All that come wait behind the first, which the window takes.
    let mut fill = |name: &str| {
        let app = harness.app(name);
        for kept in 0.. {
            let keep = harness.keep(&app, "crm", "GET");
            match harness.now(Ask::SubmitJob(Box::new(keep))) {
                Reply::Queued(_) => {}
                Reply::Refused(no) => {
                    assert_eq!(no.refusal.reason.as_str(), "queue-full");
                    return kept;
                }
                other => panic!("{other:?}"),
            }
        }
        0
    };
    assert_eq!(["sync", "other", "third", "sync"].map(&mut fill), [10_000, 5_000, 2_500, 0]);
}
