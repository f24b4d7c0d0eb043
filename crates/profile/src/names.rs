//! What may name a header, a parameter and a path: what a policy's author writes of these goes into requests.

/// Longest name of a header or a parameter, bytes.
const MAX_BYTES: usize = 128;

/// Headers that belong to the connection, to the call or to Sluice, not to a credential.
pub const RESERVED: [&str; 16] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "priority",
];

const RESERVED_PREFIXES: [&str; 5] = ["sluice-", "cf-", "x-forwarded-", "sec-", "proxy-"];

/// Whether this is a token (RFC 9110, section 5.6.2) of up to 128 bytes, as the name of every header is.
pub fn is_header_name(text: &str) -> bool {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(in_token)
}

/// Whether a header of that name, in any case, may not hold a credential: see [`RESERVED`].
pub fn is_reserved(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    RESERVED.contains(&lower.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
}

/// Whether this may name a parameter of a query: visible ASCII, without what would part the query otherwise.
pub fn is_parameter_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"&=#?%+".contains(&byte);
    (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(plain)
}

/// Whether this may stand in a header before a token: visible ASCII and spaces.
pub fn is_prefix(text: &str) -> bool {
    text.len() <= MAX_BYTES && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !text.starts_with(' ')
}

/// Whether this is a path from its first `/`: visible ASCII without query, fragment or `\`, and no segment that any
/// reader could take for `.` or `..`, however it is encoded.
pub fn is_path(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\\?#".contains(&byte);
    text.starts_with('/') && text.bytes().all(plain) && !has_dot_segment(text)
}

/// Decodes as often as any reader may; what has still something to decode then counts as hiding a dot segment.
fn has_dot_segment(path: &str) -> bool {
    const ROUNDS: usize = 5;
    let mut path = path.to_ascii_lowercase();
    for _ in 0..ROUNDS {
        if path.split('/').any(is_dots) {
            return true;
        }
        let decoded = path.replace("%25", "%").replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
        let decoded = decoded.replace("%3b", ";").replace("%00", ";");
        if decoded == path {
            return false;
        }
        path = decoded;
    }
    true
}

/// `.` or `..`, also before path parameters.
fn is_dots(segment: &str) -> bool {
    matches!(segment.split(';').next(), Some("." | ".."))
}
