//! Fairness: a noisy app delays only itself.

use serde_json::{Value, json};
use sluice_e2e::{Ask, Tenant, World, load};
use sluice_mock_upstreams::{Handle, Spec, Vendor};
use std::time::Duration;
use tokio::task::JoinSet;

tests![
    seven_quiet_apps_are_among_the_next_eight,
    seven_quiet_apps_are_among_the_next_eight_though_the_noisy_one_claims_urgency,
    weights_of_3_to_1_give_3_to_1,
    of_one_apps_waiting_calls_the_urgent_goes_first,
    a_job_that_waits_for_tomorrow_leaves_two_other_apps_their_parts,
];

async fn seven_quiet_apps_are_among_the_next_eight(world: &World) {
    quiet_apps_come_next(world, "fair", "u=3").await;
}

async fn seven_quiet_apps_are_among_the_next_eight_though_the_noisy_one_claims_urgency(world: &World) {
    quiet_apps_come_next(world, "urgent", "u=0").await;
}

async fn setup(world: &World, name: &str, limit: Value, apps: Value) -> (Handle, Tenant) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant(name);
    let connection = json!({
        "vendor": "generic", "base_url": vendor.url(), "limits": [limit], "queue": {"size": 400, "max_wait_seconds": 120},
    });
    tenant.policy(&json!({"connections": {"c": connection}, "apps": apps})).await;
    (vendor, tenant)
}

async fn quiet_apps_come_next(world: &World, name: &str, urgency: &str) {
    let limit = json!({"name": "rate", "kind": "token_bucket", "rate_per_second": 2, "burst": 2});
    let apps: Value = (0..8).map(|n| (format!("app-{n}"), json!({}))).collect::<serde_json::Map<_, _>>().into();
    let (vendor, tenant) = setup(world, name, limit, apps).await;
    let ask = |app: &str, key: &str| Ask::get("/v/c/echo").key(key).with("X-App", app);

    let noisy = tenant.key("app-0").await;
    let mut waiting = JoinSet::new();
    for _ in 0..200 {
        let (to, ask) = (tenant.to(), ask("app-0", &noisy).with("Priority", urgency));
        waiting.spawn(async move { ask.try_send(to).await });
    }
    tenant.until(&noisy, "the noisy app waits", |c| c["queue"]["depth"].as_u64().unwrap_or(0) >= 190).await;
    let mut quiet = Vec::new();
    for n in 1..8 {
        quiet.push(ask(&format!("app-{n}"), &tenant.key(&format!("app-{n}")).await));
    }
    let before = vendor.calls().0.len();
    let answers = load::at_once(tenant.to(), quiet).await;
    assert!(answers.iter().all(|a| a.status == 200));
    waiting.abort_all();

    let order: Vec<String> = vendor.calls().0.iter().skip(before).map(|c| c.app.clone().unwrap_or_default()).collect();
    let last = order.iter().rposition(|app| app != "app-0").unwrap() + 1;
    // One more call may have gone while the seven were on their way.
    assert!(last <= 9, "the last of the seven was number {last}: {order:?}");
}

async fn of_one_apps_waiting_calls_the_urgent_goes_first(world: &World) {
    let limit = json!({"name": "rate", "kind": "rolling_window", "calls": 1, "seconds": 3});
    let (vendor, tenant) = setup(world, "urgency", limit, json!({"app": {}})).await;
    let key = tenant.key("app").await;
    tenant.get(&key, "/echo?0").await.is_vendors(200);
    let mut waiting = JoinSet::new();
    for (depth, (name, urgency)) in [("later", "u=7"), ("plain", ""), ("urgent", "u=0")].into_iter().enumerate() {
        let (to, ask) = (tenant.to(), Ask::get(&format!("/v/c/echo?{name}")).key(&key).with("Priority", urgency));
        waiting.spawn(async move { ask.send(to).await });
        tenant.until(&key, "it waits", |c| c["queue"]["depth"] == depth + 1).await;
    }
    assert!(waiting.join_all().await.iter().all(|a| a.status == 200));
    let order: Vec<String> = vendor.calls().0.iter().map(|c| c.target.clone()).collect();
    assert_eq!(order, ["/echo?0", "/echo?urgent", "/echo?plain", "/echo?later"]);
}

