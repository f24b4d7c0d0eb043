//! A request as it came.

use super::latin1;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::io;

/// How many bytes of a request's body are kept; the rest is only hashed and counted.
const KEEP: usize = 4 << 20;

/// The head of a request. Bytes outside ASCII are one character each.
#[derive(Debug, Clone)]
pub struct Head {
    /// The method as sent.
    pub method: String,
    /// The target as sent: not decoded, not normalised.
    pub target: String,
    /// The version as sent, such as `HTTP/1.1`.
    pub version: String,
    /// The headers in order, with names in the case in which they came.
    pub headers: Vec<(String, String)>,
}

impl Head {
    pub(super) fn parse(bytes: &[u8]) -> io::Result<Self> {
        let bad = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let text = latin1(bytes);
        let mut lines = text.split("\r\n");
        let mut words = lines.next().unwrap_or_default().splitn(3, ' ');
        let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
            return Err(bad("the request line has not three words"));
        };
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').ok_or_else(|| bad("a header line has no colon"))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Self { method: method.to_owned(), target: target.to_owned(), version: version.to_owned(), headers })
    }

    /// Returns the first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Returns the target up to its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Returns the first query parameter of that name, percent-decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        form(self.target.split_once('?')?.1, name)
    }

    /// Returns a query parameter that is a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.query(name)?.parse().ok()
    }

    pub(super) fn chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|v| v.to_ascii_lowercase().contains("chunked"))
    }

    pub(super) fn content_length(&self) -> u64 {
        self.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0)
    }

    /// Whether the sender waits for a `100 Continue`.
    pub fn expects_continue(&self) -> bool {
        self.header("expect").is_some_and(|v| v.eq_ignore_ascii_case("100-continue"))
    }

    /// Whether the connection ends with this call.
    pub fn last(&self) -> bool {
        self.version == "HTTP/1.0" || self.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"))
    }
}

/// Returns the first value of a name in `a=1&b=2`, percent-decoded.
fn form(text: &str, name: &str) -> Option<String> {
    text.split('&').filter_map(|pair| pair.split_once('=')).find(|(n, _)| *n == name).map(|(_, value)| decode(value))
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3).and_then(|h| u8::from_str_radix(h, 16).ok()));
        match (bytes[at], hex.flatten()) {
            (_, Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', None) => out.push(b' '),
            (byte, None) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The body of a request.
#[derive(Clone)]
pub struct Payload {
    /// Its length.
    pub bytes: u64,
    /// Its first 4 MiB.
    pub kept: Vec<u8>,
    /// The SHA-256 of all of it, hexadecimal.
    pub sha256: String,
    hash: Sha256,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payload").field("bytes", &self.bytes).field("sha256", &self.sha256).finish_non_exhaustive()
    }
}

impl Payload {
    pub(super) fn new() -> Self {
        Self { bytes: 0, kept: Vec::new(), sha256: String::new(), hash: Sha256::new() }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
        let room = KEEP.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..room]);
    }

    pub(super) fn finish(&mut self) {
        self.sha256 = hex(&self.hash.clone().finalize());
    }

    /// Parses it as JSON, if it is.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.kept).ok()
    }

    /// Returns a field of a form body, percent-decoded.
    pub fn form(&self, name: &str) -> Option<String> {
        form(std::str::from_utf8(&self.kept).ok()?, name)
    }
}

/// Writes bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
