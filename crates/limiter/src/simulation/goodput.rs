//! The limit is used: safety that let nothing through would prove nothing.

use super::check::{Overruns, overruns};
use super::setting::{SECOND, Setting, limit, window};
use super::world::World;
use crate::Kind;

fn calm(limits: Vec<crate::Limit>, calls_per_second: f64) -> Setting {
    Setting { calls_per_second, crash_every: 0.0, slow: 0, lost: 0, held_up: 0, ..Setting::new(limits) }
}

#[test]
fn a_saturated_window_is_used_to_97_percent_over_three_hours() {
    let world = World::run(calm(vec![window(100, 20)], 6.0), 1, 3 * 3_600);
    assert_eq!(overruns(&world), Overruns::default());
    let most = 3.0 * 3_600.0 * 5.0;
    let used = world.journal.seen.len() as f64 / most;
    println!("window saturated: 0 refused by the vendor, {:.2} % of the limit used", used * 100.0);
    assert!(used >= 0.97, "{used}");
}

#[test]
fn a_saturated_bucket_runs_at_full_rate() {
    let bucket = limit("bucket", Kind::TokenBucket { rate_micro: 15_000_000, burst: 15 });
    let world = World::run(Setting { any_instant: false, ..calm(vec![bucket], 18.0) }, 2, 1_200);
    assert_eq!(overruns(&world), Overruns::default());
    let used = world.journal.seen.len() as f64 / (15.0 * 1_200.0);
    println!("bucket saturated: {:.2} % of the rate used", used * 100.0);
    assert!(used >= 0.97, "{used}");
}

#[test]
fn weights_three_to_one_share_a_saturated_window_three_to_one() {
    let setting = Setting {
        apps: vec![(3, 500, None), (1, 500, None)],
        queue: 400,
        patience: 30 * SECOND,
        ..calm(vec![window(50, 10)], 12.0)
    };
    let world = World::run(setting, 3, 1_200);
    let first = world.journal.seen.iter().filter(|seen| seen.app == 0).count() as f64;
    let ratio = first / (world.journal.seen.len() as f64 - first);
    assert!((2.7..3.3).contains(&ratio), "{ratio}");
}
