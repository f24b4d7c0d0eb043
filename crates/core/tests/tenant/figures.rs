//! Statistics of the tenant state: every call that was sent is counted, each attempt once, whatever
//! happens to the object meanwhile.

use crate::harness::{Harness, NOON};
use crate::job_steps::{one_run, ran};
use serde_json::{Value, json};
use sluice_core::keys::Claims;
use sluice_core::protocol::{Admin, Admit, Ask, Reply, Sent, Settle};
use sluice_core::tenant::state::Answer;
use sluice_core::tenant::store::Table;
use sluice_limiter::{Outcome, PermitId, ThrottledBy};

pub const HOUR: i64 = 3_600_000;

/// `crm`'s day begins at 05:00 UTC, at midnight in Chicago; `free` has none.
pub fn policy(calls: u32, slots: u32) -> Value {
    json!({
        "connections": {
            "crm": {
                "vendor": "generic", "base_url": "https://crm.example.com",
                "limits": [
                    {"name": "rate", "kind": "rolling_window", "calls": calls, "seconds": 10},
                    {"name": "day", "kind": "daily", "calls": 1_000_000, "reset": "00:00", "time_zone": "America/Chicago"},
                    {"name": "slots", "kind": "concurrency", "calls": slots},
                ],
                "queue": {"size": 5, "max_wait_seconds": 60},
                "adaptive": {"min": 1},
            },
            "free": { "vendor": "generic", "base_url": "https://free.example.com", "limits": [] },
        },
        "apps": {"sync": {}, "batch": {}, "form": {"origins": ["https://www.example.com"]}},
    })
}

fn harness(calls: u32, slots: u32) -> (Harness, Claims, Claims) {
    let mut harness = Harness::empty();
    assert_eq!(harness.put(&policy(calls, slots)).0, 201);
    let (app, viewer) = (harness.app("sync"), harness.key(json!({"role": "viewer"})));
    (harness, app, viewer)
}

const GOOD: (Outcome, Option<&str>) = (Outcome::Answered, None);
const THROTTLED: (Outcome, Option<&str>) =
    (Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: None }, Some("606"));

#[test]
fn a_call_counts_once_it_is_sent_and_a_permit_handed_back_does_not() {
    let (mut harness, app, viewer) = harness(100, 10);
    let (one, other) = (harness.go(&app, "crm").permit, harness.go(&app, "crm").permit);
    let total = |harness: &mut Harness| harness.figures(&viewer, false, false, None)["result"][0]["total"].clone();
    assert_eq!(total(&mut harness), 2, "in flight");
    harness.now += 100;
    harness.ended(one, "sync", NOON, (Outcome::Unused, None), 1);
    assert_eq!(total(&mut harness), 1);
    for attempt in [1, 2] {
        harness.ended(other, "sync", NOON, THROTTLED, attempt);
    }
    assert_eq!(total(&mut harness), 1);
    let errors = harness.figures(&viewer, true, false, Some("crm"));
    assert_eq!(errors["result"][0]["errors"], json!([{"errorCode": "606", "count": 1}]));
    assert_eq!(harness.figures(&viewer, false, false, Some("free"))["result"][0]["users"], json!([]));
    let hour = &harness.status()["connections"]["crm"]["last_hour"];
    let endpoint = json!([{"method": "GET", "path": "/things", "calls": 1, "throttled": 1}]);
    assert_eq!((&hour["calls"], &hour["throttled_ratio"], &hour["by_endpoint"]), (&json!(1), &json!(1), &endpoint));
}

#[test]
fn a_connections_days_are_its_own_and_all_connections_days_are_utc() {
    let (mut harness, app, viewer) = harness(100, 10);
    // 23:59 and 00:01 in Chicago; in UTC both are on the 16th.
    for at in [NOON + 17 * HOUR - 60_000, NOON + 17 * HOUR + 60_000] {
        harness.go_to(at);
        let permit = harness.go(&app, "crm").permit;
        harness.ended(permit, "sync", at, GOOD, 1);
    }
    let week = |harness: &mut Harness, connection| -> Vec<(String, u64)> {
        let document = harness.figures(&viewer, false, true, connection);
        let days = document["result"].as_array().unwrap();
        days.iter().map(|day| (day["date"].as_str().unwrap().to_owned(), day["total"].as_u64().unwrap())).collect()
    };
    let own = week(&mut harness, Some("crm"));
    assert_eq!(own[5..], [("2026-06-15".to_owned(), 1), ("2026-06-16".to_owned(), 1)]);
    assert_eq!((own.len(), own[0].1), (7, 0), "zeros included");
    assert_eq!(week(&mut harness, None)[5..], [("2026-06-15".to_owned(), 0), ("2026-06-16".to_owned(), 2)]);
}

#[test]
fn an_app_with_origins_sees_no_figures_and_an_unknown_connection_has_none() {
    let (mut harness, app, viewer) = harness(100, 10);
    let form = harness.app("form");
    assert_eq!(harness.figures(&form, false, false, None), "role");
    assert_eq!(harness.figures(&app, true, true, None)["success"], true);
    assert_eq!(harness.figures(&viewer, false, false, Some("none")), "connection");
}

