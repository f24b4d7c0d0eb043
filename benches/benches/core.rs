//! Measures admission and settlement by themselves, in nanoseconds and allocations: beside
//! `governor`, and while other calls wait.
//!
//! `cargo bench -p sluice-bench --bench core` prints Criterion's report and then the figures as JSON,
//! which `SLUICE_BENCH_JSON=FILE` writes to FILE instead. Filters and Criterion's options go behind `--`.

use allocation_counter::measure;
use criterion::measurement::{Measurement, WallTime};
use criterion::{BenchmarkId, Criterion};
use governor::clock::FakeRelativeClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde_json::{Value, json};
use sluice_bench::estimates::{Estimates, report};
use sluice_bench::marketo::{BURST, Connection};
use sluice_core::policy::{Matcher, Routes};
use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::Duration;

/// How many calls wait.
const WAITING: [usize; 3] = [1, 1_000, 100_000];
/// How many calls wait before the queue drains. With fewer than a burst the clock would take most
/// of the time that is measured.
const DRAINED: [usize; 3] = [10, 1_000, 100_000];

fn main() {
    let estimates = Estimates::new(env!("CARGO_TARGET_TMPDIR"));
    let mut criterion = Criterion::default()
        .output_directory(estimates.folder())
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1))
        .configure_from_args();
    admit_and_settle(&mut criterion);
    governor(&mut criterion);
    while_others_wait(&mut criterion);
    drained(&mut criterion);
    by_routes(&mut criterion);
    criterion.final_summary();
    report(&figures(&estimates));
}

/// Measures admission and settlement on a connection on which no call waits.
fn admit_and_settle(criterion: &mut Criterion) {
    let mut connection = Connection::idle();
    criterion.benchmark_group("core").bench_function("admit_settle", |bencher| {
        bencher.iter_custom(|calls| bursts(&mut connection, calls, Connection::call));
    });
}

/// Measures the part of this that governor does: it checks one rate and takes one call from it.
fn governor(criterion: &mut Criterion) {
    let quota = Quota::per_second(NonZeroU32::MIN.saturating_add(999_999_999));
    let limiter: DefaultKeyedRateLimiter<&str> = RateLimiter::keyed(quota);
    let mut group = criterion.benchmark_group("core");
    group.bench_function("governor", |bencher| {
        bencher.iter(|| black_box(limiter.check_key(black_box(&"crm-sync"))).is_ok());
    });
    let clock = FakeRelativeClock::default();
    let limiter: RateLimiter<&str, DefaultKeyedStateStore<&str>, FakeRelativeClock, NoOpMiddleware<Nanos>> =
        RateLimiter::new(quota, DefaultKeyedStateStore::default(), clock.clone());
    group.bench_function("governor_without_clock", |bencher| {
        bencher.iter(|| {
            clock.advance(Duration::from_millis(10));
            black_box(limiter.check_key(black_box(&"crm-sync"))).is_ok()
        });
    });
}

/// Measures admission and settlement while calls of another app wait, and where all calls wait for
/// one limit: a call comes and waits, another ends, and the first that waits goes.
fn while_others_wait(criterion: &mut Criterion) {
    type Make = fn(usize) -> Connection;
    type Step = fn(&mut Connection);
    let ways: [(&str, Make, Step); 2] =
        [("beside", Connection::beside, Connection::call), ("turn", Connection::waiting, Connection::turn)];
    for (name, make, step) in ways {
        let mut group = criterion.benchmark_group(name);
        for waiting in WAITING {
            group.bench_function(BenchmarkId::from_parameter(waiting), |bencher| {
                let mut connection = make(waiting);
                bencher.iter_custom(|calls| bursts(&mut connection, calls, step));
                assert_eq!(connection.depth(), waiting);
            });
        }
    }
}

