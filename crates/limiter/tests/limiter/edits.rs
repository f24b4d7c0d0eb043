//! Policy edits do not forget.

use crate::harness::{Harness, NOON, bucket, call, daily, limit, plan, slots, window, zone};
use sluice_limiter::{AppRule, Call, Kind, Limit, Limiter, Outcome, Plan, Settlement, Unit};

const HOUR: i64 = 3_600_000;

fn edit(mut harness: Harness, plan: Plan) -> Harness {
    harness.edit(plan);
    harness
}

trait WithThrottle {
    fn edited(self, limits: Vec<Limit>) -> Harness;
}

impl WithThrottle for Harness {
    fn edited(self, limits: Vec<Limit>) -> Harness {
        edit(self, plan(limits))
    }
}

#[test]
fn counters_stay_by_name_and_kind_whatever_else_changes() {
    let mut harness = Harness::new(plan(vec![window(5, 10), daily(9, zone("Etc/UTC"))]));
    (0..3).for_each(|_| harness.call("a").unwrap());
    let mut harness = harness.edited(vec![daily(4, zone("Etc/UTC")), window(4, 10), slots(7)]);
    assert_eq!(harness.used(), [3, 3, 0]);
    harness.call("a").unwrap();
    assert_eq!(harness.try_now("a").unwrap_err().violated, ["daily", "window"]);
}

#[test]
fn a_permit_from_before_the_edit_settles_after_it() {
    let mut harness = Harness::new(plan(vec![slots(2), window(5, 10)]));
    let permit = harness.try_now("a").unwrap().permit;
    let mut harness = harness.edited(vec![window(5, 10), slots(2)]);
    assert_eq!(harness.used(), [1, 1]);
    harness.settle(permit, Outcome::Answered);
    assert_eq!(harness.used(), [1, 0]);
    harness.go_to(NOON + 10_001);
    assert_eq!(harness.used(), [0, 0]);
}

#[test]
fn a_lengthened_window_counts_what_the_short_one_has_forgotten() {
    let mut harness = Harness::new(plan(vec![window(5, 10)]));
    (0..5).for_each(|_| harness.call("a").unwrap());
    harness.go_to(NOON + 12_000);
    (0..2).for_each(|_| harness.call("a").unwrap());
    harness.go_to(NOON + 14_000);
    let mut harness = harness.edited(vec![window(7, 30)]);
    assert_eq!(harness.used(), [7]);
    assert!(harness.try_now("a").is_err());
    harness.go_to(NOON + 30_001);
    assert_eq!(harness.used(), [2]);
}

#[test]
fn a_shortened_window_lets_go_at_its_new_length() {
    let mut harness = Harness::new(plan(vec![window(1, 60)]));
    harness.call("a").unwrap();
    let mut harness = harness.edited(vec![window(1, 10)]);
    harness.go_to(NOON + 10_001);
    harness.call("a").unwrap();
}

#[test]
fn new_limits_count_what_was_sent_before_they_were() {
    let mut quiet = Harness::new(plan(vec![slots(1)])).edited(vec![window(1, 10)]);
    assert!(quiet.try_now("a").is_ok());
    let mut busy = Harness::new(plan(vec![slots(1)]));
    (0..3).for_each(|_| busy.call("a").unwrap());
    busy.go_to(NOON + 2_000);
    let mut busy = busy.edited(vec![window(4, 10), bucket(1, 2)]);
    // Of the bucket's two tokens both were gone, and two have come back.
    assert_eq!(busy.used(), [3, 0]);
    busy.call("b").unwrap();
    assert_eq!(busy.try_now("a").unwrap_err().violated, ["window"]);
    busy.go_to(NOON + 10_001);
    assert!(busy.try_now("a").is_ok());
}

#[test]
fn a_new_daily_limit_starts_at_the_days_usage() {
    let mut harness = Harness::new(plan(vec![slots(10)]));
    (0..3).for_each(|_| harness.call("a").unwrap());
    harness.call("b").unwrap();
    let mut harness = harness.edited(vec![daily(5, zone("Etc/UTC"))]);
    assert_eq!(harness.used(), [4]);
}

/// A limit came after its day had opened in Tokyo, at 15:00 UTC; then its day became London's, which had opened in the one before: what
/// was sent before the limit was is of that day.
#[test]
fn a_day_that_opened_before_the_one_it_follows_holds_what_was_sent_before_both() {
    let mut harness = Harness::at(plan(vec![]), NOON + 2 * 3_600_000);
    (0..3).for_each(|_| harness.call("a").unwrap());
    harness.go_to(NOON + 4 * 3_600_000);
    harness.call("a").unwrap();
    for reset in ["Asia/Tokyo", "Europe/London"] {
        harness = harness.edited(vec![daily(9, zone(reset))]);
    }
    assert_eq!(harness.used(), [4]);
    let harness = edit(harness, Plan { day: zone("Asia/Tokyo"), ..plan(vec![daily(9, zone("Asia/Tokyo"))]) });
    let mut harness = edit(harness, Plan { day: zone("Europe/London"), ..plan(vec![daily(9, zone("Europe/London"))]) });
    assert_eq!(harness.used(), [4]);
    assert_eq!(harness.limiter.day().unwrap().apps[0], ("a".to_owned(), 4));
}

