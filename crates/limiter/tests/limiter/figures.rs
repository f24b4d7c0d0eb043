//! What a connection shows of itself, and what it says to those that it sends away.

use crate::harness::{Harness, NOON, bucket, call, daily, limit, plan, slots, window, zone};
use sluice_limiter::{
    Admission, AppRule, Call, Counted, Kind, Limit, Limiter, Mode, Outcome, Plan, QueueRule, SKEW_MS, Settlement,
    ThrottledBy, Unit, kind_name, policy_item,
};

/// Midnight, and the second that the vendor's clock may be behind.
const OVER: i64 = NOON + 43_200_000 + 1_000;

fn kinds() -> Vec<Limit> {
    let bytes = Kind::Daily { amount: 900, reset: zone("Etc/UTC"), unit: Unit::ResponseBytes };
    let rolling = limit("rolling", Kind::RollingDay { calls: 30 });
    vec![window(9, 20), bucket(2, 5), daily(50, zone("Etc/UTC")), limit("bytes", bytes), slots(4), rolling]
}

#[test]
fn each_limit_tells_its_figure_its_count_what_is_left_and_only_a_days_when_it_ends() {
    let mut harness = Harness::new(plan(kinds()));
    let permit = harness.try_now("a").unwrap().permit;
    harness.try_now("b").unwrap();
    let report = Settlement { permit, attempt: 1, outcome: Outcome::Answered, since_headers_ms: 0, response_bytes: 70 };
    harness.limiter.settle(harness.time(), report);
    let shown = harness.limiter.limits().into_iter();
    let shown: Vec<_> =
        shown.map(|one| (one.name, one.kind, one.limit, one.used, one.remaining, one.reset_at)).collect();
    let row = |name: &str, kind, limit, used, reset| (name.to_owned(), kind, limit, used, limit - used, reset);
    assert_eq!(
        shown,
        [
            row("window", "rolling_window", 9, 2, None),
            row("bucket", "token_bucket", 5, 2, None),
            row("daily", "daily", 50, 2, Some(OVER)),
            row("bytes", "daily", 900, 70, Some(OVER)),
            row("slots", "concurrency", 4, 1, None),
            row("rolling", "rolling_day", 30, 2, None),
        ]
    );
}

#[test]
fn of_a_limit_by_app_the_fullest_is_shown_and_before_any_app_has_called_its_figure() {
    let each = |limit: Limit| Limit { per_app: true, ..limit };
    let limits = kinds().into_iter().map(each).collect();
    let mut harness = Harness::new(plan(limits));
    let figures = |harness: &mut Harness| {
        let limits = harness.limiter.limits().into_iter();
        limits.map(|one| (one.limit, one.used, one.reset_at)).collect::<Vec<_>>()
    };
    let none = [9, 5, 50, 900, 4, 30].map(|figure| (figure, 0, None));
    assert_eq!(figures(&mut harness), none);
    ["a", "b", "b", "b"].into_iter().for_each(|app| {
        harness.try_now(app).unwrap();
    });
    let used = [(9, 3, None), (5, 3, None), (50, 3, Some(OVER)), (900, 0, Some(OVER)), (4, 3, None), (30, 3, None)];
    assert_eq!(figures(&mut harness), used);
}

#[test]
fn what_is_left_says_in_how_many_whole_seconds_there_is_more() {
    let mut harness = Harness::new(plan(kinds()));
    let left = |harness: &mut Harness| {
        let mut left = Vec::new();
        harness.limiter.left_for("a", u32::MAX, |one| left.push((one.name.to_owned(), one.remaining, one.seconds)));
        left
    };
    let rows = |rows: [(&str, u64, Option<u64>); 6]| rows.map(|(name, left, seconds)| (name.to_owned(), left, seconds));
    let whole = [("window", 9), ("bucket", 5), ("daily", 50), ("bytes", 900), ("slots", 4), ("rolling", 30)];
    assert_eq!(left(&mut harness), rows(whole.map(|(name, left)| (name, left, None))));
    let grant = harness.try_now("a").unwrap();
    harness.settle(grant.permit, Outcome::Answered);
    harness.now += 5_500;
    let other = harness.try_now("a").unwrap().permit;
    let expected = rows([
        ("window", 7, Some(15)),
        ("bucket", 4, Some(1)),
        ("daily", 48, Some(43_196)),
        ("bytes", 900, None),
        ("slots", 3, None),
        ("rolling", 28, Some(86_395)),
    ]);
    assert_eq!(left(&mut harness), expected);
    let mut names = Vec::new();
    harness.limiter.left(other, |one| names.push((one.name.to_owned(), one.remaining, one.seconds)));
    assert_eq!(names, expected);
    // In flight alone it counts for a window more at least.
    let mut harness = Harness::new(plan(vec![window(9, 20)]));
    harness.try_now("a").unwrap();
    assert_eq!(left(&mut harness), [("window".to_owned(), 8, Some(21))]);
}

