//! Policy edits must not forget earlier calls.
use crate::harness::*;
use sluice_core::refusal::Reason;
use sluice_limiter::calendar::{Reset, Zone};
use sluice_limiter::pool::Pool;
use sluice_limiter::*;

fn edit(mut harness: Harness, plan: Plan) -> Harness {
    harness.edit(plan);
    harness
}

fn at_once(harness: &mut Harness, app: &str) -> usize {
    let mut n = 0;
    while n < 10_000 && harness.call(app).is_ok() {
        n += 1;
    }
    n
}

#[test]
fn t10_a_window_that_becomes_one_for_each_app_does_not_forget() {
    let mut harness = Harness::new(plan(vec![window(100, 20)]));
    assert_eq!(at_once(&mut harness, "a"), 100);
    harness.go_to(NOON + 1_000);
    let mut harness = edit(harness, plan(vec![Limit { per_app: true, ..window(100, 20) }]));
    let more = at_once(&mut harness, "a");
    assert_eq!(more, 0, "app a has made {} calls within 20 s, its limit is 100", 100 + more);
}

#[test]
fn t11_a_day_that_becomes_one_for_each_app_does_not_forget() {
    let mut harness = Harness::new(plan(vec![daily(10, zone("Etc/UTC"))]));
    assert_eq!(at_once(&mut harness, "a"), 10);
    let mut harness = edit(harness, plan(vec![Limit { per_app: true, ..daily(10, zone("Etc/UTC")) }]));
    let more = at_once(&mut harness, "a");
    assert_eq!(more, 0, "app a has made {} calls today, its limit is 10", 10 + more);
}

#[test]
fn t12_windows_for_each_app_that_become_one_do_not_forget() {
    for in_flight in [false, true] {
        let each = Limit { per_app: true, ..window(50, 20) };
        let mut harness = Harness::new(plan(vec![each]));
        assert_eq!(at_once(&mut harness, "b"), 50);
        assert_eq!(at_once(&mut harness, "a"), 50);
        harness.go_to(NOON + 20_001 - 1_000);
        if in_flight {
            // A lane that no shared limit blocks has a call in flight over the edit.
            let Admission::Granted(_) = harness.admit(Call { mask: 0, ..call("a") }) else { panic!() };
        }
        let mut harness = edit(harness, plan(vec![window(50, 20)]));
        let more = at_once(&mut harness, "a");
        assert_eq!(more, 0, "in flight {in_flight}: {} calls within 20 s, and the limit for all is 50", 100 + more);
    }
}

#[test]
fn t12b_the_same_with_a_call_in_flight_that_the_limit_counts() {
    let each = Limit { per_app: true, ..window(50, 20) };
    let mut harness = Harness::new(plan(vec![each]));
    assert_eq!(at_once(&mut harness, "b"), 50);
    harness.try_now("a").unwrap();
    let mut harness = edit(harness, plan(vec![window(50, 20)]));
    let more = at_once(&mut harness, "a");
    assert_eq!(more, 0, "{} calls within 20 s, and the limit for all is 50", 51 + more);
}

#[test]
fn t13_bytes_are_not_taken_for_calls() {
    let bytes = |unit| limit("daily", Kind::Daily { amount: 50_000, reset: zone("Etc/UTC"), unit });
    let mut harness = Harness::new(plan(vec![Limit {
        kind: Kind::Daily { amount: 500_000_000, reset: zone("Etc/UTC"), unit: Unit::ResponseBytes },
        ..bytes(Unit::ResponseBytes)
    }]));
    let permit = harness.try_now("a").unwrap().permit;
    let report =
        Settlement { permit, attempt: 1, outcome: Outcome::Answered, since_headers_ms: 0, response_bytes: 1_000_000 };
    harness.limiter.settle(harness.time(), report);
    let mut harness = edit(harness, plan(vec![bytes(Unit::Calls)]));
    println!("used {:?}", harness.used());
    assert!(harness.try_now("a").is_ok(), "one call was made today, of 50,000: used {:?}", harness.used());
}

