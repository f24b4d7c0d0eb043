//! The `/status.json` document.

use super::desk::Desk;
use super::line::Line;
use super::store::Host;
use crate::civil::rfc3339;
use crate::usage::text;
use serde_json::{Value, json};

/// The document, as of now.
pub(super) fn document(desk: &mut Desk, host: &Host<'_>) -> String {
    let mut to = String::from("{\"tenant\":");
    text(&desk.name, &mut to);
    to.push_str(",\"at\":");
    text(&rfc3339(host.now), &mut to);
    to.push_str(",\"connections\":{");
    for (at, (name, line)) in desk.lines.iter_mut().enumerate() {
        if at > 0 {
            to.push(',');
        }
        text(name, &mut to);
        to.push(':');
        to.push_str(&connection(line, host).to_string());
        // One more field, written as it is counted.
        to.pop();
        to.push_str(",\"last_hour\":");
        line.usage.last_hour(host.now, &mut to);
        to.push('}');
    }
    to.push_str("},\"alerts\":[");
    let mut first = true;
    for (name, line) in &desk.lines {
        for alert in &line.usage.alerts {
            if !std::mem::take(&mut first) {
                to.push(',');
            }
            alert.json(name, &mut to);
        }
    }
    to.push_str("]}");
    to
}

fn connection(line: &mut Line, host: &Host<'_>) -> Value {
    let throttle = &mut line.throttle;
    throttle.tick(host.time());
    let mut limits = Vec::new();
    for limit in throttle.limits() {
        let mut item = json!({
            "name": limit.name,
            "kind": limit.kind,
            "limit": limit.limit,
            "of": limit.of,
            "used": limit.used,
            "remaining": limit.remaining,
        });
        if let (Value::Object(fields), Some(at)) = (&mut item, limit.reset_at) {
            fields.insert("reset_at".to_owned(), rfc3339(at).into());
        }
        if let (Value::Object(fields), Some(n)) = (&mut item, limit.vendor_used) {
            fields.insert("vendor_used".to_owned(), n.into());
        }
        limits.push(item);
    }
    let queue = throttle.queue();
    let mut shown = json!({
        "vendor": line.connection.vendor,
        "mode": line.connection.mode,
        "limits": limits,
        "in_flight": throttle.in_flight(),
        "queue": { "depth": queue.depth, "size": queue.size, "oldest_wait_ms": queue.oldest_wait_ms },
        "rate_factor": decimal(throttle.factor_ppm()),
    });
    if let Value::Object(fields) = &mut shown {
        if let Some(until) = throttle.paused_until() {
            fields.insert("paused_until".to_owned(), rfc3339(until).into());
        }
        if let Some(daily) = daily(line, host.now) {
            fields.insert("daily".to_owned(), daily);
        }
    }
    shown
}

/// The day of the first daily limit, and when it will be spent if calls go on as they have today.
fn daily(line: &mut Line, now: i64) -> Option<Value> {
    let limit = line.throttle.limits().into_iter().find(|limit| limit.kind == "daily")?;
    let day = line.throttle.day()?;
    let mut shown = json!({ "used": limit.used, "limit": limit.limit });
    let passed = now.saturating_sub(day.from);
    if limit.used > 0 && passed > 0 {
        let left = i128::from(limit.remaining) * i128::from(passed) / i128::from(limit.used);
        let at = now.saturating_add(i64::try_from(left).unwrap_or(i64::MAX));
        if at < day.to
            && let Value::Object(fields) = &mut shown
        {
            fields.insert("projected_exhaustion_at".to_owned(), rfc3339(at).into());
        }
    }
    Some(shown)
}

/// Parts per million as a decimal.
fn decimal(ppm: u32) -> Value {
    let text = format!("{}.{:06}", ppm / 1_000_000, ppm % 1_000_000);
    text.parse().map_or(Value::Null, Value::Number)
}
