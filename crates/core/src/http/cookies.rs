//! Confines the cookies of a vendor whose connection passes them through. A caller's cookie jar
//! stores them for Sluice's host, which all connections share. Each cookie is limited to the paths
//! of its own connection, so that no other vendor receives it.

/// Where a connection is at the vendor and at Sluice.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The path of the base URL, without a trailing slash.
    pub base: &'a str,
    /// The path that stands for it at Sluice: `/v/{connection}`, or empty where the host names the
    /// connection.
    pub prefix: &'a str,
    /// The path of the call below the base URL.
    pub path: &'a str,
}

/// Returns a `Set-Cookie` field as the caller gets it: without `Domain`, and with a `Path` within
/// its connection. It is `None` for a cookie that the vendor itself would not receive at any of the
/// connection's addresses.
pub fn confined(field: &str, place: &Place) -> Option<String> {
    let mut parts = field.split(';');
    let mut out = parts.next()?.to_owned();
    let named = |part: &str, name: &str| part.split('=').next().unwrap_or_default().trim().eq_ignore_ascii_case(name);
    // The last `Path` counts (RFC 6265, section 5.3).
    let given = parts.clone().rfind(|part| named(part, "path"));
    let given =
        given.and_then(|part| part.split_once('=')).map(|(_, path)| path.trim()).filter(|path| path.starts_with('/'));
    let usual = default_path(place);
    let path = here(given.unwrap_or(&usual), place)?;
    let mut written = false;
    for part in parts.filter(|part| !named(part, "domain")) {
        if !named(part, "path") {
            out.push(';');
            out.push_str(part);
        } else if !written {
            written = true;
            out.push_str("; Path=");
            out.push_str(&path);
        }
    }
    if !written {
        out.push_str("; Path=");
        out.push_str(&path);
    }
    Some(out)
}

/// Returns the path of a cookie that names none: the folder of the address it came from (RFC 6265,
/// section 5.1.4).
fn default_path(place: &Place) -> String {
    let whole = format!("{}{}", place.base, place.path);
    match whole.rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() => folder.to_owned(),
        _ => "/".to_owned(),
    }
}

/// Translates a vendor's path to the one at Sluice.
fn here(path: &str, Place { base, prefix, .. }: &Place) -> Option<String> {
    let within = |outer: &str, inner: &str| {
        inner
            .strip_prefix(outer)
            .filter(|rest| outer.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
            .is_some()
    };
    // A parent of the base path covers all of the connection.
    let rest =
        if within(path, &format!("{base}/")) { "" } else { path.strip_prefix(base).filter(|_| within(base, path))? };
    let here = format!("{prefix}{rest}");
    Some(if here.is_empty() { "/".to_owned() } else { here })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place = Place { base: "", prefix: "/v/c", path: "/a/b" };
    const BELOW: Place = Place { base: "/crm/rest", prefix: "/v/c", path: "/a/b" };
    const BY_HOST: Place = Place { base: "", prefix: "", path: "/a" };

    fn shown(field: &str, place: &Place) -> String {
        confined(field, place).unwrap_or_default()
    }

    #[test]
    fn a_cookie_belongs_to_its_connection_alone() {
        for (field, expected) in [
            ("a=1", "a=1; Path=/v/c/a"),
            ("a=1; Path=/; HttpOnly", "a=1; Path=/v/c; HttpOnly"),
            ("a=1;path=/x/ ;Secure", "a=1; Path=/v/c/x/;Secure"),
            ("a=1; Path=/x; Path=/y", "a=1; Path=/v/c/y"),
            ("a=1; Path=x", "a=1; Path=/v/c/a"),
            ("a=1; Path", "a=1; Path=/v/c/a"),
            ("a=1; Domain=.vendor.example; Max-Age=5; DOMAIN = x", "a=1; Max-Age=5; Path=/v/c/a"),
            ("path=/; Domain=x", "path=/; Path=/v/c/a"),
        ] {
            assert_eq!(shown(field, &HERE), expected, "{field}");
        }
    }

    #[test]
    fn a_path_of_the_vendors_is_taken_below_the_base_url() {
        for (field, expected) in [
            ("a=1; Path=/crm/rest/x", "a=1; Path=/v/c/x"),
            ("a=1; Path=/crm/rest", "a=1; Path=/v/c"),
            ("a=1; Path=/crm/rest/", "a=1; Path=/v/c"),
            ("a=1; Path=/crm", "a=1; Path=/v/c"),
            ("a=1; Path=/crm/", "a=1; Path=/v/c"),
            ("a=1; Path=/", "a=1; Path=/v/c"),
            ("a=1", "a=1; Path=/v/c/a"),
        ] {
            assert_eq!(shown(field, &BELOW), expected, "{field}");
        }
        for outside in ["/crm/rest2", "/cr", "/login", "/crm/restx/y"] {
            assert_eq!(confined(&format!("a=1; Path={outside}"), &BELOW), None, "{outside}");
        }
    }

    #[test]
    fn a_connection_that_has_a_host_keeps_its_paths() {
        assert_eq!(shown("a=1; Domain=.example.com; Path=/x", &BY_HOST), "a=1; Path=/x");
        assert_eq!(shown("a=1", &BY_HOST), "a=1; Path=/");
        assert_eq!(shown("a=1", &Place { path: "", ..BY_HOST }), "a=1; Path=/");
        assert_eq!(shown("a=1", &Place { path: "", ..HERE }), "a=1; Path=/v/c");
    }
}
