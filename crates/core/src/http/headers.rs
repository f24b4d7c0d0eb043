//! Decides which headers are forwarded to the vendor and which are returned to the caller.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions and lengths in a text, which is shorter than the address space"
)]

use super::answer::Headers;
use super::mask::Mask;
use super::names::Names;
use super::prefer::Prefer;
use super::ratelimit::prefixed;
use super::redirect::{rewritten, rewritten_links};
use super::{cookies, cors};
use crate::keys::Taken;

/// Headers that belong to one hop (RFC 9110, section 7.6.1), and those that only proxies read.
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

/// Headers that are not forwarded. `Expect` makes the platform's fetch throw. `X-Real-IP` is added
/// by the platform, not by the caller. Origin and referrer name the caller's page, which is none of
/// the vendor's business. With `X-Original-URL` and `X-Rewrite-URL` some frameworks would serve
/// another path than the one that was checked.
const KEPT_BACK: [&str; 10] = [
    "host",
    "expect",
    "priority",
    "prefer",
    "origin",
    "referer",
    "x-real-ip",
    "accept-encoding",
    "x-original-url",
    "x-rewrite-url",
];

/// Beginnings of the names of further headers that are not forwarded.
const KEPT_BACK_PREFIXES: [&str; 4] = ["cf-", "x-forwarded-", "sluice-", "sec-"];

/// Where a credential is put into a call. `Debug` shows only the names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Placed {
    /// A header, which replaces any of the same name.
    pub header: Option<(String, String)>,
    /// A query parameter, name and value percent-encoded, which replaces any of the same name.
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

/// What decides how a request is forwarded.
#[derive(Debug, Clone, Copy)]
pub struct Sending<'a> {
    /// Whether the connection's credential is `passthrough`: cookies are forwarded, and nothing is
    /// put in.
    pub passthrough: bool,
    /// The credential that is put in.
    pub placed: &'a Placed,
    /// Further headers that are put in.
    pub also: &'a [(String, String)],
    /// The headers and parameters that contain a key.
    pub taken: &'a Taken,
    /// The caller's preferences. Those that are not for Sluice are forwarded.
    pub prefer: &'a Prefer,
    /// The encodings in which the vendor may answer. They are separate because the platform
    /// replaces the caller's field.
    pub accept_encoding: Option<&'a str>,
}

/// Returns the headers of the request to the vendor.
pub fn outgoing(request: &[(String, String)], how: &Sending) -> Headers {
    let named = named_in_connection(request);
    let mut out = Headers::with_capacity(request.len() + 2);
    for (name, value) in request {
        let lower = name.to_ascii_lowercase();
        let dropped = HOP_BY_HOP.contains(&lower.as_str())
            || KEPT_BACK.contains(&lower.as_str())
            || KEPT_BACK_PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
            || named.contain(&lower)
            || (lower == "cookie" && !how.passthrough)
            || how.placed.header.iter().chain(how.also).any(|(placed, _)| placed.eq_ignore_ascii_case(&lower))
            || how.taken.headers.contains(&lower);
        if !dropped {
            out.push((name.clone(), value.clone()));
        }
    }
    if let Some(rest) = how.prefer.rest.as_ref().filter(|_| !how.taken.headers.iter().any(|name| name == "prefer")) {
        out.push(("Prefer".to_owned(), rest.clone()));
    }
    if let Some(encodings) = how.accept_encoding {
        out.push(("Accept-Encoding".to_owned(), encodings.to_owned()));
    }
    out.extend_from_slice(how.also);
    out.extend(how.placed.header.clone());
    out
}

/// Returns the query of the request to the vendor: as sent, with the credential in place of a key.
pub fn outgoing_query(query: Option<&str>, placed: &Placed, taken: &Taken) -> Option<String> {
    let mut out: Vec<String> = Vec::new();
    let mut waiting = placed.query.as_ref();
    for (at, parameter) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
        if placed.query.as_ref().is_some_and(|(placed, _)| placed == name) {
            out.extend(waiting.take().map(|(name, value)| format!("{name}={value}")));
        } else if !taken.query.contains(&at) {
            out.push(parameter.to_owned());
        }
    }
    out.extend(waiting.map(|(name, value)| format!("{name}={value}")));
    // A query that was only the key is removed, not left empty.
    (!out.is_empty()).then(|| out.join("&"))
}

