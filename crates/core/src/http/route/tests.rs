use super::*;

const SUFFIX: Option<&str> = Some(".api.example.com");

fn vendor<'a>(url: &'a str, suffix: Option<&str>) -> VendorTarget<'a> {
    match parse_target(url, suffix).unwrap().address {
        Address::Vendor(vendor) => vendor,
        other => panic!("{url} is {other:?}"),
    }
}

fn address_of(path: &str) -> Address<'_> {
    parse_target(path, None).unwrap().address
}

fn sent(url: &str, base_url: &str) -> String {
    let target = vendor(url, None);
    target.url(base_url, target.query)
}

#[test]
fn a_vendor_gets_path_and_query_byte_for_byte() {
    let base = "https://api.vendor.com/base";
    for rest in [
        "",
        "/",
        "//evil.com/x",
        "/a//b/",
        "/a@b",
        "/a%2Fb%2f",
        "/a?x=%2e%2e/../\\&y=a+b",
        "/a?",
        "?q=1",
        "/a?b?c",
        "/*:,;=~$!'()",
    ] {
        assert_eq!(sent(&format!("http://127.0.0.1:8787/v/hub{rest}"), base), format!("{base}{rest}"), "{rest}");
    }
}

#[test]
fn an_empty_path_is_matched_as_the_root() {
    assert_eq!(vendor("/v/hub?x", None).route_path(), "/");
    assert_eq!(vendor("/v/hub/a", None).route_path(), "/a");
}

#[test]
fn dot_segments_and_backslashes_are_refused_with_path() {
    for rest in ["/..", "/a/%2e%2e/b", "/a\\b", "/%252e%252e", "/a/..;x", "/%c0%ae%c0%ae/x", "/..%2fx", "/%5c..%5c"] {
        for url in
            [format!("http://h/v/hub{rest}"), format!("http://h{rest}"), format!("https://hub.api.example.com{rest}")]
        {
            assert_eq!(parse_target(&url, SUFFIX).unwrap_err().reason, Reason::Path, "{url}");
        }
    }
    assert_eq!(parse_target("/v/../admin/tenants", None).unwrap_err().reason, Reason::Path);
    assert_eq!(parse_target("/v/%2e%2e/x", None).unwrap_err().reason, Reason::Path);
    assert_eq!(parse_target("http://h\\..\\v/x", None).unwrap_err().reason, Reason::Path);
}

#[test]
fn raw_characters_that_no_address_has_are_refused_with_path() {
    for rest in ["/a b", "/a\tb", "/a\r\nb", "/a\0", "/a\u{7f}", "/ä", "/a#b", "/a?b c", "/a?ä", "/a?b#c", "#x"] {
        assert_eq!(parse_target(&format!("http://h/v/hub{rest}"), None).unwrap_err().reason, Reason::Path, "{rest:?}");
    }
}

#[test]
fn with_host_routing_every_path_is_the_vendors() {
    for path in ["/admin/tenants", "/v/other/x", "/healthz", "/", ""] {
        let url = format!("https://hub.api.example.com{path}");
        let found = vendor(&url, SUFFIX);
        assert_eq!((found.connection, found.path, found.by_host), ("hub", path, true), "{url}");
    }
    assert_eq!(vendor("http://HUB.API.example.com:8787/x", SUFFIX).connection, "HUB");
    assert_eq!(vendor("http://hub.api.example.com./x", SUFFIX).connection, "hub");
}

#[test]
fn sluice_itself_and_other_hosts_are_not_connections() {
    for host in [
        "sluice.api.example.com",
        "SLUICE.api.example.com:80",
        "example.com",
        "a.b.api.example.com",
        ".api.example.com",
        "api.example.com",
    ] {
        let url = format!("http://{host}/healthz");
        assert_eq!(parse_target(&url, SUFFIX).unwrap().address, Address::Health, "{host}");
    }
    assert_eq!(vendor("http://sluice.api.example.com/v/hub/x", SUFFIX).connection, "hub");
    assert_eq!(parse_target("http://hub.api.example.com/healthz", None).unwrap().address, Address::Health);
}

