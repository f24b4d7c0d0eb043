//! Checks the names of headers and parameters, and paths: what the author of a policy writes of
//! these goes into requests.

/// The longest name of a header or a parameter, bytes.
const MAX_BYTES: usize = 128;

/// Headers that belong to the connection, to the call or to Sluice, and so not to a credential.
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

/// Whether a text is a token (RFC 9110, section 5.6.2) of up to 128 bytes, as every header's name
/// is.
pub fn is_header_name(text: &str) -> bool {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(in_token)
}

/// Whether a header of that name, in any case, must not hold a credential: see [`RESERVED`].
pub fn is_reserved(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    RESERVED.contains(&lower.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
}

/// Whether a text can name a query parameter: visible ASCII without the characters that would split
/// the query.
pub fn is_parameter_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"&=#?%+".contains(&byte);
    (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(plain)
}

/// Whether a text can precede a token in a header: visible ASCII and spaces.
pub fn is_prefix(text: &str) -> bool {
    text.len() <= MAX_BYTES && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !text.starts_with(' ')
}

/// Whether a text is a path that begins with `/`: visible ASCII without query, fragment or `\`, and
/// without a segment that any reader could take for `.` or `..`, however it is encoded.
pub fn is_path(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\\?#".contains(&byte);
    text.starts_with('/') && text.bytes().all(plain) && !has_dot_segment(text)
}

/// Decodes as often as any reader may. A path that can still be decoded after that counts as hiding
/// a dot segment.
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

/// Whether a segment is `.` or `..`, also before path parameters.
fn is_dots(segment: &str) -> bool {
    matches!(segment.split(';').next(), Some("." | ".."))
}
