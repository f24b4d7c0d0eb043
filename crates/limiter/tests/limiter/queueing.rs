//! Waiting: bounds, deadlines, cancellation, fairness, and Aprimo's own example.

use crate::harness::{Harness, NOON, bucket, call, daily, limit, plan, slots, window, zone};
use sluice_limiter::Denial;
use sluice_limiter::{Admission, AppRule, Call, Kind, Limit, Outcome, Plan, QueueRule, ThrottledBy};

#[test]
fn of_130_calls_at_15_a_second_15_go_at_once_100_wait_and_15_are_refused() {
    let mut harness = Harness::new(plan(vec![bucket(15, 15)]));
    let (mut at_once, mut waiting, mut refused) = (0, 0, Vec::new());
    for _ in 0..130 {
        match harness.admit(call("a")) {
            Admission::Granted(grant) => {
                at_once += 1;
                harness.settle(grant.permit, Outcome::Answered);
            }
            Admission::Waiting(_) => waiting += 1,
            Admission::Refused(refusal) => refused.push(refusal),
        }
    }
    assert_eq!((at_once, waiting, refused.len()), (15, 100, 15));
    assert!(refused.iter().all(|refusal| refusal.reason == Denial::QueueFull));
    let mut last = 0;
    let mut granted = 0;
    while granted < 100 {
        let wake = harness.limiter.next_wakeup().unwrap();
        for (at, _, outcome) in harness.go_to(wake) {
            harness.settle(outcome.unwrap().permit, Outcome::Answered);
            (last, granted) = (at, granted + 1);
        }
    }
    assert!((6_600..=6_750).contains(&(last - NOON)), "the last starts after {} ms", last - NOON);
}

#[test]
fn a_call_is_refused_at_once_if_it_surely_cannot_go_in_time() {
    let mut harness = Harness::new(plan(vec![window(2, 20)]));
    harness.call("a").unwrap();
    harness.call("a").unwrap();
    let Admission::Refused(refused) = harness.admit(call("a")) else { panic!("20 s is longer than the queue's 10") };
    assert_eq!((refused.reason, refused.retry_after_seconds), (Denial::Deadline, 21));
    harness.go_to(NOON + 10_500);
    harness.wait("a");
    harness.wait("a");
    let Admission::Refused(refused) = harness.admit(call("a")) else { panic!("two go before it, and then a window") };
    assert_eq!(refused.reason, Denial::Deadline);
}

#[test]
fn a_waiting_call_is_refused_as_soon_as_it_is_known_that_it_comes_too_late() {
    let mut harness = Harness::new(plan(vec![window(1, 8)]));
    // In flight: it could be answered now, and leave the window in 8 s.
    harness.try_now("a").unwrap();
    let ticket = harness.wait("a");
    let ended = harness.go_to(NOON + 60_000);
    let (at, refused) = (ended[0].0, ended[0].2.clone().unwrap_err());
    assert_eq!((ended[0].1, refused.reason), (ticket, Denial::Deadline));
    assert!((2_000..=2_100).contains(&(at - NOON)), "known after 2 s, told after {} ms", at - NOON);
}

#[test]
fn a_call_that_may_not_wait_is_told_which_limit_is_full() {
    let mut harness = Harness::new(plan(vec![window(2, 5), slots(1)]));
    let permit = harness.try_now("a").unwrap().permit;
    let refused = harness.try_now("a").unwrap_err();
    assert_eq!((refused.reason, refused.violated), (Denial::Concurrency, vec!["slots".to_owned()]));
    harness.settle(permit, Outcome::Answered);
    harness.call("a").unwrap();
    let refused = harness.try_now("a").unwrap_err();
    assert_eq!((refused.reason, refused.violated), (Denial::Rate, vec!["window".to_owned()]));
}

#[test]
fn a_caller_that_goes_frees_its_place_and_is_not_granted() {
    let mut harness = Harness::new(Plan { queue: QueueRule { size: 1, max_wait_ms: 10_000 }, ..plan(vec![slots(1)]) });
    let permit = harness.try_now("a").unwrap().permit;
    let ticket = harness.wait("a");
    assert!(matches!(harness.admit(call("a")), Admission::Refused(refused) if refused.reason == Denial::QueueFull));
    harness.limiter.cancel(harness.time(), ticket);
    let other = harness.wait("b");
    harness.settle(permit, Outcome::Answered);
    assert_eq!(harness.limiter.next_ready().map(|(ticket, _)| ticket), Some(other));
    assert!(harness.limiter.next_ready().is_none());
}

