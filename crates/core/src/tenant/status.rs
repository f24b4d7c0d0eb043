//! The `/status.json` document.

#![expect(clippy::arithmetic_side_effects, reason = "a product of two 64-bit counts in 128 bits")]

use super::connection_state::ConnectionState;
use super::state::TenantState;
use super::store::Host;
use crate::jobs::Index;
use crate::json;
use crate::json::{Value, decimal};
use crate::usage::text;
use sluice_limiter::calendar::rfc3339;

/// The document, as of now.
pub(super) fn document(tenant: &mut TenantState, host: &Host<'_>) -> String {
    let mut to = String::from("{\"tenant\":");
    text(&tenant.name, &mut to);
    to.push_str(",\"at\":");
    text(&rfc3339(host.now), &mut to);
    to.push_str(",\"connections\":{");
    for (at, (name, line)) in tenant.lines.iter_mut().enumerate() {
        if at > 0 {
            to.push(',');
        }
        text(name, &mut to);
        to.push(':');
        to.push_str(&connection(line, &tenant.jobs.index, host).to_string());
        // One more field, written as it is counted.
        to.pop();
        to.push_str(",\"last_hour\":");
        line.usage.last_hour(host.now, &mut to);
        to.push('}');
    }
    to.push_str("},\"alerts\":[");
    let mut first = true;
    for (name, line) in &tenant.lines {
        for alert in &line.usage.alerts {
            if !std::mem::take(&mut first) {
                to.push(',');
            }
            alert.json(name, &mut to);
        }
    }
    to.push_str("],\"callbacks\":");
    to.push_str(&tenant.hook_counts().to_string());
    to.push('}');
    to
}

fn connection(line: &mut ConnectionState, jobs: &Index, host: &Host<'_>) -> Value {
    let jobs = jobs.lanes.counts(&line.name);
    let limiter = &mut line.limiter;
    limiter.tick(host.time());
    let mut limits = Vec::new();
    for limit in limiter.limits() {
        let mut item = json!({
            "name": limit.name,
            "kind": limit.kind,
            "limit": limit.limit,
            "of": limit.of,
            "used": limit.used,
            "remaining": limit.remaining,
        });
        item.set_some("reset_at", limit.reset_at.map(rfc3339));
        item.set_some("vendor_used", limit.vendor_used);
        item.set_some("vendor_limit", limit.vendor_limit);
        limits.push(item);
    }
    let queue = limiter.queue();
    let mut shown = json!({
        "vendor": line.connection.vendor,
        "mode": line.connection.mode.as_str(),
        "limits": limits,
        "in_flight": limiter.in_flight(),
        "queue": { "depth": queue.depth, "size": queue.size, "oldest_wait_ms": queue.oldest_wait_ms },
        "rate_factor": decimal(limiter.factor_ppm().into(), 6),
        "jobs": { "queued": jobs.queued, "running": jobs.running, "dead": jobs.dead },
    });
    shown.set_some("paused_until", limiter.paused_until().map(rfc3339));
    line.show_pauses(&mut shown, host.now);
    shown.set_some("daily", daily(line, host.now));
    shown
}

/// The day of the first daily limit, and when it will be spent if calls go on as they have today.
fn daily(line: &mut ConnectionState, now: i64) -> Option<Value> {
    let limit = line.limiter.limits().into_iter().find(|limit| limit.kind == "daily")?;
    let day = line.limiter.day()?;
    let mut shown = json!({ "used": limit.used, "limit": limit.limit });
    let passed = now.saturating_sub(day.from);
    if limit.used > 0 && passed > 0 {
        let left = i128::from(limit.remaining) * i128::from(passed) / i128::from(limit.used);
        let at = now.saturating_add(i64::try_from(left).unwrap_or(i64::MAX));
        shown.set_some("projected_exhaustion_at", (at < day.to).then(|| rfc3339(at)));
    }
    Some(shown)
}
