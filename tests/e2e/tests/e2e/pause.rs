//! The vendor's answers change what Sluice does: pauses, the rate factor, retries.

use serde_json::{Value, json};
use sluice_e2e::{Ask, World};
use sluice_mock_upstreams::{Fault, FaultRule, Handle, Spec, Vendor};
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

tests![
    a_retry_after_of_the_vendor_pauses_the_connection,
    a_retry_after_date_pauses_too,
    a_retry_after_date_is_read_by_the_vendors_own_clock,
    a_retry_after_that_is_no_number_of_seconds_is_read_as_what_it_can_be,
    a_retry_after_of_0_leaves_the_policys_own_pause,
    max_pause_seconds_bounds_what_a_vendor_can_stop,
    a_throttle_halves_the_rate_and_ten_successes_raise_it,
    a_write_that_may_have_been_executed_is_not_tried_again,
    marketos_throttle_in_http_200_is_seen,
];

fn throttled(rule: FaultRule) -> Handle {
    Vendor::start(Spec::new("generic").limits(vec![]).fault(rule)).unwrap()
}

fn no_retries() -> Value {
    json!({"retry": {"attempts": 1}, "limits": [{"name": "rate", "kind": "rolling_window", "calls": 100, "seconds": 10}]})
}

async fn a_retry_after_of_the_vendor_pauses_the_connection(world: &World) {
    let vendor = throttled(FaultRule::first(1, Fault::Throttle { retry_after_s: Some(4) }));
    let tenant = world.tenant("pause");
    let key = tenant.simple("generic", &vendor.url(), &no_retries()).await;
    let told_at = Instant::now();
    let first = tenant.get(&key, "/echo").await;
    first.is_vendors(429);
    assert_eq!(first.header("retry-after"), Some("4"), "the vendor's own answer passes");
    // The settlement comes right after the answer.
    let paused = tenant.until(&key, "it is paused", |c| c["paused_until"].is_string()).await;
    assert!(paused["rate_factor"].as_f64().unwrap() < 1.0);
    let refused = tenant.get_now(&key, "/echo").await;
    refused.is_problem(503, "paused");
    assert!(refused.json()["type"].as_str().unwrap().ends_with("#temporary-reduced-capacity"));
    let told = refused.retry_after().unwrap();
    assert!((2..=7).contains(&told), "4 s, jitter and less what has passed; told {told}");
    let asked = Instant::now();
    // A call that may wait long enough waits until the pause ends.
    let answer = tenant.send(&Ask::get("/v/c/echo").key(&key).wait(9)).await;
    answer.is_vendors(200);
    assert!(told_at.elapsed() >= Duration::from_secs(4), "not before the vendor's time: {:?}", asked.elapsed());
}

async fn a_retry_after_date_pauses_too(world: &World) {
    let fault = Fault::Status { status: 503, retry_after_s: None, retry_at_s: Some(5) };
    let vendor = throttled(FaultRule::first(1, fault));
    let tenant = world.tenant("pause-date");
    let key = tenant.simple("generic", &vendor.url(), &no_retries()).await;
    tenant.get(&key, "/echo").await.is_vendors(503);
    tenant.until(&key, "it is paused", |c| c["paused_until"].is_string()).await;
    tenant.get_now(&key, "/echo").await.is_problem(503, "paused");
}

/// Returns the Retry-After of a call that may not wait, after this answer to the call before it:
/// seconds, or `None` if the call goes.
async fn told_after(world: &World, vendor: &Handle, path: &str, adaptive: &Value) -> Option<u64> {
    let tenant = world.tenant("pause-told");
    let mut more = no_retries();
    more["adaptive"] = adaptive.clone();
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    tenant.get(&key, path).await.is_vendors(429);
    tenant.until(&key, "it is heeded", |c| c["in_flight"] == 0).await;
    let next = tenant.get_now(&key, "/echo").await;
    if next.status == 200 {
        return None;
    }
    next.is_problem(503, "paused");
    next.retry_after()
}

/// Returns the expected range: pauses are lengthened by up to a second and rounded up, and some
/// time has passed.
fn about(seconds: u64) -> RangeInclusive<u64> {
    seconds - 2..=seconds + 2
}

#[expect(clippy::disallowed_methods, reason = "the vendor's clock is this machine's")]
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// A vendor whose clock is a minute off shows by its own `Date` how long it wants to be left alone.
/// By our clock it would be a minute more, or nothing.
async fn a_retry_after_date_is_read_by_the_vendors_own_clock(world: &World) {
    for off_ms in [-60_000, 0, 60_000] {
        let fault = Fault::Status { status: 429, retry_after_s: None, retry_at_s: Some(20) };
        let vendor = throttled(FaultRule::first(1, fault));
        vendor.change(|spec| spec.day_shift_ms = off_ms).unwrap();
        let told = told_after(world, &vendor, "/echo", &json!({})).await;
        assert!(told.is_some_and(|told| about(20).contains(&told)), "told {told:?}, with a clock {off_ms} ms off");
    }
}

