//! Pages in a browser: preflights, origins, and what a page may read.

use serde_json::json;
use sluice_e2e::{Ask, World};
use sluice_mock_upstreams::{Spec, Vendor};

tests![
    a_preflight_is_204_for_any_origin_and_touches_nothing,
    every_answer_to_a_page_can_be_read_by_it,
    a_key_with_origins_works_from_those_pages_and_nowhere_else,
    a_key_without_origins_does_not_work_from_a_page,
    the_vendors_own_cors_headers_are_dropped,
];

const HOME: &str = "https://www.example.com";

async fn a_preflight_is_204_for_any_origin_and_touches_nothing(world: &World) {
    let tenant = world.tenant("preflight");
    for (path, origin) in
        [("/v/c/echo", HOME), ("/v/nowhere/x", "https://evil.example"), ("/status.json", "null"), ("/jobs/x", HOME)]
    {
        let ask = Ask::new("OPTIONS", path).with("Origin", origin).with("Access-Control-Request-Method", "PUT");
        let answer = tenant.send(&ask.with("Access-Control-Request-Headers", "sluice-key, content-type, x-own")).await;
        assert_eq!(answer.status, 204, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        let allowed = |name: &str| answer.header(name).unwrap_or_default().to_ascii_lowercase();
        assert!(
            allowed("access-control-allow-methods").contains("put") || allowed("access-control-allow-methods") == "*"
        );
        assert!(allowed("access-control-allow-headers").contains("x-own"), "{:?}", answer.headers);
        assert!(answer.header("vary").unwrap_or_default().to_ascii_lowercase().contains("origin"));
    }
}

async fn every_answer_to_a_page_can_be_read_by_it(world: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let tenant = world.tenant("page");
    let limits = json!([{"name": "rate", "kind": "rolling_window", "calls": 1, "seconds": 60}]);
    let connection = json!({"vendor": "generic", "base_url": vendor.url(), "limits": limits});
    tenant.policy(&json!({"connections": {"c": connection}, "apps": {"page": {"origins": [HOME]}}})).await;
    let key = tenant.key("page").await;
    let ask = |path: &str, key: &str| Ask::get(path).key(key).wait(0).with("Origin", HOME);
    for (asked, status) in [
        (ask("/v/c/echo", &key), 200),
        (ask("/v/c/echo", &key), 429),
        (ask("/v/c/echo", "slk_bad"), 401),
        (ask("/v/other/echo", &key), 404),
        (ask("/v/c/a/%2e%2e/b", &key), 400),
        (ask("/nowhere", &key), 404),
        (ask("/status.json", &key), 403),
    ] {
        let answer = tenant.send(&asked).await;
        assert_eq!(answer.status, status, "{} {}", asked.target, answer.text());
        assert_eq!(answer.header("access-control-allow-origin"), Some(HOME), "{}", asked.target);
        assert!(answer.header("vary").unwrap_or_default().to_ascii_lowercase().contains("origin"), "{}", asked.target);
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default().to_ascii_lowercase();
        assert!(
            exposed == "*" || exposed.contains("ratelimit") || answer.sluice_reason().is_some(),
            "exposed: «{exposed}»"
        );
        if answer.sluice_reason().is_some() {
            assert!(exposed == "*" || exposed.contains("sluice-reason"), "exposed: «{exposed}»");
        }
    }
    let none = tenant.send(&Ask::get("/healthz")).await;
    assert_eq!(none.header("access-control-allow-origin"), None);
}

async fn a_key_with_origins_works_from_those_pages_and_nowhere_else(world: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let tenant = world.tenant("origins");
    let connection = json!({"vendor": "generic", "base_url": vendor.url()});
    let apps = json!({"page": {"origins": [HOME, "http://localhost:3000"]}});
    tenant.policy(&json!({"connections": {"c": connection}, "apps": apps})).await;
    let key = tenant.key("page").await;
    let ask = Ask::get("/v/c/echo").key(&key);
    for origin in [HOME, "http://localhost:3000"] {
        let echo = tenant.send(&ask.clone().with("Origin", origin)).await.echo();
        assert_eq!(echo.header("origin"), None);
    }
    for origin in [
        "https://evil.example",
        "https://www.example.com.evil.example",
        "http://www.example.com",
        "https://www.example.com:444",
        "https://example.com",
        "null",
        "",
    ] {
        tenant.send(&ask.clone().with("Origin", origin)).await.is_problem(403, "origin");
    }
    tenant.send(&ask).await.is_problem(403, "origin");
    tenant.send(&ask.clone().with("Sec-Fetch-Site", "cross-site")).await.is_problem(403, "origin");
    assert_eq!(vendor.calls().0.len(), 2);
}

async fn a_key_without_origins_does_not_work_from_a_page(world: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let tenant = world.tenant("no-page");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let ask = Ask::get("/v/c/echo").key(&key);
    tenant.send(&ask.clone().with("Origin", HOME)).await.is_problem(403, "origin");
    tenant.send(&ask.clone().with("Sec-Fetch-Site", "same-site")).await.is_problem(403, "origin");
    assert!(vendor.calls().0.is_empty());
    tenant.send(&ask).await.is_vendors(200);
    // The page at Sluice's own origin may read the status.
    let own = Ask::get("/status.json").key(&key).with("Origin", &format!("http://{}", tenant.to()));
    assert_eq!(tenant.send(&own.with("Sec-Fetch-Site", "same-origin")).await.status, 200);
}

async fn the_vendors_own_cors_headers_are_dropped(world: &World) {
    let raw = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n\
               Access-Control-Max-Age: 60\r\nVary: Accept\r\nContent-Length: 2\r\n\r\nok";
    let fault = sluice_mock_upstreams::Fault::Raw { text: raw.to_owned() };
    let vendor = Vendor::start(Spec::new("generic").fault(sluice_mock_upstreams::FaultRule::always(fault))).unwrap();
    let tenant = world.tenant("cors");
    let connection = json!({"vendor": "generic", "base_url": vendor.url()});
    tenant.policy(&json!({"connections": {"c": connection}, "apps": {"page": {"origins": [HOME]}, "app": {}}})).await;
    let answer = tenant.send(&Ask::get("/v/c/x").key(&tenant.key("page").await).with("Origin", HOME)).await;
    answer.is_vendors(200);
    assert_eq!(answer.all("access-control-allow-origin"), [HOME]);
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    assert_eq!(answer.header("access-control-max-age"), None);
    let vary = answer.all("vary").join(", ").to_ascii_lowercase();
    assert!(vary.contains("origin") && vary.contains("accept"), "{vary}");
    let answer = tenant.get(&tenant.key("app").await, "/x").await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
}
