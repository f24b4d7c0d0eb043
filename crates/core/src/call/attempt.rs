//! One attempt at the vendor: how it ended, for the limiter, the statistics and the caller.

use crate::refusal::{Reason, Refusal};
use crate::upstream::outcome::{Classification, Unanswered, unanswered};
use sluice_limiter::{Counted, Outcome};

/// How an attempt ended, as it is reported to the tenant's object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptEnd {
    /// The end, for the limiter.
    pub outcome: Outcome,
    /// When the vendor's headers came, Unix ms, where they did.
    pub headers_at: Option<i64>,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
    /// More bytes may have come: a long body of unknown length that no limit counts is passed on
    /// uncounted.
    pub more_bytes: bool,
    /// The vendor's status, where an answer came.
    pub status: Option<u16>,
    /// The vendor's own counts, as its answer states them.
    pub counts: Vec<Counted>,
    /// The code for the error statistics.
    pub error_code: Option<String>,
}

impl AttemptEnd {
    /// Returns the end of a permit that was not used.
    pub const fn unsent() -> Self {
        Self {
            outcome: Outcome::Unused,
            headers_at: None,
            response_bytes: 0,
            more_bytes: false,
            status: None,
            counts: Vec::new(),
            error_code: None,
        }
    }

    /// Returns the end of an attempt whose headers came, once its body has ended too.
    pub fn with_body(self, body: &BodyCompletion) -> Self {
        let end = Self { response_bytes: body.bytes, more_bytes: body.more, ..self };
        let broken = |end: Self, why| {
            let verdict = unanswered(why);
            Self { outcome: verdict.outcome, error_code: verdict.error_code, ..end }
        };
        match body.end {
            BodyEnd::Whole => end,
            BodyEnd::TimedOut => broken(end, Unanswered::Timeout),
            BodyEnd::CutOff => broken(end, Unanswered::Unreachable),
            // The caller gave it up, not the vendor, which may still be at work: this is no error
            // of the vendor's.
            BodyEnd::CallerGone => Self { outcome: Outcome::Unknown, ..end },
        }
    }
}

/// How the body of an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyCompletion {
    /// Its end.
    pub end: BodyEnd,
    /// The bytes that came.
    pub bytes: u64,
    /// More bytes may have come than were counted.
    pub more: bool,
}

/// The end of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEnd {
    /// All of it came.
    Whole,
    /// The route's time was over first.
    TimedOut,
    /// The vendor broke it off.
    CutOff,
    /// Its caller went, and the rest was too long to be read for nobody.
    CallerGone,
}

/// Why an attempt has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendFailure {
    /// The vendor did not answer within the route's time, milliseconds.
    TimedOut(u64),
    /// The vendor cannot be reached, or closed the connection.
    Unreachable,
    /// The vendor answered with what cannot be passed on. The text says what.
    Unusable(&'static str),
    /// The platform does not send such a request.
    NotSendable,
    /// It was not sent, for this reason.
    NotSent(Refusal),
    /// The body was longer than the vendor takes, and the call under way was given up; with the
    /// limit in bytes, where there is one.
    BodyTooLong(Option<u64>),
    /// The caller's body broke off, and the call under way was given up.
    BodyBrokeOff,
}

/// What came of one attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The vendor's status, or the refusal that its caller gets in the place of an answer.
    pub came: Result<u16, Refusal>,
    /// How it ends, if all of the answer comes.
    pub end: AttemptEnd,
    /// What it means; none if nothing was sent to its end.
    pub verdict: Option<Classification>,
    /// When the headers came or were given up, Unix ms.
    pub at: i64,
}

impl Attempt {
    /// Returns an attempt whose headers came at `at`, Unix ms.
    pub fn answered(status: u16, at: i64, verdict: Classification, counts: Vec<Counted>) -> Self {
        let end = AttemptEnd {
            outcome: verdict.outcome,
            headers_at: Some(at),
            response_bytes: 0,
            more_bytes: false,
            status: Some(status),
            counts,
            error_code: verdict.error_code.clone(),
        };
        Self { came: Ok(status), end, verdict: Some(verdict), at }
    }

    /// Returns an attempt without an answer, given up at `at`, Unix ms.
    pub fn failed(failure: SendFailure, at: i64) -> Self {
        match failure {
            SendFailure::TimedOut(timeout_ms) => {
                let detail = format!("the vendor did not answer within {} s", timeout_ms.wrapping_div(1_000));
                Self::lost(Unanswered::Timeout, &detail, at)
            }
            SendFailure::Unreachable => {
                let detail = "the vendor cannot be reached, or closed the connection: check the connection's base_url";
                Self::lost(Unanswered::Unreachable, detail, at)
            }
            SendFailure::Unusable(detail) => Self::lost(Unanswered::Unreachable, detail, at),
            SendFailure::NotSendable => {
                Self::unsent(Refusal::new(Reason::Request, "this request cannot be sent on"), at)
            }
            SendFailure::NotSent(refusal) => Self::unsent(refusal, at),
            SendFailure::BodyTooLong(Some(limit)) => Self::cut_off(body_too_long(limit), at),
            SendFailure::BodyTooLong(None) | SendFailure::BodyBrokeOff => {
                let detail = "the request's body broke off before its end";
                Self::cut_off(Refusal::new(Reason::Request, detail), at)
            }
        }
    }

    fn unsent(refusal: Refusal, at: i64) -> Self {
        Self { came: Err(refusal), end: AttemptEnd::unsent(), verdict: None, at }
    }

    /// Returns an attempt whose request body was cut off: the vendor is done with it, and nobody
    /// knows whether it has counted it.
    fn cut_off(refusal: Refusal, at: i64) -> Self {
        let end = AttemptEnd { outcome: Outcome::Unknown, ..AttemptEnd::unsent() };
        Self { end, ..Self::unsent(refusal, at) }
    }

    /// Returns an attempt that may still be in progress at the vendor.
    fn lost(why: Unanswered, detail: &str, at: i64) -> Self {
        let reason = match why {
            Unanswered::Timeout => Reason::VendorTimeout,
            Unanswered::Unreachable => Reason::VendorUnreachable,
        };
        let verdict = unanswered(why);
        let (outcome, error_code) = (verdict.outcome, verdict.error_code.clone());
        let end = AttemptEnd { outcome, error_code, ..AttemptEnd::unsent() };
        Self { end, verdict: Some(verdict), ..Self::unsent(Refusal::new(reason, detail), at) }
    }
}

/// Returns the refusal of a body over the vendor's limit, in bytes.
pub fn body_too_long(limit: u64) -> Refusal {
    let detail = format!("the body is longer than the {limit} bytes the vendor takes here: send it in parts");
    Refusal::new(Reason::Payload, detail)
}
