//! Pauses ordered by an operator, at the tenant state: who may order them, what is stored, and what
//! the status shows.

use crate::harness::{Harness, NOON, policy};
use serde_json::{Value, json};
use sluice_core::keys::Claims;
use sluice_core::protocol::{Admin, Admit, Ask, Operate, OperateAsk, OrderKind, Reply};
use sluice_core::tenant::state::{Answer, Ticket};
use sluice_core::tenant::store::Table;

impl Harness {
    fn order(&mut self, claims: &Claims, connection: &str, what: Operate) -> (u16, Value) {
        let ask = OperateAsk { claims: claims.clone(), connection: connection.to_owned(), what };
        match self.now(Ask::Operate(Box::new(ask))) {
            Reply::Document { status, body, .. } => (status, serde_json::from_str(&body).unwrap()),
            Reply::Refused(no) => (no.refusal.reason.status(), json!(no.refusal.reason.as_str())),
            Reply::Invalid(faults) => (400, json!(faults)),
            other => panic!("{other:?}"),
        }
    }

    fn pause(&mut self, claims: &Claims, connection: &str, body: Value) -> (u16, Value) {
        self.order(claims, connection, Operate::read(&body.to_string(), OrderKind::Pause).unwrap())
    }

    fn resume(&mut self, claims: &Claims, connection: &str, body: &str) -> (u16, Value) {
        self.order(claims, connection, Operate::read(body, OrderKind::Resume).unwrap())
    }

    fn waits(&mut self, admit: Admit) -> Ticket {
        match self.ask(Ask::Admit(admit)) {
            Answer::Wait(ticket) => ticket,
            Answer::Now(reply) => panic!("{reply:?}"),
        }
    }

    fn shown(&mut self, connection: &str) -> Value {
        self.status()["connections"][connection].clone()
    }
}

#[test]
fn an_operator_pauses_and_resumes_and_nobody_else() {
    let mut harness = Harness::new();
    let operator = harness.key(json!({"role": "operator"}));
    for key in [harness.key(json!({"role": "viewer"})), harness.app("sync")] {
        assert_eq!(harness.pause(&key, "free", json!({})), (403, json!("role")));
        assert_eq!(harness.resume(&key, "free", ""), (403, json!("role")));
    }
    assert_eq!(harness.pause(&operator, "nowhere", json!({})), (404, json!("connection")));
    assert_eq!(harness.pause(&operator, "free", json!({"app": "nobody"})).0, 400);
    assert_eq!(harness.shown("free")["paused"], Value::Null);
    let (status, said) = harness.pause(&operator, "free", json!({"seconds": 600, "reason": "maintenance"}));
    assert_eq!(status, 200);
    let expected = json!({
        "by": operator.id, "since": "2026-06-15T12:00:00.000Z", "until": "2026-06-15T12:10:00.000Z", "reason": "maintenance",
    });
    assert_eq!((&said["connection"], &said["paused"]), (&json!("free"), &expected));
    assert_eq!(harness.shown("free")["paused"], expected);
    assert_eq!(harness.shown("crm")["paused"], Value::Null);
    assert_eq!(harness.resume(&operator, "free", "{}"), (200, json!({"connection": "free"})));
    assert_eq!(harness.shown("free")["paused"], Value::Null);
}

#[test]
fn a_paused_connections_calls_are_refused_with_the_exact_time_or_wait_until_it_is_resumed() {
    let mut harness = Harness::new();
    let (operator, app) = (harness.key(json!({"role": "operator"})), harness.app("sync"));
    harness.pause(&operator, "free", json!({"seconds": 600}));
    let admit = harness.admit(&app, "free");
    let no = harness.no(admit);
    assert_eq!((no.refusal.reason.as_str(), no.refusal.retry_after_seconds), ("paused", Some(600)));
    assert!(no.refusal.detail.contains("an operator has paused"), "{}", no.refusal.detail);
    harness.pause(&operator, "free", json!({}));
    let admit = harness.admit(&app, "free");
    let ticket = harness.waits(admit);
    assert_eq!(harness.tenant.next_ready().map(|(ticket, _)| ticket), None);
    harness.resume(&operator, "free", "");
    let (told, reply) = harness.tenant.next_ready().unwrap();
    assert_eq!(told, ticket);
    assert!(matches!(reply, Reply::Permit(_)), "{reply:?}");
}

