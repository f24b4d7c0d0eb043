//! What passes through is not touched.

use serde_json::json;
use sha2::{Digest, Sha256};
use sluice_e2e::instance::Start;
use sluice_e2e::{Ask, Tenant, World};
use sluice_vendors::pattern::Check;
use sluice_vendors::{Spec, Vendor, wire::hex};
use std::time::Duration;
use tokio::time::sleep;

tests![
    of_200_mb_nothing_is_held,
    compressed_bodies_are_identical,
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
    // What a first call costs once is not what a large body costs.
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
                // A caller who is slow is not read ahead for.
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

async fn compressed_bodies_are_identical(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    for profile in ["generic", "hubspot", "marketo", "aprimo"] {
        let tenant = world.tenant("packed");
        let key = tenant.simple(profile, &vendor.url(), &json!({})).await;
        for encoding in ["gzip", "br"] {
            let ask = Ask::get(&format!("/v/c/bytes/300000?encoding={encoding}")).key(&key);
            let answer = tenant.send(&ask.with("Accept-Encoding", "gzip, br")).await;
            answer.is_vendors(200);
            assert_eq!(answer.header("content-encoding"), Some(encoding), "{profile}");
            assert_eq!(
                answer.header("x-body-sha256"),
                Some(hex(&Sha256::digest(&answer.body)).as_str()),
                "{profile} {encoding}"
            );
            assert_eq!(
                answer.header("content-length"),
                Some(answer.body.len().to_string().as_str()),
                "{profile} {encoding}"
            );
            if encoding == "gzip" {
                let mut plain = Vec::new();
                std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(answer.body.as_slice()), &mut plain)
                    .unwrap();
                assert_eq!(plain.len(), 300_000);
            }
        }
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
        let body = sluice_vendors::pattern::whole(bytes);
        let sum = hex(&Sha256::digest(&body));
        let echo = tenant.send(&Ask::post("/v/c/echo", body.clone()).key(&key)).await.echo();
        assert_eq!((echo.0["body_bytes"].as_u64(), echo.0["body_sha256"].as_str()), (Some(bytes), Some(sum.as_str())));
        assert_eq!(echo.header("content-length"), Some(bytes.to_string().as_str()), "some vendors answer 411 without");
        let echo = tenant.send(&Ask::post("/v/c/echo", Vec::new()).chunked(body).key(&key)).await.echo();
        assert_eq!(echo.0["body_sha256"].as_str(), Some(sum.as_str()), "{bytes} bytes in chunks");
    }
    // A GET with a body, as some search APIs have it.
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
    let expected = ["first=1; Path=/; HttpOnly", "second=2; Expires=Wed, 21 Oct 2037 07:28:00 GMT; Path=/"];
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
