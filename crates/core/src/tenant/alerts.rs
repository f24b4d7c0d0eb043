//! The alerts of a tenant are checked after each event of a connection and, where time alone changes a figure, when that time has come.

use super::state::TenantState;
use super::store::{Host, StoreError};
use crate::usage::{LATELY_MINUTES, Seen, watch};

/// How often a raised alert is looked at for which time passes, milliseconds: throttles leave the count by the minute.
const AGAIN_MS: i64 = 60_000;

/// When a connection's alerts are looked at though nothing happens there, Unix milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AlertSchedule {
    /// By the alarm, to clear what is raised: the object may sleep until then.
    pub(super) alarm_at: Option<i64>,
    /// By the timer, when the first in the queue will have waited too long: the object is awake as long as calls wait.
    pub(super) timer_at: Option<i64>,
}

impl TenantState {
    /// Raises and clears a connection's alerts. What has changed is stored with the event.
    pub(super) fn check_alerts(&mut self, name: &str, host: &mut Host<'_>) -> Result<(), StoreError> {
        let (Some(policy), Some(connection)) = (&self.policy, self.connections.get_mut(name)) else { return Ok(()) };
        let (rules, now) = (&policy.alerts, host.now);
        let (queue, day) = (connection.limiter.queue(), connection.limiter.daily_used());
        let seen = Seen {
            lately: connection.usage.lately(LATELY_MINUTES, now),
            day: day.map(|(used, of, _)| (used, of)),
            oldest_wait_ms: queue.oldest_wait_ms,
            dead_letters: self.jobs.index.lanes.counts(name).dead.into(),
        };
        let changes = watch(&mut connection.usage.alerts, rules, &seen, now);
        if !changes.is_empty() {
            connection.limiter.require_snapshot();
        }
        let waits = queue.depth > 0 && queue.oldest_wait_ms < rules.queue_wait_ms;
        let in_ms = i64::try_from(rules.queue_wait_ms.saturating_sub(queue.oldest_wait_ms)).unwrap_or(i64::MAX / 4);
        // Where none may wait so long, none will.
        let reaches = connection.policy.queue.max_wait_ms >= rules.queue_wait_ms;
        connection.alert_schedule.timer_at = (waits && reaches).then(|| now.saturating_add(in_ms));
        let kinds = || connection.usage.alerts.iter().map(|alert| alert.kind());
        let wanted = if kinds().any(|kind| matches!(kind, "throttled_ratio" | "queue_wait_seconds")) {
            Some(now.saturating_add(AGAIN_MS))
        } else if kinds().any(|kind| kind == "daily_used") {
            day.map(|(_, _, over)| over)
        } else {
            None
        };
        // A time once set stays, so that the alarm is not set at every event.
        let kept = connection.alert_schedule.alarm_at.filter(|at| *at > now);
        connection.alert_schedule.alarm_at = wanted.map(|wanted| kept.map_or(wanted, |kept| kept.min(wanted)));
        for change in changes {
            self.queue_alert(name, change, host)?;
        }
        Ok(())
    }

    /// Looks at the alerts whose time has come, and at those that an earlier life has left.
    pub(super) fn check_due_alerts(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        self.commit_each(host, |connection, now| {
            !connection.usage.alerts.is_empty() && connection.alert_schedule.alarm_at.is_none_or(|at| at <= now)
        })
    }

    /// Looks at all alerts: the policy has changed.
    pub(super) fn check_all_alerts(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        self.commit_each(host, |_, _| true)
    }

    fn commit_each(
        &mut self,
        host: &mut Host<'_>,
        which: fn(&super::connection_state::ConnectionState, i64) -> bool,
    ) -> Result<(), StoreError> {
        let connections = self.connections.iter().filter(|(_, connection)| which(connection, host.now));
        let names: Vec<String> = connections.map(|(name, _)| name.clone()).collect();
        for name in names {
            if let Some(connection) = self.connections.get_mut(&name) {
                connection.limiter.tick(host.time());
            }
            self.commit(&name, host)?;
        }
        Ok(())
    }
}
