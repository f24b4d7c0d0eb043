//! Daily limits: the quota, the app's own budget, and a reset during the test.

use serde_json::json;
use sluice_e2e::{Ask, World, tenant::limit};
use sluice_mock_upstreams::{Latency, Spec, Vendor};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

tests![
    over_a_reset_the_day_begins_anew_and_calls_in_flight_count_on_both_sides,
    a_spent_day_and_a_spent_budget_are_said_apart,
    a_refused_call_changes_no_counter,
];

const UTC: &str = "UTC";

async fn over_a_reset_the_day_begins_anew_and_calls_in_flight_count_on_both_sides(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("reset");
    // This is the next full minute that is at least 20 s away.
    let now_s = now_ms() / 1000;
    let reset_s = (now_s + 79) / 60 * 60;
    let reset = format!("{:02}:{:02}", reset_s / 3600 % 24, reset_s / 60 % 60);
    let more = json!({
        "limits": [{"name": "day", "kind": "daily", "calls": 4, "reset": reset, "time_zone": UTC}],
        "timeout_seconds": 60,
    });
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    for _ in 0..3 {
        tenant.get(&key, "/echo").await.is_vendors(200);
    }
    // One call is in flight over the reset.
    sleep(Duration::from_millis((until(reset_s) - 15_000).try_into().unwrap_or(0))).await;
    let over = tokio::spawn({
        let (to, ask) = (tenant.to(), Ask::get("/v/c/echo?over").key(&key));
        vendor.change(|spec| spec.latency = Latency::Fixed { ms: (until(reset_s) + 4000).unsigned_abs() }).unwrap();
        async move { ask.send(to).await }
    });
    while vendor.in_service() == 0 {
        sleep(Duration::from_millis(20)).await;
    }
    vendor.change(|spec| spec.latency = Latency::None).unwrap();
    let told_at = Instant::now();
    let refused = tenant.get_now(&key, "/echo").await;
    refused.is_problem(429, "daily-quota");
    assert_eq!(refused.json()["violated-policies"], json!(["day"]));
    let told = refused.retry_after().unwrap();
    let left = (until(reset_s) + 999) / 1000;
    assert!((left..=left + 3).contains(&i64::try_from(told).unwrap()), "{left} s are left, told {told}");

    sleep_until(told_at + Duration::from_secs(told)).await;
    // The call in flight also counts on the new day, so three are left of it.
    for _ in 0..3 {
        tenant.get_now(&key, "/echo").await.is_vendors(200);
    }
    tenant.get_now(&key, "/echo").await.is_problem(429, "daily-quota");
    over.await.unwrap().is_vendors(200);
    let status = tenant.status(&key).await;
    assert_eq!(limit(&status["connections"]["c"], "day")["used"], 4);
}

async fn a_spent_day_and_a_spent_budget_are_said_apart(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("budget");
    let limits = json!([{"name": "day", "kind": "daily", "calls": 5, "reset": "00:00", "time_zone": UTC}]);
    let connection = json!({"vendor": "generic", "base_url": vendor.url(), "limits": limits});
    let apps = json!({"small": {"daily_calls": 2}, "large": {}});
    tenant.policy(&json!({"connections": {"c": connection}, "apps": apps})).await;
    let (small, large) = (tenant.key("small").await, tenant.key("large").await);
    for _ in 0..2 {
        tenant.get(&small, "/echo").await.is_vendors(200);
    }
    // The refusal comes at once, though the caller would wait: no wait of 10 s reaches the reset.
    let refused = tenant.get(&small, "/echo").await;
    refused.is_problem(429, "app-budget");
    assert!(refused.took < Duration::from_secs(5), "said after {:?}", refused.took);
    for _ in 0..3 {
        tenant.get(&large, "/echo").await.is_vendors(200);
    }
    let refused = tenant.get(&large, "/echo").await;
    refused.is_problem(429, "daily-quota");
    assert!(refused.json()["type"].as_str().unwrap().ends_with("quota-exceeded"), "{}", refused.text());
    let left = 86_400 - now_ms() / 1000 % 86_400;
    let told = i64::try_from(refused.retry_after().unwrap()).unwrap();
    assert!((left - 2..=left + 4).contains(&told), "{left} s are left, told {told}");
    assert_eq!(vendor.calls().0.len(), 5);
}

async fn a_refused_call_changes_no_counter(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let day = json!({"name": "day", "kind": "daily", "calls": 50, "reset": "00:00", "time_zone": UTC});
    let rate = json!({"name": "rate", "kind": "rolling_window", "calls": 2, "seconds": 60});
    let slots = json!({"name": "slots", "kind": "concurrency", "calls": 20});
    let bucket = json!({"name": "bucket", "kind": "token_bucket", "rate_per_second": 1, "burst": 50});
    let all = [day, rate, slots, bucket];
    for turn in 0..4 {
        let mut limits = all.to_vec();
        limits.rotate_left(turn);
        let tenant = world.tenant("all-or-nothing");
        let key = tenant.simple("generic", &vendor.url(), &json!({"limits": limits})).await;
        for _ in 0..2 {
            tenant.get(&key, "/echo").await.is_vendors(200);
        }
        for _ in 0..5 {
            tenant.get_now(&key, "/echo").await.is_problem(429, "rate");
        }
        let connection = tenant.until(&key, "all is settled", |c| c["in_flight"] == 0).await;
        assert_eq!(limit(&connection, "day")["used"], 2, "turn {turn}");
        assert_eq!(limit(&connection, "rate")["used"], 2, "turn {turn}");
        assert_eq!(limit(&connection, "slots")["used"], 0, "turn {turn}");
    }
}

#[expect(clippy::disallowed_methods, reason = "the reset is one of the calendar")]
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Returns the milliseconds until a Unix time in seconds.
fn until(unix_s: i64) -> i64 {
    unix_s * 1000 - now_ms()
}
