//! The JSON document of a job.

use super::record::{Answer, Attempt, Record, State};
use crate::upstream::methods;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sluice_limiter::calendar::rfc3339;
use std::borrow::Cow;

/// The headers of an answer that a viewer sees: its kind, not its content.
const VIEWED: [&str; 3] = ["content-type", "content-length", "date"];

/// How much of an answer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Much {
    /// All of it.
    Whole,
    /// All but the body.
    NoBody,
    /// What a viewer may see: neither the body nor headers in which a secret may be.
    Viewed,
}

/// A job as it is shown.
#[derive(Serialize)]
pub struct JobDocument<'a> {
    id: &'a str,
    state: &'static str,
    connection: &'a str,
    app: &'a str,
    method: &'a str,
    path: &'a str,
    attempts: Vec<AttemptDocument<'a>>,
    created: String,
    updated: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<AnswerDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// The tenant, where it does not follow from the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<&'a str>,
}

/// An attempt as it is shown.
#[derive(Serialize)]
pub struct AttemptDocument<'a> {
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// The answer of a job as it is shown.
#[derive(Serialize)]
struct AnswerDocument<'a> {
    status: u16,
    headers: Vec<&'a (String, String)>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_encoding: Option<&'static str>,
}

/// Makes the document of a job with this path, with as much of its answer as `much` allows.
pub fn document<'a>(
    id: &'a str,
    record: &'a Record,
    path: &'a str,
    answer: Option<&'a Answer>,
    much: Much,
    now: i64,
) -> JobDocument<'a> {
    let waits = record.state == State::Queued && record.due > now;
    JobDocument {
        id,
        state: record.state.as_str(),
        connection: &record.connection,
        app: &record.app,
        method: methods::sent(&record.method),
        path,
        attempts: record.attempts.iter().map(attempt).collect(),
        created: rfc3339(record.created),
        updated: rfc3339(record.updated),
        next_attempt: waits.then(|| rfc3339(record.due)),
        response: answer.map(|answer| response(answer, much)),
        error: record.error.as_deref(),
        tenant: None,
    }
}

/// Makes the document of an attempt.
pub fn attempt(attempt: &Attempt) -> AttemptDocument<'_> {
    AttemptDocument {
        at: rfc3339(attempt.at),
        status: Some(attempt.status).filter(|status| *status > 0),
        error: attempt.error.as_deref(),
    }
}

fn response(answer: &Answer, much: Much) -> AnswerDocument<'_> {
    let seen = |name: &str| much != Much::Viewed || VIEWED.iter().any(|viewed| viewed.eq_ignore_ascii_case(name));
    let body = (much == Much::Whole).then(|| match std::str::from_utf8(&answer.body.0) {
        Ok(text) => (Cow::Borrowed(text), "utf-8"),
        Err(_) => (Cow::Owned(STANDARD.encode(&answer.body.0)), "base64"),
    });
    let (body, body_encoding) = body.unzip();
    AnswerDocument {
        status: answer.status,
        headers: answer.headers.iter().filter(|(name, _)| seen(name)).collect(),
        truncated: answer.truncated,
        body,
        body_encoding,
    }
}
