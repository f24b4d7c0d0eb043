//! Tests of whole calls: over a stream in memory with tokio's paused clock where time matters, and
//! over TCP where resets do.

use sluice_mock_upstreams::journal::Verdict;
use sluice_mock_upstreams::{CountAt, Fault, FaultRule, Kind, Limit, Spec, Vendor, server};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Sends one request on a new connection and reads to the end.
async fn ask(bench: &server::Bench, request: &str) -> String {
    let mut stream = bench.connect();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: mock\r\nConnection: close\r\n\r\n")
}

fn marketo(calls: u64) -> Spec {
    Spec::new("marketo").limits(vec![Limit::new("rate", Kind::window(calls, 20))])
}

#[tokio::test(start_paused = true)]
async fn a_window_is_kept_by_arrival_however_long_the_answers_take() {
    let bench = server::Bench::new(marketo(2).jitter(5_000, 9_000)).unwrap();
    let (target, started) = (get("/rest/v1/leads/describe.json"), tokio::time::Instant::now());
    let (a, b, c) = tokio::join!(ask(&bench, &target), ask(&bench, &target), ask(&bench, &target));
    assert_eq!([&a, &b, &c].iter().filter(|x| x.contains("\"success\":true")).count(), 2);
    assert_eq!([&a, &b, &c].iter().filter(|x| x.contains("\"code\":\"606\"")).count(), 1);
    tokio::time::sleep_until(started + Duration::from_millis(20_000)).await;
    assert!(ask(&bench, &target).await.contains("\"606\""), "the window is not over by the answers' end");
    tokio::time::sleep(Duration::from_millis(10_000)).await;
    assert!(ask(&bench, &target).await.contains("\"success\":true"));
    assert_eq!(bench.calls().refused()["rate"], 2);
}

