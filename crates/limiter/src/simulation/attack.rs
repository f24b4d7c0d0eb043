//! No window, bucket, concurrency limit or day is overrun, and no day under-counted, whatever crashes.

use super::check::{Overruns, over_counted, overruns, stall};
use super::setting::{MIDNIGHT, SECOND, Setting, daily, limit, slots, utc, window};
use super::world::World;
use crate::{Kind, Limit};

struct Outcome {
    sent: usize,
    crashes: usize,
    rows: f64,
}

/// Runs a setting over seeds. A fault names its seed.
fn attack(name: &str, setting: &Setting, seeds: std::ops::Range<u64>, seconds: i64) -> Outcome {
    let (mut sent, mut crashes, mut rows) = (0, 0, 0);
    for seed in seeds.clone() {
        let world = World::run(setting.clone(), seed, seconds);
        assert_eq!(overruns(&world), Overruns::default(), "{name}, seed {seed}");
        sent += world.journal.seen.len();
        crashes += world.journal.crashes.len();
        rows += world.journal.rows;
        if seed == seeds.start {
            let stalls = ["kill", "reset", "supersede"]
                .map(|kind| stall(std::slice::from_ref(&world), &[kind], 50).map(|us| us / 1_000));
            let journal = &world.journal;
            println!(
                "{name}: gave up {}, refused {}, asleep {}, unused {}, median stall after kill, reset, supersede (ms) {stalls:?}",
                journal.gave_up, journal.refused, journal.asleep, journal.unused
            );
        }
    }
    let rows = rows as f64 / sent as f64;
    println!("{name}: seeds {seeds:?}, {sent} calls, {crashes} crashes, {rows:.4} rows a call");
    Outcome { sent, crashes, rows }
}

fn marketo() -> Setting {
    Setting::new(vec![window(100, 20), slots(10), daily(1_000_000, utc())])
}

#[test]
fn marketo_saturated_among_crashes() {
    let found = attack("marketo saturated", &marketo(), 0..6, 3_600);
    assert!(found.sent > 80_000 && found.crashes > 250);
    assert!(found.rows < 0.30, "{} rows a call", found.rows);
}

#[test]
fn marketo_saturated_without_a_crash_writes_less_than_a_quarter_of_a_row_a_call() {
    let found = attack("marketo calm", &Setting { crash_every: 0.0, ..marketo() }, 0..1, 3_600);
    assert!(found.rows <= 0.25, "{} rows a call", found.rows);
}

#[test]
fn short_windows_crashed_every_few_seconds() {
    let setting = Setting { calls_per_second: 20.0, crash_every: 5.0, ..Setting::new(vec![window(15, 1), slots(10)]) };
    let found = attack("short windows", &setting, 10..14, 900);
    assert!(found.sent > 12_000 && found.crashes > 600);
}

#[test]
fn a_hundred_calls_a_second_write_a_hundredth_of_a_row_each() {
    let setting = Setting {
        calls_per_second: 100.0,
        crash_every: 0.0,
        ..Setting::new(vec![window(2_600, 20), slots(60), daily(100_000_000, utc())])
    };
    let found = attack("a hundred a second", &setting, 20..21, 300);
    assert!(found.rows <= 0.02, "{} rows a call", found.rows);
}

#[test]
fn lone_calls_write_two_rows_each_and_keep_a_small_window() {
    let lone = |crash_every| Setting {
        calls_per_second: 1.0 / 60.0,
        crash_every,
        ..Setting::new(vec![window(2, 20), slots(1)])
    };
    let calm = attack("lone", &lone(0.0), 30..31, 36_000);
    assert!(calm.rows <= 2.1, "{} rows a call", calm.rows);
    attack("lone among crashes", &lone(300.0), 31..33, 36_000);
}

#[test]
fn token_buckets_are_kept_at_a_vendor_that_counts_by_arrival() {
    for (rate, burst, seed) in [(10_000_000, 10, 40), (10_000_000, 1, 41), (15_000_000, 15, 42), (25_000_000, 5, 43)] {
        let bucket = limit("bucket", Kind::TokenBucket { rate_micro: rate, burst });
        let setting =
            Setting { calls_per_second: 18.0, crash_every: 30.0, any_instant: false, ..Setting::new(vec![bucket]) };
        attack("bucket", &setting, seed..seed + 1, 600);
    }
}

