//! Measures what watchers of the live status cost a tenant's calls: the same load with and without
//! them, in turns, in one run.
//!
//! `cargo run --release -p sluice-e2e --bin watchers [WATCHERS [ROUNDS]]` prints JSON; `SLUICE_BUILD`
//! names the build.

use serde_json::{Value, json};
use sluice_e2e::instance::Start;
use sluice_e2e::{Ask, Tenant, secrets};
use sluice_mock_upstreams::{Spec, Vendor};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};

/// The length of a turn, and how long it runs before its calls count.
const TURN: Duration = Duration::from_secs(5);
const WARM: Duration = Duration::from_millis(500);
/// The time between two calls: the load of a busy tenant.
const EVERY: Duration = Duration::from_millis(20);

/// The results of a turn: the milliseconds of each call and of its wait for a permit, and the
/// pushes to each watcher.
#[derive(Default)]
struct Turn {
    took: Vec<f64>,
    waited: Vec<f64>,
    pushes: Vec<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    tokio::task::LocalSet::new().run_until(measure()).await;
}

async fn measure() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>().expect("a number"));
    let (watchers, rounds) = (numbers.next().unwrap_or(200), numbers.next().unwrap_or(6));
    let vendor = Vendor::start(Spec::new("generic").limits(vec![]).jitter(5, 5)).expect("the vendor starts");
    let instance = Start::fresh("watchers").run();
    let tenant = Tenant::new(&instance, "watched");
    let limit = json!({"name": "rate", "kind": "rolling_window", "calls": 10_000, "seconds": 10});
    let key = tenant.simple("generic", &vendor.url(), &json!({"limits": [limit]})).await;
    // An app may not watch in so many places, but people may.
    let (viewer, _) = tenant.make_key(&json!({"role": "viewer"})).await;
    turn(&tenant, &key, &viewer, 0).await;
    let (mut without, mut with) = (Turn::default(), Turn::default());
    for round in 0..rounds {
        // Each of the two comes first as often as second.
        for on in [round % 2 == 0, round % 2 == 1] {
            let seen = turn(&tenant, &key, &viewer, if on { watchers } else { 0 }).await;
            let all = if on { &mut with } else { &mut without };
            all.took.extend(seen.took);
            all.waited.extend(seen.waited);
            all.pushes.extend(seen.pushes);
        }
    }
    let (took, took_watched) = (shares(&mut without.took), shares(&mut with.took));
    let waits = json!({"without": shares(&mut without.waited), "with": shares(&mut with.waited)});
    let seconds = TURN.as_secs_f64();
    let per_second = |pushes: Option<&u64>| pushes.map(|pushes| *pushes as f64 / seconds);
    let report = json!({
        "section": "watchers", "watchers": watchers, "rounds": rounds, "turn_s": seconds,
        "calls_per_second": 1_000 / EVERY.as_millis(), "calls": without.took.len() + with.took.len(),
        "call_ms": {"without": took, "with": took_watched}, "queue_ms": waits,
        "median_ratio": took_watched["p50"].as_f64().zip(took["p50"].as_f64()).map(|(with, without)| with / without),
        "pushes_per_second": {"least": per_second(with.pushes.iter().min()), "most": per_second(with.pushes.iter().max())},
    });
    println!("{report}");
    drop(instance);
    secrets::clean();
}

/// Runs a turn of calls with this many watchers.
async fn turn(tenant: &Tenant, key: &str, viewer: &str, watchers: usize) -> Turn {
    let mut watching = JoinSet::new();
    let pushes: Rc<Vec<Cell<u64>>> = Rc::new(vec![Cell::new(0); watchers]);
    for watcher in 0..watchers {
        let mut live = tenant.open(&Ask::live_status(viewer)).await;
        assert_eq!(live.answer().status, 101, "{:?}", live.answer());
        let pushes = Rc::clone(&pushes);
        watching.spawn_local(async move {
            while live.message().await.is_ok() {
                pushes[watcher].set(pushes[watcher].get() + 1);
            }
        });
    }
    let (mut calls, from) = (JoinSet::new(), Instant::now());
    let mut ticks = interval_at(from, EVERY);
    let mut warm = false;
    while from.elapsed() < WARM + TURN {
        ticks.tick().await;
        let counts = from.elapsed() > WARM;
        if counts && !std::mem::replace(&mut warm, true) {
            pushes.iter().for_each(|pushes| pushes.set(0));
        }
        let (to, ask) = (tenant.to(), Ask::get("/v/c/echo").key(key));
        calls.spawn(async move { counts.then_some(ask.send(to).await) });
    }
    let mut seen = Turn { pushes: pushes.iter().map(Cell::get).collect(), ..Turn::default() };
    for answer in calls.join_all().await.into_iter().flatten() {
        assert_eq!(answer.status, 200, "{answer:?}");
        seen.took.push(answer.took.as_secs_f64() * 1e3);
        seen.waited.push(waited(answer.header("server-timing").unwrap_or_default()));
    }
    watching.shutdown().await;
    seen
}

/// Reads `queue;dur=` of a `Server-Timing` field.
fn waited(timing: &str) -> f64 {
    let queue = timing.split(',').find_map(|item| item.trim().strip_prefix("queue;dur="));
    queue.and_then(|ms| ms.parse().ok()).unwrap_or(f64::NAN)
}

/// Returns the median and other percentiles.
fn shares(all: &mut [f64]) -> Value {
    all.sort_by(f64::total_cmp);
    let at = |share: f64| all.get((share * (all.len() - 1) as f64) as usize).copied();
    json!({"p50": at(0.5), "p90": at(0.9), "p99": at(0.99)})
}
