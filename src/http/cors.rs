//! Pages in browsers: the preflight says yes to any origin, the call itself decides; every answer can be read.

use super::answer::{Answer, Headers, value};

/// How long a browser may keep a preflight's answer, seconds: two hours, the most that Chromium heeds.
const MAX_AGE_SECONDS: &str = "7200";

/// Whether a request only asks if another one would be allowed.
pub fn is_preflight(method: &str, headers: &[(String, String)]) -> bool {
    method == "OPTIONS"
        && value(headers, "origin").is_some()
        && value(headers, "access-control-request-method").is_some()
}

/// The answer to a preflight. It costs nothing: no key is read and no object is asked.
pub fn preflight(headers: &[(String, String)]) -> Answer {
    let mut answer = Answer::empty(204);
    let mut allow = |name: &str, asked: &str| {
        if let Some(value) = value(headers, asked).filter(|value| !value.is_empty()) {
            answer.headers.push((name.to_owned(), value.to_owned()));
        }
    };
    allow("Access-Control-Allow-Origin", "origin");
    allow("Access-Control-Allow-Methods", "access-control-request-method");
    // Repeated rather than `*`, which does not stand for `Authorization`.
    allow("Access-Control-Allow-Headers", "access-control-request-headers");
    answer
        .with("Access-Control-Max-Age", MAX_AGE_SECONDS)
        .with("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
}

/// Lets the page that asked read the answer, headers and all. Does nothing for a request without `Origin`.
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

#[cfg(test)]
mod tests {
    use super::*;

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
