//! Measures a tenant's state while ten and while ten thousand calls or jobs wait: how long each
//! event takes, and how much memory each call or job.
//!
//! `cargo bench -p sluice-bench --bench tenant` runs it. As with `core`, `SLUICE_BENCH_JSON=FILE` writes
//! the figures to FILE.

use allocation_counter::measure;
use criterion::{BenchmarkId, Criterion};
use serde_json::{Value, json};
use sluice_bench::estimates::{Estimates, report};
use sluice_bench::tenant::Tenant;
use std::time::Duration;

/// How many calls or jobs wait.
const WAITING: [usize; 2] = [10, 10_000];

type Make = fn(usize) -> Tenant;
type Event = fn(&mut Tenant);
/// What is measured: its name, how the tenant is made, and the event.
const EVENTS: [(&str, Make, Event); 5] = [
    ("turn", Tenant::with_calls, Tenant::turn),
    ("leave", Tenant::with_calls, Tenant::leave),
    ("again", Tenant::with_calls, Tenant::ask_again),
    ("job", Tenant::with_jobs, Tenant::job),
    ("job_of_apps", Tenant::with_jobs_of_apps, Tenant::job),
];

fn main() {
    let estimates = Estimates::new(env!("CARGO_TARGET_TMPDIR"));
    let mut criterion = Criterion::default()
        .output_directory(estimates.folder())
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_secs(1))
        .configure_from_args();
    for (name, make, event) in EVENTS {
        let mut group = criterion.benchmark_group(format!("tenant_{name}"));
        for waiting in WAITING {
            let mut tenant = make(waiting);
            group.bench_function(BenchmarkId::from_parameter(waiting), |bencher| bencher.iter(|| event(&mut tenant)));
        }
    }
    criterion.final_summary();
    report(&WAITING.map(|waiting| figures(&estimates, waiting)).to_vec().into());
}

fn figures(estimates: &Estimates, waiting: usize) -> Value {
    let ns = |name: &str| estimates.median(&format!("tenant_{name}/{waiting}"));
    let bytes = |make: Make| {
        let of = |n: usize| measure(|| std::mem::forget(make(n))).bytes_current;
        (of(waiting) - of(0)) / i64::try_from(waiting).unwrap_or(1)
    };
    json!({
        "waiting": waiting,
        "turn_ns": ns("turn"),
        "leave_ns": ns("leave"),
        "job_ns": ns("job"),
        "job_of_apps_ns": ns("job_of_apps"),
        "again_ns": ns("again"),
        "bytes_each": { "call": bytes(Tenant::with_calls), "job": bytes(Tenant::with_jobs) },
    })
}
