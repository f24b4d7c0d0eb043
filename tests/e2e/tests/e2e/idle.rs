//! The tenant's object leaves memory after about 10 s without requests, knows everything when it is
//! back, and leaves nothing behind.

use serde_json::{Value, json};
use sluice_e2e::instance::{Start, tests_build};
use sluice_e2e::{Ask, Tenant, World, load, tenant::limit};
use sluice_mock_upstreams::{Spec, Vendor};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

tests![after_15_idle_seconds_counts_and_windows_stand, objects_that_have_left_memory_leave_nothing_of_theirs_in_it];

async fn after_15_idle_seconds_counts_and_windows_stand(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("idle");
    let more = json!({"limits": [
        {"name": "rate", "kind": "rolling_window", "calls": 3, "seconds": 30},
        {"name": "day", "kind": "daily", "calls": 50, "reset": "00:00", "time_zone": "UTC"},
    ]});
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    let began = Instant::now();
    for _ in 0..3 {
        tenant.get(&key, "/echo").await.is_vendors(200);
    }
    let answered = Instant::now();
    sleep_until(answered + Duration::from_secs(15)).await;

    let refused = tenant.get_now(&key, "/echo").await;
    refused.is_problem(429, "rate");
    let told = refused.retry_after().unwrap();
    assert!((13..=18).contains(&told), "15 s are left, and 1 s for the load from disk; told {told}");
    let status = tenant.status(&key).await;
    let connection = &status["connections"]["c"];
    assert_eq!(limit(connection, "day")["used"], 3);
    assert_eq!(limit(connection, "rate")["used"], 3);

    sleep_until(began + Duration::from_secs(15 + 2) + Duration::from_secs(told)).await;
    for _ in 0..3 {
        tenant.get_now(&key, "/echo").await.is_vendors(200);
    }
    let status = tenant.status(&key).await;
    assert_eq!(limit(&status["connections"]["c"], "day")["used"], 6);
}

/// Forty tenants with a thousand apps each are loaded and left alone in turns. In each, two calls
/// come at once, the second of which waits for a timer. The memory of tenants that were loaded
/// before is freed when others load, not when JavaScript happens to collect garbage.
async fn objects_that_have_left_memory_leave_nothing_of_theirs_in_it(_: &World) {
    const TENANTS: usize = 40;
    let Some(build) = tests_build() else {
        assert!(std::env::var_os("CI").is_none(), "there is no build for the tests");
        println!("not tried: there is no build for the tests");
        return;
    };
    let mut start = Start::fresh("left");
    start.build = build;
    let instance = start.run();
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let apps: Value = (0..1_000).map(|app| (format!("app{app}"), json!({"daily_calls": 1_000}))).collect();
    let mut limits = vec![json!({"name": "rate", "kind": "rolling_window", "calls": 1, "seconds": 1})];
    limits.extend((0..20).map(|of| {
        json!({"name": format!("own{of}"), "kind": "rolling_window", "calls": 1_000, "seconds": 60 + of, "per": "app"})
    }));
    let connection = json!({"vendor": "generic", "base_url": vendor.url(), "limits": limits});
    let mut asks = Vec::new();
    for nth in 0..TENANTS {
        let tenant = Tenant::new(&instance, &format!("left{nth}"));
        tenant.policy(&json!({"connections": {"c": connection}, "apps": apps})).await;
        asks.push(Ask::get("/v/c/echo").key(&tenant.key("app1").await));
    }
    let memory = Ask { target: "/v/c/wasm-memory".to_owned(), ..asks[0].clone() };
    let mut held = Vec::new();
    for _ in 0..6 {
        // The platform evicts an object that had no request for ten seconds.
        sleep_until(Instant::now() + Duration::from_secs(12)).await;
        for answer in load::at_once(instance.address(), [asks.clone(), asks.clone()].concat()).await {
            answer.is_vendors(200);
        }
        held.push(memory.send(instance.address()).await.json().as_u64().unwrap() >> 20);
    }
    println!("the Wasm's memory after each of six times that {TENANTS} tenants were loaded: {held:?} MB");
    assert!(held[5] <= held[2] + 4, "it grows with each time: {held:?} MB");
}
