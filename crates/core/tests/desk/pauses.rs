//! Pauses that an operator orders, at the desk: who may, what is kept, what the status says.

use crate::rig::{NOON, Rig, policy};
use serde_json::{Value, json};
use sluice_core::key::Claims;
use sluice_core::tenant::desk::{Answer, Ticket};
use sluice_core::tenant::protocol::{Admin, Admit, Ask, Operate, OperateAsk, Reply};
use sluice_core::tenant::store::Table;

impl Rig {
    fn order(&mut self, claims: &Claims, connection: &str, what: Operate) -> (u16, Value) {
        let ask = OperateAsk { claims: claims.clone(), connection: connection.to_owned(), what };
        match self.now(Ask::Operate(Box::new(ask))) {
            Reply::Document { status, body, .. } => (status, serde_json::from_str(&body).unwrap()),
            Reply::No(no) => (no.refusal.reason.status(), json!(no.refusal.reason.as_str())),
            Reply::Invalid(faults) => (400, json!(faults)),
            other => panic!("{other:?}"),
        }
    }

    fn pause(&mut self, claims: &Claims, connection: &str, body: Value) -> (u16, Value) {
        self.order(claims, connection, Operate::read(&body.to_string(), false).unwrap())
    }

    fn resume(&mut self, claims: &Claims, connection: &str, body: &str) -> (u16, Value) {
        self.order(claims, connection, Operate::read(body, true).unwrap())
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
    let mut rig = Rig::new();
    let operator = rig.key(json!({"role": "operator"}));
    for key in [rig.key(json!({"role": "viewer"})), rig.app("sync")] {
        assert_eq!(rig.pause(&key, "free", json!({})), (403, json!("role")));
        assert_eq!(rig.resume(&key, "free", ""), (403, json!("role")));
    }
    assert_eq!(rig.pause(&operator, "nowhere", json!({})), (404, json!("connection")));
    assert_eq!(rig.pause(&operator, "free", json!({"app": "nobody"})).0, 400);
    assert_eq!(rig.shown("free")["paused"], Value::Null);
    let (status, said) = rig.pause(&operator, "free", json!({"seconds": 600, "reason": "maintenance"}));
    assert_eq!(status, 200);
    let expected = json!({
        "by": operator.id, "since": "2026-06-15T12:00:00.000Z", "until": "2026-06-15T12:10:00.000Z", "reason": "maintenance",
    });
    assert_eq!((&said["connection"], &said["paused"]), (&json!("free"), &expected));
    assert_eq!(rig.shown("free")["paused"], expected);
    assert_eq!(rig.shown("crm")["paused"], Value::Null);
    assert_eq!(rig.resume(&operator, "free", "{}"), (200, json!({"connection": "free"})));
    assert_eq!(rig.shown("free")["paused"], Value::Null);
}

#[test]
fn a_paused_connections_calls_are_refused_with_the_exact_time_or_wait_until_it_is_resumed() {
    let mut rig = Rig::new();
    let (operator, app) = (rig.key(json!({"role": "operator"})), rig.app("sync"));
    rig.pause(&operator, "free", json!({"seconds": 600}));
    let admit = rig.admit(&app, "free");
    let no = rig.no(admit);
    assert_eq!((no.refusal.reason.as_str(), no.refusal.retry_after_seconds), ("paused", Some(600)));
    assert!(no.refusal.detail.contains("an operator has paused"), "{}", no.refusal.detail);
    rig.pause(&operator, "free", json!({}));
    let admit = rig.admit(&app, "free");
    let ticket = rig.waits(admit);
    assert_eq!(rig.desk.next_ready().map(|(ticket, _)| ticket), None);
    rig.resume(&operator, "free", "");
    let (told, reply) = rig.desk.next_ready().unwrap();
    assert_eq!(told, ticket);
    assert!(matches!(reply, Reply::Go(_)), "{reply:?}");
}

#[test]
fn a_pause_outlives_the_object_a_changed_policy_and_a_removed_connection() {
    let mut rig = Rig::new();
    let (operator, app) = (rig.key(json!({"role": "operator"})), rig.app("sync"));
    rig.pause(&operator, "free", json!({"seconds": 600, "reason": "maintenance"}));
    rig.pause(&operator, "free", json!({"app": "sync"}));
    let pauses = |rig: &mut Rig| (rig.shown("free")["paused"].clone(), rig.shown("free")["pauses"].clone());
    let both = pauses(&mut rig);
    assert_eq!((both.0["app"].clone(), both.1.as_array().unwrap().len()), (Value::Null, 2));
    let is_paused = |rig: &mut Rig| {
        let admit = Admit { wait_ms: Some(0), ..rig.admit(&app, "free") };
        assert_eq!(rig.reason(admit), "paused");
        assert_eq!(pauses(rig), both);
    };
    is_paused(&mut rig);
    rig.reopen();
    is_paused(&mut rig);
    assert_eq!(rig.put(&policy()).0, 200);
    is_paused(&mut rig);
    let mut without = policy();
    let removed = without["connections"].as_object_mut().unwrap().remove("free");
    assert!(removed.is_some());
    rig.put(&without);
    rig.reopen();
    rig.put(&policy());
    is_paused(&mut rig);
    // The one with an end is over by itself; the app's rests on.
    rig.go_to(NOON + 600_000);
    assert_eq!(rig.shown("free")["paused"]["app"], "sync");
    rig.reopen();
    let admit = Admit { wait_ms: Some(0), ..rig.admit(&app, "free") };
    assert_eq!(rig.reason(admit), "paused");
    assert_eq!(rig.resume(&operator, "free", r#"{"app":"sync"}"#), (200, json!({"connection": "free"})));
    rig.go(&app, "free");
    rig.reopen();
    rig.go(&app, "free");
}

#[test]
fn a_removed_tenants_pauses_go_with_it() {
    let mut rig = Rig::new();
    let operator = rig.key(json!({"role": "operator"}));
    rig.pause(&operator, "free", json!({}));
    let rows = |rig: &Rig| rig.memory.rows.keys().filter(|(table, _)| *table == Table::Policy as u8).count();
    assert_eq!(rows(&rig), 3, "policy, name, pause");
    assert_eq!(rig.admin(Admin::Delete).0, 204);
    assert_eq!(rows(&rig), 0);
    rig.put(&policy());
    let app = rig.app("sync");
    rig.go(&app, "free");
}

#[test]
fn jobs_of_a_paused_app_rest_and_go_when_it_is_resumed() {
    let mut rig = Rig::new();
    let (operator, app) = (rig.key(json!({"role": "operator"})), rig.app("sync"));
    rig.pause(&operator, "free", json!({"app": "sync"}));
    let keep = rig.keep(&app, "free", "POST");
    let id = rig.kept(keep);
    assert!(rig.next_errand().is_none());
    rig.reopen();
    rig.go_to(NOON + 60_000);
    assert!(rig.next_errand().is_none());
    assert_eq!(rig.job(&app, &id)["state"], "queued");
    rig.resume(&operator, "free", "");
    assert!(rig.next_errand().is_some());
}

#[test]
fn an_order_with_anything_unknown_or_out_of_bounds_is_none() {
    for body in ["[]", "1", "{", r#"{"second":1}"#, r#"{"app":1}"#] {
        assert!(Operate::read(body, false).is_err() && Operate::read(body, true).is_err(), "{body}");
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
        assert!(Operate::read(body, false).is_err(), "{body}");
    }
    assert!(Operate::read(r#"{"seconds":60}"#, true).is_err(), "a resume knows no time");
    for body in ["", " ", "{}", r#"{"app":null}"#, r#"{"app":"a"}"#] {
        assert!(Operate::read(body, false).is_ok() && Operate::read(body, true).is_ok(), "{body}");
    }
}
