//! Fairness between apps.
use crate::harness::*;
use sluice_limiter::Denial;
use sluice_limiter::*;

fn apps(names: &[(&str, Option<u64>)]) -> Vec<AppRule> {
    names
        .iter()
        .map(|(name, daily_calls)| AppRule { name: (*name).into(), weight: 1, daily_calls: *daily_calls })
        .collect()
}

/// Returns how many of the first `n` calls that go while a and b both wait are a's.
fn of_a(harness: &mut Harness, n: usize) -> usize {
    let mut went = Vec::new();
    let mut tickets = std::collections::BTreeMap::new();
    for _ in 0..n {
        for app in ["a", "b"] {
            if let Admission::Waiting(ticket) = harness.admit(call(app)) {
                tickets.insert(ticket.number(), app);
            }
        }
    }
    while went.len() < n {
        let Some(wake) = harness.limiter.next_wakeup() else { break };
        for (_, ticket, outcome) in harness.go_to(wake) {
            if let Ok(grant) = outcome {
                harness.settle(grant.permit, Outcome::Answered);
                if let Some(app) = tickets.get(&ticket.number()) {
                    went.push(*app);
                }
            } else if let Some(app) = tickets.get(&ticket.number()) {
                went.push("refused");
            }
        }
    }
    println!("{went:?}");
    went.iter().take(n).filter(|app| **app == "a").count()
}

#[test]
fn t06_an_app_that_never_waited_is_not_behind_one_that_was_quiet_because_a_third_is_blocked() {
    for blocked in [false, true] {
        // x has spent its budget and has a job that waits for tomorrow, so a call waits all day.
        let mut harness = Harness::new(Plan {
            apps: apps(&[("a", None), ("b", None), ("x", Some(1))]),
            queue: QueueRule { size: 1_000, max_wait_ms: 60_000 },
            ..plan(vec![bucket(10, 10)])
        });
        harness.call("x").unwrap();
        if blocked {
            harness.limiter.want(harness.time(), "x", u32::MAX, 1, 5).unwrap();
        }
        // a makes five calls a second for ten minutes, half of what there is room for; only x's job
        // waits.
        for _ in 0..3_000 {
            let at = harness.now + 200;
            harness.go_to(at);
            harness.call("a").unwrap();
        }
        // Then b comes, and both want more than there is.
        let at = harness.now + 2_000;
        harness.go_to(at);
        while harness.call("a").is_ok() {}
        let of_a = of_a(&mut harness, 40);
        println!("x blocked: {blocked}; of 40 that went, a's: {of_a}");
        assert!(
            (15..=25).contains(&of_a),
            "x blocked: {blocked}; a and b have the same weight, and a had {of_a} of 40"
        );
    }
}

#[test]
fn t08_one_apps_refusals_do_not_put_off_anothers_retry_after() {
    for noise in [0, 1_000] {
        let mut harness =
            Harness::new(Plan { apps: apps(&[("a", None), ("x", Some(1))]), ..plan(vec![window(10, 20)]) });
        harness.call("x").unwrap();
        (0..9).for_each(|_| harness.call("a").unwrap());
        harness.go_to(NOON + 15_000);
        // x has spent its budget, and calls all the same.
        for _ in 0..noise {
            let refused = harness.try_now("x").unwrap_err();
            assert_eq!(refused.reason, Denial::AppBudget);
        }
        // The window is free in 5 s, and all its calls are answered.
        let refused = harness.try_now("a").unwrap_err();
        println!("x refused {noise} times: a is told {} s ({:?})", refused.retry_after_seconds, refused.reason);
        assert!(
            refused.retry_after_seconds <= 7,
            "told {} s with {noise} refusals of x's budget",
            refused.retry_after_seconds
        );
    }
}
