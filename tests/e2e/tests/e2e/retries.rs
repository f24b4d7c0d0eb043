//! Retries: they are made where they help and do no harm, spread out, and within the caller's time.

use serde_json::{Value, json};
use sluice_e2e::{Answer, Ask, Open, Tenant, World, load};
use sluice_mock_upstreams::{Fault, FaultRule, Handle, Kind, Limit, Spec, Vendor};
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};

tests![
    fifty_callers_throttled_at_once_come_back_spread,
    callers_told_one_time_come_back_after_it_and_spread,
    a_vendor_stricter_than_believed_sees_no_second_burst,
    a_write_of_unknown_outcome_is_not_repeated,
    a_write_is_repeated_where_the_vendor_honours_its_idempotency_key,
    a_write_that_was_not_executed_is_repeated_whole,
    a_long_body_is_sent_once_and_arrives_whole_however_it_is_framed,
    attempts_are_bounded_and_the_last_answer_is_the_callers,
    a_retry_that_would_come_too_late_is_not_waited_for,
    a_retry_that_sluice_refuses_leaves_the_vendors_answer,
    a_resting_call_holds_no_slot_and_ends_with_its_caller,
    a_connection_that_is_only_watched_is_sent_each_call_once,
];

fn status(status: u16) -> Fault {
    Fault::Status { status, retry_after_s: None, retry_at_s: None }
}

const THROTTLE: Fault = Fault::Throttle { retry_after_s: None };

fn failing(rule: FaultRule) -> Handle {
    Vendor::start(Spec::new("generic").limits(vec![]).fault(rule)).unwrap()
}

fn wide() -> Value {
    json!([{"name": "rate", "kind": "rolling_window", "calls": 1_000, "seconds": 10}])
}

async fn to(world: &World, vendor: &Handle, more: &Value) -> (Tenant, String) {
    let tenant = world.tenant("retries");
    let key = tenant.simple("generic", &vendor.url(), more).await;
    (tenant, key)
}

fn attempts(answer: &Answer) -> u64 {
    answer.header("sluice-attempts").expect("sluice-attempts").parse().unwrap()
}

/// Returns when each call that repeats an earlier target arrived, ms.
fn repeats(vendor: &Handle) -> Vec<u64> {
    let mut seen = HashSet::new();
    let calls = vendor.calls().counted().0;
    calls.iter().filter(|call| !seen.insert(call.target.clone())).map(|call| call.arrived_us / 1_000).collect()
}

/// Returns the most of them within any 100 ms.
fn fullest(at: &[u64]) -> usize {
    at.iter().map(|first| at.iter().filter(|at| (*first..first + 100).contains(*at)).count()).max().unwrap_or(0)
}

/// Throttles fifty callers at once; returns when the first of them arrived, and when each retry
/// did, ms. The vendor takes a second to answer, so that all fifty are at the vendor before the
/// first throttle is known. Otherwise later ones would wait for the pause's end, go one by one into
/// a fault that counts fifty calls, and begin another pause each.
async fn throttle_fifty(world: &World, retry_after_s: Option<u64>) -> (u64, Vec<u64>) {
    let spec = Spec::new("generic").limits(vec![]).jitter(1_000, 1_000);
    let vendor = Vendor::start(spec.fault(FaultRule::first(50, Fault::Throttle { retry_after_s }))).unwrap();
    let queue = json!({"size": 100, "max_wait_seconds": 60});
    let more = json!({"limits": wide(), "retry": {"attempts": 10}, "queue": queue});
    let (tenant, key) = to(world, &vendor, &more).await;
    let asks = (0..50).map(|n| Ask::get(&format!("/v/c/echo?{n}")).key(&key).wait(60)).collect();
    for answer in load::at_once(tenant.to(), asks).await {
        answer.is_vendors(200);
    }
    let throttled = vendor.calls().0.iter().find(|call| call.status == 429).unwrap().arrived_us / 1_000;
    let repeats = repeats(&vendor);
    assert_eq!(repeats.len(), 50, "each throttle is one repetition");
    (throttled, repeats)
}

/// No 100 ms may hold more than a fifth. A machine that stops for a moment pushes calls together,
/// but not three times.
async fn are_spread(world: &World, retry_after_s: Option<u64>) {
    for attempt in 1.. {
        let (throttled, repeats) = throttle_fifty(world, retry_after_s).await;
        let earliest = throttled + (1 + retry_after_s.unwrap_or(0)) * 1_000;
        assert!(repeats.iter().all(|at| *at >= earliest), "before the vendor's time, {earliest}: {repeats:?}");
        let fullest = fullest(&repeats);
        if fullest <= 10 {
            return;
        }
        assert!(attempt < 3, "{fullest} of 50 retries within 100 ms: {repeats:?}");
    }
}

