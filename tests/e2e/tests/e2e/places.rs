//! Which calls have a place in the queue when it is full, and when the policy changes meanwhile.

use serde_json::{Value, json};
use sluice_e2e::load::{Patient, hold};
use sluice_e2e::{Ask, Tenant, World};
use sluice_mock_upstreams::{Handle, Spec, Vendor};
use std::time::Duration;
use tokio::time::Instant;

tests![
    a_quiet_app_has_its_part_of_a_queue_that_a_noisy_one_has_filled,
    those_who_wait_keep_their_order_when_the_policy_changes_and_who_lost_its_route_is_told,
];

/// Long enough for all calls to arrive, on a loaded machine.
const HELD: Duration = Duration::from_secs(4);

/// Makes a tenant whose connection has one slot and a hundred places.
async fn one_slot(world: &World, name: &str, apps: &Value) -> (Handle, Tenant) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant(name);
    tenant.policy(&policy(&vendor, &json!([slot()]), apps)).await;
    (vendor, tenant)
}

fn slot() -> Value {
    json!({"name": "slots", "kind": "concurrency", "calls": 1})
}

fn policy(vendor: &Handle, limits: &Value, apps: &Value) -> Value {
    let queue = json!({"size": 100, "max_wait_seconds": 60});
    let connection = json!({"vendor": "generic", "base_url": vendor.url(), "limits": limits, "queue": queue});
    json!({"connections": {"c": connection}, "apps": apps})
}

/// Polls the status without a pause until this many calls wait.
async fn until_depth(tenant: &Tenant, key: &str, depth: usize) {
    let began = Instant::now();
    while tenant.status(key).await["connections"]["c"]["queue"]["depth"] != depth {
        assert!(began.elapsed() < Duration::from_secs(20), "{depth} do not wait");
    }
}

/// 150 calls of a noisy app have filled the 100 places when a quiet app of ten times its weight
/// comes. Each of its calls takes the place of the noisy app's last one, which is refused as
/// `queue-full`, and 36 of the next 40 calls are its own. With a bug it was refused, or had 5.
async fn a_quiet_app_has_its_part_of_a_queue_that_a_noisy_one_has_filled(world: &World) {
    let apps = json!({"noisy": {"weight": 1}, "quiet": {"weight": 10}});
    let (vendor, tenant) = one_slot(world, "places", &apps).await;
    let (noisy, quiet) = (tenant.key("noisy").await, tenant.key("quiet").await);
    let ask = |app: &str, key: &str| Ask::get("/v/c/echo").key(key).with("X-App", app);
    let holding = hold(&tenant, &vendor, &ask("noisy", &noisy), HELD).await;
    let (mut of_noisy, mut of_quiet) = (Patient::default(), Patient::default());
    (0..150).for_each(|_| of_noisy.send(&tenant, ask("noisy", &noisy)));
    of_noisy.until(50).await.iter().for_each(|answer| answer.is_problem(429, "queue-full"));
    until_depth(&tenant, &noisy, 100).await;
    (0..40).for_each(|_| of_quiet.send(&tenant, ask("quiet", &quiet)));
    of_noisy.until(90).await.iter().for_each(|answer| {
        answer.is_problem(429, "queue-full");
        assert!(answer.retry_after().unwrap() >= 1);
    });
    assert_eq!(vendor.calls().0.len(), 1, "nobody has gone, so that the order is the queue's");

    holding.await.unwrap().is_vendors(200);
    assert!(of_quiet.all().await.iter().all(|answer| answer.status == 200));
    let of_noisy = of_noisy.all().await;
    assert_eq!(of_noisy.iter().filter(|answer| answer.status == 200).count(), 60, "none but those 90 gave way");
    let order: Vec<String> = vendor.calls().0.iter().skip(1).map(|c| c.app.clone().unwrap_or_default()).collect();
    let of_quiet = order.iter().take(40).filter(|app| *app == "quiet").count();
    assert!((35..=38).contains(&of_quiet), "of the next 40 calls {of_quiet} were the quiet app's: {order:?}");
}

/// 50 calls wait when the policy changes in every way that leaves them valid: they stay, in the
/// order in which they came. The app of one more has lost the route of its call, which is refused
/// at once.
async fn those_who_wait_keep_their_order_when_the_policy_changes_and_who_lost_its_route_is_told(world: &World) {
    let apps = |routes: Value| json!({"app": {}, "other": {"routes": routes}});
    let (vendor, tenant) = one_slot(world, "kept-places", &apps(json!(["GET /echo"]))).await;
    let (app, other) = (tenant.key("app").await, tenant.key("other").await);
    let holding = hold(&tenant, &vendor, &Ask::get("/v/c/echo").key(&app), HELD).await;
    let (mut waiting, mut losing) = (Patient::default(), Patient::default());
    for n in 0..51 {
        if n == 25 {
            losing.send(&tenant, Ask::get("/v/c/echo?lost").key(&other));
        } else {
            waiting.send(&tenant, Ask::get(&format!("/v/c/echo?{n}")).key(&app));
        }
        until_depth(&tenant, &app, n + 1).await;
    }
    let each = json!({"name": "each", "kind": "rolling_window", "calls": 1_000, "seconds": 20, "per": "app"});
    let day = json!({"name": "day", "kind": "daily", "calls": 1_000, "reset": "00:00", "time_zone": "UTC"});
    let limits = json!([each, day, {"name": "one-at-once", "kind": "concurrency", "calls": 1}]);
    tenant.policy(&policy(&vendor, &limits, &apps(json!(["GET /elsewhere"])))).await;
    losing.until(1).await[0].is_problem(403, "route");
    assert_eq!(vendor.calls().0.len(), 1, "it was told before anybody went");
    until_depth(&tenant, &app, 50).await;

    holding.await.unwrap().is_vendors(200);
    assert!(waiting.all().await.iter().all(|answer| answer.status == 200));
    let order: Vec<String> = vendor.calls().0.iter().skip(1).map(|call| call.target.clone()).collect();
    let expected: Vec<String> = (0..51).filter(|n| *n != 25).map(|n| format!("/echo?{n}")).collect();
    assert_eq!(order, expected);
}
