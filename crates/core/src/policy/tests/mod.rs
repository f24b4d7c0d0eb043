mod addresses;
mod faults;
mod matcher;
mod model;
mod properties;
mod routes;
mod secrets;
mod understood;
mod warnings;

use super::*;
use serde_json::{Value, json};

pub(super) const fn context<'a>(previous: Option<&'a Policy>) -> Context<'a> {
    Context { zones: &sluice_testkit::time_zones, allow_loopback: false, previous }
}

pub(super) fn parse(value: &Value) -> Result<(Policy, Vec<Warning>), Vec<Fault>> {
    Policy::parse(&value.to_string(), &context(None))
}

/// Parses a policy that must be valid.
pub(super) fn policy(value: &Value) -> Policy {
    parse(value).unwrap_or_else(|faults| panic!("{faults:#?}")).0
}

/// Returns the policy as it is shown.
pub(super) fn understood(policy: &Policy) -> Value {
    serde_json::from_str(&policy.understood(&[])).unwrap()
}

/// Returns the pointers of the faults, in the order in which they were found.
pub(super) fn pointers(found: Result<(Policy, Vec<Warning>), Vec<Fault>>) -> Vec<String> {
    found.map_or_else(|faults| faults.into_iter().map(|fault| fault.pointer).collect(), |_| Vec::new())
}

/// Returns a policy with one connection `c`, to a vendor without limits of its own, and with these
/// further fields.
pub(super) fn with(fields: Value) -> Value {
    let mut connection = json!({"vendor": "generic", "base_url": "https://api.example.com"});
    if let (Some(connection), Value::Object(mut fields)) = (connection.as_object_mut(), fields) {
        connection.append(&mut fields);
    }
    json!({"connections": {"c": connection}})
}

/// Returns the example of the documentation.
pub(super) fn example() -> Value {
    json!({
        "connections": {"marketo": {
            "vendor": "marketo", "base_url": "https://123-ABC-456.mktorest.com", "share": 0.5,
            "limits": [
                {"name": "rate", "kind": "rolling_window", "calls": 100, "seconds": 20},
                {"name": "daily", "kind": "daily", "calls": 50000, "reset": "00:00", "time_zone": ["America/Chicago", "-06:00"]},
                {"name": "concurrent", "kind": "concurrency", "calls": 10}
            ],
            "queue": {"size": 100, "max_wait_seconds": 10},
            "adaptive": {"min": 0.1, "max": 1, "backoff": 0.5, "recovery": 1.1, "successes": 10, "pause_seconds": 0, "max_pause_seconds": 3600},
            "retry": {"attempts": 3}, "timeout_seconds": 60, "mode": "enforce",
            "credential": {"type": "client_credentials", "client_id": "id", "client_secret": "hush"}
        }},
        "apps": {
            "crm-sync": {"weight": 3, "daily_calls": 20000},
            "web-form": {"weight": 1, "origins": ["https://www.example.com"], "routes": ["POST /rest/v1/leads.json"], "connections": ["marketo"]}
        },
        "callbacks": {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "hosts": ["hooks.example.com"]},
        "alerts": {"callback": "https://hooks.example.com/sluice", "throttled_ratio": 0.05, "daily_used": [0.8, 0.95], "queue_wait_seconds": 60, "dead_letters": 1}
    })
}
