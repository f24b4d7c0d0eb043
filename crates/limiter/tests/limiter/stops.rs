//! What an operator stops and starts again.

use crate::harness::{Harness, NOON, bucket, call, plan, slots, window};
use sluice_limiter::Denial;
use sluice_limiter::{Admission, AppRule, Call, Limiter, Mode, Now, ObservedDecision, Outcome, Plan, ThrottledBy};

impl Harness {
    fn stop(&mut self, app: Option<&str>, seconds: Option<i64>) {
        let until = seconds.map(|seconds| self.now + seconds * 1_000);
        self.limiter.stop(self.time(), app, until);
    }

    fn start(&mut self, app: Option<&str>) {
        self.limiter.start(self.time(), app);
    }
}

fn many() -> Harness {
    Harness::new(plan(vec![window(1_000, 60)]))
}

#[test]
fn a_stop_with_an_end_refuses_who_may_not_wait_so_long_with_the_exact_time_and_lets_the_others_go_at_its_end() {
    let mut harness = many();
    harness.stop(None, Some(5));
    let refused = harness.try_now("a").unwrap_err();
    assert_eq!((refused.reason, refused.retry_after_seconds), (Denial::Paused, 5));
    let waiting = harness.wait("a");
    let ended = harness.go_to(NOON + 10_000);
    assert_eq!(ended.len(), 1);
    let (at, ticket, outcome) = &ended[0];
    assert_eq!((*at, *ticket), (NOON + 5_000, waiting));
    assert_eq!(outcome.as_ref().unwrap().waited_ms, 5_000);
}

#[test]
fn a_stop_beyond_what_the_queue_allows_refuses_those_who_wait_at_once() {
    let mut harness = Harness::new(plan(vec![window(1, 8)]));
    harness.call("a").unwrap();
    let waiting = harness.wait("a");
    harness.stop(None, Some(600));
    let (ticket, outcome) = harness.limiter.next_ready().unwrap();
    assert_eq!(ticket, waiting);
    let refused = outcome.unwrap_err();
    assert_eq!((refused.reason, refused.retry_after_seconds), (Denial::Paused, 600));
}

#[test]
fn a_stop_without_an_end_is_waited_for_as_long_as_a_call_may_and_then_said_to_be_one() {
    let mut harness = many();
    harness.stop(None, None);
    assert_eq!(harness.try_now("a").unwrap_err().reason, Denial::Paused);
    harness.wait("a");
    let ended = harness.go_to(NOON + 60_000);
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].0, NOON + 10_000, "it waits as long as the queue allows");
    let refused = ended[0].2.as_ref().unwrap_err();
    assert_eq!(refused.reason, Denial::Paused);
    assert!((60..=62).contains(&refused.retry_after_seconds), "nobody knows when: {}", refused.retry_after_seconds);
}

#[test]
fn those_who_wait_go_as_soon_as_the_connection_is_started() {
    let mut harness = many();
    harness.stop(None, None);
    let waiting: Vec<_> = (0..3).map(|_| harness.wait("a")).collect();
    assert!(harness.go_to(NOON + 4_000).is_empty());
    harness.start(None);
    let went: Vec<_> =
        harness.go_to(NOON + 4_001).into_iter().map(|(_, ticket, outcome)| (ticket, outcome.is_ok())).collect();
    assert_eq!(went, waiting.into_iter().map(|ticket| (ticket, true)).collect::<Vec<_>>());
    harness.call("b").unwrap();
}

#[test]
fn a_full_queue_under_a_stop_says_paused_whether_it_has_an_end_or_not() {
    let mut small = plan(vec![window(1_000, 60)]);
    small.queue.size = 2;
    let mut harness = Harness::new(small);
    harness.stop(None, None);
    (0..2).for_each(|_| _ = harness.wait("a"));
    let Admission::Refused(refused) = harness.admit(call("a")) else { panic!("there is a place") };
    assert_eq!(refused.reason, Denial::Paused);
    // With an end that the call could wait for, it is the place that is missing.
    harness.start(None);
    harness.go_to(NOON + 1);
    harness.stop(None, Some(5));
    (0..2).for_each(|_| _ = harness.wait("a"));
    let Admission::Refused(refused) = harness.admit(call("a")) else { panic!("there is a place") };
    assert_eq!(refused.reason, Denial::QueueFull);
}

