//! Reads the head of a vendor's answer for what it says, before it is passed on. It reads as few
//! bytes as possible and a bounded number at most, so that a large good body is not delayed.

#![expect(clippy::arithmetic_side_effects, reason = "no more than the head's 16 kB, and a handful of pointers")]

mod decode;
mod scan;
mod xml;

pub use decode::inflated;

use super::profile::Reading;
use decode::Decoder;
use scan::{Found, Scan};

/// The most bytes of a body that are examined, both as received and as decoded. Marketo's errors
/// are some 200 bytes; sixteen kilobytes are one read of a socket.
pub const HEAD_BYTES: usize = 16 * 1024;

/// The longest error code that is kept, bytes, since statistics have one counter for each.
const LONGEST_CODE: usize = 64;

/// What the head of a body says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BodyFacts {
    /// Whether it says that the call succeeded.
    pub good: bool,
    /// Whether it says that the call failed, or has the form of an error.
    pub bad: bool,
    /// The error's code.
    pub code: Option<String>,
    /// The error's message, at most some 200 bytes of it.
    pub message: Option<String>,
    /// When it allows another try, as it is written.
    pub wait: Option<String>,
    /// Which of `Reading::words` occur in the head.
    pub words: Vec<String>,
    /// The vendor's counts, in the order of `Reading::counts`.
    pub counts: Vec<Option<String>>,
}

/// A reader of a body's head. Feed it the bytes as they come until it is done, then call
/// [`Self::said`].
pub struct BodySniffer {
    decoder: Decoder,
    scan: Scan,
    reading: Reading,
    /// Whether it looks for a count.
    counted: bool,
    /// The decoded head, where it is examined as a whole: for words, and for the elements of XML.
    head: Option<Vec<u8>>,
    raw: usize,
    decoded: usize,
    done: bool,
}

impl BodySniffer {
    /// Makes a reader for an answer with this status and this `Content-Encoding`. It is `None` when
    /// the body tells nothing that matters, and then nothing is held up. The first bytes of the
    /// body tell its format.
    pub fn new(reading: &Reading, status: u16, content_encoding: Option<&str>) -> Option<Self> {
        let counted = !reading.counts.is_empty() && status < 300;
        let whole = status >= 400 && !(reading.xml_codes.is_empty() && reading.words.is_empty());
        let says = (reading.every || status >= 400) && !(reading.codes.is_empty() && reading.good.is_empty());
        if !(says || whole || counted) || matches!(status, 204 | 304) {
            return None;
        }
        let good = reading.good.iter().map(|(pointer, _)| pointer);
        let pointers = good.chain(&reading.good_where).chain(&reading.codes).chain(&reading.message);
        let scan = Scan::new(pointers.chain(&reading.wait).chain(&reading.counts).map(String::as_str));
        let decoder = Decoder::new(content_encoding);
        let head = whole.then(Vec::new);
        Some(Self { decoder, scan, reading: reading.clone(), counted, head, raw: 0, decoded: 0, done: false })
    }

    /// Reads the next bytes as received. Returns whether the reader is done: it needs no more, or
    /// must not read more.
    pub fn feed(&mut self, chunk: &[u8]) -> bool {
        if self.done {
            return true;
        }
        let chunk = chunk.get(..HEAD_BYTES - self.raw).unwrap_or(chunk);
        self.raw += chunk.len();
        let (scan, reading, counted, head) = (&mut self.scan, &self.reading, self.counted, &mut self.head);
        let (mut decoded, mut enough) = (self.decoded, false);
        let more = self.decoder.feed(chunk, |bytes| {
            for byte in bytes.iter().take(HEAD_BYTES.saturating_sub(decoded)) {
                decoded += 1;
                if let Some(head) = head {
                    head.push(*byte);
                }
                // Checked at each find rather than at each piece, so that the result does not
                // depend on how the body was cut up.
                if scan.take(*byte) && decided(reading, scan, counted) && reading.words.is_empty() {
                    enough = true;
                    break;
                }
            }
        });
        self.decoded = decoded;
        // Where no JSON begins, a head that is examined as a whole is read on.
        let over = self.scan.ended() && !self.head.as_ref().is_some_and(|head| self.reads_on(head));
        self.done = enough || !more || over || self.raw >= HEAD_BYTES || self.decoded >= HEAD_BYTES;
        self.done
    }

