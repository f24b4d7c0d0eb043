//! The vendor's own count: the day rises to it, never falls by it, and counts nothing twice.

use crate::harness::{Harness, NOON, call, daily, limit, plan, slots, window, zone};
use proptest::prelude::*;
use sluice_limiter::Denial;
use sluice_limiter::{Counted, Kind, Limit, Limiter, Now, Outcome, PermitId, SKEW_MS};

fn at(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn day(amount: u64) -> Harness {
    Harness::new(plan(vec![daily(amount, zone("Etc/UTC"))]))
}

fn used(harness: &mut Harness) -> (u64, Option<u64>) {
    harness.limiter.tick(harness.time());
    let limits = harness.limiter.limits();
    (limits[0].used, limits[0].vendor_used)
}

/// A call that the vendor answers at once, with its count.
fn call_told(harness: &mut Harness, n: u64) {
    let permit = harness.try_now("a").unwrap().permit;
    harness.told(permit, 0, n);
    harness.settle(permit, Outcome::Answered);
}

#[test]
fn calls_made_elsewhere_are_seen() {
    let mut harness = day(1_000);
    call_told(&mut harness, 301);
    assert_eq!(used(&mut harness), (301, Some(301)));
    call_told(&mut harness, 302);
    assert_eq!(used(&mut harness), (302, Some(302)));
}

#[test]
fn a_count_below_our_own_changes_nothing() {
    let mut harness = day(1_000);
    call_told(&mut harness, 301);
    call_told(&mut harness, 7);
    assert_eq!(used(&mut harness), (302, Some(301)));
}

#[test]
fn what_is_in_flight_is_not_counted_twice_and_what_was_sent_later_is_not_left_out() {
    let mut harness = day(1_000);
    let permits: Vec<_> = (0..5).map(|_| harness.try_now("a").unwrap().permit).collect();
    harness.now += 500;
    let later: Vec<_> = (0..2).map(|_| harness.try_now("a").unwrap().permit).collect();
    // The headers came 100 ms before those two were granted; the vendor had counted all five, and 100 of others'.
    harness.now += 10;
    harness.told(permits[0], 110, 105);
    assert_eq!(used(&mut harness).0, 107);
    for (permit, n) in permits.iter().chain(&later).zip([101, 102, 103, 104, 105, 106, 107]) {
        harness.told(*permit, 0, n);
        harness.settle(*permit, Outcome::Answered);
    }
    assert_eq!(used(&mut harness), (107, Some(107)));
}

#[test]
fn a_day_that_others_have_spent_refuses_also_those_that_wait() {
    let mut harness = Harness::new(plan(vec![daily(50, zone("Etc/UTC")), slots(1)]));
    let permit = harness.try_now("a").unwrap().permit;
    let ticket = harness.wait("a");
    harness.told(permit, 0, 50);
    let ended = harness.go_to(harness.now);
    assert!(
        matches!(&ended[..], [(_, ended, Err(refused))] if *ended == ticket && refused.reason == Denial::DailyQuota),
        "{ended:?}"
    );
    harness.settle(permit, Outcome::Answered);
    assert_eq!(harness.try_now("a").unwrap_err().reason, Denial::DailyQuota);
}

#[test]
fn a_count_from_before_the_reset_does_not_raise_the_new_day() {
    for (granted, answered) in [
        ("2026-06-15T23:59:50Z", "2026-06-15T23:59:59.500Z"),
        ("2026-06-15T23:59:58Z", "2026-06-16T00:00:00Z"),
        ("2026-06-15T23:59:50Z", "2026-06-16T00:00:30Z"),
        ("2026-06-16T00:00:00.900Z", "2026-06-16T00:00:02Z"),
    ] {
        let mut harness = Harness::at(plan(vec![daily(1_000, zone("Etc/UTC"))]), at("2026-06-15T12:00:00Z"));
        harness.call("a").unwrap();
        harness.now = at(granted);
        let permit = harness.try_now("a").unwrap().permit;
        harness.now = at(answered);
        harness.told(permit, 0, 900);
        harness.settle(permit, Outcome::Answered);
        harness.now = at("2026-06-16T00:01:00Z");
        assert!(used(&mut harness).0 <= 1, "{granted} {answered}: {:?}", used(&mut harness));
        assert_eq!(used(&mut harness).1, None, "{granted} {answered}");
        call_told(&mut harness, 3);
        assert_eq!(used(&mut harness).1, Some(3));
    }
}

#[test]
fn what_share_leaves_to_others_they_may_use() {
    let half = Limit { of: 1_000, ..daily(500, zone("Etc/UTC")) };
    let mut harness = Harness::new(plan(vec![half]));
    call_told(&mut harness, 450);
    assert_eq!(used(&mut harness), (1, Some(450)));
    call_told(&mut harness, 700);
    assert_eq!(used(&mut harness), (200, Some(700)), "300 are left of the whole, so of ours too");
}

#[test]
fn what_is_left_is_as_good_as_what_is_used() {
    let whole = Limit { of: 10_000, ..daily(10_000, zone("Etc/UTC")) };
    let mut harness = Harness::new(plan(vec![whole]));
    let permit = harness.try_now("a").unwrap().permit;
    harness.told_of(permit, 0, Counted { limit: "daily".to_owned(), n: 9_000, left: true, total: None });
    assert_eq!(used(&mut harness), (1_000, Some(1_000)));
    harness.told_of(permit, 0, Counted { limit: "other".to_owned(), n: 1, left: true, total: None });
    assert_eq!(used(&mut harness), (1_000, Some(1_000)));
}

#[test]
fn a_rolling_day_rises_to_the_vendors_count_and_lets_go_a_day_later() {
    let mut harness = Harness::new(plan(vec![limit("daily", Kind::RollingDay { calls: 5_000 })]));
    call_told(&mut harness, 4_000);
    assert_eq!(used(&mut harness), (4_000, Some(4_000)));
    call_told(&mut harness, 4_000);
    assert_eq!(
        used(&mut harness),
        (4_001, Some(4_000)),
        "one of the others' has left the vendor's day, not surely ours"
    );
    harness.now += 25 * 3_600_000;
    assert_eq!(used(&mut harness).0, 0);
}

#[test]
fn a_count_by_app_takes_none_of_the_accounts_figures() {
    let each = Limit { per_app: true, ..daily(100, zone("Etc/UTC")) };
    let mut harness = Harness::new(plan(vec![each]));
    call_told(&mut harness, 100);
    assert!(harness.try_now("a").is_ok());
}

#[test]
fn in_the_next_life_the_vendors_count_is_known() {
    let mut harness = day(1_000);
    call_told(&mut harness, 301);
    harness.go_to(harness.now + 5_000);
    let row = harness.rows.last().unwrap();
    let now = Now { wall: harness.now, zones: &sluice_testkit::time_zones };
    let mut next = Limiter::load(plan(vec![daily(1_000, zone("Etc/UTC"))]), row, now, SKEW_MS).unwrap();
    next.tick(now);
    assert_eq!((next.limits()[0].used, next.limits()[0].vendor_used), (301, Some(301)));
}

/// What happens at a connection whose account others use too.
#[derive(Debug, Clone)]
enum Step {
    Grant,
    /// The vendor counts one that is under way.
    Count(usize),
    /// One that is counted is answered.
    Answer(usize),
    Elsewhere(u64),
    Pass(i64),
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Grant),
        6 => any::<usize>().prop_map(Step::Count),
        6 => any::<usize>().prop_map(Step::Answer),
        2 => (1_u64..40).prop_map(Step::Elsewhere),
        2 => (1_i64..1_500).prop_map(Step::Pass),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..120)
}

