//! Whether and when a call is sent again. One decision for calls whose caller waits and for those that are left to Sluice.

mod spread;

pub use spread::{place_of, spread};

use crate::upstream::Profile;
use crate::upstream::methods;
use crate::upstream::outcome::{Classification, may_repeat};
use crate::upstream::profile::Executed;
use sluice_limiter::{Outcome, ThrottledBy, longest_pause_ms};

/// The first backoff is anywhere up to this, milliseconds; each further one up to twice as much.
const FIRST_BACKOFF_MS: u64 = 1_000;

/// Doublings of the backoff: 256 s at most, the last of the ten attempts that a policy may ask for.
const MOST_DOUBLINGS: u32 = 8;

/// A call that has been sent, as far as it matters to sending it again.
#[derive(Debug, Clone, Copy)]
pub struct RetryContext<'a> {
    /// The vendor.
    pub profile: &'a Profile,
    /// The methods that the vendor may read, as [`methods`] writes them.
    pub method: &'a str,
    /// The vendor's path as sent, without the query.
    pub path: &'a str,
    /// It carries an `Idempotency-Key`.
    pub idempotency_key: bool,
    /// Nobody waits for it: a job.
    pub unattended: bool,
    /// Vendor calls made, this one included.
    pub made: u32,
    /// `retry.attempts`: vendor calls that may be made, the first included.
    pub most: u32,
    /// What is left until the caller wants an answer, milliseconds; none where nobody waits.
    pub left_ms: Option<u64>,
    /// The longest that a vendor's Retry-After may stop the connection, and so this call; milliseconds.
    pub max_pause_ms: u64,
    /// Where in the range of its backoff it goes: random over all of `u64`, or [`place_of`] its permit.
    pub random: u64,
}

/// What follows on a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Ask for another permit after so many milliseconds from the answer, not before.
    After(u64),
    /// Nothing: this was the last.
    Stop(StopReason),
}

/// Why a call is not sent again. The first that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// It went well, or would not go better.
    Final,
    /// It may have been executed, and must not be twice.
    OutcomeUnknown,
    /// All attempts are made.
    Spent,
    /// The caller does not wait so long.
    Late,
}

/// Decides on a call from what became of its last try.
pub fn next(tried: &RetryContext<'_>, verdict: &Classification) -> Next {
    // A spent day does not come back while a caller waits. A job waits for it in admission.
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

/// A caller that waits can judge for itself whether PUT or DELETE is to be repeated after a time-out: what it meant to
/// replace may have changed since, and a second DELETE answers 404. A job has nobody to ask, so that HTTP's own word
/// counts (RFC 9110, section 9.2.2).
fn may_be_executed_twice(tried: &RetryContext<'_>, verdict: &Classification) -> bool {
    let idempotent = tried.unattended
        && tried.profile.safe_methods
        && methods::effective(tried.method)
            .all(|method| matches!(method, "PUT" | "DELETE" | "GET" | "HEAD" | "OPTIONS"));
    idempotent || may_repeat(tried.profile, tried.method, tried.path, tried.idempotency_key, verdict)
}

/// The vendor's own time where it names one, as far as the policy lets it, and then the jitter of a backoff: those told the same time would come back
/// together. By then the connection's pause has ended too, which would let them all go at one moment.
fn wait_ms(tried: &RetryContext<'_>, retry_after_ms: Option<u64>) -> u64 {
    let doublings = tried.made.saturating_sub(1).min(MOST_DOUBLINGS);
    let jitter = spread(tried.random, FIRST_BACKOFF_MS << doublings);
    retry_after_ms.map_or(0, |asked| longest_pause_ms(asked, tried.max_pause_ms)).saturating_add(jitter)
}

#[cfg(test)]
mod tests;
