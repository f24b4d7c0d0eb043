//! The `/status.json` document.

#![expect(clippy::arithmetic_side_effects, reason = "a product of two 64-bit counts in 128 bits")]

use super::connection_state::ConnectionState;
use super::pauses::PauseDocument;
use super::state::TenantState;
use super::store::Host;
use super::webhooks::CallbackCounts;
use crate::document::{Decimal, text};
use crate::jobs::Index;
use crate::usage::{AlertDocument, LastHour};
use serde::Serialize;
use sluice_limiter::LimitReport;
use sluice_limiter::calendar::rfc3339;
use std::collections::BTreeMap;

/// The document, as of now.
pub(super) fn document(tenant: &mut TenantState, host: &Host<'_>) -> String {
    let mut limits = Vec::new();
    for connection in tenant.connections.values_mut() {
        connection.limiter.tick(host.time());
        limits.push(connection.limiter.limits());
    }
    let connections = tenant.connections.iter().zip(limits);
    let connections = connections.map(|((name, connection), limits)| {
        (name.as_str(), connection_document(connection, limits, &tenant.jobs.index, host.now))
    });
    let alerts = tenant
        .connections
        .iter()
        .flat_map(|(name, connection)| connection.usage.alerts.iter().map(|alert| alert.document(name)));
    text(&StatusDocument {
        tenant: &tenant.name,
        at: rfc3339(host.now),
        connections: connections.collect(),
        alerts: alerts.collect(),
        callbacks: tenant.callback_counts(),
    })
}

#[derive(Serialize)]
struct StatusDocument<'a> {
    tenant: &'a str,
    at: String,
    connections: BTreeMap<&'a str, ConnectionDocument<'a>>,
    alerts: Vec<AlertDocument<'a>>,
    callbacks: CallbackCounts,
}

#[derive(Serialize)]
struct ConnectionDocument<'a> {
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

/// The day of the first daily limit, and when it will be spent if calls go on as they have that day.
#[derive(Serialize)]
struct DailyDocument {
    used: u64,
    limit: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    projected_exhaustion_at: Option<String>,
}

fn connection_document<'a>(
    connection: &'a ConnectionState,
    limits: Vec<LimitReport>,
    jobs: &Index,
    now: i64,
) -> ConnectionDocument<'a> {
    let jobs = jobs.lanes.counts(&connection.name);
    let limiter = &connection.limiter;
    let queue = limiter.queue();
    let (paused, pauses) = connection.shown_pauses(now);
    ConnectionDocument {
        vendor: &connection.policy.vendor,
        mode: connection.policy.mode.as_str(),
        in_flight: limiter.in_flight(),
        queue: QueueDocument { depth: queue.depth, size: queue.size, oldest_wait_ms: queue.oldest_wait_ms },
        rate_factor: Decimal(limiter.factor_ppm().into(), 6),
        jobs: JobsDocument { queued: jobs.queued, running: jobs.running, dead: jobs.dead },
        paused_until: limiter.paused_until().map(rfc3339),
        paused,
        pauses,
        daily: daily(connection, &limits, now),
        last_hour: connection.usage.last_hour(now),
        limits: limits.into_iter().map(limit).collect(),
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

fn daily(connection: &ConnectionState, limits: &[LimitReport], now: i64) -> Option<DailyDocument> {
    let limit = limits.iter().find(|limit| limit.kind == "daily")?;
    let day = connection.limiter.day()?;
    let passed = now.saturating_sub(day.from);
    let mut shown = DailyDocument { used: limit.used, limit: limit.limit, projected_exhaustion_at: None };
    if limit.used > 0 && passed > 0 {
        let left = i128::from(limit.remaining) * i128::from(passed) / i128::from(limit.used);
        let at = now.saturating_add(i64::try_from(left).unwrap_or(i64::MAX));
        shown.projected_exhaustion_at = (at < day.to).then(|| rfc3339(at));
    }
    Some(shown)
}
