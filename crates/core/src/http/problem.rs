//! Problem documents (RFC 9457) with the types and the extension of
//! draft-ietf-httpapi-ratelimit-headers.

use super::answer::Answer;
use crate::document::text;
use crate::refusal::{Reason, Refusal};
use serde::Serialize;

/// Makes the problem document of a refusal, without the headers that every refusal has.
pub fn problem(refusal: &Refusal) -> Answer {
    problem_with_errors(refusal, &[])
}

/// Makes a problem document with `errors[]`: the faults of an invalid policy by JSON pointer.
pub fn problem_with_errors(refusal: &Refusal, errors: &[(String, String)]) -> Answer {
    let (kind, title) = kind_and_title(refusal.reason);
    let document = Problem {
        kind,
        title,
        status: refusal.reason.status(),
        detail: &refusal.detail,
        reason: refusal.reason.as_str(),
        violated: &refusal.violated,
        errors: errors.iter().map(|(pointer, detail)| Fault { pointer, detail }).collect(),
    };
    Answer::typed(refusal.reason.status(), "application/problem+json", text(&document))
}

#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    reason: &'static str,
    #[serde(rename = "violated-policies", skip_serializing_if = "<[String]>::is_empty")]
    violated: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault<'a>>,
}

#[derive(Serialize)]
struct Fault<'a> {
    pointer: &'a str,
    detail: &'a str,
}

fn kind_and_title(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::DailyQuota
        | Reason::AppBudget
        | Reason::QueueFull
        | Reason::Deadline
        | Reason::Rate
        | Reason::Concurrency => (
            "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "Request cannot be satisfied as assigned quota has been exceeded",
        ),
        Reason::Paused => (
            "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
            "Request cannot be satisfied due to temporary server capacity constraints",
        ),
        // By RFC 9457, section 4.2.1, the title of about:blank is the status's own phrase.
        _ => ("about:blank", phrase(reason.status())),
    }
}

/// Returns the phrase of a status that refusals have (RFC 9110, section 15).
fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        422 => "Unprocessable Content",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(answer: &Answer) -> serde_json::Value {
        serde_json::from_str(&answer.body).unwrap()
    }

    #[test]
    fn a_spent_quota_is_said_by_its_registered_type_and_names_the_limits() {
        let refusal =
            Refusal { violated: vec!["daily".into()], ..Refusal::new(Reason::DailyQuota, "the day is spent") };
        let answer = problem(&refusal);
        assert_eq!((answer.status, answer.header("content-type")), (429, Some("application/problem+json")));
        let document = document(&answer);
        assert_eq!(document["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
        assert_eq!(document["status"], 429);
        assert_eq!(document["detail"], "the day is spent");
        assert_eq!(document["reason"], "daily-quota");
        assert_eq!(document["violated-policies"], serde_json::json!(["daily"]));
    }

    #[test]
    fn a_pause_is_reduced_capacity() {
        let answer = problem(&Refusal::new(Reason::Paused, "x"));
        assert_eq!(answer.status, 503);
        assert_eq!(
            document(&answer)["type"],
            "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
        );
    }

    #[test]
    fn any_other_refusal_is_its_status() {
        let answer = problem(&Refusal::new(Reason::Payload, "a \"quoted\"\nword"));
        assert_eq!(document(&answer)["type"], "about:blank");
        assert_eq!(document(&answer)["title"], "Content Too Large");
        assert_eq!(document(&answer)["detail"], "a \"quoted\"\nword");
        assert_eq!(document(&answer).get("violated-policies"), None);
    }

    #[test]
    fn faults_are_listed_by_pointer() {
        let answer = problem_with_errors(&Refusal::new(Reason::Request, "x"), &[("/apps".into(), "missing".into())]);
        assert_eq!(document(&answer)["errors"], serde_json::json!([{"pointer": "/apps", "detail": "missing"}]));
    }
}
