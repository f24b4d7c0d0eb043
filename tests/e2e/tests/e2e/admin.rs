//! Administration: who may use it, what is refused and how, and what of a policy is shown.

use serde_json::json;
use sluice_e2e::{Ask, World};
use sluice_mock_upstreams::{Spec, Vendor};

tests![
    only_the_administrators_token_administers,
    a_policy_comes_back_as_understood_with_its_secrets_hidden,
    tenants_are_listed_read_and_removed,
    keys_that_make_no_sense_are_refused,
    the_built_in_vendors_are_listed,
    a_changed_policy_is_in_force_for_the_next_call_and_keeps_its_counters,
    a_hidden_secret_sent_back_stays_unless_the_host_changes,
    without_its_secrets_an_instance_says_so,
];

async fn only_the_administrators_token_administers(world: &World) {
    let tenant = world.tenant("who");
    let token = &world.shared().start.admin_token;
    let with = |value: &str| Ask::get("/admin/tenants").with("Authorization", value);
    assert_eq!(tenant.send(&with(&format!("Bearer {token}"))).await.status, 200);
    let bad = [
        "Bearer ".to_owned(),
        "Bearer x".to_owned(),
        format!("Bearer {token}x"),
        format!("Basic {token}"),
        token.clone(),
        format!("Bearer {}", &token[1..]),
        format!("Bearer {token},"),
        "Bearer ,".to_owned(),
    ];
    for value in bad {
        let answer = tenant.send(&with(&value)).await;
        assert_eq!(answer.status, 401, "«{value}»");
        assert!(!answer.text().contains(token.as_str()));
    }
    assert_eq!(tenant.send(&Ask::get("/admin/tenants")).await.status, 401);
    assert_eq!(tenant.send(&Ask::get(&format!("/admin/tenants?token={token}"))).await.status, 401);
}

async fn a_policy_comes_back_as_understood_with_its_secrets_hidden(world: &World) {
    let tenant = world.tenant("shown");
    let (secret, hook) = (sluice_e2e::secrets::invent("client-secret"), hook_secret());
    let policy = json!({
        "connections": {
            "marketo": {"vendor": "marketo", "base_url": "https://123-ABC-456.mktorest.com",
                "credential": {"type": "client_credentials", "client_id": "the-id", "client_secret": secret}},
            "hub": {"vendor": "hubspot"},
        },
        "apps": {"crm-sync": {"weight": 3, "daily_calls": 20000}, "web-form": {}},
        "callbacks": {"secret": hook, "hosts": ["hooks.example.com"]},
    });
    let answer = tenant.put(&policy).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let shown = answer.json();
    let marketo = &shown["connections"]["marketo"];
    assert_eq!(marketo["share"], json!(0.5), "half of the account, as the profile sets it");
    assert_eq!(marketo["credential"]["client_secret"], "***");
    assert_eq!(marketo["credential"]["client_id"], "the-id");
    assert_eq!(marketo["queue"], json!({"size": 100, "max_wait_seconds": 10}));
    assert_eq!(marketo["timeout_seconds"], 60);
    assert_eq!(marketo["mode"], "enforce");
    assert_eq!(marketo["limits"][0]["calls"], 100);
    assert_eq!(shown["connections"]["hub"]["base_url"], "https://api.hubapi.com");
    assert_eq!(shown["apps"]["web-form"]["weight"], 1);
    assert_eq!(shown["callbacks"]["secret"], "***");
    let read = tenant.admin("GET", &format!("/tenants/{}", tenant.name), None).await;
    assert_eq!((read.status, read.json()), (200, shown.clone()));
    // The policy that is returned can be sent again, and then replaces the current one.
    let again = tenant.put(&shown).await;
    assert_eq!((again.status, again.json()), (200, shown));
    assert!(!read.text().contains(&secret) && !read.text().contains(&hook));
}

