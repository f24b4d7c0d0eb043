//! What holds over the lives of a connection's state, to the millisecond: each of these was once a rule whose loss no test noticed.

use crate::harness::{Harness, NOON, bucket, call, daily, limit, plan, slots, window, zone};
use sluice_limiter::{Admission, Kind, Limiter, Outcome, Plan, SKEW_MS, SLACK_MS, Settlement, ThrottledBy};

/// The next epoch begins with the last row; clocks of two hosts may differ.
fn crash(harness: &mut Harness, plan: Plan) {
    let row = harness.rows.last().unwrap().clone();
    harness.limiter = Limiter::load(plan, &row, harness.time(), SKEW_MS).unwrap();
}

/// The first moment from now on, within `most` milliseconds, at which a call goes.
fn first_to_go(harness: &mut Harness, most: i64) -> i64 {
    let end = harness.now + most;
    while harness.try_now("a").is_err() {
        assert!(harness.now < end, "no call goes within {most} ms");
        let next = harness.now + 1;
        harness.go_to(next);
    }
    harness.now
}

#[test]
fn a_call_counts_no_earlier_than_it_was_granted_whatever_its_report_says() {
    let mut harness = Harness::new(plan(vec![window(1, 20)]));
    harness.go_to(NOON + 10_000);
    let permit = harness.try_now("a").unwrap().permit;
    harness.go_to(NOON + 10_500);
    // The Worker's clock has run away: the headers came an hour ago.
    let report =
        Settlement { permit, attempt: 1, outcome: Outcome::Answered, since_headers_ms: 3_600_000, response_bytes: 0 };
    harness.limiter.settle(harness.time(), report);
    harness.go_to(NOON + 30_000);
    assert!(harness.try_now("a").is_err(), "granted at 10 s, it counts until 30 s and a millisecond");
    harness.go_to(NOON + 30_001);
    assert!(harness.try_now("a").is_ok());
}

#[test]
fn a_slot_of_an_earlier_life_is_free_when_the_vendor_must_be_done_by_either_hosts_clock() {
    let here = || plan(vec![slots(1)]);
    let mut harness = Harness::new(here());
    harness.try_now("a").unwrap();
    crash(&mut harness, here());
    // The reservation of a second; then slack, ceiling, and the clocks' difference twice.
    let over = NOON + 1_000 + SKEW_MS + SLACK_MS + 60_000 + SKEW_MS;
    assert_eq!(first_to_go(&mut harness, 80_000), over);
}

#[test]
fn each_life_that_passes_on_an_earlier_ones_permits_holds_them_longer_by_what_clocks_may_differ() {
    let here = || plan(vec![slots(1)]);
    let mut harness = Harness::new(here());
    harness.try_now("a").unwrap();
    crash(&mut harness, here());
    // The second epoch grants nothing, and stores what it knows of the first.
    let before = harness.rows.len();
    harness.edit(here());
    assert!(harness.rows.len() > before);
    crash(&mut harness, here());
    let over = NOON + 1_000 + SKEW_MS + SLACK_MS + 60_000 + SKEW_MS;
    assert_eq!(first_to_go(&mut harness, 80_000), over + SKEW_MS);
}

#[test]
fn each_life_gives_an_earlier_one_that_may_still_run_longer_by_what_clocks_may_differ() {
    // Two at a time: of the permits that the first epoch's reservation names, all but two have
    // ended by the reservation's end, if they went.
    let here = || plan(vec![slots(2), window(9, 20)]);
    let mut harness = Harness::new(here());
    (0..4).for_each(|_| harness.call("a").unwrap());
    harness.try_now("a").unwrap();
    crash(&mut harness, here());
    let before = harness.rows.len();
    harness.edit(here());
    assert!(harness.rows.len() > before);
    crash(&mut harness, here());
    let two_fly = |harness: &mut Harness| harness.used() == [2, 2];
    // The reservation of a second, the clocks' difference twice, the window.
    harness.go_to(NOON + 1_000 + 2 * SKEW_MS + 20_000);
    assert!(!two_fly(&mut harness));
    harness.go_to(NOON + 1_000 + 2 * SKEW_MS + 20_001);
    assert!(two_fly(&mut harness));
}

#[test]
fn a_permit_keeps_the_longer_of_the_lives_that_two_plans_give_it() {
    let short = || Plan { ceiling_ms: 5_000, ..plan(vec![slots(1)]) };
    let mut harness = Harness::new(plan(vec![slots(1)]));
    harness.try_now("a").unwrap();
    crash(&mut harness, short());
    harness.go_to(NOON + 60_000);
    assert!(harness.try_now("a").is_err(), "under the former plan the vendor may work on it for a minute");
    harness.go_to(NOON + 70_000);
    assert!(harness.try_now("a").is_ok());
}

