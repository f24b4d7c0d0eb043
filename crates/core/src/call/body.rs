//! What is done with a request's body before its call asks for a permit.
//!
//! A body that may have to be sent twice is read whole, which also spares a permit the time that a
//! slow upload takes. One of unknown length is read as far as it can be held, and so is known to be
//! whole before it is admitted, or over the vendor's limit, if it is either.

use crate::protocol::{BodyLength, Route};

/// The longest body that is kept, so that its call can be sent again: 1 MB.
pub const KEPT_BYTES: u64 = 1_048_576;

/// The facts of a request's body that its head tells.
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
    /// How the body is taken of a call whose route is known, or is not.
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

    /// How a body is taken that is wanted before it is known who calls; none where there is none, or
    /// it is too long to be looked into.
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

    /// Whether a streamed body of that length is read to count its records, of which the vendor takes
    /// only so many; `most`: bytes that the vendor takes.
    pub fn is_read_for_records(&self, length: BodyLength, most: u64) -> bool {
        let fits = matches!(length, BodyLength::Bytes(length) if length <= most.min(KEPT_BYTES));
        fits && self.is_plain() && self.can_be_kept()
    }

    /// Whether its bytes are what they seem: one that is encoded is the vendor's to judge.
    pub fn is_plain(&self) -> bool {
        self.encoding.is_none_or(|coding| coding.eq_ignore_ascii_case("identity"))
    }

    /// Whether the platform sends a body that was kept: with these methods it sends the caller's own
    /// alone.
    fn can_be_kept(&self) -> bool {
        !matches!(self.method, "GET" | "HEAD")
    }

    /// Whether the call may be sent twice. While the route is not known it may.
    fn may_be_repeated(&self, route: Option<&Route>) -> bool {
        self.can_be_kept() && route.is_none_or(|route| route.attempts > 1 || route.credential.is_none())
    }
}
