//! Statistics at the desk: what was sent is counted, each attempt once, whatever becomes of the object meanwhile.

use crate::jobs::{one_run, ran};
use crate::rig::{NOON, Rig};
use serde_json::{Value, json};
use sluice_core::key::Claims;
use sluice_core::tenant::desk::Answer;
use sluice_core::tenant::protocol::{Admin, Admit, Ask, Reply, Sent, Settle};
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

fn rig(calls: u32, slots: u32) -> (Rig, Claims, Claims) {
    let mut rig = Rig::empty();
    assert_eq!(rig.put(&policy(calls, slots)).0, 201);
    let (app, viewer) = (rig.app("sync"), rig.key(json!({"role": "viewer"})));
    (rig, app, viewer)
}

const GOOD: (Outcome, Option<&str>) = (Outcome::Answered, None);
const THROTTLED: (Outcome, Option<&str>) =
    (Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: None }, Some("606"));

#[test]
fn a_call_counts_once_it_is_sent_and_a_permit_handed_back_does_not() {
    let (mut rig, app, viewer) = rig(100, 10);
    let (one, other) = (rig.go(&app, "crm").permit, rig.go(&app, "crm").permit);
    let total = |rig: &mut Rig| rig.figures(&viewer, false, false, None)["result"][0]["total"].clone();
    assert_eq!(total(&mut rig), 2, "in flight");
    rig.now += 100;
    rig.ended(one, "sync", NOON, (Outcome::Unused, None), 1);
    assert_eq!(total(&mut rig), 1);
    for attempt in [1, 2] {
        rig.ended(other, "sync", NOON, THROTTLED, attempt);
    }
    assert_eq!(total(&mut rig), 1);
    let errors = rig.figures(&viewer, true, false, Some("crm"));
    assert_eq!(errors["result"][0]["errors"], json!([{"errorCode": "606", "count": 1}]));
    assert_eq!(rig.figures(&viewer, false, false, Some("free"))["result"][0]["users"], json!([]));
    let hour = &rig.status()["connections"]["crm"]["last_hour"];
    let endpoint = json!([{"method": "GET", "path": "/things", "calls": 1, "throttled": 1}]);
    assert_eq!((&hour["calls"], &hour["throttled_ratio"], &hour["by_endpoint"]), (&json!(1), &json!(1), &endpoint));
}

#[test]
fn a_connections_days_are_its_own_and_all_connections_days_are_utc() {
    let (mut rig, app, viewer) = rig(100, 10);
    // 23:59 and 00:01 in Chicago; in UTC both are on the 16th.
    for at in [NOON + 17 * HOUR - 60_000, NOON + 17 * HOUR + 60_000] {
        rig.go_to(at);
        let permit = rig.go(&app, "crm").permit;
        rig.ended(permit, "sync", at, GOOD, 1);
    }
    let week = |rig: &mut Rig, connection| -> Vec<(String, u64)> {
        let document = rig.figures(&viewer, false, true, connection);
        let days = document["result"].as_array().unwrap();
        days.iter().map(|day| (day["date"].as_str().unwrap().to_owned(), day["total"].as_u64().unwrap())).collect()
    };
    let own = week(&mut rig, Some("crm"));
    assert_eq!(own[5..], [("2026-06-15".to_owned(), 1), ("2026-06-16".to_owned(), 1)]);
    assert_eq!((own.len(), own[0].1), (7, 0), "zeros included");
    assert_eq!(week(&mut rig, None)[5..], [("2026-06-15".to_owned(), 0), ("2026-06-16".to_owned(), 2)]);
}

#[test]
fn an_app_with_origins_sees_no_figures_and_an_unknown_connection_has_none() {
    let (mut rig, app, viewer) = rig(100, 10);
    let form = rig.app("form");
    assert_eq!(rig.figures(&form, false, false, None), "role");
    assert_eq!(rig.figures(&app, true, true, None)["success"], true);
    assert_eq!(rig.figures(&viewer, false, false, Some("none")), "connection");
}

