//! Keys in places from which the vendor would receive them: the call is refused, or the key is
//! replaced where the vendor's profile knows the place.

use serde_json::{Value, json};
use sluice_e2e::{Answer, Ask, Tenant, World, secrets, tenant::limit};
use sluice_mock_upstreams::{Handle, Spec, Vendor};

tests![
    a_key_where_the_vendor_would_get_it_is_refused_and_nothing_is_sent,
    what_only_begins_as_a_key_passes,
    a_body_of_more_than_a_megabyte_is_not_looked_into,
    a_job_with_a_misplaced_key_is_not_kept,
    hubspots_look_ups_are_about_the_real_token_and_show_the_key,
    a_token_that_is_a_key_is_given_back_and_asked_about_here,
    salesforces_bulk_api_gets_the_real_session_in_its_own_header,
    soap_with_its_key_in_the_envelope_alone_is_told_what_it_needs,
];

const LIMITS: &str = r#"[{"name": "rate", "kind": "rolling_window", "calls": 100, "seconds": 10}]"#;

/// Makes a vendor whose real token is known, and a key for it.
async fn with_token(world: &World, vendor: &str) -> (Handle, Tenant, String, String) {
    let token = secrets::invent("vendor-token");
    let running = Vendor::start(Spec::new(vendor).credential(&token)).unwrap();
    let tenant = world.tenant("misplaced");
    let limits: Value = serde_json::from_str(LIMITS).unwrap();
    let more = json!({"credential": {"type": "bearer", "token": token}, "limits": limits});
    let key = tenant.simple(vendor, &running.url(), &more).await;
    (running, tenant, key, token)
}

#[track_caller]
fn is_misplaced(answer: &Answer, key: &str, what: &str) {
    assert_eq!((answer.status, answer.sluice_reason()), (400, Some("key-misplaced")), "{what}: {}", answer.text());
    answer.is_problem(400, "key-misplaced");
    assert!(!answer.text().contains(key) && !format!("{:?}", answer.headers).contains(key), "{what}");
}

async fn nothing_is_counted(tenant: &Tenant, key: &str) {
    let status = tenant.status(key).await;
    let connection = &status["connections"]["c"];
    assert_eq!(limit(connection, "rate")["used"], 0, "{connection}");
    assert_eq!(connection["last_hour"]["by_endpoint"], json!([]), "{connection}");
}

async fn a_key_where_the_vendor_would_get_it_is_refused_and_nothing_is_sent(world: &World) {
    let (vendor, tenant, key, _) = with_token(world, "generic").await;
    let encoded = key.replace('_', "%5F");
    let hex: String = key.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let escaped = key.replace('_', "\\u005f");
    let part = format!("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{key}\r\n--b--\r\n");
    let kinds = [
        ("application/json", format!("{{\"a\":[{{\"token\":\"{key}\"}}]}}")),
        ("application/json", format!("{{\"a\":\"{escaped}\"}}")),
        ("application/x-www-form-urlencoded", format!("a=b&token={encoded}")),
        ("multipart/form-data; boundary=b", part),
        ("application/xml", format!("<sessionId>{key}</sessionId>")),
        ("application/octet-stream", format!("\0\u{1}x{key}y")),
    ];
    let path = |text: &str| Ask::get(&format!("/v/c{text}"));
    let mut asks = vec![
        path(&format!("/a/{key}/b")),
        path(&format!("/a/{encoded}")),
        path(&format!("/a/x{hex}-y")),
        path(&format!("/a?q={key}")),
        path(&format!("/a?q=x{encoded}y&b")),
        path(&format!("/a?{key}")),
        path(&format!("/a?access_token={key}")),
        path("/a").with("X-Api-Key", &key),
        path("/a").with("X-Custom", &format!("Token {key}")),
        path("/a").with("X-Custom", &encoded),
        path("/a").with("Cookie", &format!("a=b; c={key}")),
        path("/a").with("Idempotency-Key", &key),
    ];
    for (kind, body) in kinds {
        let ask = |ask: Ask| ask.with("Content-Type", kind);
        asks.push(ask(Ask::post("/v/c/a", body.clone())));
        asks.push(ask(Ask::new("PUT", "/v/c/a").chunked(body.clone())));
        asks.push(ask(Ask::get("/v/c/a").body(body)));
    }
    for ask in asks {
        let what = format!("{} {} {:?}", ask.method, ask.target, ask.headers);
        is_misplaced(&tenant.send(&ask.clone().key(&key)).await, &key, &what);
        is_misplaced(&tenant.send(&ask.clone().with("Authorization", &format!("Bearer {key}"))).await, &key, &what);
        is_misplaced(&tenant.send(&ask).await, &key, &what);
    }
    is_misplaced(
        &tenant.send(&path("/a").with("Authorization", &format!("Token {key}"))).await,
        &key,
        "another scheme",
    );
    // This also holds beside a key that is not valid.
    let other = tenant.key("app").await;
    is_misplaced(&tenant.send(&path(&format!("/a/{other}")).key(&key)).await, &other, "another key");
    assert!(vendor.calls().0.is_empty(), "nothing was sent");
    nothing_is_counted(&tenant, &key).await;
}

