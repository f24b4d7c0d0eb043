//! Finds keys in any text of a request: raw, percent-encoded, or escaped as in JSON or XML. Text
//! that begins like a key but is not valid is not taken for one, and stays where it is.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions and lengths in a text, which is shorter than the address space, and digits' values"
)]

use super::claims::{MAX_KEY_BYTES, PREFIX, holds, length};
use super::master::Master;
use crate::percent;

/// How often one character is decoded: `%255F` is `%5F`, which is `_`.
const MAX_DECODINGS: u32 = 4;

/// A valid key of this installation within a text. `Debug` does not show the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Stands {
    /// The byte at which it begins.
    pub from: usize,
    /// The byte behind its end.
    pub to: usize,
    /// The key, decoded.
    pub key: String,
}

impl std::fmt::Debug for Stands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stands").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

/// Finds every key in a text, in order, whatever is before or behind it. The time grows with the
/// length of the text: a key tells its own length, and most text that only begins like one differs
/// within a few characters.
pub fn seek(master: &Master, text: &[u8]) -> Vec<Stands> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(offset) = text.get(at..).and_then(|rest| rest.iter().position(|byte| may_begin(*byte))) {
        at += offset;
        match key_at(master, text, at) {
            Some(stands) => {
                at = stands.to;
                found.push(stands);
            }
            None => at += 1,
        }
    }
    found
}

/// Returns the key of a text that is a key and nothing else.
pub fn whole(master: &Master, text: &[u8]) -> Option<Stands> {
    key_at(master, text, 0).filter(|stands| stands.to == text.len())
}

/// Replaces each key in a text by `***`.
pub fn without(text: &str, keys: &[Stands]) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut from = 0;
    for stands in keys {
        shown.push_str(text.get(from..stands.from).unwrap_or_default());
        shown.push_str("***");
        from = stands.to;
    }
    shown.push_str(text.get(from..).unwrap_or_default());
    shown
}

/// Whether a key, or its encoding, can begin with this byte.
const fn may_begin(byte: u8) -> bool {
    matches!(byte, b's' | b'%' | b'\\' | b'&')
}

fn key_at(master: &Master, text: &[u8], from: usize) -> Option<Stands> {
    let mut at = from;
    let mut key = String::new();
    for expected in PREFIX.bytes() {
        let (byte, next) = character(text, at)?;
        if byte != expected {
            return None;
        }
        key.push(char::from(byte));
        at = next;
    }
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    while key.len() < MAX_KEY_BYTES {
        let (byte, next) = character(text, at)?;
        held = (held << 6) | u32::from(digit(byte)?);
        bits += 6;
        key.push(char::from(byte));
        at = next;
        if bits < 8 {
            continue;
        }
        bits -= 8;
        bytes.push(u8::try_from(held >> bits).ok()?);
        held &= (1 << bits) - 1;
        if length(&bytes).ok()? == Some(bytes.len()) {
            return holds(master, bytes).then_some(Stands { from, to: at, key });
        }
    }
    None
}

/// Decodes the character at a position; returns it with the position behind it.
fn character(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let first = *text.get(at)?;
    let rest = text.get(at..)?;
    let decoded = match first {
        b'%' => percent_encoded(rest),
        b'\\' => json(rest),
        b'&' => xml(rest),
        _ => None,
    };
    Some(decoded.map_or((first, at + 1), |(byte, length)| (byte, at + length)))
}

/// Decodes `%5F`, and also `%255F`.
fn percent_encoded(text: &[u8]) -> Option<(u8, usize)> {
    let (mut byte, mut length) = (percent::first(text)?, 3);
    for _ in 1..MAX_DECODINGS {
        if byte != b'%' {
            break;
        }
        byte = percent::pair(*text.get(length)?, *text.get(length + 1)?)?;
        length += 2;
    }
    Some((byte, length))
}

/// Decodes `\u005f`.
fn json(text: &[u8]) -> Option<(u8, usize)> {
    let [b'\\', b'u', b'0', b'0', high, low, ..] = text else { return None };
    Some((percent::pair(*high, *low)?, 6))
}

/// Decodes `&#95;` and `&#x5F;`.
fn xml(text: &[u8]) -> Option<(u8, usize)> {
    let digits = text.strip_prefix(b"&#")?;
    let end = digits.iter().take(8).position(|byte| *byte == b';')?;
    let number = std::str::from_utf8(digits.get(..end)?).ok()?;
    let byte = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u8::from_str_radix(hex, 16),
        None => number.parse(),
    };
    Some((byte.ok()?, 2 + end + 1))
}

/// Returns the value of a digit of URL-safe base64.
const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
