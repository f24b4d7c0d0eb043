//! Changes that a storage failure interrupts: storage refuses at the k-th operation, for every k,
//! and the object is opened anew. No count is lower afterwards, and repeating the request completes
//! the change.

use crate::harness::Harness;
use crate::job_steps::{one_run, ran};
use serde_json::{Value, json};
use sluice_core::keys::Claims;
use sluice_core::protocol::{Admin, Admit, Ask, Filter, JobsWhat, Reply, TokenReport};
use sluice_core::tenant::state::Answer;
use sluice_core::tenant::store::Table;
use sluice_core::upstream::grant::Issued;
use sluice_limiter::Outcome;
use std::collections::BTreeMap;

/// Calls a day that `crm` and `erp` take each.
const DAY_CALLS: usize = 10;
/// Calls of the story whose end was reported: five, and the job's that was called back about.
const ENDED: u64 = 6;

/// Connections that count a day, and one that counts nothing and has an access token.
fn policy() -> Value {
    let day = json!([{"name": "day", "kind": "daily", "calls": DAY_CALLS, "reset": "00:00", "time_zone": "+00:00"}]);
    let counted = |host: &str| {
        json!({"vendor": "generic", "base_url": format!("https://{host}.example.com"), "limits": day,
            "credential": {"type": "bearer", "token": "secret"}})
    };
    json!({
        "connections": {
            "crm": counted("crm"),
            "erp": counted("erp"),
            "free": {"vendor": "generic", "base_url": "https://free.example.com", "limits": [],
                "credential": {"type": "client_credentials", "client_id": "i", "client_secret": "hush",
                    "token_url": "https://t.example.com/token"}},
        },
        "apps": {"sync": {}},
        "callbacks": {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "hosts": ["hooks.example.com"]},
    })
}

/// The same without some connections.
fn without(names: &[&str]) -> Value {
    let mut policy = policy();
    names.iter().for_each(|name| drop(policy["connections"].as_object_mut().unwrap().remove(*name)));
    policy
}

/// A tenant with calls made and in flight, a token, jobs, a callback not delivered.
struct Story {
    harness: Harness,
    viewer: Claims,
    /// Calls of each connection that a vendor may have counted today.
    made: BTreeMap<&'static str, usize>,
}

impl Story {
    fn begin() -> Self {
        let mut harness = Harness::empty();
        assert_eq!(harness.put(&policy()).0, 201);
        let (app, viewer) = (harness.app("sync"), harness.key(json!({"role": "viewer"})));
        let admit = harness.admit(&app, "free");
        let Answer::Now(Reply::Fetch(fetch)) = harness.ask(Ask::Admit(admit)) else { panic!() };
        let issued = Issued { token: "token".to_owned(), refresh_token: None, life_s: Some(3_600) };
        harness.now(Ask::TokenReport(TokenReport {
            connection: "free".to_owned(),
            whose: fetch.whose,
            began: fetch.began,
            result: Ok(issued),
        }));
        let mut keep = harness.keep(&app, "erp", "GET");
        keep.request.callback = Some("https://hooks.example.com/in".to_owned());
        harness.kept(keep);
        let run = one_run(&mut harness);
        harness.told(Ask::RunReport(Box::new(ran(&run, 200))));
        for connection in ["crm", "erp"] {
            let mut keep = harness.keep(&app, connection, "GET");
            keep.made += 1;
            harness.kept(keep);
            // It has its permit, and is lost with the object: it may be admitted anew.
        }
        let began = harness.now;
        for _ in 0..5 {
            let permit = harness.go(&app, "crm").permit;
            harness.ended(permit, "sync", began, (Outcome::Answered, None), 1);
        }
        harness.go(&app, "crm");
        harness.go(&app, "erp");
        // What is kept of counts is stored a while later; what has been granted since may be counted twice.
        harness.go_to(began + 5_000);
        Self { harness, viewer, made: BTreeMap::from([("crm", 6), ("erp", 2)]) }
    }

    /// Storage refuses at the operation after so many. Whether there were as many; the object is opened anew.
    fn cut_short(&mut self, admin: Admin, operations: u32) -> bool {
        self.harness.memory.operations_left = Some(operations);
        let cut = self.harness.try_ask(Ask::Admin(admin)).is_err();
        self.harness.memory.operations_left = None;
        self.harness.reopen();
        cut
    }

    /// All that a connection still takes today goes. Together with what has gone it is no more than a day's.
    fn spend(&mut self, connection: &'static str, story: &str) {
        let app = self.harness.app("sync");
        let mut more = 0;
        loop {
            let admit = Admit { wait_ms: Some(0), ..self.harness.admit(&app, connection) };
            match self.harness.ask(Ask::Admit(admit)) {
                Answer::Now(Reply::Permit(go)) => self.harness.answered(connection, go.permit),
                Answer::Now(Reply::Refused(_)) => break,
                other => panic!("{story}: {other:?}"),
            }
            more += 1;
            assert!(more < 100, "{story}: {connection} takes whatever comes");
        }
        let made = self.made.get_mut(connection).unwrap();
        *made += more;
        assert!(*made <= DAY_CALLS, "{story}: {made} calls of {DAY_CALLS} of {connection}");
    }

    fn tables_left(&self) -> Vec<(u8, String)> {
        self.harness.memory.rows.keys().filter(|(table, _)| *table != Table::Tombstone as u8).cloned().collect()
    }

    fn connections(&mut self) -> Option<Vec<String>> {
        let (status, policy) = self.harness.admin(Admin::GetPolicy);
        (status == 200).then(|| policy["connections"].as_object().unwrap().keys().cloned().collect())
    }

