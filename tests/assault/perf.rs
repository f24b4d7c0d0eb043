//! Times of single events, not run by default: cargo test --test assault perf -- --ignored --nocapture --test-threads=1
use crate::rig::*;
use sluice::throttle::*;
use std::time::Instant;

fn apps(n: usize) -> Vec<AppRule> {
    (0..n).map(|i| AppRule { name: format!("app-{i:04}"), weight: 1, daily_calls: None }).collect()
}

fn vm() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmData")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// 1,000 apps with ten calls waiting each, behind a window.
fn crowd(n_apps: usize, each: usize, limits: Vec<Limit>, fill: usize) -> Rig {
    let names = apps(n_apps);
    let mut rig =
        Rig::new(Plan { apps: names.clone(), queue: QueueRule { size: 10_000, max_wait_ms: 30_000 }, ..plan(limits) });
    let mut permits = Vec::new();
    for i in 0..fill {
        permits.push(rig.try_now(&names[i % n_apps].name).unwrap().permit);
    }
    permits.into_iter().for_each(|permit| drop(rig.settle(permit, Outcome::Answered)));
    rig.now += 19_000;
    for _ in 0..each {
        for app in &names {
            if !matches!(rig.admit(call(&app.name)), Admission::Waiting(_)) {
                panic!("does not wait");
            }
        }
    }
    rig
}

#[test]
#[ignore]
fn perf_01_a_throttle_with_10_000_waiting() {
    for (n_apps, each) in [(1, 10_000), (100, 100), (1_000, 10)] {
        for pause in [2_000_u64, 60_000] {
            let limits = vec![
                window(12_000, 20),
                bucket(1_000_000, 1_000_000),
                slots(1_000_000),
                daily(100_000_000, zone("Etc/UTC")),
            ];
            let mut rig = crowd(n_apps, each, limits, 12_000);
            // One permit in flight whose vendor throttles. It was granted before: make room by a lane that nothing counts.
            let Admission::Granted(grant) = rig.admit(Call { mask: 0, ..call("app-0000") }) else { panic!() };
            let begin = Instant::now();
            rig.settle(grant.permit, Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: Some(pause) });
            let took = begin.elapsed();
            let mut refused = 0;
            while let Some((_, outcome)) = rig.throttle.next_ready() {
                refused += usize::from(outcome.is_err());
            }
            let begin = Instant::now();
            rig.throttle.next_wakeup();
            println!(
                "{n_apps} apps x {each} waiting, Retry-After {} s: the event takes {took:?} ({refused} refused); next_wakeup {:?}",
                pause / 1_000,
                begin.elapsed()
            );
        }
    }
}

#[test]
#[ignore]
fn perf_02_an_event_with_1_000_apps_waiting() {
    for (n_apps, each) in [(1, 10_000), (100, 100), (1_000, 10)] {
        let limits = vec![window(12_000, 20), slots(100), daily(100_000_000, zone("Etc/UTC"))];
        let names = apps(n_apps);
        let mut rig = Rig::new(Plan {
            apps: names.clone(),
            queue: QueueRule { size: 10_000, max_wait_ms: 30_000 },
            ..plan(limits)
        });
        let mut held = std::collections::VecDeque::new();
        for i in 0..100 {
            held.push_back(rig.try_now(&names[i % n_apps].name).unwrap().permit);
        }
        for _ in 0..each {
            for app in &names {
                rig.admit(call(&app.name));
            }
        }
        let depth = rig.throttle.queue().depth;
        let begin = Instant::now();
        let mut rows = 0;
        for n in 0..1_000 {
            rig.now += 1;
            let permit = held.pop_front().unwrap();
            rig.throttle.settle(
                rig.time(),
                Settlement { permit, attempt: 1, outcome: Outcome::Answered, since_headers_ms: 0, response_bytes: 0 },
            );
            rows += usize::from(rig.throttle.row_due().is_some());
            while let Some((_, outcome)) = rig.throttle.next_ready() {
                held.push_back(outcome.unwrap().permit);
            }
            let now = rig.time();
            rig.throttle.next_borrow(now);
            rig.throttle.daily_used();
            rig.throttle.next_wakeup();
        }
        println!(
            "{n_apps} apps, {depth} waiting: {:?} a settlement that lets one go ({rows} rows)",
            begin.elapsed() / 1_000
        );
    }
}

