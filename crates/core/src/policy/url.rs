//! Checks the addresses that Sluice calls: vendors, token endpoints and callbacks. An accepted
//! address is kept as written; one that two URL parsers could read differently is refused.
//!
//! An address is an https URL of a DNS name. The name has at least two labels and ends in one that
//! begins with a letter, so that no notation of an IP address passes (decimal, octal, hexadecimal,
//! shortened, IPv6, IPv4-mapped). It is not under a name reserved for private networks. To which
//! address a public name resolves is not known here; the platform's network decides that.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions and lengths in a text, which is shorter than the address space"
)]

/// The longest address, bytes.
pub const MAX_ADDRESS_BYTES: usize = 2_048;

/// Top-level names that never lead to the public internet: those of RFC 6761, RFC 6762, RFC 8375
/// and RFC 9476, ICANN's `.internal`, and those that routers and companies use without
/// registration.
const PRIVATE: [&str; 13] = [
    "alt",
    "arpa",
    "corp",
    "home",
    "internal",
    "intranet",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "mail",
    "onion",
    "private",
];

/// A valid address, in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'a> {
    /// The scheme: `https`, or `http` for a loopback address.
    pub scheme: &'a str,
    /// The name, as written.
    pub host: &'a str,
    /// The port, where one is written.
    pub port: Option<u16>,
    /// The path: empty, or beginning with `/`.
    pub path: &'a str,
    /// The query, where there is one.
    pub query: Option<&'a str>,
}

impl Address<'_> {
    /// Whether both have the same scheme, host (in any case) and port.
    pub fn same_origin(&self, other: &Self) -> bool {
        let port = |address: &Self| address.port.unwrap_or(if address.scheme == "https" { 443 } else { 80 });
        self.scheme == other.scheme && self.host.eq_ignore_ascii_case(other.host) && port(self) == port(other)
    }
}

/// Checks an address that must not have a query. With `allow_loopback`, `http://127.0.0.1` and
/// `http://localhost` with any port pass too.
///
/// # Errors
/// It fails with a sentence that says what the address should be.
pub fn check(text: &str, allow_loopback: bool) -> Result<Address<'_>, &'static str> {
    let address = check_with_query(text, allow_loopback)?;
    if address.query.is_some() { Err("must not have a query") } else { Ok(address) }
}

/// Checks an address that may have a query, such as that of a callback.
///
/// # Errors
/// It fails with a sentence that says what the address should be.
pub fn check_with_query(text: &str, allow_loopback: bool) -> Result<Address<'_>, &'static str> {
    if text.len() > MAX_ADDRESS_BYTES {
        return Err("must be at most 2,048 bytes long");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be ASCII without spaces; write an international name in its xn-- form");
    }
    let https = strip_scheme(text, "https://").map(|rest| ("https", rest));
    let split = https.or_else(|| Some(("http", strip_scheme(text, "http://")?)));
    let (scheme, rest) = split.ok_or("must begin with https://")?;
    if rest.contains(['\\', '#', '"', '<', '>', '^', '`', '{', '|', '}']) {
        return Err("must not have a fragment, a backslash or other characters that no URL has");
    }
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err("must not have a user name or password; put them into the credential");
    }
    if authority.contains(['[', ']']) {
        return Err("must be a DNS name, not an IP address");
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(check_port(port).ok_or("the port must be a number from 1 to 65535")?)),
        None => (authority, None),
    };
    let loopback = allow_loopback && matches!(host, "127.0.0.1" | "localhost");
    match (scheme, loopback) {
        ("http", false) => return Err("must begin with https://"),
        ("https", _) => check_host(host)?,
        _ => {}
    }
    check_path(path)?;
    Ok(Address { scheme, host, port, path, query })
}

fn strip_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(scheme.len())?;
    (start == scheme).then_some(rest)
}

fn check_port(text: &str) -> Option<u16> {
    let digits = (1..=5).contains(&text.len()) && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// Checks that a DNS name belongs to the public internet.
///
/// # Errors
/// It fails with a sentence that says what the name should be.
pub fn check_host(host: &str) -> Result<(), &'static str> {
    let is_label = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (1..=63).contains(&label.len()) && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    if host.len() > 253 || !host.split('.').all(is_label) {
        return Err("must have a DNS name: labels of letters, digits and -, separated by single dots");
    }
    let (rest, top) = host.rsplit_once('.').ok_or("must have a full DNS name, not a single label")?;
    if !top.starts_with(|first: char| first.is_ascii_alphabetic()) || rest.is_empty() {
        return Err("must be a DNS name, not an IP address");
    }
    if PRIVATE.iter().any(|private| top.eq_ignore_ascii_case(private)) {
        return Err("must be a name of the public internet; this one is reserved for private networks");
    }
    Ok(())
}

/// Checks that a path has only RFC 3986's characters (others are refused before), no dot segments,
/// and no empty segment but the last.
fn check_path(path: &str) -> Result<(), &'static str> {
    if path.contains(['[', ']']) {
        return Err("its path must encode brackets: %5B and %5D");
    }
    let bytes = path.as_bytes();
    let whole = |at: usize| bytes.get(at + 1..at + 3).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit));
    if bytes.iter().enumerate().any(|(at, byte)| *byte == b'%' && !whole(at)) {
        return Err("a % in its path must begin an encoded byte, such as %20");
    }
    let lower = path.to_ascii_lowercase();
    if ["%2e", "%2f", "%5c", "%25", "%00"].iter().any(|code| lower.contains(code)) {
        return Err("its path must not encode a dot, a slash, a backslash, a percent sign or a zero byte");
    }
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if matches!(segment, "." | "..") || segment.is_empty() && segments.peek().is_some() {
            return Err("its path must not have empty, . or .. segments");
        }
    }
    Ok(())
}