/// An answer on its way: the permit, the vendor's count, and when the headers came.
type Answered = (PermitId, u64, i64);

struct Model {
    harness: Harness,
    sent: Vec<PermitId>,
    counted: Vec<Answered>,
    vendor: u64,
    crashed: bool,
    told: u64,
}

impl Model {
    fn answer(&mut self, (permit, n, at): Answered) {
        self.harness.told(permit, u64::try_from(self.harness.now - at).unwrap(), n);
        self.harness.settle(permit, Outcome::Answered);
        self.told = self.told.max(n);
    }

    fn crash(&mut self) {
        let Some(row) = self.harness.rows.last() else { return };
        let next =
            Limiter::load(plan(vec![daily(100_000, zone("Etc/UTC"))]), row, self.harness.time(), SKEW_MS).unwrap();
        self.harness.limiter = next;
        self.crashed = true;
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Grant => {
                if let Ok(grant) = self.harness.try_now("a") {
                    self.sent.push(grant.permit);
                }
            }
            Step::Count(at) if !self.sent.is_empty() => {
                let permit = self.sent.swap_remove(at % self.sent.len());
                self.vendor += 1;
                self.counted.push((permit, self.vendor, self.harness.now));
            }
            Step::Answer(at) if !self.counted.is_empty() => {
                let answered = self.counted.swap_remove(at % self.counted.len());
                self.answer(answered);
            }
            Step::Elsewhere(n) => self.vendor += n,
            Step::Pass(ms) => drop(self.harness.go_to(self.harness.now + ms)),
            Step::Crash => self.crash(),
            _ => {}
        }
    }
}

