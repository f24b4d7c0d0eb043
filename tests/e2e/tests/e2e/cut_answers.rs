//! Truncated answers: the bytes that arrived count on a limit on bytes, whoever cut the answer off.

use serde_json::{Value, json};
use sluice_e2e::{Ask, Tenant, World, tenant::limit};
use sluice_mock_upstreams::{Fault, FaultRule, Handle, Spec, Vendor};

tests![
    bytes_that_came_before_a_timeout_count,
    bytes_that_came_before_the_caller_went_count,
    bytes_that_came_before_the_vendor_broke_off_count,
    bytes_of_a_cut_answer_count_on_a_limit_that_the_policy_brings_later,
    bytes_of_a_long_answer_count_on_a_limit_that_the_policy_brings_later,
];

const FRAMINGS: [&str; 2] = ["length", "chunked"];

/// Makes a connection to which this many bytes may come back a day, and whose calls have a time
/// limit of a second.
async fn metered(world: &World, bytes: u64, spec: Spec) -> (Handle, Tenant, String) {
    let vendor = Vendor::start(spec.limits(vec![])).unwrap();
    let tenant = world.tenant("cut");
    let key = tenant.simple("generic", &vendor.url(), &limits(&[day(bytes)])).await;
    (vendor, tenant, key)
}

fn day(bytes: u64) -> Value {
    json!({
        "name": "bytes", "kind": "daily", "calls": bytes, "reset": "00:00", "time_zone": "UTC", "unit": "response_bytes",
    })
}

fn limits(limits: &[Value]) -> Value {
    json!({"limits": limits, "timeout_seconds": 1, "retry": {"attempts": 1}})
}

/// Checks that at least this many bytes are counted soon, and that a daily limit of no more is
/// spent.
async fn counts(tenant: &Tenant, key: &str, bytes: usize, what: &str) {
    let used = |c: &Value| limit(c, "bytes")["used"].as_u64().unwrap();
    tenant.until(key, &format!("{bytes} bytes are counted, {what}"), |c| used(c) >= bytes as u64).await;
    tenant.get_now(key, "/echo").await.is_problem(429, "daily-quota");
}

/// The caller has a good part of the answer when its second is over. Short and long answers take
/// different ways through the Worker.
async fn bytes_that_came_before_a_timeout_count(world: &World) {
    for (bytes, piece) in [(400_000, 20_000), (30_000_000, 1_500_000)] {
        for framing in FRAMINGS {
            let (_vendor, tenant, key) = metered(world, bytes / 8, Spec::new("generic")).await;
            let path = format!("/bytes/{bytes}?framing={framing}&piece={piece}&pause_ms=100");
            let answer = tenant.get(&key, &path).await;
            assert_eq!(answer.status, 200);
            let came = answer.body.len();
            assert!((bytes / 8..bytes).contains(&(came as u64)), "{came} of {bytes} came within a second");
            counts(&tenant, &key, came, &format!("{framing}, of {bytes}")).await;
        }
    }
}

/// Makes a call and goes when this many bytes of the answer have come. Returns how many had.
async fn leave_after(tenant: &Tenant, key: &str, path: &str, bytes: u64) -> usize {
    let mut open = tenant.open(&Ask::get(&format!("/v/c{path}")).key(key)).await;
    let mut came = 0;
    while (came as u64) < bytes {
        came += open.piece().await.unwrap().expect("more of the answer").len();
    }
    open.reset();
    came
}

/// The rest of a short answer is read on when its caller has gone, and that of a long one is not.
/// What has come counts in both cases.
async fn bytes_that_came_before_the_caller_went_count(world: &World) {
    for (bytes, piece) in [(400_000, 40_000), (30_000_000, 1_500_000)] {
        for framing in FRAMINGS {
            let (_vendor, tenant, key) = metered(world, bytes / 10, Spec::new("generic")).await;
            let path = format!("/bytes/{bytes}?framing={framing}&piece={piece}&pause_ms=20");
            let came = leave_after(&tenant, &key, &path, bytes / 10).await;
            counts(&tenant, &key, came, &format!("{framing}, of {bytes}")).await;
        }
    }
}

async fn bytes_that_came_before_the_vendor_broke_off_count(world: &World) {
    for (bytes, piece, cut) in [(400_000, 20_000, 200_000), (30_000_000, 1_000_000, 12_000_000)] {
        for framing in FRAMINGS {
            let broken = Spec::new("generic").fault(FaultRule::first(1, Fault::ResetMidBody { bytes: cut }));
            let (_vendor, tenant, key) = metered(world, cut / 2, broken).await;
            let path = format!("/bytes/{bytes}?framing={framing}&piece={piece}&pause_ms=20");
            // The reset may overtake the last piece.
            let came = tenant.get(&key, &path).await.body.len();
            assert!((cut / 2..=cut).contains(&(came as u64)), "{came} came of {cut} bytes, {framing}");
            counts(&tenant, &key, came, &format!("{framing}, of {bytes}")).await;
        }
    }
}

/// No limit counts bytes while an answer is cut off. A limit that the policy adds later begins with
/// what came of the answer, or with all of it where that is not known.
async fn bytes_of_a_cut_answer_count_on_a_limit_that_the_policy_brings_later(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    for framing in FRAMINGS {
        let tenant = world.tenant("cut-before");
        let key = tenant.simple("generic", &vendor.url(), &limits(&[])).await;
        let path = format!("/bytes/30000000?framing={framing}&piece=1500000&pause_ms=20");
        let came = leave_after(&tenant, &key, &path, 3_000_000).await;
        tenant.until(&key, "it has ended", |_| vendor.in_service() == 0).await;
        tenant.simple("generic", &vendor.url(), &limits(&[day(3_000_000)])).await;
        counts(&tenant, &key, came, framing).await;
    }
}

/// A long answer of unknown length is not counted where no limit counts bytes. A limit that the
/// policy adds later then takes the day as spent.
async fn bytes_of_a_long_answer_count_on_a_limit_that_the_policy_brings_later(world: &World) {
    const BYTES: u64 = 19_660_800;
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    for framing in FRAMINGS {
        let tenant = world.tenant("long-before");
        let key = tenant.simple("generic", &vendor.url(), &limits(&[])).await;
        let answer = tenant.get(&key, &format!("/bytes/{BYTES}?framing={framing}")).await;
        assert_eq!(answer.body.len() as u64, BYTES);
        tenant.until(&key, "it has ended", |c| c["in_flight"] == 0).await;
        tenant.simple("generic", &vendor.url(), &limits(&[day(15_000_000)])).await;
        counts(&tenant, &key, 15_000_000, framing).await;
    }
}
