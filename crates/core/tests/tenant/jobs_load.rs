//! Jobs in great numbers.

use crate::harness::{Harness, NOON, policy};
use crate::job_steps::{kept, one_run, ran, report, runs, setup};
use serde_json::json;
use sluice_core::protocol::{Ask, Reply};
use sluice_core::tenant::task::Run;

#[test]
#[expect(clippy::disallowed_methods, reason = "what is measured is work, not waiting")]
fn ten_thousand_queued_jobs_cost_an_event_no_more_than_ten() {
    let events = |jobs: usize| {
        let (mut harness, app) = setup();
        for _ in 0..jobs {
            kept(&mut harness, &app, "crm", "GET");
        }
        let began = std::time::Instant::now();
        for _ in 0..50 {
            let run = one_run(&mut harness);
            report(&mut harness, ran(&run, 200));
            let later = harness.now + 10_002;
            harness.go_to(later);
        }
        began.elapsed()
    };
    let (few, many) = (events(60), events(10_000));
    assert!(many < few * 5 + std::time::Duration::from_millis(50), "{few:?} for 60, {many:?} for 10,000");
}

#[test]
fn two_thousand_jobs_at_100_per_10_seconds_take_the_least_possible_time() {
    let mut harness = Harness::empty();
    let mut policy = policy();
    policy["connections"]["crm"]["limits"][0]["calls"] = json!(100);
    harness.put(&policy);
    let app = harness.app("sync");
    for _ in 0..2_000 {
        kept(&mut harness, &app, "crm", "GET");
    }
    let mut flying: Vec<(i64, Run)> = Vec::new();
    let mut done = 0;
    while done < 2_000 {
        let at = harness.now + 200;
        flying.extend(runs(&mut harness).into_iter().map(|run| (at, run)));
        let landed = flying.iter().map(|(at, _)| *at).min();
        let next = harness.tenant.next_wakeup().into_iter().chain(landed).min().unwrap();
        harness.go_to(next.max(harness.now));
        let now = harness.now;
        for (_, run) in flying.extract_if(.., |(at, _)| *at <= now).collect::<Vec<_>>() {
            report(&mut harness, ran(&run, 200));
            done += 1;
        }
    }
    // Twenty windows: the first batch at 0, the last at 190 s; each waits for an answer of 0.2 s before its window.
    let (took, least) = (harness.now - NOON, 190_000 + 200);
    assert!(took * 100 <= least * 105, "{took} ms, and {least} ms is the least");
}

#[test]
fn an_app_keeps_half_of_the_jobs_that_a_tenant_may_and_another_half_of_what_it_leaves() {
    let mut harness = Harness::empty();
    let mut policy = policy();
    policy["apps"] = json!({"sync": {}, "other": {}, "third": {}});
    harness.put(&policy);
    // All that come wait behind the first, which the window takes.
    let mut fill = |name: &str| {
        let app = harness.app(name);
        for kept in 0.. {
            let keep = harness.keep(&app, "crm", "GET");
            match harness.now(Ask::SubmitJob(Box::new(keep))) {
                Reply::Queued(_) => {}
                Reply::Refused(no) => {
                    assert_eq!(no.refusal.reason.as_str(), "queue-full");
                    return kept;
                }
                other => panic!("{other:?}"),
            }
        }
        0
    };
    assert_eq!(["sync", "other", "third", "sync"].map(&mut fill), [10_000, 5_000, 2_500, 0]);
}
