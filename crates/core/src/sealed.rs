//! Encrypts stored secrets with AES-256-GCM under a key derived from `MASTER_KEY`, bound to the
//! place where they are stored.
//!
//! ```text
//! "sealed:" and, in URL-safe base64 without padding:
//! version 1 byte · id of the sealing key 4 bytes · nonce 12 bytes · ciphertext · tag 16 bytes
//! ```
//! Data that is not text, such as the body of a job, is sealed as the same bytes without the mark
//! and base64 ([`seal_bytes`]). The id tells which of several master keys sealed it, so that a
//! rotated one still opens what it sealed. The place and everything before the ciphertext are
//! authenticated, so that nothing sealed opens in another place.

use crate::keys::{Master, SEAL_ID_BYTES};
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The length of a nonce, bytes.
pub const NONCE_BYTES: usize = 12;

/// The longest secret, bytes. A private key in PEM has about 3,300 (RSA 4096).
pub const MAX_SECRET_BYTES: usize = 65_536;

/// How many bytes sealing adds: the version, the key's id, the nonce and the tag.
pub const OVERHEAD_BYTES: usize = HEAD_BYTES + NONCE_BYTES + 16;

const MARK: &str = "sealed:";
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + SEAL_ID_BYTES;

/// Where a secret is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// The place within the tenant, such as a JSON pointer into its policy.
    pub field: &'a str,
}

/// Why a secret cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealFault {
    /// No key of `MASTER_KEY` has sealed it.
    UnknownKey,
    /// It was altered, moved from another place, or never sealed.
    Broken,
    /// It is longer than [`MAX_SECRET_BYTES`].
    TooLong,
}

impl std::fmt::Display for SealFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::UnknownKey => {
                "a stored secret was sealed under a master key that MASTER_KEY no longer lists; add it again, after a comma"
            }
            Self::Broken => "a stored secret is damaged; write the policy again with the secret in full",
            Self::TooLong => "a secret is longer than 65,536 bytes; store a shorter one",
        })
    }
}

impl std::error::Error for SealFault {}

/// Seals a secret for its place. The nonce must be random and new each time: with a repeated one
/// AES-GCM protects nothing. With 96 random bits that is no concern before some 2^32 secrets.
///
/// # Errors
/// It fails with [`SealFault::TooLong`] over [`MAX_SECRET_BYTES`].
pub fn seal(master: &Master, nonce: [u8; NONCE_BYTES], place: &Place<'_>, secret: &str) -> Result<String, SealFault> {
    if secret.len() > MAX_SECRET_BYTES {
        return Err(SealFault::TooLong);
    }
    let bytes = seal_bytes(master, nonce, place, secret.as_bytes())?;
    Ok(format!("{MARK}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// Seals bytes for their place, as [`seal`] seals a text. The caller bounds their number. The
/// result is [`OVERHEAD_BYTES`] longer.
///
/// # Errors
/// It fails with [`SealFault::TooLong`] over what AES-GCM seals at once, which is 64 GB.
pub fn seal_bytes(
    master: &Master,
    nonce: [u8; NONCE_BYTES],
    place: &Place<'_>,
    plain: &[u8],
) -> Result<Vec<u8>, SealFault> {
    let (id, key) = master.sealing().ok_or(SealFault::UnknownKey)?;
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(id);
    let aad = associated(&bytes, place);
    let sealed =
        cipher(key).encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: &aad }).map_err(|_| SealFault::TooLong)?;
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&sealed);
    Ok(bytes)
}

/// Opens what [`seal`] sealed for this place.
///
/// # Errors
/// It fails if no listed key sealed the text, or if the text was altered or belongs elsewhere.
pub fn open(master: &Master, place: &Place<'_>, sealed: &str) -> Result<String, SealFault> {
    let text = sealed.strip_prefix(MARK).ok_or(SealFault::Broken)?;
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| SealFault::Broken)?;
    let secret = open_bytes(master, place, &bytes)?;
    String::from_utf8(secret).map_err(|_| SealFault::Broken)
}

