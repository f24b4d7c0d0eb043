//! Invalid policies: each is refused as a whole, with every fault by its pointer.

use serde_json::{Value, json};
use sluice_e2e::{Ask, Tenant, World};

tests![
    an_invalid_policy_is_refused_whole_with_every_fault,
    addresses_that_must_not_be_called_are_refused,
    loopback_vendors_are_a_setting,
];

async fn an_invalid_policy_is_refused_whole_with_every_fault(world: &World) {
    let tenant = world.tenant("faulty");
    let good = json!({"connections": {"c": {"vendor": "hubspot"}}, "apps": {"app": {}}});
    tenant.policy(&good).await;
    let stored = tenant.admin("GET", &format!("/tenants/{}", tenant.name), None).await.json();
    let connection = |more: Value| {
        let mut c = json!({"vendor": "generic", "base_url": "https://api.example.com"});
        for (name, value) in more.as_object().unwrap() {
            c[name] = value.clone();
        }
        json!({"connections": {"c": c}})
    };
    let limit = |more: Value| connection(json!({"limits": [more]}));
    let faults = [
        (json!([]), ""),
        (json!({"conections": {}}), "/conections"),
        (json!({"connections": {"Bad_Name": {"vendor": "hubspot"}}}), "/connections/Bad_Name"),
        (json!({"connections": {"c": {}}}), "/connections/c"),
        (json!({"connections": {"c": {"vendor": "nobody"}}}), "/connections/c/vendor"),
        (json!({"connections": {"c": {"vendor": "generic"}}}), "/connections/c"),
        (connection(json!({"colour": "red"})), "/connections/c/colour"),
        (connection(json!({"share": 0})), "/connections/c/share"),
        (connection(json!({"share": 1.5})), "/connections/c/share"),
        (connection(json!({"share": "half"})), "/connections/c/share"),
        (connection(json!({"mode": "maybe"})), "/connections/c/mode"),
        (connection(json!({"timeout_seconds": -1})), "/connections/c/timeout_seconds"),
        (connection(json!({"queue": {"size": -1}})), "/connections/c/queue/size"),
        (connection(json!({"queue": {"size": 1e12}})), "/connections/c/queue/size"),
        (connection(json!({"retry": {"attempts": 0}})), "/connections/c/retry/attempts"),
        (connection(json!({"adaptive": {"min": 2}})), "/connections/c/adaptive/min"),
        (connection(json!({"credential": {"type": "magic"}})), "/connections/c/credential"),
        (connection(json!({"credential": {"type": "bearer"}})), "/connections/c/credential"),
        (
            connection(json!({"credential": {"type": "header", "name": "Bad Name", "value": "x"}})),
            "/connections/c/credential/name",
        ),
        (connection(json!({"credential": {"type": "bearer", "token": "a\nb"}})), "/connections/c/credential/token"),
        (limit(json!({"name": "x", "kind": "sometimes"})), "/connections/c/limits/0/kind"),
        (
            limit(json!({"name": "x", "kind": "rolling_window", "calls": 0, "seconds": 1})),
            "/connections/c/limits/0/calls",
        ),
        (limit(json!({"name": "x", "kind": "rolling_window", "calls": 1})), "/connections/c/limits/0"),
        (
            limit(json!({"name": "x", "kind": "rolling_window", "calls": 1, "seconds": 1, "burst": 2})),
            "/connections/c/limits/0/burst",
        ),
        (
            limit(json!({"name": "x", "kind": "daily", "calls": 1, "reset": "25:00", "time_zone": "UTC"})),
            "/connections/c/limits/0/reset",
        ),
        (
            limit(json!({"name": "x", "kind": "daily", "calls": 1, "reset": "00:00", "time_zone": "Mars/Olympus"})),
            "/connections/c/limits/0/time_zone",
        ),
        (
            limit(json!({"name": "x", "kind": "token_bucket", "rate_per_second": -1})),
            "/connections/c/limits/0/rate_per_second",
        ),
        (limit(json!({"name": "x", "kind": "concurrency", "calls": 1.5})), "/connections/c/limits/0/calls"),
        (
            connection(
                json!({"limits": [{"name": "x", "kind": "concurrency", "calls": 1}, {"name": "x", "kind": "concurrency", "calls": 2}]}),
            ),
            "/connections/c/limits/1/name",
        ),
        (json!({"apps": {"a": {"weight": 0}}}), "/apps/a/weight"),
        (json!({"apps": {"a": {"daily_calls": "many"}}}), "/apps/a/daily_calls"),
        (json!({"apps": {"a": {"origins": ["www.example.com"]}}}), "/apps/a/origins/0"),
        (json!({"apps": {"a": {"routes": ["leads"]}}}), "/apps/a/routes/0"),
        (json!({"apps": {"a": {"connections": ["nowhere"]}}}), "/apps/a/connections/0"),
        (json!({"callbacks": {"hosts": ["https://x.example/"]}}), "/callbacks/hosts/0"),
        (json!({"alerts": {"dead_letters": -1}}), "/alerts/dead_letters"),
    ];
    for (policy, pointer) in faults {
        let answer = tenant.put(&policy).await;
        assert_eq!(answer.status, 400, "{policy}: {}", answer.text());
        let kind = answer.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/problem+json"), "{kind}");
        let pointers = pointers(&answer.json());
        assert!(pointers.iter().any(|p| p.starts_with(pointer)), "{policy}: no fault at «{pointer}», but {pointers:?}");
    }
    // All faults are reported at once, not just the first.
    let many = json!({"connections": {"c": {"vendor": "nobody"}, "d": {"vendor": "hubspot", "share": 7}}, "apps": {"a": {"weight": -1}}, "extra": 1});
    let all = pointers(&tenant.put(&many).await.json());
    for pointer in ["/connections/c/vendor", "/connections/d/share", "/apps/a/weight", "/extra"] {
        assert!(all.iter().any(|p| p == pointer), "no {pointer} in {all:?}");
    }
    for text in ["", "{", "null", "\"x\"", "[1]", "{\"connections\":{\"c\":1}}", &"[".repeat(100_000)] {
        let ask = Ask::new("PUT", &format!("/admin/tenants/{}", tenant.name)).body(text);
        let ask = ask.with("Authorization", &format!("Bearer {}", world.shared().start.admin_token));
        assert_eq!(tenant.send(&ask).await.status, 400, "{}", text.chars().take(40).collect::<String>());
    }
    let still = tenant.admin("GET", &format!("/tenants/{}", tenant.name), None).await;
    assert_eq!(still.json(), stored);
}

