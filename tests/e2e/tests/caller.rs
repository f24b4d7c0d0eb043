//! Tests of the callers themselves, against a mock vendor: a test is worth only what its caller
//! sees.

use sluice_e2e::{Ask, load, secrets};
use sluice_mock_upstreams::{Fault, FaultRule, Spec, Vendor, pattern};
use std::time::Duration;

fn vendor() -> sluice_mock_upstreams::Handle {
    Vendor::start(Spec::new("generic").limits(vec![])).unwrap()
}

#[tokio::test]
async fn bodies_of_every_framing_are_read_to_their_end() {
    let vendor = vendor();
    for framing in ["length", "chunked", "close"] {
        let answer = Ask::get(&format!("/bytes/200000?framing={framing}&piece=7000")).send(vendor.address()).await;
        assert!(answer.whole && answer.body == pattern::whole(200_000), "{framing}");
    }
    let answer = Ask::new("HEAD", "/bytes/5").send(vendor.address()).await;
    assert!(answer.whole && answer.body.is_empty());
    let answer = Ask::get("/interim/103").send(vendor.address()).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_seen_as_broken() {
    for framing in ["length", "chunked"] {
        let fault = FaultRule::always(Fault::ResetMidBody { bytes: 50_000 });
        let vendor = Vendor::start(Spec::new("generic").fault(fault)).unwrap();
        let ask = Ask::get(&format!("/bytes/200000?framing={framing}&piece=10000&pause_ms=5"));
        let answer = ask.send(vendor.address()).await;
        assert!(!answer.whole && answer.body.len() <= 50_000, "{framing}: {}", answer.body.len());
    }
}

#[tokio::test]
async fn what_is_sent_arrives() {
    let vendor = vendor();
    let body = pattern::whole(100_000);
    for ask in [Ask::post("/echo?a=%2F", body.clone()), Ask::post("/echo?a=%2F", "").chunked(body.clone())] {
        let echo = ask.with("X-Mixed", "Case").send(vendor.address()).await.echo();
        assert_eq!((echo.target(), echo.0["body_bytes"].as_u64()), ("/echo?a=%2F", Some(100_000)));
        assert!(echo.0["headers"].to_string().contains("[\"X-Mixed\",\"Case\"]"));
    }
}

#[tokio::test]
async fn a_load_keeps_as_many_calls_at_work_as_it_has_callers() {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![]).jitter(20, 30)).unwrap();
    let done = load::saturate(vendor.address(), &Ask::get("/echo"), 4, Duration::from_millis(300)).await;
    assert!(done.iter().all(load::Done::good) && done.len() >= 20, "{}", done.len());
    assert_eq!(vendor.calls().most_at_once(), 4);
    let answers = load::at_once(vendor.address(), vec![Ask::get("/echo"); 50]).await;
    assert_eq!(answers.len(), 50);
}

#[test]
fn a_secret_in_a_file_is_found_and_not_repeated() {
    let folder = std::env::temp_dir().join(format!("sluice-e2e-scan-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("deep")).unwrap();
    secrets::remember_folder(&folder);
    let secret = secrets::invent("secret");
    std::fs::write(folder.join("deep/clean"), "nothing here").unwrap();
    assert!(secrets::leaks().is_empty());
    std::fs::write(folder.join("deep/file"), format!("\0\0x{secret}y")).unwrap();
    let leaks = secrets::leaks();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(leaks.len() == 1 && leaks[0].contains("deep/file") && !leaks[0].contains(&secret), "{leaks:?}");
}
