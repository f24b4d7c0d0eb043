//! `MASTER_KEY` changes under a tenant.

use crate::rig::{NOON, Rig, policy};
use serde_json::json;
use sluice_core::key::{Claims, Master};
use sluice_core::tenant::desk::Answer;
use sluice_core::tenant::errand::Errand;
use sluice_core::tenant::protocol::{Admin, Ask, Keep, Reply};
use sluice_core::tenant::store::Table;

pub const OLD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub const NEW: &str = "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

impl Rig {
    /// The object comes into memory under other master keys.
    pub fn reopen_under(&mut self, keys: &[&str]) {
        self.master(Master::parse(&keys.join(",")).unwrap());
        self.reopen();
    }

    fn callback_job(&mut self, app: &Claims) -> String {
        let keep = self.keep(app, "crm", "POST");
        let callback = Some("https://hooks.example.com/x".to_owned());
        self.kept(Keep { request: sluice_core::job::Request { callback, ..keep.request }, ..keep })
    }
}

fn with_callbacks() -> serde_json::Value {
    let mut policy = policy();
    policy["callbacks"] = json!({"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "hosts": ["hooks.example.com"]});
    policy
}

#[test]
fn what_an_older_key_sealed_is_sealed_anew_as_it_is_loaded_so_that_the_older_may_go() {
    let mut rig = Rig::new();
    rig.put(&with_callbacks());
    let app = rig.app("sync");
    // One call in ten seconds goes; the others wait, a few steps' worth of them.
    let ids: Vec<_> = (0..30).map(|_| rig.callback_job(&app)).collect();
    rig.reopen_under(&[NEW, OLD]);
    rig.go_to(NOON + 2_000);
    let new = Master::parse(NEW).unwrap();
    for ((table, id), row) in &rig.memory.rows {
        assert!(!sluice_core::seal::is_stale(&new, row), "a row of table {table} is as it was: {id}");
    }
    rig.reopen_under(&[NEW]);
    assert_eq!(rig.admin(Admin::GetPolicy).0, 200);
    let admit = rig.admit(&app, "crm");
    let go = rig.ask(Ask::Describe(admit));
    let Answer::Now(Reply::Route(route)) = go else { panic!("{go:?}") };
    assert_eq!(format!("{:?}", route.credential), "Some(Credential(***))");
    rig.go_to(NOON + 400_000);
    let mut sent = 0;
    while let Some(errand) = rig.next_errand() {
        if matches!(errand, Errand::Run(_)) {
            sent += 1;
        }
        rig.go_to(rig.now + 11_000);
    }
    assert!(sent > 0, "jobs' requests open");
    for id in ids {
        assert_ne!(rig.job(&app, &id)["error"], "request");
    }
}

#[test]
fn no_event_of_the_rotation_looks_at_more_than_a_few_rows_and_it_is_done_once() {
    let mut rig = Rig::new();
    rig.put(&with_callbacks());
    let app = rig.app("sync");
    (0..50).for_each(|_| drop(rig.callback_job(&app)));
    let writes = |rig: &mut Rig, act: fn(&mut Rig)| {
        let before = rig.memory.writes;
        act(rig);
        rig.memory.writes - before
    };
    let opening = writes(&mut rig, |rig| rig.reopen_under(&[NEW, OLD]));
    assert!(opening <= 20, "{opening} rows were written as it opened");
    let mut steps = 0;
    while let Some(at) = rig.desk.next_wakeup().filter(|at| *at <= NOON + 1_500) {
        rig.now = at;
        let step = writes(&mut rig, Rig::wake);
        assert!(step <= 12, "{step} rows were written in one step");
        steps += 1;
    }
    assert!(steps >= 5);
    let again = writes(&mut rig, |rig| {
        rig.reopen_under(&[NEW, OLD]);
        rig.go_to(rig.now + 400);
    });
    assert!(again <= 6, "{again} rows were written though nothing was left to seal anew");
}

#[test]
fn a_tenant_whose_secrets_no_listed_key_opens_says_so_and_may_be_replaced_with_its_jobs_and_counts() {
    let mut rig = Rig::new();
    rig.put(&with_callbacks());
    let app = rig.app("sync");
    let keep = rig.keep(&app, "free", "POST");
    rig.go(&app, "crm");
    let id = rig.kept(keep);
    rig.reopen_under(&[NEW]);
    let admit = rig.admit(&app, "free");
    let asks = [
        Ask::Admit(admit.clone()),
        Ask::Describe(admit),
        Ask::Status(app.clone()),
        Ask::Admin(Admin::GetPolicy),
        Ask::Admin(Admin::ListKeys),
    ];
    for ask in asks {
        let Reply::No(no) = rig.now(ask) else { panic!("it is answered") };
        assert_eq!((no.refusal.reason.as_str(), no.refusal.reason.status()), ("setup", 503));
        assert!(no.refusal.detail.contains("MASTER_KEY"), "{}", no.refusal.detail);
    }
    assert_eq!(rig.put(&json!({"connections": 1})).0, 400, "an invalid policy changes nothing");
    assert_eq!(rig.reason_of(Ask::Status(app.clone())), "setup");
    let rows = rig.memory.rows.clone();
    // With the older key listed again all is as it was.
    rig.reopen_under(&[NEW, OLD]);
    assert_eq!(rig.admin(Admin::GetPolicy).0, 200);
    rig.memory.rows = rows;
    rig.reopen_under(&[NEW]);
    assert_eq!(rig.put(&with_callbacks()).0, 200, "it is replaced, not made");
    assert_eq!(rig.admin(Admin::ListKeys).0, 200);
    let admit = sluice_core::tenant::protocol::Admit { wait_ms: Some(0), ..rig.admit(&app, "crm") };
    assert_eq!(rig.reason(admit), "rate", "what was sent before counts");
    assert_ne!(rig.job(&app, &id)["state"], serde_json::Value::Null);
}

#[test]
fn a_tenant_whose_secrets_no_listed_key_opens_may_be_removed_and_keeps_its_counts_for_a_namesake() {
    let mut rig = Rig::new();
    let app = rig.app("sync");
    rig.go(&app, "crm");
    rig.reopen_under(&[NEW]);
    assert_eq!(rig.admin(Admin::Delete).0, 204);
    assert!(!rig.memory.rows.keys().any(|(table, _)| *table == Table::Key as u8));
    assert_eq!(rig.admin(Admin::GetPolicy), (404, json!("not-found")));
    rig.put(&policy());
    let app = rig.app("sync");
    let admit = sluice_core::tenant::protocol::Admit { wait_ms: Some(0), ..rig.admit(&app, "crm") };
    assert_eq!(rig.reason(admit), "rate");
}
