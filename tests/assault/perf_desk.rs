use crate::desk_rig::*;
use serde_json::{Value, json};
use sluice::tenant::desk::{Answer, Ticket};
use sluice::tenant::protocol::*;
use sluice::throttle::*;
use std::time::Instant;

fn policy(apps: usize, limits: Value) -> Value {
    let names: serde_json::Map<String, Value> = (0..apps).map(|i| (format!("app-{i:04}"), json!({}))).collect();
    json!({
        "connections": {"crm": {"vendor": "generic", "base_url": "https://crm.example.com", "limits": limits,
            "queue": {"size": 10_000, "max_wait_seconds": 60}, "credential": {"type": "bearer", "token": "crm-secret"}}},
        "apps": names,
    })
}

#[test]
#[ignore]
fn perf_20_putting_the_policy_with_10_000_waiting() {
    for (apps, each) in [(1_usize, 10_000_usize), (1_000, 10)] {
        let limits = json!([{"name": "slots", "kind": "concurrency", "calls": 1}, {"name": "day", "kind": "daily", "calls": 1_000_000, "reset": "00:00", "time_zone": "+00:00"},
            {"name": "rate", "kind": "rolling_window", "calls": 1000000, "seconds": 20}]);
        let mut rig = Rig::empty();
        let policy = policy(apps, limits);
        rig.put(&policy);
        let keys: Vec<_> = (0..apps).map(|i| rig.app(&format!("app-{i:04}"))).collect();
        rig.go(&keys[0], "crm");
        let begin = Instant::now();
        for _ in 0..each {
            for key in &keys {
                let admit = rig.admit(key, "crm");
                assert!(matches!(rig.ask(Ask::Admit(admit)), Answer::Wait(_)));
            }
        }
        let filling = begin.elapsed();
        let begin = Instant::now();
        rig.put(&policy);
        let put = begin.elapsed();
        let begin = Instant::now();
        rig.admin(Admin::CreateKey(NewKey::read(r#"{"role":"viewer"}"#).unwrap()));
        let key = begin.elapsed();
        let begin = Instant::now();
        let _ = rig.status();
        let status = begin.elapsed();
        println!(
            "{apps} apps x {each} waiting: filling {filling:?} ({:?} each); PUT policy {put:?}; make a key {key:?}; status {status:?}",
            filling / 10_000
        );
    }
}

#[test]
#[ignore]
fn perf_21_status_with_1_000_apps() {
    for per_app in [0, 4, 16] {
        let limits: Vec<Value> = (0..16)
            .map(|i| {
                let mut limit =
                    json!({"name": format!("l{i}"), "kind": "rolling_window", "calls": 2_000, "seconds": 60 + i});
                if i < per_app {
                    limit["per"] = json!("app");
                }
                limit
            })
            .collect();
        let mut rig = Rig::empty();
        rig.put(&policy(1_000, json!(limits)));
        let keys: Vec<_> = (0..1_000).map(|i| rig.app(&format!("app-{i:04}"))).collect();
        let begin = Instant::now();
        for key in &keys {
            let go = rig.go(key, "crm");
            rig.answered("crm", go.permit);
        }
        let first = begin.elapsed() / 1_000;
        let begin = Instant::now();
        for key in keys.iter().take(100) {
            let go = rig.go(key, "crm");
            rig.answered("crm", go.permit);
        }
        let then = begin.elapsed() / 100;
        let begin = Instant::now();
        let _ = rig.status();
        let status = begin.elapsed();
        let begin = Instant::now();
        rig.reopen();
        let opened = begin.elapsed();
        println!(
            "16 limits, {per_app} of them by app, 1,000 apps: a first call {first:?}, another {then:?}; status {status:?}; open the desk {opened:?}"
        );
    }
}

#[test]
#[ignore]
fn perf_22_opening_with_many_jobs() {
    let mut rig = Rig::empty();
    let limits = json!([{"name": "day", "kind": "daily", "calls": 1, "reset": "00:00", "time_zone": "+00:00"}]);
    rig.put(&policy(1_000, limits));
    let keys: Vec<_> = (0..1_000).map(|i| rig.app(&format!("app-{i:04}"))).collect();
    let begin = Instant::now();
    for n in 0..19_000 {
        let keep = rig.keep(&keys[n % 1_000], "crm", "POST");
        rig.kept(keep);
    }
    println!("19,000 jobs of 1,000 apps kept: {:?} each", begin.elapsed() / 19_000);
    let begin = Instant::now();
    rig.reopen();
    println!("open the desk: {:?}", begin.elapsed());
    let begin = Instant::now();
    rig.put(&policy(
        1_000,
        json!([{"name": "day", "kind": "daily", "calls": 2, "reset": "00:00", "time_zone": "+00:00"}]),
    ));
    println!("PUT policy: {:?}", begin.elapsed());
    let key = rig.app("app-0001");
    let begin = Instant::now();
    for _ in 0..100 {
        let admit = Admit { wait_ms: Some(0), ..rig.admit(&key, "crm") };
        rig.ask(Ask::Admit(admit));
    }
    println!("an ask: {:?}", begin.elapsed() / 100);
}