fn pointers(problem: &Value) -> Vec<String> {
    let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("no errors[] in {problem}"));
    for error in errors {
        assert!(error["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{error}");
    }
    errors.iter().filter_map(|error| error["pointer"].as_str().map(str::to_owned)).collect()
}

async fn addresses_that_must_not_be_called_are_refused(world: &World) {
    let tenant = Tenant::new(world.strict(), "addresses");
    let with = |url: &str| json!({"connections": {"c": {"vendor": "generic", "base_url": url}}});
    for url in [
        "http://api.example.com",
        "ftp://api.example.com",
        "https://",
        "api.example.com",
        "https://user:pw@api.example.com",
        "https://user@api.example.com",
        "https://127.0.0.1",
        "https://127.1",
        "https://2130706433",
        "https://0x7f000001",
        "https://0x7f.1",
        "https://0177.0.0.1",
        "https://localhost",
        "https://localhost.",
        "https://x.localhost",
        "https://LOCALHOST",
        "https://0.0.0.0",
        "https://0",
        "https://10.0.0.1",
        "https://10.255.255.255",
        "https://172.16.0.1",
        "https://172.31.255.255",
        "https://192.168.0.1",
        "https://169.254.169.254",
        "https://100.64.0.1",
        "https://192.0.0.1",
        "https://198.18.0.1",
        "https://224.0.0.1",
        "https://255.255.255.255",
        "https://8.8.8.8",
        "https://[::1]",
        "https://[::]",
        "https://[fe80::1]",
        "https://[fc00::1]",
        "https://[fd12:3456::1]",
        "https://[::ffff:127.0.0.1]",
        "https://[::ffff:7f00:1]",
        "https://[64:ff9b::7f00:1]",
        "https://[2001:db8::1]",
        "https://metadata.google.internal",
        "https://printer.local",
        "https://router.lan",
        "https://intranet",
        "https://api.example.com:0",
        "https://api.example.com:99999",
        "https://api.example.com/?x=1",
        "https://api.example.com/#x",
        "https://api.example.com/../x",
        "https://api.example.com/%2e%2e/x",
        "https://api.example.com\\@evil.example",
        "https://api.example.com /",
        "https://api_.example..com",
        "https://-.example.com",
        "http://127.0.0.1:8080",
        "http://localhost:8080",
        "javascript:alert(1)",
        "https://\u{0}x.example",
        "https://１２７.0.0.1",
        "https://127。0。0。1",
    ] {
        let answer = tenant.put(&with(url)).await;
        assert_eq!(answer.status, 400, "{url}: {}", answer.text());
        assert_eq!(pointers(&answer.json()), ["/connections/c/base_url"], "{url}");
    }
    for url in ["https://api.hubapi.com", "https://123-ABC-456.mktorest.com/rest", "https://api.example.com:8443/v2/"] {
        tenant.policy(&with(url)).await;
    }
    // The same rules apply to token endpoints and callbacks.
    let token_url = json!({"connections": {"c": {"vendor": "generic", "base_url": "https://api.example.com", "credential":
        {"type": "client_credentials", "client_id": "a", "client_secret": "b", "token_url": "https://169.254.169.254/token"}}}});
    assert_eq!(pointers(&tenant.put(&token_url).await.json()), ["/connections/c/credential/token_url"]);
}

async fn loopback_vendors_are_a_setting(world: &World) {
    let tenant = world.tenant("loopback");
    let with = |url: &str| json!({"connections": {"c": {"vendor": "generic", "base_url": url}}});
    for url in ["http://127.0.0.1:8080", "http://localhost:1/base"] {
        tenant.policy(&with(url)).await;
    }
    for url in [
        "http://127.0.0.2:80",
        "http://10.0.0.1",
        "http://[::1]:80",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "https://192.168.1.1",
        "http://example.com",
    ] {
        assert_eq!(tenant.put(&with(url)).await.status, 400, "{url}");
    }
}
