//! Paths are forwarded exactly as sent, or refused.

use serde_json::json;
use sluice_e2e::{Ask, World, tenant::limit};
use sluice_mock_upstreams::{Spec, Vendor};

tests![
    targets_reach_the_vendor_byte_for_byte,
    characters_that_the_platform_encodes_are_those_of_the_guarantees,
    what_is_not_ascii_reaches_the_vendor_percent_encoded,
    paths_that_a_vendor_could_read_as_another_are_refused,
    plain_dots_are_folded_by_the_platform_before_anything_is_decided,
    routes_of_an_app_are_checked_on_what_the_vendor_will_see,
    redirects_are_not_followed_and_lead_back_through_sluice,
    a_base_path_stands_before_every_path,
    a_websocket_to_a_vendor_is_501,
];

async fn targets_reach_the_vendor_byte_for_byte(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("targets");
    let key = tenant.simple("generic", &vendor.url(), &json!({"limits": []})).await;
    for target in [
        "/echo",
        "/",
        "/a/",
        "//evil.example/x",
        "/a//b",
        "/%2F",
        "/a%2fb",
        "/a@b:c",
        "/user:pw@host/",
        "/%41%7e~",
        "/a;v=1,2/b",
        "/echo?",
        "/echo?a=b&a=%20+c&&=x",
        "/echo?q=../..",
        "/echo?u=http://x/../y?z",
        "/echo?x=%2e%2e%2f",
        "/echo?x=a|b^c`d{e}",
        "/...",
        "/..a/b..",
        "/.hidden",
        "/a.json",
        "/%C3%A9",
        "/a+b",
        "/$metadata",
        "/x(1)",
        "/*",
        "/a'b",
        "/!",
        "/%25",
        "/sluice",
        "/status.json",
        "/admin/tenants",
        "/v/c/echo",
        "/healthz",
        "/jobs/1",
    ] {
        let echo = tenant.get(&key, target).await.echo();
        assert_eq!(echo.target(), target);
    }
    // The connection has no path after it.
    assert_eq!(tenant.get(&key, "").await.status, 200);
}

/// The platform's `fetch` writes a URL by WHATWG's standard. `docs/guarantees.md` says which
/// characters that changes.
async fn characters_that_the_platform_encodes_are_those_of_the_guarantees(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("raw");
    let key = tenant.simple("generic", &vendor.url(), &json!({"limits": []})).await;
    let (in_path, in_query) = ("\"<>^`{}", "\"'<>");
    for raw in (b'!'..=b'~').map(char::from).filter(|raw| !raw.is_ascii_alphanumeric() && !"#%\\".contains(*raw)) {
        let encoded = format!("%{:02X}", u32::from(raw));
        let (path, query) = (format!("/a{raw}b"), format!("/a?b=c{raw}d"));
        let sent = |text: &str, changed: &str| match changed.contains(raw) {
            true => text.replace(raw, &encoded),
            false => text.to_owned(),
        };
        if raw != '?' {
            assert_eq!(tenant.get(&key, &path).await.echo().target(), sent(&path, in_path), "{raw} in a path");
        }
        assert_eq!(tenant.get(&key, &query).await.echo().target(), sent(&query, in_query), "{raw} in a query");
    }
    let query =
        "/query?q=SELECT+Id+FROM+Account+WHERE+CreatedDate=2024-01-01T00:00:00%2B00:00&sort[0]=a&sort[0]=b&c&&d=";
    assert_eq!(tenant.get(&key, query).await.echo().target(), query);
}

async fn what_is_not_ascii_reaches_the_vendor_percent_encoded(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("utf8");
    let key = tenant.simple("generic", &vendor.url(), &json!({"limits": []})).await;
    for (sent, seen) in [
        ("/crm/v3/objects/contacts/jos\u{e9}@example.com", "/crm/v3/objects/contacts/jos%C3%A9@example.com"),
        ("/x?name=M\u{fc}ller&y=%FF", "/x?name=M%C3%BCller&y=%FF"),
    ] {
        assert_eq!(tenant.get(&key, sent).await.echo().target(), seen);
    }
}

async fn paths_that_a_vendor_could_read_as_another_are_refused(world: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let tenant = world.tenant("dots");
    let limits = json!([{"name": "rate", "kind": "rolling_window", "calls": 100, "seconds": 10}]);
    let key = tenant.simple("generic", &vendor.url(), &json!({"limits": limits})).await;
    for path in [
        "/%2e%2e/x",
        "/%2E%2e/x",
        "/.%2e/x",
        "/a/%2e",
        "/..;/x",
        "/a\\b",
        "/\\\\evil",
        "/..\\x",
        "/%5C..%5C",
        "/%252e%252e/x",
        "/..%2fx",
        "/a%2f..%2fb",
        "/%2e%2e%2f",
    ] {
        let answer = tenant.get(&key, path).await;
        answer.is_problem(400, "path");
    }
    let status = tenant.status(&key).await;
    assert_eq!(limit(&status["connections"]["c"], "rate")["used"], 0, "nothing is counted: {status}");
    assert!(vendor.calls().0.is_empty());
}

