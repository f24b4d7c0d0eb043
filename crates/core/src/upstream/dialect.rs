//! Words a refusal: the one mapping from [`Refusal`] to HTTP. A vendor's clients understand the
//! vendor's own words for "too much" and little else, so the limiter's refusals use those; every
//! other refusal is a problem document.

use super::Dialect;
use crate::http::{Answer, problem};
use crate::refusal::{Reason, Refusal};
use serde_json::{Value, json};

/// How and for which call a refusal is worded.
#[derive(Debug, Clone, Copy)]
pub struct Saying<'a> {
    /// The profile's dialect. It is `Generic` where no connection is known.
    pub dialect: Dialect,
    /// Whether the caller asks for problem documents: [`crate::http::accepts_problem`].
    pub problem: bool,
    /// The call's id, empty where there is none.
    pub call: &'a str,
    /// The values of `RateLimit-Policy` and `RateLimit`.
    pub rate_limit: Option<(&'a str, &'a str)>,
}

/// Returns the answer for a refusal, without the headers that [`crate::http::allow`] adds for a
/// page.
pub fn answer(refusal: &Refusal, to: &Saying) -> Answer {
    let worded = if refusal.reason.is_throttle() && !to.problem { in_dialect(refusal, to) } else { None };
    with_fields(worded.unwrap_or_else(|| problem(refusal)), refusal, to)
}

/// Returns the answer for a refusal at a token endpoint, whose errors have OAuth's shape (RFC 6749,
/// section 5.2).
pub fn token_error(refusal: &Refusal, to: &Saying) -> Answer {
    let error = match refusal.reason {
        Reason::Key => "invalid_client",
        Reason::Origin | Reason::Route | Reason::ConnectionForbidden | Reason::Role => "unauthorized_client",
        reason if reason.is_throttle() || reason.status() >= 500 => "temporarily_unavailable",
        _ => "invalid_request",
    };
    let body = json!({"error": error, "error_description": refusal.detail}).to_string();
    with_fields(Answer::json(refusal.reason.status(), body), refusal, to)
}

/// Adds the headers that every refusal has. `Sluice-Reason` is on an answer if and only if Sluice
/// made it in the vendor's place.
fn with_fields(mut answer: Answer, refusal: &Refusal, to: &Saying) -> Answer {
    answer = answer.with("Sluice-Reason", refusal.reason.as_str());
    if !to.call.is_empty() {
        answer = answer.with("Sluice-Call", to.call);
    }
    if let Some(seconds) = refusal.retry_after_seconds {
        answer = answer.with("Retry-After", seconds.to_string());
    }
    if refusal.reason == Reason::Key {
        answer = answer.with("WWW-Authenticate", "Bearer realm=\"sluice\"");
    }
    for (name, field) in
        to.rate_limit.into_iter().flat_map(|(policy, left)| [("RateLimit-Policy", policy), ("RateLimit", left)])
    {
        if !field.is_empty() {
            answer = answer.with(name, field);
        }
    }
    answer
}

/// The kind of limit that refused, as far as vendors distinguish it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Day,
    Slots,
    Pace,
}

fn in_dialect(refusal: &Refusal, to: &Saying) -> Option<Answer> {
    let about = match refusal.reason {
        Reason::DailyQuota | Reason::AppBudget => About::Day,
        Reason::Concurrency => About::Slots,
        _ => About::Pace,
    };
    match to.dialect {
        Dialect::Generic => None,
        Dialect::Marketo => Some(marketo(about, to.call)),
        Dialect::HubSpot => Some(hubspot(about, to.call)),
        Dialect::Salesforce => Some(salesforce(about)),
        Dialect::Aprimo => Some(json(429, &json!({"error": {"code": "429", "message": "Too many requests."}}))),
        Dialect::Mailchimp => Some(mailchimp(to.call)),
        Dialect::Keap => Some(keap()),
        Dialect::Google => Some(google(about)),
    }
}

fn json(status: u16, body: &Value) -> Answer {
    Answer::json(status, body.to_string())
}

/// The status is 200: Marketo's clients read the code in the body, and some treat any other status
/// as final.
fn marketo(about: About, call: &str) -> Answer {
    let (code, message) = match about {
        About::Day => ("607", "Daily quota reached"),
        About::Slots => ("615", "Concurrent access limit '10' reached"),
        About::Pace => ("606", "Max rate limit '100' exceeded with in '20' secs"),
    };
    let errors = json!([{"code": code, "message": message}]);
    json(200, &json!({"requestId": marketo_request_id(call), "success": false, "errors": errors}))
}

/// Makes a request id in Marketo's form, hexadecimal digits on both sides of a `#`:
/// `5576#16523a39ed7`.
pub fn marketo_request_id(call: &str) -> String {
    let digits: String = call
        .chars()
        .filter(char::is_ascii_hexdigit)
        .map(|digit| digit.to_ascii_lowercase())
        .chain("0".repeat(15).chars())
        .take(15)
        .collect();
    let (left, right) = digits.split_at(4);
    format!("{left}#{right}")
}

/// HubSpot's own client waits 10 s on `TEN_SECONDLY_ROLLING` and 1 s on `SECONDLY`. Nothing else
/// makes it wait.
fn hubspot(about: About, call: &str) -> Answer {
    let (policy, words) =
        if about == About::Day { ("DAILY", "daily") } else { ("TEN_SECONDLY_ROLLING", "ten_secondly_rolling") };
    json(
        429,
        &json!({
            "status": "error",
            "message": format!("You have reached your {words} limit."),
            "errorType": "RATE_LIMIT",
            "correlationId": uuid(call),
            "policyName": policy,
            "groupName": "publicapi:sluice",
        }),
    )
}

/// Salesforce's clients treat 403 as final, but not 503.
fn salesforce(about: About) -> Answer {
    let (status, message, code) = match about {
        About::Day => (403, "TotalRequests Limit exceeded.", "REQUEST_LIMIT_EXCEEDED"),
        About::Slots | About::Pace => {
            (503, "The server is temporarily unavailable. Try again later.", "SERVER_UNAVAILABLE")
        }
    };
    json(status, &json!([{"message": message, "errorCode": code}]))
}

fn mailchimp(call: &str) -> Answer {
    let document = json!({
        "type": "https://mailchimp.com/developer/marketing/docs/errors/",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "You have exceeded the limit of 10 simultaneous connections.",
        "instance": uuid(call),
    });
    Answer::typed(429, "application/problem+json", document.to_string())
}

fn keap() -> Answer {
    json(429, &json!({"code": "429", "message": "Quota Exceeded", "status": "Request Throttled", "details": null}))
}

fn google(about: About) -> Answer {
    let message = match about {
        About::Day => "Exhausted property tokens per day.",
        About::Slots => "Exhausted concurrent requests quota.",
        About::Pace => "Exhausted property tokens per hour.",
    };
    json(429, &json!({"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED"}}))
}

/// Writes the call's id in the form of a UUID.
fn uuid(call: &str) -> String {
    let parts = [call.get(..8), call.get(8..12), call.get(12..16), call.get(16..20), call.get(20..32)];
    let parts: Option<Vec<_>> = parts.into_iter().collect();
    parts.map_or_else(|| call.to_owned(), |parts| parts.join("-"))
}

#[cfg(test)]
mod tests;