#[test]
fn a_call_blocked_by_its_apps_own_limit_holds_up_nobody() {
    let each =
        Limit { per_app: true, ..limit("each", Kind::RollingWindow { calls: 1, window_ms: 5_000, guard_ms: 0 }) };
    let mut harness = Harness::new(plan(vec![slots(2), each]));
    harness.call("a").unwrap();
    harness.wait("a");
    assert!(harness.try_now("b").is_ok());
}

#[test]
fn a_call_that_another_route_limit_blocks_is_passed_by() {
    let mut harness = Harness::new(plan(vec![slots(5), window(1, 5)]));
    harness.call("a").unwrap();
    harness.wait("a");
    let other = Call { mask: 0b01, ..call("a") };
    assert!(matches!(harness.admit(other), Admission::Granted(_)), "its route meets the slots alone");
}

#[test]
fn a_budget_stops_its_app_alone() {
    let budget = |name: &str, daily_calls| AppRule { name: name.to_owned(), weight: 1, daily_calls };
    let apps = vec![budget("a", Some(2)), budget("b", None)];
    let mut harness = Harness::new(Plan { apps, ..plan(vec![daily(100, zone("Etc/UTC"))]) });
    harness.call("a").unwrap();
    harness.call("a").unwrap();
    let refused = harness.try_now("a").unwrap_err();
    assert_eq!((refused.reason, refused.violated), (Denial::AppBudget, vec!["daily_calls".to_owned()]));
    harness.call("b").unwrap();
}