#[test]
#[ignore]
fn perf_03_limits_by_app_load_row_and_memory() {
    for (n_apps, n_limits) in [(100, 4), (1_000, 4), (1_000, 16), (1_000, 31)] {
        let limits: Vec<Limit> =
            (0..n_limits).map(|i| Limit { per_app: true, name: format!("l{i}"), ..window(10_000, 60 + i) }).collect();
        let make = || Plan { apps: apps(n_apps), ..plan(limits.clone()) };
        let before = vm();
        let mut rig = Rig::new(make());
        let begin = Instant::now();
        for app in apps(n_apps) {
            let Admission::Granted(grant) = rig.admit(call(&app.name)) else { panic!() };
            rig.settle(grant.permit, Outcome::Answered);
        }
        let first = begin.elapsed();
        let memory = vm() - before;
        let begin = Instant::now();
        for app in apps(100) {
            rig.call(&app.name).unwrap();
        }
        let event = begin.elapsed() / 200;
        rig.throttle.require_row();
        let begin = Instant::now();
        let row = rig.throttle.row_due().unwrap();
        let stored = begin.elapsed();
        let begin = Instant::now();
        let mut next = Throttle::load(make(), &row, rig.time(), SKEW_MS).unwrap();
        let loaded = begin.elapsed();
        let begin = Instant::now();
        let n = next.limits().len();
        let shown = begin.elapsed();
        let begin = Instant::now();
        next.daily_used();
        next.next_wakeup();
        println!(
            "{n_apps} apps, {n_limits} windows by app: first calls {first:?}, then {event:?} an event with its row; row {} bytes in {stored:?}; load {loaded:?}; limits() {shown:?}; memory + {} kB",
            row.len(),
            memory
        );
    }
}

#[test]
#[ignore]
fn perf_04_rows_of_full_windows_by_app() {
    for n_apps in [100_usize, 300, 1_000] {
        let limits = vec![Limit { per_app: true, ..window(2_000, 3_600) }];
        let mut rig = Rig::new(Plan { apps: apps(n_apps), ..plan(limits) });
        let names = apps(n_apps);
        for i in 0..2_000 {
            rig.now += 1_700;
            for app in &names {
                let Admission::Granted(grant) = rig.throttle.admit(rig.time(), Call { id: 0, ..call(&app.name) })
                else {
                    panic!()
                };
                rig.throttle.settle(
                    rig.time(),
                    Settlement {
                        permit: grant.permit,
                        attempt: 1,
                        outcome: Outcome::Answered,
                        since_headers_ms: 0,
                        response_bytes: 0,
                    },
                );
                rig.throttle.next_job();
            }
        }
        rig.throttle.require_row();
        let begin = Instant::now();
        let row = rig.throttle.row_due().unwrap();
        println!(
            "{n_apps} apps, each with its window of 2,000 an hour full: row {} bytes in {:?} (a row of SQLite in an object: 2 MB at most)",
            row.len(),
            begin.elapsed()
        );
    }
}

#[test]
#[ignore]
fn perf_05_old_leases_that_a_limit_does_not_count() {
    let after = limit("slow", Kind::Concurrency { calls: 25, after_ms: 20_000 });
    let mut rig = Rig::new(plan(vec![after]));
    for _ in 0..19_900 {
        rig.admit(Call { mask: 0, ..call("a") });
    }
    rig.now += 30_000;
    let begin = Instant::now();
    for _ in 0..100 {
        rig.call("b").unwrap();
    }
    println!("19,900 leases older than after_seconds under other routes: {:?} a call", begin.elapsed() / 100);
}