    fn reads_on(&self, head: &[u8]) -> bool {
        !self.reading.words.is_empty() || xml::is_one(head)
    }

    /// Returns the facts that have been read from the body so far.
    pub fn said(&self) -> BodyFacts {
        let mut facts = facts_of(&self.reading, &self.scan);
        let Some(head) = &self.head else { return facts };
        if facts.code.is_none() && xml::is_one(head) {
            let find = |names: &[String]| names.iter().find_map(|name| xml::text_of(head, name));
            let code = find(&self.reading.xml_codes);
            // A code is a qualified name, such as `sf:REQUEST_LIMIT_EXCEEDED`.
            facts.code = code.map(|code| printable(code.rsplit(':').next().unwrap_or(&code)));
            facts.bad |= facts.code.is_some();
            facts.message = facts.message.or_else(|| find(&self.reading.xml_message));
        }
        if !self.reading.words.is_empty() {
            let head = String::from_utf8_lossy(head).to_ascii_lowercase();
            facts.words = self.reading.words.iter().filter(|words| head.contains(words.as_str())).cloned().collect();
        }
        facts
    }
}

/// Whether nothing that follows can change the result.
fn decided(reading: &Reading, scan: &Scan, counted: bool) -> bool {
    let facts = facts_of(reading, scan);
    if counted {
        return facts.counts.iter().any(Option::is_some);
    }
    let best_code = text(scan, first_code(reading)).is_some();
    let worded = reading.message.is_empty() || text(scan, first_code(reading) + reading.codes.len()).is_some();
    let waits = reading.wait.is_empty() || facts.wait.is_some();
    facts.good || ((facts.bad || reading.good.is_empty()) && best_code && worded && waits)
}

/// Whether the array at a pointer of a JSON text has more than `most` members. A text that is not
/// JSON has none.
pub fn counts_over(text: &[u8], pointer: &str, most: u32) -> bool {
    // So many members need at least two bytes each.
    if text.len() / 2 < most as usize {
        return false;
    }
    let beyond = format!("{pointer}/{most}");
    let mut scan = Scan::new(std::iter::once(beyond.as_str()));
    text.iter().any(|byte| scan.take(*byte) || scan.ended()) && *scan.found(0) != Found::Nothing
}

/// Returns the index of the first code. The scan has the pointers in this order: good, good_where,
/// codes, message, wait, counts.
const fn first_code(reading: &Reading) -> usize {
    reading.good.len() + reading.good_where.len()
}

fn text(scan: &Scan, index: usize) -> Option<&str> {
    match scan.found(index) {
        Found::Scalar(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn facts_of(reading: &Reading, scan: &Scan) -> BodyFacts {
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
    // An explicit `bad` outweighs a field that is merely there.
    good |= !bad && (reading.good.len()..first_code).any(|index| *scan.found(index) != Found::Nothing);
    let message = first_code + reading.codes.len();
    let wait = message + reading.message.len();
    let first_count = wait + reading.wait.len();
    let counts =
        (first_count..first_count + reading.counts.len()).map(|at| text(scan, at).map(str::to_owned)).collect();
    if good {
        return BodyFacts { good, counts, ..BodyFacts::default() };
    }
    let first_of = |mut places: std::ops::Range<usize>| places.find_map(|index| text(scan, index));
    let code = first_of(first_code..message);
    BodyFacts {
        good,
        bad: bad || code.is_some(),
        code: code.map(printable),
        message: first_of(message..wait).map(str::to_owned),
        wait: first_of(wait..first_count).map(str::to_owned),
        words: Vec::new(),
        counts,
    }
}

/// Returns a code in a form that statistics can store.
fn printable(code: &str) -> String {
    code.chars().take(LONGEST_CODE).map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests;
