//! Marketo: 100 calls in any 20 s, 10 at once, 50,000 a day. Its errors come with HTTP 200; its
//! days begin at midnight in the central zone.

use super::{Dialect, Request, bearer, invalid_client, plain};
use crate::gate::Refusal;
use crate::limit::{Kind, Limit};
use crate::wire::Answer;
use serde_json::{Value, json};

pub(super) const MARKETO: Dialect = Dialect {
    name: "marketo",
    limits: || {
        vec![
            Limit::new("rate", Kind::window(100, 20)),
            Limit::new("concurrent", Kind::concurrency(10)),
            Limit::new("daily", Kind::daily(50_000, -6 * 3600)),
        ]
    },
    answer,
    refusal,
    decorate: plain,
    credential: bearer,
    unauthorized: || error("601", "Access token invalid"),
    token_path: Some("/identity/oauth/token"),
    token,
    token_refused: invalid_client,
};

fn token(token: &str, seconds: u64) -> Answer {
    let scope = "mock@sluice.invalid";
    Answer::json(200, &json!({"access_token": token, "token_type": "bearer", "expires_in": seconds, "scope": scope}))
}

fn refusal(refusal: &Refusal) -> Answer {
    let calls = refusal.limit.kind.calls();
    match refusal.limit.kind {
        Kind::Concurrency { .. } => error("615", &format!("Concurrent access limit '{calls}' reached")),
        Kind::Daily { .. } => error("607", "Daily quota reached"),
        Kind::RollingWindow { ms, .. } => {
            error("606", &format!("Max rate limit '{calls}' exceeded with in '{}' secs", ms / 1000))
        }
        Kind::LeakyBucket { .. } => error("606", &format!("Max rate limit '{calls}' exceeded with in '1' secs")),
    }
}

fn error(code: &str, message: &str) -> Answer {
    let errors = json!([{"code": code, "message": message}]);
    Answer::json(200, &json!({"requestId": "5576#16523a39ed7", "success": false, "errors": errors}))
}

fn good(request: &Request, result: &Value) -> Answer {
    let id = format!("{:x}#mock", request.number);
    Answer::json(200, &json!({"requestId": id, "success": true, "result": result}))
}

fn answer(request: &Request) -> Option<Answer> {
    let path = request.head.path();
    let longest = if path.starts_with("/rest/asset/") { 65_536 } else { 8_192 };
    if request.head.target.len() > longest {
        return Some(Answer::empty(414));
    }
    let most = if path.starts_with("/bulk/") { 10_485_760 } else { 1_048_576 };
    if request.payload.bytes > most {
        return Some(Answer::empty(413));
    }
    let method = request.head.method.as_str();
    let get_in_post = method == "POST" && request.form("_method").is_some_and(|m| m.eq_ignore_ascii_case("get"));
    match (method, path) {
        ("GET", "/rest/v1/leads/describe.json") => {
            let rest = json!({"name": "email", "readOnly": false});
            Some(good(request, &json!([{"id": 2, "displayName": "Email Address", "dataType": "email", "rest": rest}])))
        }
        ("GET", "/rest/v1/leads.json") => Some(read(request)),
        ("POST", "/rest/v1/leads.json") if get_in_post => Some(read(request)),
        ("POST", "/rest/v1/leads.json") => Some(upsert(request)),
        ("GET", path) if path.starts_with("/bulk/v1/") && path.ends_with("/file.json") => {
            let bytes = request.head.query("bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or(1_000);
            Some(Answer::bytes(200, "text/csv", vec![b'x'; bytes]))
        }
        // The vendor's queue of exports is full.
        ("POST", path) if path.starts_with("/bulk/v1/") && path.ends_with("/full/enqueue.json") => {
            Some(error("1029", "Too many jobs (10) in queue"))
        }
        ("GET", "/rest/v1/stats/usage.json") => {
            Some(good(request, &json!([{"date": "2026-01-01", "total": 0, "users": []}])))
        }
        ("GET", path) => {
            let id: u64 = path.strip_prefix("/rest/v1/lead/")?.strip_suffix(".json")?.parse().ok()?;
            Some(good(request, &json!([{"id": id, "email": "mock@example.com"}])))
        }
        _ => None,
    }
}

fn read(request: &Request) -> Answer {
    let values = request.form("filterValues").unwrap_or_default();
    let found: Vec<&str> = values.split(',').filter(|value| !value.is_empty()).collect();
    if found.len() > 300 {
        return error("1003", "Max value for filterValues is 300");
    }
    let leads: Vec<Value> = (1..).zip(found).map(|(id, email): (u64, _)| json!({"id": id, "email": email})).collect();
    good(request, &json!(leads))
}

/// Answers an upsert with the results in the order of the input.
fn upsert(request: &Request) -> Answer {
    let sent = request.payload.json().unwrap_or(Value::Null);
    let Some(input) = sent.get("input").and_then(Value::as_array) else {
        return error("609", "Invalid JSON");
    };
    if input.len() > 300 {
        return error("1001", "Max batch size is 300");
    }
    let one = |(n, _): (u64, &Value)| json!({"id": request.number * 1000 + n, "status": "created"});
    good(request, &json!((0..).zip(input).map(one).collect::<Vec<_>>()))
}