#[test]
fn t14_a_day_that_ends_elsewhere_does_not_forget_what_was_before() {
    // 2026-06-16 00:30 UTC. Chicago's day (00:00 CDT) has been open since 2026-06-15 05:00 UTC.
    let mut harness = Harness::new(plan(vec![daily(100, zone("Etc/UTC"))]));
    (0..60).for_each(|_| harness.call("a").unwrap());
    harness.go_to(NOON + 12 * 3_600_000 + 1_800_000);
    (0..40).for_each(|_| harness.call("a").unwrap());
    // The vendor's day turns out to end at midnight in Chicago.
    let chicago = Plan { day: zone("America/Chicago"), ..plan(vec![daily(100, zone("America/Chicago"))]) };
    let mut harness = edit(harness, chicago);
    println!("used {:?}", harness.used());
    let more = at_once(&mut harness, "a");
    assert_eq!(more, 0, "{} calls since 05:00 UTC, of 100 a day", 100 + more);
}

#[test]
fn t15_a_new_day_that_opened_before_the_connections_own_does_not_forget() {
    // The connection's own day is UTC's. At 00:30 UTC a limit is added whose day opened at 05:00 UTC the day before.
    let mut harness = Harness::new(plan(vec![daily(1_000, zone("Etc/UTC"))]));
    (0..60).for_each(|_| harness.call("a").unwrap());
    harness.go_to(NOON + 12 * 3_600_000 + 1_800_000);
    harness.call("a").unwrap();
    let other = Limit { name: "other".into(), ..daily(61, zone("America/Chicago")) };
    let mut harness = edit(harness, plan(vec![daily(1_000, zone("Etc/UTC")), other]));
    println!("used {:?}", harness.used());
    let more = at_once(&mut harness, "a");
    assert_eq!(more, 0, "{} calls since 05:00 UTC, of 61 a day", 61 + more);
}

fn spend_pooled(harness: &mut Harness, pool: &mut Pool) -> usize {
    let mut went = 0;
    let until = harness.now + 60_000;
    while harness.now < until {
        match harness.admit(call("a")) {
            Admission::Granted(grant) => {
                harness.settle(grant.permit, Outcome::Answered);
                went += 1;
            }
            Admission::Refused(_) => break,
            Admission::Waiting(_) => {}
        }
        let now = harness.time();
        while let Some((_, limit, words)) = harness.limiter.next_borrow(now) {
            let lent = pool.borrow(now, &words);
            harness.limiter.lent(now, limit, words.turn, Some(lent));
        }
        while let Some((_, outcome)) = harness.limiter.next_ready() {
            if let Ok(grant) = outcome {
                harness.settle(grant.permit, Outcome::Answered);
                went += 1;
            }
        }
        let at = harness.now + 50;
        harness.go_to(at);
    }
    went
}

#[test]
fn t16_a_day_that_becomes_a_pools_does_not_forget() {
    let mut harness = Harness::new(plan(vec![daily(20, zone("Etc/UTC"))]));
    assert_eq!(at_once(&mut harness, "a"), 20);
    let pooled = Limit { pool: Some("shared".into()), ..daily(20, zone("Etc/UTC")) };
    let mut harness = edit(harness, plan(vec![pooled]));
    let mut pool = Pool::new(&zone("Etc/UTC"), harness.time());
    let more = spend_pooled(&mut harness, &mut pool);
    assert_eq!(more, 0, "{} calls today of 20", 20 + more);
}

#[test]
fn t18_a_window_raised_as_it_comes_into_force_remembers_what_was_watched() {
    let mut harness = Harness::new(Plan { mode: Mode::Observe, ..plan(vec![window(10, 20)]) });
    (0..100).for_each(|_| harness.call("a").unwrap());
    harness.go_to(NOON + 1_000);
    // 10 was too little, as was seen; the vendor takes 100.
    let mut harness = edit(harness, plan(vec![window(100, 20)]));
    let more = at_once(&mut harness, "a");
    assert_eq!(more, 0, "{} calls within 20 s, of 100", 100 + more);
}

