//! Which headers go out to the vendor, and which come back.

use super::answer::Headers;
use super::cors;
use super::prefer::Prefer;
use super::redirect::rewritten;
use crate::key::{carries_key, without_keys};

/// Of one hop alone (RFC 9110, section 7.6.1), and those that only proxies read.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

/// Not forwarded. `Expect` makes the platform's fetch throw; `X-Real-IP` is put in by the platform, not by the caller;
/// origin and referrer are the caller's page, which a vendor has no business with.
const KEPT_BACK: [&str; 8] =
    ["host", "expect", "priority", "prefer", "origin", "referer", "x-real-ip", "accept-encoding"];

/// The same, by their beginning.
const KEPT_BACK_PREFIXES: [&str; 4] = ["cf-", "x-forwarded-", "sluice-", "sec-"];

/// What of a credential goes where. Its `Debug` shows the names alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Placed {
    /// A header, put in place of any of that name.
    pub header: Option<(String, String)>,
    /// A query parameter, name and value percent-encoded, put in place of any of that name.
    pub query: Option<(String, String)>,
}

impl std::fmt::Debug for Placed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = |pair: &Option<(String, String)>| pair.as_ref().map(|(name, _)| name.clone());
        f.debug_struct("Placed")
            .field("header", &name(&self.header))
            .field("query", &name(&self.query))
            .finish_non_exhaustive()
    }
}

/// How a request goes out.
#[derive(Debug, Clone, Copy)]
pub struct Sending<'a> {
    /// The connection's credential is `passthrough`: cookies go through, nothing is put in.
    pub passthrough: bool,
    /// What is put in.
    pub placed: &'a Placed,
    /// What the caller prefers; its rest goes on.
    pub prefer: &'a Prefer,
    /// The encodings the vendor may answer in. The platform replaces the caller's field, so it comes apart.
    pub accept_encoding: Option<&'a str>,
}

/// The headers of the vendor's request.
pub fn outgoing(request: &[(String, String)], how: &Sending) -> Headers {
    let named = named_in_connection(request);
    let mut out = Headers::with_capacity(request.len() + 2);
    for (name, value) in request {
        let lower = name.to_ascii_lowercase();
        let dropped = HOP_BY_HOP.contains(&lower.as_str())
            || KEPT_BACK.contains(&lower.as_str())
            || KEPT_BACK_PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
            || named.contains(&lower)
            || (lower == "cookie" && !how.passthrough)
            || how.placed.header.as_ref().is_some_and(|(placed, _)| placed.eq_ignore_ascii_case(&lower))
            || carries_key(&lower, value);
        if !dropped {
            out.push((name.clone(), value.clone()));
        }
    }
    if let Some(rest) = &how.prefer.rest {
        out.push(("Prefer".to_owned(), rest.clone()));
    }
    if let Some(encodings) = how.accept_encoding {
        out.push(("Accept-Encoding".to_owned(), encodings.to_owned()));
    }
    out.extend(how.placed.header.clone());
    out
}

/// The query of the vendor's request: as sent, but for a key, in whose place the credential goes.
pub fn outgoing_query(query: Option<&str>, placed: &Placed) -> Option<String> {
    let carries_key = |parameter: &str| !parameter.is_empty() && without_keys(parameter).is_empty();
    let mut out: Vec<String> = Vec::new();
    let mut waiting = placed.query.as_ref();
    for parameter in query.into_iter().flat_map(|query| query.split('&')) {
        let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
        if placed.query.as_ref().is_some_and(|(placed, _)| placed == name) {
            out.extend(waiting.take().map(|(name, value)| format!("{name}={value}")));
        } else if !carries_key(parameter) {
            out.push(parameter.to_owned());
        }
    }
    out.extend(waiting.map(|(name, value)| format!("{name}={value}")));
    // What was only the key leaves no query, not an empty one.
    (!out.is_empty()).then(|| out.join("&"))
}

