//! Measures what a connection of a thousand apps costs: rows, single events, opening, memory.
//!
//! `cargo bench -p sluice-bench --bench crowd` prints the figures as JSON, which
//! `SLUICE_BENCH_JSON=FILE` writes to FILE instead. A single event is timed several times, each time
//! on a connection made for it, and its figure is the median.

use allocation_counter::measure;
use criterion::measurement::{Measurement, WallTime};
use serde_json::json;
use sluice_bench::crowd::Crowd;
use sluice_bench::estimates::report;
use sluice_bench::tenant::Tenant;
use std::hint::black_box;
use std::time::Duration;

/// How many times an event is timed.
const RUNS: usize = 9;
/// How many short events are timed together.
const EVENTS: u32 = 1_000;
/// The apps of the largest tenant.
const APPS: usize = 1_000;
/// How many calls, or jobs, wait.
const WAITING: usize = 10_000;

fn main() {
    let mut full = Crowd::with_full_windows(1);
    let mut most = Crowd::with_most_windows();
    let (full_row, most_row) = (full.row(), most.row());
    let rows_a_call = [1, 100, APPS].map(|apps| json!({"apps": apps, "rows": Crowd::roomy(apps).rows_a_call()}));
    report(&json!({
        "rows_a_call": rows_a_call,
        "throttled_ms": ms(median(|| Crowd::behind_a_window(APPS), 1, Crowd::throttled)),
        "turn_ns": nanos(median(|| Crowd::behind_slots(APPS), EVENTS, Crowd::turn)),
        "open_ms": ms(median(|| (), 1, |()| drop(black_box(most.open(&most_row))))),
        "put_ms": ms(median(|| Tenant::with_calls_of_apps(WAITING, APPS), 1, Tenant::put_policy)),
        "refused_beside_jobs_ns": nanos(median(|| Tenant::with_jobs_of_apps(WAITING), EVENTS, Tenant::refuse)),
        "job_ns": nanos(median(|| Tenant::with_jobs_of_apps(WAITING), EVENTS, Tenant::job)),
        "memory_bytes": measure(|| std::mem::forget(Crowd::with_windows_by_app(4))).bytes_current,
        "row_bytes": {"full_windows": full_row.len(), "most_windows": most_row.len()},
    }));
}

/// Returns the median time of one of `events` events, each time on what `make` makes for them.
fn median<T>(mut make: impl FnMut() -> T, events: u32, mut event: impl FnMut(&mut T)) -> Duration {
    let mut run = || {
        let mut subject = make();
        let began = WallTime.start();
        (0..events).for_each(|_| event(&mut subject));
        WallTime.end(began) / events
    };
    let mut times: Vec<Duration> = (0..RUNS).map(|_| run()).collect();
    times.sort_unstable();
    times.get(RUNS / 2).copied().unwrap_or_default()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}
