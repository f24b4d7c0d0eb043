//! Vendors that fail: each failure gives a clear answer, and never one that looks whole and is not.

use serde_json::json;
use sluice_e2e::{Ask, World, tenant::limit};
use sluice_mock_upstreams::{Fault, FaultRule, Spec, Vendor};
use std::time::Duration;

tests![
    a_vendor_that_is_down_is_502,
    a_vendor_that_never_answers_is_504_in_time,
    a_body_that_takes_too_long_is_reset_not_ended,
    a_body_that_the_vendor_breaks_off_is_not_ended_as_if_whole,
    interim_answers_and_odd_statuses_hang_nothing,
    answers_of_the_vendor_that_make_no_sense_pass_as_they_are,
    a_storm_of_faults_leaves_nothing_in_flight,
];

async fn a_vendor_that_is_down_is_502(world: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let gone = vendor.url();
    drop(vendor);
    let tenant = world.tenant("down");
    let key = tenant.simple("generic", &gone, &json!({"retry": {"attempts": 1}})).await;
    let answer = tenant.get(&key, "/echo").await;
    answer.is_problem(502, "vendor-unreachable");
    assert!(answer.took < Duration::from_secs(10));
    let answer = tenant.send(&Ask::post("/v/c/echo", vec![b'x'; 500_000]).key(&key)).await;
    answer.is_problem(502, "vendor-unreachable");
}

async fn a_vendor_that_never_answers_is_504_in_time(world: &World) {
    let tenant = world.tenant("hangs");
    for fault in [Fault::Hang, Fault::ResetBefore] {
        let reset = fault == Fault::ResetBefore;
        let vendor = Vendor::start(Spec::new("generic").fault(FaultRule::always(fault))).unwrap();
        let more = json!({"timeout_seconds": 2, "retry": {"attempts": 1}});
        let key = tenant.simple("generic", &vendor.url(), &more).await;
        let answer = tenant.get(&key, "/echo").await;
        if reset {
            answer.is_problem(502, "vendor-unreachable");
        } else {
            answer.is_problem(504, "vendor-timeout");
            assert!((1900..5000).contains(&answer.took.as_millis()), "{:?}", answer.took);
        }
    }
}

/// Whether a caller can notice that a body broke off. workerd ends a chunked body whose stream
/// fails with a last chunk, as if it were whole, even where a Worker only returns what it fetched,
/// and a Worker cannot reset the connection.
const BREAKS_SHOW: [(&str, bool); 2] = [("length", true), ("chunked", false)];

async fn a_body_that_takes_too_long_is_reset_not_ended(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("slow-body");
    let key = tenant.simple("generic", &vendor.url(), &json!({"timeout_seconds": 2})).await;
    for (framing, shows) in BREAKS_SHOW {
        let answer = tenant.get(&key, &format!("/bytes/10000?framing={framing}&piece=100&pause_ms=200")).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.whole || !shows, "{framing}: ended as if whole after {} bytes", answer.body.len());
        assert!(answer.body.len() < 10_000, "{framing}");
        assert!((1500..6000).contains(&answer.took.as_millis()), "{framing}: {:?}", answer.took);
    }
}

async fn a_body_that_the_vendor_breaks_off_is_not_ended_as_if_whole(world: &World) {
    let vendor =
        Vendor::start(Spec::new("generic").fault(FaultRule::always(Fault::ResetMidBody { bytes: 70_000 }))).unwrap();
    let tenant = world.tenant("broken");
    let key = tenant.simple("generic", &vendor.url(), &json!({"retry": {"attempts": 1}})).await;
    for (framing, shows) in BREAKS_SHOW {
        let ask = Ask::get(&format!("/v/c/bytes/300000?framing={framing}")).key(&key);
        match ask.try_send(tenant.to()).await {
            Ok(answer) if answer.status == 200 => {
                assert!(!answer.whole || !shows, "{framing}: {} bytes", answer.body.len());
            }
            // The reset may overtake the head.
            Ok(answer) => answer.is_problem(502, "vendor-unreachable"),
            Err(_) => {}
        }
    }
}

