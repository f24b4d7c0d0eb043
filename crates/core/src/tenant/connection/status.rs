//! A connection in the `/status.json` document.

#![expect(clippy::arithmetic_side_effects, reason = "a product of two 64-bit counts in 128 bits")]

use super::ConnectionState;
use crate::document::Decimal;
use crate::jobs::lanes::Counts;
use crate::tenant::pauses::PauseDocument;
use crate::usage::{AlertDocument, LastHour};
use serde::Serialize;
use sluice_limiter::calendar::rfc3339;
use sluice_limiter::{LimitReport, Limiter};

/// A connection in the status document.
#[derive(Serialize)]
pub(in crate::tenant) struct ConnectionDocument<'a> {
    vendor: &'a str,
    mode: &'static str,
    limits: Vec<LimitDocument>,
    in_flight: u64,
    queue: QueueDocument,
    rate_factor: Decimal,
    jobs: JobsDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PauseDocument<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pauses: Vec<PauseDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    daily: Option<DailyDocument>,
    last_hour: LastHour<'a>,
}

#[derive(Serialize)]
struct LimitDocument {
    name: String,
    kind: &'static str,
    limit: u64,
    of: u64,
    used: u64,
    remaining: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor_used: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor_limit: Option<u64>,
}

#[derive(Serialize)]
struct QueueDocument {
    depth: usize,
    size: u32,
    oldest_wait_ms: u64,
}

#[derive(Serialize)]
struct JobsDocument {
    queued: u32,
    running: u32,
    dead: u32,
}

/// The day of the first daily limit, and when it will be spent if calls go on as they have that
/// day.
#[derive(Serialize)]
struct DailyDocument {
    used: u64,
    limit: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    projected_exhaustion_at: Option<String>,
}

impl ConnectionState {
    /// The limits in force and what they count now.
    pub(in crate::tenant) fn limits(&mut self) -> Vec<LimitReport> {
        self.limiter.limits()
    }

    /// The connection as the status shows it, with these limits and these numbers of jobs.
    pub(in crate::tenant) fn document(
        &self,
        limits: Vec<LimitReport>,
        jobs: Counts,
        now: i64,
    ) -> ConnectionDocument<'_> {
        let (limiter, policy) = (&self.limiter, self.policy());
        let queue = limiter.queue();
        let (paused, pauses) = self.shown_pauses(now);
        ConnectionDocument {
            vendor: &policy.vendor,
            mode: policy.mode.as_str(),
            in_flight: limiter.in_flight(),
            queue: QueueDocument { depth: queue.depth, size: queue.size, oldest_wait_ms: queue.oldest_wait_ms },
            rate_factor: Decimal(limiter.factor_ppm().into(), 6),
            jobs: JobsDocument { queued: jobs.queued, running: jobs.running, dead: jobs.dead },
            paused_until: limiter.paused_until().map(rfc3339),
            paused,
            pauses,
            daily: daily(limiter, &limits, now),
            last_hour: self.usage.last_hour(now),
            limits: limits.into_iter().map(limit).collect(),
        }
    }

    /// The alerts that are raised, as the status shows them.
    pub(in crate::tenant) fn alert_documents(&self) -> impl Iterator<Item = AlertDocument<'_>> {
        self.usage.alerts.iter().map(|alert| alert.document(&self.name))
    }
}

fn limit(limit: LimitReport) -> LimitDocument {
    LimitDocument {
        name: limit.name,
        kind: limit.kind,
        limit: limit.limit,
        of: limit.of,
        used: limit.used,
        remaining: limit.remaining,
        reset_at: limit.reset_at.map(rfc3339),
        vendor_used: limit.vendor_used,
        vendor_limit: limit.vendor_limit,
    }
}

fn daily(limiter: &Limiter, limits: &[LimitReport], now: i64) -> Option<DailyDocument> {
    let limit = limits.iter().find(|limit| limit.kind == "daily")?;
    let day = limiter.day()?;
    let passed = now.saturating_sub(day.from);
    let mut shown = DailyDocument { used: limit.used, limit: limit.limit, projected_exhaustion_at: None };
    if limit.used > 0 && passed > 0 {
        let left = i128::from(limit.remaining) * i128::from(passed) / i128::from(limit.used);
        let at = now.saturating_add(i64::try_from(left).unwrap_or(i64::MAX));
        shown.projected_exhaustion_at = (at < day.to).then(|| rfc3339(at));
    }
    Some(shown)
}