async fn fifty_callers_throttled_at_once_come_back_spread(world: &World) {
    are_spread(world, None).await;
}

async fn callers_told_one_time_come_back_after_it_and_spread(world: &World) {
    are_spread(world, Some(2)).await;
}

async fn a_vendor_stricter_than_believed_sees_no_second_burst(world: &World) {
    // Sluice expects 100 calls in 10 s; the vendor takes 60.
    let window = Limit::new("rate", Kind::window(60, 10));
    let vendor = Vendor::start(Spec::new("generic").limits(vec![window])).unwrap();
    let limits = json!([{"name": "rate", "kind": "rolling_window", "calls": 100, "seconds": 10}]);
    let more = json!({"limits": limits, "queue": {"size": 100, "max_wait_seconds": 60}});
    let (tenant, key) = to(world, &vendor, &more).await;
    let asks = (0..100).map(|n| Ask::get(&format!("/v/c/echo?{n}")).key(&key).wait(50)).collect();
    for answer in load::at_once(tenant.to(), asks).await {
        answer.is_vendors(200);
    }
    let refused: usize = vendor.calls().refused().values().sum();
    assert!(refused <= 40, "only the first burst is over the vendor's limit; it refused {refused}");
}

async fn a_write_of_unknown_outcome_is_not_repeated(world: &World) {
    for fault in [Fault::ResetBefore, status(500), status(502), status(503), status(504)] {
        let vendor = failing(FaultRule::always(fault.clone()));
        let (tenant, key) = to(world, &vendor, &json!({})).await;
        for method in ["POST", "PATCH", "PUT", "DELETE"] {
            let answer = tenant.send(&Ask::new(method, "/v/c/echo").body("{}").key(&key)).await;
            assert!(answer.status >= 500, "{method} {fault:?}: {}", answer.status);
            assert_eq!(attempts(&answer), 1, "{method} {fault:?}");
        }
        assert_eq!(vendor.calls().0.len(), 4, "{fault:?}");
    }
}

async fn a_write_is_repeated_where_the_vendor_honours_its_idempotency_key(world: &World) {
    let vendor = failing(FaultRule::first(2, status(502)));
    let more = json!({"profile": {"title": "honouring", "idempotency_key": true}});
    let (tenant, key) = to(world, &vendor, &more).await;
    let ask = Ask::post("/v/c/echo", "once").key(&key);
    let answer = tenant.send(&ask).await;
    assert_eq!((answer.status, attempts(&answer)), (502, 1), "without a key it is not");
    let answer = tenant.send(&ask.with("Idempotency-Key", "k-1")).await;
    let echo = answer.echo();
    assert_eq!(attempts(&answer), 2);
    assert_eq!((echo.header("idempotency-key"), &echo.0["body"]), (Some("k-1"), &json!("once")));
}

async fn a_write_that_was_not_executed_is_repeated_whole(world: &World) {
    let vendor = Vendor::start(Spec::new("marketo").limits(vec![]).fault(FaultRule::first(1, THROTTLE))).unwrap();
    let tenant = world.tenant("retries-606");
    let key = tenant.simple("marketo", &vendor.url(), &json!({})).await;
    let body = "x".repeat(1_000_000);
    let answer = tenant.send(&Ask::post("/v/c/anything", body.clone()).key(&key)).await;
    let echo = answer.echo();
    assert_eq!(attempts(&answer), 2);
    assert_eq!(echo.0["body_bytes"], body.len(), "{}", echo.0);
    assert_eq!(vendor.calls().0.len(), 2);

    // This includes a body that comes in chunks, which is then sent with its length.
    let vendor = failing(FaultRule::first(1, THROTTLE));
    let (tenant, key) = to(world, &vendor, &json!({})).await;
    let answer = tenant.send(&Ask::new("POST", "/v/c/echo").chunked("in chunks").key(&key)).await;
    assert_eq!((answer.echo().0["body"].as_str(), attempts(&answer)), (Some("in chunks"), 2));
}

async fn a_long_body_is_sent_once_and_arrives_whole_however_it_is_framed(world: &World) {
    let vendor = failing(FaultRule::first(2, THROTTLE));
    let (tenant, key) = to(world, &vendor, &json!({})).await;
    let long = sluice_mock_upstreams::pattern::whole(3_000_000);
    let framings = [Ask::post("/v/c/echo", long.clone()), Ask::new("POST", "/v/c/echo").chunked(long.clone())];
    for ask in &framings {
        let answer = tenant.send(&ask.clone().key(&key)).await;
        assert_eq!((answer.status, attempts(&answer)), (429, 1), "{}", answer.text());
    }
    let digests: Vec<_> = {
        let mut digests = Vec::new();
        for ask in &framings {
            let echo = tenant.send(&ask.clone().key(&key)).await.echo();
            assert_eq!(echo.0["body_bytes"], long.len(), "{}", echo.0);
            digests.push(echo.0["body_sha256"].clone());
        }
        digests
    };
    assert_eq!(digests[0], digests[1]);
}

