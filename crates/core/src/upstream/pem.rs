//! Reads private keys from PEM into PKCS #8, the one form that the platform imports.

#![expect(clippy::cast_possible_truncation, reason = "a length that was seen to be below 128")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The bytes that PKCS #8 puts before a PKCS #1 key: the version 0, then RSA's `AlgorithmIdentifier`
/// (RFC 8017, appendix C).
pub(super) const RSA: [u8; 18] = [2, 1, 0, 48, 13, 6, 9, 42, 134, 72, 134, 247, 13, 1, 1, 1, 5, 0];

const SEQUENCE: u8 = 48;
const OCTETS: u8 = 4;

/// Returns the key in PKCS #8, as DER. A `PRIVATE KEY` is in that form already; an `RSA PRIVATE
/// KEY` (PKCS #1) is wrapped.
pub fn pkcs8(pem: &str) -> Option<Vec<u8>> {
    if let Some(der) = body(pem, "PRIVATE KEY") {
        return Some(der);
    }
    let key = tagged(OCTETS, &body(pem, "RSA PRIVATE KEY")?)?;
    tagged(SEQUENCE, &[&RSA, key.as_slice()].concat())
}

fn body(pem: &str, kind: &str) -> Option<Vec<u8>> {
    let text = pem.trim().strip_prefix(&format!("-----BEGIN {kind}-----"))?;
    let text = text.strip_suffix(&format!("-----END {kind}-----"))?;
    let base64: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(base64).ok().filter(|der| !der.is_empty())
}

/// Encodes a DER element: its tag, its length and its contents.
fn tagged(tag: u8, contents: &[u8]) -> Option<Vec<u8>> {
    let mut der = vec![tag];
    match u16::try_from(contents.len()).ok()? {
        short @ 0..=127 => der.push(short as u8),
        long => {
            der.push(0x82);
            der.extend(long.to_be_bytes());
        }
    }
    der.extend(contents);
    Some(der)
}