/// 90,000 seconds are over a day, so the number is read as milliseconds; 1,800,000,000 and more can
/// only be a time of day. With a bug, all of them stopped the connection for a day.
async fn a_retry_after_that_is_no_number_of_seconds_is_read_as_what_it_can_be(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let told =
        async |field: String| told_after(world, &vendor, &format!("/status/429?retry_after={field}"), &json!({})).await;
    for (what, field, expected) in [
        ("seconds", "30".to_owned(), about(30)),
        ("milliseconds", "90000".to_owned(), about(90)),
        ("a Unix time", (unix_ms() / 1_000 + 40).to_string(), about(40)),
        ("a Unix time in milliseconds", (unix_ms() + 50_000).to_string(), about(50)),
    ] {
        let told = told(field).await;
        assert!(told.is_some_and(|told| expected.contains(&told)), "{what}: told {told:?}");
    }
    for field in ["soon", "-5", "99999999999999999999"] {
        assert_eq!(told(field.to_owned()).await, None, "{field} is as if absent");
    }
}

/// A vendor that says 0 asks for no pause. The policy's own pause still applies, which a bug
/// skipped.
async fn a_retry_after_of_0_leaves_the_policys_own_pause(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    for (adaptive, expected) in [(json!({"pause_seconds": 15}), Some(about(15))), (json!({}), None)] {
        let told = told_after(world, &vendor, "/status/429?retry_after=0", &adaptive).await;
        let right = match &expected {
            Some(expected) => told.is_some_and(|told| expected.contains(&told)),
            None => told.is_none(),
        };
        assert!(right, "told {told:?}, of {expected:?}");
    }
}

async fn max_pause_seconds_bounds_what_a_vendor_can_stop(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    for (adaptive, most) in [(json!({"max_pause_seconds": 10}), 10), (json!({}), 3_600)] {
        for field in ["80000", "86400000"] {
            let path = format!("/status/429?retry_after={field}");
            let told = told_after(world, &vendor, &path, &adaptive).await;
            assert!(told.is_some_and(|told| (most - 2..=most).contains(&told)), "{field}: told {told:?} of {most}");
        }
    }
}

async fn a_throttle_halves_the_rate_and_ten_successes_raise_it(world: &World) {
    let vendor = throttled(FaultRule::first(1, Fault::Throttle { retry_after_s: None }));
    vendor.change(|spec| spec.vendor = "hubspot".to_owned()).unwrap();
    let tenant = world.tenant("adaptive");
    let key = tenant.simple("hubspot", &vendor.url(), &no_retries()).await;
    tenant.get(&key, "/echo").await.is_vendors(429);
    let factor = |c: &Value| c["rate_factor"].as_f64().unwrap_or(1.0);
    let cut = tenant.until(&key, "the rate is cut", |c| factor(c) < 1.0).await;
    assert!((factor(&cut) - 0.5).abs() < 0.001, "{cut}");
    for _ in 0..10 {
        tenant.get(&key, "/echo").await.is_vendors(200);
    }
    let raised = tenant.until(&key, "the rate is raised", |c| factor(c) > 0.5).await;
    assert!((factor(&raised) - 0.55).abs() < 0.001, "{raised}");
}

async fn a_write_that_may_have_been_executed_is_not_tried_again(world: &World) {
    let tenant = world.tenant("once");
    for fault in [Fault::ResetBefore, Fault::Status { status: 502, retry_after_s: None, retry_at_s: None }] {
        let vendor = throttled(FaultRule::always(fault));
        let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
        let answer = tenant.send(&Ask::post("/v/c/echo", "{}").key(&key)).await;
        assert!(answer.status >= 500, "{}", answer.status);
        assert_eq!(vendor.calls().0.len(), 1);
    }
}

async fn marketos_throttle_in_http_200_is_seen(world: &World) {
    let vendor = Vendor::start(
        Spec::new("marketo").limits(vec![]).fault(FaultRule::first(1, Fault::Raw { text: marketo_error("606") })),
    )
    .unwrap();
    let tenant = world.tenant("in-200");
    let key = tenant.simple("marketo", &vendor.url(), &json!({"retry": {"attempts": 1}})).await;
    let answer = tenant.get(&key, "/rest/v1/leads/describe.json").await;
    answer.is_vendors(200);
    assert_eq!(answer.json()["errors"][0]["code"], "606", "the vendor's answer passes as it is");
    tenant.until(&key, "the rate is cut", |c| c["rate_factor"].as_f64().unwrap_or(1.0) < 1.0).await;
}

fn marketo_error(code: &str) -> String {
    let body =
        format!(r#"{{"requestId":"1#2","success":false,"errors":[{{"code":"{code}","message":"Max rate limit"}}]}}"#);
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
