use crate::harness::*;
use sluice_core::refusal::Reason;
use sluice_limiter::*;

#[test]
fn t40_a_call_that_the_recovering_rate_will_take_is_not_refused_at_once() {
    // The limit is 100 in 20 s. The factor was cut to a half, and recovers with each ten good
    // answers.
    let run = |ask_early: bool| {
        let mut harness = Harness::new(plan(vec![window(100, 20)]));
        let grant = harness.try_now("a").unwrap();
        harness.settle(grant.permit, Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: None });
        harness.go_to(NOON + 21_000);
        assert_eq!(harness.limiter.factor_ppm(), 500_000);
        let permits: Vec<_> = (0..50).map(|_| harness.try_now("a").unwrap().permit).collect();
        let early = if ask_early { Some(harness.admit(call("a"))) } else { None };
        // 200 ms later all calls are answered, and the factor has risen five times.
        harness.go_to(NOON + 21_200);
        permits.into_iter().for_each(|permit| drop(harness.settle(permit, Outcome::Answered)));
        (early, harness.try_now("a").is_ok())
    };
    let (_, room) = run(false);
    assert!(room, "0.2 s later there is room");
    let (early, _) = run(true);
    assert!(
        !matches!(early, Some(Admission::Refused(_))),
        "refused at once, though it may wait 10 s and there is room after 0.2 s: {early:?}"
    );
}

#[test]
fn t42_wakes_of_a_saturated_bucket() {
    for (rate, burst) in [(10, 1), (100, 1), (1_000, 1)] {
        let mut harness = Harness::new(plan(vec![bucket(rate, burst)]));
        let permit = harness.try_now("a").unwrap().permit;
        harness.wait("a");
        // The call takes 5 s: nothing can change until then.
        let mut wakes = 0;
        while let Some(wake) = harness.limiter.next_wakeup().filter(|wake| *wake <= NOON + 5_000) {
            harness.now = wake;
            harness.limiter.wake(harness.time());
            harness.limiter.snapshot_due();
            wakes += 1;
        }
        println!("{rate}/s, burst {burst}: {wakes} wakes in 5 s while one call is in flight and one waits");
    }
}

#[test]
fn t43_a_window_that_was_filled_and_told_counts_down_to_nothing() {
    // The vendor's header gives an absurd number.
    let mut harness = Harness::new(plan(vec![limit("daily", Kind::RollingDay { calls: 1_000_000 })]));
    for _ in 0..3 {
        let Admission::Granted(grant) = harness.admit(call("a")) else { break };
        harness.told(grant.permit, 0, u64::MAX);
        harness.settle(grant.permit, Outcome::Answered);
        let used = harness.used()[0];
        println!("used {used}");
    }
    // A second life begins, so that the count may be reported twice in one bucket.
    harness.go_to(NOON + 3 * 86_400_000);
    println!("three days later used {}", harness.used()[0]);
    assert_eq!(harness.used()[0], 0);
}

#[test]
fn t45_a_refused_waiter_is_not_charged_to_its_app() {
    // a's calls time out in the queue at the moment when there is room; then as many of b's go
    // first.
    let mut harness =
        Harness::new(Plan { queue: QueueRule { size: 100, max_wait_ms: 10_000 }, ..plan(vec![slots(1)]) });
    let permit = harness.try_now("b").unwrap().permit;
    for _ in 0..20 {
        harness.admit(Call { wait_ms: Some(1_000), ..call("a") });
    }
    // The timer is late: the slot becomes free after the deadline and before the wake-up.
    harness.now = NOON + 1_200;
    harness.settle(permit, Outcome::Answered);
    let mut n = 0;
    while let Some((_, outcome)) = harness.limiter.next_ready() {
        n += usize::from(outcome.is_err());
    }
    println!("{n} refused");
    let permit = harness.try_now("b").unwrap().permit;
    for _ in 0..10 {
        harness.wait("a");
        harness.wait("b");
    }
    let mut order = Vec::new();
    let mut held = permit;
    for _ in 0..10 {
        harness.settle(held, Outcome::Answered);
        let (ticket, outcome) = harness.limiter.next_ready().unwrap();
        held = outcome.unwrap().permit;
        order.push(held.lane);
    }
    println!("{order:?}");
    let of_a = order.iter().filter(|lane| **lane == 1).count();
    assert!((4..=6).contains(&of_a), "a had {of_a} of 10 after its refused calls were charged");
}

