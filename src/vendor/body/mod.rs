//! The head of a vendor's answer, read for what it says before it is passed on: as few bytes as possible, a bounded
//! number at most, so that a large good body is not held up.

#![expect(clippy::arithmetic_side_effects, reason = "no more than the head's 16 kB, and a handful of pointers")]

mod decode;
mod scan;

pub use decode::inflated;

use super::profile::Reading;
use decode::Decoder;
use scan::{Found, Scan};

/// The most of a body that is looked at, bytes as received; and as much again as decoded. Marketo's errors are some
/// 200 bytes; sixteen kilobytes are one read of a socket.
pub const HEAD_BYTES: usize = 16 * 1024;

/// The longest error code that is kept, bytes: statistics are kept by it.
const LONGEST_CODE: usize = 64;

/// What a body says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// It says that the call went well.
    pub good: bool,
    /// It says in so many words that it did not, or its form holds errors.
    pub bad: bool,
    /// The error's code.
    pub code: Option<String>,
    /// The error's words, at most some 200 bytes of them.
    pub message: Option<String>,
    /// The vendor's counts, by `Reading::counts`.
    pub counts: Vec<Option<String>>,
}

/// A reader of a body's head. Feed it what comes until it is done, then take what was said.
pub struct Peek {
    decoder: Decoder,
    scan: Scan,
    reading: Reading,
    /// It is a count that is looked for.
    counted: bool,
    raw: usize,
    decoded: usize,
    done: bool,
}

impl Peek {
    /// A reader for an answer of this status and these `Content-Type` and `Content-Encoding`; none when the body tells
    /// nothing that matters, and then nothing is to be held up.
    pub fn new(
        reading: &Reading,
        status: u16,
        content_type: Option<&str>,
        content_encoding: Option<&str>,
    ) -> Option<Self> {
        let counted = !reading.counts.is_empty() && status < 300;
        let says = (reading.every || status >= 400) && !(reading.codes.is_empty() && reading.good.is_empty());
        let matters = says || counted;
        let json = content_type.is_none_or(|kind| kind.to_ascii_lowercase().contains("json"));
        if !matters || !json || matches!(status, 204 | 304) {
            return None;
        }
        let decoder = Decoder::new(content_encoding)?;
        let good = reading.good.iter().map(|(pointer, _)| pointer);
        let message = reading.message.iter();
        let pointers = good.chain(&reading.good_where).chain(&reading.codes).chain(message).chain(&reading.counts);
        let scan = Scan::new(pointers.map(String::as_str));
        Some(Self { decoder, scan, reading: reading.clone(), counted, raw: 0, decoded: 0, done: false })
    }

    /// Takes the next bytes as received. Whether it is done: it needs no more, or may not look at more.
    pub fn feed(&mut self, chunk: &[u8]) -> bool {
        if self.done {
            return true;
        }
        let chunk = chunk.get(..HEAD_BYTES - self.raw).unwrap_or(chunk);
        self.raw += chunk.len();
        let (scan, reading, counted) = (&mut self.scan, &self.reading, self.counted);
        let (mut decoded, mut enough) = (self.decoded, false);
        let more = self.decoder.feed(chunk, |bytes| {
            for byte in bytes.iter().take(HEAD_BYTES.saturating_sub(decoded)) {
                decoded += 1;
                // Asked at each find rather than at each piece, so that what is said does not hang on how it came.
                if scan.take(*byte) && decided(reading, scan, counted) {
                    enough = true;
                    break;
                }
            }
        });
        self.decoded = decoded;
        self.done = enough || !more || self.scan.ended() || self.raw >= HEAD_BYTES || self.decoded >= HEAD_BYTES;
        self.done
    }

    /// What the body has said so far.
    pub fn said(&self) -> Said {
        said(&self.reading, &self.scan)
    }
}

/// Whether nothing that may follow changes what is said.
fn decided(reading: &Reading, scan: &Scan, counted: bool) -> bool {
    let said = said(reading, scan);
    if counted {
        return said.counts.iter().any(Option::is_some);
    }
    let best_code = text(scan, first_code(reading)).is_some();
    let worded = reading.message.is_none() || said.message.is_some();
    said.good || ((said.bad || reading.good.is_empty()) && best_code && worded)
}

/// Whether the array at a pointer of a JSON text has more than so many members. One that is no JSON has none.
pub fn counts_over(text: &[u8], pointer: &str, most: u32) -> bool {
    // So many members do not fit into fewer bytes.
    if text.len() / 2 < most as usize {
        return false;
    }
    let beyond = format!("{pointer}/{most}");
    let mut scan = Scan::new(std::iter::once(beyond.as_str()));
    text.iter().any(|byte| scan.take(*byte) || scan.ended()) && *scan.found(0) != Found::Nothing
}

/// The pointers in the order in which the scan has them: good, good_where, codes, message, counts.
const fn first_code(reading: &Reading) -> usize {
    reading.good.len() + reading.good_where.len()
}

fn text(scan: &Scan, index: usize) -> Option<&str> {
    match scan.found(index) {
        Found::Scalar(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn said(reading: &Reading, scan: &Scan) -> Said {
    let mut good = false;
    let mut bad = false;
    for (index, (_, expected)) in reading.good.iter().enumerate() {
        match scan.found(index) {
            Found::Scalar(text) if text == expected => good = true,
            Found::Nothing => {}
            _ => bad = true,
        }
    }
    let first_code = first_code(reading);
    let message = first_code + reading.codes.len();
    // Said in so many words, `bad` outweighs anything that is merely there.
    good |= !bad && (reading.good.len()..first_code).any(|index| *scan.found(index) != Found::Nothing);
    let first_count = message + reading.message.iter().count();
    let counts =
        (first_count..first_count + reading.counts.len()).map(|at| text(scan, at).map(str::to_owned)).collect();
    if good {
        return Said { good, counts, ..Said::default() };
    }
    let code = (first_code..message).find_map(|index| text(scan, index));
    Said {
        good,
        bad: bad || code.is_some(),
        code: code.map(printable),
        message: reading.message.as_ref().and_then(|_| text(scan, message)).map(str::to_owned),
        counts,
    }
}

/// A code as statistics can hold it.
fn printable(code: &str) -> String {
    code.chars().take(LONGEST_CODE).map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests;
