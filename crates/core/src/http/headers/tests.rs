use super::*;
use crate::http::answer::value;
use crate::http::names::tests::grows_as_sorting_does;

fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn bearer() -> Placed {
    Placed { header: Some(("Authorization".into(), "Bearer vendor-token".into())), query: None }
}

fn sent(request: &[(&str, &str)], passthrough: bool, placed: &Placed) -> Headers {
    let request = headers(request);
    let prefer = Prefer::read(&request);
    // A value with `slk_` stands for one with a key.
    let with_key = request.iter().filter(|(_, value)| value.contains("slk_") || value.contains("YTpz"));
    let taken = Taken { headers: with_key.map(|(name, _)| name.to_ascii_lowercase()).collect(), query: Vec::new() };
    let (taken, prefer) = (&taken, &prefer);
    outgoing(&request, &Sending { passthrough, placed, also: &[], taken, prefer, accept_encoding: Some("gzip") })
}

/// Returns the query that is forwarded, without the parameters at these places.
fn query(sent: Option<&str>, placed: &Placed, taken: &[usize]) -> Option<String> {
    outgoing_query(sent, placed, &Taken { headers: Vec::new(), query: taken.to_vec() })
}

#[test]
fn a_token_that_goes_in_two_headers_takes_the_place_of_both() {
    let request = headers(&[("X-SFDC-Session", "own"), ("Authorization", "Bearer slk_k"), ("X-Custom", "slk_alike")]);
    let prefer = Prefer::read(&request);
    let taken = Taken { headers: vec!["authorization".to_owned()], query: Vec::new() };
    let also = headers(&[("X-SFDC-Session", "vendor-token")]);
    let sending = Sending {
        passthrough: false,
        placed: &bearer(),
        also: &also,
        taken: &taken,
        prefer: &prefer,
        accept_encoding: None,
    };
    let expected =
        [("X-Custom", "slk_alike"), ("X-SFDC-Session", "vendor-token"), ("Authorization", "Bearer vendor-token")];
    assert_eq!(outgoing(&request, &sending), headers(&expected));
}

/// Returns a mask of this credential.
fn mask_of(secret: &str) -> Mask {
    Mask::new([secret.to_owned()], Some(("api_key".to_owned(), secret.to_owned())))
}

fn call(mask: &Mask) -> Returning<'_> {
    Returning {
        status: 200,
        passthrough: false,
        base_url: "https://api.vendor.com",
        connection_url: "https://sluice.example/v/hub",
        path: "/a/b",
        mask,
        call: "c1",
        attempts: 2,
        queue_ms: 5,
        vendor_ms: 70,
        total_ms: 80,
        rate_limit_policy: "\"a\";q=1",
        rate_limit: "\"a\";r=0",
        would: None,
        origin: None,
        page: false,
    }
}

#[test]
fn a_key_that_was_put_into_prefer_stays_here() {
    assert_eq!(value(&sent(&[("Prefer", "slk_abc")], true, &Placed::default()), "prefer"), None);
}

#[test]
fn ordinary_headers_go_out_as_sent() {
    let request = [
        ("Content-Type", "a/b"),
        ("X-Custom", "é"),
        ("User-Agent", "sdk"),
        ("If-None-Match", "\"x\""),
        ("Forwarded", "for=x"),
    ];
    assert_eq!(sent(&request, true, &Placed::default())[..5], headers(&request));
}

#[test]
fn what_is_not_the_vendors_business_stays_here() {
    for name in [
        "Connection",
        "Keep-Alive",
        "Proxy-Authorization",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Host",
        "Expect",
        "CF-Ray",
        "cf-connecting-ip",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "Sluice-Callback",
        "Priority",
        "Origin",
        "Referer",
        "Sec-Fetch-Site",
        "Sec-WebSocket-Key",
        "X-Real-IP",
        "Accept-Encoding",
        "X-Original-URL",
        "X-Rewrite-URL",
    ] {
        for passthrough in [true, false] {
            let out = sent(&[(name, "x")], passthrough, &Placed::default());
            assert_eq!(out, headers(&[("Accept-Encoding", "gzip")]), "{name}");
        }
    }
}

