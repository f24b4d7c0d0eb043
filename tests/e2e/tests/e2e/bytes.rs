//! Bodies, targets and headers that pass through Sluice are not changed.

use serde_json::json;
use sha2::{Digest, Sha256};
use sluice_e2e::instance::{Start, tests_build};
use sluice_e2e::{Ask, Tenant, World};
use sluice_mock_upstreams::pattern::Check;
use sluice_mock_upstreams::{Spec, Vendor, wire::hex};
use std::time::Duration;
use tokio::time::sleep;

tests![
    of_200_mb_nothing_is_held,
    bodies_of_50_mb_take_less_than_2_mb_of_wasm_memory,
    bodies_are_identical_compressed_or_not_whoever_the_vendor_is,
    answers_without_a_body_and_of_many_statuses_pass_whoever_the_vendor_is,
    salesforces_usage_header_passes_verbatim,
    lengths_framing_and_statuses_are_kept,
    request_bodies_arrive_as_sent,
    two_cookies_pass_in_passthrough_and_none_beside_a_stored_credential,
];

const MB: u64 = 1 << 20;

async fn of_200_mb_nothing_is_held(_: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let instance = Start::fresh("bytes").run();
    let tenant = Tenant::new(&instance, "bytes");
    let key = tenant.simple("generic", &vendor.url(), &json!({"timeout_seconds": 120})).await;
    // The first calls have a one-time cost that is not that of a large body.
    for _ in 0..5 {
        assert!(tenant.get(&key, "/bytes/2000000").await.whole);
    }
    let before = instance.memory();
    let mut most = before;
    for framing in ["length", "chunked"] {
        let ask = Ask::get(&format!("/v/c/bytes/{}?framing={framing}", 200 * MB)).key(&key);
        let mut open = tenant.open(&ask).await;
        let length = open.answer().header("content-length").map(str::to_owned);
        assert_eq!(length, (framing == "length").then(|| (200 * MB).to_string()));
        let mut check = Check::default();
        let mut first = true;
        let mut next = 0;
        while let Some(piece) = open.piece().await.unwrap() {
            if first {
                assert!(vendor.in_service() == 1, "the first byte comes before the vendor's last");
                // Nothing is read ahead for a slow caller.
                sleep(Duration::from_secs(2)).await;
                most = most.max(instance.memory());
            }
            first = false;
            check.add(&piece);
            if check.bytes() >= next {
                next += 10 * MB;
                most = most.max(instance.memory());
            }
        }
        assert_eq!((check.bytes(), check.wrong_at), (200 * MB, None));
    }
    if let (Some(before), Some(most)) = (before, most) {
        let more = most.saturating_sub(before) / MB;
        println!("200 MB twice: workerd's memory + {more} MB, from {} MB", before / MB);
        assert!(more < 20, "workerd's memory rose by {more} MB");
    }
}

/// The platform streams on both sides of the Wasm, which reads only the head of an answer.
async fn bodies_of_50_mb_take_less_than_2_mb_of_wasm_memory(_: &World) {
    let Some(build) = tests_build() else {
        assert!(std::env::var_os("CI").is_none(), "there is no build for the tests");
        println!("not tried: there is no build for the tests");
        return;
    };
    let mut start = Start::fresh("memory");
    start.build = build;
    let instance = start.run();
    // Every answer of Marketo's is read, as its errors come with 200.
    for profile in ["generic", "marketo"] {
        let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
        let tenant = Tenant::new(&instance, profile);
        let key = tenant.simple(profile, &vendor.url(), &json!({"timeout_seconds": 120})).await;
        let memory = async || tenant.get(&key, "/wasm-memory").await.json().as_u64().unwrap();
        assert!(tenant.get(&key, "/bytes/100000").await.whole);
        let before = memory().await;
        for framing in ["length", "chunked"] {
            let mut open = tenant.open(&Ask::get(&format!("/v/c/bytes/{}?framing={framing}", 50 * MB)).key(&key)).await;
            let mut check = Check::default();
            while let Some(piece) = open.piece().await.unwrap() {
                check.add(&piece);
            }
            assert_eq!((check.bytes(), check.wrong_at), (50 * MB, None), "{profile} {framing}");
        }
        if profile == "generic" {
            let body = sluice_mock_upstreams::pattern::whole(50 * MB);
            let sum = hex(&Sha256::digest(&body));
            let echo = tenant.send(&Ask::post("/v/c/echo", body).key(&key)).await.echo();
            assert_eq!(echo.0["body_sha256"].as_str(), Some(sum.as_str()));
        }
        let more = memory().await - before;
        println!("50 MB, {profile}: the Wasm's memory + {} kB, from {} kB", more / 1024, before / 1024);
        assert!(more < 2 * MB, "{profile}: the Wasm's memory rose by {more} bytes");
    }
}

