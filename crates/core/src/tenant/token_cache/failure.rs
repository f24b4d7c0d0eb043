//! The failures of exchanges, and when the next exchange may begin.

use crate::upstream::grant::Failure;

/// The first and the longest backoff, in milliseconds, after a failure that may soon be over.
const BACKOFF_MS: (i64, i64) = (1_000, 60_000);

/// The first and the longest backoff, in milliseconds, after a failure that lasts.
pub(super) const LASTING_BACKOFF_MS: (i64, i64) = (5_000, 300_000);

/// The pause after a first refusal that may pass by itself, in milliseconds: another client may be
/// exchanging the same refresh token at that moment (Salesforce then says `invalid_grant`). Calls
/// that may wait so long wait through it.
const SOFT_BACKOFF_MS: i64 = 500;

/// The longest pause that calls wait through, in milliseconds.
const LONGEST_WAITED_MS: i64 = 1_000;

/// The longest time that an endpoint is left alone because it says so, in milliseconds: as long as
/// one that refuses the credential.
const LONGEST_REST_MS: u64 = 300_000;

/// A renewal that has failed is tried again at the latest so long before the end of the token that
/// still works, in milliseconds.
const BEFORE_END_MS: i64 = 1_000;

/// The last failure of an exchange. Times are Unix milliseconds.
#[derive(Clone)]
pub(super) struct Failed {
    /// Why there is no token.
    pub(super) failure: Failure,
    /// How many exchanges in a row have failed.
    times: u32,
    /// When the endpoint may be asked again.
    pub(super) retry_at: i64,
}

impl Failed {
    /// A failure after an earlier one, if there was one. `token_ends_at` is the end of the token
    /// that still works, if one does.
    pub(super) fn after(earlier: Option<&Self>, failure: Failure, now: i64, token_ends_at: Option<i64>) -> Self {
        let times = earlier.map_or(0, |failed| failed.times).saturating_add(1);
        let rest = match &failure {
            Failure::Unwell { retry_after_ms, .. } => retry_after_ms.unwrap_or(0).min(LONGEST_REST_MS),
            _ => 0,
        };
        // A first refusal is not believed, so what follows it is the first of those that are.
        let pause = match failure.may_pass() {
            true if times == 1 => SOFT_BACKOFF_MS,
            soft if failure.is_lasting() => backoff(LASTING_BACKOFF_MS, times.saturating_sub(u32::from(soft))),
            _ => backoff(BACKOFF_MS, times),
        };
        let retry_at = now.saturating_add(pause.max(i64::try_from(rest).unwrap_or(0)));
        let retry_at = token_ends_at.map_or(retry_at, |ends_at| {
            let before_end = ends_at.saturating_sub(BEFORE_END_MS);
            retry_at.min(if before_end > now.saturating_add(SOFT_BACKOFF_MS) { before_end } else { ends_at })
        });
        Self { failure, times, retry_at }
    }

    /// Whether it is a first refusal, which may pass by itself.
    pub(super) fn may_pass(&self) -> bool {
        self.times == 1 && self.failure.may_pass()
    }

    /// Whether a call that may wait for `left_ms` waits until the endpoint is asked again.
    pub(super) fn is_waited_through(&self, now: i64, left_ms: u64) -> bool {
        let wait = self.retry_at.saturating_sub(now);
        self.may_pass() && wait <= LONGEST_WAITED_MS && u64::try_from(wait).unwrap_or(0) <= left_ms
    }

    /// The seconds until the endpoint is asked again, at least 1.
    pub(super) fn seconds_left(&self, now: i64) -> u64 {
        u64::try_from(self.retry_at.saturating_sub(now)).unwrap_or(0).div_ceil(1_000).max(1)
    }
}

/// An exponential backoff in milliseconds, where `times` counts from 1.
pub(super) fn backoff((first, longest): (i64, i64), times: u32) -> i64 {
    first.saturating_mul(1 << times.saturating_sub(1).min(16)).min(longest)
}