/// Opens what [`seal_bytes`] sealed for this place.
///
/// # Errors
/// It fails if no listed key sealed the bytes, or if they were altered or belong elsewhere.
pub fn open_bytes(master: &Master, place: &Place<'_>, bytes: &[u8]) -> Result<Vec<u8>, SealFault> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or(SealFault::Broken)?;
    let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealFault::Broken)?;
    let [VERSION, id @ ..] = head else { return Err(SealFault::Broken) };
    let key = master.sealed_by(id).ok_or(SealFault::UnknownKey)?;
    let aad = associated(head, place);
    cipher(key).decrypt(&Nonce::from(*nonce), Payload { msg: ciphertext, aad: &aad }).map_err(|_| SealFault::Broken)
}

/// Whether a stored row holds anything that was sealed under another key than the current one.
pub fn is_stale(master: &Master, row: &[u8]) -> bool {
    is_stale_text(master, row) || is_stale_bytes(master, row)
}

/// Whether a row holds bytes that [`seal_bytes`] made under an older key: they begin with the
/// version and the key's id.
fn is_stale_bytes(master: &Master, row: &[u8]) -> bool {
    let heads: Vec<[u8; HEAD_BYTES]> = master.older_ids().map(|[a, b, c, d]| [VERSION, *a, *b, *c, *d]).collect();
    // Bytes that match by chance only cause a row to be sealed again without need.
    row.windows(HEAD_BYTES).any(|bytes| heads.iter().any(|head| head == bytes))
}

fn is_stale_text(master: &Master, row: &[u8]) -> bool {
    // Six characters hold the version and all but the last four bits of the id, which is enough to
    // tell eight keys apart.
    const TOLD_BY: usize = 6;
    let Some((id, _)) = master.sealing() else { return false };
    let current = URL_SAFE_NO_PAD.encode([&[VERSION], id.as_slice()].concat());
    let (mark, current) = (MARK.as_bytes(), current.as_bytes().get(..TOLD_BY));
    let starts = row.windows(mark.len()).enumerate().filter(|(_, bytes)| *bytes == mark);
    starts.map(|(at, _)| at.saturating_add(mark.len())).any(|at| row.get(at..at.saturating_add(TOLD_BY)) != current)
}

fn cipher(key: &[u8; 32]) -> Aes256Gcm {
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key))
}