#[test]
fn t46_retry_after_in_http_dates_is_by_the_vendors_own_clock() {
    use sluice_core::upstream::{
        Profile,
        outcome::{Answered, classify},
    };
    let profile = Profile::built_in("generic").unwrap();
    // The vendor's clock is a minute behind ours: it says 12:00:00, and to come back at 12:00:30.
    let headers = vec![
        ("date".to_owned(), "Mon, 15 Jun 2026 12:00:00 GMT".to_owned()),
        ("retry-after".to_owned(), "Mon, 15 Jun 2026 12:00:30 GMT".to_owned()),
    ];
    for (skew, name) in [(60_000, "behind"), (0, "right"), (-60_000, "ahead")] {
        let verdict = classify(&profile, &Answered { status: 429, headers: &headers, said: None, now: NOON + skew });
        println!("vendor's clock {name}: {:?}", verdict.retry_after_ms);
        if skew != 0 {
            continue;
        }
        assert_eq!(verdict.retry_after_ms, Some(30_000));
    }
    let verdict = classify(&profile, &Answered { status: 429, headers: &headers, said: None, now: NOON + 60_000 });
    assert_eq!(verdict.retry_after_ms, Some(30_000), "the vendor asks for 30 s of rest");
}

#[test]
fn t60_a_throttle_makes_no_room_in_a_bucket() {
    let mut harness = Harness::new(plan(vec![bucket(15, 15)]));
    let permits: Vec<_> = (0..15).map(|_| harness.try_now("a").unwrap().permit).collect();
    assert!(harness.try_now("a").is_err(), "15 at once is what Aprimo takes");
    let mut permits = permits.into_iter();
    let last = permits.next().unwrap();
    permits.for_each(|permit| drop(harness.settle(permit, Outcome::Answered)));
    harness.settle(last, Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: None });
    let mut more = 0;
    while let Ok(grant) = harness.try_now("a") {
        harness.settle(grant.permit, Outcome::Answered);
        more += 1;
    }
    println!("factor {}, {more} more at once", harness.limiter.factor_ppm());
    assert_eq!(more, 0, "15 went, the vendor throttled, and {more} more go in the same millisecond");
}

fn pick(seed: &mut u64, n: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % n
}

#[test]
fn t47_retry_after_is_exact_once_all_is_answered() {
    let (mut early, mut late, mut tried) = (Vec::new(), Vec::new(), 0);
    for seed in 0..3_000_u64 {
        let mut s = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1;
        let mut limits = Vec::new();
        for at in 0..=pick(&mut s, 2) {
            let name = format!("l{at}");
            limits.push(match pick(&mut s, 5) {
                0 => Limit { name, ..bucket(1 + pick(&mut s, 20), 1 + pick(&mut s, 30)) },
                1 | 2 => Limit { name, ..window(1 + pick(&mut s, 40), 1 + pick(&mut s, 60)) },
                3 => Limit {
                    name,
                    ..daily(
                        1 + pick(&mut s, 60),
                        zone(["Etc/UTC", "America/Chicago", "Asia/Kolkata"][pick(&mut s, 3) as usize]),
                    )
                },
                _ => limit(&name, Kind::RollingDay { calls: 1 + pick(&mut s, 100) }),
            });
        }
        let shown = format!("{limits:?}");
        let mut harness = Harness::new(plan(limits));
        for _ in 0..pick(&mut s, 200) {
            let at = harness.now + pick(&mut s, 700) as i64;
            harness.go_to(at);
            if let Ok(grant) = harness.try_now("a") {
                let throttled = pick(&mut s, 60) == 0;
                let retry_after_ms = if pick(&mut s, 2) == 0 { None } else { Some(pick(&mut s, 20_000)) };
                harness.settle(
                    grant.permit,
                    if throttled {
                        Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms }
                    } else {
                        Outcome::Answered
                    },
                );
            }
        }
        let at = harness.now + 1_500;
        harness.go_to(at);
        let Err(refused) = harness.try_now("a") else { continue };
        tried += 1;
        let told = i64::try_from(refused.retry_after_seconds).unwrap() * 1_000;
        let from = harness.now;
        // The moment of first admission is found on copies, without a trace.
        let row_at = |harness: &mut Harness, at: i64| {
            harness.go_to(at);
            harness.limiter.tick(harness.time());
            let used = harness.limiter.limits().iter().all(|limit| limit.remaining > 0);
            used && harness.limiter.paused_until().is_none()
        };
        if told > 2_000 && row_at(&mut harness, from + told - 2_000) {
            late.push((seed, refused.clone(), shown.clone()));
        }
        harness.go_to(from + told);
        if harness.try_now("a").is_err() {
            early.push((seed, refused, shown));
        }
    }
    println!("{tried} refusals; told too early {}, too late {}", early.len(), late.len());
    early.iter().take(4).for_each(|e| println!("early {e:?}"));
    late.iter().take(4).for_each(|e| println!("late {e:?}"));
    assert!(early.is_empty() && late.is_empty());
}

