//! Google Analytics 4. The Measurement Protocol has a limit only on its debug endpoint, and never
//! answers with an error. The Data API takes 10 calls at once and 10,000 a day for a property; the
//! day begins at midnight in the Pacific zone.

use super::{Dialect, Request, Standings, bearer, daily, invalid_client, oauth_token, plain};
use crate::gate::Refusal;
use crate::limit::{Kind, Limit};
use crate::wire::{Answer, Body};
use serde_json::{Value, json};

pub(super) const MEASUREMENT: Dialect = Dialect {
    name: "ga4-mp",
    limits: || vec![Limit::new("debug", Kind::window(20, 60)).on("/debug/")],
    answer: measure,
    refusal: |_| Answer::empty(429),
    decorate: plain,
    credential: |head| head.query("api_secret"),
    // A wrong secret is not reported: the hit is just not counted.
    unauthorized: || Answer::empty(204),
    token_path: None,
    token: oauth_token,
    token_refused: invalid_client,
};

pub(super) const DATA: Dialect = Dialect {
    name: "ga4-data",
    limits: || {
        vec![Limit::new("concurrent", Kind::concurrency(10)), Limit::new("daily", Kind::daily(10_000, -8 * 3600))]
    },
    answer: report,
    refusal,
    decorate: with_quota,
    credential: bearer,
    unauthorized: || error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
    token_path: Some("/token"),
    token: oauth_token,
    token_refused: || {
        Answer::json(400, &json!({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}))
    },
};

fn measure(request: &Request) -> Option<Answer> {
    match (request.head.method.as_str(), request.head.path()) {
        ("POST", "/mp/collect" | "/g/collect") => Some(Answer::empty(204)),
        ("POST", "/debug/mp/collect") => {
            let events =
                request.payload.json().and_then(|sent| sent.get("events").and_then(Value::as_array).map(Vec::len));
            let messages = match events {
                Some(1..=25) => json!([]),
                _ => {
                    json!([{"fieldPath": "events", "description": "1 to 25 events are needed.", "validationCode": "VALUE_INVALID"}])
                }
            };
            Some(Answer::json(200, &json!({"validationMessages": messages})))
        }
        _ => None,
    }
}

fn refusal(refusal: &Refusal) -> Answer {
    let message = match (&refusal.limit.kind, daily(&refusal.limit)) {
        (Kind::Concurrency { .. }, _) => "Exhausted concurrent requests quota.",
        (_, true) => "Exhausted property tokens for a project per day.",
        _ => "Exhausted property tokens for a project per hour.",
    };
    error(429, "RESOURCE_EXHAUSTED", message)
}

fn error(status: u16, name: &str, message: &str) -> Answer {
    Answer::json(status, &json!({"error": {"code": status, "message": message, "status": name}}))
}

fn report(request: &Request) -> Option<Answer> {
    let rest = request.head.path().strip_prefix("/v1beta/properties/")?;
    if rest.ends_with("/metadata") {
        return Some(Answer::json(
            200,
            &json!({"name": format!("properties/{rest}"), "dimensions": [], "metrics": []}),
        ));
    }
    let (_, method) = rest.split_once(':')?;
    let report = json!({"kind": "analyticsData#runReport", "rowCount": 1,
        "dimensionHeaders": [{"name": "date"}], "metricHeaders": [{"name": "activeUsers", "type": "TYPE_INTEGER"}],
        "rows": [{"dimensionValues": [{"value": "20260101"}], "metricValues": [{"value": "42"}]}]});
    match method {
        "runReport" | "runRealtimeReport" | "runPivotReport" => Some(Answer::json(200, &report)),
        "batchRunReports" => {
            Some(Answer::json(200, &json!({"kind": "analyticsData#batchRunReports", "reports": [report]})))
        }
        _ => None,
    }
}

/// Adds `propertyQuota` where the request asks for it.
fn with_quota(mut answer: Answer, request: &Request, standings: &Standings) -> Answer {
    let asked = request.payload.json().is_some_and(|sent| sent.get("returnPropertyQuota") == Some(&Value::Bool(true)));
    let day = standings.limits.iter().find(|standing| daily(&standing.limit));
    if let (true, Some(day), Body::Bytes(bytes)) = (asked, day, &answer.body)
        && let Ok(mut body) = serde_json::from_slice::<Value>(bytes)
    {
        let left = day.limit.kind.calls().saturating_sub(day.used);
        body["propertyQuota"] = json!({"tokensPerDay": {"consumed": 1, "remaining": left}, "concurrentRequests": {"consumed": 1, "remaining": 9}});
        answer.body = Body::Bytes(body.to_string().into_bytes());
    }
    answer
}
