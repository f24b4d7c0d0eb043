//! What the vendor says changes what Sluice does: pauses, the rate factor, retries.

use serde_json::json;
use sluice_e2e::{Ask, World};
use sluice_vendors::{Fault, FaultRule, Spec, Vendor};
use std::time::Duration;
use tokio::time::Instant;

tests![
    a_retry_after_of_the_vendor_pauses_the_connection,
    a_retry_after_date_pauses_too,
    a_throttle_halves_the_rate_and_ten_successes_raise_it,
    a_write_that_may_have_been_executed_is_not_tried_again,
    marketos_throttle_in_http_200_is_seen,
];

fn throttled(rule: FaultRule) -> sluice_vendors::Handle {
    Vendor::start(Spec::new("generic").limits(vec![]).fault(rule)).unwrap()
}

fn no_retries() -> serde_json::Value {
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
    // Whoever may wait waits it out.
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

async fn a_throttle_halves_the_rate_and_ten_successes_raise_it(world: &World) {
    let vendor = throttled(FaultRule::first(1, Fault::Throttle { retry_after_s: None }));
    vendor.change(|spec| spec.vendor = "hubspot".to_owned()).unwrap();
    let tenant = world.tenant("adaptive");
    let key = tenant.simple("hubspot", &vendor.url(), &no_retries()).await;
    tenant.get(&key, "/echo").await.is_vendors(429);
    let factor = |c: &serde_json::Value| c["rate_factor"].as_f64().unwrap_or(1.0);
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
