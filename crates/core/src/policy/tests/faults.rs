use super::*;

/// Each policy has faults at exactly these places.
#[test]
fn every_fault_is_told_by_its_pointer() {
    let long = "x".repeat(10_000);
    let many: Value = (0..33).map(|n| json!({"name": format!("l{n}"), "kind": "concurrency", "calls": 1})).collect();
    let limit = |limit: Value| with(json!({"limits": [limit]}));
    let window = |field: &str, value: Value| {
        let mut window = json!({"kind": "rolling_window", "calls": 1, "seconds": 1});
        window[field] = value;
        limit(window)
    };
    let daily = |field: &str, value: Value| {
        let mut daily = json!({"kind": "daily", "calls": 1, "reset": "00:00", "time_zone": "UTC"});
        daily[field] = value;
        limit(daily)
    };
    let app = |app: Value| json!({"connections": {"c": with(json!({}))["connections"]["c"]}, "apps": {"a": app}});
    let credential = |credential: Value| with(json!({"credential": credential}));
    let cases: Vec<(Value, &[&str])> = vec![
        (json!([]), &[""]),
        (json!({"conections": {}}), &["/conections"]),
        (
            json!({"connections": [], "apps": 1, "callbacks": null, "alerts": ""}),
            &["/connections", "/apps", "/callbacks", "/alerts"],
        ),
        (
            json!({"connections": {"": {}, "A/b~": 1, "x": null}}),
            &["/connections/", "/connections/A~1b~0", "/connections/x"],
        ),
        (json!({"connections": {"c": {}}}), &["/connections/c/vendor"]),
        (json!({"connections": {"c": {"vendor": "acme"}}}), &["/connections/c/vendor"]),
        (
            json!({"connections": {"c": {"vendor": "Acme Inc", "base_url": 1}}}),
            &["/connections/c/vendor", "/connections/c/base_url"],
        ),
        (json!({"connections": {"c": {"vendor": "generic"}}}), &["/connections/c/base_url"]),
        (json!({"connections": {"c": {"vendor": "hubspot", "url": "x"}}}), &["/connections/c/url"]),
        (with(json!({"share": 0})), &["/connections/c/share"]),
        (with(json!({"share": 1.1})), &["/connections/c/share"]),
        (with(json!({"share": 0.0000001})), &["/connections/c/share"]),
        (with(json!({"share": "0.5"})), &["/connections/c/share"]),
        (with(json!({"share": -0.5})), &["/connections/c/share"]),
        (with(json!({"limits": {}})), &["/connections/c/limits"]),
        (with(json!({"limits": many})), &["/connections/c/limits"]),
        (limit(json!(1)), &["/connections/c/limits/0"]),
        (limit(json!({"calls": 1})), &["/connections/c/limits/0/kind"]),
        (limit(json!({"kind": "leaky_bucket", "calls": 1})), &["/connections/c/limits/0/kind"]),
        (limit(json!({"kind": "token_bucket"})), &["/connections/c/limits/0/rate_per_second"]),
        (
            limit(json!({"kind": "token_bucket", "rate_per_second": 0, "burst": 0})),
            &["/connections/c/limits/0/rate_per_second", "/connections/c/limits/0/burst"],
        ),
        (limit(json!({"kind": "token_bucket", "rate_per_second": 1, "calls": 1})), &["/connections/c/limits/0/calls"]),
        (
            limit(json!({"kind": "rolling_window"})),
            &["/connections/c/limits/0/calls", "/connections/c/limits/0/seconds"],
        ),
        (window("calls", json!(1.5)), &["/connections/c/limits/0/calls"]),
        (window("calls", json!(0)), &["/connections/c/limits/0/calls"]),
        (window("calls", json!(1_000_000_001)), &["/connections/c/limits/0/calls"]),
        (window("calls", json!(1e300)), &["/connections/c/limits/0/calls"]),
        (window("calls", json!(true)), &["/connections/c/limits/0/calls"]),
        (window("seconds", json!(0)), &["/connections/c/limits/0/seconds"]),
        (window("seconds", json!(2_678_401)), &["/connections/c/limits/0/seconds"]),
        (window("guard_ms", json!(60_001)), &["/connections/c/limits/0/guard_ms"]),
        (window("pool", json!("p")), &["/connections/c/limits/0/pool"]),
        (window("per", json!("key")), &["/connections/c/limits/0/per"]),
        (window("name", json!("two words")), &["/connections/c/limits/0/name"]),
        (window("routes", json!([])), &["/connections/c/limits/0/routes"]),
        (
            window("routes", json!(["get /x", "/a/**/b", "/a*", "x", "/?q", "!", "/..", 1])),
            &[
                "/connections/c/limits/0/routes/0",
                "/connections/c/limits/0/routes/1",
                "/connections/c/limits/0/routes/2",
                "/connections/c/limits/0/routes/3",
                "/connections/c/limits/0/routes/4",
                "/connections/c/limits/0/routes/5",
                "/connections/c/limits/0/routes/6",
                "/connections/c/limits/0/routes/7",
            ],
        ),
        (
            limit(json!({"kind": "daily", "calls": 1})),
            &["/connections/c/limits/0/reset", "/connections/c/limits/0/time_zone"],
        ),
        (daily("reset", json!("24:00")), &["/connections/c/limits/0/reset"]),
        (daily("reset", json!("noon, GMT")), &["/connections/c/limits/0/reset"]),
        (daily("time_zone", json!("CST")), &["/connections/c/limits/0/time_zone"]),
        (daily("time_zone", json!([])), &["/connections/c/limits/0/time_zone"]),
        (daily("time_zone", json!(5)), &["/connections/c/limits/0/time_zone"]),
        (
            daily("time_zone", json!(["UTC", "Mars/Olympus", "+25:00"])),
            &["/connections/c/limits/0/time_zone/1", "/connections/c/limits/0/time_zone/2"],
        ),
        (daily("time_zone", json!(["-12:00", "+14:00"])), &["/connections/c/limits/0/time_zone"]),
        (daily("unit", json!("bytes")), &["/connections/c/limits/0/unit"]),
        (daily("pool", json!("Not A Name")), &["/connections/c/limits/0/pool"]),
        (
            limit(
                json!({"kind": "daily", "calls": 1, "reset": "00:00", "time_zone": "UTC", "pool": "p", "per": "app"}),
            ),
            &["/connections/c/limits/0/pool"],
        ),
        (
            limit(
                json!({"kind": "daily", "calls": 1, "reset": "00:00", "time_zone": "UTC", "pool": "p", "unit": "response_bytes"}),
            ),
            &["/connections/c/limits/0/pool"],
        ),
        (
            limit(json!({"kind": "concurrency", "calls": 1, "after_seconds": 0.0001})),
            &["/connections/c/limits/0/after_seconds"],
        ),
        (
            with(json!({"limits": [{"kind": "concurrency", "calls": 1}, {"kind": "concurrency", "calls": 2}]})),
            &["/connections/c/limits/1/name"],
        ),
        (
            with(json!({"queue": {"size": 10_001, "max_wait_seconds": 3_601, "depth": 1}})),
            &["/connections/c/queue/depth", "/connections/c/queue/size", "/connections/c/queue/max_wait_seconds"],
        ),
        (with(json!({"queue": 100})), &["/connections/c/queue"]),
        (
            with(
                json!({"adaptive": {"min": 0, "max": 1.5, "backoff": 2, "recovery": 0.9, "successes": 0, "pause_seconds": -1, "max_pause_seconds": 0.999}}),
            ),
            &[
                "/connections/c/adaptive/min",
                "/connections/c/adaptive/max",
                "/connections/c/adaptive/backoff",
                "/connections/c/adaptive/recovery",
                "/connections/c/adaptive/successes",
                "/connections/c/adaptive/pause_seconds",
                "/connections/c/adaptive/max_pause_seconds",
            ],
        ),
        (with(json!({"adaptive": {"max_pause_seconds": 86_400.001}})), &["/connections/c/adaptive/max_pause_seconds"]),
        (with(json!({"adaptive": {"min": 0.5, "max": 0.4}})), &["/connections/c/adaptive/min"]),
        (with(json!({"retry": {"attempts": 0}})), &["/connections/c/retry/attempts"]),
        (
            with(json!({"retry": {"attempts": 11, "max": 1}})),
            &["/connections/c/retry/max", "/connections/c/retry/attempts"],
        ),
        (with(json!({"timeout_seconds": 0})), &["/connections/c/timeout_seconds"]),
        (with(json!({"timeout_seconds": 3_600.001})), &["/connections/c/timeout_seconds"]),
        (with(json!({"mode": "off"})), &["/connections/c/mode"]),
        (with(json!({"profile": {"limit": []}, "vendor": "acme"})), &["/connections/c/profile/limit"]),
        (
            with(
                json!({"profile": {"limits": [{"name": "rate", "kind": "rolling_window", "calls": 0, "seconds": 1}]}}),
            ),
            &["/connections/c/profile/limits/0/calls"],
        ),
        (with(json!({"base_url": long})), &["/connections/c/base_url"]),
        (credential(json!("secret")), &["/connections/c/credential"]),
        (credential(json!({})), &["/connections/c/credential/type"]),
        (credential(json!({"type": "password"})), &["/connections/c/credential/type"]),
        (credential(json!({"type": "passthrough", "token": "x"})), &["/connections/c/credential/token"]),
        (credential(json!({"type": "bearer"})), &["/connections/c/credential/token"]),
        (credential(json!({"type": "bearer", "token": ""})), &["/connections/c/credential/token"]),
        (credential(json!({"type": "bearer", "token": "a\r\nHost: b"})), &["/connections/c/credential/token"]),
        (credential(json!({"type": "bearer", "token": "schlüssel"})), &["/connections/c/credential/token"]),
        (credential(json!({"type": "bearer", "token": long})), &["/connections/c/credential/token"]),
        (credential(json!({"type": "bearer", "token": "***"})), &["/connections/c/credential/token"]),
        (
            credential(json!({"type": "basic", "username": "a:b"})),
            &["/connections/c/credential/username", "/connections/c/credential/password"],
        ),
        (credential(json!({"type": "basic", "username": "", "password": ""})), &["/connections/c/credential"]),
        (
            credential(json!({"type": "header", "name": "Content-Length", "value": "1"})),
            &["/connections/c/credential/name"],
        ),
        (
            credential(json!({"type": "header", "name": "Sluice-Key", "value": "1"})),
            &["/connections/c/credential/name"],
        ),
        (
            credential(json!({"type": "header", "name": "X Key", "value": " 1"})),
            &["/connections/c/credential/name", "/connections/c/credential/value"],
        ),
        (credential(json!({"type": "query"})), &["/connections/c/credential/name", "/connections/c/credential/value"]),
        (
            credential(json!({"type": "client_credentials"})),
            &[
                "/connections/c/credential/client_id",
                "/connections/c/credential/client_secret",
                "/connections/c/credential/token_url",
            ],
        ),
        (
            credential(
                json!({"type": "client_credentials", "client_id": "i", "client_secret": "s", "token_url": "http://t.example.com"}),
            ),
            &["/connections/c/credential/token_url"],
        ),
        (
            credential(json!({"type": "refresh_token", "client_id": "i", "client_secret": "s"})),
            &["/connections/c/credential/refresh_token", "/connections/c/credential/token_url"],
        ),
        (
            credential(
                json!({"type": "jwt_bearer", "issuer": "i", "private_key": "-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----"}),
            ),
            &["/connections/c/credential/private_key", "/connections/c/credential/audience"],
        ),
        (app(json!({"weight": 0})), &["/apps/a/weight"]),
        (
            app(json!({"weight": 1_001, "daily_calls": 0, "wieght": 1})),
            &["/apps/a/wieght", "/apps/a/weight", "/apps/a/daily_calls"],
        ),
        (app(json!({"connections": ["c", "d", 1]})), &["/apps/a/connections/1", "/apps/a/connections/2"]),
        (
            app(json!({"origins": [
                "https://www.example.com/", "*", "null", "https://Example.com", "https://example.com:443", "http://example.com:80",
                "https://example.com:0", "https://", "example.com", "https://user@example.com", "https://[::1", "https://a b",
            ]})),
            &[
                "/apps/a/origins/0",
                "/apps/a/origins/1",
                "/apps/a/origins/2",
                "/apps/a/origins/3",
                "/apps/a/origins/4",
                "/apps/a/origins/5",
                "/apps/a/origins/6",
                "/apps/a/origins/7",
                "/apps/a/origins/8",
                "/apps/a/origins/9",
                "/apps/a/origins/10",
                "/apps/a/origins/11",
            ],
        ),
        (app(json!({"routes": "POST /x"})), &["/apps/a/routes"]),
        (json!({"callbacks": {}}), &["/callbacks/secret"]),
        (
            json!({"callbacks": {"secret": "hush", "hosts": ["127.0.0.1", "hooks.example.com/x", "localhost:80", "https://a.example.com"]}}),
            &[
                "/callbacks/secret",
                "/callbacks/hosts/0",
                "/callbacks/hosts/1",
                "/callbacks/hosts/2",
                "/callbacks/hosts/3",
            ],
        ),
        (json!({"callbacks": {"secret": "***"}}), &["/callbacks/secret"]),
        (
            json!({"alerts": {"callback": "http://hooks.example.com", "throttled_ratio": 0, "daily_used": [1.1], "queue_wait_seconds": 0, "dead_letters": 0}}),
            &[
                "/alerts/callback",
                "/alerts/throttled_ratio",
                "/alerts/daily_used/0",
                "/alerts/queue_wait_seconds",
                "/alerts/dead_letters",
            ],
        ),
        (json!({"jobs": {"expire_seconds": 0.5, "expires": 1}}), &["/jobs/expires", "/jobs/expire_seconds"]),
        (json!({"jobs": 7}), &["/jobs"]),
        (
            json!({"alerts": {"daily_used": 0.8, "callback": "https://10.0.0.1/"}}),
            &["/alerts/callback", "/alerts/daily_used"],
        ),
    ];
    for (policy, expected) in cases {
        assert_eq!(pointers(parse(&policy)), expected, "{policy}");
    }
}