#[test]
fn t48_a_full_table_refuses_without_writing() {
    let mut harness = Harness::new(plan(vec![]));
    for _ in 0..20_000 {
        harness.try_now("a").unwrap();
    }
    let rows = harness.rows.len();
    for _ in 0..500 {
        harness.now += 5;
        assert!(harness.try_now("a").is_err());
    }
    let written = harness.rows.len() - rows;
    println!("500 refused asks wrote {written} rows of {} bytes", harness.rows.last().unwrap().len());
    assert!(written <= 5, "a refused call consumes nothing; {written} rows");
}

#[test]
fn t49_a_permit_that_lapses_late_is_one_call() {
    // The answer comes after the lease, as the vendor was slower than its ceiling. The window must
    // still not forget the call earlier than it can know.
    let mut harness = Harness::new(plan(vec![window(1, 20)]));
    let permit = harness.try_now("a").unwrap().permit;
    harness.go_to(NOON + 62_000);
    harness.limiter.tick(harness.time());
    harness.go_to(NOON + 70_000);
    let settled = harness.settle(permit, Outcome::Answered);
    println!("{settled:?}");
    harness.go_to(NOON + 62_000 + 20_001);
    // A report of the own epoch whose permit is not known is a repeat, and is ignored; after the
    // lease has expired, the call is dated again to r + W.
    assert!(
        harness.try_now("a").is_err(),
        "the answer came at 70 s, so the vendor may have counted until then; the window lets another go at 82 s"
    );
}

#[test]
fn t62_bytes_of_an_answer_that_was_cut_off_count() {
    let bytes =
        limit("extract", Kind::Daily { amount: 500_000_000, reset: zone("Etc/UTC"), unit: Unit::ResponseBytes });
    let mut harness = Harness::new(plan(vec![bytes]));
    for _ in 0..3 {
        // At the third time none is left.
        let Ok(Grant { permit, .. }) = harness.try_now("a") else { break };
        // 400 MB came, and then the caller went or the timeout ended: see
        // `BodyCompletion` in src/call/stream.rs.
        let report = Settlement {
            permit,
            attempt: 1,
            outcome: Outcome::Unknown,
            since_headers_ms: 30_000,
            response_bytes: 400_000_000,
        };
        harness.limiter.settle(harness.time(), report);
        let at = harness.now + 70_000;
        harness.go_to(at);
    }
    assert!(
        harness.used()[0] >= 500_000_000,
        "1.2 GB came back of 500 MB a day, and {} bytes are counted",
        harness.used()[0]
    );
}

#[test]
fn t63_a_window_that_only_observe_filled_by_flight() {
    // In observe mode 100 are in flight under a limit of 10. Then it is enforced: none may go until
    // they have ended and left the window.
    let mut harness = Harness::new(Plan { mode: Mode::Observe, ..plan(vec![window(10, 20)]) });
    let permits: Vec<_> = (0..100).map(|_| harness.try_now("a").unwrap().permit).collect();
    harness.edit(plan(vec![window(10, 20)]));
    for permit in permits {
        harness.settle(permit, Outcome::Answered);
    }
    assert!(harness.try_now("a").is_err());
    harness.go_to(NOON + 20_002);
    assert!(harness.try_now("a").is_ok());
}

#[test]
fn t64_a_day_that_the_vendor_calls_spent_is_spent_for_calls_that_wait_for_loans() {
    let pooled = Limit { pool: Some("shared".into()), ..daily(20, zone("Etc/UTC")) };
    let mut harness = Harness::new(plan(vec![pooled]));
    harness.admit(call("a"));
    let now = harness.time();
    let (_, limit, words) = harness.limiter.next_borrow(now).unwrap();
    // The pool cannot be reached.
    harness.limiter.lent(now, limit, words.turn, None);
    let ended = harness.go_to(NOON + 11_000);
    println!("{ended:?}");
    assert_eq!(ended.len(), 1);
}
