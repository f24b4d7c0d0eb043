//! All or nothing; Retry-After; settlement; adaptation; observation.

use crate::rig::{NOON, Rig, bucket, call, daily, limit, plan, slots, window, zone};
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
        let mut rig = Rig::new(plan(limits));
        let mut open = Vec::new();
        for (step, passed) in steps {
            rig.go_to(rig.now + passed);
            if step == 0 && !open.is_empty() {
                rig.settle(open.remove(0), Outcome::Answered);
                continue;
            }
            let before = rig.used();
            match rig.try_now("a") {
                Ok(grant) => open.push(grant.permit),
                Err(refused) => {
                    prop_assert_eq!(rig.used(), before);
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
        let mut rig = Rig::new(plan(limits));
        for passed in steps {
            rig.go_to(rig.now + passed);
            // Every call is answered at once, so nothing is outstanding and what is said is exact.
            let Err(refused) = rig.call("a") else { continue };
            let told = rig.now + i64::try_from(refused.retry_after_seconds).unwrap() * 1_000;
            rig.go_to(told - 1_001);
            prop_assert!(rig.try_now("a").is_err(), "admitted more than a second before");
            rig.go_to(told);
            prop_assert!(rig.call("a").is_ok(), "not admitted when told");
        }
    }
}

#[test]
fn callers_refused_together_are_told_successive_times_at_the_limits_pace() {
    let mut rig = Rig::new(plan(vec![bucket(2, 1)]));
    rig.call("a").unwrap();
    let told: Vec<_> = (0..6).map(|_| rig.try_now("a").unwrap_err().retry_after_seconds).collect();
    assert_eq!(told, [1, 1, 2, 2, 3, 3]);
}

#[test]
fn a_day_that_is_spent_says_when_it_is_over_and_spreads_those_it_sends_away() {
    let mut rig = Rig::new(plan(vec![daily(1, zone("Etc/UTC")), bucket(1, 1)]));
    rig.call("a").unwrap();
    let refused = rig.try_now("a").unwrap_err();
    // Noon to midnight, and the second that the vendor's clock may be behind.
    assert_eq!((refused.reason, refused.retry_after_seconds), (Denial::DailyQuota, 43_201));
    assert_eq!(rig.try_now("a").unwrap_err().retry_after_seconds, 43_202);
}

#[test]
fn a_settlement_counts_once_and_an_unknown_outcome_stays_in_flight_until_the_vendor_must_be_done() {
    let mut rig = Rig::new(plan(vec![slots(1), window(5, 10)]));
    let permit = rig.try_now("a").unwrap().permit;
    assert_eq!(rig.settle(permit, Outcome::Unknown), Settled::News);
    assert_eq!(rig.settle(permit, Outcome::Unknown), Settled::Repeat);
    rig.go_to(NOON + 61_999);
    assert_eq!(rig.used(), [1, 1], "time-out and ceiling of 60 s, slack of 2 s");
    rig.go_to(NOON + 62_000);
    assert_eq!(rig.used(), [0, 1]);
    assert_eq!(rig.settle(permit, Outcome::Answered), Settled::Repeat);
    rig.go_to(NOON + 72_001);
    assert_eq!(rig.used(), [0, 0]);
}

#[test]
fn a_late_answer_dates_a_call_that_was_given_up_for_unknown() {
    let mut rig = Rig::new(plan(vec![slots(1), window(5, 10)]));
    let permit = rig.try_now("a").unwrap().permit;
    rig.settle(permit, Outcome::Unknown);
    rig.go_to(NOON + 3_000);
    assert_eq!(rig.settle(permit, Outcome::Answered), Settled::Later);
    rig.go_to(NOON + 13_001);
    assert_eq!(rig.used(), [0, 0]);
}

#[test]
fn a_permit_handed_back_is_as_if_it_had_never_been() {
    let mut rig = Rig::new(plan(vec![window(2, 10), bucket(1, 2), daily(5, zone("Etc/UTC")), slots(2)]));
    let permit = rig.try_now("a").unwrap().permit;
    rig.settle(permit, Outcome::Unused);
    assert_eq!(rig.used(), [0, 0, 0, 0]);
}

#[test]
fn a_window_dates_from_the_headers_and_a_slot_from_the_end_of_the_body() {
    let mut rig = Rig::new(plan(vec![window(1, 10), slots(1)]));
    let permit = rig.try_now("a").unwrap().permit;
    rig.now = NOON + 6_000;
    assert_eq!(rig.used(), [1, 1]);
    let report =
        Settlement { permit, attempt: 1, outcome: Outcome::Answered, since_headers_ms: 5_000, response_bytes: 0 };
    rig.limiter.settle(rig.time(), report);
    rig.go_to(NOON + 11_001);
    assert_eq!(rig.used(), [0, 0]);
}

#[test]
fn asking_again_with_the_same_id_takes_no_second_permit() {
    let mut rig = Rig::new(plan(vec![window(5, 10)]));
    let ask = |again| Call { id: 7, again, ..call("a") };
    let Admission::Granted(first) = rig.limiter.admit(rig.time(), ask(false)) else { panic!() };
    let Admission::Granted(second) = rig.limiter.admit(rig.time(), ask(true)) else { panic!() };
    assert_eq!(first.permit, second.permit);
    assert_eq!(rig.used(), [1]);
}

#[test]
fn a_throttle_by_the_vendor_cuts_the_rate_and_its_retry_after_pauses_all() {
    let mut rig = Rig::new(plan(vec![window(10, 10)]));
    let permit = rig.try_now("a").unwrap().permit;
    let waiting = {
        rig.settle(permit, Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: Some(4_000) });
        let refused = rig.try_now("a").unwrap_err();
        assert_eq!(refused.reason, Denial::Paused);
        assert!((4..=5).contains(&refused.retry_after_seconds));
        rig.wait("a")
    };
    assert_eq!(rig.limiter.limits()[0].limit, 5);
    let ended = rig.go_to(NOON + 10_000);
    let (at, ticket, outcome) = &ended[0];
    assert_eq!((*ticket, outcome.is_ok()), (waiting, true));
    assert!((NOON + 4_000..=NOON + 4_500).contains(at), "{at}");
}

