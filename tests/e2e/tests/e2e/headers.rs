//! Which headers are forwarded, and which Sluice adds.

use serde_json::json;
use sfv::{BareItem, ListEntry, Parser};
use sluice_e2e::{Ask, World};
use sluice_mock_upstreams::{Spec, Vendor};

tests![
    only_what_the_vendor_should_see_is_forwarded,
    answers_carry_the_call_its_timing_and_the_attempts,
    the_ratelimit_fields_parse_and_name_every_limit,
    preferences_that_make_no_sense_are_ignored,
];

async fn only_what_the_vendor_should_see_is_forwarded(world: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let tenant = world.tenant("headers");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let mut ask = Ask::post("/v/c/echo", "{}").key(&key);
    let stay = [
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Forwarded-Proto", "https"),
        ("CF-Ray", "1"),
        ("CF-Connecting-IP", "1.1.1.1"),
        ("Sluice-Callback", "https://example.com"),
        ("Sluice-Other", "x"),
        ("Priority", "u=2"),
        ("Referer", "https://a.example/"),
        ("Sec-Fetch-Mode", "cors"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
        ("Proxy-Authorization", "Basic eDp5"),
        ("Connection", "close, X-Hop"),
        ("X-Hop", "1"),
        ("X-Original-URL", "/admin"),
        ("X-Rewrite-URL", "/admin"),
    ];
    let pass = [
        ("Authorization", "Bearer vendor-token"),
        ("Idempotency-Key", "abc-1"),
        ("User-Agent", "sdk/1.2 (x)"),
        ("X-App", "a"),
        ("Accept", "application/json;odata=verbose"),
        ("If-None-Match", "\"x\""),
        ("API-VERSION", "1"),
        ("Range", "bytes=0-5"),
        ("Accept-Language", "de, en;q=0.5"),
        ("Content-Type", "application/json; charset=utf-8"),
        ("X-Empty", ""),
    ];
    for (name, value) in stay.iter().chain(&pass) {
        ask = ask.with(name, value);
    }
    let echo = tenant.send(&ask.with("Prefer", "wait=5, return=minimal")).await.echo();
    let names = echo.names();
    for (name, _) in stay {
        let name = name.to_ascii_lowercase();
        assert!(
            name == "connection" || !names.contains(&name),
            "«{name}» reached the vendor: {:?}",
            echo.header(&name)
        );
    }
    for (name, value) in pass {
        assert_eq!(echo.header(name), Some(value), "{name}");
    }
    assert_eq!(echo.header("prefer"), Some("return=minimal"));
    assert!(
        !names.iter().any(|n| n.starts_with("sluice-") || n.starts_with("cf-") || n.starts_with("x-forwarded")),
        "{names:?}"
    );
    assert_eq!(echo.header("host"), vendor.url().strip_prefix("http://"));
}

async fn answers_carry_the_call_its_timing_and_the_attempts(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").jitter(200, 200)).unwrap();
    let tenant = world.tenant("timing");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let (one, two) = (tenant.get(&key, "/echo").await, tenant.get(&key, "/echo").await);
    assert_ne!(one.header("sluice-call").expect("Sluice-Call"), two.header("sluice-call").unwrap());
    assert_eq!(one.header("sluice-attempts"), Some("1"));
    let timing = one.header("server-timing").expect("Server-Timing");
    let dur = |name: &str| -> f64 {
        let rest = timing.split_once(&format!("{name};dur=")).unwrap_or_else(|| panic!("no {name} in «{timing}»")).1;
        rest.split([',', ';']).next().unwrap().trim().parse().unwrap()
    };
    assert!((190.0..1500.0).contains(&dur("vendor")), "{timing}");
    assert!(dur("total") >= dur("vendor") && dur("queue") < 1000.0, "{timing}");
}

async fn the_ratelimit_fields_parse_and_name_every_limit(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("ratelimit");
    let limits = json!([
        {"name": "rate", "kind": "rolling_window", "calls": 10, "seconds": 20},
        {"name": "day", "kind": "daily", "calls": 500, "reset": "00:00", "time_zone": "UTC"},
        {"name": "slots", "kind": "concurrency", "calls": 4},
    ]);
    let key = tenant.simple("generic", &vendor.url(), &json!({"limits": limits})).await;
    tenant.get(&key, "/echo").await.is_vendors(200);
    let answer = tenant.get(&key, "/echo").await;
    let policy = fields(answer.header("ratelimit-policy").expect("RateLimit-Policy"));
    let now = fields(answer.header("ratelimit").expect("RateLimit"));
    let names = |list: &[(String, sfv::Parameters)]| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&policy), ["rate", "day", "slots"]);
    assert_eq!(names(&now), ["rate", "day", "slots"]);
    let number = |list: &[(String, sfv::Parameters)], at: usize, name: &str| match list[at].1.get(name) {
        Some(BareItem::Integer(number)) => Some(i64::from(*number)),
        None => None,
        other => panic!("{name} is {other:?}"),
    };
    assert_eq!((number(&policy, 0, "q"), number(&policy, 0, "w")), (Some(10), Some(20)));
    assert_eq!((number(&policy, 1, "q"), number(&policy, 1, "w")), (Some(500), Some(86_400)));
    assert_eq!(number(&policy, 2, "q"), Some(4));
    assert!(matches!(policy[2].1.get("qu"), Some(BareItem::String(qu)) if qu.as_str() == "concurrent-requests"));
    assert_eq!(number(&now, 0, "r"), Some(8));
    assert!((1..=21).contains(&number(&now, 0, "t").expect("a window has a time")));
    assert_eq!(number(&now, 1, "r"), Some(498));
    assert!((0..=86_402).contains(&number(&now, 1, "t").expect("a day has a time")));
    assert_eq!(number(&now, 2, "r"), Some(3), "this call is in flight");

    // Refusals have these headers too.
    for _ in 0..8 {
        tenant.get(&key, "/echo").await.is_vendors(200);
    }
    let refused = tenant.get_now(&key, "/echo").await;
    refused.is_problem(429, "rate");
    assert_eq!(number(&fields(refused.header("ratelimit").expect("RateLimit")), 0, "r"), Some(0));
    let until = number(&fields(refused.header("ratelimit").unwrap()), 0, "t").unwrap();
    assert!(i64::try_from(refused.retry_after().unwrap()).unwrap() >= until, "Retry-After is not earlier than t");
}

/// Parses a field by RFC 9651 as a list of strings with parameters.
fn fields(text: &str) -> Vec<(String, sfv::Parameters)> {
    let list = Parser::new(text).parse::<sfv::List>().unwrap_or_else(|fault| panic!("«{text}»: {fault}"));
    let one = |entry| match entry {
        ListEntry::Item(sfv::Item { bare_item: BareItem::String(name), params }) => (name.as_str().to_owned(), params),
        other => panic!("{other:?} in «{text}» is no string"),
    };
    list.into_iter().map(one).collect()
}

async fn preferences_that_make_no_sense_are_ignored(world: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let tenant = world.tenant("prefer");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    for (name, value) in [
        ("Prefer", "wait=-1"),
        ("Prefer", "wait=soon"),
        ("Prefer", "wait"),
        ("Prefer", "wait=99999999999999999999"),
        ("Prefer", ";;,=,"),
        ("Prefer", "wait=\"3\""),
        ("Priority", "u=9"),
        ("Priority", "u=high"),
        ("Priority", "((("),
    ] {
        tenant.send(&Ask::get("/v/c/echo").key(&key).with(name, value)).await.is_vendors(200);
    }
}