async fn weights_of_3_to_1_give_3_to_1(world: &World) {
    let limit = json!({"name": "rate", "kind": "token_bucket", "rate_per_second": 30, "burst": 1});
    let apps = json!({"heavy": {"weight": 3}, "light": {"weight": 1}});
    let (vendor, tenant) = setup(world, "weights", limit, apps).await;
    let (heavy, light) = (tenant.key("heavy").await, tenant.key("light").await);
    // All calls wait before the order is checked, so that it is the queue's order and not that of
    // the callers.
    let mut waiting = JoinSet::new();
    for (app, key, calls) in [("heavy", &heavy, 240), ("light", &light, 120)] {
        for _ in 0..calls {
            let (to, ask) = (tenant.to(), Ask::get("/v/c/echo").key(key).with("X-App", app));
            waiting.spawn(async move { ask.try_send(to).await });
        }
    }
    let all = |c: &Value| vendor.calls().0.len() as u64 + c["queue"]["depth"].as_u64().unwrap_or(0) >= 360;
    tenant.until(&heavy, "all have come", all).await;
    let before = vendor.calls().0.len();
    assert!(before < 160, "the queue filled too slowly to judge its order: {before} had gone");
    tenant.until(&heavy, "enough have gone", |_| vendor.calls().0.len() >= before + 80).await;
    waiting.abort_all();
    let calls = vendor.calls();
    // One call of each app may have been on its way when the last came.
    let next: Vec<_> = calls.0.iter().skip(before + 2).take(76).map(|c| c.app.clone().unwrap_or_default()).collect();
    let share = next.iter().filter(|app| *app == "heavy").count() as f64 / next.len() as f64;
    assert!((0.7125..=0.7875).contains(&share), "heavy has {share:.3} of the next {}", next.len());
}

/// An app has spent its budget, and one of its jobs waits until tomorrow. Another has made many
/// calls without waiting when a third comes and both want more than there is: they must share
/// evenly. With a bug, all earlier calls of the second app counted against it, as if they had been
/// taken from the third.
async fn a_job_that_waits_for_tomorrow_leaves_two_other_apps_their_parts(world: &World) {
    let limit = json!({"name": "slots", "kind": "concurrency", "calls": 1});
    let apps = json!({"long": {}, "new": {}, "spent": {"daily_calls": 1}});
    let (vendor, tenant) = setup(world, "tomorrow", limit, apps).await;
    let (long, new, spent) = (tenant.key("long").await, tenant.key("new").await, tenant.key("spent").await);
    tenant.get(&spent, "/echo").await.is_vendors(200);
    let job = tenant.send(&Ask::post("/v/c/echo", "{}").key(&spent).with("Prefer", "respond-async")).await;
    assert_eq!(job.status, 202, "{}", job.text());
    for _ in 0..60 {
        tenant.get(&long, "/echo").await.is_vendors(200);
    }
    let ask = |app: &str, key: &str| Ask::get("/v/c/echo").key(key).with("X-App", app);
    let holding = load::hold(&tenant, &vendor, &ask("long", &long), Duration::from_secs(3)).await;
    let mut waiting = load::Patient::default();
    (0..40).for_each(|_| waiting.send(&tenant, ask("long", &long)));
    tenant.until(&long, "those of one wait", |c| c["queue"]["depth"].as_u64() >= Some(40)).await;
    (0..40).for_each(|_| waiting.send(&tenant, ask("new", &new)));
    let c = tenant.until(&new, "all wait", |c| c["queue"]["depth"].as_u64() >= Some(80)).await;
    assert_eq!(c["jobs"]["queued"], 1, "the job waits: {c}");
    let before = vendor.calls().0.len();
    holding.await.unwrap().is_vendors(200);
    assert!(waiting.all().await.iter().all(|answer| answer.status == 200));
    let calls = vendor.calls();
    let next = calls.0.iter().skip(before).take(40).filter(|call| call.app.as_deref() == Some("long")).count();
    assert!((18..=22).contains(&next), "{next} of the next 40 are the one's, whose weight is the same");
    assert_eq!(calls.only(|call| call.app.is_none()).0.len(), 61, "the job has not run");
}
