//! Where one rule ends and the next begins.

use crate::harness::{Harness, NOON, bucket, call, daily, limit, plan, slots, window, zone};
use sluice_limiter::{Admission, AppRule, Call, Denial, Kind, Limit, Mode, Outcome, Plan, QueueRule};

#[test]
fn a_call_waits_if_it_can_go_in_the_last_millisecond_that_it_would_and_not_for_one_less() {
    let mut harness = Harness::new(plan(vec![window(1, 5)]));
    harness.call("a").unwrap();
    let ask = |harness: &mut Harness, wait_ms| harness.admit(Call { wait_ms: Some(wait_ms), ..call("a") });
    assert!(matches!(ask(&mut harness, 5_000), Admission::Refused(refused) if refused.reason == Denial::Deadline));
    assert!(matches!(ask(&mut harness, 5_001), Admission::Waiting(_)));
}

#[test]
fn a_queue_without_places_refuses_by_the_limits_own_reason_though_a_call_would_wait() {
    let none = QueueRule { size: 0, max_wait_ms: 10_000 };
    for (of, reason) in [(window(1, 5), Denial::Rate), (slots(1), Denial::Concurrency)] {
        let mut harness = Harness::new(Plan { queue: none, ..plan(vec![of]) });
        harness.try_now("a").unwrap();
        let answer = harness.admit(call("a"));
        assert!(matches!(&answer, Admission::Refused(refused) if refused.reason == reason), "{answer:?}");
    }
}

#[test]
fn of_two_days_that_are_spent_the_one_that_ends_later_is_the_reason() {
    for (of, reason) in [("Asia/Tokyo", Denial::AppBudget), ("Pacific/Honolulu", Denial::DailyQuota)] {
        let apps = vec![AppRule { name: "a".to_owned(), weight: 1, daily_calls: Some(1) }];
        let mut harness = Harness::new(Plan { apps, ..plan(vec![daily(1, zone(of))]) });
        harness.call("a").unwrap();
        assert_eq!(harness.try_now("a").unwrap_err().reason, reason, "{of}");
    }
}

#[test]
fn who_is_refused_a_second_after_another_is_not_refused_together_with_it() {
    let told = |after: i64| {
        let mut harness = Harness::new(plan(vec![window(1, 20)]));
        harness.call("a").unwrap();
        harness.try_now("a").unwrap_err();
        harness.now += after;
        harness.try_now("a").unwrap_err().retry_after_seconds
    };
    assert_eq!([told(999), told(1_000)], [40, 20]);
}

#[test]
fn limits_that_were_only_watched_have_let_go_what_they_did_though_they_kept_no_more_than_they_hold() {
    let mut harness = Harness::new(Plan { mode: Mode::Observe, ..plan(vec![window(1, 60)]) });
    (0..5).for_each(|_| harness.call("a").unwrap());
    assert_eq!(harness.used(), [1]);
    harness.edit(plan(vec![window(10, 60)]));
    assert_eq!(harness.used(), [5]);
}

#[test]
fn a_bucket_that_is_made_larger_begins_without_what_the_smaller_one_could_not_hold() {
    let mut harness = Harness::new(plan(vec![bucket(1, 5)]));
    harness.call("a").unwrap();
    harness.edit(plan(vec![bucket(1, 12)]));
    assert_eq!(harness.used(), [8]);
}

#[test]
fn a_limit_of_all_calls_that_counts_some_from_now_on_knows_what_the_vendor_had_counted() {
    let mut harness = Harness::new(plan(vec![daily(100, zone("Etc/UTC"))]));
    let permit = harness.try_now("a").unwrap().permit;
    harness.told(permit, 0, 60);
    harness.edit(plan(vec![Limit { routes: 7, ..daily(100, zone("Etc/UTC")) }]));
    assert_eq!(harness.used(), [60]);
    // Of what others counted it does not know which it would have: only what was sent.
    harness.edit(plan(vec![Limit { routes: 8, ..daily(100, zone("Etc/UTC")) }]));
    assert_eq!(harness.used(), [1]);
}

#[test]
fn a_rolling_day_rises_to_what_it_holds_however_much_the_vendor_counts() {
    let mut harness = Harness::new(plan(vec![limit("daily", Kind::RollingDay { calls: 30 })]));
    let permit = harness.try_now("a").unwrap().permit;
    harness.told(permit, 0, 500);
    let day = &harness.limiter.limits()[0];
    assert_eq!((day.used, day.vendor_used), (30, Some(500)));
}

#[test]
fn jobs_stand_where_the_urgency_that_was_said_last_puts_them() {
    for (urgencies, jobs_first) in [([6, 0], true), ([0, 6], false)] {
        let mut harness = Harness::new(plan(vec![slots(1)]));
        let permit = harness.try_now("a").unwrap().permit;
        for urgency in urgencies {
            harness.limiter.want(harness.time(), "a", u32::MAX, 1, urgency).unwrap();
        }
        harness.wait("a");
        harness.settle(permit, Outcome::Answered);
        assert_eq!(harness.limiter.next_job().is_some(), jobs_first);
        assert_eq!(harness.go_to(NOON).is_empty(), jobs_first);
    }
}
