//! Rewrites the addresses in a vendor's headers: `Location` of a redirect, `Content-Location`, and
//! the targets of `Link`. An address within the base URL becomes the same place at Sluice: a caller
//! that followed it to the vendor would bypass the limiter and show its key there.

/// Returns the rewritten `Location`, or `None` where it may stay as the vendor wrote it. `base_url`
/// and `connection_url` have no trailing slash.
pub fn rewritten(location: &str, base_url: &str, connection_url: &str) -> Option<String> {
    let (scheme, host_and_path) = base_url.split_once("://")?;
    let (host, base_path) = host_and_path.split_at(host_and_path.find('/').unwrap_or(host_and_path.len()));
    let location = location.trim();
    let path = if let Some(rest) = location.strip_prefix("//") {
        after_host(rest, host, scheme)?
    } else if location.starts_with('/') {
        location
    } else {
        let (its_scheme, rest) = location.split_once("://")?;
        after_host(rest, host, scheme).filter(|_| its_scheme.eq_ignore_ascii_case(scheme))?
    };
    match path.strip_prefix(base_path) {
        Some(rest) if rest.is_empty() || rest.starts_with(['/', '?', '#']) => Some(format!("{connection_url}{rest}")),
        // The address is at the vendor but outside the base, and a bare path would lead to Sluice
        // itself.
        _ if location.starts_with('/') => Some(format!("{scheme}://{host}{path}")),
        _ => None,
    }
}

/// Returns a `Link` field (RFC 8288) with its targets rewritten, or `None` where all may stay.
pub fn rewritten_links(field: &str, base_url: &str, connection_url: &str) -> Option<String> {
    let mut out = String::with_capacity(field.len());
    let mut changed = false;
    let mut rest = field;
    // A target is between angle brackets, and a parameter's quotes may contain such brackets too.
    while let Some(at) = rest.find(['<', '"']) {
        let (before, from) = rest.split_at(at);
        let mark = if from.starts_with('<') { '>' } else { '"' };
        let Some(end) = closing(from, mark) else { break };
        let (inside, after) = (from.get(1..end).unwrap_or_default(), from.get(end..).unwrap_or_default());
        let target = if mark == '>' { rewritten(inside, base_url, connection_url) } else { None };
        changed |= target.is_some();
        out.push_str(before);
        out.extend(from.chars().next());
        out.push_str(target.as_deref().unwrap_or(inside));
        out.push(mark);
        rest = after.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
    changed.then_some(out)
}

/// Returns where a quoted part ends that begins with the first character. A character after `\`
/// does not end it.
fn closing(text: &str, mark: char) -> Option<usize> {
    let mut escaped = false;
    let ends = |(_, character): &(usize, char)| {
        let ends = *character == mark && !escaped;
        escaped = mark == '"' && *character == '\\' && !escaped;
        ends
    };
    text.char_indices().skip(1).find(ends).map(|(at, _)| at)
}

/// Returns what follows the host, if it is this one. Host names ignore case, and `:443` is the
/// default of https.
fn after_host<'a>(text: &'a str, host: &str, scheme: &str) -> Option<&'a str> {
    let (its_host, rest) = text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()));
    let default = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let bare = |host: &str| host.strip_suffix(default).unwrap_or(host).to_ascii_lowercase();
    (bare(its_host) == bare(host)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::{rewritten, rewritten_links};
    use proptest::prelude::*;

    const HERE: &str = "http://127.0.0.1:8787/v/hub";

    fn at_root(location: &str) -> Option<String> {
        rewritten(location, "https://api.vendor.com", HERE)
    }

    fn under_base(location: &str) -> Option<String> {
        rewritten(location, "https://api.vendor.com/crm", HERE)
    }

    #[test]
    fn into_the_base_url_becomes_here() {
        for (location, rest) in [
            ("https://api.vendor.com/a?b#c", "/a?b#c"),
            ("https://API.vendor.com:443/a", "/a"),
            ("HTTPS://api.vendor.com", ""),
            ("https://api.vendor.com?x", "?x"),
            ("//api.vendor.com/a", "/a"),
            ("/a/b", "/a/b"),
        ] {
            assert_eq!(at_root(location), Some(format!("{HERE}{rest}")), "{location}");
        }
        assert_eq!(under_base("https://api.vendor.com/crm/v1"), Some(format!("{HERE}/v1")));
        assert_eq!(under_base("/crm?x"), Some(format!("{HERE}?x")));
    }

    #[test]
    fn elsewhere_stays_as_written() {
        for location in [
            "https://api.vendor.com.evil/a",
            "https://api.vendor.com@evil/a",
            "http://api.vendor.com/a",
            "https://api.vendor.com:8443/a",
            "https://other.com/a",
            "//other.com/a",
            "relative/a",
            "?x",
            "",
        ] {
            assert_eq!(at_root(location), None, "{location}");
        }
        assert_eq!(under_base("https://api.vendor.com/crm2/x"), None);
    }

    #[test]
    fn a_path_outside_the_base_is_made_absolute_at_the_vendor() {
        assert_eq!(under_base("/login"), Some("https://api.vendor.com/login".into()));
        assert_eq!(under_base("/crm2"), Some("https://api.vendor.com/crm2".into()));
    }

    #[test]
    fn links_into_the_base_url_become_here_and_others_stay() {
        let links = |field: &str| rewritten_links(field, "https://api.vendor.com/crm", HERE);
        for (field, expected) in [
            (
                r#"<https://api.vendor.com/crm/a?page=2>; rel="next", <https://other.com/>; rel="x""#,
                format!(r#"<{HERE}/a?page=2>; rel="next", <https://other.com/>; rel="x""#),
            ),
            ("</crm/a>;rel=next,</crm/b>; rel=last", format!("<{HERE}/a>;rel=next,<{HERE}/b>; rel=last")),
            (r#"<x>; title="a \" </crm/a>", </crm/b>"#, format!(r#"<x>; title="a \" </crm/a>", <{HERE}/b>"#)),
        ] {
            assert_eq!(links(field), Some(expected), "{field}");
        }
        for field in ["", "<a>; rel=next", "</crm/a", r#"<a>; title="</crm/a>"#, "https://api.vendor.com/crm/a"] {
            assert_eq!(links(field), None, "{field}");
        }
    }

    proptest! {
        #[test]
        fn any_link_is_read_without_panic(field in ".{0,40}", marks in "[<>\"\\\\/a]{0,20}") {
            rewritten_links(&field, "https://v.example", HERE);
            rewritten_links(&marks, "https://v.example", HERE);
        }

        #[test]
        fn any_location_is_read_without_panic(location in ".{0,40}") {
            under_base(&location);
        }
    }
}