async fn interim_answers_and_odd_statuses_hang_nothing(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("odd");
    let key = tenant.simple("generic", &vendor.url(), &json!({"timeout_seconds": 5, "retry": {"attempts": 1}})).await;
    for path in ["/status/101", "/status/199", "/status/600", "/status/999", "/status/1000", "/status/0", "/status/99"]
    {
        let answer = tenant.get(&key, path).await;
        assert!(
            matches!(answer.sluice_reason(), Some("vendor-unreachable" | "vendor-timeout")),
            "{path}: {} {:?}",
            answer.status,
            answer.sluice_reason()
        );
        assert!(answer.took < Duration::from_secs(9), "{path}: {:?}", answer.took);
    }
    // workerd's client may not accept a 1xx before the answer. A clear error is good enough, a hang
    // is not.
    for path in ["/interim/103", "/interim/102"] {
        let answer = tenant.get(&key, path).await;
        assert!(
            answer.status == 200 || answer.sluice_reason() == Some("vendor-unreachable"),
            "{path}: {}",
            answer.status
        );
        assert!(answer.took < Duration::from_secs(9), "{path}: {:?}", answer.took);
    }
    tenant.get(&key, "/echo").await.is_vendors(200);
}

async fn answers_of_the_vendor_that_make_no_sense_pass_as_they_are(world: &World) {
    let tenant = world.tenant("nonsense");
    for profile in ["marketo", "hubspot"] {
        let vendor = Vendor::start(Spec::new(profile).fault(FaultRule::always(Fault::MalformedJson))).unwrap();
        let key = tenant.simple(profile, &vendor.url(), &json!({})).await;
        let answer = tenant.get(&key, "/x").await;
        answer.is_vendors(200);
        assert_eq!(answer.text(), r#"{"success":true,"result":[{"#);
        let fault = Fault::Oversized { bytes: 5 << 20 };
        let vendor = Vendor::start(Spec::new(profile).fault(FaultRule::always(fault))).unwrap();
        let key = tenant.simple(profile, &vendor.url(), &json!({})).await;
        let answer = tenant.get(&key, "/x").await;
        assert!(
            answer.whole && answer.body == sluice_mock_upstreams::pattern::whole(5 << 20),
            "{} bytes",
            answer.body.len()
        );
        // The vendor has no such fault: with it the answer would have a body after all, and how
        // much of that is read would be chance.
        let vendor = Vendor::start(Spec::new(profile)).unwrap();
        let key = tenant.simple(profile, &vendor.url(), &json!({})).await;
        let empty = tenant.get(&key, "/status/204").await;
        assert_eq!(empty.status, 204);
    }
}

async fn a_storm_of_faults_leaves_nothing_in_flight(world: &World) {
    let mut spec = Spec::new("generic").limits(vec![]).jitter(0, 50).seed(7);
    let faults = [
        Fault::ResetBefore,
        Fault::ResetAfterHead,
        Fault::ResetMidBody { bytes: 10 },
        Fault::HangAfterHead,
        Fault::Status { status: 500, retry_after_s: None, retry_at_s: None },
        Fault::MalformedJson,
        Fault::SlowBody { pause_ms: 5 },
        Fault::Raw { text: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".to_owned() },
        Fault::Raw { text: "no HTTP at all\r\n\r\n".to_owned() },
    ];
    for fault in faults {
        spec = spec.fault(FaultRule::some(0.05, fault));
    }
    let vendor = Vendor::start(spec).unwrap();
    let tenant = world.tenant("storm");
    let more = json!({
        "timeout_seconds": 2, "retry": {"attempts": 1}, "adaptive": {"min": 1},
        "limits": [{"name": "day", "kind": "daily", "calls": 10_000, "reset": "00:00", "time_zone": "UTC"}],
    });
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    let asks = (0..200).map(|n| Ask::get(&format!("/v/c/echo?{n}")).key(&key)).collect::<Vec<_>>();
    let mut tasks = tokio::task::JoinSet::new();
    for chunk in asks.chunks(25).map(<[Ask]>::to_vec) {
        let to = tenant.to();
        tasks.spawn(async move {
            for ask in chunk {
                let _ = ask.try_send(to).await;
            }
        });
    }
    tasks.join_all().await;
    let connection = tenant.until(&key, "nothing is in flight", |c| c["queue"]["depth"] == 0).await;
    let (counted, saw) = (limit(&connection, "day")["used"].as_u64().unwrap(), vendor.calls().0.len() as u64);
    assert!(counted >= saw, "the day counts {counted}, the vendor saw {saw}");
    tenant.get(&key, "/bytes/10").await;
}