#[test]
fn refusals_are_counted_apart_and_outlive_the_object_without_a_row_each() {
    let (mut rig, app, _) = rig(1, 10);
    rig.go(&app, "crm");
    rig.go_to(rig.now + 3_000);
    let before = rig.memory.writes;
    for _ in 0..50 {
        let admit = Admit { wait_ms: Some(0), ..rig.admit(&app, "crm") };
        assert_eq!(rig.reason(admit), "rate");
    }
    rig.go_to(rig.now + 6_000);
    assert!(rig.memory.writes - before <= 1, "{} rows", rig.memory.writes - before);
    rig.reopen();
    let hour = &rig.status()["connections"]["crm"]["last_hour"];
    assert_eq!((&hour["refused"], &hour["calls"]), (&json!(50), &json!(0)));
}

#[test]
fn counts_outlive_policies_objects_and_rows_of_earlier_releases() {
    let (mut rig, app, viewer) = rig(100, 10);
    let permits: Vec<_> = (0..3).map(|_| rig.go(&app, "crm").permit).collect();
    rig.ended(permits[0], "sync", NOON, GOOD, 1);
    rig.put(&policy(50, 5));
    rig.ended(permits[1], "sync", NOON, GOOD, 1);
    rig.go_to(NOON + 2_000);
    rig.reopen();
    let day = rig.figures(&viewer, false, false, Some("crm"));
    assert_eq!(day["result"][0]["total"], 3, "one is in flight still, as far as is known");
    rig.ended(permits[2], "sync", NOON, THROTTLED, 1);
    let day = rig.figures(&viewer, false, false, Some("crm"));
    assert_eq!(day["result"][0]["users"], json!([{"userId": "sync", "count": 3}]));
    let errors = rig.figures(&viewer, true, false, None);
    assert_eq!(errors["result"][0]["total"], 1);
}

#[test]
fn statistics_cost_no_row_of_their_own() {
    // Every so many milliseconds, with 200 ms until the answer: the contract's figures, for a run of ten minutes.
    for (every, most_per_thousand) in [(10, 50), (200, 500), (60_000, 4_000)] {
        let (mut rig, app, _) = rig(100_000, 1_000);
        let mut flying = std::collections::VecDeque::new();
        let (before, mut calls) = (rig.memory.writes, 0);
        let end = NOON + 600_000;
        let mut next = NOON;
        while next < end {
            while let Some((due, permit)) = flying.front().copied().filter(|(due, _)| *due <= next) {
                flying.pop_front();
                rig.go_to(due);
                rig.ended(permit, "sync", due - 200, GOOD, 1);
            }
            rig.go_to(next);
            flying.push_back((next + 200, rig.go(&app, "crm").permit));
            calls += 1;
            next += every;
        }
        rig.go_to(end + 10_000);
        let rows = u64::from(rig.memory.writes - before);
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
        since_headers_ms: 0,
        response_bytes: 0,
        status: 500,
        counts: Vec::new(),
        error_code: Some("500".to_owned()),
        sent: Some(sent),
    }
}

fn errors(rig: &mut Rig, viewer: &Claims) -> Value {
    rig.figures(viewer, true, false, Some("crm"))["result"][0]["total"].clone()
}

#[test]
fn an_account_is_answered_once_it_is_stored_and_one_that_was_not_is_given_to_the_next_life() {
    let (mut rig, app, viewer) = rig(100, 10);
    let permits: Vec<_> = (0..8).map(|_| rig.go(&app, "crm").permit).collect();
    rig.go_to(NOON + 100);
    let account = |rig: &mut Rig, attempt| {
        let reports = permits.iter().take(7).map(|permit| settled(*permit, NOON, rig.now, attempt)).collect();
        rig.ask(Ask::Account(reports))
    };
    let Answer::Wait(_) = account(&mut rig, 1) else { panic!("the eighth is in flight, so no row was due") };
    assert_eq!(errors(&mut rig, &viewer), 7);
    rig.reopen();
    assert_eq!(errors(&mut rig, &viewer), 0, "it was in memory alone");
    rig.go(&app, "crm");
    let Answer::Wait(ticket) = account(&mut rig, 2) else { panic!("one is in flight, so no row was due") };
    assert!(rig.desk.next_ready().is_none());
    rig.go_to(rig.now + 1_000);
    let ready = rig.desk.next_ready();
    assert!(matches!(ready, Some((told, Reply::Done)) if told == ticket), "{ready:?}");
    rig.reopen();
    assert_eq!(errors(&mut rig, &viewer), 7);
    assert!(matches!(account(&mut rig, 3), Answer::Now(Reply::Done)), "nothing is left to be stored");
    assert_eq!(errors(&mut rig, &viewer), 7);
}

