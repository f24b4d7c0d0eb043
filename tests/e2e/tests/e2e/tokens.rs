//! Sluice's own answers at a vendor's token endpoint, for SDKs that first fetch a token.

use base64::Engine;
use serde_json::json;
use sluice_e2e::{Answer, Ask, Tenant, World};
use sluice_mock_upstreams::{Handle, Spec, Vendor};

tests![
    marketos_clients_buy_a_token_with_the_key,
    aprimos_clients_buy_a_token_with_the_key,
    a_token_request_may_come_in_chunks,
    hubspots_clients_buy_a_token_with_the_key,
    hubspots_clients_buy_it_at_the_dated_endpoints_too,
    a_body_that_no_token_endpoint_reads_gets_oauths_error,
    salesforces_instance_is_wherever_the_token_was_bought,
    a_bad_key_at_the_token_endpoint_gets_oauths_error,
];

async fn with_token(world: &World, vendor: &str) -> (Handle, Tenant, String, String) {
    let token = sluice_e2e::secrets::invent("vendor-token");
    let running = Vendor::start(Spec::new(vendor).credential(&token)).unwrap();
    let tenant = world.tenant("tokens");
    let more = json!({"credential": {"type": "bearer", "token": token}});
    let key = tenant.simple(vendor, &running.url(), &more).await;
    (running, tenant, key, token)
}

/// Checks that the issued token works in the place of the vendor's.
async fn works(tenant: &Tenant, bought: &Answer, token: &str) {
    assert_eq!(bought.status, 200, "{}", bought.text());
    let bought = bought.json();
    assert!(bought["expires_in"].as_u64().is_some_and(|s| s > 0), "{}", bought["expires_in"]);
    assert!(bought["token_type"].as_str().is_some_and(|t| t.eq_ignore_ascii_case("bearer")));
    let access = bought["access_token"].as_str().expect("access_token");
    sluice_e2e::secrets::remember(access);
    let ask = Ask::get("/v/c/echo").with("Authorization", &format!("Bearer {access}"));
    let echo = tenant.send(&ask).await.echo();
    assert_eq!(echo.header("authorization"), Some(format!("Bearer {token}").as_str()));
}

async fn marketos_clients_buy_a_token_with_the_key(world: &World) {
    let (vendor, tenant, key, token) = with_token(world, "marketo").await;
    let query = format!("grant_type=client_credentials&client_id=any&client_secret={key}");
    let bought = tenant.send(&Ask::get(&format!("/v/c/identity/oauth/token?{query}"))).await;
    works(&tenant, &bought, &token).await;
    let form = Ask::post("/v/c/identity/oauth/token", query).with("Content-Type", "application/x-www-form-urlencoded");
    works(&tenant, &tenant.send(&form).await, &token).await;
    assert_eq!(vendor.calls().0.len(), 2, "the vendor's own token endpoint was not asked");
}

async fn aprimos_clients_buy_a_token_with_the_key(world: &World) {
    let (_vendor, tenant, key, token) = with_token(world, "aprimo").await;
    let form = format!("grant_type=client_credentials&scope=api&client_id=any&client_secret={key}");
    let ask = Ask::post("/v/c/login/connect/token", form).with("Content-Type", "application/x-www-form-urlencoded");
    works(&tenant, &tenant.send(&ask).await, &token).await;
}

async fn hubspots_clients_buy_a_token_with_the_key(world: &World) {
    let (_vendor, tenant, key, token) = with_token(world, "hubspot").await;
    let form = format!("grant_type=refresh_token&refresh_token=any&client_id=any&client_secret={key}");
    let ask = Ask::post("/v/c/oauth/v1/token", form).with("Content-Type", "application/x-www-form-urlencoded");
    works(&tenant, &tenant.send(&ask).await, &token).await;
}

