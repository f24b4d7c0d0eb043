//! Jobs of very many apps.

use crate::harness::Harness;
use crate::job_steps::{ran, runs};
use serde_json::json;
use sluice_core::keys::Claims;
use sluice_core::protocol::{Admit, Ask, Reply, RunReport, TokenReport};
use sluice_core::tenant::state::Answer;
use sluice_core::tenant::task::{FRESH_MS, MOST_ASKED, MOST_AT_ONCE, Task};
use sluice_core::upstream::grant::Issued;
use sluice_limiter::Outcome;
use std::collections::BTreeMap;

/// A tenant with so many apps and a connection `crm` of ten calls at once.
fn setup(apps: usize, credential: serde_json::Value) -> (Harness, Vec<Claims>) {
    let mut harness = Harness::empty();
    let names: Vec<String> = (0..apps).map(|app| format!("app-{app:04}")).collect();
    let policy = json!({
        "connections": {"crm": {"vendor": "generic", "base_url": "https://crm.example.com", "credential": credential,
            "timeout_seconds": 300,
            "limits": [{"name": "slots", "kind": "concurrency", "calls": 10}]}},
        "apps": names.iter().map(|name| (name.clone(), json!({}))).collect::<BTreeMap<_, _>>(),
    });
    assert_eq!(harness.put(&policy).0, 201);
    let keys = names.iter().map(|name| harness.app(name)).collect();
    (harness, keys)
}

fn keep(harness: &mut Harness, app: &Claims) {
    let keep = harness.keep(app, "crm", "GET");
    harness.kept(keep);
}

/// Runs what goes until nothing does; the apps in the order in which their jobs went.
fn run_all(harness: &mut Harness) -> Vec<String> {
    let mut order = Vec::new();
    loop {
        let runs = runs(harness);
        assert!(runs.len() <= 10);
        if runs.is_empty() {
            return order;
        }
        for run in runs {
            harness.now += 10;
            order.push(run.app.clone());
            harness.told(Ask::RunReport(Box::new(ran(&run, 200))));
        }
    }
}

#[test]
fn jobs_of_three_hundred_apps_all_go_each_app_in_its_turn() {
    let (mut harness, keys) = setup(300, json!({"type": "bearer", "token": "secret"}));
    for _ in 0..3 {
        keys.iter().for_each(|app| keep(&mut harness, app));
    }
    let order = run_all(&mut harness);
    assert_eq!(order.len(), 900);
    for (turn, apps) in order.chunks(300).enumerate() {
        let mut went = BTreeMap::new();
        apps.iter().for_each(|app| *went.entry(app).or_insert(0) += 1);
        // The first ten had gone before the others came.
        assert!(went.len() >= 280 && went.values().all(|n| *n <= 2), "turn {turn}: {}", went.len());
    }
    assert_eq!(harness.status()["connections"]["crm"]["jobs"], json!({"queued": 0, "running": 0, "dead": 0}));
}

#[test]
fn jobs_that_a_missing_token_holds_back_all_go_when_it_has_come() {
    let credential = json!({"type": "client_credentials", "client_id": "i", "client_secret": "hush",
        "token_url": "https://t.example.com/token"});
    let (mut harness, keys) = setup(50, credential);
    let admit = harness.admit(&keys[0], "crm");
    let Reply::Fetch(fetch) = harness.now(Ask::Admit(admit)) else { panic!() };
    keys.iter().for_each(|app| keep(&mut harness, app));
    assert!(runs(&mut harness).is_empty());
    harness.go_to(harness.now + 1_000);
    let issued = Issued { token: "token".to_owned(), refresh_token: None, life_s: Some(3_600) };
    harness.now(Ask::TokenReport(TokenReport {
        connection: "crm".to_owned(),
        whose: fetch.whose,
        began: fetch.began,
        result: Ok(issued),
    }));
    assert_eq!(run_all(&mut harness).len(), 50);
}