const PROFILES: [&str; 10] =
    ["generic", "marketo", "hubspot", "aprimo", "salesforce", "mailchimp", "ga4-mp", "ga4-data", "keap", "keap-oauth"];

/// Makes a connection of each profile, without its own limits.
async fn of_every_profile(world: &World, vendor: &str) -> Vec<(&'static str, Tenant, String)> {
    let mut all = Vec::new();
    for profile in PROFILES {
        let tenant = world.tenant("any-vendor");
        let key = tenant.simple(profile, vendor, &json!({"limits": []})).await;
        all.push((profile, tenant, key));
    }
    all
}

async fn bodies_are_identical_compressed_or_not_whoever_the_vendor_is(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    for (profile, tenant, key) in of_every_profile(world, &vendor.url()).await {
        for encoding in ["gzip", "br", "identity"] {
            let query = if encoding == "identity" { String::new() } else { format!("?encoding={encoding}") };
            let ask = Ask::get(&format!("/v/c/bytes/300000{query}")).key(&key);
            let answer = tenant.send(&ask.with("Accept-Encoding", "gzip, br")).await;
            answer.is_vendors(200);
            let expected = (encoding != "identity").then_some(encoding);
            assert_eq!(answer.header("content-encoding"), expected, "{profile}");
            let sum = hex(&Sha256::digest(&answer.body));
            // The mock gives the checksum of what it has compressed.
            assert_eq!(answer.header("x-body-sha256"), expected.map(|_| sum.as_str()), "{profile} {encoding}");
            let length = answer.body.len().to_string();
            assert_eq!(answer.header("content-length"), Some(length.as_str()), "{profile} {encoding}");
            let mut plain = Vec::new();
            match encoding {
                "gzip" => {
                    let mut packed = flate2::read::GzDecoder::new(answer.body.as_slice());
                    std::io::Read::read_to_end(&mut packed, &mut plain).unwrap();
                }
                "br" => continue,
                _ => plain.clone_from(&answer.body),
            }
            assert_eq!(plain, sluice_mock_upstreams::pattern::whole(300_000), "{profile} {encoding}");
        }
    }
}

async fn answers_without_a_body_and_of_many_statuses_pass_whoever_the_vendor_is(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    for (profile, tenant, key) in of_every_profile(world, &vendor.url()).await {
        for status in [200, 201, 204, 207, 304, 400, 404, 409, 422] {
            let path = format!("/status/{status}?reason=As+Sent");
            let answer = tenant.get(&key, &path).await;
            answer.is_vendors(status);
            assert_eq!((answer.reason.as_str(), answer.whole), ("As Sent", true), "{profile} {status}");
            let length = answer.header("content-length").map(str::to_owned);
            if matches!(status, 204 | 304) {
                assert!(answer.body.is_empty() && length.is_none_or(|length| length == "0"), "{profile} {status}");
                assert_eq!(answer.header("transfer-encoding"), None, "{profile} {status}");
            } else {
                assert_eq!(answer.json()["target"], path.as_str(), "{profile} {status}");
                assert_eq!(length, Some(answer.body.len().to_string()), "{profile} {status}");
            }
        }
    }
}

async fn salesforces_usage_header_passes_verbatim(world: &World) {
    let vendor = Vendor::start(Spec::new("salesforce")).unwrap();
    let tenant = world.tenant("usage");
    let key = tenant.simple("salesforce", &vendor.url(), &json!({})).await;
    for used in 1..=3 {
        let answer = tenant.get(&key, "/services/data/v62.0/query?q=SELECT+Id+FROM+Account").await;
        let expected = format!("api-usage={used}/1000000");
        assert_eq!(answer.all("sforce-limit-info"), [expected.as_str()]);
    }
}

