//! Bodies and targets over the vendor's own limit are refused before any quota is spent.

use serde_json::json;
use sluice_e2e::{Ask, Open, Tenant, World, tenant::limit};
use sluice_mock_upstreams::{Handle, Spec, Vendor};
use std::time::Duration;

tests![
    bodies_over_the_limit_are_413_and_spend_no_quota,
    targets_over_the_limit_are_414_and_spend_no_quota,
    the_asset_api_takes_longer_targets_than_the_lead_database,
    expect_100_continue_is_answered_and_not_forwarded,
    requests_that_are_no_http_harm_nothing,
];

async fn marketo(world: &World) -> (Handle, Tenant, String) {
    let vendor = Vendor::start(Spec::new("marketo")).unwrap();
    let tenant = world.tenant("sizes");
    let key = tenant.simple("marketo", &vendor.url(), &json!({})).await;
    (vendor, tenant, key)
}

async fn used(tenant: &Tenant, key: &str) -> u64 {
    let status = tenant.status(key).await;
    limit(&status["connections"]["c"], "daily")["used"].as_u64().unwrap()
}

async fn bodies_over_the_limit_are_413_and_spend_no_quota(world: &World) {
    let (vendor, tenant, key) = marketo(world).await;
    let over = vec![b'x'; 1_048_577];
    for path in ["/rest/v1/leads.json", "/echo"] {
        let ask = Ask::post(&format!("/v/c{path}"), over.clone()).key(&key);
        tenant.send(&ask).await.is_problem(413, "payload");
        let ask = Ask::post(&format!("/v/c{path}"), Vec::new()).key(&key).chunked(over.clone());
        tenant.send(&ask).await.is_problem(413, "payload");
    }
    // The body is much larger, so that the answer must come while the caller still sends.
    let large = Ask::post("/v/c/echo", vec![b'x'; 30 << 20]).key(&key);
    tenant.send(&large).await.is_problem(413, "payload");
    assert_eq!(used(&tenant, &key).await, 0);
    assert!(vendor.calls().0.is_empty());

    let exact = Ask::post("/v/c/echo", vec![b'x'; 1_048_576]).key(&key);
    assert_eq!(tenant.send(&exact).await.echo().0["body_bytes"], 1_048_576);
    let import = Ask::post("/v/c/bulk/v1/leads.json", over).key(&key);
    assert_eq!(tenant.send(&import).await.echo().0["body_bytes"], 1_048_577);
    assert_eq!(used(&tenant, &key).await, 2);
}

async fn targets_over_the_limit_are_414_and_spend_no_quota(world: &World) {
    let (vendor, tenant, key) = marketo(world).await;
    let target = |length: usize| format!("/echo?q={}", "x".repeat(length - "/echo?q=".len()));
    tenant.get(&key, &target(8193)).await.is_problem(414, "uri");
    assert_eq!(used(&tenant, &key).await, 0);
    tenant.get(&key, &target(8192)).await.is_vendors(200);
    assert_eq!(vendor.calls().0.len(), 1);
}

/// Adobe raised the limit of the Asset API to 64 KB in 2020. What it takes is not refused here.
async fn the_asset_api_takes_longer_targets_than_the_lead_database(world: &World) {
    let (vendor, tenant, key) = marketo(world).await;
    let list = format!("/rest/asset/v1/emails.json?maxReturn=20&folder=7&x={}", "x".repeat(12_000));
    assert_ne!(tenant.get(&key, &list).await.status, 414);
    let html = "%3Cp%3E".repeat(2_900);
    let edit = format!("/v/c/rest/asset/v1/email/7/content/edit_text_1.json?type=Text&value={html}");
    assert_ne!(tenant.send(&Ask::post(&edit, "").key(&key)).await.status, 414);
    let leads = format!("/rest/v1/leads.json?filterType=email&x={}", "x".repeat(9_000));
    tenant.get(&key, &leads).await.is_problem(414, "uri");
    assert_eq!(vendor.calls().0.len(), 2);
}

async fn expect_100_continue_is_answered_and_not_forwarded(world: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let tenant = world.tenant("expect");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let body = vec![b'x'; 2_000_000];
    let ask = Ask::new("POST", "/v/c/echo").key(&key).with("Expect", "100-continue").with("Content-Length", "2000000");
    let mut open = Open::connect(tenant.to()).await.unwrap();
    open.start(&ask).await.unwrap();
    // curl does this: it waits a second for the 100 and then sends.
    tokio::time::sleep(Duration::from_secs(1)).await;
    open.write(&body).await.unwrap();
    open.head().await.unwrap();
    let echo = open.rest().await.unwrap().echo();
    assert_eq!((echo.0["body_bytes"].as_u64(), echo.header("expect")), (Some(2_000_000), None));
}

async fn requests_that_are_no_http_harm_nothing(world: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let tenant = world.tenant("no-http");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let requests = [
        "\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "\0\0\0\0\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        format!("GET /v/c/echo HTTP/1.1\r\nHost: x\r\nSluice-Key: {key}\r\nContent-Length: -1\r\n\r\n"),
        format!("POST /v/c/echo HTTP/1.1\r\nHost: x\r\nSluice-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        format!("GET /v/c/ec\u{1}ho HTTP/1.1\r\nHost: x\r\nSluice-Key: {key}\r\nConnection: close\r\n\r\n"),
        format!("GET /v/c/\u{e9}\u{ff} HTTP/1.1\r\nHost: x\r\nSluice-Key: {key}\r\nConnection: close\r\n\r\n"),
        format!(
            "GET http://evil.example/v/c/echo HTTP/1.1\r\nHost: x\r\nSluice-Key: {key}\r\nConnection: close\r\n\r\n"
        ),
        format!("GET /v/c/echo HTTP/1.1\r\nHost: \u{0}[[[\r\nSluice-Key: {key}\r\nConnection: close\r\n\r\n"),
        format!("GET /v/%zz/echo HTTP/1.1\r\nHost: x\r\nSluice-Key: {key}\r\nConnection: close\r\n\r\n"),
        format!("GET /v//echo HTTP/1.1\r\nHost: x\r\nSluice-Key: {key}\r\nConnection: close\r\n\r\n"),
        format!("GET /v HTTP/1.1\r\nHost: x\r\nSluice-Key: {key}\r\nConnection: close\r\n\r\n"),
        format!(
            "GET /v/c/echo HTTP/1.1\r\nHost: x\r\nSluice-Key: {key}\r\nX: {}\r\nConnection: close\r\n\r\n",
            "x".repeat(300_000)
        ),
    ];
    for request in requests {
        let mut open = Open::connect(tenant.to()).await.unwrap();
        open.write(request.as_bytes()).await.unwrap();
        // workerd or Sluice may answer anything or nothing, but Sluice itself must not fail.
        let _ = tokio::time::timeout(Duration::from_secs(2), open.head()).await;
        let reason = open.answer().sluice_reason();
        let shown: String = request.chars().take(60).collect();
        assert!(!matches!(reason, Some("internal" | "unavailable")), "{reason:?}: {}", shown.escape_default());
    }
    tenant.get(&key, "/echo?after").await.is_vendors(200);
    assert!(!world.shared().printed().contains("panicked"), "a panic was printed");
}
