//! Alerts: each is raised once when a value passes its limit, and cleared once when the value is
//! well below it again. They are stored with the counts, so that a restart neither repeats nor
//! forgets one.

#![expect(clippy::arithmetic_side_effects, reason = "a product of 64 bits by a million in 128; half a limit and 1")]

use super::stored;
use crate::document::Decimal;
use crate::policy;
use crate::webhooks::payload;
use serde::{Deserialize, Serialize};
use sluice_limiter::calendar::rfc3339;

/// The minutes over which the vendor's throttles are compared with calls.
pub const LATELY_MINUTES: i64 = 5;

/// With fewer vendor calls in that time no alert about throttles is raised. A single throttle among
/// 20 is not over a twentieth, which is the default limit; one out of one says nothing.
const LEAST_CALLS: u64 = 20;

/// The kinds of alerts: their names, and the decimal places of their values and limits.
const KINDS: [(&str, usize); 4] =
    [("throttled_ratio", 6), ("daily_used", 6), ("queue_wait_seconds", 3), ("dead_letters", 0)];

/// An alert that has been raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The position of its kind in the table.
    kind: u8,
    /// The limit at which it was raised: parts per million, milliseconds, or a number.
    limit: u64,
    /// When it was raised, Unix ms.
    #[serde(with = "stored::unsigned")]
    pub since: i64,
    /// The value, as last measured.
    value: u64,
}

/// The values that alerts are checked against.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// The recent vendor calls, and how many of them the vendor throttled.
    pub lately: (u64, u64),
    /// The used part of the day's quota, and the quota.
    pub day: Option<(u64, u64)>,
    /// How long the first call has waited in the queue, milliseconds.
    pub oldest_wait_ms: u64,
    /// How many dead letters there are.
    pub dead_letters: u64,
}

/// An alert that was raised or cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The alert.
    pub alert: Alert,
    /// Whether it was raised rather than cleared.
    pub raised: bool,
}

/// Checks the values and returns what has changed. Raised alerts are in `raised`, in the order of
/// kinds and limits.
pub fn watch(raised: &mut Vec<Alert>, rules: &policy::Alerts, seen: &Seen, now: i64) -> Vec<Change> {
    let ppm =
        |part: u64, of: u64| u64::try_from(u128::from(part) * 1_000_000 / u128::from(of.max(1))).unwrap_or(u64::MAX);
    let ratio = ppm(seen.lately.1, seen.lately.0);
    let limit = u64::from(rules.throttled_ppm);
    // Once raised, an alert stays until the ratio is down, so that it does not come and go with the
    // number of calls.
    let raise = if seen.lately.0 < LEAST_CALLS { u64::MAX } else { limit.saturating_add(1) };
    // Each tuple has kind, value, limit, and the values from which it is raised and below which it
    // is cleared.
    let mut looks = vec![(0, ratio, limit, raise, limit / 2 + 1)];
    let used = seen.day.map_or(0, |(used, of)| ppm(used, of));
    for part in &rules.daily_used_ppm {
        let part = u64::from(*part);
        looks.push((1, used, part, part, part * 9 / 10));
    }
    looks.push((2, seen.oldest_wait_ms, rules.queue_wait_ms, rules.queue_wait_ms, rules.queue_wait_ms / 2 + 1));
    looks.push((3, seen.dead_letters, rules.dead_letters, rules.dead_letters, rules.dead_letters));
    let mut changes = Vec::new();
    // An alert whose limit is no longer in the policy is cleared.
    raised.retain(|alert| {
        let stays = looks
            .iter()
            .any(|(kind, value, limit, _, clear)| *kind == alert.kind && *limit == alert.limit && value >= clear);
        if !stays {
            changes.push(Change { alert: *alert, raised: false });
        }
        stays
    });
    for (kind, value, limit, raise, _) in looks {
        let alert = Alert { kind, limit, since: now, value };
        match raised.iter_mut().find(|alert| alert.kind == kind && alert.limit == limit) {
            Some(known) => known.value = value,
            None if value >= raise => {
                raised.push(alert);
                changes.push(Change { alert, raised: true });
            }
            None => {}
        }
    }
    raised.sort_by_key(|alert| (alert.kind, alert.limit));
    changes
}

impl Alert {
    /// Returns its kind as a policy names it.
    pub fn kind(&self) -> &'static str {
        KINDS.get(usize::from(self.kind)).map_or("", |(name, _)| name)
    }

    /// Whether it can end by time alone.
    pub const fn passes(&self) -> bool {
        self.kind < 3
    }

    /// Returns its limit as a policy writes it.
    pub fn limit(&self) -> Decimal {
        Decimal(self.limit, self.places())
    }

    /// Returns kind, limit and value as they are stored.
    #[cfg(test)]
    pub(super) const fn figures(&self) -> (u8, u64, u64) {
        (self.kind, self.limit, self.value)
    }

    fn places(&self) -> usize {
        KINDS.get(usize::from(self.kind)).map_or(0, |(_, places)| *places)
    }

    /// Returns its entry in the status.
    pub fn document<'a>(&self, connection: &'a str) -> AlertDocument<'a> {
        AlertDocument {
            kind: self.kind(),
            connection,
            since: rfc3339(self.since),
            value: Decimal(self.value, self.places()),
            limit: self.limit(),
        }
    }
}