/// Makes a secret as Standard Webhooks defines it: 24 to 64 bytes in base64.
fn hook_secret() -> String {
    use base64::Engine;
    let bytes: Vec<u8> = (0..4).flat_map(|_| sluice_e2e::secrets::bits().to_le_bytes()).collect();
    let secret = format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(bytes));
    sluice_e2e::secrets::remember(&secret);
    secret
}

async fn tenants_are_listed_read_and_removed(world: &World) {
    let tenant = world.tenant("listed");
    let path = format!("/tenants/{}", tenant.name);
    assert_eq!(tenant.admin("GET", &path, None).await.status, 404);
    tenant.policy(&json!({"apps": {"app": {}}})).await;
    assert!(tenant.admin("GET", "/tenants", None).await.text().contains(&tenant.name));
    assert!(tenant.admin("DELETE", &path, None).await.status < 300);
    assert_eq!(tenant.admin("GET", &path, None).await.status, 404);
    assert!(!tenant.admin("GET", "/tenants", None).await.text().contains(&format!("\"{}\"", tenant.name)));
    for name in ["Upper", "-x", "a_b", "a.b", "%2e%2e", "a%2fb", &"x".repeat(64), "*", "a%00b"] {
        let answer = tenant.admin("PUT", &format!("/tenants/{name}"), Some(&json!({}))).await;
        assert!(matches!(answer.status, 400 | 404), "«{name}»: {}", answer.status);
    }
}

async fn keys_that_make_no_sense_are_refused(world: &World) {
    let tenant = world.tenant("key-shapes");
    tenant.policy(&json!({"apps": {"app": {}}})).await;
    let path = format!("/tenants/{}/keys", tenant.name);
    for body in [
        json!({}),
        json!({"role": "king"}),
        json!({"role": "app"}),
        json!({"role": "app", "app": "other"}),
        json!({"role": "viewer", "app": "app"}),
        json!({"role": "app", "app": "app", "expires_in_seconds": -1}),
        json!({"role": "app", "app": "app", "extra": 1}),
        json!({"role": "app", "app": "app", "expires_in_seconds": "soon"}),
        json!([]),
        json!("app"),
    ] {
        assert_eq!(tenant.admin("POST", &path, Some(&body)).await.status, 400, "{body}");
    }
    let nobody = tenant.admin("POST", "/tenants/nobody-here/keys", Some(&json!({"role": "viewer"}))).await;
    assert_eq!(nobody.status, 404);
    let made =
        tenant.admin("POST", &path, Some(&json!({"role": "app", "app": "app", "expires_in_seconds": 60}))).await.json();
    sluice_e2e::secrets::remember(made["key"].as_str().unwrap());
    assert_eq!((made["role"].as_str(), made["app"].as_str()), (Some("app"), Some("app")));
    for field in ["created", "expires"] {
        let at = made[field].as_str().unwrap_or_else(|| panic!("no {field} in {made}"));
        assert!(at.ends_with('Z') && at.contains('T'), "{field} is «{at}»");
    }
    let key = made["key"].as_str().unwrap();
    assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~".contains(c)), "the key is not URL-safe");
    assert_eq!(tenant.admin("DELETE", &format!("{path}/no-such-key"), None).await.status, 404);
}

async fn the_built_in_vendors_are_listed(world: &World) {
    let listed = world.tenant("vendors").admin("GET", "/vendors", None).await;
    assert_eq!(listed.status, 200);
    for name in ["marketo", "hubspot", "aprimo", "generic"] {
        assert!(listed.text().contains(&format!("\"{name}\"")), "no {name} in {}", listed.text());
    }
}

