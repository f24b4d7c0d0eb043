//! All or nothing; Retry-After; settlement; adaptation; observation.

use crate::harness::{Harness, NOON, bucket, call, daily, limit, plan, slots, window, zone};
use proptest::prelude::*;
use sluice_limiter::Denial;
use sluice_limiter::{
    Admission, Call, Kind, Limit, Limiter, Mode, ObservedDecision, Outcome, Plan, SKEW_MS, Settled, Settlement,
    ThrottledBy, Unit,
};

fn any_limits() -> impl Strategy<Value = Vec<Limit>> {
    let one = prop_oneof![
        (1..5_u64, 1..30_u64).prop_map(|(calls, seconds)| window(calls, seconds)),
        (1..20_u64, 1..5_u64).prop_map(|(rate, burst)| bucket(rate, burst)),
        (1..5_u64).prop_map(slots),
        (1..8_u64).prop_map(|calls| daily(calls, zone("Europe/Berlin"))),
        (1..8_u64).prop_map(|calls| limit("day", Kind::RollingDay { calls })),
    ];
    prop::collection::vec(one, 1..6).prop_map(|limits| {
        let named = limits.into_iter().enumerate();
        named.map(|(at, limit)| Limit { name: format!("{}-{at}", limit.name), ..limit }).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_refused_call_changes_no_counter_whatever_the_order_of_the_limits(
        limits in any_limits(),
        steps in prop::collection::vec((0..3_u8, 0..3_000_i64), 1..60),
    ) {
        let mut harness = Harness::new(plan(limits));
        let mut open = Vec::new();
        for (step, passed) in steps {
            harness.go_to(harness.now + passed);
            if step == 0 && !open.is_empty() {
                harness.settle(open.remove(0), Outcome::Answered);
                continue;
            }
            let before = harness.used();
            match harness.try_now("a") {
                Ok(grant) => open.push(grant.permit),
                Err(refused) => {
                    prop_assert_eq!(harness.used(), before);
                    prop_assert!(!refused.violated.is_empty());
                }
            }
        }
    }

    #[test]
    fn asking_when_told_succeeds_and_more_than_a_second_before_fails(
        limits in any_limits(),
        steps in prop::collection::vec(0..4_000_i64, 1..40),
    ) {
        let mut harness = Harness::new(plan(limits));
        for passed in steps {
            harness.go_to(harness.now + passed);
            // Every call is answered at once, so nothing is outstanding and what is said is exact.
            let Err(refused) = harness.call("a") else { continue };
            let told = harness.now + i64::try_from(refused.retry_after_seconds).unwrap() * 1_000;
            harness.go_to(told - 1_001);
            prop_assert!(harness.try_now("a").is_err(), "admitted more than a second before");
            harness.go_to(told);
            prop_assert!(harness.call("a").is_ok(), "not admitted when told");
        }
    }
}

#[test]
fn callers_refused_together_are_told_successive_times_at_the_limits_pace() {
    let mut harness = Harness::new(plan(vec![bucket(2, 1)]));
    harness.call("a").unwrap();
    let told: Vec<_> = (0..6).map(|_| harness.try_now("a").unwrap_err().retry_after_seconds).collect();
    assert_eq!(told, [1, 1, 2, 2, 3, 3]);
}

#[test]
fn a_day_that_is_spent_says_when_it_is_over_and_spreads_those_it_sends_away() {
    let mut harness = Harness::new(plan(vec![daily(1, zone("Etc/UTC")), bucket(1, 1)]));
    harness.call("a").unwrap();
    let refused = harness.try_now("a").unwrap_err();
    // Noon to midnight, and the second that the vendor's clock may be behind.
    assert_eq!((refused.reason, refused.retry_after_seconds), (Denial::DailyQuota, 43_201));
    assert_eq!(harness.try_now("a").unwrap_err().retry_after_seconds, 43_202);
}

#[test]
fn a_settlement_counts_once_and_an_unknown_outcome_stays_in_flight_until_the_vendor_must_be_done() {
    let mut harness = Harness::new(plan(vec![slots(1), window(5, 10)]));
    let permit = harness.try_now("a").unwrap().permit;
    assert_eq!(harness.settle(permit, Outcome::Unknown), Settled::News);
    assert_eq!(harness.settle(permit, Outcome::Unknown), Settled::Repeat);
    harness.go_to(NOON + 61_999);
    assert_eq!(harness.used(), [1, 1], "time-out and ceiling of 60 s, slack of 2 s");
    harness.go_to(NOON + 62_000);
    assert_eq!(harness.used(), [0, 1]);
    assert_eq!(harness.settle(permit, Outcome::Answered), Settled::Repeat);
    harness.go_to(NOON + 72_001);
    assert_eq!(harness.used(), [0, 0]);
}

#[test]
fn a_late_answer_dates_a_call_that_was_given_up_for_unknown() {
    let mut harness = Harness::new(plan(vec![slots(1), window(5, 10)]));
    let permit = harness.try_now("a").unwrap().permit;
    harness.settle(permit, Outcome::Unknown);
    harness.go_to(NOON + 3_000);
    assert_eq!(harness.settle(permit, Outcome::Answered), Settled::Later);
    harness.go_to(NOON + 13_001);
    assert_eq!(harness.used(), [0, 0]);
}

#[test]
fn a_permit_handed_back_is_as_if_it_had_never_been() {
    let mut harness = Harness::new(plan(vec![window(2, 10), bucket(1, 2), daily(5, zone("Etc/UTC")), slots(2)]));
    let permit = harness.try_now("a").unwrap().permit;
    harness.settle(permit, Outcome::Unused);
    assert_eq!(harness.used(), [0, 0, 0, 0]);
}

#[test]
fn a_window_dates_from_the_headers_and_a_slot_from_the_end_of_the_body() {
    let mut harness = Harness::new(plan(vec![window(1, 10), slots(1)]));
    let permit = harness.try_now("a").unwrap().permit;
    harness.now = NOON + 6_000;
    assert_eq!(harness.used(), [1, 1]);
    let report =
        Settlement { permit, attempt: 1, outcome: Outcome::Answered, since_headers_ms: 5_000, response_bytes: 0 };
    harness.limiter.settle(harness.time(), report);
    harness.go_to(NOON + 11_001);
    assert_eq!(harness.used(), [0, 0]);
}

#[test]
fn asking_again_with_the_same_id_takes_no_second_permit() {
    let mut harness = Harness::new(plan(vec![window(5, 10)]));
    let ask = |again| Call { id: 7, again, ..call("a") };
    let Admission::Granted(first) = harness.limiter.admit(harness.time(), ask(false)) else { panic!() };
    let Admission::Granted(second) = harness.limiter.admit(harness.time(), ask(true)) else { panic!() };
    assert_eq!(first.permit, second.permit);
    assert_eq!(harness.used(), [1]);
}

#[test]
fn a_throttle_by_the_vendor_cuts_the_rate_and_its_retry_after_pauses_all() {
    let mut harness = Harness::new(plan(vec![window(10, 10)]));
    let permit = harness.try_now("a").unwrap().permit;
    let waiting = {
        harness.settle(permit, Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: Some(4_000) });
        let refused = harness.try_now("a").unwrap_err();
        assert_eq!(refused.reason, Denial::Paused);
        assert!((4..=5).contains(&refused.retry_after_seconds));
        harness.wait("a")
    };
    assert_eq!(harness.limiter.limits()[0].limit, 5);
    let ended = harness.go_to(NOON + 10_000);
    let (at, ticket, outcome) = &ended[0];
    assert_eq!((*ticket, outcome.is_ok()), (waiting, true));
    assert!((NOON + 4_000..=NOON + 4_500).contains(at), "{at}");
}

#[test]
fn a_pause_longer_than_those_who_wait_will_sends_them_away_at_once() {
    let mut harness = Harness::new(plan(vec![slots(1)]));
    let permit = harness.try_now("a").unwrap().permit;
    harness.wait("a");
    harness.settle(permit, Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: Some(60_000) });
    // The settlement freed a slot, but the vendor wants none.
    let (_, outcome) = harness.limiter.next_ready().unwrap();
    assert_eq!(outcome.unwrap_err().reason, Denial::Paused);
}

