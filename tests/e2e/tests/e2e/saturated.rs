//! A rolling window under more load than it admits, for a minute, with a vendor that counts at a
//! random instant.

use serde_json::json;
use sluice_e2e::{Ask, World, load};
use sluice_mock_upstreams::{CountAt, Kind, Limit, Spec, Vendor};
use std::time::Duration;

tests![a_rolling_window_is_used_to_93_percent_and_never_overrun, ten_slots_are_kept_full_and_never_overrun];

async fn a_rolling_window_is_used_to_93_percent_and_never_overrun(world: &World) {
    let spec = Spec::new("generic").jitter(20, 400).count_at(CountAt::Random);
    let vendor = Vendor::start(spec.limits(vec![Limit::new("rate", Kind::window(100, 10))])).unwrap();
    let tenant = world.tenant("saturated");
    let more = json!({
        "limits": [{"name": "rate", "kind": "rolling_window", "calls": 100, "seconds": 10}],
        "queue": {"size": 100, "max_wait_seconds": 60},
    });
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    let done = load::saturate(tenant.to(), &Ask::get("/v/c/echo").key(&key), 16, Duration::from_secs(60)).await;

    let calls = vendor.calls();
    assert!(calls.refused().is_empty(), "the vendor refused {:?} of {}", calls.refused(), calls.0.len());
    assert!(done.iter().all(load::Done::good), "{:?}", done.iter().find(|d| !d.good()));
    // Five windows' worth of calls are timed from the first on, so that the edge of an interval
    // does not matter.
    let took_s = calls.since_first_us()[500] as f64 / 1e6;
    let used = 50.0 / took_s;
    println!("rolling window, 16 callers, 60 s: {} calls, {:.1} % of the limit", calls.0.len(), used * 100.0);
    assert!(used >= 0.93, "{:.1} % of the limit used", used * 100.0);
}

async fn ten_slots_are_kept_full_and_never_overrun(world: &World) {
    let spec = Spec::new("generic").jitter(50, 250);
    let vendor = Vendor::start(spec.limits(vec![Limit::new("concurrent", Kind::concurrency(10))])).unwrap();
    let tenant = world.tenant("slots");
    let more = json!({
        "limits": [{"name": "concurrent", "kind": "concurrency", "calls": 10}],
        "queue": {"size": 100, "max_wait_seconds": 60},
    });
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    let done = load::saturate(tenant.to(), &Ask::get("/v/c/echo").key(&key), 20, Duration::from_secs(10)).await;
    let calls = vendor.calls();
    assert!(calls.refused().is_empty(), "the vendor refused {:?} of {}", calls.refused(), calls.0.len());
    assert_eq!(calls.most_at_once(), 10);
    assert!(done.iter().all(load::Done::good));
}
