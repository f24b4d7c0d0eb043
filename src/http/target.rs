//! What an address is: a vendor's, or one of Sluice's own. Decided on the text of the request line, before any URL
//! parser has tidied it: what is checked here is what the vendor gets.

use super::dots::may_hide_dot_segment;
use crate::refusal::{Reason, Refusal};

/// A request's target, in parts of the text it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// `https` or `http`.
    pub scheme: &'a str,
    /// Host and port as sent.
    pub host: &'a str,
    /// The path as sent, with its first `/`.
    pub path: &'a str,
    /// The query as sent, without `?`.
    pub query: Option<&'a str>,
    /// What it addresses.
    pub address: Address<'a>,
}

/// What is addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address<'a> {
    /// A vendor, by a connection.
    Vendor(VendorTarget<'a>),
    /// `/healthz`
    Health,
    /// `/metrics`
    Metrics,
    /// `/status.json`
    Status,
    /// `/status/live`
    Live,
    /// `/stats/usage.json`, and `/stats/usage/last7days.json` for a week.
    Usage {
        /// Seven days rather than today.
        week: bool,
    },
    /// `/stats/errors.json`, and `/stats/errors/last7days.json` for a week.
    Errors {
        /// Seven days rather than today.
        week: bool,
    },
    /// `/jobs`
    Jobs,
    /// `/jobs/{id}`
    Job(&'a str),
    /// `/jobs/{id}/response`
    JobResponse(&'a str),
    /// `/dead-letters`
    DeadLetters,
    /// `/dead-letters/replay`
    ReplayAll,
    /// `/dead-letters/{id}`
    DeadLetter(&'a str),
    /// `/dead-letters/{id}/replay`
    Replay(&'a str),
    /// `/admin/…`
    Admin(AdminAddress<'a>),
    /// Anything else: a file of the status page, or nothing.
    File,
}

/// What is addressed under `/admin`. Names as sent, not yet checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminAddress<'a> {
    /// `/admin/tenants`
    Tenants,
    /// `/admin/tenants/{tenant}`
    Tenant(&'a str),
    /// `/admin/tenants/{tenant}/keys`
    Keys(&'a str),
    /// `/admin/tenants/{tenant}/keys/{id}`
    Key(&'a str, &'a str),
    /// `/admin/vendors`
    Vendors,
}

/// A vendor's part of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VendorTarget<'a> {
    /// The connection's name as sent, not yet checked.
    pub connection: &'a str,
    /// The vendor's path as sent: empty, or from its first `/`.
    pub path: &'a str,
    /// The vendor's query as sent, without `?`.
    pub query: Option<&'a str>,
    /// Named by the host rather than by `/v/{connection}`.
    pub by_host: bool,
}

impl<'a> VendorTarget<'a> {
    /// The path that routes are matched with: never empty.
    pub fn route_path(&self) -> &'a str {
        if self.path.is_empty() { "/" } else { self.path }
    }

    /// The vendor's URL: plain concatenation, nothing is normalised. `query` is [`Self::query`], or what became of it
    /// when the key was taken out.
    pub fn url(&self, base_url: &str, query: Option<&str>) -> String {
        let mut url = String::with_capacity(base_url.len() + self.path.len() + query.map_or(0, str::len) + 1);
        url.push_str(base_url);
        url.push_str(self.path);
        if let Some(query) = query {
            url.push('?');
            url.push_str(query);
        }
        url
    }
}

impl Target<'_> {
    /// The URL that stands for the connection's `base_url` here; none for Sluice's own addresses.
    pub fn connection_url(&self) -> Option<String> {
        match self.address {
            Address::Vendor(VendorTarget { by_host: true, .. }) => Some(format!("{}://{}", self.scheme, self.host)),
            Address::Vendor(vendor) => Some(format!("{}://{}/v/{}", self.scheme, self.host, vendor.connection)),
            _ => None,
        }
    }

    /// The origin at which Sluice's own addresses are: with host routing, `sluice` in the connection's place.
    pub fn sluice_origin(&self) -> String {
        match self.address {
            Address::Vendor(VendorTarget { by_host: true, .. }) => {
                let suffix = self.host.split_once('.').map_or("", |(_, suffix)| suffix);
                format!("{}://sluice.{suffix}", self.scheme)
            }
            _ => format!("{}://{}", self.scheme, self.host),
        }
    }
}

/// Reads an absolute URL as the platform hands it over, or a path alone. `host_suffix` is `HOST_SUFFIX`, with its
/// first dot.
pub fn parse_target<'a>(url: &'a str, host_suffix: Option<&str>) -> Result<Target<'a>, Refusal> {
    let (scheme, host, rest) = match url.split_once("://") {
        Some((scheme, after)) if !scheme.contains('/') => {
            let end = after.find(['/', '?', '#', '\\']).unwrap_or(after.len());
            let (host, rest) = after.split_at(end);
            (scheme, host, rest)
        }
        _ => ("https", "", url),
    };
    check_characters(rest)?;
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    check_path(path)?;
    let address = match connection_in_host(host, host_suffix) {
        Some(connection) => Address::Vendor(VendorTarget { connection, path, query, by_host: true }),
        None => address(path, query)?,
    };
    Ok(Target { scheme, host, path, query, address })
}

fn check_characters(rest: &str) -> Result<(), Refusal> {
    let found = rest.bytes().find_map(|byte| match byte {
        b' ' => Some("a space"),
        b'#' => Some("a `#`"),
        0..=0x1F | 0x7F => Some("a control character"),
        0x80.. => Some("a character outside ascii"),
        _ => None,
    });
    match found {
        Some(what) => Err(refused(format!("the address has {what} in it: percent-encode it"))),
        None => Ok(()),
    }
}

fn check_path(path: &str) -> Result<(), Refusal> {
    if path.contains('\\') {
        return Err(refused("the path has a `\\` in it: percent-encode it as %5C"));
    }
    if may_hide_dot_segment(path) {
        return Err(refused("the path has a dot segment in it, plain or encoded: send the path it stands for"));
    }
    Ok(())
}

fn refused(detail: impl Into<String>) -> Refusal {
    Refusal::new(Reason::Path, detail)
}

/// The connection that the host names, with host routing; none for `sluice` and for hosts outside the suffix.
fn connection_in_host<'a>(host: &'a str, suffix: Option<&str>) -> Option<&'a str> {
    let suffix = suffix.filter(|suffix| !suffix.is_empty())?;
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let name = name.strip_suffix('.').unwrap_or(name);
    let split = name.len().checked_sub(suffix.len())?;
    let (label, tail) = name.split_at_checked(split)?;
    let ours = tail.eq_ignore_ascii_case(suffix) && !label.is_empty() && !label.contains('.');
    (ours && !label.eq_ignore_ascii_case("sluice")).then_some(label)
}