#[test]
fn a_job_that_has_waited_goes_before_a_call_that_is_as_urgent_as_it_has_become() {
    let (mut harness, keys) = setup(2, json!({"type": "bearer", "token": "secret"}));
    let permits: Vec<_> = (0..10).map(|_| harness.go(&keys[0], "crm").permit).collect();
    keep(&mut harness, &keys[1]);
    harness.go_to(harness.now + 130_000);
    let call = Admit { urgency: 4, ..harness.admit(&keys[1], "crm") };
    assert!(matches!(harness.ask(Ask::Admit(call)), Answer::Wait(_)));
    harness.answered("crm", permits[0]);
    assert_eq!((runs(&mut harness).len(), harness.tenant.next_ready().is_some()), (1, false));
}

#[test]
fn jobs_that_the_vendor_takes_faster_than_they_leave_are_sent_all_the_same() {
    // Eight apps, for each of which a hundred jobs may be at the vendor at once; and six tasks on their way, for 24 ms each.
    let mut harness = Harness::empty();
    let names: Vec<String> = (0..8).map(|app| format!("app-{app}")).collect();
    harness.put(&json!({
        "connections": {"crm": {"vendor": "generic", "base_url": "https://crm.example.com",
            "limits": [{"name": "slots", "kind": "concurrency", "calls": 5_000}]}},
        "apps": names.iter().map(|name| (name.clone(), json!({}))).collect::<serde_json::Map<_, _>>(),
    }));
    let keys: Vec<Claims> = names.iter().map(|name| harness.app(name)).collect();
    (0..150).for_each(|_| keys.iter().for_each(|app| keep(&mut harness, app)));
    let began = harness.now;
    let mut free = [began; MOST_AT_ONCE as usize];
    let mut reports = BTreeMap::<(i64, u64), RunReport>::new();
    let (mut sent, mut unsent, mut no) = (0_u32, 0_u32, 0);
    while sent < 8 * 150 {
        assert!(harness.now < began + 10_000, "{sent} jobs were sent in ten seconds, and {unsent} came back unsent");
        harness.go_to(harness.now + 1);
        while let Some((&due, _)) = reports.first_key_value().filter(|((at, _), _)| *at <= harness.now) {
            let ran = reports.remove(&due).unwrap();
            harness.told(Ask::RunReport(Box::new(ran)));
        }
        let now = harness.now;
        for free in free.iter_mut().filter(|free| **free <= now) {
            let Some(Task::Run(run)) = harness.next_task() else { break };
            *free = harness.now + 24;
            let there = harness.now + 12;
            let mut report = ran(&run, 200);
            no += 1;
            if there - run.granted > FRESH_MS {
                (report.settle.outcome, report.answer) = (Outcome::Unused, None);
                unsent += 1;
                reports.insert((there + 12, no), report);
            } else {
                sent += 1;
                reports.insert((there + 100, no), report);
            }
        }
    }
    assert_eq!(unsent, 0);
    assert!(harness.now < began + 5_500, "six at once, for 24 ms each");
}

#[test]
fn a_backlog_asks_for_as_many_permits_as_can_leave_soon() {
    let (mut harness, keys) = setup(3, json!({"type": "bearer", "token": "secret"}));
    harness.put(&json!({
        "connections": {"crm": {"vendor": "generic", "base_url": "https://crm.example.com",
            "limits": [{"name": "slots", "kind": "concurrency", "calls": 1_000}]}},
        "apps": {"app-0000": {}, "app-0001": {}, "app-0002": {}},
    }));
    (0..60).for_each(|_| keys.iter().for_each(|app| keep(&mut harness, app)));
    let asked = harness.status()["connections"]["crm"]["limits"][0]["used"].as_u64().unwrap();
    assert!((1..=u64::try_from(MOST_ASKED).unwrap()).contains(&asked), "{asked}");
    assert_eq!(runs(&mut harness).len(), 180, "all the same, they leave one after another");
}