#[test]
fn a_queue_without_places_refuses_under_a_stop_at_once() {
    let mut none = plan(vec![]);
    none.queue.size = 0;
    let mut harness = Harness::new(none);
    harness.stop(None, None);
    let Admission::Refused(refused) = harness.admit(call("a")) else { panic!("it waits") };
    assert_eq!(refused.reason, Denial::Paused);
}

/// Goes on to a time, answering every call as soon as it goes. Gives the lanes of those that went.
fn answer_until(harness: &mut Harness, at: i64) -> Vec<u32> {
    let mut lanes = Vec::new();
    loop {
        while let Some((_, outcome)) = harness.limiter.next_ready() {
            if let Ok(grant) = outcome {
                lanes.push(grant.permit.lane);
                harness.settle(grant.permit, Outcome::Answered);
            }
        }
        let Some(wake) = harness.limiter.next_wakeup().filter(|wake| *wake <= at) else { break };
        harness.now = wake;
        harness.limiter.wake(harness.time());
    }
    harness.now = at;
    lanes
}

#[test]
fn one_app_that_is_stopped_holds_up_no_other_and_saves_nothing_up() {
    let mut harness = Harness::new(plan(vec![bucket(10, 1)]));
    harness.stop(Some("a"), None);
    let of_a: Vec<_> = (0..20).map(|_| harness.wait("a")).collect();
    harness.call("b").unwrap();
    (0..30).for_each(|_| _ = harness.wait("b"));
    let went = answer_until(&mut harness, NOON + 2_050);
    assert!((19..=20).contains(&went.len()), "the other app has the whole rate: {}", went.len());
    assert!(of_a.iter().all(|ticket| harness.limiter.waited(*ticket) > 0), "they wait still");
    // From now on they share: what the one did not use is not made good.
    harness.start(Some("a"));
    let went = answer_until(&mut harness, NOON + 3_050);
    let of_b = went.iter().filter(|lane| **lane == went[0]).count();
    assert!(went.len() >= 9 && went.len().abs_diff(2 * of_b) <= 2, "{of_b} of {} were of one app", went.len());
}

#[test]
fn a_stop_of_an_app_with_an_end_is_exact_for_it_alone() {
    let mut harness = many();
    harness.stop(Some("a"), Some(7));
    let refused = harness.try_now("a").unwrap_err();
    assert_eq!((refused.reason, refused.retry_after_seconds), (Denial::Paused, 7));
    harness.call("b").unwrap();
    harness.wait("a");
    let ended = harness.go_to(NOON + 9_000);
    assert_eq!((ended.len(), ended[0].0), (1, NOON + 7_000));
    assert!(ended[0].2.is_ok());
}

#[test]
fn of_two_stops_the_later_end_holds_and_starting_the_connection_ends_both() {
    let mut harness = many();
    harness.stop(None, Some(3));
    harness.stop(Some("a"), Some(600));
    assert_eq!(harness.try_now("a").unwrap_err().retry_after_seconds, 600);
    // The second that is refused together with the first comes a little later.
    assert!((3..=4).contains(&harness.try_now("b").unwrap_err().retry_after_seconds));
    // A later word on the same takes the place of the earlier one.
    harness.stop(Some("a"), Some(100));
    assert!((100..=101).contains(&harness.try_now("a").unwrap_err().retry_after_seconds));
    harness.start(Some("b"));
    assert!(harness.try_now("a").is_err(), "another app was started");
    harness.start(None);
    harness.call("a").unwrap();
    harness.call("b").unwrap();
}

#[test]
fn starting_an_app_does_not_start_the_connection() {
    let mut harness = many();
    harness.stop(None, None);
    harness.stop(Some("a"), None);
    harness.start(Some("a"));
    assert_eq!(harness.try_now("a").unwrap_err().reason, Denial::Paused);
}

#[test]
fn starting_the_connection_ends_a_pause_that_the_vendor_asked_for_also_in_the_next_life() {
    let mut harness = many();
    let grant = harness.try_now("a").unwrap();
    let retry_after_ms = Some(999_999_000);
    harness.settle(grant.permit, Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms });
    assert_eq!(harness.try_now("a").unwrap_err().reason, Denial::Paused);
    harness.start(None);
    harness.rows.extend(harness.limiter.snapshot_due());
    assert_eq!(harness.limiter.paused_until(), None);
    harness.call("a").unwrap();
    let row = harness.rows.last().unwrap().clone();
    let next = Limiter::load(
        plan(vec![window(1_000, 60)]),
        &row,
        Now { wall: harness.now, zones: &sluice_testkit::time_zones },
        1_000,
    );
    assert_eq!(next.unwrap().paused_until(), None);
}