#[test]
fn the_day_tells_each_apps_calls_and_the_queue_how_many_wait_and_how_long() {
    let mut harness = Harness::new(plan(vec![slots(3)]));
    ["a", "b", "b"].into_iter().for_each(|app| {
        harness.try_now(app).unwrap();
    });
    let day = harness.limiter.day().unwrap();
    assert_eq!((day.date.as_str(), day.from, day.to), ("2026-06-15", NOON - 43_200_000, OVER));
    assert_eq!(day.apps, [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    harness.wait("a");
    harness.now += 1_234;
    harness.wait("b");
    harness.limiter.tick(harness.time());
    let queue = harness.limiter.queue();
    assert_eq!((queue.depth, queue.size, queue.oldest_wait_ms), (2, 100, 1_234));
}

#[test]
fn every_kind_says_its_name_and_its_policy() {
    let said =
        kinds().into_iter().chain([bucket(15, 1)]).map(|limit| (kind_name(&limit.kind), policy_item(&limit.kind)));
    assert_eq!(
        said.collect::<Vec<_>>(),
        [
            ("rolling_window", (9, "requests", Some(20))),
            ("token_bucket", (5, "requests", Some(3))),
            ("daily", (50, "requests", Some(86_400))),
            ("daily", (900, "content-bytes", Some(86_400))),
            ("concurrency", (4, "concurrent-requests", None)),
            ("rolling_day", (30, "requests", Some(86_400))),
            ("token_bucket", (1, "requests", Some(1))),
        ]
    );
}

#[test]
fn a_refused_call_comes_after_those_of_its_limits_calls_that_wait_and_not_after_those_that_it_does_not_count() {
    // The second limit counts only the calls of the second mask.
    let limits = vec![window(1, 20), limit("other", Kind::RollingWindow { calls: 1, window_ms: 500_000, guard_ms: 0 })];
    let mut harness = Harness::new(Plan { queue: QueueRule { size: 9, max_wait_ms: 900_000 }, ..plan(limits) });
    let ask = |harness: &mut Harness, app: &str, mask, wait_ms| harness.admit(Call { mask, wait_ms, ..call(app) });
    let told = |harness: &mut Harness, mask| match ask(harness, "a", mask, Some(0)) {
        Admission::Refused(refused) => refused.retry_after_seconds,
        other => panic!("both limits are full: {other:?}"),
    };
    for mask in [1, 2] {
        let Admission::Granted(grant) = ask(&mut harness, "a", mask, Some(0)) else { panic!("there is room") };
        harness.settle(grant.permit, Outcome::Answered);
    }
    for (app, mask) in [("a", 1), ("b", 1), ("b", 2)] {
        assert!(matches!(ask(&mut harness, app, mask, None), Admission::Waiting(_)));
    }
    assert_eq!(told(&mut harness, 1), 61, "after one of each app, at 20 s and at 40 s");
    assert_eq!(told(&mut harness, 2), 1_001, "after one");
}

#[test]
fn slots_come_free_by_the_mean_time_of_an_answer_in_the_order_of_those_that_wait() {
    let mut harness = Harness::new(plan(vec![slots(2)]));
    for _ in 0..400 {
        let permit = harness.try_now("a").unwrap().permit;
        harness.now += 3_000;
        harness.settle(permit, Outcome::Answered);
    }
    (0..2).for_each(|_| {
        harness.try_now("a").unwrap();
    });
    let told: Vec<_> = (0..5).map(|_| harness.try_now("a").unwrap_err().retry_after_seconds).collect();
    assert_eq!(told, [3, 3, 6, 6, 9]);
}

#[test]
fn connections_that_a_vendor_sends_away_together_come_again_at_different_times() {
    let until = |before: u32| {
        let mut harness = Harness::new(plan(vec![window(1_000, 60)]));
        (0..before).for_each(|_| harness.call("a").unwrap());
        let permit = harness.try_now("a").unwrap().permit;
        let by = ThrottledBy::Rate;
        harness.settle(permit, Outcome::Throttled { retry_after_ms: Some(60_000), by });
        harness.limiter.paused_until().unwrap() - harness.now
    };
    let mut ends: Vec<i64> = (0..40).map(until).collect();
    assert!(ends.iter().all(|end| (60_000..=66_000).contains(end)), "{ends:?}");
    ends.sort_unstable();
    ends.dedup();
    assert!(ends.len() > 20, "{ends:?}");
}

#[test]
fn a_vendors_count_is_worth_a_row_from_a_hundredth_of_the_day_on() {
    let rows = |amount: u64, told: u64| {
        let mut harness = Harness::new(plan(vec![daily(amount, zone("Etc/UTC"))]));
        let permit = harness.try_now("a").unwrap().permit;
        let before = harness.rows.len();
        harness.told(permit, 0, told);
        harness.rows.len() - before
    };
    assert_eq!([rows(10_000, 100), rows(10_000, 101)], [0, 1], "one was counted here");
    assert_eq!([rows(50, 1), rows(50, 2)], [0, 1], "nothing new, and the smallest news");
}

#[test]
fn a_vendors_count_stays_when_an_edit_changes_no_more_than_a_figure() {
    let mut harness = Harness::new(plan(vec![daily(100, zone("Etc/UTC"))]));
    let permit = harness.try_now("a").unwrap().permit;
    harness.told_of(permit, 0, Counted { limit: "daily".to_owned(), n: 60, left: false, total: Some(90) });
    harness.edit(plan(vec![daily(200, zone("Etc/UTC")), window(9, 20)]));
    let day = &harness.limiter.limits()[0];
    assert_eq!((day.used, day.limit, day.vendor_used, day.vendor_limit), (60, 90, Some(60), Some(90)));
}

#[test]
fn a_limit_of_each_app_that_becomes_one_of_all_counts_no_more_than_was_sent() {
    // Five more than the smaller bucket may have been forgiven; but one call is all that was sent.
    let each = Limit { per_app: true, ..bucket(1, 5) };
    let mut harness = Harness::new(plan(vec![each.clone()]));
    harness.call("a").unwrap();
    harness.edit(plan(vec![bucket(1, 10)]));
    assert_eq!(harness.used(), [1]);
    // Of what ended within a second it is only known that it ended by the last of them; the bucket knows more.
    let mut harness = Harness::new(plan(vec![Limit { per_app: true, ..bucket(2, 5) }]));
    harness.call("a").unwrap();
    harness.now += 900;
    harness.call("a").unwrap();
    harness.edit(plan(vec![bucket(2, 5)]));
    assert_eq!(harness.used(), [1]);
}

#[test]
fn who_waits_goes_at_once_when_limits_are_only_watched_whatever_is_full() {
    let mut harness =
        Harness::new(Plan { queue: QueueRule { size: 9, max_wait_ms: 60_000 }, ..plan(vec![window(1, 5)]) });
    harness.call("a").unwrap();
    let tickets: Vec<_> = (0..3).map(|_| harness.wait("a")).collect();
    harness.edit(Plan { mode: Mode::Observe, ..plan(vec![window(1, 5)]) });
    let gone = harness.go_to(NOON);
    assert_eq!(gone.iter().map(|(_, ticket, _)| *ticket).collect::<Vec<_>>(), tickets);
    assert!(gone.iter().all(|(.., outcome)| outcome.is_ok()));
    assert_eq!(harness.limiter.queue().depth, 0);
}

#[test]
fn a_removed_connection_is_kept_until_its_longest_window_after_the_last_answer_is_over() {
    const MONTH_SECONDS: u64 = 31 * 86_400;
    let life = 62_000;
    let until = |answered: bool, limits: Vec<Limit>| {
        let mut harness = Harness::new(plan(limits));
        let permit = harness.try_now("a").unwrap().permit;
        if answered {
            harness.settle(permit, Outcome::Answered);
        }
        let now = harness.time();
        harness.limiter.bury(now).unwrap().0 - NOON - 2 * SKEW_MS
    };
    let longest_day = 25 * 3_600_000;
    assert_eq!(until(true, vec![window(5, MONTH_SECONDS)]), 31 * 86_400_000 + 1);
    assert_eq!(until(false, vec![window(5, MONTH_SECONDS)]), 31 * 86_400_000 + 1 + life);
    assert_eq!(until(true, vec![daily(5, zone("Etc/UTC"))]), longest_day);
    assert_eq!(until(false, vec![slots(5)]), longest_day + life);
    // A token in four days.
    let slow = limit("slow", Kind::TokenBucket { rate_micro: 3, burst: 2 });
    let full = 4 * 333_333_334 - 1;
    assert!((full - 333_333_334..=full + 1_000).contains(&until(true, vec![slow])));
}

#[test]
fn what_apps_had_sent_of_their_budgets_is_known_to_the_next_life() {
    let budget = |name: &str| AppRule { name: name.to_owned(), weight: 1, daily_calls: Some(3) };
    let of = || Plan { apps: ["a", "b"].map(budget).into(), ..plan(vec![slots(9)]) };
    let mut harness = Harness::new(of());
    ["a", "a", "b"].into_iter().for_each(|app| harness.call(app).unwrap());
    harness.go_to(NOON + 5_000);
    harness.limiter = Limiter::load(of(), harness.rows.last().unwrap(), harness.time(), SKEW_MS).unwrap();
    assert_eq!(harness.limiter.day().unwrap().apps, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    harness.call("a").unwrap();
    assert_eq!(harness.try_now("a").unwrap_err().violated, ["daily_calls"]);
}

#[test]
fn a_life_that_begins_under_the_same_policy_has_nothing_to_store_and_one_under_another_has() {
    let mut harness = Harness::new(plan(kinds()));
    harness.call("a").unwrap();
    let row = harness.rows.last().unwrap().clone();
    let due = |plan: Plan| {
        let mut next = Limiter::load(plan, &row, harness.time(), SKEW_MS).unwrap();
        next.snapshot_due().is_some()
    };
    assert!(!due(plan(kinds())));
    assert!(due(Plan { mode: Mode::Observe, ..plan(kinds()) }));
    assert!(due(plan(vec![window(8, 20)])));
    assert!(due(Plan { day: zone("Asia/Tokyo"), ..plan(kinds()) }));
}

#[test]
fn as_many_jobs_go_as_were_said_last() {
    let mut harness = Harness::new(plan(vec![slots(1)]));
    let permit = harness.try_now("a").unwrap().permit;
    for jobs in [5, 2] {
        harness.limiter.want(harness.time(), "a", u32::MAX, jobs, 3).unwrap();
    }
    harness.settle(permit, Outcome::Answered);
    let mut went = 0;
    while let Some((_, grant)) = harness.limiter.next_job() {
        went += 1;
        harness.settle(grant.permit, Outcome::Answered);
    }
    assert_eq!(went, 2);
}

#[test]
fn jobs_gain_a_level_for_each_minute_that_they_wait() {
    // A caller's call of that urgency comes when the jobs have waited for so long: who goes first?
    let first = |minutes: i64, urgency: u8| {
        let mut harness = Harness::new(Plan { ceiling_ms: 3_600_000, ..plan(vec![slots(1)]) });
        let permit = harness.try_now("a").unwrap().permit;
        harness.limiter.want(harness.time(), "a", u32::MAX, 1, 6).unwrap();
        harness.go_to(NOON + minutes * 60_000 + 500);
        harness.admit(Call { urgency, ..call("a") });
        harness.settle(permit, Outcome::Answered);
        if harness.limiter.next_job().is_some() { "jobs" } else { "caller" }
    };
    assert_eq!([first(0, 5), first(0, 6), first(0, 7)], ["caller", "jobs", "jobs"]);
    assert_eq!([first(1, 4), first(1, 5)], ["caller", "jobs"]);
    assert_eq!([first(3, 2), first(3, 3)], ["caller", "jobs"]);
    assert_eq!([first(20, 0), first(20, 1)], ["jobs", "jobs"]);
}