fn address<'a>(path: &'a str, query: Option<&'a str>) -> Result<Address<'a>, Refusal> {
    if let Some(rest) = path.strip_prefix("/v/") {
        let end = rest.find('/').unwrap_or(rest.len());
        let (connection, path) = rest.split_at(end);
        return Ok(Address::Vendor(VendorTarget { connection, path, query, by_host: false }));
    }
    // One more than any known address has, so that a longer one matches none.
    let mut parts = [""; 6];
    let mut count = 0;
    for part in path.strip_prefix('/').unwrap_or(path).split('/') {
        match parts.get_mut(count) {
            Some(slot) => *slot = part,
            None => break,
        }
        count += 1;
    }
    let found = match parts.get(..count).unwrap_or_default() {
        ["healthz"] => Address::Health,
        ["metrics"] => Address::Metrics,
        ["status.json"] => Address::Status,
        ["status", "live"] => Address::Live,
        ["stats", "usage.json"] => Address::Usage { week: false },
        ["stats", "usage", "last7days.json"] => Address::Usage { week: true },
        ["stats", "errors.json"] => Address::Errors { week: false },
        ["stats", "errors", "last7days.json"] => Address::Errors { week: true },
        ["jobs"] => Address::Jobs,
        ["jobs", id] if !id.is_empty() => Address::Job(id),
        ["jobs", id, "response"] if !id.is_empty() => Address::JobResponse(id),
        ["dead-letters"] => Address::DeadLetters,
        ["dead-letters", "replay"] => Address::ReplayAll,
        ["dead-letters", id] if !id.is_empty() => Address::DeadLetter(id),
        ["dead-letters", id, "replay"] if !id.is_empty() => Address::Replay(id),
        ["admin", "vendors"] => Address::Admin(AdminAddress::Vendors),
        ["admin", "tenants"] => Address::Admin(AdminAddress::Tenants),
        ["admin", "tenants", tenant] if !tenant.is_empty() => Address::Admin(AdminAddress::Tenant(tenant)),
        ["admin", "tenants", tenant, "keys"] if !tenant.is_empty() => Address::Admin(AdminAddress::Keys(tenant)),
        ["admin", "tenants", tenant, "keys", id] if !tenant.is_empty() && !id.is_empty() => {
            Address::Admin(AdminAddress::Key(tenant, id))
        }
        ["admin" | "stats" | "status" | "jobs" | "dead-letters" | "v", ..] => {
            return Err(Refusal::new(
                Reason::NotFound,
                "nothing is at this address: see the readme for those there are",
            ));
        }
        _ => Address::File,
    };
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUFFIX: Option<&str> = Some(".api.example.com");

    fn vendor<'a>(url: &'a str, suffix: Option<&str>) -> VendorTarget<'a> {
        match parse_target(url, suffix).unwrap().address {
            Address::Vendor(vendor) => vendor,
            other => panic!("{url} is {other:?}"),
        }
    }

    fn address_of(path: &str) -> Address<'_> {
        parse_target(path, None).unwrap().address
    }

    fn sent(url: &str, base_url: &str) -> String {
        let target = vendor(url, None);
        target.url(base_url, target.query)
    }

    #[test]
    fn a_vendor_gets_path_and_query_byte_for_byte() {
        let base = "https://api.vendor.com/base";
        for rest in [
            "",
            "/",
            "//evil.com/x",
            "/a//b/",
            "/a@b",
            "/a%2Fb%2f",
            "/a?x=%2e%2e/../\\&y=a+b",
            "/a?",
            "?q=1",
            "/a?b?c",
            "/*:,;=~$!'()",
        ] {
            assert_eq!(sent(&format!("http://127.0.0.1:8787/v/hub{rest}"), base), format!("{base}{rest}"), "{rest}");
        }
    }

    #[test]
    fn an_empty_path_is_matched_as_the_root() {
        assert_eq!(vendor("/v/hub?x", None).route_path(), "/");
        assert_eq!(vendor("/v/hub/a", None).route_path(), "/a");
    }

    #[test]
    fn dot_segments_and_backslashes_are_refused_with_path() {
        for rest in ["/..", "/a/%2e%2e/b", "/a\\b", "/%252e%252e", "/a/..;x", "/%c0%ae%c0%ae/x", "/..%2fx", "/%5c..%5c"]
        {
            for url in [
                format!("http://h/v/hub{rest}"),
                format!("http://h{rest}"),
                format!("https://hub.api.example.com{rest}"),
            ] {
                assert_eq!(parse_target(&url, SUFFIX).unwrap_err().reason, Reason::Path, "{url}");
            }
        }
        assert_eq!(parse_target("/v/../admin/tenants", None).unwrap_err().reason, Reason::Path);
        assert_eq!(parse_target("/v/%2e%2e/x", None).unwrap_err().reason, Reason::Path);
        assert_eq!(parse_target("http://h\\..\\v/x", None).unwrap_err().reason, Reason::Path);
    }

    #[test]
    fn raw_characters_that_no_address_has_are_refused_with_path() {
        for rest in ["/a b", "/a\tb", "/a\r\nb", "/a\0", "/a\u{7f}", "/ä", "/a#b", "/a?b c", "/a?ä", "/a?b#c", "#x"] {
            assert_eq!(
                parse_target(&format!("http://h/v/hub{rest}"), None).unwrap_err().reason,
                Reason::Path,
                "{rest:?}"
            );
        }
    }

    #[test]
    fn with_host_routing_every_path_is_the_vendors() {
        for path in ["/admin/tenants", "/v/other/x", "/healthz", "/", ""] {
            let url = format!("https://hub.api.example.com{path}");
            let found = vendor(&url, SUFFIX);
            assert_eq!((found.connection, found.path, found.by_host), ("hub", path, true), "{url}");
        }
        assert_eq!(vendor("http://HUB.API.example.com:8787/x", SUFFIX).connection, "HUB");
        assert_eq!(vendor("http://hub.api.example.com./x", SUFFIX).connection, "hub");
    }

    #[test]
    fn sluice_itself_and_other_hosts_are_not_connections() {
        for host in [
            "sluice.api.example.com",
            "SLUICE.api.example.com:80",
            "example.com",
            "a.b.api.example.com",
            ".api.example.com",
            "api.example.com",
        ] {
            let url = format!("http://{host}/healthz");
            assert_eq!(parse_target(&url, SUFFIX).unwrap().address, Address::Health, "{host}");
        }
        assert_eq!(vendor("http://sluice.api.example.com/v/hub/x", SUFFIX).connection, "hub");
        assert_eq!(parse_target("http://hub.api.example.com/healthz", None).unwrap().address, Address::Health);
    }

    #[test]
    fn a_connection_knows_its_own_url_and_sluices() {
        let by_path = parse_target("http://127.0.0.1:8787/v/hub/x", None).unwrap();
        assert_eq!(by_path.connection_url().as_deref(), Some("http://127.0.0.1:8787/v/hub"));
        assert_eq!(by_path.sluice_origin(), "http://127.0.0.1:8787");
        let by_host = parse_target("https://hub.api.example.com:444/x", SUFFIX).unwrap();
        assert_eq!(by_host.connection_url().as_deref(), Some("https://hub.api.example.com:444"));
        assert_eq!(by_host.sluice_origin(), "https://sluice.api.example.com:444");
        assert_eq!(parse_target("http://h/healthz", None).unwrap().connection_url(), None);
    }

    #[test]
    fn every_address_of_the_contract_is_known() {
        let cases = [
            ("/healthz", Address::Health),
            ("/metrics", Address::Metrics),
            ("/status.json?x=1", Address::Status),
            ("/status/live", Address::Live),
            ("/stats/usage.json?connection=hub", Address::Usage { week: false }),
            ("/stats/usage/last7days.json", Address::Usage { week: true }),
            ("/stats/errors.json", Address::Errors { week: false }),
            ("/stats/errors/last7days.json", Address::Errors { week: true }),
            ("/jobs?limit=5", Address::Jobs),
            ("/jobs/j1", Address::Job("j1")),
            ("/jobs/j1/response", Address::JobResponse("j1")),
            ("/dead-letters", Address::DeadLetters),
            ("/dead-letters/replay", Address::ReplayAll),
            ("/dead-letters/d1", Address::DeadLetter("d1")),
            ("/dead-letters/d1/replay", Address::Replay("d1")),
            ("/admin/vendors", Address::Admin(AdminAddress::Vendors)),
            ("/admin/tenants", Address::Admin(AdminAddress::Tenants)),
            ("/admin/tenants/acme", Address::Admin(AdminAddress::Tenant("acme"))),
            ("/admin/tenants/acme/keys", Address::Admin(AdminAddress::Keys("acme"))),
            ("/admin/tenants/acme/keys/k1", Address::Admin(AdminAddress::Key("acme", "k1"))),
            ("/", Address::File),
            ("/app.js", Address::File),
            ("", Address::File),
        ];
        for (path, expected) in cases {
            assert_eq!(address_of(path), expected, "{path}");
        }
    }

    #[test]
    fn addresses_that_are_nearly_known_are_not_found() {
        for path in [
            "/admin",
            "/admin/tenants/",
            "/admin/tenants/a/keys/k/x",
            "/admin/tenants//keys",
            "/jobs/",
            "/status/x",
            "/stats",
            "/v",
        ] {
            assert_eq!(parse_target(path, None).unwrap_err().reason, Reason::NotFound, "{path}");
        }
    }

    #[test]
    fn a_connection_without_a_name_is_handed_on_to_be_refused_by_name() {
        assert_eq!(vendor("/v//x", None).connection, "");
        assert_eq!(vendor("/v/", None).connection, "");
        assert_eq!(vendor("/v/Not%20a%20Name/x", None).connection, "Not%20a%20Name");
    }
}
