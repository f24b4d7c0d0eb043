//! What waiting calls cost: thousands may wait in one isolate.

use serde_json::{Value, json};
use sluice_e2e::instance::{Start, tests_build};
use sluice_e2e::{Ask, Tenant, World};
use sluice_mock_upstreams::{Spec, Vendor};
use tokio::task::JoinSet;

tests![a_call_that_waits_holds_less_than_5_kb_of_wasm_memory];

const WAITING: u64 = 800;

/// Rust gives a future that awaits another room for both, and before a fix every call had room for
/// each of its steps: 11 kB.
async fn a_call_that_waits_holds_less_than_5_kb_of_wasm_memory(_: &World) {
    let Some(build) = tests_build() else {
        assert!(std::env::var_os("CI").is_none(), "there is no build for the tests");
        println!("not tried: there is no build for the tests");
        return;
    };
    // Worker and object are in one isolate here, so both count.
    let instance = Start { build, ..Start::fresh("waiting") }.run();
    // The call in the one slot keeps it for longer than this takes.
    let vendor = Vendor::start(Spec::new("generic").limits(vec![]).jitter(60_000, 60_000)).unwrap();
    let tenant = Tenant::new(&instance, "waiting");
    let limits = json!([{"name": "slots", "kind": "concurrency", "calls": 1}]);
    let more = json!({"limits": limits, "queue": {"size": WAITING, "max_wait_seconds": 3600}});
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    let memory = async || tenant.get(&key, "/wasm-memory").await.json().as_u64().unwrap();
    let before = memory().await;
    let depth = |connection: &Value| connection["queue"]["depth"].as_u64();
    let mut waiting = JoinSet::new();
    for _ in 0..WAITING {
        let (to, ask) = (tenant.to(), Ask::get("/v/c/echo").key(&key));
        waiting.spawn(async move { ask.try_send(to).await });
    }
    // One of them has the slot.
    tenant.until(&key, "all wait", |c| depth(c).is_some_and(|depth| depth >= WAITING - 1)).await;
    let held = (memory().await - before) / WAITING;
    waiting.abort_all();
    println!("a call that waits holds {held} bytes of the Wasm's memory");
    assert!(held < 5_000, "a call that waits holds {held} bytes of the Wasm's memory");
}
