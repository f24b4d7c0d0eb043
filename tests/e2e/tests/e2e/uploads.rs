//! Request bodies on their way to the vendor: they are streamed, bounded, and never ended as if
//! they were whole. Requests without a body are tested too.

use serde_json::json;
use sluice_e2e::instance::Start;
use sluice_e2e::{Ask, Open, Tenant, World, secrets};
use sluice_mock_upstreams::{Fault, FaultRule, Spec, Vendor};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

tests![
    of_an_upload_of_200_mb_nothing_is_held,
    an_upload_that_its_caller_cuts_off_never_reaches_the_vendor_as_whole,
    a_body_of_unknown_length_is_cut_off_at_the_vendors_limit,
    a_get_whose_body_is_empty_is_repeated_as_one_without,
    a_get_whose_body_is_empty_renews_its_token_and_may_be_a_job,
    a_get_with_a_body_is_sent_with_it_however_it_is_framed,
    as_many_headers_as_a_request_may_have_take_little_time_and_so_does_refusing_more,
];

const MB: usize = 1 << 20;

/// What one connection to a [`raw`] vendor received.
#[derive(Debug, Default, Clone)]
struct Seen {
    bytes: usize,
    /// The last bytes that came.
    tail: Vec<u8>,
    closed: bool,
}

impl Seen {
    /// Whether a chunked body has ended properly.
    fn whole(&self) -> bool {
        self.tail.ends_with(b"\r\n0\r\n\r\n")
    }
}

/// Starts a vendor that reads and writes plain bytes and answers when a chunked body is at its end.
async fn raw() -> (SocketAddr, Arc<Mutex<Vec<Seen>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let all = Arc::new(Mutex::new(Vec::<Seen>::new()));
    let seen = Arc::clone(&all);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let place = {
                let mut seen = seen.lock().unwrap();
                seen.push(Seen::default());
                seen.len() - 1
            };
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    let whole = {
                        let mut seen = seen.lock().unwrap();
                        let seen = &mut seen[place];
                        seen.bytes += read;
                        seen.tail.extend_from_slice(&buffer[..read]);
                        let cut = seen.tail.len().saturating_sub(16);
                        seen.tail.drain(..cut);
                        seen.whole()
                    };
                    if whole {
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
                        let _ = stream.write_all(answer).await;
                    }
                }
                seen.lock().unwrap()[place].closed = true;
            });
        }
    });
    (address, all)
}

/// Returns the head of an upload whose chunks a test writes itself.
fn upload(to: SocketAddr, path: &str, key: &str) -> String {
    let ask = Ask::new("POST", &format!("/v/c{path}")).key(key).with("Transfer-Encoding", "chunked");
    ask.with("Content-Type", "text/plain").head(to)
}

