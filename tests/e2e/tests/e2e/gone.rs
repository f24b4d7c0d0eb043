//! Callers that disconnect while their call waits or runs.

use serde_json::json;
use sluice_e2e::{Ask, Open, World, tenant::limit};
use sluice_mock_upstreams::{Latency, Spec, Vendor};
use std::time::Duration;
use tokio::time::sleep;

tests![
    a_caller_gone_while_waiting_is_not_granted_and_its_place_is_freed,
    a_caller_gone_while_the_vendor_works_is_settled,
    a_caller_gone_in_the_middle_of_a_body_is_settled_when_it_has_ended,
    a_caller_gone_in_the_middle_of_a_large_body_cuts_it_off_and_its_slot_waits_for_the_vendors_ceiling,
];

async fn a_caller_gone_while_waiting_is_not_granted_and_its_place_is_freed(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("gone-waiting");
    let more = json!({
        "limits": [{"name": "rate", "kind": "rolling_window", "calls": 1, "seconds": 6}],
        "queue": {"size": 1, "max_wait_seconds": 60},
    });
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    tenant.get(&key, "/echo?first").await.is_vendors(200);

    let mut gone = Open::connect(tenant.to()).await.unwrap();
    gone.start(&Ask::get("/v/c/echo?gone").key(&key)).await.unwrap();
    tenant.until(&key, "it waits", |c| c["queue"]["depth"] == 1).await;
    tenant.get(&key, "/echo?no-place").await.is_problem(429, "queue-full");
    gone.reset();
    tenant.until(&key, "its place is free", |c| c["queue"]["depth"] == 0).await;

    // The place in the queue is free, and the window next admits this call, not the one whose
    // caller has gone.
    tenant.get(&key, "/echo?last").await.is_vendors(200);
    let seen: Vec<String> = vendor.calls().0.iter().map(|c| c.target.clone()).collect();
    assert_eq!(seen, ["/echo?first", "/echo?last"]);
}

async fn a_caller_gone_while_the_vendor_works_is_settled(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![]).latency(Latency::Fixed { ms: 3000 })).unwrap();
    let tenant = world.tenant("gone-working");
    let more = json!({"limits": [{"name": "slots", "kind": "concurrency", "calls": 1}, {"name": "day", "kind": "daily", "calls": 100, "reset": "00:00", "time_zone": "UTC"}]});
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    let mut gone = Open::connect(tenant.to()).await.unwrap();
    gone.start(&Ask::get("/v/c/echo").key(&key)).await.unwrap();
    while vendor.in_service() == 0 {
        sleep(Duration::from_millis(20)).await;
    }
    gone.reset();
    let connection = tenant.until(&key, "it is settled", |c| c["in_flight"] == 0).await;
    assert_eq!(limit(&connection, "day")["used"], 1, "what the vendor saw has been counted");
    let call = &vendor.calls().0[0];
    assert_eq!(call.status, 200, "the vendor's answer was waited for: {call:?}");
    tenant.get_now(&key, "/echo").await.is_vendors(200);
}

async fn a_caller_gone_in_the_middle_of_a_body_is_settled_when_it_has_ended(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("gone-body");
    let more = json!({"limits": [{"name": "slots", "kind": "concurrency", "calls": 1}]});
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    let mut gone = tenant.open(&Ask::get("/v/c/bytes/600000?piece=60000&pause_ms=100").key(&key)).await;
    gone.piece().await.unwrap();
    gone.reset();
    tenant.until(&key, "it is settled", |c| c["in_flight"] == 0).await;
    assert_eq!(vendor.in_service(), 0, "the slot is not given away while the vendor sends");
    assert_eq!(vendor.calls().most_at_once(), 1);
    tenant.get_now(&key, "/echo").await.is_vendors(200);
}

async fn a_caller_gone_in_the_middle_of_a_large_body_cuts_it_off_and_its_slot_waits_for_the_vendors_ceiling(
    world: &World,
) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("gone-large");
    let more = json!({
        "limits": [{"name": "slots", "kind": "concurrency", "calls": 1}], "queue": {"size": 5, "max_wait_seconds": 100},
    });
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    let mut gone = tenant.open(&Ask::get("/v/c/bytes/30000000?piece=100000&pause_ms=100").key(&key)).await;
    gone.piece().await.unwrap();
    gone.reset();
    // A vendor that was cut off may still be at work, so the slot stays taken, but not for ever.
    let began = tokio::time::Instant::now();
    tenant.get_now(&key, "/echo").await.is_problem(429, "concurrency");
    tenant.send(&Ask::get("/v/c/echo").key(&key).wait(90)).await.is_vendors(200);
    assert!(began.elapsed() < Duration::from_secs(80), "{:?}", began.elapsed());
    let cut = &vendor.calls().0[0];
    assert!(cut.ended_us.unwrap() - cut.arrived_us < 10_000_000, "the vendor need not send what nobody reads");
}