async fn what_only_begins_as_a_key_passes(world: &World) {
    let (_vendor, tenant, key, _) = with_token(world, "generic").await;
    let alike = format!("{}AAAA", &key[..key.len() - 8]);
    let ask = Ask::post(&format!("/v/c/a/{alike}?q={alike}"), format!("a={alike}")).with("X-Custom", &alike).key(&key);
    let echo = tenant.send(&ask).await.echo();
    assert_eq!(echo.target(), format!("/a/{alike}?q={alike}"));
    assert_eq!(
        (echo.header("x-custom"), echo.0["body"].as_str()),
        (Some(alike.as_str()), Some(format!("a={alike}").as_str()))
    );
    // The platform sends the body of a GET as it came, and it still arrives.
    let echo = tenant.send(&Ask::get("/v/c/a").body("{\"q\": 1}").key(&key)).await.echo();
    assert_eq!(echo.0["body"], "{\"q\": 1}");
}

async fn a_body_of_more_than_a_megabyte_is_not_looked_into(world: &World) {
    let (vendor, tenant, key, _) = with_token(world, "generic").await;
    let within = format!("{key}{}", "x".repeat(1_048_576 - key.len()));
    is_misplaced(&tenant.send(&Ask::post("/v/c/a", within.clone()).key(&key)).await, &key, "1 MB");
    is_misplaced(&tenant.send(&Ask::post("/v/c/a", "").chunked(within).key(&key)).await, &key, "1 MB in chunks");
    assert!(vendor.calls().0.is_empty());
    let over = "x".repeat(1_048_577);
    assert_eq!(tenant.send(&Ask::post("/v/c/a", over).key(&key)).await.echo().0["body_bytes"], 1_048_577);
}

async fn a_job_with_a_misplaced_key_is_not_kept(world: &World) {
    let (vendor, tenant, key, _) = with_token(world, "hubspot").await;
    for ask in [
        Ask::get(&format!("/v/c/oauth/v1/access-tokens/{key}")),
        Ask::get(&format!("/v/c/x/{key}")),
        Ask::post("/v/c/x", format!("{{\"a\":\"{key}\"}}")),
        Ask::post("/v/c/oauth/v2/private-apps/get/access-token-info", format!("{{\"tokenKey\":\"{key}\"}}")),
    ] {
        let ask = ask.key(&key).with("Prefer", "respond-async");
        is_misplaced(&tenant.send(&ask).await, &key, &ask.target);
    }
    let jobs = tenant.send(&Ask::get("/jobs").key(&key)).await;
    assert_eq!(jobs.json()["items"], json!([]), "{}", jobs.text());
    assert!(vendor.calls().0.is_empty());
}

async fn hubspots_look_ups_are_about_the_real_token_and_show_the_key(world: &World) {
    let (vendor, tenant, key, token) = with_token(world, "hubspot").await;
    let bearer = format!("Bearer {key}");
    let path = format!("/v/c/oauth/v1/access-tokens/{key}");
    let encoded = format!("/v/c/oauth/v1/access-tokens/{}", key.replace('_', "%5F"));
    for ask in [Ask::get(&path).with("Authorization", &bearer), Ask::get(&path), Ask::get(&encoded).key(&key)] {
        let answer = tenant.send(&ask).await;
        let echo = answer.echo();
        assert_eq!(echo.target(), format!("/oauth/v1/access-tokens/{key}"), "the answer shows the key again");
        assert!(!answer.text().contains(&token), "the real token stays here");
        assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    }
    let expected = format!("/oauth/v1/access-tokens/{token}");
    assert!(vendor.calls().0.iter().all(|call| call.target == expected), "{:?}", vendor.calls().0);
    assert_eq!(vendor.calls().0.len(), 3);

    let info = Ask::post("/v/c/oauth/v2/private-apps/get/access-token-info", format!("{{\"tokenKey\":\"{key}\"}}"));
    let info = info.with("Content-Type", "application/json");
    for ask in [info.clone().with("Authorization", &bearer), info] {
        let answer = tenant.send(&ask).await;
        let echo = answer.echo();
        assert_eq!(echo.0["body"], format!("{{\"tokenKey\":\"{key}\"}}"));
        assert_eq!(echo.0["body_bytes"], token.len() + 15, "the real token went out");
        assert!(!answer.text().contains(&token));
    }
    let status = tenant.until(&key, "all is settled", |connection| connection["in_flight"] == 0).await.to_string();
    assert!(!status.contains(&key) && !status.contains(&token) && status.contains("access-tokens/***"), "{status}");
}