#[test]
fn t20_a_limit_whose_routes_widen_starts_at_what_has_passed() {
    // First the limit counts only some calls, then all.
    let some = |limit: Limit| Limit { routes: 7, ..limit };
    let mut harness = Harness::new(plan(vec![some(daily(10, zone("Etc/UTC"))), some(window(10, 20))]));
    for _ in 0..10 {
        let Admission::Granted(grant) = harness.admit(Call { mask: 0, ..call("a") }) else { panic!() };
        harness.settle(grant.permit, Outcome::Answered);
    }
    let mut harness = edit(harness, plan(vec![daily(10, zone("Etc/UTC")), window(10, 20)]));
    let more = at_once(&mut harness, "a");
    assert_eq!(more, 0, "{} calls today of 10", 10 + more);
}

#[test]
fn t21_apps_that_left_long_ago_are_forgotten() {
    let apps = |n: u32| {
        (0..50).map(|i| AppRule { name: format!("app-{n}-{i}"), weight: 1, daily_calls: None }).collect::<Vec<_>>()
    };
    let mut harness =
        Harness::new(Plan { apps: apps(0), ..plan(vec![window(10_000, 20), daily(1_000_000, zone("Etc/UTC"))]) });
    let mut sizes = Vec::new();
    for day in 1..=40 {
        for i in 0..50 {
            harness.call(&format!("app-{}-{i}", day - 1)).unwrap();
        }
        let at = harness.now + 86_400_000;
        harness.go_to(at);
        harness = edit(
            harness,
            Plan { apps: apps(day), ..plan(vec![window(10_000, 20), daily(1_000_000, zone("Etc/UTC"))]) },
        );
        let row = harness.rows.last().unwrap();
        sizes.push((harness.limiter.day().unwrap().apps.len(), row.len()));
    }
    println!("apps known and bytes of the row, day by day: {:?} … {:?}", sizes[0], sizes[39]);
    assert!(sizes[39].1 < 2 * sizes[2].1, "50 apps at any time, 40 days: {:?} grew to {:?}", sizes[0], sizes[39]);
}

#[test]
fn t22_a_share_of_a_pooled_day_leaves_others_their_part() {
    // The account's day is 1,000, and this installation may use half. Others have made 600. It is
    // tried without and with a pool.
    let unpooled = Limit { of: 1_000, ..daily(500, zone("Etc/UTC")) };
    let mut harness = Harness::new(plan(vec![unpooled.clone()]));
    let permit = harness.try_now("a").unwrap().permit;
    harness.told(permit, 0, 601);
    harness.settle(permit, Outcome::Answered);
    assert!(harness.try_now("a").is_ok(), "unpooled: of our 500 we have used 101 at most");
    let pooled = Limit { pool: Some("shared".into()), ..unpooled };
    let mut harness = Harness::new(plan(vec![pooled]));
    let mut pool = Pool::new(&zone("Etc/UTC"), harness.time());
    let Admission::Waiting(_) = harness.admit(call("a")) else { panic!() };
    let now = harness.time();
    while let Some((_, limit, words)) = harness.limiter.next_borrow(now) {
        let lent = pool.borrow(now, &words);
        harness.limiter.lent(now, limit, words.turn, Some(lent));
    }
    let (_, outcome) = harness.limiter.next_ready().unwrap();
    let permit = outcome.unwrap().permit;
    harness.told(permit, 0, 601);
    harness.settle(permit, Outcome::Answered);
    let more = spend_pooled(&mut harness, &mut pool);
    assert!(more > 0, "pooled: refused at once until tomorrow, though 1 of our 500 is used");
}

#[test]
fn t23_a_slot_is_free_after_a_replan_and_a_second_report() {
    // A report is lost, the policy is put again, and the report comes the second time. Nothing is
    // in flight any more.
    let mut harness = Harness::new(plan(vec![slots(1)]));
    let permit = harness.try_now("a").unwrap().permit;
    let mut harness = edit(harness, plan(vec![slots(1)]));
    let report = Settlement { permit, attempt: 2, outcome: Outcome::Answered, since_headers_ms: 0, response_bytes: 0 };
    harness.limiter.settle(harness.time(), report);
    assert_eq!(harness.used(), [0]);
    assert!(harness.try_now("a").is_ok());
}
