//! Rules for pages in browsers. A preflight is allowed for any origin, and the call itself decides;
//! every answer can be read by the page. No answer of a vendor is ever shown, run or obeyed as if
//! it were Sluice's, since the status page with its key has the same origin.

use super::answer::{Answer, Headers, value};

/// How long a browser may keep the answer to a preflight, seconds: two hours, the most that
/// Chromium accepts.
const MAX_AGE_SECONDS: &str = "7200";

/// Whether a request only asks if another one would be allowed.
pub fn is_preflight(method: &str, headers: &[(String, String)]) -> bool {
    method == "OPTIONS"
        && value(headers, "origin").is_some()
        && value(headers, "access-control-request-method").is_some()
}

/// Makes the answer to a preflight. It costs nothing: no key is read and no object is called.
pub fn preflight(headers: &[(String, String)]) -> Answer {
    let mut answer = Answer::empty(204);
    let mut allow = |name: &str, requested: &str| {
        if let Some(value) = value(headers, requested).filter(|value| !value.is_empty()) {
            answer.headers.push((name.to_owned(), value.to_owned()));
        }
    };
    allow("Access-Control-Allow-Origin", "origin");
    allow("Access-Control-Allow-Methods", "access-control-request-method");
    // The requested headers are repeated because `*` does not include `Authorization`.
    allow("Access-Control-Allow-Headers", "access-control-request-headers");
    answer
        .with("Access-Control-Max-Age", MAX_AGE_SECONDS)
        .with("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
}

/// Lets the calling page read the answer with all headers. It does nothing for a request without
/// `Origin`.
pub fn allow(headers: &mut Headers, origin: Option<&str>) {
    let Some(origin) = origin else { return };
    headers.push(("Access-Control-Allow-Origin".to_owned(), origin.to_owned()));
    headers.push(("Access-Control-Expose-Headers".to_owned(), "*".to_owned()));
    match headers.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("vary")) {
        Some((_, vary)) => {
            let named =
                vary.split(',').any(|name| matches!(name.trim(), "*") || name.trim().eq_ignore_ascii_case("origin"));
            if !named {
                vary.push_str(if vary.is_empty() { "Origin" } else { ", Origin" });
            }
        }
        None => headers.push(("Vary".to_owned(), "Origin".to_owned())),
    }
}

/// The values of `Sec-Fetch-Dest` for what a browser would show or run at the address itself.
const SHOWN: [&str; 9] =
    ["document", "iframe", "frame", "fencedframe", "embed", "object", "worker", "sharedworker", "serviceworker"];

/// The media types in which a form can be posted.
const FORMS: [&str; 3] = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];

