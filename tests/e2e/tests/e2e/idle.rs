//! The tenant's object leaves memory after about 10 s without requests, and knows everything when it is back.

use serde_json::json;
use sluice_e2e::{World, tenant::limit};
use sluice_vendors::{Spec, Vendor};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

tests![after_15_idle_seconds_counts_and_windows_stand];

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
