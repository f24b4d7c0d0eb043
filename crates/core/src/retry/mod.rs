//! Decides whether and when a call is sent again, both for calls whose caller waits and for jobs.

mod spread;

pub use spread::{place_of, spread};

use crate::upstream::Profile;
use crate::upstream::methods;
use crate::upstream::outcome::{Classification, may_repeat};
use crate::upstream::profile::Executed;
use sluice_limiter::{Outcome, ThrottledBy, longest_pause_ms};

/// The first backoff is random between 0 and this, milliseconds. The range doubles with each
/// further one.
const FIRST_BACKOFF_MS: u64 = 1_000;

/// The most doublings of the range: it then is 256 s, before the last of the ten attempts that a
/// policy may allow.
const MOST_DOUBLINGS: u32 = 8;

/// What is known of a call that has been sent, as far as it matters to sending it again.
#[derive(Debug, Clone, Copy)]
pub struct RetryContext<'a> {
    /// The vendor.
    pub profile: &'a Profile,
    /// All methods that the vendor may read, in the form that [`methods`] writes.
    pub method: &'a str,
    /// The vendor's path as sent, without the query.
    pub path: &'a str,
    /// Whether the call carries an `Idempotency-Key`.
    pub idempotency_key: bool,
    /// Whether nobody waits for the call, because it is a job.
    pub unattended: bool,
    /// Vendor calls made so far, the last one included.
    pub made: u32,
    /// `retry.attempts`: how many vendor calls may be made, the first included.
    pub most: u32,
    /// Milliseconds until the caller wants an answer; `None` where nobody waits.
    pub left_ms: Option<u64>,
    /// `max_pause_seconds` in milliseconds: the longest that a vendor's Retry-After may stop the
    /// connection, and so this call.
    pub max_pause_ms: u64,
    /// A value over all of `u64` that places the retry within its backoff: random, or [`place_of`]
    /// its permit.
    pub random: u64,
}

/// What follows a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The call asks for another permit this many milliseconds after the answer, not before.
    After(u64),
    /// The last try was the final one.
    Stop(StopReason),
}

/// Why a call is not sent again: the first reason that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The call succeeded, or another try would not help.
    Final,
    /// The vendor may have executed the call, and must not execute it twice.
    OutcomeUnknown,
    /// All allowed attempts have been made.
    Spent,
    /// The backoff is longer than the caller waits.
    Late,
}

/// Decides on the next step of a call from the result of its last try.
pub fn next(tried: &RetryContext<'_>, verdict: &Classification) -> Next {
    // A spent daily quota does not come back while a caller waits. A job waits for it in admission.
    let by_day = tried.unattended && matches!(verdict.outcome, Outcome::Throttled { by: ThrottledBy::Day, .. });
    let executed_not = verdict.executed == Executed::No;
    let may_help = verdict.transient || by_day && executed_not;
    if !may_help {
        return Next::Stop(StopReason::Final);
    }
    if !executed_not && !may_be_executed_twice(tried, verdict) {
        return Next::Stop(StopReason::OutcomeUnknown);
    }
    if tried.made >= tried.most {
        return Next::Stop(StopReason::Spent);
    }
    let after = wait_ms(tried, verdict.retry_after_ms);
    if tried.left_ms.is_some_and(|left| after > left) {
        return Next::Stop(StopReason::Late);
    }
    Next::After(after)
}

/// A caller that waits can judge for itself whether to repeat PUT or DELETE after a timeout: what
/// it meant to replace may have changed since, and a second DELETE answers 404. A job has no caller
/// to decide, so HTTP's own rule for idempotent methods counts (RFC 9110, section 9.2.2).
fn may_be_executed_twice(tried: &RetryContext<'_>, verdict: &Classification) -> bool {
    let idempotent = tried.unattended
        && tried.profile.safe_methods
        && methods::effective(tried.method)
            .all(|method| matches!(method, "PUT" | "DELETE" | "GET" | "HEAD" | "OPTIONS"));
    idempotent || may_repeat(tried.profile, tried.method, tried.path, tried.idempotency_key, verdict)
}

/// Returns the wait in milliseconds: the vendor's own time where it names one, bounded by the
/// policy, plus the jitter of a backoff. Without the jitter all calls that were given the same time
/// would come back together, just when the pause of the connection has ended and would admit them
/// all.
fn wait_ms(tried: &RetryContext<'_>, retry_after_ms: Option<u64>) -> u64 {
    let doublings = tried.made.saturating_sub(1).min(MOST_DOUBLINGS);
    let jitter = spread(tried.random, FIRST_BACKOFF_MS << doublings);
    retry_after_ms.map_or(0, |asked| longest_pause_ms(asked, tried.max_pause_ms)).saturating_add(jitter)
}

#[cfg(test)]
mod tests;