/// What is known of a call when the vendor's headers are there. Times are milliseconds to the first byte.
#[derive(Debug, Clone, Copy)]
pub struct Returning<'a> {
    /// The vendor's status.
    pub status: u16,
    /// The connection's credential is `passthrough`: cookies come through.
    pub passthrough: bool,
    /// The connection's base URL.
    pub base_url: &'a str,
    /// What stands for it here: [`super::Target::connection_url`].
    pub connection_url: &'a str,
    /// The call's id.
    pub call: &'a str,
    /// Vendor calls made.
    pub attempts: u32,
    /// Time in the queue.
    pub queue_ms: u64,
    /// Time at the vendor.
    pub vendor_ms: u64,
    /// Time in all.
    pub total_ms: u64,
    /// The field `RateLimit-Policy`; empty for none.
    pub rate_limit_policy: &'a str,
    /// The field `RateLimit`; empty for none.
    pub rate_limit: &'a str,
    /// The field `Sluice-Would`, in observe mode.
    pub would: Option<&'a str>,
    /// The caller's `Origin`.
    pub origin: Option<&'a str>,
}

/// The headers of the answer to the caller: the vendor's, less what is of one hop or ours to say, and ours.
pub fn returned(vendor: &[(String, String)], call: &Returning) -> Headers {
    let named = named_in_connection(vendor);
    let mut out = Headers::with_capacity(vendor.len() + 10);
    let mut timing = String::new();
    for (name, value) in vendor {
        let lower = name.to_ascii_lowercase();
        let dropped = HOP_BY_HOP.contains(&lower.as_str())
            || named.contains(&lower)
            || lower.starts_with("access-control-")
            || lower.starts_with("sluice-")
            || matches!(lower.as_str(), "ratelimit" | "ratelimit-policy")
            || (matches!(lower.as_str(), "set-cookie" | "set-cookie2") && !call.passthrough);
        if dropped {
            continue;
        }
        match lower.as_str() {
            "server-timing" => {
                timing.push_str(value);
                timing.push_str(", ");
            }
            "location" if (300..400).contains(&call.status) => {
                let location = rewritten(value, call.base_url, call.connection_url);
                out.push((name.clone(), location.unwrap_or_else(|| value.clone())));
            }
            _ => out.push((name.clone(), value.clone())),
        }
    }
    let mut add = |name: &str, value: String| out.push((name.to_owned(), value));
    add("Sluice-Call", call.call.to_owned());
    add("Sluice-Attempts", call.attempts.to_string());
    let (queue, vendor, total) = (call.queue_ms, call.vendor_ms, call.total_ms);
    add("Server-Timing", format!("{timing}queue;dur={queue}, vendor;dur={vendor}, total;dur={total}"));
    if !call.rate_limit_policy.is_empty() {
        add("RateLimit-Policy", call.rate_limit_policy.to_owned());
    }
    if !call.rate_limit.is_empty() {
        add("RateLimit", call.rate_limit.to_owned());
    }
    if let Some(would) = call.would {
        add("Sluice-Would", would.to_owned());
    }
    cors::allow(&mut out, call.origin);
    out
}