#[test]
fn each_of_seven_quiet_apps_is_among_the_next_eight_though_the_noisy_one_claims_urgency() {
    for urgency in [0, 3] {
        let names: Vec<String> = (0..8).map(|at| format!("app-{at}")).collect();
        let apps = names.iter().map(|name| AppRule { name: name.clone(), weight: 1, daily_calls: None }).collect();
        let queue = QueueRule { size: 1_000, max_wait_ms: 60_000 };
        let mut harness = Harness::new(Plan { apps, queue, ..plan(vec![slots(1)]) });
        let mut permit = harness.try_now(&names[0]).unwrap().permit;
        let mut of = std::collections::BTreeMap::new();
        for at in (0..200).map(|_| 0).chain(1..8) {
            let Admission::Waiting(ticket) =
                harness.admit(Call { urgency: if at == 0 { urgency } else { 3 }, ..call(&names[at]) })
            else {
                panic!("the slot is taken")
            };
            of.insert(ticket, at);
        }
        let mut next = Vec::new();
        for _ in 0..8 {
            harness.settle(permit, Outcome::Answered);
            let (ticket, granted) = harness.limiter.next_ready().unwrap();
            permit = granted.unwrap().permit;
            next.push(of[&ticket]);
        }
        next.sort_unstable();
        assert_eq!(next, [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}

/// Whoever polls the status moves the clock on: the timer was then set for nothing, and the queue stood still until the next call.
#[test]
fn looking_at_the_figures_does_not_stop_the_queue() {
    for limit in [bucket(10, 1), window(1, 5)] {
        let mut harness = Harness::new(plan(vec![limit]));
        harness.call("a").unwrap();
        let ticket = harness.wait("a");
        harness.now = NOON + 6_000;
        harness.used();
        let wake = harness.limiter.next_wakeup().unwrap();
        assert!(wake <= NOON + 6_001, "to be woken only in {} ms", wake - harness.now);
        assert!(harness.go_to(NOON + 6_001).iter().any(|(_, ended, outcome)| *ended == ticket && outcome.is_ok()));
    }
}

#[test]
fn after_a_throttle_those_that_wait_go_one_by_one_and_none_is_lost() {
    // A pause that frees all of them, and a window that comes free at one stroke.
    for (calls, pause, stands) in [(1_000, Some(2_000), 50), (80, None, 40)] {
        let mut harness =
            Harness::new(Plan { queue: QueueRule { size: 100, max_wait_ms: 60_000 }, ..plan(vec![window(calls, 10)]) });
        let permits: Vec<_> = (0..stands).map(|_| harness.try_now("a").unwrap().permit).collect();
        harness.now += 50;
        for permit in permits {
            harness.settle(permit, Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: pause });
        }
        for _ in 0..stands {
            harness.wait("a");
        }
        let mut at = Vec::new();
        while at.len() < stands {
            let wake = harness.limiter.next_wakeup().expect("somebody waits");
            for (when, _, outcome) in harness.go_to(wake) {
                harness.settle(outcome.unwrap().permit, Outcome::Answered);
                at.push(when);
            }
        }
        let within = |first: i64| at.iter().filter(|at| (first..first + 100).contains(*at)).count();
        let fullest = at.iter().map(|first| within(*first)).max().unwrap();
        assert!(fullest * 5 <= stands, "{fullest} of {stands} within 100 ms: {at:?}");
        assert!(at[stands - 1] - at[0] <= 10_500, "the pace is the rate's own: {at:?}");
    }
}

#[test]
fn ten_thousand_that_wait_go_one_by_one_in_the_order_they_came() {
    let queue = QueueRule { size: 10_000, max_wait_ms: 3_600_000 };
    let mut harness = Harness::new(Plan { queue, ..plan(vec![slots(1)]) });
    let mut flying = harness.try_now("a").unwrap().permit;
    let tickets: Vec<_> = (0..10_000).map(|_| harness.wait("a")).collect();
    assert!(matches!(harness.admit(call("a")), Admission::Refused(refused) if refused.reason == Denial::QueueFull));
    for (served, ticket) in tickets.iter().enumerate() {
        harness.now += 10;
        harness.settle(flying, Outcome::Answered);
        let (next, outcome) = harness.limiter.next_ready().unwrap();
        assert_eq!(next, *ticket, "number {served}");
        flying = outcome.unwrap().permit;
        assert!(harness.limiter.next_ready().is_none());
        assert_eq!(harness.limiter.queue().depth, 9_999 - served);
    }
}

#[test]
fn the_queue_tells_the_longest_wait_whoever_leaves_and_however_urgent_they_are() {
    let queue = QueueRule { size: 100, max_wait_ms: 3_600_000 };
    let mut harness = Harness::new(Plan { queue, ..plan(vec![slots(1)]) });
    harness.try_now("a").unwrap();
    let mut tickets = Vec::new();
    for (app, urgency, waited_ms) in [("a", 5, 0), ("b", 0, 0), ("a", 3, 2_500), ("b", 7, 500)] {
        harness.now += 1_000;
        match harness.admit(Call { urgency, waited_ms, ..call(app) }) {
            Admission::Waiting(ticket) => tickets.push(ticket),
            other => panic!("{other:?}"),
        }
    }
    // Since 1.0, 2.0, 0.5 and 3.5 s.
    let mut longest = Vec::new();
    for gone in [0, 2, 1, 3] {
        longest.push(harness.limiter.queue().oldest_wait_ms);
        harness.limiter.cancel(harness.time(), tickets[gone]);
    }
    assert_eq!(longest, [3_500, 3_500, 2_000, 500]);
    assert_eq!(harness.limiter.queue().oldest_wait_ms, 0);
}

#[test]
fn a_refused_call_comes_after_those_that_wait_for_the_same_limit_and_not_after_others() {
    let patient = |limits| Plan { queue: QueueRule { size: 9, max_wait_ms: 100_000 }, ..plan(limits) };
    let told = |harness: &mut Harness, app: &str| harness.try_now(app).unwrap_err().retry_after_seconds;
    let mut harness = Harness::new(patient(vec![window(1, 20)]));
    harness.call("a").unwrap();
    harness.wait("a");
    assert_eq!(told(&mut harness, "b"), 41, "one call goes at 20 s, the next at 40");
    // One window for each app.
    let mut harness = Harness::new(patient(vec![Limit { per_app: true, ..window(1, 20) }]));
    ["a", "b"].into_iter().for_each(|app| harness.call(app).unwrap());
    harness.wait("a");
    assert_eq!((told(&mut harness, "a"), told(&mut harness, "b")), (41, 21));
}

#[test]
fn a_call_that_asks_again_keeps_its_place_and_moves_if_it_has_become_more_urgent() {
    let mut harness = Harness::new(plan(vec![slots(1)]));
    let permit = harness.try_now("a").unwrap().permit;
    let first = harness.wait("a");
    let of_first = harness.next;
    let second = harness.wait("a");
    let of_second = harness.next;
    let now = harness.time();
    let again = |harness: &mut Harness, id: u128, urgency: u8| match harness
        .limiter
        .admit(now, Call { id, again: true, urgency, ..call("a") })
    {
        Admission::Waiting(ticket) => ticket,
        other => panic!("expected to wait: {other:?}"),
    };
    assert_eq!(again(&mut harness, of_first, 3), first);
    assert_eq!(again(&mut harness, of_second, 3), second);
    let urgent = again(&mut harness, of_second, 1);
    harness.settle(permit, Outcome::Answered);
    let (ticket, granted) = harness.limiter.next_ready().unwrap();
    assert_eq!((ticket, granted.is_ok()), (urgent, true));
    assert_eq!(harness.limiter.next_ready(), None);
}

#[test]
fn a_call_whose_time_ends_in_the_millisecond_in_which_a_pause_does_goes_then() {
    // The pause is as long as the vendor says, and a while that is the permit's own: here it ends the same each time.
    let end_of = |wait_ms: u64| {
        let mut harness = Harness::new(plan(vec![slots(1)]));
        let permit = harness.try_now("a").unwrap().permit;
        let waits = harness.admit(Call { wait_ms: Some(wait_ms), ..call("a") });
        assert!(matches!(waits, Admission::Waiting(_)), "{waits:?}");
        harness.settle(permit, Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: Some(5_000) });
        let pause = u64::try_from(harness.limiter.paused_until().unwrap() - NOON).unwrap();
        let (at, _, granted) = harness.go_to(NOON + 10_000).remove(0);
        (pause, at - NOON, granted.is_ok())
    };
    let (pause, ..) = end_of(10_000);
    let at = i64::try_from(pause).unwrap();
    assert_eq!(end_of(pause), (pause, at, true));
    assert_eq!(end_of(pause - 1), (pause, 0, false), "it is refused as soon as that is known");
}

#[test]
fn after_a_throttle_those_who_wait_go_one_by_one_and_nobody_is_woken_between() {
    let mut harness = Harness::new(plan(vec![bucket(10, 10)]));
    let permit = harness.try_now("a").unwrap().permit;
    harness.settle(permit, Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: Some(1_000) });
    for _ in 0..20 {
        harness.wait("a");
    }
    let (mut times, mut wakes) = (Vec::new(), 0);
    while times.len() < 20 {
        let wake = harness.limiter.next_wakeup().unwrap();
        wakes += 1;
        let ended = harness.go_to(wake);
        times.extend(ended.iter().map(|(at, ..)| *at));
        for (.., granted) in ended {
            harness.settle(granted.unwrap().permit, Outcome::Answered);
        }
    }
    // Half of ten a second, and more as the rate recovers.
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 90), "{times:?}");
    assert!(wakes <= 30, "{wakes} wakes for 20 calls");
}

#[test]
fn a_throttle_that_says_nothing_of_the_rate_is_taken_back_and_who_waits_goes() {
    let mut harness = Harness::new(plan(vec![window(10, 20)]));
    let factor = harness.limiter.factor_ppm();
    (0..5).for_each(|_| harness.call("a").unwrap());
    let permit = harness.try_now("a").unwrap().permit;
    harness.settle(permit, Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: None });
    assert_eq!(harness.limiter.factor_ppm(), factor / 2);
    harness.go_to(NOON + 11_000);
    let ticket = harness.wait("a");
    assert_eq!(harness.limiter.next_ready(), None, "six of ten, of which half are allowed");
    harness.limiter.restore(harness.time(), factor);
    assert_eq!(harness.limiter.factor_ppm(), factor);
    let (went, granted) = harness.limiter.next_ready().unwrap();
    assert_eq!((went, granted.is_ok()), (ticket, true));
}