#[test]
#[ignore]
fn perf_06_asking_again() {
    let mut rig = Rig::new(plan(vec![]));
    for _ in 0..19_900 {
        rig.admit(call("a"));
    }
    let begin = Instant::now();
    for _ in 0..100 {
        let grant = rig.admit(Call { again: true, ..call("b") });
    }
    println!("19,900 leases: {:?} an ask again", begin.elapsed() / 100);
}

#[test]
#[ignore]
fn perf_07_routes() {
    use sluice::policy::Routes;
    let written: Vec<String> = (0..100).map(|i| format!("GET /services/data/*/sobjects/Object{i}/**")).collect();
    let routes: Vec<Routes> = (0..32).map(|_| Routes::of(&written)).collect();
    for path in [
        "/services/data/v60.0/sobjects/Account/1",
        "/services/data/v60.0/sobjects/Account/1;x%2f/",
        &format!("/services/data/v60.0/sobjects{}", "/a;b%2fc%3bd//".repeat(200)),
    ] {
        let begin = Instant::now();
        let mut n = 0;
        for _ in 0..10 {
            n += routes.iter().filter(|routes| routes.matches("GET", path)).count();
        }
        println!("32 limits of 100 routes each, a path of {} bytes: {:?} a call", path.len(), begin.elapsed() / 10);
    }
}

#[test]
#[ignore]
fn perf_08_jobs_of_many_apps() {
    for n_apps in [10_usize, 100, 1_000] {
        let names = apps(n_apps);
        let mut rig =
            Rig::new(Plan { apps: names.clone(), ..plan(vec![slots(10), daily(1_000_000, zone("Etc/UTC"))]) });
        let held: Vec<_> = (0..10).map(|i| rig.try_now(&names[i % n_apps].name).unwrap().permit).collect();
        // What the desk does at each event (sync_jobs): says again what each lane wants.
        let say = |rig: &mut Rig| {
            for app in &names {
                let now = rig.time();
                rig.throttle.want(now, &app.name, u32::MAX, 20, 5).unwrap();
            }
        };
        say(&mut rig);
        let begin = Instant::now();
        for _ in 0..100 {
            say(&mut rig);
        }
        let idle = begin.elapsed() / 100;
        println!("{n_apps} apps with jobs that wait: {idle:?} to say what they want, at each event of the connection");
    }
}

fn memory_of(n_limits: u64, replan: bool) {
    let limits: Vec<Limit> =
        (0..n_limits).map(|i| Limit { per_app: true, name: format!("l{i}"), ..window(2_048, 60 + i) }).collect();
    let make = || Plan { apps: apps(1_000), ..plan(limits.clone()) };
    let before = vm();
    let mut rig = Rig::new(make());
    for app in apps(1_000) {
        let Admission::Granted(grant) = rig.throttle.admit(rig.time(), Call { id: 0, ..call(&app.name) }) else {
            panic!()
        };
        rig.throttle.settle(
            rig.time(),
            Settlement {
                permit: grant.permit,
                attempt: 1,
                outcome: Outcome::Answered,
                since_headers_ms: 0,
                response_bytes: 0,
            },
        );
    }
    let after = vm();
    println!("1,000 apps, {n_limits} windows of 2,048 by app, one call of each: + {} kB", after - before);
    if replan {
        // Both are held while one is made from the other.
        let now = rig.time();
        let row = {
            rig.throttle.require_row();
            rig.throttle.row_due().unwrap()
        };
        let next = Throttle::load(make(), &row, now, 0).unwrap();
        println!("and while the policy is put: + {} kB", vm() - before);
        drop(next);
    }
}

#[test]
#[ignore]
fn mem_1() {
    memory_of(1, true)
}
#[test]
#[ignore]
fn mem_2() {
    memory_of(2, true)
}
#[test]
#[ignore]
fn mem_4() {
    memory_of(4, false)
}