/// Returns the data that is authenticated but not encrypted: the head and the place. Neither name
/// contains a zero byte, so one separates them.
fn associated(head: &[u8], place: &Place<'_>) -> Vec<u8> {
    [head, place.tenant.as_bytes(), &[0], place.field.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place { tenant: "acme", field: "/connections/marketo/credential/client_secret" };

    fn master(bytes: &[u8]) -> Master {
        let text: Vec<String> =
            bytes.iter().map(|byte| base64::engine::general_purpose::STANDARD.encode([*byte; 32])).collect();
        Master::parse(&text.join(",")).expect("a master key")
    }

    #[test]
    fn what_is_sealed_opens_in_its_place() {
        for secret in ["", "s3cret", "-----BEGIN PRIVATE KEY-----\n…"] {
            let sealed = seal(&master(&[1]), [9; 12], &PLACE, secret).expect("sealed");
            assert!(secret.is_empty() || !sealed.contains(secret));
            assert_eq!(open(&master(&[1]), &PLACE, &sealed).as_deref(), Ok(secret));
        }
    }

    #[test]
    fn bytes_are_sealed_as_they_are_and_open_in_their_place_alone() {
        for plain in [&[][..], &[0, 255, 128], &[7; 100_000]] {
            let sealed = seal_bytes(&master(&[1]), [9; 12], &PLACE, plain).expect("sealed");
            assert_eq!(sealed.len(), plain.len() + OVERHEAD_BYTES);
            assert_eq!(open_bytes(&master(&[2, 1]), &PLACE, &sealed).as_deref(), Ok(plain));
            assert_eq!(open_bytes(&master(&[2]), &PLACE, &sealed), Err(SealFault::UnknownKey));
            let elsewhere = Place { field: "/jobs/1/body", ..PLACE };
            assert_eq!(open_bytes(&master(&[1]), &elsewhere, &sealed), Err(SealFault::Broken));
        }
    }

    #[test]
    fn what_is_sealed_opens_nowhere_else() {
        let sealed = seal(&master(&[1]), [9; 12], &PLACE, "s3cret").expect("sealed");
        let other_tenant = Place { tenant: "evil", ..PLACE };
        let other_field = Place { field: "/connections/echo/credential/token", ..PLACE };
        for place in [other_tenant, other_field] {
            assert_eq!(open(&master(&[1]), &place, &sealed), Err(SealFault::Broken));
        }
    }

    #[test]
    fn a_rotated_master_still_opens_what_it_sealed() {
        let sealed = seal(&master(&[1]), [9; 12], &PLACE, "s3cret").expect("sealed");
        assert_eq!(open(&master(&[2, 1]), &PLACE, &sealed).as_deref(), Ok("s3cret"));
        assert_eq!(open(&master(&[2]), &PLACE, &sealed), Err(SealFault::UnknownKey));
        let newer = seal(&master(&[2, 1]), [9; 12], &PLACE, "s3cret").expect("sealed");
        assert_eq!(open(&master(&[2]), &PLACE, &newer).as_deref(), Ok("s3cret"));
    }

    #[test]
    fn a_row_is_stale_that_holds_anything_of_an_older_key() {
        let old = seal(&master(&[1]), [9; 12], &PLACE, "s3cret").expect("sealed");
        let new = seal(&master(&[2]), [9; 12], &PLACE, "s3cret").expect("sealed");
        for (row, expected) in [
            (String::new(), false),
            (format!("{{\"token\":\"{new}\"}}"), false),
            (format!("{{\"token\":\"{old}\"}}"), true),
            (format!("{new} {old} {new}"), true),
            (format!("{new}{new}"), false),
            ("sealed:".to_owned(), true),
        ] {
            assert_eq!(is_stale(&master(&[2, 1]), row.as_bytes()), expected, "{row}");
        }
        for (sealed_by, expected) in [(1, true), (2, false)] {
            let bytes = seal_bytes(&master(&[sealed_by]), [9; 12], &PLACE, b"s3cret").expect("sealed");
            let row = [&[2, 7], bytes.as_slice()].concat();
            assert_eq!(is_stale(&master(&[2, 1]), &row), expected, "sealed by {sealed_by}");
        }
        assert!(!is_stale(&master(&[1, 2]), old.as_bytes()));
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let sealed = seal(&master(&[1]), [9; 12], &PLACE, "s3cret").expect("sealed");
        let bytes = URL_SAFE_NO_PAD.decode(&sealed[MARK.len()..]).expect("base64");
        for index in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[index] ^= 1;
            let altered = format!("{MARK}{}", URL_SAFE_NO_PAD.encode(altered));
            assert!(open(&master(&[1]), &PLACE, &altered).is_err(), "byte {index}");
        }
        for length in 0..bytes.len() {
            let cut = format!("{MARK}{}", URL_SAFE_NO_PAD.encode(&bytes[..length]));
            assert!(open(&master(&[1]), &PLACE, &cut).is_err(), "cut to {length}");
        }
        for text in ["", "sealed:", "sealed:é", "s3cret"] {
            assert_eq!(open(&master(&[1]), &PLACE, text), Err(SealFault::Broken));
        }
    }

    #[test]
    fn the_stored_form_stays_as_it_is() {
        let sealed = seal(&master(&[1]), [9; 12], &PLACE, "s3cret").expect("sealed");
        assert_eq!(sealed, "sealed:AX6HKdMJCQkJCQkJCQkJCQktBt39tvHPIXqdfIKLCbmGMlrAt_QT");
    }

    #[test]
    fn a_secret_out_of_bounds_is_refused() {
        let long = "x".repeat(MAX_SECRET_BYTES + 1);
        assert_eq!(seal(&master(&[1]), [9; 12], &PLACE, &long), Err(SealFault::TooLong));
    }
}