/// What is known of a call when the vendor's headers arrive. Times are milliseconds to the first
/// byte.
#[derive(Debug, Clone, Copy)]
pub struct Returning<'a> {
    /// The vendor's status.
    pub status: u16,
    /// Whether the connection's credential is `passthrough`: cookies are returned.
    pub passthrough: bool,
    /// The connection's base URL.
    pub base_url: &'a str,
    /// The URL that stands for the base URL at Sluice: [`super::Target::connection_url`].
    pub connection_url: &'a str,
    /// The path of the call below the base URL.
    pub path: &'a str,
    /// Removes the credential that was put into the call from everything that is returned.
    pub mask: &'a Mask,
    /// The call's id.
    pub call: &'a str,
    /// The number of vendor calls made.
    pub attempts: u32,
    /// The time spent in the queue.
    pub queue_ms: u64,
    /// The time spent at the vendor.
    pub vendor_ms: u64,
    /// The total time.
    pub total_ms: u64,
    /// The value of `RateLimit-Policy`, empty for none.
    pub rate_limit_policy: &'a str,
    /// The value of `RateLimit`, empty for none.
    pub rate_limit: &'a str,
    /// The value of `Sluice-Would`, in observe mode.
    pub would: Option<&'a str>,
    /// The caller's `Origin`.
    pub origin: Option<&'a str>,
    /// Whether a page in a browser made the call.
    pub page: bool,
}

/// Returns the headers of the answer to the caller: the vendor's own, without those of one hop and
/// those that Sluice sets, and then Sluice's. A credential that was put into the call is removed
/// from each.
pub fn returned(vendor: &[(String, String)], call: &Returning) -> Headers {
    let named = named_in_connection(vendor);
    let mut out = Headers::with_capacity(vendor.len() + 12);
    let mut timing = String::new();
    let mut limits = [String::new(), String::new()];
    for (name, value) in vendor {
        let lower = name.to_ascii_lowercase();
        let dropped = HOP_BY_HOP.contains(&lower.as_str())
            || named.contain(&lower)
            || lower.starts_with("access-control-")
            || lower.starts_with("sluice-")
            || cors::is_order(&lower, call.page)
            || lower == "set-cookie2"
            || (lower == "set-cookie" && !call.passthrough)
            || call.mask.is_in_name(&lower);
        if dropped {
            continue;
        }
        let masked = call.mask.header(&lower, value);
        let value = masked.as_ref().unwrap_or(value);
        let changed = match lower.as_str() {
            "server-timing" => {
                timing.push_str(value);
                timing.push_str(", ");
                continue;
            }
            "ratelimit-policy" | "ratelimit" => {
                let [policy, left] = &mut limits;
                let field = if lower == "ratelimit" { left } else { policy };
                join(field, value);
                continue;
            }
            "set-cookie" => match cookies::confined(value, &call.place()) {
                Some(cookie) => Some(cookie),
                None => continue,
            },
            "location" if (300..400).contains(&call.status) => rewritten(value, call.base_url, call.connection_url),
            "content-location" => rewritten(value, call.base_url, call.connection_url),
            "link" => rewritten_links(value, call.base_url, call.connection_url),
            _ => None,
        };
        out.push((name.clone(), changed.unwrap_or_else(|| value.clone())));
    }
    let mut add = |name: &str, value: String| out.push((name.to_owned(), value));
    add("Sluice-Call", call.call.to_owned());
    add("Sluice-Attempts", call.attempts.to_string());
    let (queue, vendor, total) = (call.queue_ms, call.vendor_ms, call.total_ms);
    add("Server-Timing", format!("{timing}queue;dur={queue}, vendor;dur={vendor}, total;dur={total}"));
    // The vendor's own items come first, and ours then get a prefix.
    let beside = limits.iter().any(|field| !field.is_empty());
    let names = ["RateLimit-Policy", "RateLimit"];
    for ((name, mut field), ours) in names.into_iter().zip(limits).zip([call.rate_limit_policy, call.rate_limit]) {
        join(&mut field, &if beside { prefixed(ours) } else { ours.to_owned() });
        if !field.is_empty() {
            add(name, field);
        }
    }
    if let Some(would) = call.would {
        add("Sluice-Would", would.to_owned());
    }
    cors::allow(&mut out, call.origin);
    cors::guard(&mut out, call.page);
    out
}

impl Returning<'_> {
    fn place(&self) -> cookies::Place<'_> {
        cookies::Place { base: path_of(self.base_url), prefix: path_of(self.connection_url), path: self.path }
    }
}

/// Returns the path of an absolute URL that has no query.
fn path_of(url: &str) -> &str {
    let after = url.split_once("://").map_or(url, |(_, after)| after);
    after.find('/').and_then(|at| after.get(at..)).unwrap_or_default()
}

/// Appends items to a list field.
fn join(field: &mut String, items: &str) {
    if !field.is_empty() && !items.is_empty() {
        field.push_str(", ");
    }
    field.push_str(items);
}

/// Returns the names in `Connection`, whose headers belong to one hop too.
fn named_in_connection(headers: &[(String, String)]) -> Names<'_> {
    let fields = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
    Names::of(fields.flat_map(|(_, value)| value.split(',')).map(str::trim))
}

#[cfg(test)]
mod tests;