/// Whether a browser would show or run the answer at the address itself: somebody follows a link,
/// opens a frame or posts a form, which any page can cause. Browsers say so in `Sec-Fetch-Mode` and
/// `Sec-Fetch-Dest`. Older ones that know neither send `Upgrade-Insecure-Requests` then, and with a
/// form they prefer HTML in `Accept`, which no script does.
pub fn is_navigation(method: &str, headers: &[(String, String)]) -> bool {
    let is = |name: &str, known: &[&str]| {
        value(headers, name).is_some_and(|value| known.iter().any(|word| word.eq_ignore_ascii_case(value.trim())))
    };
    if is("sec-fetch-dest", &SHOWN) || is("sec-fetch-mode", &["navigate", "nested-navigate"]) {
        return true;
    }
    if value(headers, "sec-fetch-mode").is_some() {
        return false;
    }
    let kind = value(headers, "content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let form = method == "POST" && FORMS.iter().any(|form| form.eq_ignore_ascii_case(kind));
    let html = value(headers, "accept").is_some_and(|accept| accept.to_ascii_lowercase().contains("text/html"));
    value(headers, "upgrade-insecure-requests").is_some()
        || (form && html && (value(headers, "origin").is_some() || value(headers, "sec-fetch-site").is_some()))
}

/// Headers with which a vendor would instruct a browser about Sluice's origin or host. They have
/// effect beyond their answer.
const ORDERS: [&str; 5] = ["clear-site-data", "service-worker-allowed", "nel", "report-to", "reporting-endpoints"];

/// Further such headers that only browsers obey, dropped only from answers to pages.
const ORDERS_TO_PAGES: [&str; 3] = ["strict-transport-security", "alt-svc", "public-key-pins"];

/// Whether a vendor's header (name in lower case) would have effect beyond its answer.
pub fn is_order(name: &str, page: bool) -> bool {
    ORDERS.contains(&name) || (page && ORDERS_TO_PAGES.contains(&name))
}

/// Keeps a browser from treating an answer as another type than it declares and, where a page made
/// the call, from running it here.
pub fn guard(headers: &mut Headers, page: bool) {
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case("x-content-type-options"));
    headers.push(("X-Content-Type-Options".to_owned(), "nosniff".to_owned()));
    if page {
        // The vendor's own policy stays beside it, as a browser enforces each of them.
        headers.push(("Content-Security-Policy".to_owned(), "sandbox".to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_navigation_and_a_form_are_told_from_a_script() {
        let is = |method: &str, pairs: &[(&str, &str)]| is_navigation(method, &headers(pairs));
        let form = ("content-type", "application/x-www-form-urlencoded");
        for (method, pairs) in [
            ("GET", &[("sec-fetch-mode", "navigate")][..]),
            ("POST", &[("sec-fetch-mode", "navigate"), form]),
            ("GET", &[("Sec-Fetch-Mode", "Navigate"), ("sec-fetch-dest", "iframe")]),
            ("GET", &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "embed")]),
            ("GET", &[("sec-fetch-mode", "same-origin"), ("sec-fetch-dest", "serviceworker")]),
            ("GET", &[("upgrade-insecure-requests", "1")]),
            ("POST", &[("origin", "https://a"), form, ("accept", "text/html,application/xhtml+xml,*/*;q=0.8")]),
            ("POST", &[("origin", "null"), ("content-type", "Text/Plain; charset=x"), ("accept", "text/html")]),
        ] {
            assert!(is(method, pairs), "{method} {pairs:?}");
        }
        for (method, pairs) in [
            ("GET", &[][..]),
            ("GET", &[("accept", "text/html")]),
            ("POST", &[form, ("accept", "text/html")]),
            ("POST", &[form, ("origin", "https://a"), ("accept", "*/*")]),
            ("POST", &[("origin", "https://a"), ("content-type", "application/json"), ("accept", "text/html")]),
            ("POST", &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), form, ("accept", "text/html")]),
            ("POST", &[("sec-fetch-mode", "no-cors"), ("content-type", "text/plain"), ("origin", "https://a")]),
        ] {
            assert!(!is(method, pairs), "{method} {pairs:?}");
        }
    }

    #[test]
    fn a_vendor_orders_no_browser_about() {
        assert!(is_order("clear-site-data", false) && is_order("alt-svc", true) && !is_order("alt-svc", false));
        let mut out = headers(&[("x-content-type-options", "sniff"), ("Content-Security-Policy", "img-src *")]);
        guard(&mut out, true);
        let policies: Vec<_> = out.iter().filter(|(name, _)| name == "Content-Security-Policy").collect();
        assert_eq!((value(&out, "x-content-type-options"), policies.len()), (Some("nosniff"), 2));
    }

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_preflight_is_an_options_with_origin_and_method() {
        let asks = headers(&[("Origin", "https://a"), ("Access-Control-Request-Method", "PUT")]);
        assert!(is_preflight("OPTIONS", &asks));
        assert!(!is_preflight("GET", &asks));
        assert!(!is_preflight("OPTIONS", &headers(&[("Origin", "https://a")])), "an OPTIONS of the vendor's own");
        assert!(!is_preflight("OPTIONS", &headers(&[("Access-Control-Request-Method", "PUT")])));
    }

    #[test]
    fn a_preflight_is_allowed_whatever_it_asks() {
        let answer = preflight(&headers(&[
            ("origin", "https://a"),
            ("access-control-request-method", "PATCH"),
            ("access-control-request-headers", "authorization, x-y"),
        ]));
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://a"));
        assert_eq!(answer.header("access-control-allow-methods"), Some("PATCH"));
        assert_eq!(answer.header("access-control-allow-headers"), Some("authorization, x-y"));
        assert!(answer.header("vary").unwrap().contains("Origin"));
    }

    #[test]
    fn a_preflight_without_headers_is_allowed_without_them() {
        let answer = preflight(&headers(&[("origin", "null"), ("access-control-request-method", "GET")]));
        assert_eq!(answer.header("access-control-allow-origin"), Some("null"));
        assert_eq!(answer.header("access-control-allow-headers"), None);
    }

    #[test]
    fn vary_names_the_origin_once() {
        for (before, after) in
            [("Accept", "Accept, Origin"), ("accept,origin", "accept,origin"), ("*", "*"), ("", "Origin")]
        {
            let mut out = headers(&[("vary", before)]);
            allow(&mut out, Some("https://a"));
            assert_eq!(value(&out, "Vary"), Some(after));
        }
        let mut out = Vec::new();
        allow(&mut out, None);
        assert!(out.is_empty());
    }
}
