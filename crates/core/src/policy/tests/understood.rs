use super::*;
use sluice_limiter::calendar::Reset;
use sluice_limiter::{AdaptiveRule, Kind, Limit, Mode, QueueRule, Unit};

fn limits(connection: &Value) -> Vec<Limit> {
    let policy = policy(&json!({"connections": {"c": connection}}));
    policy.connections["c"].limits.iter().map(|(limit, _)| limit.clone()).collect()
}

#[test]
fn the_contracts_example_is_understood_as_it_is_written() {
    let mut expected = example();
    expected["connections"]["marketo"]["credential"]["client_secret"] = json!("***");
    expected["callbacks"]["secret"] = json!("***");
    expected["jobs"] = json!({"expire_seconds": 604_800});
    assert_eq!(understood(&policy(&example())), expected);
}

#[test]
fn only_the_vendor_is_required_and_the_rest_has_defaults() {
    let marketo = json!({"vendor": "marketo", "base_url": "https://123-ABC-456.mktorest.com"});
    let mut expected = example();
    expected["connections"]["marketo"]["credential"] = json!({"type": "passthrough"});
    expected["apps"] = json!({"a": {"weight": 1}});
    expected["jobs"] = json!({"expire_seconds": 604_800});
    expected.as_object_mut().expect("an object").remove("callbacks");
    expected["alerts"].as_object_mut().expect("an object").remove("callback");
    // This limit is in the profile beside the example's.
    let extract = json!({"name": "extract", "kind": "daily", "calls": 524_288_000, "unit": "response_bytes", "reset": "00:00",
        "time_zone": ["America/Chicago", "-06:00"],
        "routes": ["GET /bulk/v1/*/export/*/file.json", "GET /bulk/v1/*/*/export/*/file.json"]});
    let limits = expected["connections"]["marketo"]["limits"].as_array_mut().expect("a list");
    limits.push(extract);
    let own = policy(&json!({"connections": {"marketo": marketo}, "apps": {"a": {}}}));
    assert_eq!(understood(&own), expected);
    let least = understood(&policy(&json!({})));
    assert_eq!(least, json!({"connections": {}, "apps": {}, "alerts": expected["alerts"], "jobs": expected["jobs"]}));
    let hubspot = policy(&json!({"connections": {"h": {"vendor": "hubspot"}}}));
    assert_eq!(
        (hubspot.connections["h"].base_url.as_str(), hubspot.connections["h"].share_ppm),
        ("https://api.hubapi.com", 1_000_000)
    );
}

#[test]
fn jobs_wait_as_long_as_the_policy_says_and_a_week_where_it_says_nothing() {
    for (written, seconds) in [(json!({}), json!(604_800)), (json!({"expire_seconds": 1.5}), json!(1.5))] {
        let own = policy(&json!({"jobs": written}));
        assert_eq!(understood(&own)["jobs"]["expire_seconds"], seconds);
    }
    assert_eq!(policy(&json!({})).jobs.expire_ms, 604_800_000);
}

#[test]
fn a_share_scales_every_limit_down_to_no_less_than_one() {
    let all = json!([
        {"kind": "token_bucket", "rate_per_second": 15, "burst": 3},
        {"kind": "rolling_window", "calls": 101, "seconds": 0.5, "guard_ms": 7},
        {"kind": "rolling_day", "calls": 1},
        {"kind": "daily", "calls": 1_000_000_000_001_u64, "unit": "response_bytes", "reset": "23:59", "time_zone": "-06:00"},
        {"kind": "concurrency", "calls": 25, "after_seconds": 20, "per": "app"}
    ]);
    let found =
        limits(&json!({"vendor": "generic", "base_url": "https://api.example.com", "share": 0.5, "limits": all}));
    let reset = Reset { minute: 1_439, zones: vec![sluice_limiter::calendar::Zone::Fixed(-21_600)] };
    let expected = [
        ("token_bucket", Kind::TokenBucket { rate_micro: 7_500_000, burst: 1 }, 3),
        ("rolling_window", Kind::RollingWindow { calls: 50, window_ms: 500, guard_ms: 7 }, 101),
        ("rolling_day", Kind::RollingDay { calls: 1 }, 1),
        ("daily", Kind::Daily { amount: 500_000_000_000, reset, unit: Unit::ResponseBytes }, 1_000_000_000_001),
        ("concurrency", Kind::Concurrency { calls: 12, after_ms: 20_000 }, 25),
    ];
    for ((name, kind, of), limit) in expected.into_iter().zip(found) {
        let per_app = name == "concurrency";
        assert_eq!(limit, Limit { name: name.to_owned(), kind, of, per_app, pool: None, routes: 0 });
    }
}

#[test]
fn marketo_takes_half_unless_told_otherwise() {
    let calls = |share: Value| {
        let mut connection = json!({"vendor": "marketo", "base_url": "https://123-ABC-456.mktorest.com"});
        if !share.is_null() {
            connection["share"] = share;
        }
        limits(&connection).into_iter().map(|limit| limit.kind).collect::<Vec<_>>()
    };
    assert!(calls(Value::Null).contains(&Kind::Concurrency { calls: 5, after_ms: 0 }));
    assert!(calls(json!(1)).contains(&Kind::Concurrency { calls: 10, after_ms: 0 }));
    assert!(calls(json!(0.333333)).contains(&Kind::Concurrency { calls: 3, after_ms: 0 }));
}