#[test]
fn a_connection_knows_its_own_url_and_sluices() {
    let by_path = parse_target("http://127.0.0.1:8787/v/hub/x", None).unwrap();
    assert_eq!(by_path.connection_url().as_deref(), Some("http://127.0.0.1:8787/v/hub"));
    assert_eq!(by_path.sluice_origin(), "http://127.0.0.1:8787");
    let by_host = parse_target("https://hub.api.example.com:444/x", SUFFIX).unwrap();
    assert_eq!(by_host.connection_url().as_deref(), Some("https://hub.api.example.com:444"));
    assert_eq!(by_host.sluice_origin(), "https://sluice.api.example.com:444");
    assert_eq!(parse_target("http://h/healthz", None).unwrap().connection_url(), None);
}

#[test]
fn every_address_of_the_contract_is_known() {
    let cases = [
        ("/healthz", Address::Health),
        ("/metrics", Address::Metrics),
        ("/status.json?x=1", Address::Status),
        ("/status/live", Address::Live),
        ("/stats/usage.json?connection=hub", Address::Usage { week: false }),
        ("/stats/usage/last7days.json", Address::Usage { week: true }),
        ("/stats/errors.json", Address::Errors { week: false }),
        ("/stats/errors/last7days.json", Address::Errors { week: true }),
        ("/jobs?limit=5", Address::Jobs),
        ("/jobs/j1", Address::Job("j1")),
        ("/jobs/j1/response", Address::JobResponse("j1")),
        ("/dead-letters", Address::DeadLetters),
        ("/dead-letters/replay", Address::ReplayAll),
        ("/dead-letters/d1", Address::DeadLetter("d1")),
        ("/dead-letters/d1/replay", Address::Replay("d1")),
        ("/admin/vendors", Address::Admin(AdminAddress::Vendors)),
        ("/admin/tenants", Address::Admin(AdminAddress::Tenants)),
        ("/admin/tenants/acme", Address::Admin(AdminAddress::Tenant("acme"))),
        ("/admin/tenants/acme/keys", Address::Admin(AdminAddress::Keys("acme"))),
        ("/admin/tenants/acme/keys/k1", Address::Admin(AdminAddress::Key("acme", "k1"))),
        ("/", Address::File),
        ("/app.js", Address::File),
        ("", Address::File),
    ];
    for (path, expected) in cases {
        assert_eq!(address_of(path), expected, "{path}");
    }
}

#[test]
fn addresses_that_are_nearly_known_are_not_found() {
    for path in [
        "/admin",
        "/admin/tenants/",
        "/admin/tenants/a/keys/k/x",
        "/admin/tenants//keys",
        "/jobs/",
        "/status/x",
        "/stats",
        "/v",
    ] {
        assert_eq!(parse_target(path, None).unwrap_err().reason, Reason::NotFound, "{path}");
    }
}

#[test]
fn a_connection_without_a_name_is_handed_on_to_be_refused_by_name() {
    assert_eq!(vendor("/v//x", None).connection, "");
    assert_eq!(vendor("/v/", None).connection, "");
    assert_eq!(vendor("/v/Not%20a%20Name/x", None).connection, "Not%20a%20Name");
}

#[test]
fn what_is_not_ascii_goes_out_percent_encoded() {
    let url = "https://h/v/c/jos\u{e9}@example.com?name=M\u{fc}ller&x=\u{1f600}";
    assert_eq!(encoded(url), "https://h/v/c/jos%C3%A9@example.com?name=M%C3%BCller&x=%F0%9F%98%80");
    assert!(matches!(encoded("https://h/v/c/a%C3%A9"), Cow::Borrowed(_)));
    // The platform gives bytes that are not UTF-8 as this character.
    let broken = encoded("https://h/v/c/a\u{fffd}");
    assert_eq!(parse_target(&broken, None).map(|_| ()).map_err(|refusal| refusal.reason), Err(Reason::Path));
}

#[test]
fn a_connection_named_by_its_host_has_its_name_in_lower_case_and_one_in_a_path_as_sent() {
    for (url, name) in [
        ("https://hub.api.example.com/x", "hub"),
        ("https://Hub.API.example.com/x", "hub"),
        ("https://s.example/v/hub/x", "hub"),
        ("https://s.example/v/Hub/x", "Hub"),
    ] {
        assert_eq!(vendor(url, SUFFIX).connection_name(), name, "{url}");
    }
}

#[test]
fn the_length_of_a_uri_is_that_of_the_vendors_path_and_query() {
    for (rest, bytes) in [("", 0), ("/", 1), ("/a?", 3), ("/a?x=1", 6), ("?q", 2)] {
        assert_eq!(vendor(&format!("https://s.example/v/hub{rest}"), None).uri_bytes(), bytes, "{rest}");
    }
}