#[test]
fn a_name_that_is_there_twice_is_a_fault_wherever_it_is() {
    let text = r#"{"apps":{"a":{"weight":1,"weight":2},"a":{}},"apps":{},
        "connections":{"c":{"vendor":"x","base_url":"https://a.example.com","profile":{"title":"a","title":"b"}}}}"#;
    assert_eq!(
        pointers(Policy::parse(text, &context(None))),
        ["/apps", "/connections/c/profile/title", "/apps/a", "/apps/a/weight"]
    );
}

#[test]
fn what_is_no_json_says_where() {
    let faults = Policy::parse("{\"apps\": {,}}", &context(None)).expect_err("a fault");
    let detail = "is not JSON: key must be a string at line 1 column 11";
    assert_eq!(faults, [Fault { pointer: String::new(), detail: detail.to_owned() }]);
    for text in ["", "{} {}", "\u{feff}{}", "{\"apps\":1e999}", &"[".repeat(100_000), &" ".repeat(MAX_POLICY_BYTES + 1)]
    {
        assert_eq!(pointers(Policy::parse(text, &context(None))), [""]);
    }
}

#[test]
fn too_many_of_anything_is_a_fault() {
    let named = |count: usize, value: Value| -> Value {
        Value::Object((0..count).map(|n| (format!("n{n}"), value.clone())).collect())
    };
    let hubspot = json!({"vendor": "hubspot"});
    assert_eq!(policy(&json!({"connections": named(100, hubspot.clone())})).connections.len(), 100);
    assert_eq!(pointers(parse(&json!({"connections": named(101, hubspot)}))), ["/connections"]);
    assert_eq!(policy(&json!({"apps": named(1_000, json!({}))})).apps.len(), 1_000);
    assert_eq!(pointers(parse(&json!({"apps": named(1_001, json!({}))}))), ["/apps"]);
    let faults = parse(&json!({"connections": named(100, named(30, json!(1)))})).expect_err("faults");
    assert_eq!(faults.len(), MAX_FAULTS);
}