async fn lengths_framing_and_statuses_are_kept(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("kept");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    for bytes in [0, 1, 70_000, 3_000_000] {
        let answer = tenant.get(&key, &format!("/bytes/{bytes}")).await;
        assert_eq!(answer.header("content-length"), Some(bytes.to_string().as_str()));
        assert!(answer.whole && answer.body.len() == bytes, "{} of {bytes}", answer.body.len());
    }
    for framing in ["chunked", "close"] {
        let answer = tenant.get(&key, &format!("/bytes/70000?framing={framing}")).await;
        assert!(answer.whole && answer.body.len() == 70_000, "{framing}: {}", answer.body.len());
    }
    for status in [201, 202, 204, 207, 304, 400, 401, 403, 404, 409, 418, 422, 451, 500, 599] {
        let answer = tenant.get(&key, &format!("/status/{status}")).await;
        answer.is_vendors(status);
        assert!(answer.whole);
    }
    let answer = tenant.get(&key, "/status/404?reason=Nobody+Home").await;
    assert_eq!(answer.reason, "Nobody Home");
    let head = tenant.send(&Ask::new("HEAD", "/v/c/bytes/70000").key(&key)).await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("70000"), 0));
}

async fn request_bodies_arrive_as_sent(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("bodies");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    for bytes in [0, 5, 900_000, 6_000_000] {
        let body = sluice_mock_upstreams::pattern::whole(bytes);
        let sum = hex(&Sha256::digest(&body));
        let echo = tenant.send(&Ask::post("/v/c/echo", body.clone()).key(&key)).await.echo();
        assert_eq!((echo.0["body_bytes"].as_u64(), echo.0["body_sha256"].as_str()), (Some(bytes), Some(sum.as_str())));
        assert_eq!(echo.header("content-length"), Some(bytes.to_string().as_str()), "some vendors answer 411 without");
        let echo = tenant.send(&Ask::post("/v/c/echo", Vec::new()).chunked(body).key(&key)).await.echo();
        assert_eq!(echo.0["body_sha256"].as_str(), Some(sum.as_str()), "{bytes} bytes in chunks");
    }
    let packed = sluice_mock_upstreams::common::gzip(&sluice_mock_upstreams::pattern::whole(100_000));
    let sum = hex(&Sha256::digest(&packed));
    let ask = Ask::post("/v/c/echo", packed).key(&key).with("Content-Encoding", "gzip");
    let echo = tenant.send(&ask).await.echo();
    assert_eq!((echo.0["body_sha256"].as_str(), echo.header("content-encoding")), (Some(sum.as_str()), Some("gzip")));
    // Some search APIs take a GET with a body.
    let echo = tenant.send(&Ask::get("/v/c/echo").key(&key).body("{\"q\":1}")).await.echo();
    assert_eq!((echo.0["method"].as_str(), echo.0["body"].as_str()), (Some("GET"), Some("{\"q\":1}")));
    for method in ["PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let echo = tenant.send(&Ask::new(method, "/v/c/echo").key(&key).body("x")).await.echo();
        assert_eq!((echo.0["method"].as_str(), echo.0["body"].as_str()), (Some(method), Some("x")));
    }
}

async fn two_cookies_pass_in_passthrough_and_none_beside_a_stored_credential(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("cookies");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let ask = Ask::get("/v/c/cookies").with("Cookie", "mine=1");
    let answer = tenant.send(&ask.clone().key(&key)).await;
    let expected = ["first=1; Path=/v/c; HttpOnly", "second=2; Expires=Wed, 21 Oct 2037 07:28:00 GMT; Path=/v/c"];
    assert_eq!(answer.all("set-cookie"), expected);
    assert_eq!(answer.echo().header("cookie"), Some("mine=1"));

    let token = sluice_e2e::secrets::invent("bearer");
    let key = tenant.simple("generic", &vendor.url(), &json!({"credential": {"type": "bearer", "token": token}})).await;
    let answer = tenant.send(&ask.key(&key)).await;
    assert!(answer.all("set-cookie").is_empty());
    let echo = answer.echo();
    assert_eq!(echo.header("cookie"), None);
    assert_eq!(echo.header("authorization"), Some(format!("Bearer {token}").as_str()));
}
