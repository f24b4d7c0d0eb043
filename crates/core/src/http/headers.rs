//! Which headers go out to the vendor, and which come back.

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
/// origin and referrer are the caller's page, which a vendor has no business with. With `X-Original-URL` and `X-Rewrite-URL` some
/// frameworks would serve another path than the one that was checked.
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
    /// Headers that are put in beside that.
    pub also: &'a [(String, String)],
    /// What has a key in it.
    pub taken: &'a Taken,
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

/// The query of the vendor's request: as sent, but for a key, in whose place the credential goes.
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
    /// The path of the call below the base URL.
    pub path: &'a str,
    /// The credential that was put in, which is in nothing that comes back.
    pub mask: &'a Mask,
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
    /// The field `Sluice-ObservedDecision`, in observe mode.
    pub would: Option<&'a str>,
    /// The caller's `Origin`.
    pub origin: Option<&'a str>,
    /// A page in a browser asks.
    pub page: bool,
}

/// The headers of the answer to the caller: the vendor's, less what is of one hop or ours to say, and ours. A credential that was put
/// into the call is taken out of each.
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
    // A vendor's own items go first, and ours then have other names.
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

/// The path of an absolute URL that has no query.
fn path_of(url: &str) -> &str {
    let after = url.split_once("://").map_or(url, |(_, after)| after);
    after.find('/').and_then(|at| after.get(at..)).unwrap_or_default()
}

/// Adds items to a list.
fn join(field: &mut String, items: &str) {
    if !field.is_empty() && !items.is_empty() {
        field.push_str(", ");
    }
    field.push_str(items);
}

/// What `Connection` names is of one hop too.
fn named_in_connection(headers: &[(String, String)]) -> Names<'_> {
    let fields = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
    Names::of(fields.flat_map(|(_, value)| value.split(',')).map(str::trim))
}

#[cfg(test)]
mod tests;
