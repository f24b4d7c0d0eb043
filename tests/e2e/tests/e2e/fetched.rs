//! Credentials that must be exchanged for an access token: it is fetched once for many calls,
//! renewed, and never shown.

use serde_json::{Value, json};
use sluice_e2e::instance::Start;
use sluice_e2e::{Answer, Ask, Tenant, World, load, secrets, tenant::limit};
use sluice_mock_upstreams::{Fault, FaultRule, Handle, Spec, Vendor};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

tests![
    a_token_is_fetched_once_for_many_callers_and_not_counted,
    every_vendors_token_endpoint_is_found,
    a_token_the_vendor_revokes_is_renewed_once_and_the_calls_go_once_more,
    a_call_whose_body_was_too_long_to_keep_is_not_repeated,
    a_fixed_credential_that_is_refused_is_not_tried_again,
    a_refresh_token_works_once_and_the_next_outlives_a_crash,
    an_assertion_is_signed_with_the_private_key,
    a_wrong_secret_is_told_and_does_not_hammer_the_vendor,
    a_token_endpoint_that_fails_is_a_clear_error_and_nothing_is_counted,
    a_caller_that_goes_while_it_fetches_leaves_the_token_to_the_others,
    a_first_refusal_of_the_token_endpoint_is_waited_through_and_a_lasting_one_is_told,
];

/// A vendor that accepts one secret, and a connection whose token is fetched with it.
struct Client {
    vendor: Handle,
    tenant: Tenant,
    key: String,
}

const WINDOW: u64 = 1_000;