/// A call that the vendor answers at once with its count and its own total.
fn call_told_of(harness: &mut Harness, limit: &str, n: u64, total: u64) {
    let permit = harness.try_now("a").unwrap().permit;
    harness.told_of(permit, 0, Counted { limit: limit.to_owned(), n, left: false, total: Some(total) });
    harness.settle(permit, Outcome::Answered);
}

/// Limit in force, used, remaining, and the vendor's own total.
fn stands(harness: &mut Harness) -> (u64, u64, u64, Option<u64>) {
    harness.limiter.tick(harness.time());
    let limits = harness.limiter.limits();
    (limits[0].limit, limits[0].used, limits[0].remaining, limits[0].vendor_limit)
}

#[test]
fn a_lower_total_of_the_vendors_holds_and_a_higher_one_is_shown() {
    for kind in [daily(1_000, zone("Etc/UTC")), limit("daily", Kind::RollingDay { calls: 1_000 })] {
        let mut harness = Harness::new(plan(vec![kind]));
        call_told_of(&mut harness, "daily", 5, 5_000);
        assert_eq!(stands(&mut harness), (1_000, 5, 995, Some(5_000)), "a higher one is shown");
        call_told_of(&mut harness, "daily", 48, 50);
        assert_eq!(stands(&mut harness), (50, 48, 2, Some(50)));
        harness.call("a").unwrap();
        harness.call("a").unwrap();
        assert_eq!(harness.try_now("a").unwrap_err().reason, Denial::DailyQuota);
        assert_eq!(stands(&mut harness).2, 0);
    }
}

#[test]
fn a_total_holds_until_the_vendor_tells_another_or_the_day_ends() {
    let mut harness = Harness::at(plan(vec![daily(1_000, zone("Etc/UTC"))]), at("2026-06-15T12:00:00Z"));
    let late = harness.try_now("a").unwrap().permit;
    call_told_of(&mut harness, "daily", 2, 2);
    assert_eq!(harness.try_now("a").unwrap_err().reason, Denial::DailyQuota);
    harness.told_of(late, 0, Counted { limit: "daily".to_owned(), n: 3, left: false, total: Some(10) });
    harness.settle(late, Outcome::Answered);
    assert_eq!(stands(&mut harness), (10, 3, 7, Some(10)));
    harness.now = at("2026-06-16T00:01:00Z");
    assert_eq!(stands(&mut harness), (1_000, 0, 1_000, None));
    harness.call("a").unwrap();
}

#[test]
fn a_share_is_of_the_vendors_total_too() {
    let half = Limit { of: 1_000, ..daily(500, zone("Etc/UTC")) };
    let mut harness = Harness::new(plan(vec![half]));
    call_told_of(&mut harness, "daily", 90, 200);
    assert_eq!(stands(&mut harness), (100, 1, 99, Some(200)), "others may use 100 of the 200");
    call_told_of(&mut harness, "daily", 150, 200);
    assert_eq!(stands(&mut harness), (100, 50, 50, Some(200)));
}