/// A world's seed 222. An epoch died with a call in flight, so not all bytes of the day are known;
/// then the limit came to count other calls. It began at its number, though more than that was
/// known to have come back.
#[test]
fn a_day_of_bytes_of_which_not_all_is_known_shows_no_less_than_what_is() {
    let bytes = |amount, routes| {
        let kind = Kind::Daily { amount, reset: zone("Etc/UTC"), unit: Unit::ResponseBytes };
        plan(vec![Limit { routes, ..limit("bytes", kind) }])
    };
    let mut harness = Harness::new(bytes(1_000, 7));
    let permit = harness.try_now("a").unwrap().permit;
    let report =
        Settlement { permit, attempt: 1, outcome: Outcome::Answered, since_headers_ms: 0, response_bytes: 1_700 };
    harness.limiter.settle(harness.time(), report);
    harness.rows.extend(harness.limiter.snapshot_due());
    harness.admit(Call { mask: 0, ..call("a") });
    let row = harness.rows.last().unwrap().clone();
    let next = Limiter::load(bytes(1_000, 7), &row, harness.time(), 0).unwrap();
    let mut harness = Harness { limiter: next, ..harness };
    harness.edit(bytes(1_000, 8));
    assert_eq!(harness.used(), [1_700]);
    harness.edit(bytes(4_000, 9));
    assert_eq!(harness.used(), [4_000], "where less is known it is full");
    harness.edit(bytes(9_000, 9));
    assert_eq!(harness.used(), [9_000], "nor does it know more under a later number");
    assert_eq!(harness.try_now("a").unwrap_err().violated, ["bytes"]);
    harness.go_to(NOON + 86_400_000);
    assert!(harness.try_now("a").is_ok(), "the next day is known");
}

#[test]
fn an_app_that_leaves_the_policy_keeps_its_count_of_the_day() {
    let mut harness = Harness::new(plan(vec![daily(5, zone("Etc/UTC"))]));
    harness.call("b").unwrap();
    let only = vec![AppRule { name: "a".to_owned(), weight: 1, daily_calls: None }];
    let mut harness = edit(harness, Plan { apps: only, ..plan(vec![daily(5, zone("Etc/UTC"))]) });
    harness.call("a").unwrap();
    let mut apps = harness.limiter.day().unwrap().apps;
    apps.sort();
    assert_eq!(apps, [("a".to_owned(), 1), ("b".to_owned(), 1)]);
    assert_eq!(harness.used(), [2]);
}

#[test]
fn routes_of_a_kept_limit_are_remembered_and_a_new_limit_counts_what_is_in_flight() {
    let search = limit("search", Kind::Concurrency { calls: 1, after_ms: 0 });
    let mut harness = Harness::new(plan(vec![slots(5), search.clone()]));
    harness.admit(Call { mask: 0b01, ..call("a") });
    let other = limit("other", Kind::Concurrency { calls: 5, after_ms: 0 });
    let mut harness = harness.edited(vec![search, other, slots(5)]);
    assert_eq!(harness.used(), [0, 1, 1]);
}

#[test]
fn what_a_removed_connection_still_owes_is_kept_as_long_as_it_matters() {
    let mut harness = Harness::new(plan(vec![window(1, 20)]));
    harness.call("a").unwrap();
    let now = harness.time();
    let (until, row) = harness.limiter.bury(now).unwrap();
    assert!((NOON + 25 * HOUR..NOON + 25 * HOUR + 10_000).contains(&until), "any day that has begun may count it");
    let mut next = Limiter::load(plan(vec![window(1, 20)]), &row, now, 0).unwrap();
    assert_eq!(next.limits()[0].used, 1);
    let untouched = Harness::new(plan(vec![window(1, 20)]));
    let now = untouched.time();
    assert!(untouched.limiter.bury(now).is_none());
}