async fn client(world: &World, spec: Spec, more: &Value) -> Client {
    let secret = secrets::invent("client-secret");
    let name = spec.vendor.clone();
    let vendor = Vendor::start(spec.credential(&secret).limits(vec![])).unwrap();
    let tenant = world.tenant("fetched");
    let mut with = json!({
        "credential": {"type": "client_credentials", "client_id": "sluice", "client_secret": secret},
        "limits": [{"name": "window", "kind": "rolling_window", "calls": WINDOW, "seconds": 60}],
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        with[name] = value.clone();
    }
    let key = tenant.simple(&name, &vendor.url(), &with).await;
    Client { vendor, tenant, key }
}

impl Client {
    async fn used(&self) -> u64 {
        let connection = self.tenant.until(&self.key, "all is settled", |c| c["in_flight"] == 0).await;
        limit(&connection, "window")["used"].as_u64().unwrap()
    }

    /// Returns the number of calls that are not token requests.
    fn calls(&self) -> usize {
        self.vendor.calls().0.len() - self.vendor.exchanges().len()
    }
}

impl Drop for Client {
    /// Remembers every issued token as a secret, which must not have been written anywhere.
    fn drop(&mut self) {
        self.vendor.tokens().iter().for_each(|token| secrets::remember(token));
    }
}

fn attempts(answer: &Answer) -> Option<&str> {
    answer.header("sluice-attempts")
}

async fn a_token_is_fetched_once_for_many_callers_and_not_counted(world: &World) {
    let client = client(world, Spec::new("marketo").jitter(50, 150), &json!({})).await;
    let ask = Ask::get("/v/c/rest/v1/leads/describe.json").key(&client.key);
    for _ in 0..2 {
        for answer in load::at_once(client.tenant.to(), vec![ask.clone(); 30]).await {
            answer.is_vendors(200);
            assert_eq!(answer.json()["success"], true, "{}", answer.text());
            assert_eq!(attempts(&answer), Some("1"));
        }
    }
    assert_eq!(client.vendor.exchanges().len(), 1);
    assert_eq!((client.used().await, client.calls()), (60, 60), "the exchange itself is not counted");
}

async fn every_vendors_token_endpoint_is_found(world: &World) {
    for vendor in ["marketo", "aprimo", "salesforce", "keap-oauth"] {
        let client = client(world, Spec::new(vendor), &json!({})).await;
        let answer = client.tenant.get(&client.key, "/anything").await;
        let token = client.vendor.tokens().pop().unwrap_or_else(|| panic!("{vendor}: no token was bought"));
        let shown = answer.echo();
        assert_eq!(shown.header("authorization"), Some(format!("Bearer {token}").as_str()), "{vendor}");
        let form = client.vendor.exchanges().pop().unwrap();
        // Keap wants client and secret as Basic authentication, and the mock reads them from there.
        assert_eq!(form.contains("client_secret="), vendor != "keap-oauth", "{vendor}");
    }
}

async fn a_token_the_vendor_revokes_is_renewed_once_and_the_calls_go_once_more(world: &World) {
    // Marketo reports it by a code with HTTP 200, the others by 401.
    for vendor in ["marketo", "aprimo"] {
        let client = client(world, Spec::new(vendor).jitter(50, 150), &json!({})).await;
        client.tenant.get(&client.key, "/anything").await.is_vendors(200);
        let old = client.vendor.tokens().pop().unwrap();
        secrets::remember(&old);
        client.vendor.revoke();

        let asks = (0..20).map(|n| Ask::post("/v/c/anything", format!("body {n}")).key(&client.key)).collect();
        for (n, answer) in load::at_once(client.tenant.to(), asks).await.iter().enumerate() {
            let echo = answer.echo();
            assert_eq!(attempts(answer), Some("2"), "{vendor}");
            let token = client.vendor.tokens().pop().unwrap();
            assert!(token != old && echo.header("authorization") == Some(format!("Bearer {token}").as_str()));
            assert_eq!(echo.0["body"], format!("body {n}"), "{}", echo.0);
        }
        assert_eq!(client.vendor.exchanges().len(), 2, "{vendor}: one renewal for 20 calls");
        assert_eq!((client.used().await, client.calls()), (41, 41), "{vendor}: each sending has a permit of its own");
        let next = client.tenant.get(&client.key, "/anything").await;
        assert_eq!((next.status, attempts(&next)), (200, Some("1")));
    }
}

async fn a_call_whose_body_was_too_long_to_keep_is_not_repeated(world: &World) {
    let client = client(world, Spec::new("aprimo"), &json!({})).await;
    client.tenant.get(&client.key, "/anything").await.is_vendors(200);
    client.vendor.revoke();
    let long = Ask::post("/v/c/anything", vec![b'x'; 1_048_577]).key(&client.key);
    let answer = client.tenant.send(&long).await;
    answer.is_vendors(401);
    assert_eq!(attempts(&answer), Some("1"));
    let kept = Ask::post("/v/c/anything", vec![b'x'; 1_048_576]).key(&client.key);
    let answer = client.tenant.send(&kept).await;
    answer.is_vendors(200);
    assert_eq!(attempts(&answer), Some("2"), "1 MB is kept");
}

async fn a_fixed_credential_that_is_refused_is_not_tried_again(world: &World) {
    let more = json!({"credential": {"type": "bearer", "token": secrets::invent("wrong-token")}});
    let client = client(world, Spec::new("aprimo"), &more).await;
    let answer = client.tenant.send(&Ask::post("/v/c/anything", "x").key(&client.key)).await;
    answer.is_vendors(401);
    assert_eq!(attempts(&answer), Some("1"));
    assert_eq!((client.calls(), client.vendor.exchanges().len()), (1, 0));
}

async fn a_refresh_token_works_once_and_the_next_outlives_a_crash(_: &World) {
    let (secret, first) = (secrets::invent("client-secret"), secrets::invent("refresh-token"));
    let spec = Spec::new("keap-oauth").credential(&secret).refresh_token(&first).limits(vec![]);
    let vendor = Vendor::start(spec).unwrap();
    let credential = json!({"type": "refresh_token", "client_id": "sluice", "client_secret": secret,
        "refresh_token": first, "token_url": format!("{}/token", vendor.url())});
    let instance = Start::fresh("refresh").run();
    let mut tenant = Tenant::new(&instance, "refresh");
    let key = tenant.simple("keap-oauth", &vendor.url(), &json!({"credential": credential})).await;
    let sent = |vendor: &Handle| {
        let form = vendor.exchanges().pop().unwrap();
        form.split('&').find_map(|field| field.strip_prefix("refresh_token=").map(str::to_owned)).unwrap()
    };
    tenant.get(&key, "/crm/rest/v2/contacts").await.is_vendors(200);
    assert_eq!(sent(&vendor), first);
    let token = vendor.tokens().pop().unwrap();
    secrets::remember(&token);

    let instance = instance.kill().run();
    tenant = tenant.on(&instance);
    tenant.get(&key, "/crm/rest/v2/contacts").await.is_vendors(200);
    assert_eq!(vendor.exchanges().len(), 1, "the stored token still works, and is used");
    vendor.revoke();
    let answer = tenant.get(&key, "/crm/rest/v2/contacts").await;
    answer.is_vendors(200);
    assert_eq!(attempts(&answer), Some("2"));
    assert_eq!(sent(&vendor), format!("refresh-{token}"), "the one that came with the first exchange");
    secrets::remember(&vendor.tokens().pop().unwrap());
}

async fn an_assertion_is_signed_with_the_private_key(world: &World) {
    for form in ["pkcs8", "pkcs1"] {
        let keys = node(
            "const { privateKey, publicKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048, \
             publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: process.argv[1], format: 'pem' } }); \
             console.log(JSON.stringify([privateKey, publicKey]))",
            &[form],
        );
        let keys: Vec<String> = serde_json::from_str(&keys).unwrap();
        secrets::remember(keys[0].lines().nth(1).unwrap());
        let vendor = Vendor::start(Spec::new("ga4-data").credential(&secrets::invent("none")).limits(vec![])).unwrap();
        let audience = format!("{}/token", vendor.url());
        let tenant = world.tenant("assertion");
        let credential = json!({"type": "jwt_bearer", "issuer": "robot@example.com", "private_key": keys[0],
            "audience": audience, "scope": "https://www.googleapis.com/auth/analytics.readonly"});
        let key = tenant.simple("ga4-data", &vendor.url(), &json!({"credential": credential})).await;
        let report = Ask::post("/v/c/v1beta/properties/1:runReport", "{}").key(&key);
        tenant.send(&report).await.is_vendors(200);

        let sent = vendor.exchanges().pop().unwrap();
        let assertion = sent.split_once("&assertion=").expect("an assertion").1;
        let claims = node(
            "const [head, claims, signature] = process.argv[1].split('.'); \
             const good = crypto.verify('RSA-SHA256', Buffer.from(head + '.' + claims), process.argv[2], Buffer.from(signature, 'base64url')); \
             console.log(good ? Buffer.from(claims, 'base64url').toString() : 'null')",
            &[assertion, &keys[1]],
        );
        let claims: Value = serde_json::from_str(&claims).unwrap();
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!("robot@example.com"), &json!(audience)), "{form}: {sent}");
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 120);
        secrets::remember(&vendor.tokens().pop().unwrap());
    }
    let vendor = Vendor::start(Spec::new("ga4-data").limits(vec![])).unwrap();
    let tenant = world.tenant("no-key");
    let no_key = "-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----";
    let credential = json!({"type": "jwt_bearer", "issuer": "i", "private_key": no_key, "audience": vendor.url()});
    let key = tenant.simple("ga4-data", &vendor.url(), &json!({"credential": credential})).await;
    let answer = tenant.get(&key, "/anything").await;
    answer.is_problem(502, "vendor-unreachable");
    assert!(answer.text().contains("private_key"), "{}", answer.text());
    assert!(vendor.calls().0.is_empty());
}

