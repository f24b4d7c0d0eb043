//! Handles requests that crossed the network without TLS. No key is accepted in one, since an
//! eavesdropper already has it.

use super::route::{Address, Target};

/// How long a browser remembers to use only https, seconds: a year.
pub const STRICT_TRANSPORT: (&str, &str) = ("Strict-Transport-Security", "max-age=31536000");

/// What happens to a request, depending on whether it came over plain HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Crossing {
    /// It is served: it came over https, never left its machine, or only asks for `/healthz`.
    Passes,
    /// It carries no key and is redirected to this https address.
    Moves(String),
    /// It carries a key, or could, and is refused without being read.
    Refused,
}

/// Decides on a request that reached the platform, by its method and whether it has a field for a
/// key.
pub fn crossing(method: &str, target: &Target<'_>, has_credential: bool) -> Crossing {
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
}
