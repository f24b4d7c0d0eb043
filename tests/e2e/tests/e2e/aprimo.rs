//! Tests Aprimo's limit: 130 calls at once, at 15 a second with a queue of 100.

use serde_json::json;
use sluice_e2e::{Ask, World, load};
use sluice_mock_upstreams::{Spec, Vendor};

tests![of_130_at_once_15_go_100_wait_and_15_are_refused];

async fn of_130_at_once_15_go_100_wait_and_15_are_refused(world: &World) {
    let vendor = Vendor::start(Spec::new("aprimo")).unwrap();
    let tenant = world.tenant("aprimo");
    let key = tenant.simple("aprimo", &vendor.url(), &json!({})).await;
    // The route is learned first, so that the burst is not slowed by it. The bucket is full again a
    // moment later.
    tenant.get(&key, "/api/core/records").await.is_vendors(200);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    vendor.reset();

    let ask = Ask::get("/v/c/api/core/records").key(&key);
    let answers = load::at_once(tenant.to(), vec![ask; 130]).await;

    let good = answers.iter().filter(|a| a.status == 200).count();
    let refused: Vec<_> = answers.iter().filter(|a| a.status != 200).collect();
    // While 130 requests are being read, one or two places in the queue become free.
    assert!((115..=119).contains(&good), "{good} passed");
    for answer in &refused {
        answer.is_refusal(429, "queue-full");
        assert!(answer.json().is_object(), "Aprimo's clients read JSON: {}", answer.text());
        assert!(
            !answer.header("content-type").unwrap_or_default().contains("problem"),
            "Aprimo knows no problem documents"
        );
        assert!((6..=16).contains(&answer.retry_after().unwrap()), "Retry-After {:?}", answer.retry_after());
    }
    let calls = vendor.calls();
    assert!(calls.refused().is_empty(), "the vendor refused {:?}", calls.refused());
    assert_eq!(calls.passed(), good);

    let at = calls.since_first_us();
    // With a bucket of 15 and 15 a second no more than this may go at any time, and all that fits
    // at once must go at once.
    for (n, us) in at.iter().enumerate() {
        let room = 15.0 + 15.0 * (*us as f64 / 1e6) + 0.01;
        assert!(n as f64 + 1.0 <= room, "{} calls after {us} us", n + 1);
    }
    assert!(at[14] < 700_000, "the fifteenth went after {} us", at[14]);
    let last = *at.last().unwrap() as f64 / 1e6;
    let due = (good as f64 - 15.0) / 15.0;
    assert!((last - due).abs() < 0.3, "the last of {good} started after {last:.2} s, not {due:.2} s");
    let waited = answers.iter().filter(|a| a.status == 200).map(queue_ms).fold(0.0, f64::max);
    assert!((waited / 1000.0 - due).abs() < 0.4, "Server-Timing says that the longest waited {waited} ms");
}

/// Reads `queue;dur=` of `Server-Timing`.
fn queue_ms(answer: &sluice_e2e::Answer) -> f64 {
    let timing = answer.header("server-timing").expect("Server-Timing");
    let rest = timing.split_once("queue;dur=").unwrap_or_else(|| panic!("no queue in «{timing}»")).1;
    rest.split([',', ';']).next().unwrap().trim().parse().unwrap()
}