/// Runs a line of JavaScript and returns what it prints. Node is installed anyway, and knows RSA.
fn node(script: &str, arguments: &[&str]) -> String {
    let name = std::env::var("SLUICE_NODE").unwrap_or_else(|_| "node".to_owned());
    let mut child =
        Command::new(name).arg("-").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // With `-` the script's own name is argument 1.
    let script = format!("const crypto = require('node:crypto'); process.argv.splice(1, 1); {script}");
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "node failed");
    String::from_utf8(done.stdout).unwrap()
}

async fn a_wrong_secret_is_told_and_does_not_hammer_the_vendor(world: &World) {
    for vendor in ["marketo", "salesforce"] {
        let client = client(world, Spec::new(vendor), &json!({})).await;
        let wrong =
            json!({"type": "client_credentials", "client_id": "sluice", "client_secret": secrets::invent("wrong")});
        let mut policy = client.tenant.admin("GET", &format!("/tenants/{}", client.tenant.name), None).await.json();
        policy["connections"]["c"]["credential"] = wrong;
        client.tenant.policy(&policy).await;
        let ask = Ask::get("/v/c/anything").key(&client.key);
        for answer in load::at_once(client.tenant.to(), vec![ask; 20]).await {
            answer.is_problem(502, "vendor-unreachable");
            assert!((1..=5).contains(&answer.retry_after().unwrap()), "{:?}", answer.retry_after());
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("connection c ") && detail.contains("invalid_client"), "{detail}");
        }
        assert_eq!(client.vendor.exchanges().len(), 1, "{vendor}: 20 calls, one try");
        assert_eq!((client.used().await, client.calls()), (0, 0), "{vendor}: nothing is sent, nothing counted");
        // A corrected policy is in force at once, whatever the backoff.
        policy["connections"]["c"]["credential"]["client_secret"] = json!(client.vendor.spec().credential);
        client.tenant.policy(&policy).await;
        client.tenant.get(&client.key, "/anything").await.is_vendors(200);
    }
}

