//! Every answer that Sluice makes in the vendor's place, and why. One type; `vendor::dialect` is its one mapping to HTTP.

use serde::{Deserialize, Serialize};
use sluice_limiter::Denial;

/// The reason in `Sluice-Reason`. Objects and Workers of two releases exchange its variants by their place here, so a new one goes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// A daily limit of the connection is spent.
    DailyQuota,
    /// The app's `daily_calls` are spent.
    AppBudget,
    /// The vendor said stop, and until when.
    Paused,
    /// No place left in the wait queue.
    QueueFull,
    /// The wait is longer than the caller allows.
    Deadline,
    /// A rate or window is full, and the call may not wait.
    Rate,
    /// The slots are full, and the call may not wait.
    Concurrency,
    /// 400: a path that a vendor could read as another one.
    Path,
    /// 400: anything else wrong with the request.
    Request,
    /// 401: no key, or one that does not hold.
    Key,
    /// 403: the key does not work from this page.
    Origin,
    /// 403: the app may not make this call.
    Route,
    /// 403: the app may not use this connection.
    ConnectionForbidden,
    /// 404: the tenant has no such connection.
    ConnectionUnknown,
    /// 403: the key's role does not reach this.
    Role,
    /// 404: nothing is at this address.
    NotFound,
    /// 405: the address knows other methods.
    Method,
    /// 409: the job has not ended, or is no dead letter.
    JobLive,
    /// 413: the body is over the vendor's limit for the route.
    Payload,
    /// 414: the target is over the vendor's limit.
    Uri,
    /// 422: the `Idempotency-Key` was used for another request.
    KeyReused,
    /// 501: a WebSocket to a vendor.
    Upgrade,
    /// 502: no answer could be had from the vendor, or none that HTTP can carry on.
    VendorUnreachable,
    /// 503: the tenant's object cannot be asked, so nothing is forwarded.
    Unavailable,
    /// 503: a secret of the installation is missing or malformed.
    Setup,
    /// 504: the vendor took longer than `timeout_seconds`.
    VendorTimeout,
    /// 500: a fault of Sluice's own.
    Internal,
    /// 403: the request has crossed the network in clear.
    Https,
    /// 400: a key stands where the vendor would get it.
    KeyMisplaced,
}

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// One sentence: what, where, what to do. Lower case, no secret.
    pub detail: String,
    /// Whole seconds until asking again makes sense, where waiting helps.
    pub retry_after_seconds: Option<u64>,
    /// The limits that refuse, by name.
    pub violated: Vec<String>,
}

impl Refusal {
    /// A refusal that waiting does not cure.
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
    /// As `Sluice-Reason` has it.
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

    /// Refused by the throttle: said in the vendor's own dialect. The others are faults of the call, and always problem
    /// documents.
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
