//! workerd is killed in the middle of a load, and started again on the same storage.

use serde_json::json;
use sluice_e2e::instance::{Start, panicking_build};
use sluice_e2e::{Ask, Tenant, World, load, tenant::limit};
use sluice_vendors::{CountAt, Kind, Limit, Spec, Vendor};
use std::time::Duration;
use tokio::time::{Instant, sleep};

tests![a_kill_in_mid_load_overruns_nothing_and_loses_no_count, a_panic_in_one_call_fails_that_call_alone];

async fn a_kill_in_mid_load_overruns_nothing_and_loses_no_count(_: &World) {
    let limits = vec![Limit::new("rate", Kind::window(100, 10)), Limit::new("slots", Kind::concurrency(10))];
    let spec = Spec::new("generic").jitter(20, 200).count_at(CountAt::Random).limits(limits);
    let vendor = Vendor::start(spec).unwrap();
    let instance = Start::fresh("crash").run();
    let tenant = Tenant::new(&instance, "crash");
    let more = json!({
        "limits": [
            {"name": "rate", "kind": "rolling_window", "calls": 100, "seconds": 10},
            {"name": "slots", "kind": "concurrency", "calls": 10},
            {"name": "day", "kind": "daily", "calls": 100_000, "reset": "00:00", "time_zone": "UTC"},
        ],
        "queue": {"size": 100, "max_wait_seconds": 60},
    });
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    let ask = Ask::get("/v/c/echo").key(&key);

    let loading = tokio::spawn({
        let (to, ask) = (tenant.to(), ask.clone());
        async move { load::saturate(to, &ask, 12, Duration::from_secs(55)).await }
    });
    // Twice: in the burst with slots full, and once the window is in its stride.
    sleep(Duration::from_millis(700)).await;
    let instance = again(instance.kill()).await;
    sleep(Duration::from_secs(14)).await;
    let instance = again(instance.kill()).await;
    let back_us = vendor.now_us();
    let done = loading.await.unwrap();
    let ended_us = vendor.now_us();

    let calls = vendor.calls();
    assert!(calls.refused().is_empty(), "the vendor refused {:?} of {}", calls.refused(), calls.0.len());
    let connection = tenant.until(&key, "all is settled", |c| c["in_flight"] == 0).await;
    let (counted, saw) = (limit(&connection, "day")["used"].as_u64().unwrap(), calls.passed() as u64);
    assert!(counted >= saw, "the day counts {counted}, the vendor saw {saw}");
    assert!(counted <= saw + 200, "the day counts {counted} after two crashes, the vendor saw {saw}");

    // The stall after a crash with everything in flight is at most the ceiling on an unknown call's life, then the window.
    let stall_us = first_after(&calls, back_us) - back_us;
    println!(
        "after the second kill: stalled {:.1} s; the day counts {counted}, the vendor saw {saw}",
        stall_us as f64 / 1e6
    );
    let rest = calls.only(|c| c.arrived_us > back_us + stall_us && c.arrived_us < ended_us);
    let possible = (ended_us - back_us - stall_us) as f64 / 10e6 * 100.0;
    assert!(rest.passed() as f64 >= 0.8 * (possible - 100.0), "{} of {possible:.0} possible calls", rest.passed());
    // Cut off by the kill, or unable to connect until the restart; never left without an end.
    let bad: Vec<_> = done.iter().filter(|d| d.answer.is_ok() && !d.good()).collect();
    assert!(bad.is_empty(), "{} calls had other answers, such as {:?}", bad.len(), bad.first());
    drop(instance);
}

/// Started again on the same storage and the same port.
async fn again(start: Start) -> sluice_e2e::Instance {
    tokio::task::spawn_blocking(|| start.run()).await.unwrap()
}

fn first_after(calls: &sluice_vendors::Calls, us: u64) -> u64 {
    calls.0.iter().map(|c| c.arrived_us).find(|at| *at > us).expect("a call after the restart")
}

async fn a_panic_in_one_call_fails_that_call_alone(_: &World) {
    let Some(build) = panicking_build() else {
        println!("not tried: there is no panicking build with panic=unwind");
        return;
    };
    let vendor = Vendor::start(Spec::new("generic").jitter(2000, 2000)).unwrap();
    let mut start = Start::fresh("panic");
    start.build = build;
    let instance = start.run();
    let tenant = Tenant::new(&instance, "panic");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let began = Instant::now();
    let (beside, panicked) = tokio::join!(tenant.get(&key, "/echo"), async {
        while vendor.in_service() == 0 {
            sleep(Duration::from_millis(20)).await;
        }
        Ask::get("/v/c/panic-trigger").key(&key).try_send(tenant.to()).await
    });
    beside.is_vendors(200);
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(panicked.is_ok_and(|answer| answer.status >= 500), "the call that panicked has failed");
    tenant.get(&key, "/echo").await.is_vendors(200);
    assert_eq!(vendor.calls().0.len(), 2);
}