#[test]
fn refusals_are_counted_apart_and_outlive_the_object_without_a_row_each() {
    let (mut harness, app, _) = harness(1, 10);
    harness.go(&app, "crm");
    harness.go_to(harness.now + 3_000);
    let before = harness.memory.writes;
    for _ in 0..50 {
        let admit = Admit { wait_ms: Some(0), ..harness.admit(&app, "crm") };
        assert_eq!(harness.reason(admit), "rate");
    }
    harness.go_to(harness.now + 6_000);
    assert!(harness.memory.writes - before <= 1, "{} rows", harness.memory.writes - before);
    harness.reopen();
    let hour = &harness.status()["connections"]["crm"]["last_hour"];
    assert_eq!((&hour["refused"], &hour["calls"]), (&json!(50), &json!(0)));
}

#[test]
fn counts_outlive_policies_objects_and_rows_of_earlier_releases() {
    let (mut harness, app, viewer) = harness(100, 10);
    let permits: Vec<_> = (0..3).map(|_| harness.go(&app, "crm").permit).collect();
    harness.ended(permits[0], "sync", NOON, GOOD, 1);
    harness.put(&policy(50, 5));
    harness.ended(permits[1], "sync", NOON, GOOD, 1);
    harness.go_to(NOON + 2_000);
    harness.reopen();
    let day = harness.figures(&viewer, false, false, Some("crm"));
    assert_eq!(day["result"][0]["total"], 3, "one is in flight still, as far as is known");
    harness.ended(permits[2], "sync", NOON, THROTTLED, 1);
    let day = harness.figures(&viewer, false, false, Some("crm"));
    assert_eq!(day["result"][0]["users"], json!([{"userId": "sync", "count": 3}]));
    let errors = harness.figures(&viewer, true, false, None);
    assert_eq!(errors["result"][0]["total"], 1);
}

#[test]
fn statistics_cost_no_row_of_their_own() {
    // Every so many milliseconds, with 200 ms until the answer: the contract's figures, for a run of ten minutes.
    for (every, most_per_thousand) in [(10, 50), (200, 500), (60_000, 4_000)] {
        let (mut harness, app, _) = harness(100_000, 1_000);
        let mut flying = std::collections::VecDeque::new();
        let (before, mut calls) = (harness.memory.writes, 0);
        let end = NOON + 600_000;
        let mut next = NOON;
        while next < end {
            while let Some((due, permit)) = flying.front().copied().filter(|(due, _)| *due <= next) {
                flying.pop_front();
                harness.go_to(due);
                harness.ended(permit, "sync", due - 200, GOOD, 1);
            }
            harness.go_to(next);
            flying.push_back((next + 200, harness.go(&app, "crm").permit));
            calls += 1;
            next += every;
        }
        harness.go_to(end + 10_000);
        let rows = u64::from(harness.memory.writes - before);
        println!("a call every {every} ms: {rows} rows for {calls} calls");
        assert!(rows * 1_000 <= most_per_thousand * calls, "{rows} rows for {calls} calls every {every} ms");
    }
}

/// What a Worker says of a call that was sent as its permit came.
fn settled(permit: PermitId, at: i64, now: i64, attempt: u32) -> Settle {
    let ago_ms = u64::try_from(now - at).unwrap();
    let sent = Sent { app: "sync".to_owned(), method: "GET".to_owned(), path: "/things".to_owned(), nth: 1, ago_ms };
    Settle {
        connection: "crm".to_owned(),
        permit,
        attempt,
        outcome: Outcome::Answered,
        since_headers_ms: Some(0),
        response_bytes: 0,
        status: Some(500),
        counts: Vec::new(),
        error_code: Some("500".to_owned()),
        sent: Some(sent),
    }
}

fn errors(harness: &mut Harness, viewer: &Claims) -> Value {
    harness.figures(viewer, true, false, Some("crm"))["result"][0]["total"].clone()
}

#[test]
fn an_account_is_answered_once_it_is_stored_and_one_that_was_not_is_given_to_the_next_life() {
    let (mut harness, app, viewer) = harness(100, 10);
    let permits: Vec<_> = (0..8).map(|_| harness.go(&app, "crm").permit).collect();
    harness.go_to(NOON + 100);
    let account = |harness: &mut Harness, attempt| {
        let reports = permits.iter().take(7).map(|permit| settled(*permit, NOON, harness.now, attempt)).collect();
        harness.ask(Ask::SettleBatch(reports))
    };
    let Answer::Wait(_) = account(&mut harness, 1) else { panic!("the eighth is in flight, so no row was due") };
    assert_eq!(errors(&mut harness, &viewer), 7);
    harness.reopen();
    assert_eq!(errors(&mut harness, &viewer), 0, "it was in memory alone");
    harness.go(&app, "crm");
    let Answer::Wait(ticket) = account(&mut harness, 2) else { panic!("one is in flight, so no row was due") };
    assert!(harness.tenant.next_ready().is_none());
    harness.go_to(harness.now + 1_000);
    let ready = harness.tenant.next_ready();
    assert!(matches!(ready, Some((told, Reply::Done)) if told == ticket), "{ready:?}");
    harness.reopen();
    assert_eq!(errors(&mut harness, &viewer), 7);
    assert!(matches!(account(&mut harness, 3), Answer::Now(Reply::Done)), "nothing is left to be stored");
    assert_eq!(errors(&mut harness, &viewer), 7);
}