#[test]
fn the_vendors_count_is_of_its_day() {
    let mut harness = Harness::new(plan(vec![daily(100, zone("Etc/UTC"))]));
    let permit = harness.try_now("a").unwrap().permit;
    harness.told(permit, 0, 70);
    harness.settle(permit, Outcome::Answered);
    assert_eq!(harness.limiter.limits()[0].vendor_used, Some(70));
    harness.go_to(NOON + 86_400_000);
    harness.limiter.tick(harness.time());
    assert_eq!((harness.limiter.limits()[0].vendor_used, harness.limiter.limits()[0].used), (None, 0));
}

#[test]
fn what_comes_from_disk_is_held_longer_by_what_clocks_may_differ() {
    let throttled = Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: Some(5_000) };
    // A pause.
    let mut harness = Harness::new(plan(vec![slots(9)]));
    let permit = harness.try_now("a").unwrap().permit;
    harness.settle(permit, throttled);
    let until = harness.limiter.paused_until().unwrap();
    crash(&mut harness, plan(vec![slots(9)]));
    assert_eq!(harness.limiter.paused_until(), Some(until + SKEW_MS));
    // A window.
    let mut harness = Harness::new(plan(vec![window(1, 20)]));
    harness.call("a").unwrap();
    crash(&mut harness, plan(vec![window(1, 20)]));
    assert_eq!(first_to_go(&mut harness, 30_000), NOON + 20_001 + SKEW_MS);
    // A bucket's tokens.
    let mut harness = Harness::new(plan(vec![bucket(1, 5)]));
    (0..5).for_each(|_| harness.call("a").unwrap());
    // The exact row is stored a second later, when one token is back; the next four come back from then on.
    harness.go_to(NOON + 1_400);
    crash(&mut harness, plan(vec![bucket(1, 5)]));
    harness.call("a").unwrap();
    assert_eq!(first_to_go(&mut harness, 30_000), NOON + 2_000 + SKEW_MS);
    // What was sent, as a later limit counts it.
    let mut harness = Harness::new(plan(vec![slots(9)]));
    harness.call("a").unwrap();
    crash(&mut harness, plan(vec![slots(9)]));
    harness.edit(plan(vec![window(1, 20)]));
    assert_eq!(first_to_go(&mut harness, 30_000), NOON + 20_001 + SKEW_MS);
}

#[test]
fn a_call_that_waits_is_woken_when_an_earlier_life_or_the_oldest_lease_ends() {
    let here = || plan(vec![slots(1)]);
    let patient = |harness: &mut Harness| {
        harness.limiter.next_ready();
        assert!(matches!(harness.admit(call("b")), Admission::Waiting(_)));
    };
    let slow = || Plan { ceiling_ms: 4_000, ..here() };
    let mut harness = Harness::new(slow());
    harness.try_now("a").unwrap();
    crash(&mut harness, slow());
    patient(&mut harness);
    let ended = harness.go_to(NOON + 9_900);
    assert!(matches!(ended.as_slice(), [(at, _, Ok(_))] if *at <= NOON + 9_000), "{ended:?}");
    let mut harness = Harness::new(slow());
    harness.try_now("a").unwrap();
    patient(&mut harness);
    let ended = harness.go_to(NOON + 9_900);
    assert!(matches!(ended.as_slice(), [(at, _, Ok(_))] if *at == NOON + SLACK_MS + 4_000), "{ended:?}");
}

#[test]
fn a_report_that_a_superseded_life_hears_is_not_taken() {
    // Two epochs begin from one row; the second goes on, and its permit is reported to the first,
    // which has forgotten nothing.
    let here = || plan(vec![slots(2)]);
    let mut first = Harness::new(here());
    first.call("a").unwrap();
    let row = first.rows.last().unwrap().clone();
    let mut second = Harness::new(here());
    for harness in [&mut first, &mut second] {
        harness.limiter = Limiter::load(here(), &row, harness.time(), SKEW_MS).unwrap();
        harness.rows.clear();
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
        let mut harness = Harness::new(here());
        let permit = harness.try_now("a").unwrap().permit;
        harness.go_to(NOON + 10_000);
        harness.limiter.tick(harness.time());
        harness.limiter.require_snapshot();
        harness.rows.extend(harness.limiter.snapshot_due());
        if reloads {
            crash(&mut harness, here());
        }
        let report =
            Settlement { permit, attempt: 2, outcome: Outcome::Answered, since_headers_ms: 0, response_bytes: 700 };
        harness.limiter.settle(harness.time(), report);
        assert_eq!(harness.used()[1], 700, "reloads {reloads}");
        harness.go_to(NOON + 30_000);
        assert!(harness.try_now("a").is_err(), "answered at 10 s, it counts until 30 s and a millisecond");
    }
}

#[test]
fn what_an_earlier_life_may_have_in_flight_is_told() {
    let here = || plan(vec![slots(9)]);
    let mut harness = Harness::new(here());
    harness.try_now("a").unwrap();
    harness.try_now("a").unwrap();
    let granted = harness.limiter.in_flight();
    crash(&mut harness, here());
    assert_eq!(granted, 2);
    assert!(harness.limiter.in_flight() >= 2, "{}", harness.limiter.in_flight());
    assert!(harness.limiter.remembers(1));
    assert!(!harness.limiter.remembers(7), "no life of that number has been");
}