async fn a_token_that_is_a_key_is_given_back_and_asked_about_here(world: &World) {
    const FORM: &str = "application/x-www-form-urlencoded";
    let (vendor, tenant, key, _) = with_token(world, "salesforce").await;
    let form = |path: &str, body: String| Ask::post(path, body).with("Content-Type", FORM);
    let bearer = format!("Bearer {key}");
    for ask in [
        form("/v/c/services/oauth2/revoke", format!("token={key}")),
        form("/v/c/services/oauth2/revoke", format!("token={key}")).with("Authorization", &bearer),
        Ask::get(&format!("/v/c/services/oauth2/revoke?token={key}")),
        Ask::post(&format!("/v/c/services/oauth2/revoke?token={key}"), "").with("Authorization", &bearer),
    ] {
        let answer = tenant.send(&ask).await;
        assert_eq!((answer.status, answer.sluice_reason()), (200, None), "{}", answer.text());
    }
    let asked =
        |path: &str| form(path, format!("client_id=any&client_secret={key}&token={key}&token_type_hint=access_token"));
    let answer = tenant.send(&asked("/v/c/services/oauth2/introspect")).await;
    assert_eq!((answer.status, &answer.json()["active"]), (200, &json!(true)), "{}", answer.text());
    assert_eq!(answer.json()["client_id"], "any");
    assert!(vendor.calls().0.is_empty(), "the real token was not revoked");
    // The key stays valid.
    tenant.get(&key, "/echo").await.is_vendors(200);

    let (vendor, tenant, key, _) = with_token(world, "hubspot").await;
    let asked = form("/v/c/oauth/2026-09/token/introspect", format!("client_id=any&client_secret={key}&token={key}"));
    assert_eq!(tenant.send(&asked).await.json()["active"], true);
    let gone = Ask::new("DELETE", &format!("/v/c/oauth/v1/refresh-tokens/{key}"));
    assert_eq!(tenant.send(&gone.clone().with("Authorization", &format!("Bearer {key}"))).await.status, 204);
    assert_eq!(tenant.send(&gone).await.status, 204);
    let bad = form("/v/c/oauth/2026-09/token/introspect", format!("client_secret={key}x&token={key}"));
    let bad = tenant.send(&bad).await;
    assert_eq!((bad.status, &bad.json()["error"]), (401, &json!("invalid_client")));
    assert!(vendor.calls().0.is_empty());
}

async fn salesforces_bulk_api_gets_the_real_session_in_its_own_header(world: &World) {
    let (_vendor, tenant, key, token) = with_token(world, "salesforce").await;
    let job = Ask::post("/v/c/services/async/59.0/job", "{\"operation\":\"insert\"}");
    for ask in [
        job.clone().with("X-SFDC-Session", &key),
        job.clone().with("X-SFDC-Session", &key).with("Authorization", &format!("Bearer {key}")),
        job.with("Authorization", &format!("OAuth {key}")),
    ] {
        let echo = tenant.send(&ask).await.echo();
        assert_eq!(echo.header("x-sfdc-session"), Some(token.as_str()));
        assert!(!echo.0.to_string().contains("slk_"), "{}", echo.0);
    }
}

async fn soap_with_its_key_in_the_envelope_alone_is_told_what_it_needs(world: &World) {
    let (vendor, tenant, key, _) = with_token(world, "salesforce").await;
    let envelope = format!("<SessionHeader><sessionId>{key}</sessionId></SessionHeader>");
    let soap =
        Ask::post("/v/c/services/Soap/m/59.0", envelope).with("Content-Type", "text/xml").with("SOAPAction", "\"\"");
    let answer = tenant.send(&soap).await;
    answer.is_problem(401, "key");
    assert!(answer.text().contains("Sluice-Key") && answer.text().contains("passthrough"), "{}", answer.text());
    is_misplaced(&tenant.send(&soap.key(&key)).await, &key, "with the key in the head too");
    assert!(vendor.calls().0.is_empty());
}