#[test]
fn a_day_is_kept_over_its_reset_among_crashes() {
    for (seed, quota) in [(50, 900), (51, 2_000), (52, 300), (53, 1_200), (54, 700), (55, 100)] {
        let setting = Setting {
            calls_per_second: 12.0,
            crash_every: 7.0,
            slow: 100,
            start: MIDNIGHT - 150 * SECOND,
            ..Setting::new(vec![daily(quota, utc()), slots(40)])
        };
        attack("reset", &setting, seed..seed + 2, 300);
    }
}

#[test]
fn apps_and_routes_are_kept_apart_among_crashes() {
    let per_app =
        Limit { per_app: true, ..limit("each", Kind::RollingWindow { calls: 20, window_ms: 10_000, guard_ms: 0 }) };
    let search = limit("search", Kind::RollingWindow { calls: 5, window_ms: 1_000, guard_ms: 0 });
    let setting = Setting {
        apps: vec![(3, 500, Some(3_000)), (1, 300, Some(400)), (1, 200, None)],
        masks: vec![0b0111, 0b1111, 0b0111],
        calls_per_second: 12.0,
        crash_every: 20.0,
        ..Setting::new(vec![window(80, 10), slots(8), per_app, search])
    };
    let found = attack("apps and routes", &setting, 60..64, 900);
    assert!(found.sent > 10_000);
}

#[test]
fn steps_back_of_the_clock_overrun_nothing() {
    let setting = Setting { step_every: 40.0, ..marketo() };
    let setting = Setting { limits: setting.limits[..2].to_vec(), ..setting };
    let found = attack("clock steps", &setting, 70..72, 1_800);
    assert!(found.sent > 10_000);
}

/// Median stall after crashes, milliseconds, with the skew and the losses of the model that the scheme was first tried in.
fn median_stall(name: &str, setting: Setting, kinds: &[&str], seeds: std::ops::Range<u64>, seconds: i64) -> i64 {
    let setting = Setting { lost: 0, held_up: 0, skew: 200, ..setting };
    let worlds: Vec<World> = seeds.map(|seed| World::run(setting.clone(), seed, seconds)).collect();
    let found = stall(&worlds, kinds, 50).unwrap() / 1_000;
    println!("{name}: median stall after {kinds:?}: {found} ms");
    found
}

#[test]
fn a_crash_stalls_a_saturated_connection_for_seconds_and_others_hardly() {
    let any = ["kill", "reset", "supersede"];
    let marketo = Setting { crash_every: 120.0, ..marketo() };
    assert!(median_stall("marketo 6/s", marketo, &any, 80..84, 7_200) <= 1_800);
    let ten = Setting { calls_per_second: 60.0, ..Setting::new(vec![slots(10)]) };
    assert!(median_stall("10 slots", ten.clone(), &any[1..], 84..86, 1_200) <= 60);
    // Everything killed: nobody is left to settle what was in flight, so its whole life is waited for.
    assert!((11_000..14_000).contains(&median_stall("10 slots", ten, &any[..1], 84..86, 1_200)));
    let fast = Setting { calls_per_second: 100.0, ..Setting::new(vec![window(2_600, 20), slots(60)]) };
    assert!(median_stall("100/s", fast, &any, 86..88, 600) <= 20);
}

/// What a crash over-counts the day by, on the average.
fn over_count(name: &str, setting: Setting, seeds: std::ops::Range<u64>, seconds: i64) -> u64 {
    let worlds: Vec<World> = seeds.map(|seed| World::run(setting.clone(), seed, seconds)).collect();
    let calls: u64 = worlds.iter().map(over_counted).sum();
    let crashes: usize = worlds.iter().map(|world| world.journal.crashes.len()).sum();
    println!("{name}: {crashes} crashes over-count the day by {calls}");
    calls / crashes as u64
}

#[test]
fn a_crash_over_counts_a_day_by_what_was_left_of_a_block() {
    assert!(over_count("marketo 6/s", marketo(), 90..93, 3_600) <= 6);
    let fast = vec![window(2_600, 20), slots(60), daily(100_000_000, utc())];
    assert!(
        over_count("100/s", Setting { calls_per_second: 100.0, crash_every: 20.0, ..Setting::new(fast) }, 93..96, 900)
            <= 77
    );
    let ten = vec![slots(10), daily(100_000_000, utc())];
    assert!(
        over_count("10 slots", Setting { calls_per_second: 60.0, crash_every: 20.0, ..Setting::new(ten) }, 96..99, 900)
            <= 27
    );
}
