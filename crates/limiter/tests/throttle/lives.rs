//! What holds over the lives of a connection's state, to the millisecond: each of these was once a rule whose loss no test noticed.

use crate::rig::{NOON, Rig, bucket, call, daily, limit, plan, slots, window, zone};
use sluice_limiter::{Admission, Kind, Limiter, Outcome, Plan, SKEW_MS, SLACK_MS, Settlement, ThrottledBy};

/// The next life begins with the last row; clocks of two hosts may differ.
fn crash(rig: &mut Rig, plan: Plan) {
    let row = rig.rows.last().unwrap().clone();
    rig.limiter = Limiter::load(plan, &row, rig.time(), SKEW_MS).unwrap();
}

/// The first moment from now on, within `most` milliseconds, at which a call goes.
fn first_to_go(rig: &mut Rig, most: i64) -> i64 {
    let end = rig.now + most;
    while rig.try_now("a").is_err() {
        assert!(rig.now < end, "no call goes within {most} ms");
        let next = rig.now + 1;
        rig.go_to(next);
    }
    rig.now
}

#[test]
fn a_call_counts_no_earlier_than_it_was_granted_whatever_its_report_says() {
    let mut rig = Rig::new(plan(vec![window(1, 20)]));
    rig.go_to(NOON + 10_000);
    let permit = rig.try_now("a").unwrap().permit;
    rig.go_to(NOON + 10_500);
    // The Worker's clock has run away: the headers came an hour ago.
    let report =
        Settlement { permit, attempt: 1, outcome: Outcome::Answered, since_headers_ms: 3_600_000, response_bytes: 0 };
    rig.limiter.settle(rig.time(), report);
    rig.go_to(NOON + 30_000);
    assert!(rig.try_now("a").is_err(), "granted at 10 s, it counts until 30 s and a millisecond");
    rig.go_to(NOON + 30_001);
    assert!(rig.try_now("a").is_ok());
}

#[test]
fn a_slot_of_an_earlier_life_is_free_when_the_vendor_must_be_done_by_either_hosts_clock() {
    let here = || plan(vec![slots(1)]);
    let mut rig = Rig::new(here());
    rig.try_now("a").unwrap();
    crash(&mut rig, here());
    // The block of a second; then slack, ceiling, and the clocks' difference twice.
    let over = NOON + 1_000 + SKEW_MS + SLACK_MS + 60_000 + SKEW_MS;
    assert_eq!(first_to_go(&mut rig, 80_000), over);
}

#[test]
fn each_life_that_passes_on_an_earlier_ones_permits_holds_them_longer_by_what_clocks_may_differ() {
    let here = || plan(vec![slots(1)]);
    let mut rig = Rig::new(here());
    rig.try_now("a").unwrap();
    crash(&mut rig, here());
    // The second life grants nothing, and stores what it knows of the first.
    let before = rig.rows.len();
    rig.edit(here());
    assert!(rig.rows.len() > before);
    crash(&mut rig, here());
    let over = NOON + 1_000 + SKEW_MS + SLACK_MS + 60_000 + SKEW_MS;
    assert_eq!(first_to_go(&mut rig, 80_000), over + SKEW_MS);
}

#[test]
fn each_life_gives_an_earlier_one_that_may_still_run_longer_by_what_clocks_may_differ() {
    // Two at a time: of the permits that the first life's block names, all but two have ended by the block's end, if they went.
    let here = || plan(vec![slots(2), window(9, 20)]);
    let mut rig = Rig::new(here());
    (0..4).for_each(|_| rig.call("a").unwrap());
    rig.try_now("a").unwrap();
    crash(&mut rig, here());
    let before = rig.rows.len();
    rig.edit(here());
    assert!(rig.rows.len() > before);
    crash(&mut rig, here());
    let two_fly = |rig: &mut Rig| rig.used() == [2, 2];
    // The block of a second, the clocks' difference twice, the window.
    rig.go_to(NOON + 1_000 + 2 * SKEW_MS + 20_000);
    assert!(!two_fly(&mut rig));
    rig.go_to(NOON + 1_000 + 2 * SKEW_MS + 20_001);
    assert!(two_fly(&mut rig));
}

#[test]
fn a_permit_keeps_the_longer_of_the_lives_that_two_plans_give_it() {
    let short = || Plan { ceiling_ms: 5_000, ..plan(vec![slots(1)]) };
    let mut rig = Rig::new(plan(vec![slots(1)]));
    rig.try_now("a").unwrap();
    crash(&mut rig, short());
    rig.go_to(NOON + 60_000);
    assert!(rig.try_now("a").is_err(), "under the former plan the vendor may work on it for a minute");
    rig.go_to(NOON + 70_000);
    assert!(rig.try_now("a").is_ok());
}

#[test]
fn the_vendors_count_is_of_its_day() {
    let mut rig = Rig::new(plan(vec![daily(100, zone("Etc/UTC"))]));
    let permit = rig.try_now("a").unwrap().permit;
    rig.told(permit, 0, 70);
    rig.settle(permit, Outcome::Answered);
    assert_eq!(rig.limiter.limits()[0].vendor_used, Some(70));
    rig.go_to(NOON + 86_400_000);
    rig.limiter.tick(rig.time());
    assert_eq!((rig.limiter.limits()[0].vendor_used, rig.limiter.limits()[0].used), (None, 0));
}

