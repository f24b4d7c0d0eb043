//! Days: resets in civil time, intervals, both sides.

use crate::harness::{Harness, daily, plan, zone};
use sluice_limiter::Denial;
use sluice_limiter::Outcome;
use sluice_limiter::calendar::{Reset, Zone};

fn at(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// Spends a day of one call just before a reset and asks when the next goes: says when that is.
fn reopens(reset: Reset, from: &str) -> String {
    let mut harness = Harness::at(plan(vec![daily(1, reset)]), at(from));
    harness.call("a").unwrap();
    let refused = harness.try_now("a").unwrap_err();
    assert_eq!(refused.reason, Denial::DailyQuota);
    let told = harness.now + i64::try_from(refused.retry_after_seconds).unwrap() * 1_000;
    harness.go_to(told - 1_001);
    assert!(harness.try_now("a").is_err());
    harness.go_to(told);
    assert!(harness.try_now("a").is_ok());
    // Less the second by which the vendor's clock may be behind.
    jiff::Timestamp::from_millisecond(told - 1_000).unwrap().to_string()
}

#[test]
fn a_day_ends_at_midnight_of_its_zone_and_not_after_24_hours() {
    let chicago = || zone("America/Chicago");
    assert_eq!(reopens(chicago(), "2026-03-07T12:00:00Z"), "2026-03-08T06:00:00Z");
    assert_eq!(reopens(chicago(), "2026-03-08T12:00:00Z"), "2026-03-09T05:00:00Z", "a day of 23 hours");
    assert_eq!(reopens(chicago(), "2026-11-01T12:00:00Z"), "2026-11-02T06:00:00Z", "a day of 25 hours");
    assert_eq!(reopens(zone("Asia/Kolkata"), "2026-06-15T12:00:00Z"), "2026-06-15T18:30:00Z");
}

#[test]
fn a_reset_in_the_hour_that_spring_leaves_out_comes_right_after_it() {
    let reset = Reset { minute: 150, ..zone("America/Chicago") };
    assert_eq!(reopens(reset, "2026-03-08T07:00:00Z"), "2026-03-08T08:00:00Z");
}

#[test]
fn a_reset_in_the_hour_that_autumn_repeats_is_over_at_the_second() {
    let reset = || Reset { minute: 90, ..zone("America/Chicago") };
    assert_eq!(reopens(reset(), "2026-11-01T04:00:00Z"), "2026-11-01T07:30:00Z");
}

#[test]
fn a_reset_in_a_fixed_offset_does_not_follow_daylight_saving() {
    let reset = Reset { minute: 0, zones: vec![Zone::Fixed(-6 * 3_600)] };
    assert_eq!(reopens(reset, "2026-06-15T12:00:00Z"), "2026-06-16T06:00:00Z");
}

#[test]
fn a_reset_that_may_be_either_of_two_is_over_at_the_later() {
    let zones = vec![Zone::Iana("America/Chicago".to_owned()), Zone::Fixed(-6 * 3_600)];
    assert_eq!(reopens(Reset { minute: 0, zones }, "2026-06-15T12:00:00Z"), "2026-06-16T06:00:00Z");
}

#[test]
fn a_call_in_flight_over_the_reset_counts_on_both_sides() {
    let mut harness = Harness::at(plan(vec![daily(2, zone("Etc/UTC"))]), at("2026-06-15T23:59:50Z"));
    let permit = harness.try_now("a").unwrap().permit;
    harness.go_to(at("2026-06-16T00:00:05Z"));
    assert_eq!(harness.used(), [1], "the vendor may count it today");
    harness.settle(permit, Outcome::Answered);
    harness.call("a").unwrap();
    assert!(harness.try_now("a").is_err());
}

#[test]
fn while_the_reset_may_have_been_or_not_a_call_must_fit_and_counts_on_both_days() {
    let zones = vec![Zone::Iana("America/Chicago".to_owned()), Zone::Fixed(-6 * 3_600)];
    let reset = Reset { minute: 0, zones };
    let mut harness = Harness::at(plan(vec![daily(2, reset)]), at("2026-06-16T04:00:00Z"));
    harness.call("a").unwrap();
    // Between 05:00 and 06:00 UTC the vendor is on one side or the other.
    harness.go_to(at("2026-06-16T05:30:00Z"));
    harness.call("a").unwrap();
    let refused = harness.try_now("a").unwrap_err();
    assert_eq!((refused.reason, refused.retry_after_seconds), (Denial::DailyQuota, 1_801), "the day before is full");
    harness.go_to(at("2026-06-16T06:00:01Z"));
    assert_eq!(harness.used(), [1]);
    harness.call("a").unwrap();
    assert!(harness.try_now("a").is_err());
}

#[test]
fn a_connection_asleep_over_several_resets_wakes_on_the_right_day() {
    let mut harness = Harness::at(plan(vec![daily(1, zone("Etc/UTC"))]), at("2026-06-15T12:00:00Z"));
    harness.call("a").unwrap();
    harness.now = at("2026-06-18T12:00:00Z");
    harness.call("a").unwrap();
    harness.limiter.tick(harness.time());
    assert_eq!(harness.limiter.day().unwrap().date, "2026-06-18");
}

#[test]
fn every_zone_of_the_test_database_opens_each_day_once_through_two_years() {
    for name in [
        "America/Chicago",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "Africa/Cairo",
        "America/Santiago",
        "Asia/Kathmandu",
    ] {
        let reset = zone(name);
        let mut day = reset.day_at(&sluice_testkit::time_zones, at("2026-01-01T00:00:00Z")).unwrap();
        for _ in 0..730 {
            let next = reset.day_at(&sluice_testkit::time_zones, day.ends.0).unwrap();
            assert_eq!(next.opens, day.ends, "{name}");
            assert!((22 * 3_600_000..=26 * 3_600_000).contains(&(next.ends.0 - next.opens.0)), "{name} {}", next.date);
            day = next;
        }
    }
}
