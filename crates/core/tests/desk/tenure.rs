//! A tenant's beginning, changes and end.

use crate::rig::{NOON, Rig, policy};
use serde_json::json;
use sluice_core::tenant::protocol::{Admin, Ask, Directory, NewKey, Reply};
use sluice_core::tenant::store::Table;

#[test]
fn what_does_not_exist_has_neither_policy_nor_keys_and_leaves_no_row() {
    let mut rig = Rig::empty();
    for admin in [Admin::GetPolicy, Admin::Delete, Admin::ListKeys, Admin::RevokeKey("x".to_owned())] {
        assert_eq!(rig.admin(admin).0, 404);
    }
    assert!(rig.memory.rows.is_empty());
}

#[test]
fn a_policy_is_answered_as_understood_and_outlives_the_object_without_a_secret_in_clear() {
    let mut rig = Rig::new();
    let (status, read) = rig.admin(Admin::GetPolicy);
    assert_eq!((status, read["connections"]["crm"]["credential"]["token"].as_str()), (200, Some("***")));
    let stored = &rig.memory.rows[&(Table::Policy as u8, String::new())];
    assert!(!String::from_utf8_lossy(stored).contains("crm-secret"));
    rig.reopen();
    assert_eq!(rig.admin(Admin::GetPolicy).1, read);
    assert_eq!(rig.put(&read).0, 200, "stars keep what is stored");
    let app = rig.app("sync");
    let route = rig.go(&app, "crm").route.unwrap();
    let sent = sluice_core::codec::write(Vec::new(), &route.credential);
    assert!(String::from_utf8_lossy(&sent).contains("crm-secret"));
}

#[test]
fn an_invalid_policy_is_refused_whole_and_the_stored_one_stays() {
    let mut rig = Rig::new();
    let before = rig.admin(Admin::GetPolicy).1;
    let mut bad = policy();
    bad["connections"]["crm"]["base_url"] = json!("http://10.0.0.1");
    bad["apps"]["sync"]["weight"] = json!(0);
    let (status, faults) = rig.put(&bad);
    assert_eq!((status, faults.as_array().unwrap().len()), (400, 2));
    assert_eq!(rig.admin(Admin::GetPolicy).1, before);
}

#[test]
fn keys_are_listed_without_themselves_and_a_key_for_nobody_is_not_made() {
    let mut rig = Rig::new();
    rig.app("sync");
    rig.key(json!({"role": "operator", "expires_in_seconds": 60}));
    let (_, list) = rig.admin(Admin::ListKeys);
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    assert!(!list.to_string().contains("slk_"));
    for body in
        [json!({"role": "app"}), json!({"role": "app", "app": "nobody"}), json!({"role": "viewer", "app": "sync"})]
    {
        assert_eq!(rig.admin(Admin::CreateKey(NewKey::read(&body.to_string()).unwrap())).0, 400);
    }
}

#[test]
fn an_expired_key_works_no_more_and_gives_its_place_to_others() {
    let mut rig = Rig::new();
    let key = rig.key(json!({"role": "app", "app": "sync", "expires_in_seconds": 60}));
    rig.now = NOON + 60_000;
    let admit = rig.admit(&key, "free");
    assert_eq!(rig.reason(admit), "key");
    rig.app("sync");
    assert_eq!(rig.admin(Admin::ListKeys).1["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_tenant_made_anew_revives_no_old_key_but_remembers_its_windows() {
    let mut rig = Rig::new();
    let old = rig.app("sync");
    let permit = rig.go(&old, "crm").permit;
    rig.answered("crm", permit);
    assert_eq!(rig.admin(Admin::Delete).0, 204);
    assert_eq!(rig.admin(Admin::GetPolicy).0, 404);
    let left: Vec<u8> = rig.memory.rows.keys().map(|(table, _)| *table).collect();
    assert_eq!(left, [Table::Tombstone as u8]);
    rig.now += 5_000;
    rig.reopen();
    rig.put(&policy());
    let admit = rig.admit(&old, "crm");
    assert_eq!(rig.reason(admit), "key");
    assert_eq!(rig.status()["connections"]["crm"]["limits"][0]["used"], 1);
    assert!(rig.memory.rows.keys().all(|(table, _)| *table != Table::Tombstone as u8));
}

#[test]
fn a_tombstone_goes_when_it_matters_no_more() {
    let mut rig = Rig::new();
    let key = rig.app("sync");
    let permit = rig.go(&key, "crm").permit;
    rig.answered("crm", permit);
    rig.admin(Admin::Delete);
    let alarm = rig.desk.next_alarm().unwrap();
    assert!((NOON + 90_000_000..NOON + 90_100_000).contains(&alarm), "the longest day that may count the call is over");
    rig.reopen();
    rig.go_to(alarm);
    assert!(rig.memory.rows.is_empty());
    assert_eq!(rig.desk.next_alarm(), None);
}

#[test]
fn the_directory_lists_tenants_once() {
    let mut rig = Rig::empty();
    for name in ["b", "a", "b"] {
        rig.now(Ask::Directory(Directory::Add(name.to_owned())));
    }
    rig.now(Ask::Directory(Directory::Remove("c".to_owned())));
    let Reply::Document { body, .. } = rig.now(Ask::Directory(Directory::List)) else { panic!() };
    assert_eq!(body, r#"{"items":["a","b"]}"#);
}

#[test]
fn a_desk_that_its_alarm_opens_knows_whose_it_is() {
    let mut rig = Rig::new();
    let sync = rig.app("sync");
    rig.reopen_unnamed();
    assert_eq!(rig.desk.name(), "acme");
    let admit = rig.admit(&sync, "crm");
    assert!(matches!(rig.now(Ask::Admit(admit)), Reply::Go(_)));
}
