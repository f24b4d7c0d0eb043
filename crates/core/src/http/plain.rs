//! Handles requests that crossed the network without TLS. No key is accepted in one, since an
//! eavesdropper already has it.

use super::answer::{Answer, value};
use super::cors::is_preflight;
use super::route::{Address, Target, parse_target};
use crate::refusal::{Reason, Refusal};

/// How long a browser remembers to use only https, seconds: a year.
pub const STRICT_TRANSPORT: (&str, &str) = ("Strict-Transport-Security", "max-age=31536000");

/// The fields in which a request may carry a key, in lower case.
const CREDENTIAL_FIELDS: [&str; 3] = ["authorization", "sluice-key", "sec-websocket-protocol"];

/// The head of a request, as far as it decides whether it may come in clear.
#[derive(Debug, Clone, Copy)]
pub struct PlainHead<'a> {
    /// The method, upper case.
    pub method: &'a str,
    /// The URL as sent.
    pub url: &'a str,
    /// The headers as sent, names in lower case.
    pub headers: &'a [(String, String)],
}

/// Returns the answer to a request that has crossed the network over plain HTTP, where such
/// requests are not served; none where they are. `host_suffix` is that of hosts which name
/// connections. `has_crossed` says whether the request came by the platform's edge, which states it
/// for every request: it is asked only where that decides.
///
/// # Errors
/// The request is refused: it carries a key, or could.
pub fn in_clear(
    head: &PlainHead<'_>,
    host_suffix: Option<&str>,
    has_crossed: impl FnOnce() -> bool,
) -> Result<Option<Answer>, Refusal> {
    if !head.url.starts_with("http://") || is_preflight(head.method, head.headers) || !has_crossed() {
        return Ok(None);
    }
    let Ok(target) = parse_target(head.url, host_suffix) else { return Ok(None) };
    let has_credential = CREDENTIAL_FIELDS.iter().any(|name| value(head.headers, name).is_some());
    match crossing(head.method, &target, has_credential) {
        Crossing::Passes => Ok(None),
        Crossing::Moves(to) => Ok(Some(Answer::empty(308).with("Location", to))),
        Crossing::Refused => {
            let detail = "this came over plain http, where anybody on the way can read a key: use https, and replace any \
                key that was sent";
            Err(Refusal::new(Reason::Https, detail))
        }
    }
}

/// What becomes of a request over plain HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Crossing {
    /// It goes on as it is: it came over https or did not leave its machine, or carries no key.
    Passes,
    /// It carries no key and is redirected to this https address.
    Moves(String),
    /// It carries a key, or could, and is refused without being read.
    Refused,
}

/// What becomes of a request that has come to the platform's edge, by its method and whether it has a field for a key.
fn crossing(method: &str, target: &Target<'_>, has_credential: bool) -> Crossing {
    if target.scheme != "http" || is_loopback(target.host) {
        return Crossing::Passes;
    }
    match target.address {
        Address::Health => Crossing::Passes,
        Address::File if matches!(method, "GET" | "HEAD") && !has_credential && target.query.is_none() => {
            let host =
                target.host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(target.host, |(host, _)| host);
            Crossing::Moves(format!("https://{host}{}", target.path))
        }
        _ => Crossing::Refused,
    }
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parse_target;

    fn of(method: &str, url: &str, has_credential: bool) -> Crossing {
        let target = parse_target(url, Some(".api.example.com")).expect("a target");
        crossing(method, &target, has_credential)
    }

    #[test]
    fn what_came_by_https_or_from_the_same_machine_passes() {
        for path in ["/", "/v/c/x", "/status.json", "/admin/tenants"] {
            assert_eq!(of("GET", &format!("https://s.example{path}"), true), Crossing::Passes, "{path}");
            for host in ["127.0.0.1", "127.0.0.1:8787", "localhost:1", "[::1]", "[::1]:80"] {
                assert_eq!(of("GET", &format!("http://{host}{path}"), true), Crossing::Passes, "{host}");
            }
        }
    }

    #[test]
    fn a_page_in_clear_is_told_to_come_by_https_and_healthz_answers() {
        let moved = |to: &str| Crossing::Moves(to.to_owned());
        assert_eq!(of("GET", "http://s.example/", false), moved("https://s.example/"));
        assert_eq!(of("HEAD", "http://s.example:8080/app.js", false), moved("https://s.example/app.js"));
        assert_eq!(of("GET", "http://s.example/healthz", false), Crossing::Passes);
    }

    #[test]
    fn what_carries_a_key_in_clear_or_could_is_refused_and_not_sent_on_to_carry_it_again() {
        for (method, url) in [
            ("GET", "http://s.example/v/c/x"),
            ("POST", "http://s.example/v/c/x"),
            ("GET", "http://crm.api.example.com/x"),
            ("GET", "http://s.example/status.json"),
            ("GET", "http://s.example/status/live"),
            ("PUT", "http://s.example/admin/tenants/a"),
            ("POST", "http://s.example/connections/c/pause"),
            ("POST", "http://s.example/"),
            ("GET", "http://s.example/?key=x"),
        ] {
            for has_credential in [false, true] {
                assert_eq!(of(method, url, has_credential), Crossing::Refused, "{method} {url}");
            }
        }
        assert_eq!(of("GET", "http://s.example/", true), Crossing::Refused);
    }

    /// What is answered: `passes`, where to, or the refusal's reason.
    fn answered(method: &str, url: &str, headers: &[(&str, &str)], has_crossed: bool) -> String {
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        match in_clear(&PlainHead { method, url, headers: &headers }, Some(".api.example.com"), || has_crossed) {
            Ok(None) => "passes".to_owned(),
            Ok(Some(answer)) => format!("{} {}", answer.status, answer.header("Location").unwrap_or_default()),
            Err(refusal) => refusal.reason.as_str().to_owned(),
        }
    }

    #[test]
    fn a_request_in_clear_is_heard_only_if_it_did_not_cross_the_network() {
        for url in ["http://s.example/v/c/x", "http://s.example/", "http://crm.api.example.com/x"] {
            assert_eq!(answered("GET", url, &[("sluice-key", "slk_x")], false), "passes", "{url}: a local run");
            assert_eq!(answered("GET", url, &[("sluice-key", "slk_x")], true), "https", "{url}");
            assert_eq!(answered("GET", &url.replace("http:", "https:"), &[("sluice-key", "slk_x")], true), "passes");
        }
        assert_eq!(answered("GET", "http://s.example/app.js", &[], true), "308 https://s.example/app.js");
        for name in CREDENTIAL_FIELDS {
            assert_eq!(answered("GET", "http://s.example/app.js", &[(name, "x")], true), "https", "{name}");
        }
    }

    #[test]
    fn a_preflight_and_what_is_no_address_are_answered_as_over_https() {
        let preflight = [("origin", "https://page.example"), ("access-control-request-method", "GET")];
        assert_eq!(answered("OPTIONS", "http://s.example/v/c/x", &preflight, true), "passes");
        assert_eq!(answered("OPTIONS", "http://s.example/v/c/x", &[], true), "https");
        assert_eq!(answered("GET", "http://s.example/v/%2e%2e/x", &[], true), "passes", "it is refused for its path");
    }

    #[test]
    fn whether_it_has_crossed_the_network_is_asked_only_where_that_decides() {
        let head = PlainHead { method: "GET", url: "https://s.example/", headers: &[] };
        let asked = in_clear(&head, None, || panic!("it came over https"));
        assert_eq!(asked, Ok(None));
    }
}
