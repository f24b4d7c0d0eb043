//! `MASTER_KEY` is changed while a tenant exists.

use crate::harness::{Harness, NOON, policy};
use serde_json::json;
use sluice_core::keys::{Claims, Master};
use sluice_core::protocol::{Admin, Ask, Reply, SubmitJob};
use sluice_core::tenant::state::Answer;
use sluice_core::tenant::store::Table;
use sluice_core::tenant::task::Task;

pub const OLD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub const NEW: &str = "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

impl Harness {
    /// The object comes into memory under other master keys.
    pub fn reopen_under(&mut self, keys: &[&str]) {
        self.master(Master::parse(&keys.join(",")).unwrap());
        self.reopen();
    }

    fn callback_job(&mut self, app: &Claims) -> String {
        let keep = self.keep(app, "crm", "POST");
        let callback = Some("https://hooks.example.com/x".to_owned());
        self.kept(SubmitJob { request: sluice_core::jobs::Request { callback, ..keep.request }, ..keep })
    }
}

fn with_callbacks() -> serde_json::Value {
    let mut policy = policy();
    policy["callbacks"] = json!({"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "hosts": ["hooks.example.com"]});
    policy
}

#[test]
fn what_an_older_key_sealed_is_sealed_anew_as_it_is_loaded_so_that_the_older_may_go() {
    let mut harness = Harness::new();
    harness.put(&with_callbacks());
    let app = harness.app("sync");
    // One call in ten seconds goes; the others wait, a few steps' worth of them.
    let ids: Vec<_> = (0..30).map(|_| harness.callback_job(&app)).collect();
    harness.reopen_under(&[NEW, OLD]);
    harness.go_to(NOON + 2_000);
    let new = Master::parse(NEW).unwrap();
    for ((table, id), row) in &harness.memory.rows {
        assert!(!sluice_core::sealed::is_stale(&new, row), "a row of table {table} is as it was: {id}");
    }
    harness.reopen_under(&[NEW]);
    assert_eq!(harness.admin(Admin::GetPolicy).0, 200);
    let admit = harness.admit(&app, "crm");
    let go = harness.ask(Ask::Describe(admit));
    let Answer::Now(Reply::Route(route)) = go else { panic!("{go:?}") };
    assert_eq!(format!("{:?}", route.credential), "Some(Credential(***))");
    harness.go_to(NOON + 400_000);
    let mut sent = 0;
    while let Some(task) = harness.next_task() {
        if matches!(task, Task::Run(_)) {
            sent += 1;
        }
        harness.go_to(harness.now + 11_000);
    }
    assert!(sent > 0, "jobs' requests open");
    for id in ids {
        assert_ne!(harness.job(&app, &id)["error"], "request");
    }
}

#[test]
fn no_event_of_the_rotation_looks_at_more_than_a_few_rows_and_it_is_done_once() {
    let mut harness = Harness::new();
    harness.put(&with_callbacks());
    let app = harness.app("sync");
    (0..50).for_each(|_| drop(harness.callback_job(&app)));
    let writes = |harness: &mut Harness, act: fn(&mut Harness)| {
        let before = harness.memory.writes;
        act(harness);
        harness.memory.writes - before
    };
    let opening = writes(&mut harness, |harness| harness.reopen_under(&[NEW, OLD]));
    assert!(opening <= 20, "{opening} rows were written as it opened");
    let mut steps = 0;
    while let Some(at) = harness.tenant.next_wakeup().filter(|at| *at <= NOON + 1_500) {
        harness.now = at;
        let step = writes(&mut harness, Harness::wake);
        assert!(step <= 12, "{step} rows were written in one step");
        steps += 1;
    }
    assert!(steps >= 5);
    let again = writes(&mut harness, |harness| {
        harness.reopen_under(&[NEW, OLD]);
        harness.go_to(harness.now + 400);
    });
    assert!(again <= 6, "{again} rows were written though nothing was left to seal anew");
}

#[test]
fn a_tenant_whose_secrets_no_listed_key_opens_says_so_and_may_be_replaced_with_its_jobs_and_counts() {
    let mut harness = Harness::new();
    harness.put(&with_callbacks());
    let app = harness.app("sync");
    let keep = harness.keep(&app, "free", "POST");
    harness.go(&app, "crm");
    let id = harness.kept(keep);
    harness.reopen_under(&[NEW]);
    let admit = harness.admit(&app, "free");
    let asks = [
        Ask::Admit(admit.clone()),
        Ask::Describe(admit),
        Ask::Status(app.clone()),
        Ask::Admin(Admin::GetPolicy),
        Ask::Admin(Admin::ListKeys),
    ];
    for ask in asks {
        let Reply::Refused(no) = harness.now(ask) else { panic!("it is answered") };
        assert_eq!((no.refusal.reason.as_str(), no.refusal.reason.status()), ("setup", 503));
        assert!(no.refusal.detail.contains("MASTER_KEY"), "{}", no.refusal.detail);
    }
    assert_eq!(harness.put(&json!({"connections": 1})).0, 400, "an invalid policy changes nothing");
    assert_eq!(harness.reason_of(Ask::Status(app.clone())), "setup");
    let rows = harness.memory.rows.clone();
    // With the older key listed again all is as it was.
    harness.reopen_under(&[NEW, OLD]);
    assert_eq!(harness.admin(Admin::GetPolicy).0, 200);
    harness.memory.rows = rows;
    harness.reopen_under(&[NEW]);
    assert_eq!(harness.put(&with_callbacks()).0, 200, "it is replaced, not made");
    assert_eq!(harness.admin(Admin::ListKeys).0, 200);
    let admit = sluice_core::protocol::Admit { wait_ms: Some(0), ..harness.admit(&app, "crm") };
    assert_eq!(harness.reason(admit), "rate", "what was sent before counts");
    assert_ne!(harness.job(&app, &id)["state"], serde_json::Value::Null);
}

#[test]
fn a_tenant_whose_secrets_no_listed_key_opens_may_be_removed_and_keeps_its_counts_for_a_namesake() {
    let mut harness = Harness::new();
    let app = harness.app("sync");
    harness.go(&app, "crm");
    harness.reopen_under(&[NEW]);
    assert_eq!(harness.admin(Admin::Delete).0, 204);
    assert!(!harness.memory.rows.keys().any(|(table, _)| *table == Table::Key as u8));
    assert_eq!(harness.admin(Admin::GetPolicy), (404, json!("not-found")));
    harness.put(&policy());
    let app = harness.app("sync");
    let admit = sluice_core::protocol::Admit { wait_ms: Some(0), ..harness.admit(&app, "crm") };
    assert_eq!(harness.reason(admit), "rate");
}
