//! Salesforce: 1,000,000 calls in any 24 hours for an org, and 25 at once of those that run for 20 s
//! or more.

use super::{Dialect, Request, Standings, bearer};
use crate::gate::Refusal;
use crate::limit::{Kind, Limit};
use crate::wire::Answer;
use serde_json::{Value, json};

pub(super) const SALESFORCE: Dialect = Dialect {
    name: "salesforce",
    limits: || {
        vec![
            Limit::new("daily", Kind::window(1_000_000, 86_400)),
            Limit::new("long", Kind::Concurrency { calls: 25, after_ms: 20_000 }),
        ]
    },
    answer,
    refusal,
    decorate,
    credential: bearer,
    unauthorized: || error(401, "INVALID_SESSION_ID", "Session expired or invalid"),
    token_path: Some("/services/oauth2/token"),
    token,
    token_refused: || {
        Answer::json(400, &json!({"error": "invalid_client", "error_description": "invalid client credentials"}))
    },
};

/// Answers with a token. Salesforce gives no lifetime; `instance_url` is where the caller
/// continues, which only the caller's side knows here.
fn token(token: &str, _: u64) -> Answer {
    Answer::json(
        200,
        &json!({"access_token": token, "token_type": "Bearer", "scope": "api", "instance_url": "https://mock.my.salesforce.com",
            "id": "https://login.salesforce.com/id/mock", "issued_at": "1767225600000", "signature": "mock"}),
    )
}

/// Answers a call over a limit. Both limits have one code, and the message distinguishes them.
fn refusal(refusal: &Refusal) -> Answer {
    let message = match refusal.limit.kind {
        Kind::Concurrency { .. } => "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
        _ => "TotalRequests Limit exceeded.",
    };
    error(403, "REQUEST_LIMIT_EXCEEDED", message)
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!([{"message": message, "errorCode": code}]))
}

fn decorate(answer: Answer, _: &Request, standings: &Standings) -> Answer {
    let day = standings.limits.iter().find(|s| matches!(s.limit.kind, Kind::RollingWindow { .. } | Kind::Daily { .. }));
    match day {
        Some(day) => answer.with("Sforce-Limit-Info", &format!("api-usage={}/{}", day.used, day.limit.kind.calls())),
        None => answer,
    }
}

fn answer(request: &Request) -> Option<Answer> {
    let rest = request.head.path().strip_prefix("/services/data")?;
    // The path may end with a slash.
    let words: Vec<&str> = rest.trim_end_matches('/').split('/').skip(1).collect();
    let sent = || request.payload.json().unwrap_or(Value::Null);
    match (request.head.method.as_str(), words.as_slice()) {
        ("GET", []) => {
            Some(Answer::json(200, &json!([{"label": "Mock", "url": "/services/data/v62.0", "version": "62.0"}])))
        }
        ("GET", [_, "limits"]) => {
            Some(Answer::json(200, &json!({"DailyApiRequests": {"Max": 1_000_000, "Remaining": 999_000}})))
        }
        ("GET", [_, "query"]) => {
            let kind = json!({"type": "Account", "url": "/services/data/v62.0/sobjects/Account/001000000000001AAA"});
            let record = json!({"attributes": kind, "Id": "001000000000001AAA", "Name": "Mock"});
            Some(Answer::json(200, &json!({"totalSize": 1, "done": true, "records": [record]})))
        }
        ("POST", [_, "sobjects", _]) => {
            Some(Answer::json(201, &json!({"id": id(request.number), "success": true, "errors": []})))
        }
        ("PATCH" | "DELETE", [_, "sobjects", _, _]) => Some(Answer::empty(204)),
        ("GET", [_, "sobjects", kind, "describe"]) => Some(Answer::json(200, &json!({"name": kind, "fields": []}))),
        ("GET", [_, "sobjects", kind, id]) => {
            Some(Answer::json(200, &json!({"attributes": {"type": kind}, "Id": id, "Name": "Mock"})))
        }
        ("POST" | "PATCH", [_, "composite", "sobjects", ..]) => Some(collection(request, &sent())),
        _ => None,
    }
}

/// Answers with the results in the order of the records, at most 200.
fn collection(request: &Request, sent: &Value) -> Answer {
    let records = sent.get("records").and_then(Value::as_array).map_or(0, Vec::len) as u64;
    if records > 200 {
        return error(
            400,
            "EXCEEDED_ID_LIMIT",
            "record limit reached. cannot submit more than 200 records in this call",
        );
    }
    let one = |n| json!({"id": id(request.number * 1000 + n), "success": true, "errors": []});
    Answer::json(200, &json!((0..records).map(one).collect::<Vec<_>>()))
}

fn id(number: u64) -> String {
    format!("001{number:012}AAA")
}
