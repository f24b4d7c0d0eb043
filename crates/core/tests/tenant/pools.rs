//! The requests of a connection to its pool survive a restart of the object.

use super::harness::{Harness, policy};
use serde_json::json;
use sluice_core::protocol::Ask;

/// The numbers that a tenant's object wants to tell its pool.
fn told(harness: &mut Harness) -> Vec<u64> {
    let words = std::iter::from_fn(|| harness.tenant.next_loan());
    words
        .map(|request| match request.ask {
            Ask::LoanRequest(words) => words.amount,
            other => panic!("{other:?}"),
        })
        .collect()
}

/// An object that died between an edit and its word to the pool told that only with the connection's next call: so long the pool kept to
/// the larger number.
#[test]
fn the_alarm_wakes_an_object_that_has_not_told_its_pool_of_an_edit() {
    let mut harness = Harness::empty();
    let mut edited = policy();
    for (calls, status) in [(900, 201), (99, 200)] {
        edited["connections"]["free"]["limits"] = json!([
            {"name": "day", "kind": "daily", "calls": calls, "reset": "00:00", "time_zone": "America/Chicago", "pool": "shared"}
        ]);
        assert_eq!(harness.put(&edited).0, status);
        // The word is lost with the object.
        let alarm = harness.tenant.next_alarm().unwrap();
        assert!((harness.now..=harness.now + 60_000).contains(&alarm), "{} ms", alarm - harness.now);
        harness.now = alarm;
        harness.reopen_unnamed();
        harness.go_to(alarm + 10);
        assert_eq!(told(&mut harness), [calls]);
    }
}