#[test]
fn a_total_that_falls_refuses_also_those_that_wait() {
    let mut harness = Harness::new(plan(vec![daily(1_000, zone("Etc/UTC")), slots(1)]));
    let permit = harness.try_now("a").unwrap().permit;
    let ticket = harness.wait("a");
    harness.told_of(permit, 0, Counted { limit: "daily".to_owned(), n: 1, left: false, total: Some(1) });
    let ended = harness.go_to(harness.now);
    assert!(
        matches!(&ended[..], [(_, ended, Err(refused))] if *ended == ticket && refused.reason == Denial::DailyQuota),
        "{ended:?}"
    );
    harness.settle(permit, Outcome::Answered);
}

#[test]
fn a_total_of_nothing_is_none() {
    let mut harness = day(1_000);
    call_told_of(&mut harness, "daily", 1, 0);
    assert_eq!(stands(&mut harness), (1_000, 1, 999, None));
    call_told_of(&mut harness, "other", 1, 7);
    assert_eq!(stands(&mut harness), (1_000, 2, 998, None));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_counted_twice_nothing_told_is_forgotten_and_at_rest_both_agree(steps in steps()) {
        let mut model = Model { harness: day(100_000), sent: vec![], counted: vec![], vendor: 0, crashed: false, told: 0 };
        let mut before = 0;
        for step in &steps {
            model.step(step);
            let (used, _) = used(&mut model.harness);
            let most = model.vendor + model.sent.len() as u64;
            prop_assert!(model.crashed || used <= most, "{used} used, and at most {most} made, after {step:?}");
            prop_assert!(model.crashed || used >= before, "{used} after {before}, after {step:?}");
            prop_assert!(model.crashed || used >= model.told, "{used} used, {} told", model.told);
            before = used;
        }
        while !model.sent.is_empty() {
            model.step(&Step::Count(0));
        }
        while !model.counted.is_empty() {
            model.step(&Step::Answer(0));
        }
        // One more, answered while nothing else is in flight, brings to light whatever was hidden.
        let grant = model.harness.try_now("a").unwrap();
        model.sent.push(grant.permit);
        model.step(&Step::Count(0));
        model.step(&Step::Answer(0));
        let (used, vendor) = used(&mut model.harness);
        prop_assert!(used >= model.vendor, "{used} used, and the vendor has counted {}", model.vendor);
        prop_assert!(model.crashed || used == model.vendor);
        prop_assert_eq!(vendor, Some(model.vendor));
    }
}

#[test]
fn a_call_that_may_not_wait_asks_as_before() {
    let mut harness = day(10);
    call_told(&mut harness, 10);
    let refused = harness.admit(call("a"));
    assert!(matches!(refused, sluice_limiter::Admission::Refused(refused) if refused.reason == Denial::DailyQuota));
}

#[test]
fn the_day_that_alerts_look_at_is_that_of_the_first_daily_limit_and_of_the_app_that_has_used_most() {
    let day = |harness: &mut Harness| harness.limiter.daily_used();
    // Midnight, and the second that clocks may differ by.
    let over = NOON + 43_200_000 + 1_000;
    let mut harness =
        Harness::new(plan(vec![window(9, 20), daily(50, zone("Etc/UTC")), limit("e", daily(7, zone("Etc/UTC")).kind)]));
    assert_eq!(day(&mut harness), Some((0, 50, over)));
    ["a", "b"].into_iter().for_each(|app| harness.call(app).unwrap());
    assert_eq!(day(&mut harness), Some((2, 50, over)));
    let mut harness = Harness::new(plan(vec![Limit { per_app: true, ..daily(50, zone("Etc/UTC")) }]));
    ["a", "b", "b"].into_iter().for_each(|app| harness.call(app).unwrap());
    assert_eq!(day(&mut harness), Some((2, 50, over)));
    assert_eq!(day(&mut Harness::new(plan(vec![window(9, 20)]))), None);
}
