//! Removes a credential from what a vendor sends back. A vendor that repeats the call, in a
//! `Location`, a `Link` or any other header, would otherwise reveal the credential that Sluice put
//! into it.
//!
//! A credential is found as it is, percent-encoded (up to three times, in either case), escaped as
//! in JSON, and in base64 with either alphabet at any of the three alignments.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions and lengths in a text, which is shorter than the address space"
)]

use crate::percent;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::cell::OnceCell;

/// The text that replaces a credential.
pub const MASK: &str = "***";

/// The shortest text that is searched for by itself, bytes. A shorter one ("x" as the password
/// beside an API key) occurs in too much else; it is searched for only after its parameter's name,
/// its scheme or its user name.
const SHORTEST: usize = 6;

/// How often a credential may be percent-encoded on top of itself and still be found.
const ENCODED_TIMES: usize = 3;

/// How many cookies of a request are searched for: as many as fit among the needles.
const MOST_COOKIES: usize = 4;

/// The headers whose targets lose the whole parameter of a credential rather than only its value,
/// since their readers follow them.
const TARGETS: [&str; 4] = ["location", "content-location", "link", "refresh"];

/// The texts that are removed. `Debug` does not show them.
#[derive(Default)]
pub struct Mask {
    /// The credential by itself, and together with what it was put in beside.
    texts: Vec<String>,
    /// The query parameter in which it was put.
    parameter: Option<(String, String)>,
    /// The search tables, made when the first text that is long enough comes.
    needles: OnceCell<Needles>,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mask(***)")
    }
}

/// A span of bytes, from and to.
type Span = (usize, usize);

impl Mask {
    /// Makes a mask of these texts, and of a query parameter's name and value. None of them is
    /// encoded.
    pub fn new(texts: impl IntoIterator<Item = String>, parameter: Option<(String, String)>) -> Self {
        let mut all: Vec<String> = texts.into_iter().collect();
        all.extend(parameter.as_ref().map(|(_, value)| value.clone()));
        all.retain(|text| text.len() >= SHORTEST);
        all.sort_unstable();
        all.dedup();
        Self { texts: all, parameter, needles: OnceCell::new() }
    }

    /// Makes a mask of the credentials that a caller sends itself, as it may where they pass
    /// through.
    pub fn of_callers_own(headers: &[(String, String)]) -> Self {
        let mut texts = Vec::new();
        for (name, value) in headers {
            let named = |word| name.contains(word);
            match name.as_str() {
                "cookie" => {
                    let cookies =
                        value.split(';').filter_map(|cookie| Some(cookie.split_once('=')?.1.trim().to_owned()));
                    texts.extend(cookies.take(MOST_COOKIES));
                }
                "authorization" => {
                    texts.push(value.clone());
                    texts.extend(value.split_once(' ').map(|(_, bare)| bare.trim().to_owned()));
                }
                _ if named("key") || named("token") || named("secret") || named("session") => texts.push(value.clone()),
                _ => {}
            }
        }
        Self::new(texts, None)
    }

    /// Returns the value of a header without the credential, or `None` if it does not contain the
    /// credential.
    pub fn header(&self, name: &str, value: &str) -> Option<String> {
        let target = TARGETS.iter().any(|known| known.eq_ignore_ascii_case(name));
        let shorter = if target { self.without_parameter(value) } else { None };
        let masked = self.text(shorter.as_deref().unwrap_or(value));
        masked.or(shorter)
    }

    /// Whether a header's name, whose case may be lost, contains the credential.
    pub fn is_in_name(&self, name: &str) -> bool {
        let holds = |needle: &Needle| {
            let windows = name.as_bytes().windows(needle.bytes.len().max(1));
            windows.into_iter().any(|window| window.eq_ignore_ascii_case(&needle.bytes))
        };
        self.may_be_in(name.len(), false) && self.needles().all.iter().any(holds)
    }

    /// Returns a text without the credential, or `None` if it does not contain the credential.
    pub fn text(&self, text: &str) -> Option<String> {
        self.masked(text, false)
    }

    /// Returns a text without the credential. The text may have been cut off in the middle of it.
    pub fn cut_text(&self, text: &str) -> Option<String> {
        self.masked(text, true)
    }