#[test]
fn no_fault_repeats_a_secret() {
    let secret = "hunter2-hunter2";
    let credential =
        json!({"type": "bearer", "token": format!("{secret}\n"), "client_secret": secret, "scope": [secret]});
    let bad = json!({"connections": {"c": {"vendor": secret, "base_url": format!("http://u:{secret}@h.example.com"), "credential": credential,
        "limits": [{"kind": "daily", "calls": 1, "reset": secret, "time_zone": [secret, format!("+{secret}")], "name": format!("{secret} x")}]}},
        "callbacks": {"secret": secret}});
    let told: String = parse(&bad).expect_err("faults").into_iter().map(|fault| fault.detail).collect();
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn what_may_not_be_meant_is_warned_of() {
    let warned = |value: Value| -> Vec<String> {
        let warnings = parse(&value).unwrap_or_else(|faults| panic!("{faults:#?}")).1;
        warnings.into_iter().map(|warning| warning.pointer).collect()
    };
    let limits =
        json!([{"name": "a", "kind": "concurrency", "calls": 4}, {"name": "b", "kind": "concurrency", "calls": 5}]);
    assert_eq!(warned(with(json!({"share": 0.2, "limits": limits}))), ["/connections/c/limits/0"]);
    assert_eq!(warned(json!({"alerts": {"callback": "https://hooks.example.com/"}})), ["/alerts/callback"]);
    assert_eq!(warned(json!({"callbacks": {"secret": "whsec_c2hvcnQ="}})), ["/callbacks/secret"]);
    assert!(warned(example()).is_empty());
}

#[test]
fn a_credential_of_many_unknown_fields_is_looked_at_once_for_each() {
    let compared = |fields: usize| {
        let unknown = (0..fields).map(|nth| (format!("f{nth}"), json!(1)));
        let credential: serde_json::Map<String, Value> =
            [("type".to_owned(), json!("bearer")), ("token".to_owned(), json!("t"))]
                .into_iter()
                .chain(unknown)
                .collect();
        let policy = with(json!({"credential": credential}));
        super::super::document::compared::during(|| assert_eq!(pointers(parse(&policy)).len(), fields.min(1_000)))
    };
    let (few, many) = (compared(500), compared(5_000));
    assert!(many <= 10 * few, "{few} names were compared for 500 fields, and {many} for 5,000");
}