#[test]
fn what_connection_names_is_of_one_hop() {
    let out = sent(&[("Connection", "close, X-Hop"), ("x-hop", "1"), ("x-end", "2")], true, &Placed::default());
    assert_eq!((value(&out, "x-hop"), value(&out, "x-end")), (None, Some("2")));
}

#[test]
fn the_key_is_replaced_by_the_credential_wherever_it_was() {
    for (name, key) in
        [("Authorization", "Bearer slk_k"), ("authorization", "Basic YTpzbGtfaw=="), ("X-Keap-API-Key", "slk_k")]
    {
        let out = sent(&[(name, key)], false, &bearer());
        assert_eq!(value(&out, "authorization"), Some("Bearer vendor-token"), "{name}");
        assert!(!out.iter().any(|(_, value)| value.contains("slk_") || value.contains("YTpz")), "{name}");
    }
}

#[test]
fn a_key_never_goes_out_even_when_the_credential_goes_elsewhere() {
    let placed = Placed { header: Some(("X-Api-Key".into(), "secret".into())), query: None };
    let out = sent(&[("Authorization", "Bearer slk_k"), ("x-api-key", "mine")], false, &placed);
    assert_eq!(value(&out, "authorization"), None);
    assert_eq!(value(&out, "x-api-key"), Some("secret"));
}

#[test]
fn cookies_and_credentials_of_the_callers_own_go_out_in_passthrough_alone() {
    let request = [("Cookie", "a=b"), ("Authorization", "Bearer own"), ("Sluice-Key", "slk_k")];
    let out = sent(&request, true, &Placed::default());
    assert_eq!((value(&out, "cookie"), value(&out, "authorization")), (Some("a=b"), Some("Bearer own")));
    assert_eq!(value(&out, "sluice-key"), None);
    let out = sent(&request, false, &bearer());
    assert_eq!((value(&out, "cookie"), value(&out, "authorization")), (None, Some("Bearer vendor-token")));
}

#[test]
fn of_prefer_goes_out_what_is_not_for_sluice() {
    let out = sent(&[("Prefer", "wait=3, return=minimal"), ("prefer", "respond-async")], true, &Placed::default());
    assert_eq!(value(&out, "prefer"), Some("return=minimal"));
    assert_eq!(value(&sent(&[("Prefer", "wait=3")], true, &Placed::default()), "prefer"), None);
}

#[test]
fn a_query_goes_out_as_sent_when_nothing_in_it_is_ours() {
    for query in [None, Some(""), Some("a=%2e&&b=c&"), Some("access_token=own&x"), Some("&"), Some("=")] {
        assert_eq!(super::outgoing_query(query, &Placed::default(), &Taken::default()).as_deref(), query);
    }
}

#[test]
fn a_key_in_the_query_gives_its_place_to_the_credential() {
    let secret = Placed { header: None, query: Some(("api_secret".into(), "s%26".into())) };
    for (sent, expected) in [
        (Some("a=1&api_secret=slk_k&b=%2F"), "a=1&api_secret=s%26&b=%2F"),
        (Some("a=1"), "a=1&api_secret=s%26"),
        (None, "api_secret=s%26"),
        (Some("api_secret=x&a&api_secret=y"), "api_secret=s%26&a"),
    ] {
        assert_eq!(query(sent, &secret, &[]).as_deref(), Some(expected), "{sent:?}");
    }
    assert_eq!(query(Some("access_token=slk_k&b=2"), &bearer(), &[0]).as_deref(), Some("b=2"));
    assert_eq!(query(Some("access_token=slk_k"), &bearer(), &[0]), None);
    assert_eq!(query(Some("a=slk_alike&b=2"), &bearer(), &[]).as_deref(), Some("a=slk_alike&b=2"));
}

#[test]
fn a_credential_is_not_shown() {
    let both = Placed { query: Some(("api_secret".into(), "hidden".into())), ..bearer() };
    let shown = format!("{both:?}");
    assert!(shown.contains("Authorization") && !shown.contains("hidden") && !shown.contains("vendor-token"), "{shown}");
}

