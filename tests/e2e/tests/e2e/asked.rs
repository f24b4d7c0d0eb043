//! How many requests a call makes to its tenant's object. Each is billed, and one that is sent
//! again and again must still be answered.

use serde_json::{Value, json};
use sluice_e2e::instance::{Instance, Start};
use sluice_e2e::{Ask, Tenant, World, load};
use sluice_mock_upstreams::{Handle, Spec, Vendor};
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, sleep};

tests![a_call_asks_its_object_twice_at_most_alone_beside_others_in_a_queue_and_while_accounts_wait];

async fn a_call_asks_its_object_twice_at_most_alone_beside_others_in_a_queue_and_while_accounts_wait(_: &World) {
    let instance = Start { metered: true, ..Start::fresh("asked") }.run();
    let window = json!([{"name": "rate", "kind": "rolling_window", "calls": 100_000, "seconds": 10}]);
    let narrow = json!([{"name": "rate", "kind": "rolling_window", "calls": 30, "seconds": 3}]);
    let slots = json!([{"name": "concurrent", "kind": "concurrency", "calls": 8}]);

    // These calls come one after another, each when all work of the former is done.
    let alone = Place::new(&instance, "alone", &window, 0).await;
    for _ in 0..2 {
        alone.ask_at_most_twice("a lone call", alone.together(1)).await;
    }
    // Settlement batches wait for the snapshot that follows within a second, many at a time.
    let beside = Place::new(&instance, "beside", &window, 0).await;
    beside.ask_at_most_twice("16 callers", beside.callers(16)).await;
    let slow = Place::new(&instance, "slow", &window, 700).await;
    slow.ask_at_most_twice("a slow vendor", slow.together(40)).await;
    let queue = Place::new(&instance, "queue", &narrow, 0).await;
    queue.ask_at_most_twice("a queue", queue.together(70)).await;
    let full = Place::new(&instance, "slots", &slots, 50).await;
    full.ask_at_most_twice("16 callers at 8 slots", full.callers(16)).await;
}

/// A tenant with its key and its vendor.
struct Place<'a> {
    instance: &'a Instance,
    tenant: Tenant,
    ask: Ask,
    _vendor: Handle,
}

impl<'a> Place<'a> {
    async fn new(instance: &'a Instance, name: &str, limits: &Value, latency_ms: u64) -> Self {
        let vendor = Vendor::start(Spec::new("generic").limits(vec![]).jitter(latency_ms, latency_ms)).unwrap();
        let tenant = Tenant::new(instance, name);
        let more = json!({"limits": limits, "queue": {"size": 100, "max_wait_seconds": 60}});
        let key = tenant.simple("generic", &vendor.url(), &more).await;
        Self { instance, tenant, ask: Ask::get("/v/c/echo").key(&key), _vendor: vendor }
    }

    /// Lets this many callers call for two seconds, each one call at a time. Returns how many calls
    /// were made.
    async fn callers(&self, callers: usize) -> u64 {
        let done = load::saturate(self.tenant.to(), &self.ask, callers, Duration::from_secs(2)).await;
        assert!(done.iter().all(load::Done::good), "{:?}", done.iter().find(|done| !done.good()));
        done.len() as u64
    }

    /// Makes this many calls at once.
    async fn together(&self, calls: usize) -> u64 {
        let answers = load::at_once(self.tenant.to(), vec![self.ask.clone(); calls]).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
        answers.len() as u64
    }

    /// Counts the requests of calls to their object, until nothing more follows from them.
    async fn ask_at_most_twice(&self, what: &str, calls: impl Future<Output = u64>) {
        let before = self.bill_at_rest().await;
        let calls = calls.await;
        let asked = self.bill_at_rest().await - before;
        println!("{what}: {asked} requests to the object for {calls} calls");
        assert!(asked > calls && asked <= 2 * calls, "{what}: {asked} requests to the object for {calls} calls");
    }

    /// Returns the requests so far, once nothing is in flight in any object and no timer is set.
    async fn bill_at_rest(&self) -> u64 {
        let (began, mut last) = (Instant::now(), self.instance.bill().await);
        loop {
            sleep(Duration::from_millis(300)).await;
            let now = self.instance.bill().await;
            if now == last {
                return now.requests;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "the objects are not at rest within 20 s: {now:?}");
            last = now;
        }
    }
}