/// Measures how the queue drains: a call ends and the first that waits goes, until none waits.
fn drained(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("drain");
    for waiting in DRAINED {
        group.bench_function(BenchmarkId::from_parameter(waiting), |bencher| {
            let mut connection = Connection::waiting(waiting);
            bencher.iter_custom(|calls| {
                let mut took = Duration::ZERO;
                let mut left = calls;
                while left > 0 {
                    // The first call of a burst is not measured.
                    if connection.depth() < 2 {
                        connection.fill(waiting - connection.depth());
                    }
                    let now = left.min(BURST).min(connection.depth() as u64 - 1);
                    connection.begin_burst(Connection::serve);
                    took += timed(&mut connection, now, Connection::next);
                    left -= now;
                }
                took
            });
        });
    }
}

/// Measures how it is decided which of 32 limits with 100 routes each count a call: for a plain
/// path, one that can be read in several ways, and a long one of those.
fn by_routes(criterion: &mut Criterion) {
    let written: Vec<String> = (0..100).map(|at| format!("GET /services/data/*/sobjects/Object{at}/**")).collect();
    let lists = vec![Routes::of(&written); 32];
    let matcher = Matcher::of(&lists);
    let mut group = criterion.benchmark_group("routes");
    for (name, path) in routed_paths() {
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(&matcher).mask(black_box("GET"), black_box(&path)));
        });
    }
    group.bench_function("compile", |bencher| bencher.iter(|| Matcher::of(black_box(&lists))));
}

fn routed_paths() -> [(&'static str, String); 3] {
    let begin = "/services/data/v60.0/sobjects";
    [
        ("plain", format!("{begin}/Account/1")),
        ("several", format!("{begin}/Account/1;x%2f/")),
        ("long", format!("{begin}{}", "/a;b%2fc%3bd//".repeat(200))),
    ]
}

/// Makes `calls` calls in bursts, and returns how long they took without what lies between bursts.
fn bursts(connection: &mut Connection, calls: u64, step: fn(&mut Connection)) -> Duration {
    let mut took = Duration::ZERO;
    let mut left = calls;
    while left > 0 {
        connection.begin_burst(step);
        let now = left.min(BURST);
        took += timed(connection, now, step);
        left -= now;
    }
    took
}

fn timed(connection: &mut Connection, calls: u64, step: fn(&mut Connection)) -> Duration {
    let began = WallTime.start();
    for _ in 0..calls {
        step(connection);
    }
    let took = WallTime.end(began);
    connection.store();
    took
}

/// Returns the allocations of one call within a burst, the most of ten bursts.
fn allocations(connection: &mut Connection, step: fn(&mut Connection)) -> u64 {
    let of_burst = |connection: &mut Connection| {
        connection.begin_burst(step);
        measure(|| (0..BURST).for_each(|_| step(connection))).count_total.div_ceil(BURST)
    };
    (0..10).map(|_| of_burst(connection)).max().unwrap_or_default()
}

fn figures(estimates: &Estimates) -> Value {
    let by_length = WAITING.map(|waiting| {
        let ns = |name: &str| {
            estimates.median(&format!("{name}/{}", if name == "drain" { waiting.max(10) } else { waiting }))
        };
        let (mut beside, mut full) = (Connection::beside(waiting), Connection::waiting(waiting));
        let allocations = allocations(&mut beside, Connection::call).max(allocations(&mut full, Connection::turn));
        json!({
            "waiting": waiting,
            "admit_settle_ns": ns("beside"),
            "turn_ns": ns("turn"),
            "drain_ns": ns("drain"),
            "allocations": allocations,
        })
    });
    json!({
        "admit_settle_ns": estimates.median("core/admit_settle"),
        "governor_ns": estimates.median("core/governor"),
        "governor_without_clock_ns": estimates.median("core/governor_without_clock"),
        "allocations": allocations(&mut Connection::idle(), Connection::call),
        "queue": by_length,
        "routes_ns": routed_paths().map(|(name, _)| estimates.median(&format!("routes/{name}"))),
    })
}