/// A world's seeds 1016 and 5778 led here: of a connection that was removed when its own days and windows were over nothing was kept, and
/// what was made anew under its name had a limit on a day that was not over.
#[test]
fn a_connection_made_anew_counts_on_days_that_it_did_not_have() {
    let begun = || {
        let mut harness = Harness::new(plan(vec![window(5, 20)]));
        harness.go_to(NOON + 12 * HOUR - 60_000);
        let permit = harness.try_now("a").unwrap().permit;
        let report =
            Settlement { permit, attempt: 1, outcome: Outcome::Answered, since_headers_ms: 0, response_bytes: 1_700 };
        harness.limiter.settle(harness.time(), report);
        harness
    };
    let mut harness = begun();
    harness.go_to(NOON + 12 * HOUR + 60_000);
    assert_eq!(harness.used(), [0], "nothing that it has still counts");
    let now = harness.time();
    let (until, row) = harness.limiter.bury(now).expect("it is kept");
    assert!(until > NOON + 18 * HOUR + HOUR / 2, "the day that ends last, in which the call was made, is over by then");
    let kolkata = daily(5, zone("Asia/Kolkata"));
    let bytes = Kind::Daily { amount: 1_000, reset: zone("Asia/Kolkata"), unit: Unit::ResponseBytes };
    let hour = Limit { name: "hour".to_owned(), ..window(5, 3_600) };
    let each = Limit { per_app: true, name: "each".to_owned(), ..kolkata.clone() };
    let anew = plan(vec![kolkata, limit("bytes", bytes), hour, each]);
    let mut next = Limiter::load(anew, &row, now, 0).unwrap();
    next.tick(now);
    let used: Vec<u64> = next.limits().iter().map(|limit| limit.used).collect();
    assert_eq!(used, [1, 1_700, 1, 1]);
    let mut harness = begun();
    harness.go_to(NOON + 38 * HOUR);
    let now = harness.time();
    assert!(harness.limiter.bury(now).is_none(), "no day counts it any more");
}

#[test]
fn buckets_of_apps_that_become_one_owe_what_one_would() {
    // Each app's two tokens are back after a second; of one bucket's, four of the six would be.
    let each = Limit { per_app: true, ..bucket(2, 4) };
    let mut harness = Harness::new(plan(vec![each]));
    (0..2).for_each(|_| ["a", "b"].into_iter().for_each(|app| harness.call(app).unwrap()));
    harness.go_to(NOON + 1_000);
    let mut harness = harness.edited(vec![bucket(2, 4)]);
    assert_eq!(harness.used(), [2]);
}

#[test]
fn what_was_counted_before_a_limit_by_app_ends_with_that_limits_day_and_no_other() {
    // Midnight in Auckland is noon in UTC; the connection's own day ends at midnight in UTC.
    let auckland = || zone("Pacific/Auckland");
    let after = |wait: i64| {
        let mut harness = Harness::new(plan(vec![daily(5, auckland())]));
        (0..4).for_each(|_| harness.call("a").unwrap());
        let mut harness = harness.edited(vec![Limit { per_app: true, ..daily(5, auckland()) }]);
        harness.go_to(NOON + wait);
        // App b calls for the first time since the edit.
        (0..9).filter(|_| harness.call("b").is_ok()).count()
    };
    assert_eq!(after(13 * HOUR), 1, "what was sent may have been its own");
    assert_eq!(after(25 * HOUR), 5);
}

#[test]
fn a_count_by_app_begins_with_no_less_than_was_sent_although_the_apps_budget_has_a_day_of_its_own() {
    // Midnight in Auckland is noon in UTC, a minute from now. The budgets' day ends at midnight in UTC.
    let auckland = || zone("Pacific/Auckland");
    let app = |name: &str| AppRule { name: name.to_owned(), weight: 1, daily_calls: Some(100) };
    let here = |limits| Plan { apps: vec![app("a"), app("b")], ..plan(limits) };
    let mut harness = Harness::at(here(vec![daily(5, auckland())]), NOON + 11 * HOUR);
    (0..4).for_each(|_| harness.call("b").unwrap());
    harness.go_to(NOON + 13 * HOUR);
    harness.edit(here(vec![Limit { per_app: true, ..daily(5, auckland()) }]));
    harness.call("b").unwrap();
    assert!(harness.try_now("b").is_err(), "four of the five were sent on this day of Auckland's");
}

/// A world's seed 3288 led here: an app whose weight was raised from 1 to 2 waited for seven calls of another of weight 10.
#[test]
fn an_app_whose_weight_is_raised_does_not_make_good_for_what_it_had_before() {
    let here = |a: u32| Plan {
        apps: [("a", a), ("b", 10)]
            .map(|(name, weight)| AppRule { name: name.to_owned(), weight, daily_calls: None })
            .into(),
        ..plan(vec![slots(1)])
    };
    for (weight, most) in [(1, 10), (2, 6), (10, 1), (100, 1)] {
        let mut harness = Harness::new(here(1));
        let mut permit = harness.try_now("b").unwrap().permit;
        let of_a: Vec<_> = (0..20).map(|_| harness.wait("a")).collect();
        for _ in 0..40 {
            harness.wait("b");
        }
        let mut next = |harness: &mut Harness| {
            harness.settle(permit, Outcome::Answered);
            let (ticket, granted) = harness.limiter.next_ready().unwrap();
            permit = granted.unwrap().permit;
            of_a.contains(&ticket)
        };
        while !next(&mut harness) {}
        harness.edit(here(weight));
        let others = (0..40).take_while(|_| !next(&mut harness)).count();
        assert!(others <= most, "of weight {weight} against 10 it goes after {others} of the other's");
    }
}
