//! How request bodies are handled before their calls ask for a permit.

use crate::play::{route, route_with_token};
use sluice_core::call::body::{BodyHead, BodyPlan, Drain, KEPT_BYTES, can_be_repeated};
use sluice_core::protocol::{BodyLength, Route};

fn head(method: &str, length: BodyLength) -> BodyHead<'_> {
    BodyHead { method, present: true, length, encoding: None }
}

#[test]
fn a_body_is_kept_if_it_is_short_and_its_call_may_be_sent_twice() {
    let (short, long) = (BodyLength::Bytes(KEPT_BYTES), BodyLength::Bytes(KEPT_BYTES + 1));
    let once = Route { attempts: 1, ..route() };
    let renews = Route { attempts: 1, ..route_with_token() };
    let cases = [
        ("POST", short, None, BodyPlan::ReadWhole),
        ("POST", short, Some(route()), BodyPlan::ReadWhole),
        ("POST", short, Some(renews), BodyPlan::ReadWhole),
        ("POST", short, Some(once), BodyPlan::Stream),
        ("POST", long, None, BodyPlan::Stream),
        ("GET", short, None, BodyPlan::Stream),
        ("POST", BodyLength::Unknown, None, BodyPlan::ReadFirst),
        ("HEAD", BodyLength::Unknown, None, BodyPlan::Measure),
    ];
    for (method, length, route, plan) in cases {
        assert_eq!(head(method, length).plan(route.as_ref()), plan, "{method} {length:?}");
    }
    assert_eq!(BodyHead { present: false, ..head("POST", short) }.plan(None), BodyPlan::None);
}

#[test]
fn a_body_that_a_key_may_stand_in_is_read_early_unless_it_is_long() {
    let (short, long) = (BodyLength::Bytes(KEPT_BYTES), BodyLength::Bytes(KEPT_BYTES + 1));
    assert_eq!(head("POST", short).plan_early(), Some(BodyPlan::ReadFirst));
    assert_eq!(head("POST", BodyLength::Unknown).plan_early(), Some(BodyPlan::ReadFirst));
    assert_eq!(head("GET", short).plan_early(), Some(BodyPlan::Stream));
    assert_eq!(head("POST", long).plan_early(), None);
    assert_eq!(BodyHead { present: false, ..head("POST", short) }.plan_early(), None);
    assert!(head("GET", BodyLength::Unknown).is_short() && !head("GET", long).is_short());
}

#[test]
fn a_body_is_read_for_its_records_if_it_can_be_read_and_sent_all_the_same() {
    let short = BodyLength::Bytes(100);
    assert_eq!(head("POST", short).read_for_records(short, Some(100)), Some(100));
    assert_eq!(head("POST", short).read_for_records(short, None), Some(KEPT_BYTES));
    assert_eq!(head("POST", short).read_for_records(short, Some(u64::MAX)), Some(KEPT_BYTES));
    assert_eq!(head("POST", short).read_for_records(short, Some(99)), None, "the vendor refuses it for its length");
    let long = BodyLength::Bytes(KEPT_BYTES + 1);
    assert_eq!(head("POST", short).read_for_records(long, Some(u64::MAX)), None);
    assert_eq!(head("GET", short).read_for_records(short, Some(100)), None);
    assert_eq!(head("POST", short).read_for_records(BodyLength::Unknown, Some(100)), None);
    for (encoding, read) in [("gzip", None), ("identity", Some(100)), ("Identity", Some(100))] {
        let head = BodyHead { encoding: Some(encoding), ..head("POST", short) };
        assert_eq!(head.read_for_records(short, Some(100)), read, "{encoding}");
    }
}

#[test]
fn of_a_refused_upload_two_megabytes_or_a_second_are_read_off_unless_it_is_small() {
    for (length, drained) in [
        (BodyLength::Bytes(65_536), false),
        (BodyLength::Bytes(65_537), true),
        (BodyLength::Bytes(u64::MAX), true),
        (BodyLength::Unknown, true),
    ] {
        let drain = head("POST", length).drain();
        assert_eq!(drain, drained.then_some(Drain { bytes: 2_097_152, ms: 1_000 }), "{length:?}");
        assert_eq!(BodyHead { present: false, ..head("POST", length) }.drain(), None);
    }
}

#[test]
fn a_body_is_sent_once_more_only_if_it_was_kept() {
    assert!(can_be_repeated(0) && can_be_repeated(KEPT_BYTES) && !can_be_repeated(KEPT_BYTES + 1));
}
