//! HubSpot: 100 calls in any 10 s and 40,000 a day for a portal, 5 searches a second. A batch is one
//! call.

use super::{Dialect, Request, Standings, bearer, daily, oauth_token};
use crate::gate::Refusal;
use crate::limit::{Kind, Limit};
use crate::wire::Answer;
use serde_json::{Value, json};

pub(super) const HUBSPOT: Dialect = Dialect {
    name: "hubspot",
    limits: || {
        vec![
            Limit::new("rate", Kind::window(100, 10)),
            Limit::new("search", Kind::window(5, 1)).on("/crm/v3/objects/*/search"),
            Limit::new("daily", Kind::daily(40_000, 0)),
        ]
    },
    answer,
    refusal,
    decorate,
    credential: bearer,
    unauthorized: || error(401, "INVALID_AUTHENTICATION", "Authentication credentials not found."),
    token_path: Some("/oauth/v1/token"),
    token: oauth_token,
    token_refused: || error(400, "BAD_CLIENT_SECRET", "missing or invalid client secret"),
};

fn refusal(refusal: &Refusal) -> Answer {
    let (policy, words) = match (&refusal.limit.kind, daily(&refusal.limit)) {
        (_, true) => ("DAILY", "daily"),
        (Kind::RollingWindow { ms: ..=1000, .. }, _) => ("SECONDLY", "secondly"),
        _ => ("TEN_SECONDLY_ROLLING", "ten_secondly_rolling"),
    };
    Answer::json(
        429,
        &json!({
            "status": "error", "message": format!("You have reached your {words} limit."), "errorType": "RATE_LIMIT",
            "correlationId": "c033cdaa-2c40-4a64-ae48-b4cec88dad24", "policyName": policy,
            "groupName": "publicapi:private-apps:mock",
        }),
    )
}

fn error(status: u16, category: &str, message: &str) -> Answer {
    Answer::json(status, &json!({"status": "error", "message": message, "correlationId": "mock", "category": category}))
}

/// Adds the headers of the limits. The search endpoint has only the daily ones.
fn decorate(mut answer: Answer, request: &Request, standings: &Standings) -> Answer {
    let search = request.head.path().ends_with("/search");
    for standing in &standings.limits {
        let (calls, left) = (standing.limit.kind.calls(), standing.limit.kind.calls().saturating_sub(standing.used));
        match standing.limit.kind {
            Kind::Daily { .. } => {
                answer = answer
                    .with("X-HubSpot-RateLimit-Daily", &calls.to_string())
                    .with("X-HubSpot-RateLimit-Daily-Remaining", &left.to_string());
            }
            Kind::RollingWindow { ms, .. } if !search && standing.limit.path.is_none() => {
                answer = answer
                    .with("X-HubSpot-RateLimit-Interval-Milliseconds", &ms.to_string())
                    .with("X-HubSpot-RateLimit-Max", &calls.to_string())
                    .with("X-HubSpot-RateLimit-Remaining", &left.to_string());
            }
            _ => {}
        }
    }
    answer
}

const OBJECTS: &str = "/crm/v3/objects/";

fn answer(request: &Request) -> Option<Answer> {
    let rest = request.head.path().strip_prefix(OBJECTS)?;
    let words: Vec<&str> = rest.split('/').collect();
    match (request.head.method.as_str(), words.as_slice()) {
        ("GET", [_]) => Some(Answer::json(200, &json!({"results": [object(1, &json!({})), object(2, &json!({}))]}))),
        ("POST", [_]) => Some(Answer::json(201, &object(request.number, &properties(&sent(request))))),
        ("POST", [_, "search"]) => Some(Answer::json(200, &json!({"total": 1, "results": [object(1, &json!({}))]}))),
        ("POST", [_, "batch", what]) => batch(request, what),
        ("PATCH" | "PUT", [_, id]) => Some(Answer::json(200, &named(id, &properties(&sent(request))))),
        ("DELETE", [_, _]) => Some(Answer::empty(204)),
        ("GET", [_, id]) => Some(Answer::json(200, &named(id, &json!({})))),
        _ => None,
    }
}

/// Answers a batch of at most 100. The results come in another order than the inputs, as HubSpot's
/// do.
fn batch(request: &Request, what: &str) -> Option<Answer> {
    let status = match what {
        "create" => 201,
        "read" | "update" | "upsert" => 200,
        "archive" => return Some(Answer::empty(204)),
        _ => return None,
    };
    let sent = sent(request);
    let inputs = sent.get("inputs").and_then(Value::as_array).cloned().unwrap_or_default();
    if inputs.len() > 100 {
        return Some(error(
            400,
            "VALIDATION_ERROR",
            "The maximum number of inputs supported in a batch request is 100",
        ));
    }
    let one = |(n, input): (u64, &Value)| {
        let mut made = object(request.number * 1000 + n, &properties(input));
        if let Some(trace) = input.get("objectWriteTraceId") {
            made["objectWriteTraceId"] = trace.clone();
        }
        made
    };
    let mut results: Vec<Value> = (0..).zip(&inputs).map(one).collect();
    results.reverse();
    Some(Answer::json(status, &json!({"status": "COMPLETE", "results": results})))
}

fn sent(request: &Request) -> Value {
    request.payload.json().unwrap_or(Value::Null)
}

fn properties(input: &Value) -> Value {
    input.get("properties").cloned().unwrap_or_else(|| json!({}))
}

fn object(id: u64, properties: &Value) -> Value {
    named(&id.to_string(), properties)
}

fn named(id: &str, properties: &Value) -> Value {
    let at = "2026-01-01T00:00:00.000Z";
    json!({"id": id, "properties": properties, "createdAt": at, "updatedAt": at, "archived": false})
}
