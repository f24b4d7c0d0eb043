//! A refusal uses the vendor's dialect, so that the vendor's own clients recognise throttling.

use serde_json::{Value, json};
use sluice_e2e::{Answer, Ask, Tenant, World};
use sluice_mock_upstreams::{Spec, Vendor};
use std::time::Duration;
use tokio::time::sleep;

tests![
    marketo_hears_200_with_606_607_or_615,
    hubspot_hears_429_with_its_policy_name,
    generic_hears_problem_documents,
    whoever_accepts_problem_documents_gets_them,
    a_wait_over_the_callers_deadline_is_refused_at_once,
    a_wait_within_the_deadline_ends_in_the_vendors_answer,
];

async fn tenant(world: &World, vendor: &str, limits: Value) -> (sluice_mock_upstreams::Handle, Tenant, String) {
    let running = Vendor::start(Spec::new(vendor).limits(vec![])).unwrap();
    let tenant = world.tenant(&format!("says-{vendor}"));
    let key = tenant.simple(vendor, &running.url(), &json!({"limits": limits, "share": 1})).await;
    (running, tenant, key)
}

fn window() -> Value {
    json!([{"name": "rate", "kind": "rolling_window", "calls": 1, "seconds": 20}])
}

fn day() -> Value {
    json!([{"name": "daily", "kind": "daily", "calls": 1, "reset": "00:00", "time_zone": "UTC"}])
}

fn slots() -> Value {
    json!([{"name": "concurrent", "kind": "concurrency", "calls": 1}])
}

/// Makes one call that passes; returns the answer to the next, which does not wait.
async fn second(tenant: &Tenant, key: &str) -> Answer {
    tenant.get(key, "/echo").await.is_vendors(200);
    tenant.get_now(key, "/echo").await
}

/// Returns the answer to a call while another is at the vendor.
async fn beside(vendor: &sluice_mock_upstreams::Handle, tenant: &Tenant, key: &str) -> Answer {
    vendor.change(|spec| spec.latency = sluice_mock_upstreams::Latency::Fixed { ms: 1500 }).unwrap();
    let (_, answer) = tokio::join!(tenant.get(key, "/echo"), async {
        while vendor.in_service() == 0 {
            sleep(Duration::from_millis(20)).await;
        }
        tenant.get_now(key, "/echo").await
    });
    answer
}

fn marketo_code(answer: &Answer) -> String {
    let body = answer.json();
    assert_eq!(body["success"], false, "{body}");
    assert!(body["requestId"].is_string() && body["errors"][0]["message"].is_string(), "{body}");
    body["errors"][0]["code"].as_str().expect("the code is a string").to_owned()
}

async fn marketo_hears_200_with_606_607_or_615(world: &World) {
    let (_vendor, t, key) = tenant(world, "marketo", window()).await;
    let answer = second(&t, &key).await;
    answer.is_refusal(200, "rate");
    assert_eq!(marketo_code(&answer), "606");
    assert!((18..=22).contains(&answer.retry_after().unwrap()));

    let (_vendor, t, key) = tenant(world, "marketo", day()).await;
    let answer = second(&t, &key).await;
    answer.is_refusal(200, "daily-quota");
    assert_eq!(marketo_code(&answer), "607");

    let (vendor, t, key) = tenant(world, "marketo", slots()).await;
    let answer = beside(&vendor, &t, &key).await;
    answer.is_refusal(200, "concurrency");
    assert_eq!(marketo_code(&answer), "615");
}

async fn hubspot_hears_429_with_its_policy_name(world: &World) {
    let (_vendor, t, key) = tenant(world, "hubspot", window()).await;
    let answer = second(&t, &key).await;
    answer.is_refusal(429, "rate");
    let body = answer.json();
    assert_eq!((body["status"].as_str(), body["policyName"].as_str()), (Some("error"), Some("TEN_SECONDLY_ROLLING")));
    assert_eq!(body["errorType"], "RATE_LIMIT");

    let (_vendor, t, key) = tenant(world, "hubspot", day()).await;
    let answer = second(&t, &key).await;
    answer.is_refusal(429, "daily-quota");
    assert_eq!(answer.json()["policyName"], "DAILY");
}

async fn generic_hears_problem_documents(world: &World) {
    let (_vendor, t, key) = tenant(world, "generic", window()).await;
    let answer = second(&t, &key).await;
    answer.is_problem(429, "rate");
    let body = answer.json();
    assert_eq!(body["violated-policies"], json!(["rate"]));
    assert!(body["type"].as_str().unwrap().ends_with("#quota-exceeded"), "{body}");
    assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
}

async fn whoever_accepts_problem_documents_gets_them(world: &World) {
    for vendor in ["marketo", "hubspot", "aprimo"] {
        let (_running, t, key) = tenant(world, vendor, window()).await;
        t.get(&key, "/echo").await.is_vendors(200);
        let ask = Ask::get("/v/c/echo").key(&key).wait(0).with("Accept", "application/json, application/problem+json");
        t.send(&ask).await.is_problem(429, "rate");
    }
}

async fn a_wait_over_the_callers_deadline_is_refused_at_once(world: &World) {
    let (vendor, t, key) = tenant(world, "generic", window()).await;
    t.get(&key, "/echo").await.is_vendors(200);
    for ask in [Ask::get("/v/c/echo").key(&key).wait(3), Ask::get("/v/c/echo").key(&key)] {
        let answer = t.send(&ask).await;
        answer.is_problem(429, "deadline");
        assert!(answer.took < Duration::from_secs(2), "said after {:?}, though the window ends in 20 s", answer.took);
        // The second call is told a later time than the first, so that they do not come back
        // together.
        assert!(answer.retry_after().unwrap() >= 18);
    }
    assert_eq!(vendor.calls().0.len(), 1);
}

async fn a_wait_within_the_deadline_ends_in_the_vendors_answer(world: &World) {
    let limits = json!([{"name": "rate", "kind": "rolling_window", "calls": 1, "seconds": 3}]);
    let (vendor, t, key) = tenant(world, "generic", limits).await;
    t.get(&key, "/echo").await.is_vendors(200);
    let answer = t.send(&Ask::get("/v/c/echo").key(&key).wait(9)).await;
    answer.is_vendors(200);
    assert!((2500..5000).contains(&answer.took.as_millis()), "{:?}", answer.took);
    let at = vendor.calls().since_first_us();
    assert!(at[1] >= 3_000_000, "the vendor's window was kept: {at:?}");
}