#[test]
fn the_vendors_headers_come_back_with_ours() {
    let vendor = headers(&[
        ("content-type", "a/b"),
        ("Content-Length", "3"),
        ("Content-Encoding", "gzip"),
        ("Sforce-Limit-Info", "api-usage=1/2"),
        ("Retry-After", "3"),
    ]);
    let out = returned(&vendor, &call(&Mask::default()));
    assert_eq!(out[..5], vendor);
    assert_eq!(value(&out, "sluice-call"), Some("c1"));
    assert_eq!(value(&out, "sluice-attempts"), Some("2"));
    assert_eq!(value(&out, "server-timing"), Some("queue;dur=5, vendor;dur=70, total;dur=80"));
    assert_eq!(value(&out, "ratelimit-policy"), Some("\"a\";q=1"));
    assert_eq!(value(&out, "ratelimit"), Some("\"a\";r=0"));
    assert_eq!(value(&out, "sluice-would"), None);
    assert_eq!(value(&out, "access-control-allow-origin"), None);
}

#[test]
fn what_is_ours_to_say_is_not_the_vendors() {
    let vendor = headers(&[
        ("Sluice-Reason", "rate"),
        ("Access-Control-Allow-Origin", "https://vendor"),
        ("Access-Control-Max-Age", "1"),
        ("Set-Cookie", "a=b"),
        ("Clear-Site-Data", "\"*\""),
        ("Service-Worker-Allowed", "/"),
        ("NEL", "{}"),
        ("Report-To", "{}"),
        ("Reporting-Endpoints", "a=\"https://r.example\""),
        ("X-Content-Type-Options", "nosniff"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "x-hop"),
        ("X-Hop", "1"),
    ]);
    let mask = Mask::default();
    let plain = Returning { rate_limit: "", rate_limit_policy: "", ..call(&mask) };
    let names: Vec<_> = returned(&vendor, &plain).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Sluice-Call", "Sluice-Attempts", "Server-Timing", "X-Content-Type-Options"]);
}

#[test]
fn two_cookies_come_back_in_passthrough() {
    let vendor = headers(&[
        ("Set-Cookie", "a=1; Domain=vendor.com; Path=/; Secure"),
        ("set-cookie", "b=2, c"),
        ("Set-Cookie2", "d=1"),
    ]);
    let out = returned(&vendor, &Returning { passthrough: true, ..call(&Mask::default()) });
    let expected = headers(&[("Set-Cookie", "a=1; Path=/v/hub; Secure"), ("set-cookie", "b=2, c; Path=/v/hub/a")]);
    assert_eq!(out[..2], expected);
    assert_eq!(value(&out, "set-cookie2"), None);
}

#[test]
fn a_cookie_that_no_address_of_the_connection_would_get_is_dropped() {
    let vendor = headers(&[("Set-Cookie", "a=1; Path=/login")]);
    let mask = Mask::default();
    let below = Returning { passthrough: true, base_url: "https://api.vendor.com/crm", ..call(&mask) };
    assert_eq!(value(&returned(&vendor, &below), "set-cookie"), None);
}

#[test]
fn the_credential_that_was_put_in_is_in_no_header_that_comes_back() {
    let vendor = headers(&[
        ("Location", "https://api.vendor.com/x?api_key=hush-hush&a=1"),
        ("Content-Location", "/x?api_key=hush%2Dhush"),
        ("Link", "<https://api.vendor.com/x?a=1&api_key=hush-hush>; rel=next"),
        ("Refresh", "0; url=/x?api_key=hush-hush"),
        ("X-Request", "GET /x?api_key=hush-hush"),
        ("Set-Cookie", "a=hush-hush"),
        ("Server-Timing", "key;desc=\"hush-hush\""),
        ("RateLimit", "\"hush-hush\";r=1"),
        ("X-hush-hush", "1"),
        ("Content-Type", "text/plain"),
    ]);
    let mask = mask_of("hush-hush");
    let out = returned(&vendor, &Returning { status: 302, passthrough: true, ..call(&mask) });
    assert!(!out.iter().any(|(name, value)| name.contains("hush") || value.contains("hush")), "{out:?}");
    assert_eq!(value(&out, "location"), Some("https://sluice.example/v/hub/x?a=1"));
    assert_eq!(value(&out, "content-location"), Some("https://sluice.example/v/hub/x"));
    assert_eq!(value(&out, "link"), Some("<https://sluice.example/v/hub/x?a=1>; rel=next"));
    assert_eq!(value(&out, "refresh"), Some("0; url=/x"));
    assert_eq!(value(&out, "x-request"), Some("GET /x?api_key=***"));
    assert_eq!(value(&out, "content-type"), Some("text/plain"));
}

