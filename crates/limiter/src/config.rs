//! What a connection may do: its limits, queue and adaptation, validated, after `share`, in integers.
//! Times are milliseconds unless the name says otherwise; fractions are parts per million.

use crate::apps::AppRule;
use crate::calendar::Reset;
use crate::index::LimitId;
use serde::{Deserialize, Serialize};

/// The rules of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The limits, at most 32: those that count a call are a bit mask.
    pub limits: Vec<Limit>,
    /// The wait queue.
    pub queue: QueueRule,
    /// How the rate follows the vendor's throttles.
    pub adaptive: AdaptiveRule,
    /// Whether limits are kept or only watched.
    pub mode: Mode,
    /// The apps that may call.
    pub apps: Vec<AppRule>,
    /// The longest a vendor may be at work on a call after it was sent, milliseconds: at least the time-out.
    pub ceiling_ms: u64,
    /// When the connection's own day ends, by which its budgets and statistics go.
    pub day: Reset,
}

impl Plan {
    /// Returns the limit at a place in the plan.
    pub(crate) fn limit(&self, limit: LimitId) -> Option<&Limit> {
        self.limits.get(limit.0 as usize)
    }
}

/// One limit of a connection, as it is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The policy's name for it. With the kind it identifies the limit over policy edits.
    pub name: String,
    /// The kind and its figures, after `share`.
    pub kind: Kind,
    /// The figure before `share`, in the kind's unit (calls; for a token bucket its burst).
    pub of: u64,
    /// Whether each app is counted by itself.
    pub per_app: bool,
    /// The name of a quota shared with other connections, of any tenant.
    pub pool: Option<String>,
    /// Which calls it counts: a fingerprint of its routes, 0 for all calls.
    pub routes: u64,
}

/// The kinds of limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// `rate_micro` millionths of a call a second, `burst` (≥ 1) at once.
    TokenBucket {
        /// Millionths of a call per second, at least 1.
        rate_micro: u64,
        /// Calls that may go at once after a rest, at least 1.
        burst: u64,
    },
    /// At most `calls` in any `window_ms`.
    RollingWindow {
        /// Calls, at least 1.
        calls: u64,
        /// The vendor's window, milliseconds.
        window_ms: u64,
        /// How much longer calls count, for a vendor whose clock is coarse; milliseconds.
        guard_ms: u64,
    },
    /// At most `calls` in any 24 hours.
    RollingDay {
        /// Calls, at least 1.
        calls: u64,
    },
    /// At most `amount` between two resets.
    Daily {
        /// Calls or bytes, by `unit`.
        amount: u64,
        /// When the day ends.
        reset: Reset,
        /// Says what the day counts: calls, or bytes of answers.
        unit: Unit,
    },
    /// At most `calls` in flight.
    Concurrency {
        /// Calls, at least 1.
        calls: u64,
        /// Only calls in flight for longer than this count, milliseconds; 0 counts all.
        after_ms: u64,
    },
}

impl Kind {
    /// Whether a late settlement does as well as a prompt one, as long as it states when the answer
    /// came.
    pub const fn counts_from_answers(&self) -> bool {
        match self {
            Self::RollingWindow { .. } | Self::RollingDay { .. } | Self::Daily { unit: Unit::Calls, .. } => true,
            Self::TokenBucket { .. } | Self::Concurrency { .. } | Self::Daily { unit: Unit::ResponseBytes, .. } => {
                false
            }
        }
    }
}

/// What a daily limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Calls sent.
    Calls,
    /// Bytes of the answers' bodies, as received.
    ResponseBytes,
}

/// The wait queue of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRule {
    /// Calls that may wait at once.
    pub size: u32,
    /// The longest a call may wait, unless it asks for less; milliseconds.
    pub max_wait_ms: u64,
}

/// How the rate follows the vendor's throttles. Fractions in parts per million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdaptiveRule {
    /// The factor never falls below this.
    pub min_ppm: u32,
    /// The factor never rises above this.
    pub max_ppm: u32,
    /// The factor is multiplied by this at a throttle.
    pub backoff_ppm: u32,
    /// The factor is multiplied by this after `successes`.
    pub recovery_ppm: u32,
    /// How many good answers in a row raise the factor.
    pub successes: u32,
    /// The pause after a throttle without a Retry-After, milliseconds.
    pub pause_ms: u64,
    /// The longest that a vendor's Retry-After may stop the connection, jitter included; milliseconds.
    pub max_pause_ms: u64,
}

impl AdaptiveRule {
    /// The usual rule: halved at a throttle, raised by a tenth after ten good answers; never above the limits, and never below a tenth of them. A
    /// `Retry-After` stops the connection for an hour at most.
    pub const USUAL: Self = Self {
        min_ppm: 100_000,
        max_ppm: 1_000_000,
        backoff_ppm: 500_000,
        recovery_ppm: 1_100_000,
        successes: 10,
        pause_ms: 0,
        max_pause_ms: 3_600_000,
    };
}

impl Default for AdaptiveRule {
    fn default() -> Self {
        Self::USUAL
    }
}

/// Whether a connection's limits are kept or only watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Delay and refuse.
    Enforce,
    /// Only count, and report what would have been done.
    Observe,
}

impl Mode {
    /// Returns the mode as a policy writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}