/// What `Connection` names is of one hop too; lower case.
fn named_in_connection(headers: &[(String, String)]) -> Vec<String> {
    headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
        .flat_map(|(_, value)| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::answer::value;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn bearer() -> Placed {
        Placed { header: Some(("Authorization".into(), "Bearer vendor-token".into())), query: None }
    }

    fn sent(request: &[(&str, &str)], passthrough: bool, placed: &Placed) -> Headers {
        let request = headers(request);
        let prefer = Prefer::read(&request);
        outgoing(&request, &Sending { passthrough, placed, prefer: &prefer, accept_encoding: Some("gzip") })
    }

    fn call<'a>() -> Returning<'a> {
        Returning {
            status: 200,
            passthrough: false,
            base_url: "https://api.vendor.com",
            connection_url: "https://sluice.example/v/hub",
            call: "c1",
            attempts: 2,
            queue_ms: 5,
            vendor_ms: 70,
            total_ms: 80,
            rate_limit_policy: "\"a\";q=1",
            rate_limit: "\"a\";r=0",
            would: None,
            origin: None,
        }
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
            assert_eq!(outgoing_query(query, &Placed::default()).as_deref(), query);
        }
    }

    #[test]
    fn a_key_in_the_query_gives_its_place_to_the_credential() {
        let secret = Placed { header: None, query: Some(("api_secret".into(), "s%26".into())) };
        for (query, expected) in [
            (Some("a=1&api_secret=slk_k&b=%2F"), "a=1&api_secret=s%26&b=%2F"),
            (Some("a=1"), "a=1&api_secret=s%26"),
            (None, "api_secret=s%26"),
            (Some("api_secret=x&a&api_secret=y"), "api_secret=s%26&a"),
        ] {
            assert_eq!(outgoing_query(query, &secret).as_deref(), Some(expected), "{query:?}");
        }
        assert_eq!(outgoing_query(Some("access_token=slk_k&b=2"), &bearer()).as_deref(), Some("b=2"));
        assert_eq!(outgoing_query(Some("access_token=slk_k"), &bearer()), None);
    }

    #[test]
    fn a_credential_is_not_shown() {
        let both = Placed { query: Some(("api_secret".into(), "hidden".into())), ..bearer() };
        let shown = format!("{both:?}");
        assert!(
            shown.contains("Authorization") && !shown.contains("hidden") && !shown.contains("vendor-token"),
            "{shown}"
        );
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
        let out = returned(&vendor, &call());
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
            ("RateLimit", "\"v\";r=9"),
            ("RateLimit-Policy", "\"v\";q=9"),
            ("Set-Cookie", "a=b"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "x-hop"),
            ("X-Hop", "1"),
        ]);
        let plain = Returning { rate_limit: "", rate_limit_policy: "", ..call() };
        let names: Vec<_> = returned(&vendor, &plain).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Sluice-Call", "Sluice-Attempts", "Server-Timing"]);
    }

    #[test]
    fn two_cookies_come_back_in_passthrough() {
        let vendor = headers(&[("Set-Cookie", "a=1"), ("set-cookie", "b=2, c")]);
        let out = returned(&vendor, &Returning { passthrough: true, ..call() });
        assert_eq!(out[..2], vendor);
    }

    #[test]
    fn the_vendors_timing_stands_before_ours() {
        let out = returned(&headers(&[("server-timing", "db;dur=1"), ("Server-Timing", "cdn")]), &call());
        assert_eq!(value(&out, "server-timing"), Some("db;dur=1, cdn, queue;dur=5, vendor;dur=70, total;dur=80"));
        assert_eq!(out.iter().filter(|(name, _)| name.eq_ignore_ascii_case("server-timing")).count(), 1);
    }

    #[test]
    fn a_redirect_into_the_vendor_points_here_and_a_created_resource_is_named_as_the_vendor_does() {
        let vendor = headers(&[("Location", "https://api.vendor.com/x")]);
        let out = returned(&vendor, &Returning { status: 302, ..call() });
        assert_eq!(value(&out, "location"), Some("https://sluice.example/v/hub/x"));
        let out = returned(&vendor, &Returning { status: 201, ..call() });
        assert_eq!(value(&out, "location"), Some("https://api.vendor.com/x"));
    }

    #[test]
    fn a_page_may_read_the_answer() {
        let vendor = headers(&[("Vary", "Accept")]);
        let out =
            returned(&vendor, &Returning { origin: Some("https://app.example"), would: Some("wait;ms=3"), ..call() });
        assert_eq!(value(&out, "access-control-allow-origin"), Some("https://app.example"));
        assert_eq!(value(&out, "vary"), Some("Accept, Origin"));
        assert_eq!(value(&out, "sluice-would"), Some("wait;ms=3"));
    }
}
