//! Decides what a request's address belongs to: a vendor, or Sluice itself. It reads the text of
//! the request line before any URL parser normalises it, so that the checked text is the one that
//! the vendor receives.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions and lengths in a text, which is shorter than the address space"
)]

use super::dot_segments::may_hide_dot_segment;
use crate::refusal::{Reason, Refusal};
use std::borrow::Cow;

/// The target of a request, in parts of the text it was read from.
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
    /// What the target addresses.
    pub address: Address<'a>,
}

/// What a request addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address<'a> {
    /// A vendor, through a connection.
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
        /// Whether it covers seven days rather than today.
        week: bool,
    },
    /// `/stats/errors.json`, and `/stats/errors/last7days.json` for a week.
    Errors {
        /// Whether it covers seven days rather than today.
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
    /// `/connections/{name}/pause`
    Pause(&'a str),
    /// `/connections/{name}/resume`
    Resume(&'a str),
    /// `/admin/…`
    Admin(AdminAddress<'a>),
    /// Any other path: a file of the status page, or nothing.
    File,
}

/// What a request addresses under `/admin`. Names are as sent and not yet checked.
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

/// The part of a target that belongs to a vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VendorTarget<'a> {
    /// The connection's name as sent, not yet checked.
    pub connection: &'a str,
    /// The vendor's path as sent: empty, or beginning with `/`.
    pub path: &'a str,
    /// The vendor's query as sent, without `?`.
    pub query: Option<&'a str>,
    /// Whether the host names the connection, rather than `/v/{connection}`.
    pub by_host: bool,
}

impl<'a> VendorTarget<'a> {
    /// The connection's name. Host names know no case, and clients write them as they like.
    pub fn connection_name(&self) -> Cow<'a, str> {
        match self.by_host && self.connection.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(self.connection.to_ascii_lowercase()),
            false => Cow::Borrowed(self.connection),
        }
    }

    /// How long the vendor's path and query are together, bytes.
    pub fn uri_bytes(&self) -> u32 {
        let bytes = self.path.len() + self.query.map_or(0, |query| query.len() + 1);
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// The path that routes are matched with: never empty.
    pub fn route_path(&self) -> &'a str {
        if self.path.is_empty() { "/" } else { self.path }
    }

    /// Returns the vendor's URL by plain concatenation; nothing is normalised. `query` is
    /// [`Self::query`], or what is left of it without the key.
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
    /// Returns the URL that stands for the connection's `base_url` at Sluice, or `None` for
    /// Sluice's own addresses.
    pub fn connection_url(&self) -> Option<String> {
        match self.address {
            Address::Vendor(VendorTarget { by_host: true, .. }) => Some(format!("{}://{}", self.scheme, self.host)),
            Address::Vendor(vendor) => Some(format!("{}://{}/v/{}", self.scheme, self.host, vendor.connection)),
            _ => None,
        }
    }

    /// Returns the origin of Sluice's own addresses. With host routing it has `sluice` in the
    /// connection's place.
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

/// Percent-encodes every character of a URL outside ASCII, as its UTF-8. The platform replaces
/// bytes that are not UTF-8 by U+FFFD, which must not reach the vendor: it stays, and is then
/// refused.
pub fn encoded(url: &str) -> Cow<'_, str> {
    if url.is_ascii() {
        return Cow::Borrowed(url);
    }
    let mut out = String::with_capacity(url.len() * 2);
    for character in url.chars() {
        if character.is_ascii() || character == char::REPLACEMENT_CHARACTER {
            out.push(character);
            continue;
        }
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            let digit =
                |value: u8| char::from_digit(u32::from(value), 16).map_or('0', |digit| digit.to_ascii_uppercase());
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    Cow::Owned(out)
}

/// Parses an absolute URL as the platform gives it, or only a path. `host_suffix` is `HOST_SUFFIX`,
/// with its leading dot.
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
        0x80.. => Some("bytes that are not UTF-8"),
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
        return Err(refused("the path has a dot segment in it, plain or encoded: send the path without it"));
    }
    Ok(())
}

fn refused(detail: impl Into<String>) -> Refusal {
    Refusal::new(Reason::Path, detail)
}

/// Returns the connection that the host names under host routing; `None` for `sluice` and for hosts
/// outside the suffix.
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
    // One part more than any known address has, so that a longer path matches none.
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
        ["connections", name, "pause"] if !name.is_empty() => Address::Pause(name),
        ["connections", name, "resume"] if !name.is_empty() => Address::Resume(name),
        ["admin", "vendors"] => Address::Admin(AdminAddress::Vendors),
        ["admin", "tenants"] => Address::Admin(AdminAddress::Tenants),
        ["admin", "tenants", tenant] if !tenant.is_empty() => Address::Admin(AdminAddress::Tenant(tenant)),
        ["admin", "tenants", tenant, "keys"] if !tenant.is_empty() => Address::Admin(AdminAddress::Keys(tenant)),
        ["admin", "tenants", tenant, "keys", id] if !tenant.is_empty() && !id.is_empty() => {
            Address::Admin(AdminAddress::Key(tenant, id))
        }
        ["admin" | "stats" | "status" | "jobs" | "dead-letters" | "connections" | "v", ..] => {
            return Err(Refusal::new(
                Reason::NotFound,
                "nothing is at this address: docs/api.md lists those there are",
            ));
        }
        _ => Address::File,
    };
    Ok(found)
}

#[cfg(test)]
mod tests;