async fn attempts_are_bounded_and_the_last_answer_is_the_callers(world: &World) {
    let vendor = failing(FaultRule::always(status(503)));
    let (tenant, key) = to(world, &vendor, &json!({"retry": {"attempts": 3}})).await;
    let answer = tenant.get(&key, "/echo").await;
    answer.is_vendors(503);
    assert_eq!((attempts(&answer), vendor.calls().0.len()), (3, 3));
    assert!(!answer.body.is_empty() && answer.whole);
    assert!(answer.took < Duration::from_secs(6), "at most 1 and 2 s between them: {:?}", answer.took);

    let vendor = failing(FaultRule::always(Fault::ResetBefore));
    let (tenant, key) = to(world, &vendor, &json!({"retry": {"attempts": 2}})).await;
    let answer = tenant.get(&key, "/echo").await;
    answer.is_problem(502, "vendor-unreachable");
    assert_eq!((attempts(&answer), vendor.calls().0.len()), (2, 2));
}

async fn a_retry_that_would_come_too_late_is_not_waited_for(world: &World) {
    let vendor = failing(FaultRule::always(Fault::Throttle { retry_after_s: Some(30) }));
    let (tenant, key) = to(world, &vendor, &json!({})).await;
    let answer = tenant.get(&key, "/echo").await;
    answer.is_vendors(429);
    assert_eq!((answer.header("retry-after"), attempts(&answer)), (Some("30"), 1));
    assert!(answer.took < Duration::from_secs(5), "{:?}", answer.took);

    let vendor = failing(FaultRule::always(status(503)));
    let (tenant, key) = to(world, &vendor, &json!({"retry": {"attempts": 10}})).await;
    let answer = tenant.send(&Ask::get("/v/c/echo").key(&key).wait(2)).await;
    answer.is_vendors(503);
    assert!(attempts(&answer) < 10 && answer.took < Duration::from_secs(4), "{:?}", answer.took);
}

async fn a_retry_that_sluice_refuses_leaves_the_vendors_answer(world: &World) {
    let vendor = failing(FaultRule::always(status(503)));
    let day = json!([{"name": "day", "kind": "daily", "calls": 1, "reset": "00:00", "time_zone": "UTC"}]);
    let (tenant, key) = to(world, &vendor, &json!({"limits": day})).await;
    let answer = tenant.get(&key, "/echo").await;
    answer.is_vendors(503);
    assert!(!answer.body.is_empty() && answer.whole);
    assert_eq!((attempts(&answer), vendor.calls().0.len()), (1, 1));
    tenant.get(&key, "/echo").await.is_problem(429, "daily-quota");
}

async fn a_resting_call_holds_no_slot_and_ends_with_its_caller(world: &World) {
    let vendor = failing(FaultRule::first(1, Fault::Throttle { retry_after_s: Some(3) }));
    let slot = json!([{"name": "slot", "kind": "concurrency", "calls": 1}]);
    let (tenant, key) = to(world, &vendor, &json!({"limits": slot})).await;
    let mut gone = Open::connect(tenant.to()).await.unwrap();
    gone.start(&Ask::get("/v/c/echo?gone").key(&key)).await.unwrap();
    tenant.until(&key, "its answer is settled", |c| c["paused_until"].is_string() && c["in_flight"] == 0).await;
    gone.reset();
    // A call after the pause finds the slot free, and nobody before it.
    tenant.get(&key, "/echo?next").await.is_vendors(200);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        sleep(Duration::from_millis(100)).await;
        let seen: Vec<_> = vendor.calls().0.iter().map(|call| call.target.clone()).collect();
        assert_eq!(seen, ["/echo?gone", "/echo?next"], "a caller that has gone is not called for");
    }
}

async fn a_connection_that_is_only_watched_is_sent_each_call_once(world: &World) {
    let vendor = failing(FaultRule::always(THROTTLE));
    let (tenant, key) = to(world, &vendor, &json!({"mode": "observe"})).await;
    let answer = tenant.get(&key, "/echo").await;
    answer.is_vendors(429);
    assert_eq!((attempts(&answer), vendor.calls().0.len()), (1, 1));
}