    /// Calls of today, of all connections.
    fn counted(&mut self) -> u64 {
        self.harness.figures(&self.viewer, false, false, None)["result"][0]["total"].as_u64().unwrap()
    }

    fn jobs(&mut self) -> usize {
        let list = JobsWhat::List { of: Filter::default(), limit: 1_000, after: None };
        self.harness.jobs(&self.viewer, list).1["items"].as_array().unwrap().len()
    }
}

/// Tries a story for every number of operations until nothing is cut short.
fn every_cut(admin: impl Fn() -> Admin, story: impl Fn(&mut Story, &str)) {
    for operations in 0.. {
        let mut told = Story::begin();
        let cut = told.cut_short(admin(), operations);
        story(&mut told, &format!("storage refuses after {operations} operations"));
        if !cut {
            assert!(operations > 3);
            return;
        }
    }
}

#[test]
fn a_removal_that_was_cut_short_is_finished_by_asking_again() {
    every_cut(
        || Admin::Delete,
        |story, when| {
            let known = story.connections().is_some();
            let status = story.harness.admin(Admin::Delete).0;
            assert!(status == 204 || (status == 404 && !known), "{when}: {status}");
            assert_eq!(story.tables_left(), [], "{when}");
            story.harness.reopen();
            assert_eq!(story.harness.put(&policy()).0, 201, "{when}");
            story.spend("crm", when);
            story.spend("erp", when);
        },
    );
}

#[test]
fn a_policy_put_again_after_a_removal_that_was_cut_short_counts_what_was_called() {
    every_cut(
        || Admin::Delete,
        |story, when| {
            assert!(story.harness.put(&policy()).0 < 300, "{when}");
            story.spend("crm", when);
            story.harness.reopen();
            story.spend("crm", when);
            story.spend("erp", when);
            assert_eq!(story.harness.admin(Admin::Delete).0, 204, "{when}");
            assert_eq!(story.tables_left(), [], "{when}");
            story.harness.put(&policy());
            story.spend("crm", when);
            story.spend("erp", when);
        },
    );
}

#[test]
fn a_tenant_goes_on_counting_after_a_removal_that_was_cut_short() {
    every_cut(
        || Admin::Delete,
        |story, when| {
            if story.connections().is_some() {
                story.spend("crm", when);
                story.harness.go_to(story.harness.now + 5_000);
                story.harness.reopen();
                story.spend("crm", when);
            }
            story.harness.put(&policy());
            story.spend("erp", when);
            story.spend("crm", when);
        },
    );
}

#[test]
fn a_removed_connection_is_in_the_old_policy_or_out_of_the_new_one_and_keeps_its_counts() {
    every_cut(
        || Admin::PutPolicy(without(&["crm", "free"]).to_string()),
        |story, when| {
            let connections = story.connections().unwrap();
            assert!(connections == ["crm", "erp", "free"] || connections == ["erp"], "{when}: {connections:?}");
            assert!(story.counted() >= ENDED, "{when}");
            assert_eq!(story.jobs(), 3, "{when}");
            story.spend("erp", when);
            if connections.len() == 3 {
                story.spend("crm", when);
            }
            assert_eq!(story.harness.put(&without(&["crm", "free"])).0, 200, "{when}");
            let left = story.tables_left();
            for name in ["crm", "free"] {
                for table in [Table::Limiter, Table::TokenCache] {
                    assert!(!left.contains(&(table as u8, name.to_owned())), "{when}: {left:?}");
                }
            }
            assert!(story.counted() >= ENDED, "{when}");
            story.harness.reopen();
            assert_eq!(story.harness.put(&policy()).0, 200, "{when}");
            story.spend("crm", when);
            story.spend("erp", when);
            assert!(story.counted() >= ENDED, "{when}");
            assert_eq!(story.jobs(), 3, "{when}");
            let stones = story.harness.memory.rows.keys().filter(|(table, _)| *table == Table::Tombstone as u8).count();
            assert_eq!(stones, 0, "{when}");
        },
    );
}

#[test]
fn the_old_policy_put_again_after_a_change_that_was_cut_short_counts_what_was_called() {
    every_cut(
        || Admin::PutPolicy(without(&["crm"]).to_string()),
        |story, when| {
            assert_eq!(story.harness.put(&policy()).0, 200, "{when}");
            story.spend("crm", when);
            story.harness.reopen();
            story.spend("crm", when);
            story.spend("erp", when);
            assert!(story.counted() >= ENDED, "{when}");
        },
    );
}

#[test]
fn a_connection_that_comes_back_takes_its_counts_with_it_wherever_that_is_cut_short() {
    for operations in 0.. {
        let mut story = Story::begin();
        assert_eq!(story.harness.put(&without(&["crm"])).0, 200);
        story.harness.reopen();
        let counted = story.counted();
        let cut = story.cut_short(Admin::PutPolicy(policy().to_string()), operations);
        let when = format!("storage refuses after {operations} operations");
        assert_eq!(story.counted(), counted, "{when}");
        story.harness.reopen();
        assert_eq!(story.counted(), counted, "{when}");
        assert_eq!(story.harness.put(&policy()).0, 200);
        story.spend("crm", &when);
        if !cut {
            assert!(operations > 3);
            return;
        }
    }
}

#[test]
fn a_storage_that_only_removes_loses_no_count_of_a_tenant() {
    let mut story = Story::begin();
    story.harness.memory.superseded = true;
    assert!(story.harness.try_ask(Ask::Admin(Admin::Delete)).is_err());
    story.harness.memory.superseded = false;
    story.harness.reopen();
    assert_eq!(story.harness.put(&policy()).0, 200);
    story.spend("crm", "storage is full");
    assert_eq!(story.harness.admin(Admin::Delete).0, 204);
    assert_eq!(story.tables_left(), []);
}
