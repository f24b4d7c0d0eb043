//! Every answer that Sluice gives in the vendor's place, and its reason. There is one type for
//! them, and `upstream::dialect` is its one mapping to HTTP.

use serde::{Deserialize, Serialize};
use sluice_limiter::Denial;

/// The reason in `Sluice-Reason`. Objects and Workers of two releases exchange the variants by
/// their position here, so a new one goes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// A daily limit of the connection is spent.
    DailyQuota,
    /// The app's `daily_calls` are spent.
    AppBudget,
    /// The vendor asked for a pause, or an operator paused the connection.
    Paused,
    /// The wait queue is full.
    QueueFull,
    /// The wait is longer than the caller allows.
    Deadline,
    /// A rate or window is full, and the call is not allowed to wait.
    Rate,
    /// All slots are taken, and the call is not allowed to wait.
    Concurrency,
    /// 400: the vendor could read the path as another one.
    Path,
    /// 400: something else is wrong with the request.
    Request,
    /// 401: there is no key, or the key is not valid.
    Key,
    /// 403: the key does not work from this page.
    Origin,
    /// 403: the app may not make this call.
    Route,
    /// 403: the app may not use this connection.
    ConnectionForbidden,
    /// 404: the tenant has no such connection.
    ConnectionUnknown,
    /// 403: the key's role does not allow this.
    Role,
    /// 404: nothing is at this address.
    NotFound,
    /// 405: the address does not support the method.
    Method,
    /// 409: the job has not ended, or is not a dead letter.
    JobLive,
    /// 413: the body is over the vendor's limit for the route.
    Payload,
    /// 414: the target is over the vendor's limit.
    Uri,
    /// 422: the `Idempotency-Key` was used for another request.
    KeyReused,
    /// 501: the call asks for a WebSocket to a vendor.
    Upgrade,
    /// 502: the vendor gave no answer, or one that HTTP cannot carry.
    VendorUnreachable,
    /// 503: the tenant's object cannot be reached, so nothing is forwarded.
    Unavailable,
    /// 503: a secret of the installation is missing or malformed.
    Setup,
    /// 504: the vendor took longer than `timeout_seconds`.
    VendorTimeout,
    /// 500: Sluice itself failed.
    Internal,
    /// 403: the request crossed the network without TLS.
    Https,
    /// 400: the request has a key in a place from which the vendor would receive it.
    KeyMisplaced,
}

/// A refusal, before it is worded for a caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The reason, which also decides the status.
    pub reason: Reason,
    /// One sentence without a secret: what is wrong, where, and what to do. It begins in lower
    /// case.
    pub detail: String,
    /// Whole seconds until another try can succeed, where waiting helps.
    pub retry_after_seconds: Option<u64>,
    /// The names of the limits that refuse.
    pub violated: Vec<String>,
}

impl Refusal {
    /// Makes a refusal that waiting does not cure.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), retry_after_seconds: None, violated: Vec::new() }
    }
}

impl From<Denial> for Reason {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::DailyQuota => Self::DailyQuota,
            Denial::AppBudget => Self::AppBudget,
            Denial::Paused => Self::Paused,
            Denial::QueueFull => Self::QueueFull,
            Denial::Deadline => Self::Deadline,
            Denial::Rate => Self::Rate,
            Denial::Concurrency => Self::Concurrency,
        }
    }
}

impl Reason {
    /// The text of the reason in `Sluice-Reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DailyQuota => "daily-quota",
            Self::AppBudget => "app-budget",
            Self::Paused => "paused",
            Self::QueueFull => "queue-full",
            Self::Deadline => "deadline",
            Self::Rate => "rate",
            Self::Concurrency => "concurrency",
            Self::Path => "path",
            Self::Request => "request",
            Self::Key => "key",
            Self::Https => "https",
            Self::KeyMisplaced => "key-misplaced",
            Self::Origin => "origin",
            Self::Route => "route",
            Self::ConnectionForbidden | Self::ConnectionUnknown => "connection",
            Self::Role => "role",
            Self::NotFound => "not-found",
            Self::Method => "method",
            Self::JobLive => "live",
            Self::KeyReused => "idempotency-key",
            Self::Payload => "payload",
            Self::Uri => "uri",
            Self::Upgrade => "upgrade",
            Self::VendorUnreachable => "vendor-unreachable",
            Self::Unavailable => "unavailable",
            Self::Setup => "setup",
            Self::VendorTimeout => "vendor-timeout",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status of its problem document.
    pub const fn status(self) -> u16 {
        match self {
            Self::DailyQuota | Self::AppBudget | Self::QueueFull | Self::Deadline | Self::Rate | Self::Concurrency => {
                429
            }
            Self::Path | Self::Request | Self::KeyMisplaced => 400,
            Self::Key => 401,
            Self::Https | Self::Origin | Self::Route | Self::ConnectionForbidden | Self::Role => 403,
            Self::ConnectionUnknown | Self::NotFound => 404,
            Self::Method => 405,
            Self::JobLive => 409,
            Self::Payload => 413,
            Self::Uri => 414,
            Self::KeyReused => 422,
            Self::Internal => 500,
            Self::Upgrade => 501,
            Self::VendorUnreachable => 502,
            Self::Paused | Self::Unavailable | Self::Setup => 503,
            Self::VendorTimeout => 504,
        }
    }

    /// Whether a limit refused the call. Such refusals are worded in the vendor's own dialect. All
    /// others are faults of the call itself and always problem documents.
    pub const fn is_throttle(self) -> bool {
        matches!(
            self,
            Self::DailyQuota
                | Self::AppBudget
                | Self::Paused
                | Self::QueueFull
                | Self::Deadline
                | Self::Rate
                | Self::Concurrency
        )
    }
}