fn chunk(bytes: usize) -> Vec<u8> {
    let mut chunk = format!("{bytes:x}\r\n").into_bytes();
    chunk.resize(chunk.len() + bytes, b'x');
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// The upload goes to a vendor whose limit is above it, and to one that has no limit. While the vendor
/// does not read, the bytes stay with the caller.
async fn of_an_upload_of_200_mb_nothing_is_held(_: &World) {
    let instance = Start::fresh("uploads").run();
    for bodies in [json!([{"bytes": 300 * MB}]), json!([])] {
        let (vendor, seen) = raw().await;
        let tenant = Tenant::new(&instance, "uploads");
        let profile = json!({"bodies": bodies});
        let connection = json!({
            "vendor": "own", "base_url": format!("http://{vendor}"), "profile": profile, "timeout_seconds": 120,
        });
        tenant.policy(&json!({"connections": {"c": connection}, "apps": {"app": {}}})).await;
        let key = tenant.key("app").await;
        let mut most = 0;
        let mut before = None;
        for size in [2 * MB, 200 * MB] {
            let mut open = Open::connect(tenant.to()).await.unwrap();
            open.write(upload(tenant.to(), "/upload", &key).as_bytes()).await.unwrap();
            let piece = chunk(1 << 16);
            for sent in (0..size).step_by(1 << 16) {
                open.write(&piece).await.unwrap();
                if size > 2 * MB && sent % (10 * MB) == 0 {
                    most = most.max(instance.memory().unwrap_or_default());
                }
            }
            open.write(b"0\r\n\r\n").await.unwrap();
            open.head().await.unwrap();
            assert_eq!(open.answer().status, 200, "{:?}", open.answer());
            // The first upload has a one-time cost that a long one does not have.
            before = before.or(instance.memory());
        }
        assert!(seen.lock().unwrap().last().unwrap().bytes > 200 * MB);
        let more = most.saturating_sub(before.unwrap_or(most)) / MB as u64;
        println!("an upload of 200 MB: workerd's memory + {more} MB, with {bodies}");
        // JavaScript's garbage counts here. If the body were held, it would be twice the upload.
        assert!(more < 60, "workerd's memory rose by {more} MB, with {bodies}");
    }
}

async fn an_upload_that_its_caller_cuts_off_never_reaches_the_vendor_as_whole(world: &World) {
    // With one attempt nothing has to be kept for a retry; Marketo has a size limit.
    let kinds =
        [("generic", json!({})), ("generic", json!({"retry": {"attempts": 1}})), ("marketo", json!({"limits": []}))];
    for (profile, more) in kinds {
        for (size, resets) in [(60_000, true), (60_000, false), (3 * MB, true), (3 * MB, false)] {
            let (vendor, seen) = raw().await;
            let tenant = world.tenant("cut-upload");
            let key = tenant.simple(profile, &format!("http://{vendor}"), &more).await;
            let mut open = Open::connect(tenant.to()).await.unwrap();
            open.write(upload(tenant.to(), "/bulk/v1/leads.json", &key).as_bytes()).await.unwrap();
            for _ in (0..size).step_by(60_000) {
                open.write(&chunk(60_000)).await.unwrap();
            }
            let what = format!("{profile} {more}, {size} bytes, {}", if resets { "reset" } else { "closed" });
            let arrived = || seen.lock().unwrap().iter().map(|seen| seen.bytes).sum::<usize>();
            if size > MB {
                until(&format!("the beginning arrives: {what}"), || arrived() > 2 * MB).await;
            }
            if resets {
                open.reset();
            } else {
                drop(open);
            }
            // A body that is held is not sent at all; for one that is streamed, the vendor sees
            // that it broke off.
            if size > MB {
                until(&format!("the vendor's connection ends: {what}"), || seen.lock().unwrap()[0].closed).await;
            } else {
                sleep(Duration::from_millis(300)).await;
                assert_eq!(arrived(), 0, "{what}");
            }
            let seen = seen.lock().unwrap().clone();
            assert!(!seen.iter().any(Seen::whole), "the vendor takes it for whole: {what}: {seen:?}");
            let status = tenant.until(&key, "it is settled or lapses", |c| c["queue"]["depth"] == 0).await;
            assert_eq!(status["last_hour"]["throttled"], 0);
        }
    }
}

async fn until(what: &str, so: impl Fn() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Marketo takes an import of 10 MB. A body that is held is refused before it is sent, which
/// `sizes` checks.
async fn a_body_of_unknown_length_is_cut_off_at_the_vendors_limit(world: &World) {
    let (vendor, seen) = raw().await;
    let tenant = world.tenant("cut-at-limit");
    let credential = json!({"type": "bearer", "token": secrets::invent("token")});
    let more = json!({"limits": [], "credential": credential});
    let key = tenant.simple("marketo", &format!("http://{vendor}"), &more).await;
    let import = |bytes: usize| Ask::post("/v/c/bulk/v1/leads.json", Vec::new()).key(&key).chunked(vec![b'x'; bytes]);
    tenant.send(&import(10_485_761)).await.is_problem(413, "payload");
    until("the vendor's connection ends", || seen.lock().unwrap()[0].closed).await;
    assert!(!seen.lock().unwrap()[0].whole(), "the vendor takes it for whole");

    assert_eq!(tenant.send(&import(10_485_760)).await.text(), "ok");
    assert!(seen.lock().unwrap()[1].bytes > 10_485_760);
}

/// Requests that declare an empty body.
const EMPTY: [(&str, &str); 2] = [("Content-Length: 0", ""), ("Transfer-Encoding: chunked", "0\r\n\r\n")];

/// Sends a request exactly as written, and reads the head of the answer.
async fn as_it_stands(tenant: &Tenant, method: &str, path: &str, headers: &str, body: &str) -> Open {
    let mut open = Open::connect(tenant.to()).await.unwrap();
    let text = format!("{method} /v/c{path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n\r\n{body}");
    open.write(text.as_bytes()).await.unwrap();
    open.head().await.unwrap();
    open
}

fn attempts(open: &Open) -> (u16, Option<&str>) {
    (open.answer().status, open.answer().header("sluice-attempts"))
}

async fn a_get_whose_body_is_empty_is_repeated_as_one_without(world: &World) {
    for method in ["GET", "HEAD"] {
        for (header, body) in EMPTY {
            let fault = Fault::Status { status: 503, retry_after_s: Some(1), retry_at_s: None };
            let spec = Spec::new("generic").limits(vec![]).fault(FaultRule::first(1, fault));
            let vendor = Vendor::start(spec).unwrap();
            let tenant = world.tenant("empty");
            let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
            let headers = format!("Sluice-Key: {key}\r\n{header}");
            let answer = as_it_stands(&tenant, method, "/echo", &headers, body).await;
            assert_eq!(attempts(&answer), (200, Some("2")), "{method}, {header}");
        }
    }
}

async fn a_get_whose_body_is_empty_renews_its_token_and_may_be_a_job(world: &World) {
    let path = "/rest/v1/leads/describe.json";
    for (header, body) in EMPTY {
        let secret = secrets::invent("client-secret");
        let vendor = Vendor::start(Spec::new("marketo").credential(&secret).limits(vec![])).unwrap();
        let tenant = world.tenant("empty-token");
        let credential = json!({"type": "client_credentials", "client_id": "sluice", "client_secret": secret});
        let key = tenant.simple("marketo", &vendor.url(), &json!({"credential": credential, "limits": []})).await;
        tenant.get(&key, path).await.is_vendors(200);
        vendor.revoke();
        let headers = format!("Sluice-Key: {key}\r\n{header}");
        let answer = as_it_stands(&tenant, "GET", path, &headers, body).await;
        assert_eq!(attempts(&answer), (200, Some("2")), "{header}");
        let job = as_it_stands(&tenant, "GET", path, &format!("{headers}\r\nPrefer: respond-async"), body).await;
        assert_eq!(job.answer().status, 202, "{header}");
        vendor.tokens().iter().for_each(|token| secrets::remember(token));
    }
}

/// The platform sends such a body from the caller alone, and none at all where nothing says how it is framed.
async fn a_get_with_a_body_is_sent_with_it_however_it_is_framed(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("get-body");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let ask = Ask::get("/v/c/echo").key(&key);
    for ask in [ask.clone().body("abc"), ask.clone().chunked("abc")] {
        assert_eq!(tenant.send(&ask).await.echo().0["body_bytes"], 3, "{ask:?}");
    }
    tenant.send(&ask.chunked(vec![b'x'; 2 * MB])).await.is_problem(413, "payload");
}

/// Returns the processor time of workerd so far, ms; its clock has a resolution of 10 ms.
fn calculated_ms(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    Some(10 * (fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?))
}

/// The processor's time is measured, which does not depend on the machine's other load; what a call
/// takes without the headers is subtracted.
async fn as_many_headers_as_a_request_may_have_take_little_time_and_so_does_refusing_more(_: &World) {
    const CALLS: u64 = 10;
    let instance = Start::fresh("headers").run();
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = Tenant::new(&instance, "headers");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let mut took = Vec::new();
    for (headers, status) in [(0, 204), (900, 204), (16_000, 400)] {
        let lines: String = (0..headers).map(|at| format!("{at:x}:\r\n")).collect();
        let before = calculated_ms(instance.pid());
        for _ in 0..CALLS {
            let answer = as_it_stands(&tenant, "GET", "/status/204", &format!("{lines}Sluice-Key: {key}"), "").await;
            assert_eq!(answer.answer().status, status, "{headers} headers");
        }
        let after = calculated_ms(instance.pid());
        took.extend(after.zip(before).map(|(after, before)| (after - before) / CALLS));
    }
    println!("0, 900 and 16,000 headers: {took:?} ms of the processor a call");
    if let [none, many, most] = took[..] {
        assert!(many.saturating_sub(none) < 60 && most.saturating_sub(none) < 60, "{took:?}");
    }
}
