//! Mailchimp: 10 connections at once. A call that its caller gave up may still count; set
//! `works_on` for that.

use super::{Dialect, Request, invalid_client, oauth_token, plain};
use crate::gate::Refusal;
use crate::limit::{Kind, Limit};
use crate::wire::{Answer, Head};
use base64::Engine;
use serde_json::{Value, json};

pub(super) const MAILCHIMP: Dialect = Dialect {
    name: "mailchimp",
    limits: || vec![Limit::new("concurrent", Kind::concurrency(10))],
    answer,
    refusal,
    decorate: plain,
    credential,
    unauthorized: || {
        problem(
            401,
            "API Key Invalid",
            "Your API key may be invalid, or you've attempted to access the wrong datacenter.",
        )
    },
    token_path: None,
    token: oauth_token,
    token_refused: invalid_client,
};

fn refusal(refusal: &Refusal) -> Answer {
    let calls = refusal.limit.kind.calls();
    problem(429, "Too Many Requests", &format!("You have exceeded the limit of {calls} simultaneous connections."))
}

fn problem(status: u16, title: &str, detail: &str) -> Answer {
    let body = json!({
        "type": "https://mailchimp.com/developer/marketing/docs/errors/", "title": title, "status": status, "detail": detail,
        "instance": "00000000-0000-0000-0000-000000000000",
    });
    Answer::bytes(status, "application/problem+json; charset=utf-8", body.to_string().into_bytes())
}

/// Reads the key as password with any user name, or a bearer or OAuth token.
fn credential(head: &Head) -> Option<String> {
    let (scheme, rest) = head.header("authorization")?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Some(rest.trim().to_owned());
    }
    let pair = base64::engine::general_purpose::STANDARD.decode(rest.trim()).ok()?;
    Some(String::from_utf8(pair).ok()?.split_once(':')?.1.to_owned())
}

fn answer(request: &Request) -> Option<Answer> {
    let rest = request.head.path().strip_prefix("/3.0")?;
    let words: Vec<&str> = rest.split('/').skip(1).collect();
    let sent = request.payload.json().unwrap_or(Value::Null);
    match (request.head.method.as_str(), words.as_slice()) {
        ("GET", ["ping"]) => Some(Answer::json(200, &json!({"health_status": "Everything's Chimpy!"}))),
        ("GET", ["lists"]) => {
            Some(Answer::json(200, &json!({"lists": [{"id": "mock", "name": "Mock"}], "total_items": 1})))
        }
        ("GET", ["lists", id]) => Some(Answer::json(200, &json!({"id": id, "name": "Mock"}))),
        ("POST", ["lists", _]) => Some(batch(&sent)),
        ("POST" | "PUT" | "PATCH", ["lists", list, "members", ..]) => Some(Answer::json(200, &member(list, &sent))),
        ("POST", ["batches"]) => {
            Some(Answer::json(200, &json!({"id": format!("mock{}", request.number), "status": "pending"})))
        }
        _ => None,
    }
}

/// Answers a batch of at most 500 members; those without an address are among the errors.
fn batch(sent: &Value) -> Answer {
    let members = sent.get("members").and_then(Value::as_array).cloned().unwrap_or_default();
    if members.len() > 500 {
        return problem(400, "Invalid Resource", "The members array may hold at most 500.");
    }
    let (good, bad): (Vec<_>, Vec<_>) =
        members.iter().partition(|m| m.get("email_address").is_some_and(Value::is_string));
    let made: Vec<Value> = good.iter().map(|m| member("mock", m)).collect();
    let errors: Vec<Value> = bad
        .iter()
        .map(|_| json!({"email_address": "", "error": "Blank email", "error_code": "ERROR_GENERIC"}))
        .collect();
    Answer::json(
        200,
        &json!({"new_members": made, "updated_members": [], "errors": errors, "total_created": made.len(), "total_updated": 0,
            "error_count": errors.len()}),
    )
}

fn member(list: &str, sent: &Value) -> Value {
    let status =
        sent.get("status").or_else(|| sent.get("status_if_new")).cloned().unwrap_or_else(|| json!("subscribed"));
    json!({"id": "mock", "email_address": sent.get("email_address"), "status": status, "list_id": list})
}