async fn a_changed_policy_is_in_force_for_the_next_call_and_keeps_its_counters(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let second = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("changed");
    let limits = |calls: u64| json!({"limits": [{"name": "day", "kind": "daily", "calls": calls, "reset": "00:00", "time_zone": "UTC"}]});
    let key = tenant.simple("generic", &vendor.url(), &limits(2)).await;
    for _ in 0..2 {
        tenant.get(&key, "/echo").await.is_vendors(200);
    }
    tenant.get_now(&key, "/echo").await.is_problem(429, "daily-quota");
    tenant.simple("generic", &second.url(), &limits(3)).await;
    tenant.get_now(&key, "/echo").await.is_vendors(200);
    tenant.get_now(&key, "/echo").await.is_problem(429, "daily-quota");
    assert_eq!((vendor.calls().0.len(), second.calls().0.len()), (2, 1));
    tenant.simple("generic", &second.url(), &limits(1)).await;
    tenant.get_now(&key, "/echo").await.is_problem(429, "daily-quota");
    // The waiting calls of a removed connection get 404.
    let slow = json!({"limits": [{"name": "rate", "kind": "rolling_window", "calls": 1, "seconds": 60}], "queue": {"size": 5, "max_wait_seconds": 100}});
    tenant.simple("generic", &vendor.url(), &slow).await;
    let _ = tenant.get_now(&key, "/echo").await;
    let waiting = tokio::spawn({
        let (to, ask) = (tenant.to(), Ask::get("/v/c/echo").key(&key).wait(90));
        async move { ask.send(to).await }
    });
    tenant.until(&key, "it waits", |c| c["queue"]["depth"] == 1).await;
    tenant.policy(&json!({"connections": {}, "apps": {"app": {}}})).await;
    waiting.await.unwrap().is_problem(404, "connection");
}

async fn a_hidden_secret_sent_back_stays_unless_the_host_changes(world: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let other = Vendor::start(Spec::new("generic")).unwrap();
    let tenant = world.tenant("stars");
    let token = sluice_e2e::secrets::invent("stored-token");
    let with = |url: &str, token: &str| json!({"credential": {"type": "bearer", "token": token}, "base_url": url});
    let key = tenant.simple("generic", &vendor.url(), &with(&vendor.url(), &token)).await;
    tenant.simple("generic", &vendor.url(), &with(&format!("{}/base", vendor.url()), "***")).await;
    let echo = tenant.get(&key, "/echo").await.echo();
    assert_eq!((echo.target(), echo.header("authorization")), ("/base/echo", Some(format!("Bearer {token}").as_str())));
    let elsewhere = other.url().replace("127.0.0.1", "localhost");
    let moved = json!({"connections": {"c": {"vendor": "generic", "base_url": elsewhere, "credential": {"type": "bearer", "token": "***"}}}, "apps": {"app": {}}});
    let answer = tenant.put(&moved).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    let never =
        json!({"connections": {"new": {"vendor": "hubspot", "credential": {"type": "bearer", "token": "***"}}}});
    assert_eq!(tenant.put(&never).await.status, 400, "there is no stored secret to keep");
}

async fn without_its_secrets_an_instance_says_so(_: &World) {
    use sluice_e2e::instance::Start;
    let token = "a-token-that-is-long";
    let cases =
        [("", None), ("short-of-sixteen", Some("not-base64!")), (token, Some("c2hvcnQ=")), ("name:too-short", None)];
    for (admin, master) in cases {
        let mut start = Start::fresh("setup");
        start.admin_token = admin.to_owned();
        if let Some(master) = master {
            start.master_key = master.to_owned();
        }
        let instance = start.run();
        for path in ["/v/c/echo", "/status.json", "/admin/tenants"] {
            let answer = Ask::get(path).with("Authorization", "Bearer token").send(instance.address()).await;
            answer.is_problem(503, "setup");
            let missing = if master.is_none() { "ADMIN_TOKEN" } else { "MASTER_KEY" };
            assert!(answer.text().contains(missing), "{}", answer.text());
            assert!(!master.is_some_and(|m| answer.text().contains(m)), "the malformed secret is repeated");
        }
        assert_eq!(Ask::get("/healthz").send(instance.address()).await.status, 200);
        assert_eq!(Ask::get("/").send(instance.address()).await.status, 200);
    }
}