#[test]
fn a_pause_outlives_the_object_a_changed_policy_and_a_removed_connection() {
    let mut harness = Harness::new();
    let (operator, app) = (harness.key(json!({"role": "operator"})), harness.app("sync"));
    harness.pause(&operator, "free", json!({"seconds": 600, "reason": "maintenance"}));
    harness.pause(&operator, "free", json!({"app": "sync"}));
    let pauses =
        |harness: &mut Harness| (harness.shown("free")["paused"].clone(), harness.shown("free")["pauses"].clone());
    let both = pauses(&mut harness);
    assert_eq!((both.0["app"].clone(), both.1.as_array().unwrap().len()), (Value::Null, 2));
    let is_paused = |harness: &mut Harness| {
        let admit = Admit { wait_ms: Some(0), ..harness.admit(&app, "free") };
        assert_eq!(harness.reason(admit), "paused");
        assert_eq!(pauses(harness), both);
    };
    is_paused(&mut harness);
    harness.reopen();
    is_paused(&mut harness);
    assert_eq!(harness.put(&policy()).0, 200);
    is_paused(&mut harness);
    let mut without = policy();
    let removed = without["connections"].as_object_mut().unwrap().remove("free");
    assert!(removed.is_some());
    harness.put(&without);
    harness.reopen();
    harness.put(&policy());
    is_paused(&mut harness);
    // The one with an end is over by itself; the app's rests on.
    harness.go_to(NOON + 600_000);
    assert_eq!(harness.shown("free")["paused"]["app"], "sync");
    harness.reopen();
    let admit = Admit { wait_ms: Some(0), ..harness.admit(&app, "free") };
    assert_eq!(harness.reason(admit), "paused");
    assert_eq!(harness.resume(&operator, "free", r#"{"app":"sync"}"#), (200, json!({"connection": "free"})));
    harness.go(&app, "free");
    harness.reopen();
    harness.go(&app, "free");
}

#[test]
fn a_removed_tenants_pauses_go_with_it() {
    let mut harness = Harness::new();
    let operator = harness.key(json!({"role": "operator"}));
    harness.pause(&operator, "free", json!({}));
    let rows =
        |harness: &Harness| harness.memory.rows.keys().filter(|(table, _)| *table == Table::Policy as u8).count();
    assert_eq!(rows(&harness), 3, "policy, name, pause");
    assert_eq!(harness.admin(Admin::Delete).0, 204);
    assert_eq!(rows(&harness), 0);
    harness.put(&policy());
    let app = harness.app("sync");
    harness.go(&app, "free");
}

#[test]
fn jobs_of_a_paused_app_rest_and_go_when_it_is_resumed() {
    let mut harness = Harness::new();
    let (operator, app) = (harness.key(json!({"role": "operator"})), harness.app("sync"));
    harness.pause(&operator, "free", json!({"app": "sync"}));
    let keep = harness.keep(&app, "free", "POST");
    let id = harness.kept(keep);
    assert!(harness.next_task().is_none());
    harness.reopen();
    harness.go_to(NOON + 60_000);
    assert!(harness.next_task().is_none());
    assert_eq!(harness.job(&app, &id)["state"], "queued");
    harness.resume(&operator, "free", "");
    assert!(harness.next_task().is_some());
}

#[test]
fn an_order_with_anything_unknown_or_out_of_bounds_is_none() {
    for body in ["[]", "1", "{", r#"{"second":1}"#, r#"{"app":1}"#] {
        assert!(
            Operate::read(body, OrderKind::Pause).is_err() && Operate::read(body, OrderKind::Resume).is_err(),
            "{body}"
        );
    }
    let (long, odd) = (format!(r#"{{"reason":"{}"}}"#, "x".repeat(201)), r#"{"reason":"a\nb"}"#);
    for body in [
        r#"{"seconds":0}"#,
        r#"{"seconds":1.5}"#,
        r#"{"seconds":"60"}"#,
        r#"{"seconds":-1}"#,
        r#"{"seconds":31536001}"#,
        r#"{"reason":1}"#,
        &long,
        odd,
    ] {
        assert!(Operate::read(body, OrderKind::Pause).is_err(), "{body}");
    }
    assert!(Operate::read(r#"{"seconds":60}"#, OrderKind::Resume).is_err(), "a resume knows no time");
    for body in ["", " ", "{}", r#"{"app":null}"#, r#"{"app":"a"}"#] {
        assert!(
            Operate::read(body, OrderKind::Pause).is_ok() && Operate::read(body, OrderKind::Resume).is_ok(),
            "{body}"
        );
    }
}
