//! The reports of a Worker: what became of a permit, of an exchange for an access token, of a
//! callback.

use crate::upstream::grant::{Exchange, Failure, Issued};
use serde::{Deserialize, Serialize};
use sluice_limiter::{Counted, Outcome, PermitId};

/// The report on what became of a permit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settle {
    /// The connection's name.
    pub connection: String,
    /// The permit that is settled.
    pub permit: PermitId,
    /// The number of this attempt to report, from 1.
    pub attempt: u32,
    /// How the call ended.
    pub outcome: Outcome,
    /// How long ago the vendor's headers came, in milliseconds, where they did.
    pub since_headers_ms: Option<u64>,
    /// The bytes of the answer's body, as they were received.
    pub response_bytes: u64,
    /// The vendor's status, where an answer came.
    pub status: Option<u16>,
    /// The vendor's own counts, as far as its answer has them.
    pub counts: Vec<Counted>,
    /// The code for the error statistics: that in the vendor's body, else the status, else
    /// `timeout` or `unreachable`. A good answer has none.
    pub error_code: Option<String>,
    /// The call for the statistics; a permit that was not used has none.
    pub sent: Option<Sent>,
}

/// A vendor call that was made, as the statistics see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The name of the app that called.
    pub app: String,
    /// The method in upper case.
    pub method: String,
    /// The vendor's path without the query, its ids folded ([`crate::usage::endpoint`]).
    pub path: String,
    /// The number of this vendor call among those for one call of the caller's, from 1.
    pub nth: u32,
    /// How long ago the call was sent, in milliseconds.
    pub ago_ms: u64,
}

/// An access token to fetch. The Worker that gets this message fetches it, and no other does.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fetch {
    /// The request to send.
    pub exchange: Exchange,
    /// The digest of the credential that the token is bought with, to be reported back.
    pub whose: u64,
    /// When the exchange began, in Unix milliseconds, to be reported back.
    pub began: i64,
}

/// The report on what became of an exchange.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenReport {
    /// The connection's name.
    pub connection: String,
    /// The digest of the credential, from [`Fetch`].
    pub whose: u64,
    /// When the exchange began, in Unix milliseconds, from [`Fetch`].
    pub began: i64,
    /// The token, or why there is none.
    pub result: Result<Issued, Failure>,
}

/// The report on what became of a callback that was sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliveryReport {
    /// The message's id, as it was sent.
    pub id: String,
    /// The number of the attempt, from [`crate::tenant::task::Delivery`].
    pub attempt: u32,
    /// How the attempt ended.
    pub outcome: DeliveryOutcome,
    /// When the receiver says to try again, in milliseconds from its answer.
    pub retry_after_ms: Option<u64>,
}

/// How an attempt to deliver a callback ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryOutcome {
    /// The receiver answered with this status.
    Answered(u16),
    /// The receiver did not answer in time.
    TimedOut,
    /// The receiver could not be reached.
    Unreachable,
    /// No report came of the attempt, so its outcome is not known.
    Unknown,
}

impl DeliveryOutcome {
    /// The receiver's status, where it answered.
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Answered(status) => Some(status),
            Self::TimedOut | Self::Unreachable | Self::Unknown => None,
        }
    }

    /// The outcome as the message's attempts show it: the status, or the reason why there is none.
    pub fn error(self) -> String {
        match self {
            Self::Answered(status) => status.to_string(),
            Self::TimedOut => "timeout".to_owned(),
            Self::Unreachable => "unreachable".to_owned(),
            Self::Unknown => "outcome-unknown".to_owned(),
        }
    }
}
