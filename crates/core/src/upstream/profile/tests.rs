use super::*;
use crate::codec;
use serde_json::{Value, json};

fn faults(profile: &Value) -> Vec<Fault> {
    Profile::inline(&Tree::from(profile)).expect_err("a fault")
}

#[test]
fn every_built_in_profile_reads() {
    for name in Profile::names() {
        let profile = Profile::built_in(name).expect(name);
        assert_eq!(profile.name, name);
    }
    assert_eq!(Profile::built_in("nobody"), None);
}

#[test]
fn the_briefs_figures_are_the_defaults() {
    let marketo = Profile::built_in("marketo").unwrap();
    assert_eq!(marketo.share_ppm, 500_000);
    assert_eq!(json!(marketo.limits[0]), json!({"name":"rate","kind":"rolling_window","calls":100,"seconds":20}));
    assert_eq!(json!(marketo.limits[1])["calls"], 50_000);
    assert_eq!(json!(marketo.limits[2])["calls"], 10);
    assert_eq!(marketo.token_endpoint.as_ref().unwrap().path, "/identity/oauth/token");
    let hubspot = Profile::built_in("hubspot").unwrap();
    assert_eq!(hubspot.base_url.as_deref(), Some("https://api.hubapi.com"));
    assert_eq!(json!(hubspot.limits[0]), json!({"name":"rate","kind":"rolling_window","calls":100,"seconds":10}));
    assert_eq!(json!(hubspot.limits[1])["calls"], 40_000);
    assert_eq!(Profile::built_in("aprimo").unwrap().limits[0].get("rate_per_second").and_then(Tree::as_u64), Some(15));
    assert!(Profile::built_in("generic").unwrap().limits.is_empty());
    let calls = |name: &str| {
        Profile::built_in(name)
            .unwrap()
            .limits
            .iter()
            .map(|limit| limit.get("calls").and_then(Tree::as_u64).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(calls("salesforce"), [1_000_000, 25]);
    assert_eq!(calls("mailchimp"), [10]);
    assert_eq!(calls("ga4-mp"), [20]);
    assert_eq!(calls("ga4-data"), [10, 10_000]);
    assert_eq!(calls("keap-oauth"), [125_000]);
    assert_eq!(Profile::built_in("mailchimp").unwrap().ceiling_seconds, 120);
}

#[test]
fn a_built_in_profile_travels_by_name_and_an_inline_one_whole() {
    let marketo = Profile::built_in("marketo").unwrap();
    assert_eq!(codec::write(Vec::new(), &marketo), b"\x00\x07marketo");
    let inline = Profile::inline(&Tree::from(
        &json!({"title": "Mine", "share": 0.25, "answers": [{"status": 420, "means": "rate"}]}),
    ))
    .unwrap();
    for profile in [marketo, inline] {
        assert_eq!(codec::read(&codec::write(Vec::new(), &profile)), Some(profile));
    }
    assert_eq!(codec::read::<Profile>(b"\x00\x06nobody"), None, "of another release");
}

#[test]
fn the_catalogue_is_json() {
    let catalogue: Value = serde_json::from_str(&Profile::catalogue()).unwrap();
    assert_eq!(catalogue["marketo"]["share"], 0.5);
    assert_eq!(catalogue.as_object().unwrap().len(), Profile::names().count());
}

#[test]
fn every_fault_is_told_with_its_pointer() {
    let found = faults(&json!({
        "colour": 1,
        "share": 1.5,
        "base_url": "http://x/",
        "timeout_seconds": 0,
        "limits": [{"kind": "daily"}, {"name": "x", "kind": "weekly"}, {"name": "x", "kind": "concurrency", "calls": 1, "seconds": 1}],
        "repeatable": ["POST /search", "post /x", "/a*b", "/**/x", "/a/../b", "search"],
        "cache": [{"route": "x"}],
        "answers": [{"status": [429, 99, "500-400"], "means": "sometimes"}, {"codes": [""]}],
        "bodies": [{"routes": ["leads"]}],
        "token_endpoint": {"shape": "other"},
        "key_in": ["somewhere"],
        "a/b~": 1,
    }));
    let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    for expected in [
        "/colour",
        "/a~1b~0",
        "/share",
        "/base_url",
        "/timeout_seconds",
        "/limits/0/name",
        "/limits/0/calls",
        "/limits/0/reset",
        "/limits/1/kind",
        "/limits/2/seconds",
        "/repeatable/1",
        "/repeatable/2",
        "/repeatable/3",
        "/repeatable/4",
        "/repeatable/5",
        "/cache/0/route",
        "/answers/0/status/1",
        "/answers/0/status/2",
        "/answers/0/means",
        "/answers/1/means",
        "/answers/1/codes/0",
        "/bodies/0/bytes",
        "/bodies/0/routes/0",
        "/token_endpoint/path",
        "/token_endpoint/shape",
        "/key_in/0",
    ] {
        assert!(pointers.contains(&expected), "{expected} is not in {pointers:?}");
    }
}

#[test]
fn a_name_or_path_that_no_request_should_carry_is_a_fault_at_its_place() {
    for name in ["X-Token", "x_sfdc.session", "Authorization"] {
        assert!(Profile::inline(&Tree::from(&json!({"token_in": {"header": name}}))).is_ok(), "{name}");
    }
    let long = "x".repeat(129);
    for name in ["X Token", "X-Token:", "X-T\r\nHost", "Tökén", "(x)", long.as_str()] {
        for (profile, pointer) in [
            (json!({"token_in": {"header": name}}), "/token_in/header"),
            (json!({"key_in": ["authorization", {"header": name}]}), "/key_in/1/header"),
            (json!({"answers": [{"header": name, "means": "day"}]}), "/answers/0/header"),
            (json!({"counts": [{"limit": "d", "header": name}]}), "/counts/0/header"),
            (json!({"counts": [{"limit": "d", "header": "X-A", "left_of": name}]}), "/counts/0/left_of"),
            (
                json!({"counts": [{"limit": "d", "header": "X-A", "among": {"header": name, "value": "day"}}]}),
                "/counts/0/among/header",
            ),
        ] {
            let found = faults(&profile);
            assert_eq!(found.iter().map(|(pointer, _)| pointer.as_str()).collect::<Vec<_>>(), [pointer], "{name:?}");
        }
    }
    let reserved = ["Host", "content-length", "Transfer-Encoding", "Connection", "TE", "Upgrade", "Keep-Alive"];
    for name in reserved.into_iter().chain(["Sluice-Key", "SLUICE-X", "Proxy-Authorization", "CF-Ray", "Sec-X"]) {
        assert_eq!(faults(&json!({"token_in": {"header": name}}))[0].0, "/token_in/header", "{name}");
        assert_eq!(faults(&json!({"key_in": {"header": name}}))[0].0, "/key_in/header", "{name}");
        // A header by which an answer is read is never sent.
        let read = json!({"answers": [{"header": name, "means": "day"}]});
        assert!(Profile::inline(&Tree::from(&read)).is_ok(), "{name}");
    }
    for prefix in ["Key\r\nX: ", "Schlüssel ", " Key"] {
        let found = faults(&json!({"token_in": {"header": "X-Token", "prefix": prefix}}));
        assert_eq!(found[0].0, "/token_in/prefix", "{prefix:?}");
    }
    for name in ["a&b", "a=b", "a b", "a#", "é", "%41"] {
        assert_eq!(faults(&json!({"token_in": {"query": name}}))[0].0, "/token_in/query", "{name:?}");
    }
    for path in [
        "token",
        "/a/../token",
        "/a/%2e%2E/token",
        "/a/%252e./token",
        "/a/..;x/token",
        "/a/.",
        "/a%2f..%5ctoken",
        "/to\nken",
        "/to ken",
        "/tok\\en",
        "/token?x=1",
        "/token#x",
        "/tokén",
    ] {
        assert_eq!(faults(&json!({"token_endpoint": {"path": path}}))[0].0, "/token_endpoint/path", "{path:?}");
        assert_eq!(faults(&json!({"repeatable": [path]}))[0].0, "/repeatable/0", "{path:?}");
    }
    for path in ["/", "/oauth/v2.0/token", "/a..b/...", "/a%20b", "/a//b;c"] {
        assert!(Profile::inline(&Tree::from(&json!({"token_endpoint": {"path": path}}))).is_ok(), "{path:?}");
    }
}

#[test]
fn a_path_that_is_encoded_over_and_over_is_refused_after_a_few_rounds() {
    let path = format!("/%{}41", "25".repeat(400_000));
    assert_eq!(faults(&json!({"token_endpoint": {"path": path}}))[0].0, "/token_endpoint/path");
}

#[test]
fn what_is_not_an_object_is_a_fault_and_not_a_panic() {
    for value in [
        json!(null),
        json!([]),
        json!("marketo"),
        json!({"reading": 5, "token_in": [], "answers": {"means": 3}, "limits": 7}),
    ] {
        assert!(!faults(&value).is_empty());
    }
}

#[test]
fn a_share_is_read_without_a_binary_fraction() {
    let share = |text: &str| {
        Profile::inline(&serde_json::from_str::<Tree>(&format!("{{\"share\":{text}}}")).unwrap())
            .map(|p| p.share_ppm)
            .ok()
    };
    assert_eq!(share("0.1"), Some(100_000));
    assert_eq!(share("0.000001"), Some(1));
    assert_eq!(share("1e-6"), Some(1));
    assert_eq!(share("0.33"), Some(330_000));
    assert_eq!(share("1"), Some(1_000_000));
    assert_eq!(share("1.0"), Some(1_000_000));
    assert_eq!(share("0"), None);
    assert_eq!(share("1.000001"), None);
    assert_eq!(share("0.1234567"), None);
}

#[test]
fn the_dialects_have_names() {
    for name in ["generic", "marketo", "hubspot", "salesforce", "aprimo", "mailchimp", "keap", "google"] {
        assert_eq!(Dialect::named(name).as_str(), name);
    }
    assert_eq!(Dialect::named("klingon"), Dialect::Generic);
}

#[test]
fn every_route_of_a_built_in_profile_is_one_to_the_policy_too() {
    use crate::policy::Routes;
    for name in Profile::names() {
        let profile = Profile::built_in(name).unwrap();
        let routes = profile.bodies.iter().flat_map(|limit| limit.routes.clone());
        let routes: Vec<_> = routes
            .chain(profile.repeatable.clone())
            .chain(profile.cache.iter().map(|cache| cache.route.clone()))
            .collect();
        assert_eq!(Routes::of(&routes).written().len(), routes.len(), "{name}: {routes:?}");
    }
}
