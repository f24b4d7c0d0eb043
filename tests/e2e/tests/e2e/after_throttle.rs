//! After a vendor has throttled, waiting calls go one by one at the pace of the rate, and
//! everything else works as before.

use serde_json::{Value, json};
use sluice_e2e::load::{Patient, at_once};
use sluice_e2e::{Answer, Ask, Tenant, World};
use sluice_mock_upstreams::{Fault, FaultRule, Handle, Spec, Vendor};
use std::time::Duration;
use tokio::time::sleep;

tests![
    while_those_who_wait_go_one_by_one_the_queue_keeps_its_size_and_nobody_waits_who_may_not,
    the_rate_sets_the_pace_beside_a_rolling_day_or_an_hour_that_are_hardly_used,
];

/// Makes a connection whose vendor throttles the first call and asks for a second of rest. The call
/// has been made.
async fn throttled(world: &World, name: &str, limits: &Value, size: usize) -> (Handle, Tenant, String) {
    let once = FaultRule::first(1, Fault::Throttle { retry_after_s: Some(1) });
    let vendor = Vendor::start(Spec::new("generic").limits(vec![]).fault(once)).unwrap();
    let tenant = world.tenant(name);
    let more = json!({
        "limits": limits, "queue": {"size": size, "max_wait_seconds": 60}, "retry": {"attempts": 1},
    });
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    tenant.get(&key, "/echo").await.is_vendors(429);
    tenant.until(&key, "it is paused", |c| c["paused_until"].is_string()).await;
    (vendor, tenant, key)
}

/// Returns how long a call waited before it was sent.
fn queued(answer: &Answer) -> f64 {
    let timing = answer.header("server-timing").expect("Server-Timing");
    let queue = timing.split(',').find_map(|item| item.trim().strip_prefix("queue;dur=")).expect("queue");
    queue.parse().expect("milliseconds")
}

/// At half of 100 calls in 20 s one call goes each 0.4 s, while four others wait. A bug let every
/// call that came in between wait, whatever it preferred and however many places there were: 504
/// where 5 may.
async fn while_those_who_wait_go_one_by_one_the_queue_keeps_its_size_and_nobody_waits_who_may_not(world: &World) {
    let rate = json!([{"name": "rate", "kind": "rolling_window", "calls": 100, "seconds": 20}]);
    let (vendor, tenant, key) = throttled(world, "one-by-one", &rate, 5).await;
    let ask = Ask::get("/v/c/echo").key(&key);
    let mut waiting = Patient::default();
    (0..5).for_each(|_| waiting.send(&tenant, ask.clone()));
    tenant.until(&key, "all places are taken", |c| c["queue"]["depth"] == 5).await;
    tenant.send(&ask).await.is_problem(429, "queue-full");
    while vendor.calls().0.len() < 2 {
        sleep(Duration::from_millis(5)).await;
    }

    // The first call has gone.
    for answer in at_once(tenant.to(), vec![ask.clone().wait(0); 20]).await {
        match answer.sluice_reason() {
            None => assert!(queued(&answer) < 1.0, "it may not wait, and waited {} ms", queued(&answer)),
            reason => assert!(matches!(reason, Some("rate" | "queue-full")), "{reason:?}"),
        }
    }
    let mut patient = Patient::default();
    (0..30).for_each(|_| patient.send(&tenant, ask.clone()));
    // At most one takes the place of each that goes meanwhile, and five wait at the end.
    let refused = patient.until(20).await;
    refused.iter().for_each(|answer| answer.is_problem(429, "queue-full"));
    for _ in 0..5 {
        let depth = tenant.status(&key).await["connections"]["c"]["queue"]["depth"].as_u64().unwrap();
        assert!(depth <= 5, "{depth} wait, where 5 may");
    }
    assert!(waiting.all().await.iter().all(|answer| answer.status == 200));
    let gone = vendor.calls();
    let most = gone.only(|call| call.number > 1).most_in_window(1_000);
    assert!(most <= 6, "{most} calls within a second, where 2 or 3 may go, and as many as rise the rate");
}

/// A limit of 10 calls a second is combined with one of 15,000 in 24 hours, or of 1,000 an hour, of
/// which next to nothing is used. With a bug 20 waiting calls went one each 11 or 7 seconds, at the
/// pace of the long limit.
async fn the_rate_sets_the_pace_beside_a_rolling_day_or_an_hour_that_are_hardly_used(world: &World) {
    let rate = json!({"name": "rate", "kind": "token_bucket", "rate_per_second": 10, "burst": 10});
    let day = json!({"name": "day", "kind": "rolling_day", "calls": 15_000});
    let hour = json!({"name": "hour", "kind": "rolling_window", "calls": 1_000, "seconds": 3_600});
    let run = async |name: &str, long: Value| {
        let (vendor, tenant, key) = throttled(world, name, &json!([rate, long]), 100).await;
        let mut waiting = Patient::default();
        (0..20).for_each(|_| waiting.send(&tenant, Ask::get("/v/c/echo").key(&key)));
        assert!(waiting.all().await.iter().all(|answer| answer.status == 200), "{name}");
        let at: Vec<u64> = vendor.calls().only(|call| call.number > 1).since_first_us();
        // It takes 19 times 0.2 s at half the rate, and less as good answers raise the rate.
        let (last, burst) = (at[19], at.iter().filter(|at| **at < 500_000).count());
        assert!((2_000_000..6_000_000).contains(&last), "{name}: 20 calls took {last} us");
        assert!(burst <= 6, "{name}: {burst} of them went in the first half second");
    };
    tokio::join!(run("beside-a-day", day), run("beside-an-hour", hour));
}