#[test]
fn a_vendor_that_says_its_day_is_spent_is_believed_until_the_reset() {
    let mut harness = Harness::new(plan(vec![daily(1_000, zone("Etc/UTC"))]));
    let permit = harness.try_now("a").unwrap().permit;
    harness.settle(permit, Outcome::Throttled { by: ThrottledBy::Day, retry_after_ms: None });
    let refused = harness.try_now("a").unwrap_err();
    assert_eq!((refused.reason, refused.retry_after_seconds), (Denial::DailyQuota, 43_201));
    harness.go_to(NOON + 43_201_000);
    assert!(harness.try_now("a").is_ok());
}

#[test]
fn observation_lets_all_go_and_says_what_would_have_been() {
    let mut harness = Harness::new(Plan { mode: Mode::Observe, ..plan(vec![window(1, 5), daily(3, zone("Etc/UTC"))]) });
    let mut would = Vec::new();
    for _ in 0..4 {
        let Admission::Granted(grant) = harness.admit(call("a")) else { panic!("refused") };
        harness.settle(grant.permit, Outcome::Answered);
        would.push(grant.would);
    }
    assert_eq!(
        would,
        [
            None,
            Some(ObservedDecision::Wait(5_001)),
            Some(ObservedDecision::Wait(5_001)),
            Some(ObservedDecision::Refuse(Denial::DailyQuota))
        ]
    );
    assert_eq!(harness.used(), [1, 4], "of the window's entries only the latest are kept");
}

