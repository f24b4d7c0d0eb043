use super::*;

/// Parses a policy of these connections and returns the pointers of its warnings.
fn warned(connections: Value) -> Vec<String> {
    let warnings = parse(&json!({"connections": connections})).unwrap_or_else(|faults| panic!("{faults:#?}")).1;
    warnings.into_iter().map(|warning| warning.pointer).collect()
}

fn at(vendor: &str, base_url: &str) -> Value {
    json!({"c": {"vendor": vendor, "base_url": base_url}})
}

#[test]
fn a_path_with_which_the_vendors_routes_begin_is_warned_of_and_another_is_not() {
    for (vendor, base_url) in [
        ("marketo", "https://123-abc-456.mktorest.com/rest"),
        ("marketo", "https://123-abc-456.mktorest.com/rest/"),
        ("marketo", "https://123-abc-456.mktorest.com/identity"),
        ("marketo", "https://gateway.example.com/marketo/rest/v1"),
        ("mailchimp", "https://us1.api.mailchimp.com/3.0"),
        ("keap", "https://api.infusionsoft.com/crm/rest"),
        ("keap-oauth", "https://api.infusionsoft.com/crm/rest/v2"),
        ("salesforce", "https://acme.my.salesforce.com/services"),
        ("hubspot", "https://api.hubapi.com/crm/v3"),
        ("aprimo", "https://acme.dam.aprimo.com/api/core"),
        ("ga4-data", "https://analyticsdata.googleapis.com/v1beta"),
    ] {
        assert_eq!(warned(at(vendor, base_url)), ["/connections/c/base_url"], "{base_url}");
    }
    for (vendor, base_url) in [
        ("marketo", "https://123-abc-456.mktorest.com"),
        ("marketo", "https://gateway.example.com/marketo/"),
        ("mailchimp", "https://us1.api.mailchimp.com"),
        ("generic", "https://api.example.com/rest/v1"),
        ("ga4-mp", "https://www.google-analytics.com"),
    ] {
        assert!(warned(at(vendor, base_url)).is_empty(), "{base_url}");
    }
}

/// Returns the names of the vendor's counts, each with the limit that takes it.
fn bound(vendor: &str, limits: Value) -> Vec<(String, Option<String>)> {
    let policy = policy(
        &json!({"connections": {"c": {"vendor": vendor, "base_url": "https://a.example.com", "limits": limits}}}),
    );
    let counts = policy.connections["c"].vendor_counts();
    counts.into_iter().map(|(count, limit)| (count.to_owned(), limit.map(str::to_owned))).collect()
}

fn day(name: &str) -> Value {
    json!({"name": name, "kind": "daily", "calls": 9, "reset": "00:00", "time_zone": "UTC"})
}

#[test]
fn a_count_goes_to_its_name_or_else_to_the_first_day_that_no_other_count_has() {
    let to = |name: &str, limit: Option<&str>| (name.to_owned(), limit.map(str::to_owned));
    let rolling = json!({"kind": "rolling_day", "calls": 9});
    let window = json!({"name": "daily-window", "kind": "rolling_window", "calls": 9, "seconds": 9});
    let by_app = json!({"name": "each", "kind": "rolling_day", "calls": 9, "per": "app"});
    let bytes = json!({"name": "bytes", "kind": "daily", "calls": 9, "unit": "response_bytes", "reset": "00:00", "time_zone": "UTC"});
    let of_some = json!({"name": "some", "kind": "rolling_day", "calls": 9, "routes": ["/a"]});
    for vendor in ["hubspot", "salesforce", "ga4-data", "keap-oauth"] {
        assert_eq!(bound(vendor, json!([window, day("portal"), day("other")])), [to("daily", Some("portal"))]);
        assert_eq!(bound(vendor, json!([day("portal"), day("daily")])), [to("daily", Some("daily"))]);
        assert_eq!(bound(vendor, json!([by_app, bytes, of_some, rolling])), [to("daily", Some("rolling_day"))]);
        assert_eq!(bound(vendor, json!([by_app, bytes, of_some, window])), [to("daily", None)]);
    }
    let keap = |limits| bound("keap", limits);
    assert_eq!(keap(json!([day("key"), day("all")])), [to("daily", Some("key")), to("account-daily", Some("all"))]);
    assert_eq!(keap(json!([day("quota")])), [to("daily", Some("quota")), to("account-daily", None)]);
    assert_eq!(keap(json!([day("account-daily")])), [to("daily", None), to("account-daily", Some("account-daily"))]);
    assert_eq!(keap(json!([day("x"), day("daily")])), [to("daily", Some("daily")), to("account-daily", Some("x"))]);
    assert!(bound("marketo", json!([day("daily")])).is_empty());
}

#[test]
fn a_count_that_finds_no_limit_is_warned_of() {
    let window = json!([{"kind": "rolling_window", "calls": 9, "seconds": 9}]);
    for vendor in ["hubspot", "keap-oauth", "ga4-data"] {
        assert_eq!(warned(json!({"c": {"vendor": vendor, "limits": window}})), ["/connections/c/limits"], "{vendor}");
        assert!(warned(json!({"c": {"vendor": vendor}})).is_empty(), "{vendor}");
    }
    assert!(
        warned(json!({"c": {"vendor": "marketo", "base_url": "https://a.example.com", "limits": window}})).is_empty()
    );
}

#[test]
fn shares_of_one_account_that_are_more_than_there_is_are_warned_of() {
    let marketo = |host: &str, share: f64| json!({"vendor": "marketo", "base_url": format!("https://{host}.mktorest.com"), "share": share});
    let over = json!({"a": marketo("x", 0.5), "b": marketo("x", 0.6), "other": marketo("y", 1.0)});
    assert_eq!(warned(over), ["/connections/a/share", "/connections/b/share"]);
    assert!(warned(json!({"a": marketo("x", 0.5), "b": marketo("x", 0.5), "other": marketo("y", 1.0)})).is_empty());
    let by_hand = |calls: u64| {
        json!({"vendor": "marketo", "base_url": "https://x.mktorest.com", "share": 1,
        "limits": [{"name": "rate", "kind": "rolling_window", "calls": calls, "seconds": 20}]})
    };
    assert!(warned(json!({"a": by_hand(40), "b": by_hand(60)})).is_empty(), "split by hand");
    assert_eq!(warned(json!({"a": by_hand(50), "b": by_hand(60)})).len(), 2);
    let hubspot = |token: &str| json!({"vendor": "hubspot", "credential": {"type": "bearer", "token": token}});
    assert!(warned(json!({"a": hubspot("one"), "b": hubspot("two")})).is_empty(), "of two portals, as far as is known");
    assert_eq!(warned(json!({"a": hubspot("one"), "b": hubspot("one")})).len(), 2);
    let plain = json!({"vendor": "hubspot"});
    assert!(warned(json!({"a": plain, "b": plain})).is_empty(), "whose they are, callers say");
    let oauth = json!({"vendor": "keap-oauth", "credential": {"type": "refresh_token", "client_id": "i", "client_secret": "s",
        "refresh_token": "r", "token_url": "https://api.infusionsoft.com/token"}});
    assert!(warned(json!({"a": oauth, "b": oauth})).is_empty(), "they share a pool");
}