    /// Overwrites the credential in a body with asterisks, so that the length stays. Returns
    /// whether it was there.
    pub fn star(&self, body: &mut [u8]) -> bool {
        let spans = self.spans(body, false);
        for (from, to) in &spans {
            body.get_mut(*from..*to).unwrap_or_default().fill(b'*');
        }
        !spans.is_empty()
    }

    fn masked(&self, text: &str, cut: bool) -> Option<String> {
        let spans = self.spans(text.as_bytes(), cut);
        if spans.is_empty() {
            return None;
        }
        let mut out = Vec::with_capacity(text.len());
        let mut at = 0;
        for (from, to) in spans {
            out.extend_from_slice(text.as_bytes().get(at..from).unwrap_or_default());
            out.extend_from_slice(MASK.as_bytes());
            at = to;
        }
        out.extend_from_slice(text.as_bytes().get(at..).unwrap_or_default());
        // A credential begins and ends at the boundaries of characters.
        Some(String::from_utf8(out).unwrap_or_else(|_| MASK.to_owned()))
    }

    /// Returns where the credential is: spans in order, without overlap.
    fn spans(&self, text: &[u8], cut: bool) -> Vec<Span> {
        if self.may_be_in(text.len(), cut) { self.needles().spans(text, cut) } else { Vec::new() }
    }

    /// Whether a text of this length can contain the credential. Most headers are shorter than any
    /// credential.
    fn may_be_in(&self, length: usize, cut: bool) -> bool {
        self.texts.iter().any(|text| length >= if cut { SHORTEST } else { text.len() })
    }

    fn needles(&self) -> &Needles {
        self.needles.get_or_init(|| Needles::of(&self.texts))
    }

    /// Returns a target without the parameter in which the credential was put.
    fn without_parameter(&self, target: &str) -> Option<String> {
        let (name, value) = self.parameter.as_ref()?;
        let mut bytes = target.as_bytes().to_vec();
        let mut at = 0;
        while let Some(byte) = bytes.get(at).copied() {
            let end = match byte {
                b'?' | b'&' => ends(&bytes, at + 1, name.as_bytes(), false)
                    .into_iter()
                    .filter(|end| bytes.get(*end) == Some(&b'='))
                    .flat_map(|end| ends(&bytes, end + 1, value.as_bytes(), false))
                    .find(|end| bytes.get(*end).is_none_or(|next| b"&#>;,\"' ".contains(next))),
                _ => None,
            };
            match end {
                Some(end) if byte == b'?' && bytes.get(end) == Some(&b'&') => drop(bytes.drain(at + 1..=end)),
                Some(end) => drop(bytes.drain(at..end)),
                None => at += 1,
            }
        }
        let shorter = String::from_utf8(bytes).ok()?;
        (shorter.len() < target.len()).then_some(shorter)
    }
}

/// The texts to search for, indexed by their first byte.
struct Needles {
    all: Vec<Needle>,
    /// For each byte the needles that begin with it, one bit each.
    by_first: [u64; 256],
}

struct Needle {
    bytes: Vec<u8>,
    /// Whether it is base64, so that the characters beside it may hold some bits of the credential
    /// too.
    base64: bool,
}

impl Needles {
    fn of(texts: &[String]) -> Self {
        let mut all: Vec<Needle> =
            texts.iter().map(|text| Needle { bytes: text.clone().into_bytes(), base64: false }).collect();
        all.extend(texts.iter().flat_map(|text| base64_forms(text.as_bytes())));
        let mut by_first = [0; 256];
        for (bit, needle) in (0..u64::BITS).zip(&all) {
            let first = needle.bytes.first().copied().unwrap_or_default();
            if let Some(set) = by_first.get_mut(usize::from(first)) {
                *set |= 1_u64 << bit;
            }
        }
        Self { all, by_first }
    }

