//! Creating, changing and removing a tenant.

use crate::harness::{Harness, NOON, policy};
use serde_json::json;
use sluice_core::protocol::{Admin, Ask, Directory, NewKey, Reply};
use sluice_core::tenant::store::Table;

#[test]
fn what_does_not_exist_has_neither_policy_nor_keys_and_leaves_no_row() {
    let mut harness = Harness::empty();
    for admin in [Admin::GetPolicy, Admin::Delete, Admin::ListKeys, Admin::RevokeKey("x".to_owned())] {
        assert_eq!(harness.admin(admin).0, 404);
    }
    assert!(harness.memory.rows.is_empty());
}

#[test]
fn a_policy_is_answered_as_understood_and_outlives_the_object_without_a_secret_in_clear() {
    let mut harness = Harness::new();
    let (status, read) = harness.admin(Admin::GetPolicy);
    assert_eq!((status, read["connections"]["crm"]["credential"]["token"].as_str()), (200, Some("***")));
    let stored = &harness.memory.rows[&(Table::Policy as u8, String::new())];
    assert!(!String::from_utf8_lossy(stored).contains("crm-secret"));
    harness.reopen();
    assert_eq!(harness.admin(Admin::GetPolicy).1, read);
    assert_eq!(harness.put(&read).0, 200, "stars keep what is stored");
    let app = harness.app("sync");
    let route = harness.go(&app, "crm").route.unwrap();
    let sent = sluice_core::codec::write(Vec::new(), &route.credential);
    assert!(String::from_utf8_lossy(&sent).contains("crm-secret"));
}

#[test]
fn an_invalid_policy_is_refused_whole_and_the_stored_one_stays() {
    let mut harness = Harness::new();
    let before = harness.admin(Admin::GetPolicy).1;
    let mut bad = policy();
    bad["connections"]["crm"]["base_url"] = json!("http://10.0.0.1");
    bad["apps"]["sync"]["weight"] = json!(0);
    let (status, faults) = harness.put(&bad);
    assert_eq!((status, faults.as_array().unwrap().len()), (400, 2));
    assert_eq!(harness.admin(Admin::GetPolicy).1, before);
}

#[test]
fn keys_are_listed_without_themselves_and_a_key_for_nobody_is_not_made() {
    let mut harness = Harness::new();
    harness.app("sync");
    harness.key(json!({"role": "operator", "expires_in_seconds": 60}));
    let (_, list) = harness.admin(Admin::ListKeys);
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    assert!(!list.to_string().contains("slk_"));
    for body in
        [json!({"role": "app"}), json!({"role": "app", "app": "nobody"}), json!({"role": "viewer", "app": "sync"})]
    {
        assert_eq!(harness.admin(Admin::CreateKey(NewKey::read(&body.to_string()).unwrap())).0, 400);
    }
}

#[test]
fn an_expired_key_works_no_more_and_gives_its_place_to_others() {
    let mut harness = Harness::new();
    let key = harness.key(json!({"role": "app", "app": "sync", "expires_in_seconds": 60}));
    harness.now = NOON + 60_000;
    let admit = harness.admit(&key, "free");
    assert_eq!(harness.reason(admit), "key");
    harness.app("sync");
    assert_eq!(harness.admin(Admin::ListKeys).1["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_tenant_made_anew_revives_no_old_key_but_remembers_its_windows() {
    let mut harness = Harness::new();
    let old = harness.app("sync");
    let permit = harness.go(&old, "crm").permit;
    harness.answered("crm", permit);
    assert_eq!(harness.admin(Admin::Delete).0, 204);
    assert_eq!(harness.admin(Admin::GetPolicy).0, 404);
    let left: Vec<u8> = harness.memory.rows.keys().map(|(table, _)| *table).collect();
    assert_eq!(left, [Table::Tombstone as u8]);
    harness.now += 5_000;
    harness.reopen();
    harness.put(&policy());
    let admit = harness.admit(&old, "crm");
    assert_eq!(harness.reason(admit), "key");
    assert_eq!(harness.status()["connections"]["crm"]["limits"][0]["used"], 1);
    assert!(harness.memory.rows.keys().all(|(table, _)| *table != Table::Tombstone as u8));
}

#[test]
fn a_tombstone_goes_when_it_matters_no_more() {
    let mut harness = Harness::new();
    let key = harness.app("sync");
    let permit = harness.go(&key, "crm").permit;
    harness.answered("crm", permit);
    harness.admin(Admin::Delete);
    let alarm = harness.tenant.next_alarm().unwrap();
    assert!((NOON + 90_000_000..NOON + 90_100_000).contains(&alarm), "the longest day that may count the call is over");
    harness.reopen();
    harness.go_to(alarm);
    assert!(harness.memory.rows.is_empty());
    assert_eq!(harness.tenant.next_alarm(), None);
}

#[test]
fn the_directory_lists_tenants_once() {
    let mut harness = Harness::empty();
    for name in ["b", "a", "b"] {
        harness.now(Ask::Directory(Directory::Add(name.to_owned())));
    }
    harness.now(Ask::Directory(Directory::Remove("c".to_owned())));
    let Reply::Document { body, .. } = harness.now(Ask::Directory(Directory::List)) else { panic!() };
    assert_eq!(body, r#"{"items":["a","b"]}"#);
}

#[test]
fn a_tenant_that_its_alarm_opens_knows_its_name() {
    let mut harness = Harness::new();
    let sync = harness.app("sync");
    harness.reopen_unnamed();
    assert_eq!(harness.tenant.name(), "acme");
    let admit = harness.admit(&sync, "crm");
    assert!(matches!(harness.now(Ask::Admit(admit)), Reply::Permit(_)));
}