async fn a_token_endpoint_that_fails_is_a_clear_error_and_nothing_is_counted(world: &World) {
    let rubbish = || {
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"hello\": \"world!!\"}"
            .to_owned()
    };
    let moved = || "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_owned();
    let faults = [
        (Fault::Status { status: 503, retry_after_s: Some(30), retry_at_s: None }, "503", 30),
        (Fault::Status { status: 404, retry_after_s: None, retry_at_s: None }, "404", 5),
        (Fault::ResetBefore, "cannot be reached", 1),
        (Fault::Hang, "did not answer", 1),
        (Fault::MalformedJson, "without a token", 1),
        (Fault::Raw { text: rubbish() }, "without a token", 1),
        (Fault::Raw { text: moved() }, "redirect", 5),
        (Fault::Oversized { bytes: 5 << 20 }, "without a token", 1),
    ];
    let mut all = tokio::task::JoinSet::new();
    for (fault, words, retry) in faults {
        // The first refusal is not taken as final.
        let times = if words == "404" { 2 } else { 1 };
        let rule = FaultRule::first(times, fault.clone()).on("/identity/oauth/token");
        let client = client(world, Spec::new("marketo").fault(rule), &json!({"timeout_seconds": 2})).await;
        all.spawn(async move {
            let answer = client.tenant.get(&client.key, "/anything").await;
            answer.is_problem(502, "vendor-unreachable");
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("connection c") && detail.contains(words), "{fault:?}: {detail}");
            assert!((1..=retry).contains(&answer.retry_after().unwrap()), "{fault:?}: {:?}", answer.retry_after());
            assert!(answer.took < Duration::from_secs(14), "{fault:?}: {:?}", answer.took);
            assert_eq!((client.used().await, client.calls()), (0, 0), "{fault:?}");
            if retry == 1 {
                // The connection recovers by itself.
                tokio::time::sleep(Duration::from_millis(1_100)).await;
                client.tenant.get(&client.key, "/anything").await.is_vendors(200);
            }
        });
    }
    all.join_all().await;
}

/// Makes the answer of a token endpoint with status 400, as bytes.
fn no(error: &str, description: &str) -> Fault {
    let body = json!({"error": error, "error_description": description}).to_string();
    let length = body.len();
    let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json";
    Fault::Raw { text: format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}") }
}

async fn a_first_refusal_of_the_token_endpoint_is_waited_through_and_a_lasting_one_is_told(world: &World) {
    let path = "/services/oauth2/token";
    for (error, description) in
        [("invalid_grant", "expired authorization code"), ("unknown_error", "retry your request")]
    {
        let rule = FaultRule::first(1, no(error, description)).on(path);
        let client = client(world, Spec::new("salesforce").fault(rule), &json!({})).await;
        let ask = Ask::get("/v/c/anything").key(&client.key).wait(10);
        for answer in load::at_once(client.tenant.to(), vec![ask; 20]).await {
            answer.is_vendors(200);
        }
    }
    let rule = FaultRule::first(1, no("invalid_grant", "expired")).on(path);
    let hurried = client(world, Spec::new("salesforce").fault(rule), &json!({})).await;
    let answer = hurried.tenant.get_now(&hurried.key, "/anything").await;
    answer.is_problem(502, "vendor-unreachable");
    assert!(!answer.text().contains("authorise again"), "{}", answer.text());
    let rule = FaultRule::always(no("invalid_grant", "expired")).on(path);
    let dead = client(world, Spec::new("salesforce").fault(rule), &json!({})).await;
    let ask = Ask::get("/v/c/anything").key(&dead.key).wait(10);
    for _ in 0..2 {
        for answer in load::at_once(dead.tenant.to(), vec![ask.clone(); 20]).await {
            answer.is_problem(502, "vendor-unreachable");
            assert!(answer.text().contains("authorise again"), "{}", answer.text());
            assert!(answer.took < Duration::from_secs(4), "{:?}", answer.took);
        }
    }
    assert!(dead.vendor.calls().0.len() <= 3, "{} exchanges", dead.vendor.calls().0.len());
}

async fn a_caller_that_goes_while_it_fetches_leaves_the_token_to_the_others(world: &World) {
    let client = client(world, Spec::new("aprimo").jitter(900, 1_000), &json!({})).await;
    let mut first = sluice_e2e::Open::connect(client.tenant.to()).await.unwrap();
    first.start(&Ask::get("/v/c/anything").key(&client.key)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    first.reset();
    let answer = client.tenant.get(&client.key, "/anything").await;
    answer.is_vendors(200);
    assert!(answer.took < Duration::from_secs(5), "{:?}: it waited for the one who had gone", answer.took);
    assert_eq!(client.vendor.exchanges().len(), 1);
    assert_eq!(client.calls(), 1, "the one who left sent nothing");
}
