//! When a connection asks its pool again: after a request without an answer, and after one that found the pool empty.
//!
//! A connection must come to rest. Between two asks that it makes by itself passes at least as long as it has already asked for nothing,
//! so that their number grows as the logarithm of the time; a pool that cannot be asked is asked once a minute. Calls that come make it
//! ask more often.

use serde::{Deserialize, Serialize};

/// While callers wait for it, a failed request is repeated after so long, milliseconds.
const AGAIN_MS: i64 = 250;
/// While none wait it is repeated after as long as it has been tried already, and at most after so long, milliseconds. An object that is to wake so soon does
/// not sleep, so it keeps to that.
const AGAIN_MOST_MS: i64 = 60_000;
/// A request under way is given up with the epoch that made it, after so long, milliseconds.
const LOST_MS: i64 = 60_000;
/// A pool that was empty is asked again after this, milliseconds, and after twice as long each time.
const EMPTY_MS: i64 = 1_000;
/// A call that comes so long after the last ask asks anew, milliseconds: what others had not spent may have come back.
const CALL_MS: i64 = 300_000;

/// A turn's request that has no answer yet. Times are limiter milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// When it was first made: the loan's time counts from there.
    pub at: i64,
    pub want: u32,
    pub unused: u32,
    /// When it was found to have failed.
    pub failed: Option<i64>,
}

impl Asked {
    pub const fn new(at: i64, want: u32, unused: u32) -> Self {
        Self { at, want, unused, failed: None }
    }

    /// Returns when the request is to be repeated; none while an answer may come.
    pub fn again(&self, callers_wait: bool) -> Option<i64> {
        let failed = self.failed?;
        let rest = if callers_wait { AGAIN_MS } else { failed.saturating_sub(self.at).clamp(AGAIN_MS, AGAIN_MOST_MS) };
        Some(failed.saturating_add(rest))
    }

    /// Returns when the request is to be repeated in the next epoch: an answer that has not come by
    /// then will not come.
    pub fn again_or_lost(&self, callers_wait: bool) -> i64 {
        self.again(callers_wait).unwrap_or(self.at.saturating_add(LOST_MS))
    }
}

/// A pool that was found empty. It is stored, since an object that waits for its pool sleeps meanwhile.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Dry {
    /// Until then calls that come are refused without a request, limiter milliseconds.
    pub until: i64,
    /// When it is asked again for waiting calls, limiter milliseconds.
    pub again: i64,
    /// When it has more by its own answer, Unix milliseconds.
    pub more: i64,
}

impl Dry {
    /// Returns the state of a pool that was found empty at `time`, with no permit spent since
    /// `since`. By its own answer it has more in `more_in` milliseconds, at `more`; then it is
    /// asked again, since its clock may be behind ours.
    pub fn new(time: i64, since: i64, more_in: i64, more: i64) -> Self {
        let rest = time.saturating_sub(since).saturating_add(EMPTY_MS).min(more_in).max(EMPTY_MS);
        Self { until: time.saturating_add(rest.min(CALL_MS)), again: time.saturating_add(rest), more }
    }
}
