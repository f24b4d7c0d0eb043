//! When a connection's alerts are raised and cleared, and when they are checked next.

use super::ConnectionState;
use crate::policy::Alerts;
use crate::tenant::store::Host;
use crate::usage::{Change, LATELY_MINUTES, Seen, watch};

/// How often a raised alert is checked that time alone may clear, in milliseconds: throttles leave
/// the count by the minute.
const AGAIN_MS: i64 = 60_000;

/// When a connection's alerts are checked though nothing happens there. Times are Unix
/// milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::tenant) struct AlertSchedule {
    alarm_at: Option<i64>,
    timer_at: Option<i64>,
}

impl AlertSchedule {
    /// When the alarm checks the alerts, to clear what is raised: the object may sleep until then.
    pub(super) const fn alarm_at(&self) -> Option<i64> {
        self.alarm_at
    }

    /// When the timer checks the alerts: the first in the queue will have waited too long. The
    /// object is awake as long as calls wait.
    pub(super) const fn timer_at(&self) -> Option<i64> {
        self.timer_at
    }
}

impl ConnectionState {
    /// Raises and clears the connection's alerts, and gives what has changed: it is stored with the
    /// event.
    pub(in crate::tenant) fn check_alerts(
        &mut self,
        rules: &Alerts,
        dead_letters: u64,
        host: &Host<'_>,
    ) -> Vec<Change> {
        let now = host.now;
        let (queue, day) = (self.limiter.queue(), self.limiter.daily_used());
        let seen = Seen {
            lately: self.usage.lately(LATELY_MINUTES, now),
            day: day.map(|(used, of, _)| (used, of)),
            oldest_wait_ms: queue.oldest_wait_ms,
            dead_letters,
        };
        let changes = watch(&mut self.usage.alerts, rules, &seen, now);
        if !changes.is_empty() {
            self.limiter.require_snapshot();
        }
        let waits = queue.depth > 0 && queue.oldest_wait_ms < rules.queue_wait_ms;
        let in_ms = i64::try_from(rules.queue_wait_ms.saturating_sub(queue.oldest_wait_ms)).unwrap_or(i64::MAX / 4);
        // Where none may wait so long, none will.
        let reaches = self.policy().queue.max_wait_ms >= rules.queue_wait_ms;
        self.alert_schedule.timer_at = (waits && reaches).then(|| now.saturating_add(in_ms));
        let kinds = || self.usage.alerts.iter().map(|alert| alert.kind());
        let wanted = if kinds().any(|kind| matches!(kind, "throttled_ratio" | "queue_wait_seconds")) {
            Some(now.saturating_add(AGAIN_MS))
        } else if kinds().any(|kind| kind == "daily_used") {
            day.map(|(_, _, over)| over)
        } else {
            None
        };
        // A time once set stays, so that the alarm is not set at every event.
        let kept = self.alert_schedule.alarm_at.filter(|at| *at > now);
        self.alert_schedule.alarm_at = wanted.map(|wanted| kept.map_or(wanted, |kept| kept.min(wanted)));
        changes
    }

    /// Whether a raised alert is to be checked now; one that an earlier epoch has left is.
    pub(in crate::tenant) fn has_due_alert(&self, now: i64) -> bool {
        !self.usage.alerts.is_empty() && self.alert_schedule.alarm_at.is_none_or(|at| at <= now)
    }
}
