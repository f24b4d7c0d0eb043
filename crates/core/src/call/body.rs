//! What is done with a request's body before its call asks for a permit.
//!
//! A body that may have to be sent twice is read whole, which also spares a permit the time that a
//! slow upload takes. One of unknown length is read as far as it can be held, and so is known to be
//! whole before it is admitted, or over the vendor's limit, if it is either.

use crate::protocol::{BodyLength, Route};
use crate::refusal::{Reason, Refusal};

/// The longest body that is kept, so that its call can be sent again: 1 MB.
pub const KEPT_BYTES: u64 = 1_048_576;

/// What is read of a refused upload: enough that ordinary clients come to read the answer, and little enough that refusing
/// stays cheap. Larger ones may see their connection reset.
const DRAIN: Drain = Drain { bytes: 2_097_152, ms: 1_000 };

/// A body that fits into the socket's buffers need not be read off, bytes.
const SMALL_BYTES: u64 = 65_536;

/// How much of a refused upload is read off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// The most bytes.
    pub bytes: u32,
    /// The longest time, milliseconds.
    pub ms: u32,
}

/// The facts of a request's body that its head states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyHead<'a> {
    /// The method of the request line.
    pub method: &'a str,
    /// The request has a body.
    pub present: bool,
    /// Its length.
    pub length: BodyLength,
    /// The `Content-Encoding` of the body.
    pub encoding: Option<&'a str>,
}

/// How a body is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyPlan {
    /// There is none.
    None,
    /// It is left where it is, and sent on as it comes: once.
    Stream,
    /// It is read whole.
    ReadWhole,
    /// It is awaited and left where it is, so that one that breaks off is not sent.
    Measure,
    /// It is read as far as [`KEPT_BYTES`]; what follows is streamed, and cut off at the vendor's
    /// limit.
    ReadFirst,
}

impl BodyHead<'_> {
    /// Returns how the body is taken of a call whose route is known, or is not.
    pub fn plan(&self, route: Option<&Route>) -> BodyPlan {
        if !self.present {
            return BodyPlan::None;
        }
        match self.length {
            BodyLength::Bytes(length) if length <= KEPT_BYTES && self.may_be_repeated(route) => BodyPlan::ReadWhole,
            BodyLength::Bytes(_) => BodyPlan::Stream,
            BodyLength::Unknown if self.can_be_kept() => BodyPlan::ReadFirst,
            BodyLength::Unknown => BodyPlan::Measure,
        }
    }

    /// Returns how a body is taken that is wanted before it is known who calls; none where there is
    /// no body, or where it is too long to be looked into.
    pub fn plan_early(&self) -> Option<BodyPlan> {
        let long = matches!(self.length, BodyLength::Bytes(length) if length > KEPT_BYTES);
        if !self.present || long {
            return None;
        }
        Some(if self.can_be_kept() { BodyPlan::ReadFirst } else { BodyPlan::Stream })
    }

    /// Whether a streamed body may be looked into, in a copy.
    pub fn is_short(&self) -> bool {
        !matches!(self.length, BodyLength::Bytes(length) if length > KEPT_BYTES)
    }

    /// Returns how many bytes are read of a streamed body of that length to count its records, of
    /// which the vendor takes only so many; none where it is sent on unread: one that is encoded is
    /// the vendor's to refuse, and so is one that is longer than the vendor takes. `limit`: the
    /// bytes that the vendor takes, where that is known.
    pub fn read_for_records(&self, length: BodyLength, limit: Option<u64>) -> Option<u64> {
        let most = limit.unwrap_or(KEPT_BYTES).min(KEPT_BYTES);
        let fits = matches!(length, BodyLength::Bytes(length) if length <= most);
        (fits && self.is_plain() && self.can_be_kept()).then_some(most)
    }

    /// Returns how much of the body is read off when its call is refused; none where nothing has to
    /// be.
    pub fn drain(&self) -> Option<Drain> {
        let is_small = matches!(self.length, BodyLength::Bytes(length) if length <= SMALL_BYTES);
        (self.present && !is_small).then_some(DRAIN)
    }

    /// Whether its bytes are what they seem: one that is encoded is the vendor's to judge.
    pub fn is_plain(&self) -> bool {
        self.encoding.is_none_or(|coding| coding.eq_ignore_ascii_case("identity"))
    }

    /// Whether the platform sends a body that was kept: with these methods it sends only the
    /// caller's own body.
    fn can_be_kept(&self) -> bool {
        !matches!(self.method, "GET" | "HEAD")
    }

    /// Whether the call may be sent twice. While the route is not known it may.
    fn may_be_repeated(&self, route: Option<&Route>) -> bool {
        self.can_be_kept() && route.is_none_or(|route| route.attempts > 1 || route.credential.is_none())
    }
}

/// Whether a body of which so many bytes are held can be sent once more.
pub const fn can_be_repeated(held_bytes: u64) -> bool {
    held_bytes <= KEPT_BYTES
}

/// Returns the refusal of a body that ends before its end.
pub fn broken_off() -> Refusal {
    Refusal::new(Reason::Request, "the request's body broke off before its end")
}

/// Returns the refusal of a body that cannot be kept, and is too long to be awaited without its
/// length.
pub fn needs_its_length() -> Refusal {
    let detail =
        format!("a get request's body of more than {KEPT_BYTES} bytes needs its Content-Length: send it with one");
    Refusal::new(Reason::Payload, detail)
}