#[test]
fn what_comes_from_disk_is_held_longer_by_what_clocks_may_differ() {
    let throttled = Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: Some(5_000) };
    // A pause.
    let mut rig = Rig::new(plan(vec![slots(9)]));
    let permit = rig.try_now("a").unwrap().permit;
    rig.settle(permit, throttled);
    let until = rig.limiter.paused_until().unwrap();
    crash(&mut rig, plan(vec![slots(9)]));
    assert_eq!(rig.limiter.paused_until(), Some(until + SKEW_MS));
    // A window.
    let mut rig = Rig::new(plan(vec![window(1, 20)]));
    rig.call("a").unwrap();
    crash(&mut rig, plan(vec![window(1, 20)]));
    assert_eq!(first_to_go(&mut rig, 30_000), NOON + 20_001 + SKEW_MS);
    // A bucket's tokens.
    let mut rig = Rig::new(plan(vec![bucket(1, 5)]));
    (0..5).for_each(|_| rig.call("a").unwrap());
    // The exact row is stored a second later, when one token is back; the next four come back from then on.
    rig.go_to(NOON + 1_400);
    crash(&mut rig, plan(vec![bucket(1, 5)]));
    rig.call("a").unwrap();
    assert_eq!(first_to_go(&mut rig, 30_000), NOON + 2_000 + SKEW_MS);
    // What was sent, as a later limit counts it.
    let mut rig = Rig::new(plan(vec![slots(9)]));
    rig.call("a").unwrap();
    crash(&mut rig, plan(vec![slots(9)]));
    rig.edit(plan(vec![window(1, 20)]));
    assert_eq!(first_to_go(&mut rig, 30_000), NOON + 20_001 + SKEW_MS);
}

#[test]
fn a_call_that_waits_is_woken_when_an_earlier_life_or_the_oldest_lease_ends() {
    let here = || plan(vec![slots(1)]);
    let patient = |rig: &mut Rig| {
        rig.limiter.next_ready();
        assert!(matches!(rig.admit(call("b")), Admission::Waiting(_)));
    };
    let slow = || Plan { ceiling_ms: 4_000, ..here() };
    let mut rig = Rig::new(slow());
    rig.try_now("a").unwrap();
    crash(&mut rig, slow());
    patient(&mut rig);
    let ended = rig.go_to(NOON + 9_900);
    assert!(matches!(ended.as_slice(), [(at, _, Ok(_))] if *at <= NOON + 9_000), "{ended:?}");
    let mut rig = Rig::new(slow());
    rig.try_now("a").unwrap();
    patient(&mut rig);
    let ended = rig.go_to(NOON + 9_900);
    assert!(matches!(ended.as_slice(), [(at, _, Ok(_))] if *at == NOON + SLACK_MS + 4_000), "{ended:?}");
}

#[test]
fn a_report_that_a_superseded_life_hears_is_not_taken() {
    // Two lives begin from one row; the second goes on, and its permit is reported to the first, which has forgotten nothing.
    let here = || plan(vec![slots(2)]);
    let mut first = Rig::new(here());
    first.call("a").unwrap();
    let row = first.rows.last().unwrap().clone();
    let mut second = Rig::new(here());
    for rig in [&mut first, &mut second] {
        rig.limiter = Limiter::load(here(), &row, rig.time(), SKEW_MS).unwrap();
        rig.rows.clear();
    }
    let permit = second.try_now("a").unwrap().permit;
    first.settle(permit, Outcome::Answered);
    assert_eq!(first.rows.len(), 1, "its write is to fail, so that whoever reports asks again");
}

#[test]
fn an_answer_after_the_lease_counts_from_the_answer_also_in_the_next_life() {
    let bytes = limit(
        "bytes",
        Kind::Daily { amount: 1_000, reset: zone("Etc/UTC"), unit: sluice_limiter::Unit::ResponseBytes },
    );
    let here = || Plan { ceiling_ms: 4_000, ..plan(vec![window(1, 20), bytes.clone()]) };
    for reloads in [false, true] {
        let mut rig = Rig::new(here());
        let permit = rig.try_now("a").unwrap().permit;
        rig.go_to(NOON + 10_000);
        rig.limiter.tick(rig.time());
        rig.limiter.require_snapshot();
        rig.rows.extend(rig.limiter.snapshot_due());
        if reloads {
            crash(&mut rig, here());
        }
        let report =
            Settlement { permit, attempt: 2, outcome: Outcome::Answered, since_headers_ms: 0, response_bytes: 700 };
        rig.limiter.settle(rig.time(), report);
        assert_eq!(rig.used()[1], 700, "reloads {reloads}");
        rig.go_to(NOON + 30_000);
        assert!(rig.try_now("a").is_err(), "answered at 10 s, it counts until 30 s and a millisecond");
    }
}
