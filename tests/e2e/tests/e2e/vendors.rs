//! Each vendor under twice the load that it takes, for half a minute, all at the same time: no
//! vendor refuses a call, and none is left idle.

use serde_json::{Value, json};
use sluice_e2e::{Ask, World};
use sluice_mock_upstreams::{Calls, Handle, Kind, Limit, Spec, Vendor};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep};

tests![every_vendor_is_used_to_nine_tenths_and_refuses_nothing];

/// How many callers each vendor has.
const CALLERS: usize = 8;
const LENGTH: Duration = Duration::from_secs(30);

/// How much of a vendor's limit was used, in hundredths.
enum Used {
    /// This many calls take this many seconds at full rate.
    Rate(usize, f64),
    /// This many calls at once, all of which stay in flight.
    Slots(usize),
    /// This many calls in total.
    All(usize),
}

struct Load {
    vendor: &'static str,
    spec: Spec,
    more: Value,
    ask: Ask,
    /// How many calls each caller has in flight at a time.
    each: usize,
    used: Used,
}

fn load(vendor: &'static str, path: &str, used: Used) -> Load {
    let each = if matches!(used, Used::Slots(_)) { 3 } else { 1 };
    let spec = Spec::new(vendor).jitter(5, 40);
    Load { vendor, spec, more: json!({}), ask: Ask::get(&format!("/v/c{path}")), each, used }
}

fn loads() -> Vec<Load> {
    let day = |calls| json!([{"name": "daily", "kind": "daily", "calls": calls, "reset": "00:00", "time_zone": "UTC"}]);
    let slow = |load: Load| Load { spec: load.spec.clone().jitter(2_000, 4_000), ..load };
    let posting = |load: Load, body: &str| Load {
        ask: Ask::post(&load.ask.target, body).with("Content-Type", "application/json"),
        ..load
    };
    vec![
        Load {
            more: json!({"share": 1}),
            // The first call of the second window comes when the first window is over.
            ..load("marketo", "/rest/v1/leads/describe.json", Used::Rate(100, 20.0))
        },
        load("hubspot", "/crm/v3/objects/contacts", Used::Rate(200, 20.0)),
        // The bucket admits a burst of 15, then 15 a second.
        load("aprimo", "/api/core/records", Used::Rate(15 + 15 * 25, 25.0)),
        Load {
            spec: Spec::new("salesforce").jitter(5, 40).limits(vec![Limit::new("daily", Kind::window(200, 86_400))]),
            more: json!({"limits": [{"name": "daily", "kind": "rolling_day", "calls": 200}]}),
            ..load("salesforce", "/services/data/v62.0/query", Used::All(200))
        },
        slow(load("mailchimp", "/3.0/lists", Used::Slots(10))),
        slow(posting(load("ga4-data", "/v1beta/properties/1:runReport", Used::Slots(10)), "{}")),
        posting(load("ga4-mp", "/debug/mp/collect?measurement_id=1", Used::All(20)), r#"{"events":[{"name":"a"}]}"#),
        // A window of a second loses one latency a second.
        Load { spec: Spec::new("keap").jitter(2, 10), ..load("keap", "/crm/rest/v2/contacts", Used::Rate(200, 20.0)) },
        Load {
            spec: Spec::new("keap-oauth").jitter(5, 40).limits(vec![Limit::new("daily", Kind::daily(200, 0))]),
            more: json!({"limits": day(200)}),
            ..load("keap-oauth", "/crm/rest/v2/contacts", Used::All(200))
        },
    ]
}

async fn every_vendor_is_used_to_nine_tenths_and_refuses_nothing(world: &World) {
    let mut idle = Vec::new();
    let mut running = tokio::task::JoinSet::new();
    for load in loads() {
        running.spawn(one(begin(world, load).await));
    }
    while let Some(found) = running.join_next().await {
        let (vendor, used) = found.unwrap();
        if used < 0.9 {
            idle.push(vendor);
        }
    }
    // How much is used also depends on the machine while other tests run on it. A vendor that was
    // left idle among all of them is tried once more by itself.
    for load in loads().into_iter().filter(|load| idle.contains(&load.vendor)) {
        let (vendor, used) = one(begin(world, load).await).await;
        assert!(used >= 0.9, "{vendor}: {:.1} % used", used * 100.0);
    }
}

/// Starts a vendor, and makes a tenant to call it through.
async fn begin(world: &World, load: Load) -> (SocketAddr, Handle, Load) {
    let vendor = Vendor::start(load.spec.clone()).unwrap();
    let tenant = world.tenant(load.vendor);
    let key = tenant.simple(load.vendor, &vendor.url(), &load.more).await;
    (tenant.to(), vendor, Load { ask: load.ask.key(&key).wait(5), ..load })
}

/// Returns how much of the vendor's limit was used. The vendor must have refused nothing.
async fn one((to, vendor, load): (SocketAddr, Handle, Load)) -> (&'static str, f64) {
    saturate(to, &load.ask, CALLERS * load.each).await;
    let calls = vendor.calls();
    let used = match load.used {
        Used::Rate(nth, seconds) => calls.since_first_us().get(nth).map_or(0.0, |us| seconds * 1e6 / *us as f64),
        Used::Slots(slots) => full(&calls, slots),
        Used::All(all) => calls.passed() as f64 / all as f64,
    };
    println!("{}: {} calls, {:.1} % used", load.vendor, calls.0.len(), used * 100.0);
    assert!(calls.refused().is_empty(), "{} refused {:?}", load.vendor, calls.refused());
    (load.vendor, used)
}

/// Lets callers call, and rest for a second when Sluice refuses: a spent limit is not reached
/// faster by more calls.
async fn saturate(to: SocketAddr, ask: &Ask, callers: usize) {
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let ask = ask.clone();
        tasks.spawn(async move {
            while began.elapsed() < LENGTH {
                if ask.send(to).await.sluice_reason().is_some() {
                    sleep(Duration::from_secs(1)).await;
                }
            }
        });
    }
    tasks.join_all().await;
}

/// Returns the part of the load's time in which all slots were taken.
fn full(calls: &Calls, slots: usize) -> f64 {
    let from = calls.0.first().map_or(0, |call| call.arrived_us);
    let to = from + u64::try_from(LENGTH.as_micros()).unwrap_or(0);
    let mut steps: Vec<(u64, i64)> = Vec::new();
    for call in &calls.0 {
        steps.push((call.arrived_us, 1));
        steps.push((call.ended_us.unwrap_or(u64::MAX), -1));
    }
    steps.sort_unstable();
    let (mut held, mut since, mut time) = (0_i64, from, 0);
    for (at, step) in steps {
        if usize::try_from(held).is_ok_and(|held| held >= slots) {
            time += at.min(to).saturating_sub(since);
        }
        held += step;
        since = at.min(to);
    }
    time as f64 / LENGTH.as_micros() as f64
}
