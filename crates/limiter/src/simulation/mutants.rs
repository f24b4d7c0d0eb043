//! Each rule left out is caught: by an overrun that the attack sees.

use super::check::{Overruns, overruns};
use super::setting::{MIDNIGHT, SECOND, Setting, daily, limit, slots, utc, window};
use super::world::World;
use crate::mutant::{self, Mutant};
use crate::{Kind, Limit};

/// How many seeds of `seeds` show an overrun with a rule left out; none may with it kept.
fn caught(left_out: Mutant, setting: &Setting, seeds: std::ops::Range<u64>, seconds: i64) -> bool {
    mutant::set(Some(left_out));
    let seen = seeds.clone().find(|seed| overruns(&World::run(setting.clone(), *seed, seconds)) != Overruns::default());
    mutant::set(None);
    let Some(seed) = seen else { return false };
    println!("{left_out:?} left out: caught at seed {seed}");
    assert_eq!(
        overruns(&World::run(setting.clone(), seed, seconds)),
        Overruns::default(),
        "the rule kept, seed {seed}"
    );
    true
}

#[test]
fn a_block_without_an_end_is_caught() {
    // A window shorter than a reservation: a superseded object has permits left for those that wait
    // with it.
    let short = limit("window", Kind::RollingWindow { calls: 12, window_ms: 500, guard_ms: 0 });
    let setting = Setting { calls_per_second: 30.0, crash_every: 4.0, ..Setting::new(vec![short, slots(20)]) };
    assert!(caught(Mutant::NoEnd, &setting, 100..140, 600));
}

#[test]
fn a_bound_that_any_attempt_lowers_is_caught() {
    let setting =
        Setting { calls_per_second: 40.0, crash_every: 3.0, repeated: 400, slow: 100, ..Setting::new(vec![slots(10)]) };
    assert!(caught(Mutant::AnyAttempt, &setting, 200..260, 600));
}

#[test]
fn a_late_end_that_frees_what_other_lanes_had_done_is_caught() {
    let each = Limit { per_app: true, ..window(12, 10) };
    let setting = Setting {
        apps: vec![(1, 500, None), (1, 300, None), (1, 200, None)],
        calls_per_second: 12.0,
        crash_every: 15.0,
        slow: 60,
        ..Setting::new(vec![each, slots(8)])
    };
    assert!(caught(Mutant::LandsUnseen, &setting, 510..560, 600));
}

#[test]
fn a_reset_counted_on_one_side_is_caught() {
    let setting = Setting {
        calls_per_second: 12.0,
        crash_every: 20.0,
        slow: 200,
        start: MIDNIGHT - 60 * SECOND,
        ..Setting::new(vec![daily(700, utc()), slots(60)])
    };
    assert!(caught(Mutant::OneSided, &setting, 300..340, 120));
}

#[test]
fn counting_by_the_time_of_sending_is_caught() {
    let setting = Setting { crash_every: 0.0, ..Setting::new(vec![window(100, 20)]) };
    assert!(caught(Mutant::CountBySend, &setting, 400..402, 600));
}
