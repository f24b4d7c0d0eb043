//! Calls that need not be waited for: kept before they are answered, run when the vendor will take them, shown to those
//! who may see them. [`index`] and [`lanes`] are what is held in memory, [`record`] what is stored; what happens when is decided by the
//! tenant's desk, which has the limits.

#![expect(clippy::arithmetic_side_effects, reason = "at most 32 digits of 4 bits")]

mod bytes;
pub mod index;
pub mod lanes;
pub mod record;
pub mod sealed;
pub mod show;

pub use bytes::Bytes;
pub use index::Index;
pub use record::{Answer, Attempt, Record, Request, State};

/// A job's id: the time it was made, so that ids are in order, and 80 of its call's random bits, so that none can be guessed.
pub const fn job_id(made: i64, call: u128) -> u128 {
    ((made.unsigned_abs() as u128) << 80) | (call & ((1 << 80) - 1))
}

/// An id as it is written: 32 hexadecimal digits.
pub fn id_text(id: u128) -> String {
    let digit = |place: u32| char::from_digit(u32::try_from((id >> (4 * place)) & 15).unwrap_or(0), 16).unwrap_or('0');
    (0..32).rev().map(digit).collect()
}

/// An id as it was written; none for anything else.
pub fn parse_id(text: &str) -> Option<u128> {
    let written = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if written { u128::from_str_radix(text, 16).ok() } else { None }
}

/// The first half of the SHA-256 of these parts, each with its length.
pub fn digest(parts: &[&[u8]]) -> u128 {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().first_chunk().map_or(1, |bytes| u128::from_be_bytes(*bytes)).max(1)
}

#[cfg(test)]
mod tests;