#[test]
fn a_lone_calls_account_is_answered_at_once() {
    let (mut harness, app, _) = harness(100, 10);
    let permit = harness.go(&app, "crm").permit;
    harness.go_to(NOON + 200);
    let report = settled(permit, NOON, harness.now, 1);
    assert!(matches!(harness.ask(Ask::SettleBatch(vec![report])), Answer::Now(Reply::Done)));
}

#[test]
fn what_was_reported_is_stored_while_calls_still_wait() {
    let (mut harness, app, _) = harness(1, 10);
    let permit = harness.go(&app, "crm").permit;
    let admit = harness.admit(&app, "crm");
    let Answer::Wait(_) = harness.ask(Ask::Admit(admit)) else { panic!("the window has one") };
    harness.go_to(NOON + 200);
    let report = settled(permit, NOON, harness.now, 1);
    let Answer::Wait(ticket) = harness.ask(Ask::SettleBatch(vec![report])) else { panic!("no row was due") };
    harness.go_to(NOON + 1_200);
    assert!(matches!(harness.tenant.next_ready(), Some((told, Reply::Done)) if told == ticket));
}

#[test]
fn a_jobs_permit_that_died_with_the_object_before_it_left_counts_as_no_call() {
    let (mut harness, app, viewer) = harness(100, 10);
    let keep = harness.keep(&app, "crm", "GET");
    harness.kept(keep);
    // It has its permit, and the row has that, but no Worker has heard of it.
    harness.reopen();
    harness.go_to(NOON + 1_000);
    let run = one_run(&mut harness);
    harness.told(Ask::RunReport(Box::new(ran(&run, 200))));
    harness.go_to(NOON + 300_000);
    assert_eq!(harness.figures(&viewer, false, false, None)["result"][0]["total"], 1);
}

#[test]
fn a_removed_connection_stays_in_the_tenants_report_for_seven_days() {
    let (mut harness, app, viewer) = harness(100, 10);
    let permits: Vec<_> = (0..3).map(|_| harness.go(&app, "crm").permit).collect();
    for permit in &permits[..2] {
        harness.ended(*permit, "sync", NOON, THROTTLED, 1);
    }
    let mut without = policy(100, 10);
    without["connections"].as_object_mut().unwrap().remove("crm");
    assert_eq!(harness.put(&without).0, 200);
    harness.reopen();
    let week = |harness: &mut Harness, errors| -> u64 {
        let document = harness.figures(&viewer, errors, true, None);
        document["result"].as_array().unwrap().iter().map(|day| day["total"].as_u64().unwrap()).sum()
    };
    assert_eq!((week(&mut harness, false), week(&mut harness, true)), (3, 2), "the third was in flight");
    assert_eq!(harness.figures(&viewer, false, true, Some("crm")), "connection");
    harness.go_to(NOON + 6 * 24 * HOUR);
    assert_eq!(week(&mut harness, false), 3);
    // Entered again it goes on counting where it was.
    harness.put(&policy(100, 10));
    assert_eq!(harness.figures(&viewer, false, true, Some("crm"))["result"][0]["total"], 3);
    harness.put(&without);
    harness.reopen();
    harness.go_to(NOON + 13 * 24 * HOUR - HOUR);
    assert!(harness.memory.rows.keys().any(|(table, _)| *table == Table::Retained as u8));
    let alarm = harness.tenant.next_alarm().unwrap();
    harness.go_to(alarm);
    assert!(!harness.memory.rows.keys().any(|(table, _)| *table == Table::Retained as u8), "forgotten a week later");
}

#[test]
fn of_removed_connections_a_hundred_are_remembered_and_none_of_a_removed_tenant() {
    let mut harness = Harness::empty();
    let named = |names: std::ops::Range<u32>| {
        let connection = |n| (format!("c{n}"), json!({"vendor": "generic", "base_url": "https://crm.example.com"}));
        let connections: serde_json::Map<_, _> = names.map(connection).collect();
        json!({"connections": connections, "apps": {"sync": {}}})
    };
    for from in [0, 60, 120] {
        harness.put(&named(from..from + 60));
        harness.now += 1_000;
    }
    let kept =
        |harness: &Harness| harness.memory.rows.keys().filter(|(table, _)| *table == Table::Retained as u8).count();
    assert_eq!(kept(&harness), 100);
    harness.admin(Admin::Delete);
    assert_eq!(kept(&harness), 0);
}
