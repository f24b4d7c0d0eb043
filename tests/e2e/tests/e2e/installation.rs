//! The installation's secrets: how they are set, rotated and lost, and what happens to clients that
//! guess them.

use serde_json::json;
use sluice_e2e::instance::Start;
use sluice_e2e::{Ask, Tenant, World, secrets};
use sluice_mock_upstreams::{Spec, Vendor};

tests![
    a_rotated_master_key_seals_all_anew_so_that_the_older_one_may_be_dropped,
    a_tenant_whose_secrets_no_listed_key_opens_says_so_to_its_callers_and_can_be_replaced_and_removed,
    a_forged_key_is_a_forged_key_where_nothing_is_lost,
    an_admin_token_may_have_a_name_and_must_be_long,
    who_guesses_tokens_is_not_heard_for_a_while_and_locks_nobody_else_out,
];

fn other_master() -> String {
    Start::fresh("unused").master_key
}

async fn a_rotated_master_key_seals_all_anew_so_that_the_older_one_may_be_dropped(_: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    // The mock vendor's answers to jobs, which are stored, contain this token, so it is not
    // searched for there.
    let token = "a-token-that-the-vendor-echoes";
    let instance = Start::fresh("resealed").run();
    let tenant = Tenant::new(&instance, "resealed");
    let policy = |calls: u64| {
        json!({"connections": {"c": {
        "vendor": "generic", "base_url": vendor.url(), "credential": {"type": "bearer", "token": token},
        "limits": [{"name": "rate", "kind": "rolling_window", "calls": calls, "seconds": 3_000}],
    }}, "apps": {"app": {}}})
    };
    tenant.policy(&policy(1)).await;
    let key = tenant.key("app").await;
    tenant.get(&key, "/echo").await.is_vendors(200);
    // These are more jobs than one step of resealing covers. The window keeps them waiting.
    for nth in 0..20 {
        let ask = Ask::post(&format!("/v/c/echo?secret={nth}"), "x").key(&key).with("Prefer", "respond-async");
        assert_eq!(tenant.send(&ask).await.status, 202);
    }
    let mut start = instance.kill();
    let (old, new) = (start.master_key.clone(), other_master());
    start.master_key = format!("{new},{old}");
    let instance = start.run();
    let tenant = tenant.on(&instance);
    // One read loads the tenant; the rest follows by itself.
    let _ = tenant.until(&key, "it is loaded", |c| c["jobs"]["queued"] == 20).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let mut start = instance.kill();
    start.master_key = new;
    let instance = start.run();
    let tenant = tenant.on(&instance);
    tenant.get(&key, "/echo").await.is_problem(401, "key");
    let mut hidden = policy(1_000);
    hidden["connections"]["c"]["credential"]["token"] = json!("***");
    assert_eq!(tenant.put(&hidden).await.status, 200, "the stored credential opens");
    let key = tenant.key("app").await;
    let echo = tenant.get(&key, "/echo").await.echo();
    assert_eq!(echo.header("authorization"), Some(format!("Bearer {token}").as_str()));
    let done = tenant.until(&key, "its jobs are made", |c| c["jobs"]["queued"] == 0 && c["jobs"]["running"] == 0).await;
    assert_eq!(done["jobs"]["dead"], 0, "{done}");
}