/// workerd, like the platform's edge, resolves a literal `.` or `..` before the Worker sees the
/// URL, and nothing after it can tell. So the call is the one that the resolved path names, in
/// every respect.
async fn plain_dots_are_folded_by_the_platform_before_anything_is_decided(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("folded");
    let connection = json!({"vendor": "generic", "base_url": format!("{}/base", vendor.url())});
    let apps = json!({"app": {"routes": ["/open/**"]}});
    tenant.policy(&json!({"connections": {"c": connection}, "apps": apps})).await;
    let key = tenant.key("app").await;
    let ask = |target: &str| Ask::get(target).key(&key);
    tenant.send(&ask("/v/c/open/../closed")).await.is_problem(403, "route");
    tenant.send(&ask("/v/c/closed/../open/x")).await.echo();
    tenant.send(&ask("/v/c/../../admin/tenants")).await;
    tenant.send(&ask("/v/c/../d/open/x")).await.is_problem(404, "connection");
    let seen: Vec<String> = vendor.calls().0.iter().map(|call| call.target.clone()).collect();
    assert_eq!(seen, ["/base/open/x"], "nothing left the base path, and nothing passed but what the route allows");
}

async fn routes_of_an_app_are_checked_on_what_the_vendor_will_see(world: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let tenant = world.tenant("routes");
    let connection = json!({"vendor": "generic", "base_url": vendor.url()});
    let routes = json!(["POST /rest/v1/leads.json", "/open/**", "GET /one/*/end"]);
    let apps = json!({"app": {"routes": routes}, "other": {"connections": []}, "all": {}});
    tenant.policy(&json!({"connections": {"c": connection}, "apps": apps})).await;
    let key = tenant.key("app").await;
    let ask = |method: &str, path: &str| Ask::new(method, &format!("/v/c{path}")).key(&key).body("{}");
    for (method, path) in [
        ("POST", "/rest/v1/leads.json"),
        ("POST", "/rest/v1/leads.json?_method=POST"),
        ("DELETE", "/open/a/b"),
        ("GET", "/one/2/end"),
        // These are the same path in another spelling, to every reader.
        ("POST", "/rest/v1/leads%2ejson"),
    ] {
        assert_eq!(tenant.send(&ask(method, path)).await.echo().target(), path);
    }
    for (method, path) in [
        ("GET", "/rest/v1/leads.json"),
        ("POST", "/rest/v1/leads.json?_method=GET"),
        ("POST", "/rest/v1/leads.json/x"),
        ("POST", "/rest/v1//leads.json"),
        ("GET", "/one/2/3/end"),
        ("GET", "/closed"),
        ("POST", "/rest/v1/Leads.json"),
    ] {
        tenant.send(&ask(method, path)).await.is_problem(403, "route");
    }
    tenant.send(&Ask::get("/v/c/echo").key(&tenant.key("other").await)).await.is_problem(403, "connection");
    tenant.send(&Ask::get("/v/nowhere/echo").key(&tenant.key("all").await)).await.is_problem(404, "connection");
    assert_eq!(vendor.calls().0.len(), 5);
}

async fn redirects_are_not_followed_and_lead_back_through_sluice(world: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let tenant = world.tenant("redirects");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let own = vendor.url();
    for (to, expected) in [
        (format!("{own}/next?a=b"), "/v/c/next?a=b".to_owned()),
        ("/next".to_owned(), "/v/c/next".to_owned()),
        (own.clone(), "/v/c/".to_owned()),
    ] {
        for status in [301, 302, 303, 307, 308] {
            let answer = tenant.get(&key, &format!("/redirect?status={status}&to={to}")).await;
            answer.is_vendors(status);
            let location = answer.header("location").unwrap();
            let path = location.strip_prefix(&format!("http://{}", tenant.to())).unwrap_or(location);
            assert_eq!(path.trim_end_matches('/'), expected.trim_end_matches('/'), "from {to}");
        }
    }
    for to in ["https://elsewhere.example/x", "//elsewhere.example/x", &format!("{own}0/next")] {
        let answer = tenant.get(&key, &format!("/redirect?to={to}")).await;
        assert_eq!((answer.status, answer.header("location")), (302, Some(to)));
    }
    assert!(vendor.calls().0.iter().all(|call| call.target.starts_with("/redirect")), "none was followed");
}

async fn a_base_path_stands_before_every_path(world: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let tenant = world.tenant("base");
    let key = tenant.simple("generic", &format!("{}/api/v2/", vendor.url()), &json!({})).await;
    assert_eq!(tenant.get(&key, "/things?x=1").await.echo().target(), "/api/v2/things?x=1");
    tenant.get(&key, "/%2e%2e/redirect").await.is_problem(400, "path");
}

async fn a_websocket_to_a_vendor_is_501(world: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let tenant = world.tenant("upgrade");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let ask = Ask::get("/v/c/websocket").key(&key).with("Connection", "Upgrade").with("Upgrade", "websocket");
    let ask = ask.with("Sec-WebSocket-Version", "13").with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(tenant.send(&ask).await.status, 501);
    assert!(vendor.calls().0.is_empty());
}