#[test]
fn a_lone_calls_account_is_answered_at_once() {
    let (mut rig, app, _) = rig(100, 10);
    let permit = rig.go(&app, "crm").permit;
    rig.go_to(NOON + 200);
    let report = settled(permit, NOON, rig.now, 1);
    assert!(matches!(rig.ask(Ask::Account(vec![report])), Answer::Now(Reply::Done)));
}

#[test]
fn what_was_reported_is_stored_while_calls_still_wait() {
    let (mut rig, app, _) = rig(1, 10);
    let permit = rig.go(&app, "crm").permit;
    let admit = rig.admit(&app, "crm");
    let Answer::Wait(_) = rig.ask(Ask::Admit(admit)) else { panic!("the window has one") };
    rig.go_to(NOON + 200);
    let report = settled(permit, NOON, rig.now, 1);
    let Answer::Wait(ticket) = rig.ask(Ask::Account(vec![report])) else { panic!("no row was due") };
    rig.go_to(NOON + 1_200);
    assert!(matches!(rig.desk.next_ready(), Some((told, Reply::Done)) if told == ticket));
}

#[test]
fn a_jobs_permit_that_died_with_the_object_before_it_left_counts_as_no_call() {
    let (mut rig, app, viewer) = rig(100, 10);
    let keep = rig.keep(&app, "crm", "GET");
    rig.kept(keep);
    // It has its permit, and the row has that, but no Worker has heard of it.
    rig.reopen();
    rig.go_to(NOON + 1_000);
    let run = one_run(&mut rig);
    rig.told(Ask::Ran(Box::new(ran(&run, 200))));
    rig.go_to(NOON + 300_000);
    assert_eq!(rig.figures(&viewer, false, false, None)["result"][0]["total"], 1);
}

#[test]
fn a_removed_connection_stays_in_the_tenants_report_for_seven_days() {
    let (mut rig, app, viewer) = rig(100, 10);
    let permits: Vec<_> = (0..3).map(|_| rig.go(&app, "crm").permit).collect();
    for permit in &permits[..2] {
        rig.ended(*permit, "sync", NOON, THROTTLED, 1);
    }
    let mut without = policy(100, 10);
    without["connections"].as_object_mut().unwrap().remove("crm");
    assert_eq!(rig.put(&without).0, 200);
    rig.reopen();
    let week = |rig: &mut Rig, errors| -> u64 {
        let document = rig.figures(&viewer, errors, true, None);
        document["result"].as_array().unwrap().iter().map(|day| day["total"].as_u64().unwrap()).sum()
    };
    assert_eq!((week(&mut rig, false), week(&mut rig, true)), (3, 2), "the third was in flight");
    assert_eq!(rig.figures(&viewer, false, true, Some("crm")), "connection");
    rig.go_to(NOON + 6 * 24 * HOUR);
    assert_eq!(week(&mut rig, false), 3);
    // Entered again it goes on counting where it was.
    rig.put(&policy(100, 10));
    assert_eq!(rig.figures(&viewer, false, true, Some("crm"))["result"][0]["total"], 3);
    rig.put(&without);
    rig.reopen();
    rig.go_to(NOON + 13 * 24 * HOUR - HOUR);
    assert!(rig.memory.rows.keys().any(|(table, _)| *table == Table::Removed as u8));
    let alarm = rig.desk.next_alarm().unwrap();
    rig.go_to(alarm);
    assert!(!rig.memory.rows.keys().any(|(table, _)| *table == Table::Removed as u8), "forgotten a week later");
}

#[test]
fn of_removed_connections_a_hundred_are_remembered_and_none_of_a_removed_tenant() {
    let mut rig = Rig::empty();
    let named = |names: std::ops::Range<u32>| {
        let connection = |n| (format!("c{n}"), json!({"vendor": "generic", "base_url": "https://crm.example.com"}));
        let connections: serde_json::Map<_, _> = names.map(connection).collect();
        json!({"connections": connections, "apps": {"sync": {}}})
    };
    for from in [0, 60, 120] {
        rig.put(&named(from..from + 60));
        rig.now += 1_000;
    }
    let kept = |rig: &Rig| rig.memory.rows.keys().filter(|(table, _)| *table == Table::Removed as u8).count();
    assert_eq!(kept(&rig), 100);
    rig.admin(Admin::Delete);
    assert_eq!(kept(&rig), 0);
}