#[test]
fn numbers_are_read_exactly() {
    let text = r#"{"connections":{"c":{"vendor":"generic","base_url":"https://api.example.com","share":0.290000,
        "timeout_seconds":1.005,"queue":{"size":1e2,"max_wait_seconds":0},
        "adaptive":{"min":0.000001,"max":0.999999,"backoff":0.7,"recovery":1.000001,"successes":1,"pause_seconds":0.001,"max_pause_seconds":1.5},
        "limits":[{"kind":"token_bucket","rate_per_second":0.000001},{"kind":"concurrency","calls":100.0}],"mode":"observe"}}}"#;
    let connection = Policy::parse(text, &context(None)).expect("a policy").0.connections["c"].clone();
    assert_eq!((connection.share_ppm, connection.timeout_ms, connection.mode), (290_000, 1_005, Mode::Observe));
    assert_eq!(connection.queue, QueueRule { size: 100, max_wait_ms: 0 });
    let adaptive = AdaptiveRule {
        min_ppm: 1,
        max_ppm: 999_999,
        backoff_ppm: 700_000,
        recovery_ppm: 1_000_001,
        successes: 1,
        pause_ms: 1,
        max_pause_ms: 1_500,
    };
    assert_eq!(connection.adaptive, adaptive);
    let kinds: Vec<Kind> = connection.written.into_iter().map(|rule| rule.kind).collect();
    assert_eq!(kinds, [Kind::TokenBucket { rate_micro: 1, burst: 1 }, Kind::Concurrency { calls: 100, after_ms: 0 }]);
}

#[test]
fn a_bursts_default_is_a_seconds_worth() {
    let burst = |rate: Value| {
        let limits = json!([{"kind": "token_bucket", "rate_per_second": rate}]);
        match policy(&with(json!({"limits": limits}))).connections["c"].limits[0].0.kind {
            Kind::TokenBucket { burst, .. } => burst,
            _ => 0,
        }
    };
    assert_eq!((burst(json!(15)), burst(json!(7.9)), burst(json!(0.2))), (15, 7, 1));
}

#[test]
fn an_inline_profile_stands_in_for_a_vendor() {
    let profile = json!({
        "title": "Acme", "base_url": "https://api.acme.example", "share": 0.25, "timeout_seconds": 20,
        "limits": [{"name": "rate", "kind": "rolling_window", "calls": 40, "seconds": 1, "routes": ["!/health"]}]
    });
    let own = policy(&json!({"connections": {"c": {"vendor": "acme", "profile": profile}}}));
    let connection = &own.connections["c"];
    assert_eq!((connection.vendor.as_str(), connection.base_url.as_str()), ("acme", "https://api.acme.example"));
    assert_eq!((connection.share_ppm, connection.timeout_ms), (250_000, 20_000));
    assert_eq!(connection.limits[0].0.kind, Kind::RollingWindow { calls: 10, window_ms: 1_000, guard_ms: 0 });
    assert!(!connection.limits[0].1.matches("GET", "/health"));
    assert_eq!(understood(&own)["connections"]["c"]["profile"], profile);
}

#[test]
fn an_app_may_use_the_connections_it_names_or_all() {
    let own = policy(&json!({
        "connections": {"c": {"vendor": "hubspot"}, "d": {"vendor": "hubspot"}},
        "apps": {"all": {}, "one": {"connections": ["c"]}, "none": {"connections": []}}
    }));
    let may = |app: &str| ["c", "d"].map(|connection| own.apps[app].may_use(connection));
    assert_eq!((may("all"), may("one"), may("none")), ([true, true], [true, false], [false, false]));
}

#[test]
fn origins_are_those_browsers_send() {
    let origins = json!([
        "https://www.example.com",
        "http://localhost:3000",
        "https://[::1]:8443",
        "chrome-extension://abcdef",
        "http://127.0.0.1"
    ]);
    let own = policy(&json!({"apps": {"a": {"origins": origins, "daily_calls": 1}}}));
    assert_eq!(own.apps["a"].origins.len(), 5);
}

#[test]
fn every_built_in_vendor_makes_a_policy() {
    for vendor in crate::upstream::Profile::names() {
        let own = policy(&json!({"connections": {"c": {"vendor": vendor, "base_url": "https://api.example.com"}}}));
        assert_eq!(own.connections["c"].vendor, vendor);
    }
}
#[test]
fn connections_of_one_oauth_client_of_keap_are_in_one_pool() {
    let pool = |id: &str| {
        let credential = json!({"type": "refresh_token", "client_id": id, "client_secret": "s", "refresh_token": "r",
            "token_url": "https://api.infusionsoft.com/token"});
        limits(&json!({"vendor": "keap-oauth", "credential": credential}))[0].pool.clone()
    };
    let one = pool("one").expect("a pool");
    assert_eq!(pool("one").as_ref(), Some(&one));
    assert_ne!(pool("other"), Some(one.clone()));
    assert!(crate::keys::is_name(&one) && !one.contains("one"), "{one}");
    assert_eq!(limits(&json!({"vendor": "keap-oauth"}))[0].pool, None, "its client is not known");
}