/// An alert as it is shown.
#[derive(Serialize)]
pub struct AlertDocument<'a> {
    kind: &'static str,
    connection: &'a str,
    since: String,
    value: Decimal,
    limit: Decimal,
}

/// The data of the message about an alert.
#[derive(Serialize)]
struct AlertData<'a> {
    tenant: &'a str,
    alert: AlertDocument<'a>,
}

impl Change {
    /// Returns the webhook's body: type, timestamp and data in the form of Standard Webhooks.
    pub fn body(&self, tenant: &str, connection: &str, now: i64) -> String {
        let kind = if self.raised { "alert.raised" } else { "alert.cleared" };
        payload(kind, now, AlertData { tenant, alert: self.alert.document(connection) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use serde_json::{Value, json};

    fn changes(raised: &mut Vec<Alert>, seen: Seen, now: i64) -> Vec<(&'static str, bool)> {
        let changes = watch(raised, &policy::Alerts::default(), &seen, now);
        changes.iter().map(|change| (change.alert.kind(), change.raised)).collect()
    }

    #[test]
    fn throttles_over_a_twentieth_of_the_calls_raise_one_alert_that_clears_at_half_of_that() {
        let mut raised = Vec::new();
        let seen = |calls, throttled| Seen { lately: (calls, throttled), ..Seen::default() };
        assert_eq!(changes(&mut raised, seen(100, 5), 1), [], "5 % is not over 5 %");
        assert_eq!(changes(&mut raised, seen(100, 6), 2), [("throttled_ratio", true)]);
        assert_eq!(changes(&mut raised, seen(100, 50), 3), []);
        assert_eq!(changes(&mut raised, seen(100, 3), 4), [], "it would come again at once");
        assert_eq!(changes(&mut raised, seen(1_000, 25), 5), [("throttled_ratio", false)]);
        assert_eq!(changes(&mut raised, seen(0, 0), 6), []);
    }

    #[test]
    fn few_calls_raise_no_alert_of_throttles_and_end_none() {
        let mut raised = Vec::new();
        let seen = |calls, throttled| Seen { lately: (calls, throttled), ..Seen::default() };
        assert_eq!(changes(&mut raised, seen(1, 1), 1), []);
        assert_eq!(changes(&mut raised, seen(19, 19), 2), []);
        assert_eq!(changes(&mut raised, seen(20, 1), 3), [], "one throttle alone is never too many");
        assert_eq!(changes(&mut raised, seen(20, 2), 4), [("throttled_ratio", true)]);
        assert_eq!(changes(&mut raised, seen(3, 1), 5), []);
        assert_eq!(changes(&mut raised, seen(0, 0), 6), [("throttled_ratio", false)]);
    }

    #[test]
    fn each_part_of_a_day_has_its_alert_and_a_new_day_clears_all() {
        let mut raised = Vec::new();
        let day = |used| Seen { day: Some((used, 1_000)), ..Seen::default() };
        assert_eq!(changes(&mut raised, day(799), 1), []);
        assert_eq!(changes(&mut raised, day(800), 2), [("daily_used", true)]);
        assert_eq!(changes(&mut raised, day(1_000), 3), [("daily_used", true)]);
        assert_eq!(changes(&mut raised, day(999), 4), [], "a permit was handed back");
        assert_eq!(changes(&mut raised, day(0), 5), [("daily_used", false), ("daily_used", false)]);
    }

    #[test]
    fn a_queue_and_dead_letters_alert_from_their_limits_on() {
        let mut raised = Vec::new();
        let seen = |oldest_wait_ms, dead_letters| Seen { oldest_wait_ms, dead_letters, ..Seen::default() };
        assert_eq!(changes(&mut raised, seen(59_999, 0), 1), []);
        assert_eq!(changes(&mut raised, seen(60_000, 1), 2), [("queue_wait_seconds", true), ("dead_letters", true)]);
        assert_eq!(changes(&mut raised, seen(40_000, 9), 3), []);
        assert_eq!(changes(&mut raised, seen(0, 0), 4), [("queue_wait_seconds", false), ("dead_letters", false)]);
    }

    #[test]
    fn an_alert_that_the_policy_no_longer_has_is_cleared_and_what_is_stored_is_read() {
        let mut raised = Vec::new();
        let day = Seen { day: Some((90, 100)), ..Seen::default() };
        changes(&mut raised, day, 1);
        assert_eq!(codec::read::<Vec<Alert>>(&codec::write(Vec::new(), &raised)), Some(raised.clone()));
        let rules = policy::Alerts { daily_used_ppm: vec![850_000], ..policy::Alerts::default() };
        let changes = watch(&mut raised, &rules, &day, 2);
        assert_eq!(changes.iter().map(|change| change.raised).collect::<Vec<_>>(), [false, true]);
        let body: Value = serde_json::from_str(&changes[1].body("acme", "crm", 2)).unwrap();
        let at = "1970-01-01T00:00:00.002Z";
        let alert = json!({"kind": "daily_used", "connection": "crm", "since": at, "value": 0.9, "limit": 0.85});
        let expected = json!({"type": "alert.raised", "timestamp": at, "data": {"tenant": "acme", "alert": alert}});
        assert_eq!(body, expected);
    }
}