#[test]
fn an_edit_ends_no_stop_whichever_apps_come_and_go() {
    let mut harness = many();
    harness.stop(None, None);
    harness.stop(Some("b"), Some(60));
    let waiting = harness.wait("a");
    let with = |apps: &[&str]| Plan {
        apps: apps.iter().map(|name| AppRule { name: (*name).to_owned(), weight: 1, daily_calls: None }).collect(),
        ..plan(vec![slots(5)])
    };
    harness.edit(with(&["c", "a"]));
    assert!(harness.go_to(NOON + 1).is_empty(), "the edit lets nobody go");
    assert_eq!(harness.try_now("c").unwrap_err().reason, Denial::Paused);
    // The app comes back under another number, and is stopped still.
    harness.edit(with(&["c", "b", "a"]));
    harness.limiter.start(harness.time(), Some("a"));
    assert!(harness.go_to(NOON + 2).is_empty());
    harness.stop(None, Some(1));
    let ended = harness.go_to(NOON + 2_000);
    assert_eq!((ended.len(), ended[0].1, ended[0].2.is_ok()), (1, waiting, true));
    assert_eq!(harness.try_now("b").unwrap_err().reason, Denial::Paused);
    harness.call("c").unwrap();
}

#[test]
fn what_is_only_watched_is_not_stopped_and_says_that_it_would_be() {
    let mut harness = Harness::new(Plan { mode: Mode::Observe, ..plan(vec![window(1_000, 60)]) });
    harness.stop(None, None);
    for wait_ms in [None, Some(0)] {
        let Admission::Granted(grant) = harness.admit(Call { wait_ms, ..call("a") }) else { panic!("it is stopped") };
        assert_eq!(grant.would, Some(ObservedDecision::Refuse(Denial::Paused)));
    }
    assert_eq!(harness.limiter.want(harness.time(), "a", u32::MAX, 2, 5), Some(0));
    assert_eq!(std::iter::from_fn(|| harness.limiter.next_job()).count(), 2);
}

#[test]
fn jobs_rest_under_a_stop_and_go_when_it_ends() {
    let mut harness = many();
    harness.stop(Some("a"), Some(30));
    harness.limiter.want(harness.time(), "a", u32::MAX, 2, 5).unwrap();
    harness.limiter.want(harness.time(), "b", u32::MAX, 1, 5).unwrap();
    assert_eq!(std::iter::from_fn(|| harness.limiter.next_job()).count(), 1, "the other app's goes");
    harness.go_to(NOON + 29_999);
    assert_eq!(harness.limiter.next_job(), None);
    harness.go_to(NOON + 30_000);
    assert_eq!(std::iter::from_fn(|| harness.limiter.next_job()).count(), 2);
}

#[test]
fn jobs_under_a_stop_without_an_end_wake_nobody_more_than_once_an_hour() {
    for app in [None, Some("a")] {
        let mut harness = many();
        harness.stop(app, None);
        harness.limiter.want(harness.time(), "a", u32::MAX, 2, 0).unwrap();
        harness.go_to(NOON + 1_000);
        let mut woken = 0;
        while let Some(at) = harness.limiter.next_wakeup().filter(|at| *at <= NOON + 6 * 3_600_000) {
            harness.now = at;
            harness.limiter.wake(harness.time());
            woken += 1;
        }
        // Once a minute while their urgency rises to the most urgent; then by the hour.
        assert!(woken <= 20, "{app:?}: woken {woken} times in six hours");
        assert_eq!(harness.limiter.next_job(), None);
        harness.start(app);
        assert_eq!(std::iter::from_fn(|| harness.limiter.next_job()).count(), 2);
    }
}

#[test]
fn a_stop_that_is_made_shorter_ends_sooner_for_those_who_wait() {
    let mut harness = many();
    harness.stop(Some("a"), None);
    harness.wait("a");
    harness.go_to(NOON + 1_000);
    harness.stop(Some("a"), Some(2));
    let ended = harness.go_to(NOON + 9_000);
    assert_eq!((ended.len(), ended[0].0, ended[0].2.is_ok()), (1, NOON + 3_000, true));
}