async fn a_tenant_whose_secrets_no_listed_key_opens_says_so_to_its_callers_and_can_be_replaced_and_removed(_: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let token = secrets::invent("vendor-token");
    let more = json!({"credential": {"type": "bearer", "token": token}});
    let instance = Start::fresh("lost").run();
    let tenant = Tenant::new(&instance, "lost");
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    let viewer = tenant.make_key(&json!({"role": "viewer"})).await.0;
    let mut start = instance.kill();
    let old = std::mem::replace(&mut start.master_key, other_master());
    let instance = start.run();
    let tenant = tenant.on(&instance);
    let calls = [
        Ask::get("/v/c/echo").key(&key),
        Ask::get("/v/c/echo").with("Authorization", &format!("Bearer {key}")),
        Ask::get("/status.json").key(&viewer),
        Ask::get("/jobs").key(&key),
        Ask::post("/connections/c/resume", "").key(&viewer),
    ];
    for ask in &calls {
        let answer = tenant.send(ask).await;
        answer.is_problem(503, "setup");
        assert!(answer.json()["detail"].as_str().unwrap().contains("MASTER_KEY"), "{}", answer.text());
    }
    assert!(vendor.calls().0.is_empty());
    let path = format!("/tenants/{}", tenant.name);
    for (method, path) in [("GET", path.clone()), ("GET", format!("{path}/keys"))] {
        tenant.admin(method, &path, None).await.is_problem(503, "setup");
    }
    assert_eq!(tenant.put(&json!({"connections": 1})).await.status, 400);
    assert!(tenant.admin("GET", "/tenants", None).await.text().contains("\"lost\""), "it is listed still");
    // Listing the older key again repairs everything.
    let mut start = instance.kill();
    let new = start.master_key.clone();
    start.master_key = old;
    let instance = start.run();
    tenant.on(&instance).get(&key, "/echo").await.is_vendors(200);
    let mut start = instance.kill();
    start.master_key = new;
    let instance = start.run();
    let tenant = tenant.on(&instance);
    // Writing the whole policy again repairs it too.
    let fresh = tenant.simple("generic", &vendor.url(), &more).await;
    tenant.get(&fresh, "/echo").await.is_vendors(200);
    let mut start = instance.kill();
    start.master_key = other_master();
    let instance = start.run();
    let tenant = tenant.on(&instance);
    assert_eq!(tenant.admin("DELETE", &path, None).await.status, 204);
    assert_eq!(tenant.admin("GET", &path, None).await.status, 404);
    tenant.get(&fresh, "/echo").await.is_problem(401, "key");
}

async fn a_forged_key_is_a_forged_key_where_nothing_is_lost(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("forged-here");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    // This key has the right form, for this tenant and for one that does not exist, and is signed
    // by another installation.
    let elsewhere = Start::fresh("elsewhere").run();
    for name in [tenant.name.as_str(), "nobody-has-this-name"] {
        let foreign = Tenant::new(&elsewhere, name).simple("generic", &vendor.url(), &json!({})).await;
        for _ in 0..2 {
            tenant.get(&foreign, "/echo").await.is_problem(401, "key");
        }
    }
    tenant.get(&key, "/echo").await.is_vendors(200);
}

async fn an_admin_token_may_have_a_name_and_must_be_long(_: &World) {
    let (ann, bob) = (secrets::invent("ann-token"), secrets::invent("bob-token"));
    let mut start = Start::fresh("named");
    start.admin_token = format!("ann:{ann},{bob}");
    let instance = start.run();
    let listed = async |token: &str| {
        let ask = Ask::get("/admin/tenants").with("Authorization", &format!("Bearer {token}"));
        ask.send(instance.address()).await.status
    };
    for token in [ann.clone(), format!("ann:{ann}"), bob.clone()] {
        assert_eq!(listed(&token).await, 200);
    }
    for token in [format!("bob:{ann}"), "ann".to_owned(), format!("ann:{ann},{bob}"), ann[1..].to_owned()] {
        assert_eq!(listed(&token).await, 401);
    }
    let made = Ask::new("PUT", "/admin/tenants/named").with("Authorization", &format!("Bearer {ann}"));
    let made = made.body(r#"{"apps":{"app":{}}}"#).send(instance.address()).await;
    assert_eq!(made.status, 201, "{}", made.text());
    // workerd's log comes through a pipe.
    let said = || instance.printed().contains("\"by\":\"ann\"") && instance.printed().contains("policy.put");
    for _ in 0..100 {
        if said() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the log does not say who: {}", instance.printed());
}

async fn who_guesses_tokens_is_not_heard_for_a_while_and_locks_nobody_else_out(_: &World) {
    let instance = Start::fresh("guessed").run();
    let token = instance.start.admin_token.clone();
    let from = async |address: Option<&str>, token: &str| {
        let ask = Ask::get("/admin/tenants").with("Authorization", &format!("Bearer {token}"));
        let ask = match address {
            Some(address) => ask.with("CF-Connecting-IP", address),
            None => ask,
        };
        ask.send(instance.address()).await
    };
    for nth in 0..10 {
        let answer = from(Some("203.0.113.7"), &format!("guess-number-{nth:08}")).await;
        answer.is_problem(401, "key");
        assert_eq!(answer.retry_after(), None);
    }
    // Even the right token is not checked from there, so that nobody learns which it is.
    for guess in ["guess-number-12345", &token] {
        let answer = from(Some("203.0.113.7"), guess).await;
        answer.is_problem(401, "key");
        assert!((1..=60).contains(&answer.retry_after().unwrap()));
    }
    for elsewhere in [Some("203.0.113.8"), Some("2001:db8::1"), None] {
        assert_eq!(from(elsewhere, &token).await.status, 200);
    }
}
