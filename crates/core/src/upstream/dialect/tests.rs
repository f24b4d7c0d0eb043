use super::*;
use serde_json::{Value, json};

mod clients;

const CALL: &str = "55760a1b2c3d4e5f60718293a4b5c6d7";

const THROTTLES: [Reason; 7] = [
    Reason::DailyQuota,
    Reason::AppBudget,
    Reason::Paused,
    Reason::QueueFull,
    Reason::Deadline,
    Reason::Rate,
    Reason::Concurrency,
];

const DIALECTS: [Dialect; 8] = [
    Dialect::Generic,
    Dialect::Marketo,
    Dialect::HubSpot,
    Dialect::Salesforce,
    Dialect::Aprimo,
    Dialect::Mailchimp,
    Dialect::Keap,
    Dialect::Google,
];

fn refusal(reason: Reason) -> Refusal {
    Refusal { retry_after_seconds: Some(7), violated: vec!["rate".into()], ..Refusal::new(reason, "too much at once") }
}

fn to(dialect: Dialect) -> Saying<'static> {
    Saying { dialect, problem: false, call: CALL, rate_limit: Some(("\"rate\";q=1", "\"rate\";r=0;t=7")) }
}

fn said(dialect: Dialect, reason: Reason) -> (u16, Value) {
    let answer = answer(&refusal(reason), &to(dialect));
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

#[test]
fn every_refusal_says_its_reason_and_when_to_come_back() {
    for dialect in DIALECTS {
        for reason in THROTTLES {
            let answer = answer(&refusal(reason), &to(dialect));
            assert_eq!(answer.header("sluice-reason"), Some(reason.as_str()));
            assert_eq!(answer.header("sluice-call"), Some(CALL));
            assert_eq!(answer.header("retry-after"), Some("7"));
            assert_eq!(answer.header("ratelimit-policy"), Some("\"rate\";q=1"));
            assert_eq!(answer.header("ratelimit"), Some("\"rate\";r=0;t=7"));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
    }
}

#[test]
fn a_refusal_that_waiting_does_not_cure_has_no_retry_after() {
    let answer =
        answer(&Refusal::new(Reason::Path, "x"), &Saying { call: "", rate_limit: None, ..to(Dialect::Generic) });
    for absent in ["retry-after", "sluice-call", "ratelimit", "ratelimit-policy", "www-authenticate"] {
        assert_eq!(answer.header(absent), None, "{absent}");
    }
}

#[test]
fn the_statuses_are_those_of_the_contract() {
    let expected = |dialect, reason| match (dialect, reason) {
        (Dialect::Marketo, _) => 200,
        (Dialect::Generic, Reason::Paused) => 503,
        (Dialect::Salesforce, Reason::DailyQuota | Reason::AppBudget) => 403,
        (Dialect::Salesforce, _) => 503,
        _ => 429,
    };
    for dialect in DIALECTS {
        for reason in THROTTLES {
            assert_eq!(said(dialect, reason).0, expected(dialect, reason), "{dialect:?} {reason:?}");
        }
    }
}

#[test]
fn a_caller_that_asks_for_problem_documents_gets_them_from_any_vendor() {
    for dialect in DIALECTS {
        let answer = answer(&refusal(Reason::Concurrency), &Saying { problem: true, ..to(dialect) });
        assert_eq!(answer.status, 429);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let document: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(document["violated-policies"], json!(["rate"]));
    }
}

#[test]
fn faults_of_the_call_are_problem_documents_in_every_dialect() {
    for dialect in DIALECTS {
        for (reason, status) in [
            (Reason::Path, 400),
            (Reason::Key, 401),
            (Reason::Route, 403),
            (Reason::ConnectionUnknown, 404),
            (Reason::Payload, 413),
            (Reason::Uri, 414),
            (Reason::VendorUnreachable, 502),
            (Reason::Unavailable, 503),
            (Reason::VendorTimeout, 504),
        ] {
            let answer = answer(&Refusal::new(reason, "x"), &to(dialect));
            assert_eq!((answer.status, answer.header("content-type")), (status, Some("application/problem+json")));
        }
    }
}

#[test]
fn a_bad_key_is_asked_for_as_http_does() {
    let answer = answer(&Refusal::new(Reason::Key, "x"), &to(Dialect::Generic));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"sluice\""));
}

#[test]
fn marketos_form_has_its_codes_as_text_and_a_request_id_like_its_own() {
    let (_, body) = said(Dialect::Marketo, Reason::Rate);
    assert_eq!(
        body,
        json!({"requestId": "5576#0a1b2c3d4e5", "success": false,
            "errors": [{"code": "606", "message": "Max rate limit '100' exceeded with in '20' secs"}]})
    );
    assert_eq!(said(Dialect::Marketo, Reason::Concurrency).1["errors"][0]["code"], "615");
    for reason in [Reason::Paused, Reason::QueueFull, Reason::Deadline] {
        assert_eq!(said(Dialect::Marketo, reason).1["errors"][0]["code"], "606");
    }
    for reason in [Reason::DailyQuota, Reason::AppBudget] {
        assert_eq!(
            said(Dialect::Marketo, reason).1["errors"][0],
            json!({"code": "607", "message": "Daily quota reached"})
        );
    }
}

#[test]
fn a_request_id_is_made_of_any_call_id() {
    assert_eq!(marketo_request_id(""), "0000#00000000000");
    assert_eq!(marketo_request_id("zÄ-F"), "f000#00000000000");
}

#[test]
fn a_call_id_that_is_not_hexadecimal_is_shown_as_it_is() {
    assert_eq!(uuid("short"), "short");
    assert_eq!(uuid(CALL), "55760a1b-2c3d-4e5f-6071-8293a4b5c6d7");
    uuid("ääääääääääääääääääääääääääääääää");
}

#[test]
fn token_endpoints_err_as_oauth_does() {
    for (reason, status, error) in [
        (Reason::Key, 401, "invalid_client"),
        (Reason::Request, 400, "invalid_request"),
        (Reason::ConnectionForbidden, 403, "unauthorized_client"),
        (Reason::ConnectionUnknown, 404, "invalid_request"),
        (Reason::Unavailable, 503, "temporarily_unavailable"),
    ] {
        let answer = token_error(&Refusal::new(reason, "what is wrong"), &to(Dialect::Marketo));
        assert_eq!(answer.status, status);
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body, json!({"error": error, "error_description": "what is wrong"}));
        assert_eq!(answer.header("sluice-reason"), Some(reason.as_str()));
    }
}

#[test]
fn keaps_and_googles_clients_get_their_vendors_words() {
    assert_eq!(
        said(Dialect::Keap, Reason::Rate).1,
        json!({"code": "429", "message": "Quota Exceeded", "status": "Request Throttled", "details": null})
    );
    assert_eq!(
        said(Dialect::Google, Reason::Concurrency).1,
        json!({"error": {"code": 429, "message": "Exhausted concurrent requests quota.", "status": "RESOURCE_EXHAUSTED"}})
    );
    assert_eq!(said(Dialect::Google, Reason::DailyQuota).1["error"]["status"], "RESOURCE_EXHAUSTED");
}

#[test]
fn mailchimps_and_salesforces_words_are_theirs() {
    let answer = answer(&refusal(Reason::Concurrency), &to(Dialect::Mailchimp));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["title"], "Too Many Requests");
    assert_eq!(body["detail"], "You have exceeded the limit of 10 simultaneous connections.");
    assert_eq!(
        said(Dialect::Salesforce, Reason::DailyQuota).1,
        json!([{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}])
    );
}
