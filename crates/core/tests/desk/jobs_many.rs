//! Jobs of very many apps.

use crate::jobs::{ran, runs};
use crate::rig::Rig;
use serde_json::json;
use sluice_core::key::Claims;
use sluice_core::tenant::desk::Answer;
use sluice_core::tenant::errand::{Errand, FRESH_MS, MOST_ASKED, MOST_AT_ONCE};
use sluice_core::tenant::protocol::{Admit, Ask, Fetched, Ran, Reply};
use sluice_core::upstream::grant::Issued;
use sluice_limiter::Outcome;
use std::collections::BTreeMap;

/// A tenant with so many apps and a connection `crm` of ten calls at once.
fn setup(apps: usize, credential: serde_json::Value) -> (Rig, Vec<Claims>) {
    let mut rig = Rig::empty();
    let names: Vec<String> = (0..apps).map(|app| format!("app-{app:04}")).collect();
    let policy = json!({
        "connections": {"crm": {"vendor": "generic", "base_url": "https://crm.example.com", "credential": credential,
            "timeout_seconds": 300,
            "limits": [{"name": "slots", "kind": "concurrency", "calls": 10}]}},
        "apps": names.iter().map(|name| (name.clone(), json!({}))).collect::<BTreeMap<_, _>>(),
    });
    assert_eq!(rig.put(&policy).0, 201);
    let keys = names.iter().map(|name| rig.app(name)).collect();
    (rig, keys)
}

fn keep(rig: &mut Rig, app: &Claims) {
    let keep = rig.keep(app, "crm", "GET");
    rig.kept(keep);
}

/// Runs what goes until nothing does; the apps in the order in which their jobs went.
fn run_all(rig: &mut Rig) -> Vec<String> {
    let mut order = Vec::new();
    loop {
        let runs = runs(rig);
        assert!(runs.len() <= 10);
        if runs.is_empty() {
            return order;
        }
        for run in runs {
            rig.now += 10;
            order.push(run.app.clone());
            rig.told(Ask::Ran(Box::new(ran(&run, 200))));
        }
    }
}

#[test]
fn jobs_of_three_hundred_apps_all_go_each_app_in_its_turn() {
    let (mut rig, keys) = setup(300, json!({"type": "bearer", "token": "secret"}));
    for _ in 0..3 {
        keys.iter().for_each(|app| keep(&mut rig, app));
    }
    let order = run_all(&mut rig);
    assert_eq!(order.len(), 900);
    for (turn, apps) in order.chunks(300).enumerate() {
        let mut went = BTreeMap::new();
        apps.iter().for_each(|app| *went.entry(app).or_insert(0) += 1);
        // The first ten had gone before the others came.
        assert!(went.len() >= 280 && went.values().all(|n| *n <= 2), "turn {turn}: {}", went.len());
    }
    assert_eq!(rig.status()["connections"]["crm"]["jobs"], json!({"queued": 0, "running": 0, "dead": 0}));
}

#[test]
fn jobs_that_a_missing_token_holds_back_all_go_when_it_has_come() {
    let credential = json!({"type": "client_credentials", "client_id": "i", "client_secret": "hush",
        "token_url": "https://t.example.com/token"});
    let (mut rig, keys) = setup(50, credential);
    let admit = rig.admit(&keys[0], "crm");
    let Reply::Fetch(fetch) = rig.now(Ask::Admit(admit)) else { panic!() };
    keys.iter().for_each(|app| keep(&mut rig, app));
    assert!(runs(&mut rig).is_empty());
    rig.go_to(rig.now + 1_000);
    let issued = Issued { token: "token".to_owned(), refresh_token: None, life_s: Some(3_600) };
    rig.now(Ask::Fetched(Fetched {
        connection: "crm".to_owned(),
        whose: fetch.whose,
        began: fetch.began,
        result: Ok(issued),
    }));
    assert_eq!(run_all(&mut rig).len(), 50);
}

#[test]
fn a_job_that_has_waited_goes_before_a_call_that_is_as_urgent_as_it_has_become() {
    let (mut rig, keys) = setup(2, json!({"type": "bearer", "token": "secret"}));
    let permits: Vec<_> = (0..10).map(|_| rig.go(&keys[0], "crm").permit).collect();
    keep(&mut rig, &keys[1]);
    rig.go_to(rig.now + 130_000);
    let call = Admit { urgency: 4, ..rig.admit(&keys[1], "crm") };
    assert!(matches!(rig.ask(Ask::Admit(call)), Answer::Wait(_)));
    rig.answered("crm", permits[0]);
    assert_eq!((runs(&mut rig).len(), rig.desk.next_ready().is_some()), (1, false));
}

#[test]
fn jobs_that_the_vendor_takes_faster_than_they_leave_are_sent_all_the_same() {
    // Eight apps, for each of which a hundred jobs may be at the vendor at once; and six errands on their way, for 24 ms each.
    let mut rig = Rig::empty();
    let names: Vec<String> = (0..8).map(|app| format!("app-{app}")).collect();
    rig.put(&json!({
        "connections": {"crm": {"vendor": "generic", "base_url": "https://crm.example.com",
            "limits": [{"name": "slots", "kind": "concurrency", "calls": 5_000}]}},
        "apps": names.iter().map(|name| (name.clone(), json!({}))).collect::<serde_json::Map<_, _>>(),
    }));
    let keys: Vec<Claims> = names.iter().map(|name| rig.app(name)).collect();
    (0..150).for_each(|_| keys.iter().for_each(|app| keep(&mut rig, app)));
    let began = rig.now;
    let mut free = [began; MOST_AT_ONCE as usize];
    let mut reports = BTreeMap::<(i64, u64), Ran>::new();
    let (mut sent, mut unsent, mut no) = (0_u32, 0_u32, 0);
    while sent < 8 * 150 {
        assert!(rig.now < began + 10_000, "{sent} jobs were sent in ten seconds, and {unsent} came back unsent");
        rig.go_to(rig.now + 1);
        while let Some((&due, _)) = reports.first_key_value().filter(|((at, _), _)| *at <= rig.now) {
            let ran = reports.remove(&due).unwrap();
            rig.told(Ask::Ran(Box::new(ran)));
        }
        let now = rig.now;
        for free in free.iter_mut().filter(|free| **free <= now) {
            let Some(Errand::Run(run)) = rig.next_errand() else { break };
            *free = rig.now + 24;
            let there = rig.now + 12;
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
    assert!(rig.now < began + 5_500, "six at once, for 24 ms each");
}

#[test]
fn a_backlog_asks_for_as_many_permits_as_can_leave_soon() {
    let (mut rig, keys) = setup(3, json!({"type": "bearer", "token": "secret"}));
    rig.put(&json!({
        "connections": {"crm": {"vendor": "generic", "base_url": "https://crm.example.com",
            "limits": [{"name": "slots", "kind": "concurrency", "calls": 1_000}]}},
        "apps": {"app-0000": {}, "app-0001": {}, "app-0002": {}},
    }));
    (0..60).for_each(|_| keys.iter().for_each(|app| keep(&mut rig, app)));
    let asked = rig.status()["connections"]["crm"]["limits"][0]["used"].as_u64().unwrap();
    assert!((1..=u64::try_from(MOST_ASKED).unwrap()).contains(&asked), "{asked}");
    assert_eq!(runs(&mut rig).len(), 180, "all the same, they leave one after another");
}
