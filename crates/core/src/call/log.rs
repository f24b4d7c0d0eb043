//! Makes the lines of the log on a call: JSON with no secret in it. Queries are left out, since
//! some vendors' clients put their credential there.

use super::attempt::AttemptEnd;
use super::event::Timings;
use super::permit::Permit;
use crate::keys::PREFIX;
use crate::refusal::Reason;
use serde_json::{Value, json};
use sluice_limiter::Outcome;

/// Returns a path as the log has it: a key that was put into it by mistake stays out.
pub fn without_keys(path: &str) -> String {
    let mut logged = String::with_capacity(path.len());
    for (place, part) in path.split('/').enumerate() {
        if place > 0 {
            logged.push('/');
        }
        logged.push_str(if part.contains(PREFIX) { "***" } else { part });
    }
    logged
}

/// How a call ended, for its line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// The last permit of the call ended with this outcome.
    Settled(Outcome),
    /// Its caller went before it could be sent, or sent again.
    Gone,
}

/// What became of a call, for its line in the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallFacts {
    /// The status that the caller gets, where it is the vendor's or a stored answer's.
    pub status: Option<u16>,
    /// Why Sluice answers in the vendor's place, if it does.
    pub refused: Option<Reason>,
    /// How the call ended; none if it was never sent.
    pub outcome: Option<CallOutcome>,
    /// The code for the error statistics.
    pub error_code: Option<String>,
    /// The attempts and where their time went; none if there was none.
    pub timings: Option<Timings>,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
}

/// The line of one call.
#[derive(Debug, Clone, Default)]
pub struct AccessLog {
    /// The call's id.
    pub call: String,
    /// The method of the request line.
    pub method: String,
    /// The tenant's name, once the key is known.
    pub tenant: Option<String>,
    /// The app's name.
    pub app: Option<String>,
    /// The connection's name.
    pub connection: Option<String>,
    /// The vendor's path, [without keys](without_keys).
    pub path: Option<String>,
    /// What became of it.
    pub facts: CallFacts,
}

impl AccessLog {
    /// Returns the line, as one JSON object; a field of which nothing is known is left out.
    pub fn line(&self) -> Value {
        let facts = &self.facts;
        let outcome = facts.outcome.map(|outcome| match outcome {
            CallOutcome::Settled(outcome) => outcome.as_str(),
            CallOutcome::Gone => "Gone",
        });
        let mut line = json!({
            "call": self.call,
            "method": self.method,
            "tenant": self.tenant,
            "app": self.app,
            "connection": self.connection,
            "path": self.path,
            "status": facts.status,
            "reason": facts.refused.map(Reason::as_str),
            "outcome": outcome,
            "error_code": facts.error_code,
            "attempts": facts.timings.map(|timings| timings.attempts),
            "queue_ms": facts.timings.map(|timings| timings.queue_ms),
            "vendor_ms": facts.timings.map(|timings| timings.vendor_ms),
            "response_bytes": facts.response_bytes,
        });
        if let Some(fields) = line.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        line
    }
}

/// A line that a call writes before its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Log {
    /// The vendor throttled an attempt, also where the call is made again and goes well: who asked
    /// for what.
    Throttled {
        /// The call's id.
        call: String,
        /// The tenant's name.
        tenant: String,
        /// The connection's name.
        connection: String,
        /// The app's name.
        app: String,
        /// The method as the statistics count it.
        method: String,
        /// The vendor's path, [without keys](without_keys).
        path: String,
        /// Which vendor call of the caller's one it was, from 1.
        nth: u32,
        /// The code for the error statistics.
        error_code: Option<String>,
    },
    /// The object has acknowledged no report of some settlements.
    Unheard {
        /// The tenant's name.
        tenant: String,
        /// The connection's name.
        connection: String,
        /// How many they are.
        settlements: usize,
    },
}

impl Log {
    /// Returns the line on an attempt that the vendor has throttled; none for any other. `path` is
    /// the vendor's, [without keys](without_keys).
    pub fn of_throttle(call: &str, path: &str, permit: &Permit, end: &AttemptEnd) -> Option<Self> {
        matches!(end.outcome, Outcome::Throttled { .. }).then(|| Self::Throttled {
            call: call.to_owned(),
            tenant: permit.tenant.clone(),
            connection: permit.connection.clone(),
            app: permit.sent.app.clone(),
            method: permit.sent.method.clone(),
            path: path.to_owned(),
            nth: permit.sent.nth,
            error_code: end.error_code.clone(),
        })
    }

    /// Returns the line as one JSON object.
    pub fn line(&self) -> Value {
        match self {
            Self::Throttled { call, tenant, connection, app, method, path, nth, error_code } => {
                json!({"level": "warn", "call": call, "tenant": tenant,
                    "connection": connection, "app": app, "method": method, "path": path,
                    "attempt": nth, "error_code": error_code, "fault": "throttled by the vendor"})
            }
            Self::Unheard { tenant, connection, settlements } => {
                json!({"level": "error", "tenant": tenant, "connection": connection,
                    "settlements": settlements,
                    "fault": "settlements were not heard; their permits' leases stand in for them"})
            }
        }
    }
}