    fn spans(&self, text: &[u8], cut: bool) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            // An escape may stand for any byte, so a secret may begin there.
            let wanted = match byte {
                b'%' | b'\\' => u64::MAX,
                byte => self.by_first.get(usize::from(*byte)).copied().unwrap_or_default(),
            };
            match if wanted == 0 { None } else { self.longest(text, at, wanted, cut) } {
                Some((from, to)) => {
                    let from = spans.last().map_or(from, |(_, before): &Span| from.max(*before));
                    spans.push((from, to));
                    at = to;
                }
                None => at += 1,
            }
        }
        spans
    }

    /// Returns the longest needle that begins here.
    fn longest(&self, text: &[u8], at: usize, wanted: u64, cut: bool) -> Option<Span> {
        let needles = self.all.iter().zip(0..u64::BITS).filter(|(_, bit)| wanted >> bit & 1 == 1);
        let spans = needles.filter_map(|(needle, _)| {
            let to = ends(text, at, &needle.bytes, cut).into_iter().max()?;
            Some(if needle.base64 { widened(text, at, to) } else { (at, to) })
        });
        spans.max_by_key(|(_, to)| *to)
    }
}

/// Extends a span by one character of base64 at either end, and by padding.
fn widened(text: &[u8], from: usize, to: usize) -> Span {
    let is = |at: Option<usize>| {
        at.and_then(|at| text.get(at)).is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte))
    };
    let from = if is(from.checked_sub(1)) { from - 1 } else { from };
    let mut to = if is(Some(to)) { to + 1 } else { to };
    while text.get(to) == Some(&b'=') {
        to += 1;
    }
    (from, to)
}

/// Returns a text in base64 for any position within a longer one: at each alignment, the characters
/// that depend on it alone.
fn base64_forms(text: &[u8]) -> Vec<Needle> {
    let mut forms = Vec::new();
    for before in 0..3 {
        let mut padded = vec![0; before];
        padded.extend_from_slice(text);
        let (from, to) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        for coded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            let bytes = coded.as_bytes().get(from..to).unwrap_or_default().to_vec();
            if !bytes.is_empty() && !forms.iter().any(|form: &Needle| form.bytes == bytes) {
                forms.push(Needle { bytes, base64: true });
            }
        }
    }
    forms
}

/// Returns where a needle that begins at `at` may end, whatever the notation of each byte. With
/// `cut`, a text that ends within it matches too, after at least [`SHORTEST`] bytes.
fn ends(text: &[u8], at: usize, needle: &[u8], cut: bool) -> Vec<usize> {
    let mut ends = vec![at];
    for (matched, byte) in needle.iter().enumerate() {
        if cut && matched >= SHORTEST && ends.contains(&text.len()) {
            return vec![text.len()];
        }
        let mut next = Vec::with_capacity(1);
        for end in ends {
            written(text, end, *byte, &mut next);
        }
        if next.is_empty() {
            return next;
        }
        ends = next;
    }
    ends
}

/// Adds the places where a byte that is written at `at` may end.
fn written(text: &[u8], at: usize, byte: u8, ends: &mut Vec<usize>) {
    let mut add = |end: usize| {
        if !ends.contains(&end) {
            ends.push(end);
        }
    };
    let Some(first) = text.get(at) else { return };
    if *first == byte || (*first == b'+' && byte == b' ') {
        add(at + 1);
    }
    match first {
        b'%' => {
            for times in 1..=ENCODED_TIMES {
                match decoded(text, at, times) {
                    Some((read, end)) if read == byte => add(end),
                    _ => {}
                }
            }
        }
        b'\\' => match text.get(at + 1) {
            Some(b'u') if unicode(text.get(at + 2..).unwrap_or_default()) == Some(byte) => add(at + 6),
            Some(next) if *next == byte && b"\"\\/".contains(next) => add(at + 2),
            _ => {}
        },
        _ => {}
    }
}

/// Returns the byte at this place if the text is percent-decoded that many times, and where it
/// ends.
fn decoded(text: &[u8], at: usize, times: usize) -> Option<(u8, usize)> {
    let Some(before) = times.checked_sub(1) else { return Some((*text.get(at)?, at + 1)) };
    let (first, after) = decoded(text, at, before)?;
    let digits = || {
        let (high, end) = decoded(text, after, before)?;
        let (low, end) = decoded(text, end, before)?;
        Some((percent::pair(high, low)?, end))
    };
    let escaped = if first == b'%' { digits() } else { None };
    Some(escaped.unwrap_or((first, after)))
}

/// Returns the byte that four hexadecimal digits stand for.
fn unicode(text: &[u8]) -> Option<u8> {
    let [b'0', b'0', high, low, ..] = text else { return None };
    percent::pair(*high, *low)
}

#[cfg(test)]
mod tests;
