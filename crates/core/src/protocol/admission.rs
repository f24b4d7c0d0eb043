//! The message by which a call asks to go.

use crate::keys::Claims;
use serde::{Deserialize, Serialize};

/// The version of a [route](super::Route): a digest of its content, so that it differs whenever
/// anything in the route does, over all epochs of all tenants' objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteVersion(pub u64);

/// The mark of an access token: a digest that tells one token from the next and is of no use to
/// anyone who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenMark(pub u64);

/// A call that asks to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admit {
    /// The call's id is 128 random bits in hexadecimal. Asking twice with one id takes one permit.
    pub call: String,
    /// The claims are what the caller's key says; the Worker has checked its MAC and its expiry.
    pub claims: Claims,
    /// The name of the connection that is called.
    pub connection: String,
    /// The methods that the vendor may read, as [`crate::upstream::methods`] writes them: that of
    /// the request line first.
    pub method: String,
    /// The vendor's path as it was sent, from its first `/`, without the query, and with a `*` in
    /// the place of a key.
    pub path: String,
    /// The length of path and query as the vendor will see them, in bytes.
    pub uri_bytes: u32,
    /// How long the body is, as far as the Worker knows before it reads it.
    pub body: BodyLength,
    /// Whether the caller is a page in a browser, as `Origin` or `Sec-Fetch-Site` tells.
    pub from_browser: bool,
    /// The page's origin, where the browser sends it.
    pub origin: Option<String>,
    /// Whether the page is Sluice's own.
    pub own_origin: bool,
    /// Whether the key came in the header `Sluice-Key`, rather than in the place of the vendor's
    /// credential.
    pub key_in_header: bool,
    /// How long the caller waits, in milliseconds, where `Prefer: wait` says so.
    pub wait_ms: Option<u64>,
    /// The urgency of RFC 9218, where 0 goes first.
    pub urgency: u8,
    /// Whether an earlier ask of this call may have reached the object.
    pub repeated: bool,
    /// The route that the Worker remembers, if it remembers one: the object does not send it again.
    pub known_route: Option<RouteVersion>,
    /// The access token that the Worker holds, if it holds one: the object does not send it again.
    pub known_token: Option<TokenMark>,
    /// The access token with which the vendor has refused this call, if it has: the call then needs
    /// another.
    pub rejected_token: Option<TokenMark>,
}

/// What is known of the length of a request's body before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BodyLength {
    /// The body has this many bytes; 0 stands for no body, too.
    Bytes(u64),
    /// The body is chunked, so its length is not known.
    Unknown,
}
