//! The pacing of calls after a vendor has throttled.
use crate::harness::*;
use sluice_limiter::Denial;
use sluice_limiter::*;

fn throttled(retry_after_ms: u64) -> Outcome {
    Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: Some(retry_after_ms) }
}

/// Makes a connection that was just throttled with a pause of 1 s. 5 calls wait, the pause has
/// ended and the first has gone.
fn after_a_throttle(size: u32) -> Harness {
    let mut harness =
        Harness::new(Plan { queue: QueueRule { size, max_wait_ms: 10_000 }, ..plan(vec![window(100, 20)]) });
    let grant = harness.try_now("a").unwrap();
    harness.settle(grant.permit, throttled(1_000));
    (0..size).for_each(|_| drop(harness.wait("a")));
    let Admission::Refused(refused) = harness.admit(call("a")) else { panic!("queue is full") };
    assert_eq!(refused.reason, Denial::QueueFull);
    let until = harness.limiter.paused_until().unwrap();
    let ended = harness.go_to(until + 10);
    assert_eq!(ended.len(), 1, "they go one by one");
    harness.settle(ended[0].2.clone().unwrap().permit, Outcome::Answered);
    harness
}

#[test]
fn t01_the_queue_keeps_its_size_while_those_that_wait_go_one_by_one() {
    let mut harness = after_a_throttle(5);
    let (mut waiting, mut refused) = (0, 0);
    for _ in 0..500 {
        match harness.admit(call("a")) {
            Admission::Waiting(_) => waiting += 1,
            Admission::Refused(_) => refused += 1,
            Admission::Granted(_) => {}
        }
    }
    let depth = harness.limiter.queue().depth;
    println!("waiting {waiting} refused {refused}, depth {depth} of size {}", harness.limiter.queue().size);
    assert!(depth <= 5, "queue.size is 5 and {depth} wait");
}

#[test]
fn t02_a_call_that_may_not_wait_does_not() {
    let mut harness = after_a_throttle(5);
    let admission = harness.admit(Call { wait_ms: Some(0), ..call("a") });
    assert!(!matches!(admission, Admission::Waiting(_)), "Prefer: wait=0, and it waits");
}

/// Returns the calls a second at an offered rate for a minute after one throttle, with instant
/// answers.
fn goodput_after_one_throttle(limits: Vec<Limit>, per_second: i64, seconds: i64) -> (usize, usize) {
    let mut harness = Harness::new(plan(limits));
    let grant = harness.try_now("a").unwrap();
    harness.settle(grant.permit, throttled(1_000));
    let (mut went, mut refused) = (0, 0);
    let start = harness.now;
    let step = 1_000 / per_second;
    for n in 0..seconds * per_second {
        for (_, _, outcome) in harness.go_to(start + n * step) {
            match outcome {
                Ok(grant) => {
                    harness.settle(grant.permit, Outcome::Answered);
                    went += 1;
                }
                Err(_) => refused += 1,
            }
        }
        match harness.admit(call("a")) {
            Admission::Granted(grant) => {
                harness.settle(grant.permit, Outcome::Answered);
                went += 1;
            }
            Admission::Refused(_) => refused += 1,
            Admission::Waiting(_) => {}
        }
    }
    (went, refused)
}

#[test]
fn t03_a_rolling_day_does_not_set_the_pace_after_a_throttle() {
    // A Salesforce edition has 15,000 calls in 24 hours and a rate of 10 a second; 4 calls a second
    // are offered.
    let day = limit("day", Kind::RollingDay { calls: 15_000 });
    let without = goodput_after_one_throttle(vec![bucket(10, 10)], 4, 120);
    let with = goodput_after_one_throttle(vec![bucket(10, 10), day.clone()], 4, 120);
    let hour = limit("hour", Kind::RollingWindow { calls: 1_000, window_ms: 3_600_000, guard_ms: 0 });
    let hourly = goodput_after_one_throttle(vec![bucket(10, 10), hour], 4, 120);
    println!(
        "of 480 offered in 120 s (went, refused): bucket alone {without:?}; with an untouched rolling_day of 15,000 {with:?}; with an untouched window of 1,000 an hour {hourly:?}"
    );
    assert!(with.0 * 2 > without.0, "{with:?} instead of {without:?}");
}

#[test]
fn t04_jobs_too_go_one_by_one_after_a_throttle() {
    let mut harness = Harness::new(plan(vec![window(100, 20)]));
    let grant = harness.try_now("a").unwrap();
    harness.settle(grant.permit, throttled(1_000));
    harness.limiter.want(harness.time(), "a", u32::MAX, 100, 5).unwrap();
    let until = harness.limiter.paused_until().unwrap();
    harness.go_to(until + 5);
    let mut went = 0;
    while harness.limiter.next_job().is_some() {
        went += 1;
    }
    println!("{went} jobs within 5 ms of the pause's end");
    assert!(went <= 2, "{went} jobs went at once, to a vendor that has just throttled");
}
