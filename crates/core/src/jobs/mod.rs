//! Jobs: calls that nobody waits for. They are stored before they are answered, run when the vendor
//! accepts them, and shown to those who may see them. [`index`] and [`lanes`] are kept in memory,
//! [`record`] defines what is stored. When a job runs is decided by the tenant state, which has the
//! limits.

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

/// Makes a job's id from the time when it was made (Unix ms), so that ids are in order, and 80
/// random bits of its call, so that none can be guessed.
pub const fn job_id(made: i64, call: u128) -> u128 {
    ((made.unsigned_abs() as u128) << 80) | (call & ((1 << 80) - 1))
}

/// Writes an id as 32 hexadecimal digits.
pub fn id_text(id: u128) -> String {
    let digit = |place: u32| char::from_digit(u32::try_from((id >> (4 * place)) & 15).unwrap_or(0), 16).unwrap_or('0');
    (0..32).rev().map(digit).collect()
}

/// Reads an id; `None` for any other text.
pub fn parse_id(text: &str) -> Option<u128> {
    let written = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if written { u128::from_str_radix(text, 16).ok() } else { None }
}

/// Returns the first half of the SHA-256 of these parts, each preceded by its length.
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
