//! A job as it is shown.

use super::record::{Answer, Attempt, Record, State};
use crate::json;
use crate::json::Value;
use crate::upstream::methods;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sluice_limiter::calendar::rfc3339;

/// The headers of an answer that a viewer sees: what it is, not what is in it.
const VIEWED: [&str; 3] = ["content-type", "content-length", "date"];

/// How much of an answer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Much {
    /// All of it.
    Whole,
    /// All but the body of its answer is shown.
    NoBody,
    /// What a viewer may see: neither its body nor headers in which a secret may be.
    Viewed,
}

/// The document of a job, whose path is that one, with so much of its answer.
pub fn document(id: &str, record: &Record, path: &str, answer: Option<&Answer>, much: Much, now: i64) -> Value {
    let attempts: Vec<Value> = record.attempts.iter().map(attempt).collect();
    let mut shown = json!({
        "id": id,
        "state": record.state.as_str(),
        "connection": record.connection,
        "app": record.app,
        "method": methods::sent(&record.method),
        "path": path,
        "attempts": attempts,
        "created": rfc3339(record.created),
        "updated": rfc3339(record.updated),
    });
    if record.state == State::Queued && record.due > now {
        shown.set("next_attempt", rfc3339(record.due));
    }
    if let Some(answer) = answer {
        shown.set("response", response(answer, much));
    }
    shown.set_some("error", record.error.as_ref());
    shown
}

/// One attempt.
pub fn attempt(attempt: &Attempt) -> Value {
    let mut shown = json!({ "at": rfc3339(attempt.at) });
    shown.set_some("status", Some(attempt.status).filter(|status| *status > 0));
    shown.set_some("error", attempt.error.as_ref());
    shown
}

fn response(answer: &Answer, much: Much) -> Value {
    let seen = |name: &str| much != Much::Viewed || VIEWED.iter().any(|viewed| viewed.eq_ignore_ascii_case(name));
    let headers: Vec<(String, String)> = answer.headers.iter().filter(|(name, _)| seen(name)).cloned().collect();
    let mut shown = json!({ "status": answer.status, "headers": headers, "truncated": answer.truncated });
    if much == Much::Whole {
        let (body, encoding) = match std::str::from_utf8(&answer.body.0) {
            Ok(text) => (text.to_owned(), "utf-8"),
            Err(_) => (STANDARD.encode(&answer.body.0), "base64"),
        };
        shown.set("body", body);
        shown.set("body_encoding", encoding);
    }
    shown
}