#[tokio::test(start_paused = true)]
async fn counting_at_completion_refuses_what_completes_too_soon() {
    let spec = marketo(1).latency(sluice_mock_upstreams::Latency::Fixed { ms: 1000 }).count_at(CountAt::Completion);
    let bench = server::Bench::new(spec).unwrap();
    let target = get("/rest/v1/leads.json");
    assert!(ask(&bench, &target).await.contains("true"));
    // This one arrives 19.5 s after the first completed, and completes 20.5 s after it.
    tokio::time::sleep(Duration::from_millis(19_500)).await;
    assert!(ask(&bench, &target).await.contains("true"));
    let call = &bench.calls().0[1];
    assert_eq!(call.counted_us.unwrap() - call.arrived_us, 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_held_to_the_last_byte_and_freed_when_the_caller_goes() {
    let spec = Spec::new("marketo").limits(vec![Limit::new("concurrent", Kind::concurrency(1))]);
    let bench = server::Bench::new(spec).unwrap();
    let slow = get("/bytes/20000?piece=1000&pause_ms=1000");
    let mut first = bench.connect();
    first.write_all(slow.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(ask(&bench, &get("/echo")).await.contains("\"615\""), "the body is still on its way");
    // With the paused clock the first would end in the very microsecond in which the second came.
    tokio::time::sleep(Duration::from_millis(1)).await;
    drop(first);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(ask(&bench, &get("/echo")).await.contains("\"target\":\"/echo\""));
    assert_eq!(bench.calls().most_at_once(), 2, "the refused call counts as seen");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_while_the_vendor_works_frees_its_slot() {
    let spec = Spec::new("marketo").limits(vec![Limit::new("concurrent", Kind::concurrency(1))]);
    let bench = server::Bench::new(spec.latency(sluice_mock_upstreams::Latency::Fixed { ms: 60_000 })).unwrap();
    let mut first = bench.connect();
    first.write_all(get("/echo").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.in_service(), 1);
    drop(first);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.in_service(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_works_on_counts_and_holds_the_slot_of_a_caller_that_has_gone() {
    let spec = marketo(10).latency(sluice_mock_upstreams::Latency::Fixed { ms: 60_000 }).count_at(CountAt::Completion);
    let bench = server::Bench::new(Spec { works_on: true, ..spec }).unwrap();
    let mut first = bench.connect();
    first.write_all(get("/echo").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(first);
    tokio::time::sleep(Duration::from_secs(58)).await;
    assert_eq!((bench.in_service(), bench.calls().passed()), (1, 0));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((bench.in_service(), bench.calls().passed()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn aprimo_with_its_queue_delays_100_of_130_and_refuses_15() {
    let limit = Limit::new("rate", Kind::LeakyBucket { per_second: 15, burst: 15, queue: 100 });
    let bench = server::Bench::new(Spec::new("aprimo").limits(vec![limit])).unwrap();
    let started = tokio::time::Instant::now();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..130 {
        let bench = bench.clone();
        asking.spawn(async move { (ask(&bench, &get("/api/core/records")).await, started.elapsed()) });
    }
    let answers = asking.join_all().await;
    let good: Vec<_> = answers.iter().filter(|(a, _)| a.starts_with("HTTP/1.1 200")).map(|(_, t)| *t).collect();
    assert_eq!(good.len(), 115);
    let last = good.iter().max().unwrap();
    assert!((6_600..6_750).contains(&last.as_millis()), "the last took {last:?}");
    assert_eq!(answers.iter().filter(|(a, _)| a.starts_with("HTTP/1.1 429")).count(), 15);
}

#[tokio::test(start_paused = true)]
async fn the_target_and_the_headers_are_seen_as_they_came() {
    let bench = server::Bench::new(Spec::new("generic")).unwrap();
    let target = "//a/../%2e%2e/%2F@\\b?q=%20+&&x";
    let request =
        format!("GET {target} HTTP/1.1\r\nhOsT: mock\r\nX-Twice: 1\r\nx-twice: 2\r\nConnection: close\r\n\r\n");
    let answer = ask(&bench, &request).await;
    let echo: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(echo["target"], target);
    let headers = serde_json::json!([["hOsT", "mock"], ["X-Twice", "1"], ["x-twice", "2"], ["Connection", "close"]]);
    assert_eq!(echo["headers"], headers);
    assert_eq!(bench.calls().0[0].target, target);
}

#[tokio::test(start_paused = true)]
async fn a_chunked_body_after_expect_is_read_and_hashed() {
    let bench = server::Bench::new(Spec::new("generic")).unwrap();
    let request = "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                   4\r\nabcd\r\n2;x=1\r\nef\r\n0\r\n\r\n";
    let answer = ask(&bench, request).await;
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("\"body\":\"abcdef\""));
    assert!(answer.contains("bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721"));
}

#[tokio::test(start_paused = true)]
async fn a_credential_is_bought_at_the_token_endpoint_and_lapses() {
    let mut spec = marketo(100).credential("s3cret");
    spec.token_s = 60;
    let bench = server::Bench::new(spec).unwrap();
    let read = |token: &str| {
        let target = "/rest/v1/leads/describe.json";
        format!("GET {target} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n")
    };
    let buy =
        |secret: &str| get(&format!("/identity/oauth/token?grant_type=client_credentials&client_secret={secret}"));
    assert!(ask(&bench, &buy("wrong")).await.contains("invalid_client"));
    let bought = ask(&bench, &buy("s3cret")).await;
    let bought: serde_json::Value = serde_json::from_str(bought.split_once("\r\n\r\n").unwrap().1).unwrap();
    let token = bought["access_token"].as_str().unwrap();
    assert!(ask(&bench, &read(token)).await.contains("\"success\":true"));
    assert!(ask(&bench, &buy("s3cret")).await.contains(token), "the same token while it lives");
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(ask(&bench, &read(token)).await.contains("\"601\""));
    assert_eq!(bench.calls().counted().passed(), 1, "tokens are not counted");
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_of_hubspot_is_answered_out_of_order() {
    let bench = server::Bench::new(Spec::new("hubspot")).unwrap();
    let body = r#"{"inputs":[{"properties":{"n":"1"},"objectWriteTraceId":"a"},{"properties":{"n":"2"}}]}"#;
    let head = format!("POST /crm/v3/objects/contacts/batch/create HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
    let answer = ask(&bench, &format!("{head}Connection: close\r\n\r\n{body}")).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(answer.contains("X-HubSpot-RateLimit-Remaining: 99"), "{answer}");
    let made: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(made["results"][1]["objectWriteTraceId"], "a");
}

#[tokio::test(start_paused = true)]
async fn every_vendor_refuses_in_its_own_words() {
    for (vendor, kind, words) in [
        ("marketo", Kind::window(0, 20), "Max rate limit '0' exceeded with in '20' secs"),
        ("marketo", Kind::daily(0, 0), "\"607\""),
        ("hubspot", Kind::daily(0, 0), "\"policyName\":\"DAILY\""),
        ("hubspot", Kind::window(0, 10), "\"policyName\":\"TEN_SECONDLY_ROLLING\""),
        (
            "salesforce",
            Kind::window(0, 86_400),
            "[{\"message\":\"TotalRequests Limit exceeded.\",\"errorCode\":\"REQUEST_LIMIT_EXCEEDED\"}]",
        ),
        ("salesforce", Kind::concurrency(0), "ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
        ("mailchimp", Kind::concurrency(0), "You have exceeded the limit of 0 simultaneous connections."),
        ("ga4-data", Kind::concurrency(0), "Exhausted concurrent requests quota."),
        ("keap", Kind::daily(0, 0), "\"message\":\"Quota Exceeded\""),
        ("aprimo", Kind::window(0, 1), "429 Too Many Requests"),
    ] {
        let bench = server::Bench::new(Spec::new(vendor).limits(vec![Limit::new("limit", kind)])).unwrap();
        let answer = ask(&bench, &get("/echo")).await;
        assert!(answer.contains(words), "{vendor}: {answer}");
        assert_eq!(bench.calls().refused()["limit"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn every_vendor_says_how_far_its_limits_are_used_where_the_real_one_does() {
    for (vendor, header) in [
        ("hubspot", "X-HubSpot-RateLimit-Daily-Remaining: 39999"),
        ("salesforce", "Sforce-Limit-Info: api-usage=1/1000000"),
        ("keap", "x-keap-product-quota-used: 1"),
        ("keap", "x-keap-product-throttle-spike-limit: 10ps"),
    ] {
        let bench = server::Bench::new(Spec::new(vendor)).unwrap();
        let answer = ask(&bench, &get("/echo")).await;
        assert!(answer.contains(header), "{vendor}: {answer}");
    }
}

fn raw(vendor: &server::Handle, request: &str) -> (String, std::io::Result<usize>) {
    let mut stream = TcpStream::connect(vendor.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer);
    (String::from_utf8_lossy(&answer).into_owned(), end)
}

#[test]
fn faults_break_the_connection_where_they_say() {
    let fault = |fault| Vendor::start(Spec::new("generic").fault(FaultRule::always(fault))).unwrap();
    let (answer, end) = raw(&fault(Fault::ResetBefore), &get("/echo"));
    assert!(answer.is_empty() && end.is_err());
    let (answer, end) = raw(&fault(Fault::ResetMidBody { bytes: 5 }), &get("/echo"));
    // A reset may overtake the bytes before it.
    assert!(end.is_err() && (answer.is_empty() || answer.split_once("\r\n\r\n").unwrap().1.len() == 5), "{answer}");
    let vendor = fault(Fault::Raw { text: "HTTP/1.1 099 Odd\r\n\r\n".to_owned() });
    assert_eq!(raw(&vendor, &get("/echo")).0, "HTTP/1.1 099 Odd\r\n\r\n");
    assert_eq!(vendor.calls().0[0].verdict, Verdict::Fault("raw".to_owned()));
}

#[test]
fn the_control_api_shows_changes_and_clears() {
    let vendor = Vendor::start(Spec::new("generic").credential("hush")).unwrap();
    let _ = raw(&vendor, &get("/echo"));
    assert!(raw(&vendor, &get("/__control/log")).0.contains("\"unauthorized\""));
    let body = r#"{"credential":null,"limits":[{"name":"one","kind":"rolling_window","calls":1,"ms":60000}]}"#;
    let put =
        format!("PUT /__control/spec HTTP/1.1\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    assert!(raw(&vendor, &put).0.starts_with("HTTP/1.1 200"));
    assert!(raw(&vendor, &get("/echo")).0.starts_with("HTTP/1.1 200"));
    assert!(raw(&vendor, &get("/echo")).0.starts_with("HTTP/1.1 429"));
    let _ = raw(&vendor, "POST /__control/reset HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert!(vendor.calls().0.is_empty());
    assert!(raw(&vendor, &get("/echo")).0.starts_with("HTTP/1.1 200"));
    let (spec, _) = raw(&vendor, &get("/__control/spec"));
    assert!(!spec.contains("hush"));
}