async fn hubspots_clients_buy_it_at_the_dated_endpoints_too(world: &World) {
    let (vendor, tenant, key, _) = with_token(world, "hubspot").await;
    let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("any:{key}")));
    for path in ["/oauth/2026-03/token", "/oauth/2026-09/token", "/oauth/v3/token", "/oauth/v1/token"] {
        let ask = |kind: &str, body: String| Ask::post(&format!("/v/c{path}"), body).with("Content-Type", kind);
        let form = "application/x-www-form-urlencoded";
        let all = format!("grant_type=refresh_token&client_id=any&client_secret={key}&refresh_token={key}");
        let json =
            json!({"grant_type": "refresh_token", "client_id": "any", "client_secret": key, "refresh_token": key});
        for ask in [
            ask(form, all),
            ask(form, format!("grant_type=refresh_token&refresh_token={key}")).with("Authorization", &basic),
            ask("application/json", json.to_string()),
        ] {
            let bought = tenant.send(&ask).await;
            assert_eq!(bought.status, 200, "{path}: {}", bought.text());
            let bought = bought.json();
            assert_eq!((&bought["access_token"], &bought["refresh_token"]), (&json!(key), &json!(key)), "{path}");
            assert_eq!((&bought["token_type"], &bought["expires_in"]), (&json!("bearer"), &json!(1800)), "{path}");
        }
        let bad = ask(form, format!("grant_type=refresh_token&client_secret={key}x"));
        let bad = tenant.send(&bad).await;
        assert_eq!((bad.status, &bad.json()["error"]), (401, &json!("invalid_client")), "{path}");
    }
    assert!(vendor.calls().0.is_empty() && vendor.exchanges().is_empty());
}

async fn a_body_that_no_token_endpoint_reads_gets_oauths_error(world: &World) {
    let (vendor, tenant, key, _) = with_token(world, "hubspot").await;
    for (kind, body) in [
        ("text/xml", format!("<client_secret>{key}</client_secret>")),
        (
            "multipart/form-data; boundary=b",
            format!("--b\r\nContent-Disposition: form-data; name=\"client_secret\"\r\n\r\n{key}\r\n--b--"),
        ),
        ("application/json", format!("{{\"client_secret\":\"{key}\"")),
    ] {
        let refused = tenant.send(&Ask::post("/v/c/oauth/2026-09/token", body).with("Content-Type", kind)).await;
        assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("invalid_request")), "{kind}");
        assert!(!refused.text().contains(&key));
    }
    assert!(vendor.calls().0.is_empty() && vendor.exchanges().is_empty());
}

async fn salesforces_instance_is_wherever_the_token_was_bought(world: &World) {
    let (_vendor, tenant, key, _) = with_token(world, "salesforce").await;
    let form = format!("grant_type=client_credentials&client_id=any&client_secret={key}");
    let to = |path: &str| Ask::post(path, form.clone()).with("Content-Type", "application/x-www-form-urlencoded");
    let by_path = tenant.send(&to("/v/c/services/oauth2/token")).await;
    assert_eq!(by_path.json()["instance_url"], format!("http://{}/v/c", tenant.to()));
    for host in ["c.api.example.com", "c.api.example.com:8787"] {
        let by_host = tenant.send(&to("/services/oauth2/token").with("Host", host)).await;
        assert_eq!(by_host.json()["instance_url"], format!("http://{host}"));
    }
}

/// jsforce streams its form, without a length.
async fn a_token_request_may_come_in_chunks(world: &World) {
    let (vendor, tenant, key, token) = with_token(world, "salesforce").await;
    let form = format!("grant_type=client_credentials&client_id=any&client_secret={key}");
    let ask = |form: String| {
        Ask::post("/v/c/services/oauth2/token", Vec::new())
            .with("Content-Type", "application/x-www-form-urlencoded")
            .chunked(form)
    };
    let bought = tenant.send(&ask(form.clone())).await;
    assert_eq!(bought.json()["access_token"], key.as_str(), "{}", bought.text());
    let longer = tenant.send(&ask(format!("{form}&more={}", "x".repeat(16_384)))).await;
    assert_eq!(longer.json()["access_token"], key.as_str(), "{}", longer.text());
    // A request with the vendor's own secret is forwarded to the vendor unchanged.
    let own = format!("grant_type=client_credentials&client_id=any&client_secret={token}");
    let issued = tenant.send(&ask(own).with("Sluice-Key", &key)).await;
    issued.is_vendors(200);
    sluice_e2e::secrets::remember(issued.json()["access_token"].as_str().unwrap());
    assert_eq!(vendor.exchanges().len(), 1);
}

async fn a_bad_key_at_the_token_endpoint_gets_oauths_error(world: &World) {
    let (vendor, tenant, key, _) = with_token(world, "marketo").await;
    for secret in [format!("{key}x"), "slk_AAAA".to_owned()] {
        let query = format!("grant_type=client_credentials&client_id=any&client_secret={secret}");
        let refused = tenant.send(&Ask::get(&format!("/v/c/identity/oauth/token?{query}"))).await;
        assert!(matches!(refused.status, 400 | 401), "{}", refused.status);
        assert_eq!(refused.json()["error"], "invalid_client", "{}", refused.text());
        assert!(!refused.text().contains(&secret));
    }
    assert!(vendor.calls().0.is_empty());
}