#[test]
fn the_vendors_own_limits_stand_before_ours_which_have_other_names_then() {
    let vendor = headers(&[("RateLimit", "\"v\";r=9"), ("ratelimit", "\"w\";r=8")]);
    let out = returned(&vendor, &call(&Mask::default()));
    assert_eq!(value(&out, "ratelimit"), Some("\"v\";r=9, \"w\";r=8, \"sluice-a\";r=0"));
    assert_eq!(value(&out, "ratelimit-policy"), Some("\"sluice-a\";q=1"));
    let mask = Mask::default();
    let none = Returning { rate_limit: "", rate_limit_policy: "", ..call(&mask) };
    let out = returned(&headers(&[("RateLimit-Policy", "\"v\";q=9")]), &none);
    assert_eq!((value(&out, "ratelimit-policy"), value(&out, "ratelimit")), (Some("\"v\";q=9"), None));
}

#[test]
fn a_page_gets_nothing_that_would_run_or_hold_at_sluices_own_origin() {
    let vendor = headers(&[("Alt-Svc", "h3=\":443\""), ("Content-Type", "text/html")]);
    let out = returned(&vendor, &Returning { page: true, ..call(&Mask::default()) });
    assert_eq!((value(&out, "content-security-policy"), value(&out, "alt-svc")), (Some("sandbox"), None));
    let out = returned(&vendor, &call(&Mask::default()));
    assert_eq!(value(&out, "content-security-policy"), None);
    assert_eq!((value(&out, "x-content-type-options"), value(&out, "alt-svc")), (Some("nosniff"), Some("h3=\":443\"")));
}

#[test]
fn the_vendors_timing_stands_before_ours() {
    let out = returned(&headers(&[("server-timing", "db;dur=1"), ("Server-Timing", "cdn")]), &call(&Mask::default()));
    assert_eq!(value(&out, "server-timing"), Some("db;dur=1, cdn, queue;dur=5, vendor;dur=70, total;dur=80"));
    assert_eq!(out.iter().filter(|(name, _)| name.eq_ignore_ascii_case("server-timing")).count(), 1);
}

#[test]
fn a_redirect_into_the_vendor_points_here_and_a_created_resource_is_named_as_the_vendor_does() {
    let vendor = headers(&[("Location", "https://api.vendor.com/x")]);
    let out = returned(&vendor, &Returning { status: 302, ..call(&Mask::default()) });
    assert_eq!(value(&out, "location"), Some("https://sluice.example/v/hub/x"));
    let out = returned(&vendor, &Returning { status: 201, ..call(&Mask::default()) });
    assert_eq!(value(&out, "location"), Some("https://api.vendor.com/x"));
}

#[test]
fn a_page_may_read_the_answer() {
    let vendor = headers(&[("Vary", "Accept")]);
    let out = returned(
        &vendor,
        &Returning { origin: Some("https://app.example"), would: Some("wait;ms=3"), ..call(&Mask::default()) },
    );
    assert_eq!(value(&out, "access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(value(&out, "vary"), Some("Accept, Origin"));
    assert_eq!(value(&out, "sluice-would"), Some("wait;ms=3"));
}

#[test]
fn sixteen_thousand_headers_all_named_in_connection_take_hardly_more_than_twice_the_steps_of_eight() {
    let many = |n: usize| {
        let named: Vec<_> = (0..n).map(|at| format!("x-{at}")).collect();
        let mut headers: Headers = named.iter().map(|name| (name.clone(), String::new())).collect();
        headers.push(("Connection".to_owned(), named.join(",")));
        headers
    };
    let (placed, prefer) = (Placed::default(), Prefer::default());
    let sending = Sending {
        passthrough: false,
        placed: &placed,
        also: &[],
        taken: &Taken::default(),
        prefer: &prefer,
        accept_encoding: None,
    };
    grows_as_sorting_does("sent", |n| assert!(outgoing(&many(n), &sending).is_empty()));
    grows_as_sorting_does("returned", |n| drop(returned(&many(n), &call(&mask_of("hush-hush")))));
}
