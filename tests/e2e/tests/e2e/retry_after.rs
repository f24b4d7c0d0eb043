//! `Retry-After` is exact: a call at that time succeeds, and one more than a second earlier fails.

use serde_json::json;
use sluice_e2e::{Answer, Tenant, World, load};
use sluice_mock_upstreams::{Spec, Vendor};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

tests![
    a_window_names_its_end_to_the_second,
    a_bucket_names_the_next_drop,
    callers_refused_together_are_told_successive_times,
    with_answers_outstanding_it_is_at_least_1,
    a_thousand_refusals_of_one_apps_budget_do_not_put_off_another_app,
];

async fn limited(
    world: &World,
    name: &str,
    limit: serde_json::Value,
    vendor: &sluice_mock_upstreams::Handle,
) -> (Tenant, String) {
    let tenant = world.tenant(name);
    let more = json!({"limits": [limit], "queue": {"size": 100, "max_wait_seconds": 10}});
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    (tenant, key)
}

fn unlimited() -> sluice_mock_upstreams::Handle {
    Vendor::start(Spec::new("generic").limits(vec![])).unwrap()
}

/// Checks that a call a second before the given time fails, and that one at the time succeeds.
async fn holds(tenant: &Tenant, key: &str, told_at: Instant, refused: &Answer, reason: &str) {
    refused.is_problem(429, reason);
    let told = Duration::from_secs(refused.retry_after().expect("Retry-After"));
    if told > Duration::from_millis(1200) {
        sleep_until(told_at + told - Duration::from_millis(1200)).await;
        let early = tenant.get_now(key, "/echo").await;
        // On a machine so busy that the answer came within the last second, it proves nothing.
        if told_at.elapsed() > told - Duration::from_secs(1) && early.status == 200 {
            return;
        }
        early.is_problem(429, reason);
    }
    sleep_until(told_at + told).await;
    tenant.get_now(key, "/echo").await.is_vendors(200);
}

async fn a_window_names_its_end_to_the_second(world: &World) {
    let vendor = unlimited();
    let limit = json!({"name": "rate", "kind": "rolling_window", "calls": 2, "seconds": 7});
    let (tenant, key) = limited(world, "told", limit, &vendor).await;
    let began = Instant::now();
    tenant.get(&key, "/echo").await.is_vendors(200);
    tenant.get(&key, "/echo").await.is_vendors(200);
    sleep_until(began + Duration::from_millis(1500)).await;
    let told_at = Instant::now();
    let refused = tenant.get_now(&key, "/echo").await;
    assert_eq!(refused.retry_after(), Some(6), "5.5 s are left, and a little");
    assert_eq!(refused.json()["violated-policies"], json!(["rate"]));
    holds(&tenant, &key, told_at, &refused, "rate").await;
}

async fn a_bucket_names_the_next_drop(world: &World) {
    let vendor = unlimited();
    let limit = json!({"name": "rate", "kind": "token_bucket", "rate_per_second": 0.25, "burst": 1});
    let (tenant, key) = limited(world, "drop", limit, &vendor).await;
    tenant.get(&key, "/echo").await.is_vendors(200);
    let told_at = Instant::now();
    let refused = tenant.get_now(&key, "/echo").await;
    assert_eq!(refused.retry_after(), Some(4));
    holds(&tenant, &key, told_at, &refused, "rate").await;
}

async fn callers_refused_together_are_told_successive_times(world: &World) {
    let vendor = unlimited();
    let limit = json!({"name": "rate", "kind": "token_bucket", "rate_per_second": 1, "burst": 1});
    let (tenant, key) = limited(world, "told-apart", limit, &vendor).await;
    tenant.get(&key, "/echo").await.is_vendors(200);
    let ask = sluice_e2e::Ask::get("/v/c/echo").key(&key).wait(0);
    let answers = load::at_once(tenant.to(), vec![ask; 8]).await;
    let mut told: Vec<u64> = answers.iter().filter_map(Answer::retry_after).collect();
    told.sort_unstable();
    assert!(told.len() >= 7, "told {told:?}");
    let spread = told.last().unwrap() - told[0];
    assert!(spread >= 5, "told {told:?}, at one call a second");
}

async fn with_answers_outstanding_it_is_at_least_1(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![]).jitter(1500, 1500)).unwrap();
    let limit = json!({"name": "slots", "kind": "concurrency", "calls": 1});
    let (tenant, key) = limited(world, "outstanding", limit, &vendor).await;
    let (first, refused) = tokio::join!(tenant.get(&key, "/echo"), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        tenant.get_now(&key, "/echo").await
    });
    first.is_vendors(200);
    refused.is_problem(429, "concurrency");
    assert!(refused.retry_after().unwrap() >= 1);
}

/// One app has spent its budget, and calls a thousand times all the same. Another is told when the
/// window has room, which is within 20 s. With a bug it was told 2,006 s, a second or two for each
/// refusal of the first app.
async fn a_thousand_refusals_of_one_apps_budget_do_not_put_off_another_app(world: &World) {
    let vendor = unlimited();
    let tenant = world.tenant("told-apart-from");
    let rate = json!({"name": "rate", "kind": "rolling_window", "calls": 3, "seconds": 20});
    let connection = json!({"vendor": "generic", "base_url": vendor.url(), "limits": [rate]});
    let apps = json!({"spent": {"daily_calls": 1}, "other": {}});
    tenant.policy(&json!({"connections": {"c": connection}, "apps": apps})).await;
    let (spent, other) = (tenant.key("spent").await, tenant.key("other").await);
    tenant.get(&spent, "/echo").await.is_vendors(200);
    tenant.get(&other, "/echo").await.is_vendors(200);
    tenant.get(&other, "/echo").await.is_vendors(200);
    let ask = sluice_e2e::Ask::get("/v/c/echo").key(&spent).wait(0);
    for _ in 0..20 {
        let answers = load::at_once(tenant.to(), vec![ask.clone(); 50]).await;
        answers.iter().for_each(|answer| answer.is_problem(429, "app-budget"));
    }
    let refused = tenant.get_now(&other, "/echo").await;
    refused.is_problem(429, "rate");
    assert!((1..=21).contains(&refused.retry_after().unwrap()), "told {:?} s", refused.retry_after());
}
