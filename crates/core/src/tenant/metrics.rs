//! The statistics of a tenant in Prometheus' text format.

use super::state::TenantState;
use crate::usage::{Counter, Exposition};

const COUNTERS: [(Counter, &str, &str, &str); 6] = [
    (Counter::Calls, "sluice_vendor_calls_total", "counter", "Vendor calls that have ended, each attempt once."),
    (Counter::Errors, "sluice_vendor_errors_total", "counter", "Vendor calls that ended in an error, by its code."),
    (
        Counter::Throttled,
        "sluice_vendor_throttled_total",
        "counter",
        "Vendor calls that the vendor refused as one too many.",
    ),
    (Counter::Refused, "sluice_refused_total", "counter", "Calls that Sluice refused in the vendor's place."),
    (Counter::Waits, "sluice_queue_wait_seconds", "summary", "How long calls waited for leave to go."),
    (
        Counter::Answers,
        "sluice_vendor_answer_seconds",
        "summary",
        "How long the vendor took to the headers of its answers.",
    ),
];

const GAUGES: [(&str, usize, &str); 6] = [
    ("sluice_in_flight_calls", 0, "Vendor calls in flight, as far as is known."),
    ("sluice_queue_calls", 0, "Calls that wait."),
    ("sluice_queue_size_calls", 0, "Calls that may wait."),
    ("sluice_queue_oldest_wait_seconds", 3, "How long the first of them has waited."),
    ("sluice_rate_factor_ratio", 6, "The part of the rate that is left after the vendor's throttles."),
    ("sluice_paused", 0, "Whether the vendor asked to be left alone."),
];

const LIMITS: [(&str, &str); 2] = [
    ("sluice_limit_calls", "A limit in force, after share and rate factor; bytes for a limit on bytes."),
    ("sluice_limit_used_calls", "What it counts now, calls in flight included."),
];

/// Writes the answer of `/metrics`.
pub(super) fn exposition(tenant: &mut TenantState) -> String {
    let mut to = Exposition::default();
    for (counter, name, kind, help) in COUNTERS {
        to.family(name, kind, help);
        for connection in tenant.connections.values() {
            connection.usage().expose(counter, connection.name(), &mut to);
        }
    }
    for ((name, places, help), at) in GAUGES.iter().zip(0..) {
        to.family(name, "gauge", help);
        for connection in tenant.connections.values() {
            let (limiter, queue) = (connection.limiter(), connection.limiter().queue());
            let value = match at {
                0 => limiter.in_flight(),
                1 => queue.depth as u64,
                2 => u64::from(queue.size),
                3 => queue.oldest_wait_ms,
                4 => u64::from(limiter.factor_ppm()),
                _ => u64::from(limiter.paused_until().is_some()),
            };
            to.sample("", &[("connection", connection.name())], value, *places);
        }
    }
    for ((name, help), at) in LIMITS.iter().zip(0..) {
        to.family(name, "gauge", help);
        for connection in tenant.connections.values_mut() {
            for limit in connection.limits() {
                let labels = [("connection", connection.name()), ("limit", &limit.name), ("kind", limit.kind)];
                to.sample("", &labels, if at == 0 { limit.limit } else { limit.used }, 0);
            }
        }
    }
    to.family("sluice_callbacks", "gauge", "Callbacks that are to be delivered, and those that could not be.");
    let (queued, dead) = tenant.callbacks.counts();
    for (state, number) in [("queued", queued), ("dead", dead)] {
        to.sample("", &[("state", state)], number as u64, 0);
    }
    to.family("sluice_alert", "gauge", "Alerts that are raised, each 1.");
    for connection in tenant.connections.values() {
        for alert in &connection.usage().alerts {
            let limit = alert.limit().to_string();
            to.sample("", &[("connection", connection.name()), ("kind", alert.kind()), ("limit", &limit)], 1, 0);
        }
    }
    to.into_text()
}
