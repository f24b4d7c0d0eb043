//! Keap. With OAuth it takes 125,000 calls a day for the application, over all of its customers;
//! with a key (PAT or SAK) 10 calls a second, 240 a minute and 30,000 a day for the key, and
//! 250,000 a day for the account.

use super::{Dialect, Request, Standings, bearer, daily, invalid_client, rotating_token};
use crate::limit::{Kind, Limit};
use crate::wire::{Answer, Head};
use serde_json::{Value, json};

pub(super) const OAUTH: Dialect = Dialect {
    name: "keap-oauth",
    limits: || vec![Limit::new("daily", Kind::daily(125_000, 0))],
    answer,
    refusal: |_| throttled(),
    decorate,
    credential,
    unauthorized,
    token_path: Some("/token"),
    token: rotating_token,
    token_refused: invalid_client,
};

pub(super) const KEY: Dialect = Dialect {
    name: "keap",
    limits: || {
        vec![
            Limit::new("spike", Kind::window(10, 1)),
            Limit::new("minute", Kind::window(240, 60)),
            Limit::new("daily", Kind::daily(30_000, 0)),
            Limit::new("account-daily", Kind::daily(250_000, 0)),
        ]
    },
    token_path: None,
    ..OAUTH
};

fn throttled() -> Answer {
    Answer::json(
        429,
        &json!({"code": "429", "message": "Quota Exceeded", "status": "Request Throttled", "details": null}),
    )
}

/// Answers in the words of the gateway, not the API's.
fn unauthorized() -> Answer {
    let fault = json!({"faultstring": "Invalid Access Token", "detail": {"errorcode": "keymanagement.service.invalid_access_token"}});
    Answer::json(401, &json!({"fault": fault}))
}

fn credential(head: &Head) -> Option<String> {
    head.header("x-keap-api-key").map(str::to_owned).or_else(|| bearer(head))
}

fn decorate(mut answer: Answer, _: &Request, standings: &Standings) -> Answer {
    for standing in &standings.limits {
        let (calls, used) = (standing.limit.kind.calls(), standing.used);
        if standing.limit.name.starts_with("account") {
            // These are for the whole account, per minute and per day in one field. The one per
            // minute is of no limit here.
            answer = answer
                .with("x-keap-tenant-throttle-limit", &format!("10000|{calls}"))
                .with("x-keap-tenant-throttle-time-unit", "minute|day")
                .with("x-keap-tenant-throttle-used", &format!("0|{used}"));
            continue;
        }
        let (which, unit) = match standing.limit.kind {
            Kind::RollingWindow { ms: 60_000, .. } => ("throttle", "minute"),
            _ if daily(&standing.limit) => ("quota", "day"),
            Kind::RollingWindow { .. } => {
                answer = answer.with("x-keap-product-throttle-spike-limit", &format!("{calls}ps"));
                continue;
            }
            _ => continue,
        };
        for (name, value) in [
            ("limit", calls.to_string()),
            ("time-unit", unit.to_owned()),
            ("interval", "1".to_owned()),
            ("available", calls.saturating_sub(used).to_string()),
            ("used", used.to_string()),
        ] {
            answer = answer.with(&format!("x-keap-product-{which}-{name}"), &value);
        }
        if which == "quota" {
            let expiry_ms = standings.civil_ms + i64::try_from(standing.fresh_us / 1000).unwrap_or(0);
            answer = answer.with("x-keap-product-quota-expiry-time", &expiry_ms.to_string());
        }
    }
    answer.with("x-keap-tenant-id", "mock")
}

fn answer(request: &Request) -> Option<Answer> {
    let rest = request.head.path().strip_prefix("/crm/rest/")?;
    let words: Vec<&str> = rest.split('/').collect();
    let sent = || request.payload.json().unwrap_or(Value::Null);
    match (request.head.method.as_str(), words.as_slice()) {
        ("GET", [_, "contacts"]) => {
            Some(Answer::json(200, &json!({"contacts": [{"id": "1", "given_name": "Mock"}], "next_page_token": ""})))
        }
        ("POST", [_, "contacts"]) => {
            let mut made = sent();
            if !made.is_object() {
                made = json!({});
            }
            made["id"] = json!(request.number.to_string());
            Some(Answer::json(201, &made))
        }
        ("PATCH" | "PUT", [_, "contacts", id]) => Some(Answer::json(200, &json!({"id": id}))),
        ("DELETE", [_, "contacts", _]) => Some(Answer::empty(204)),
        ("GET", [_, "contacts", id]) => Some(Answer::json(200, &json!({"id": id, "given_name": "Mock"}))),
        ("POST", [_, "tags", _, "contacts:applyTags"]) => {
            let sent = sent();
            let ids = sent.get("contact_ids").and_then(Value::as_array).cloned().unwrap_or_default();
            let results = ids.iter().filter_map(Value::as_str).map(|id| (id.to_owned(), json!("SUCCESS")));
            Some(Answer::json(200, &json!({"results": results.collect::<serde_json::Map<_, _>>()})))
        }
        _ => None,
    }
}