#[test]
fn slots_that_count_only_long_calls_hold_back_new_ones_while_they_are_full() {
    let long = limit("long", Kind::Concurrency { calls: 2, after_ms: 20_000 });
    let mut harness = Harness::new(plan(vec![long]));
    let permits: Vec<_> = (0..5).map(|_| harness.try_now("a").unwrap().permit).collect();
    harness.settle(permits[0], Outcome::Answered);
    harness.go_to(NOON + 20_000);
    assert_eq!(harness.try_now("a").unwrap_err().reason, Denial::Concurrency);
    for permit in &permits[1..4] {
        harness.settle(*permit, Outcome::Answered);
    }
    assert!(harness.try_now("a").is_ok());
}

#[test]
fn bytes_of_answers_count_when_they_are_known_and_are_stored_at_once() {
    let bytes = limit("bytes", Kind::Daily { amount: 1_000, reset: zone("Etc/UTC"), unit: Unit::ResponseBytes });
    let mut harness = Harness::new(plan(vec![bytes]));
    let permit = harness.try_now("a").unwrap().permit;
    let written = harness.rows.len();
    let report =
        Settlement { permit, attempt: 1, outcome: Outcome::Answered, since_headers_ms: 0, response_bytes: 999 };
    harness.limiter.settle(harness.time(), report);
    harness.rows.extend(harness.limiter.snapshot_due());
    assert_eq!((harness.rows.len(), harness.used()), (written + 1, vec![999]));
    let permit = harness.try_now("a").expect("some is left").permit;
    harness.limiter.settle(harness.time(), Settlement { permit, response_bytes: 500, ..report });
    assert_eq!(harness.try_now("a").unwrap_err().reason, Denial::DailyQuota);
}

#[test]
fn what_one_app_had_done_before_a_crash_still_counts_when_anothers_late_call_ends() {
    let each = Limit { per_app: true, ..window(100, 10) };
    let mut harness = Harness::new(plan(vec![each.clone()]));
    let late = harness.try_now("b").unwrap().permit;
    let (mut row, mut made) = (Vec::new(), 0);
    for _ in 0..4 {
        // Until all permits of a row are spent, and another row is needed.
        row.clone_from(harness.rows.last().unwrap());
        while *harness.rows.last().unwrap() == row {
            harness.call("a").unwrap();
            made += 1;
        }
    }
    // This one is not stored any more, so its call is not made.
    made -= 1;
    let limiter = Limiter::load(plan(vec![each]), &row, harness.time(), SKEW_MS).unwrap();
    let mut harness = Harness { limiter, ..harness };
    harness.go_to(harness.now + 4_000);
    harness.settle(late, Outcome::Answered);
    let free = (0..).take_while(|_| harness.try_now("a").is_ok()).count();
    assert!(made > 5 && free <= 100 - made, "{made} of 100 were made within ten seconds, and {free} more may be");
}
