//! The settlements of a connection's permits.

use super::ConnectionState;
use crate::protocol::Settle;
use crate::tenant::blocked;
use crate::tenant::store::Host;
use sluice_limiter::{Outcome, PermitId, Settled, Settlement, ThrottledBy};

impl ConnectionState {
    /// Takes the report on a permit. A vendor that counts a call when it ends has just counted it,
    /// however long ago it began to answer.
    pub(in crate::tenant) fn settle(&mut self, report: &Settle, host: &Host<'_>) {
        let own = self.is_routes_own(report, host.now);
        let before = self.limiter.factor_ppm();
        let outcome = if own { Outcome::Answered } else { report.outcome };
        if self.settle_as(report, outcome, host) != Settled::News {
            return;
        }
        let Some(sent) = sent(report, host.now) else { return };
        if own {
            if let Some(factor) = self.blocked.refused_again(&sent, host.now) {
                self.limiter.restore(host.time(), factor);
            }
        } else if is_throttle(report.outcome) {
            self.blocked.refused(&sent, host.now, (before, self.limiter.factor_ppm()));
        } else if report.outcome == Outcome::Answered && report.status.is_none_or(|status| status < 500) {
            self.blocked.passed(&sent, host.now);
        }
    }

    /// Whether the vendor's answer is a refusal of the route alone, which comes back however often
    /// the call is made.
    pub(in crate::tenant) fn is_routes_own(&self, report: &Settle, now: i64) -> bool {
        is_throttle(report.outcome) && sent(report, now).is_some_and(|sent| self.blocked.is_own(&sent))
    }

    fn settle_as(&mut self, report: &Settle, outcome: Outcome, host: &Host<'_>) -> Settled {
        let at_completion = self.policy().profile.counts_at_completion;
        let since_headers_ms = if at_completion { 0 } else { report.since_headers_ms.unwrap_or(0) };
        let settlement = Settlement {
            permit: report.permit,
            attempt: report.attempt,
            outcome,
            since_headers_ms,
            response_bytes: report.response_bytes,
        };
        if !report.counts.is_empty() {
            let counts = self.rules.named_as_limits(&report.counts);
            self.limiter.on_vendor_count(host.time(), report.permit, since_headers_ms, &counts);
        }
        let settled = self.limiter.settle(host.time(), settlement);
        self.count(report, outcome, settled, host);
        settled
    }

    /// Takes back a permit that nothing was sent with. A permit of an earlier epoch may have been
    /// counted as sent; it is not any longer.
    pub(in crate::tenant) fn hand_back(&mut self, permit: PermitId, host: &Host<'_>) {
        let outcome = Outcome::Unused;
        self.job_permits.remove(permit);
        let settlement = Settlement { permit, attempt: 1, outcome, since_headers_ms: 0, response_bytes: 0 };
        let news = self.limiter.settle(host.time(), settlement) == Settled::News;
        if news && permit.epoch != self.limiter.epoch() {
            self.usage.hears_of(permit, false);
        }
    }
}

/// Whether an outcome refuses a call as one too many, for now. An outcome that asks for a pause,
/// and one that names the day, are about the whole connection, whatever other calls are answered.
const fn is_throttle(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Throttled { by: ThrottledBy::Rate | ThrottledBy::Concurrency, retry_after_ms: None | Some(0) }
    )
}

/// The call that a report is about, where it was sent.
fn sent(report: &Settle, now: i64) -> Option<blocked::Sent<'_>> {
    let sent = report.sent.as_ref()?;
    let at = now.saturating_sub(i64::try_from(sent.ago_ms).unwrap_or(0));
    Some(blocked::Sent { method: &sent.method, path: &sent.path, at })
}