#[test]
fn a_pause_longer_than_those_who_wait_will_sends_them_away_at_once() {
    let mut rig = Rig::new(plan(vec![slots(1)]));
    let permit = rig.try_now("a").unwrap().permit;
    rig.wait("a");
    rig.settle(permit, Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: Some(60_000) });
    // The settlement freed a slot, but the vendor wants none.
    let (_, outcome) = rig.limiter.next_ready().unwrap();
    assert_eq!(outcome.unwrap_err().reason, Denial::Paused);
}

#[test]
fn a_vendor_that_says_its_day_is_spent_is_believed_until_the_reset() {
    let mut rig = Rig::new(plan(vec![daily(1_000, zone("Etc/UTC"))]));
    let permit = rig.try_now("a").unwrap().permit;
    rig.settle(permit, Outcome::Throttled { by: ThrottledBy::Day, retry_after_ms: None });
    let refused = rig.try_now("a").unwrap_err();
    assert_eq!((refused.reason, refused.retry_after_seconds), (Denial::DailyQuota, 43_201));
    rig.go_to(NOON + 43_201_000);
    assert!(rig.try_now("a").is_ok());
}

#[test]
fn observation_lets_all_go_and_says_what_would_have_been() {
    let mut rig = Rig::new(Plan { mode: Mode::Observe, ..plan(vec![window(1, 5), daily(3, zone("Etc/UTC"))]) });
    let mut would = Vec::new();
    for _ in 0..4 {
        let Admission::Granted(grant) = rig.admit(call("a")) else { panic!("refused") };
        rig.settle(grant.permit, Outcome::Answered);
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
    assert_eq!(rig.used(), [1, 4], "of the window's entries only the latest are kept");
}

#[test]
fn slots_that_count_only_long_calls_hold_back_new_ones_while_they_are_full() {
    let long = limit("long", Kind::Concurrency { calls: 2, after_ms: 20_000 });
    let mut rig = Rig::new(plan(vec![long]));
    let permits: Vec<_> = (0..5).map(|_| rig.try_now("a").unwrap().permit).collect();
    rig.settle(permits[0], Outcome::Answered);
    rig.go_to(NOON + 20_000);
    assert_eq!(rig.try_now("a").unwrap_err().reason, Denial::Concurrency);
    for permit in &permits[1..4] {
        rig.settle(*permit, Outcome::Answered);
    }
    assert!(rig.try_now("a").is_ok());
}

#[test]
fn bytes_of_answers_count_when_they_are_known_and_are_stored_at_once() {
    let bytes = limit("bytes", Kind::Daily { amount: 1_000, reset: zone("Etc/UTC"), unit: Unit::ResponseBytes });
    let mut rig = Rig::new(plan(vec![bytes]));
    let permit = rig.try_now("a").unwrap().permit;
    let written = rig.rows.len();
    let report =
        Settlement { permit, attempt: 1, outcome: Outcome::Answered, since_headers_ms: 0, response_bytes: 999 };
    rig.limiter.settle(rig.time(), report);
    rig.rows.extend(rig.limiter.snapshot_due());
    assert_eq!((rig.rows.len(), rig.used()), (written + 1, vec![999]));
    let permit = rig.try_now("a").expect("some is left").permit;
    rig.limiter.settle(rig.time(), Settlement { permit, response_bytes: 500, ..report });
    assert_eq!(rig.try_now("a").unwrap_err().reason, Denial::DailyQuota);
}

#[test]
fn what_one_app_had_done_before_a_crash_still_counts_when_anothers_late_call_ends() {
    let each = Limit { per_app: true, ..window(100, 10) };
    let mut rig = Rig::new(plan(vec![each.clone()]));
    let late = rig.try_now("b").unwrap().permit;
    let (mut row, mut made) = (Vec::new(), 0);
    for _ in 0..4 {
        // Until all permits of a row are spent, and another row is needed.
        row.clone_from(rig.rows.last().unwrap());
        while *rig.rows.last().unwrap() == row {
            rig.call("a").unwrap();
            made += 1;
        }
    }
    // This one is not stored any more, so its call is not made.
    made -= 1;
    let limiter = Limiter::load(plan(vec![each]), &row, rig.time(), SKEW_MS).unwrap();
    let mut rig = Rig { limiter, ..rig };
    rig.go_to(rig.now + 4_000);
    rig.settle(late, Outcome::Answered);
    let free = (0..).take_while(|_| rig.try_now("a").is_ok()).count();
    assert!(made > 5 && free <= 100 - made, "{made} of 100 were made within ten seconds, and {free} more may be");
}
