//! Callbacks to a receiver that computes and checks the signatures independently.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sluice_e2e::instance::Start;
use sluice_e2e::{Ask, Tenant, World, secrets};
use sluice_mock_upstreams::{Fault, FaultRule, Handle, Spec, Vendor};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

tests![
    a_slow_receiver_is_given_up_after_15_seconds_and_tried_again,
    a_receiver_that_fails_is_tried_again_under_one_id,
    an_outcome_outlives_a_kill_while_its_receiver_is_down,
    an_outcome_arrives_signed,
    a_redirect_is_not_followed_and_a_receiver_that_is_gone_leaves_a_dead_letter_that_replays,
    a_dead_letter_raises_an_alert_that_is_sent_and_cleared,
];

/// The behaviour of a receiver.
#[derive(Debug, Clone, Copy)]
enum Does {
    /// It answers with that status.
    Says(u16),
    /// It never answers.
    Hangs,
}

/// A message as it came.
#[derive(Debug, Clone)]
struct Message {
    head: String,
    body: String,
}

impl Message {
    fn header(&self, name: &str) -> &str {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Checks that the message is signed recently, and as the specification says.
    #[expect(clippy::disallowed_methods, reason = "the time that is signed is one of the calendar")]
    fn is_signed(&self, key: &[u8]) {
        let (id, at) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        assert!(id.starts_with("msg_") && !id.contains('.'), "{id}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(at.parse::<u64>().unwrap().abs_diff(now) <= 60, "{at}");
        let mac = hmac(key, format!("{id}.{at}.{}", self.body).as_bytes());
        assert_eq!(self.header("webhook-signature"), format!("v1,{}", STANDARD.encode(mac)));
        assert_eq!(self.header("content-type"), "application/json");
        assert!(self.body.len() <= 20_000);
    }
}

/// Computes HMAC-SHA256 by RFC 2104, with only the hash.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let padded = |pad: u8| block.map(|byte| byte ^ pad).to_vec();
    let inner = Sha256::digest([padded(0x36), message.to_vec()].concat());
    Sha256::digest([padded(0x5c), inner.to_vec()].concat()).to_vec()
}

/// A receiver of callbacks.
struct Receiver {
    port: u16,
    does: Arc<Mutex<Does>>,
    came: Arc<Mutex<Vec<Message>>>,
}

impl Receiver {
    async fn start(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, does)
    }

    fn on(listener: TcpListener, does: Does) -> Self {
        let port = listener.local_addr().unwrap().port();
        let (does, came) = (Arc::new(Mutex::new(does)), Arc::new(Mutex::new(Vec::new())));
        let (how, to) = (Arc::clone(&does), Arc::clone(&came));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(receive(stream, Arc::clone(&how), Arc::clone(&to)));
            }
        });
        Self { port, does, came }
    }

    /// Returns its URL with a query, since some receivers have a secret there.
    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/in?token={}", self.port, secrets::invent("hook"))
    }

    fn does(&self, does: Does) {
        *self.does.lock().unwrap_or_else(PoisonError::into_inner) = does;
    }

    fn came(&self) -> Vec<Message> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the first `n` messages once they have come.
    async fn first(&self, n: usize, within: Duration) -> Vec<Message> {
        let began = Instant::now();
        loop {
            let came = self.came();
            if came.len() >= n {
                return came;
            }
            assert!(began.elapsed() < within, "{} of {n} messages came", came.len());
            sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn receive(mut stream: TcpStream, does: Arc<Mutex<Does>>, came: Arc<Mutex<Vec<Message>>>) -> Option<()> {
    let mut read = Vec::new();
    let (head, body) = loop {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let message = Message { head: head.to_owned(), body: body.to_owned() };
        if body.len() >= message.header("content-length").parse().unwrap_or(0) {
            break (head.to_owned(), body.to_owned());
        }
    };
    came.lock().unwrap_or_else(PoisonError::into_inner).push(Message { head, body });
    let does = *does.lock().unwrap_or_else(PoisonError::into_inner);
    match does {
        Does::Says(status) => {
            let head = format!(
                "HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.ok()
        }
        Does::Hangs => loop {
            // It keeps the connection until the other side gives up.
            if stream.read_buf(&mut read).await.ok()? == 0 {
                return None;
            }
        },
    }
}

/// A tenant with a connection `c` to a vendor, and callbacks to this machine.
struct Set {
    vendor: Handle,
    tenant: Tenant,
    app: String,
    operator: String,
    key: Vec<u8>,
}

async fn set(tenant: Tenant, more: &Value) -> Set {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let key: Vec<u8> = (0..4).flat_map(|_| secrets::bits().to_be_bytes()).collect();
    let secret = format!("whsec_{}", STANDARD.encode(&key));
    secrets::remember(&secret);
    let mut policy = json!({
        "connections": {"c": {"vendor": "generic", "base_url": vendor.url()}},
        "apps": {"app": {}},
        "callbacks": {"secret": secret, "hosts": ["127.0.0.1"]},
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        policy[name] = value.clone();
    }
    tenant.policy(&policy).await;
    let (app, (operator, _)) = (tenant.key("app").await, tenant.make_key(&json!({"role": "operator"})).await);
    Set { vendor, tenant, app, operator, key }
}

impl Set {
    /// Submits a job with a callback; returns the job's id.
    async fn kept(&self, callback: Option<&str>) -> String {
        let ask = Ask::post("/v/c/echo", "{}").key(&self.app).with("Prefer", "respond-async");
        let ask = callback.into_iter().fold(ask, |ask, url| ask.with("Sluice-Callback", url));
        let answer = self.tenant.send(&ask).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    async fn dead(&self) -> Vec<Value> {
        let list = self.tenant.send(&Ask::get("/dead-letters").key(&self.app)).await;
        list.json()["items"].as_array().unwrap().clone()
    }

    /// Waits until this many callbacks are queued and dead.
    async fn counts(&self, queued: u64, dead: u64) {
        let began = Instant::now();
        loop {
            let shown = self.tenant.status(&self.app).await["callbacks"].clone();
            if shown == json!({"queued": queued, "dead": dead}) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{shown}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

const SOON: Duration = Duration::from_secs(20);

async fn an_outcome_arrives_signed(world: &World) {
    let receiver = Receiver::start(Does::Says(204)).await;
    let set = set(world.tenant("hook"), &json!({})).await;
    let job = set.kept(Some(&receiver.url())).await;
    let message = receiver.first(1, SOON).await.remove(0);
    message.is_signed(&set.key);
    assert!(message.head.starts_with("POST /in?token=hook-"), "{}", message.head);
    let said = message.json();
    assert_eq!((&said["type"], &said["data"]["id"]), (&json!("job.done"), &json!(job)));
    assert_eq!((&said["data"]["state"], &said["data"]["response"]["status"]), (&json!("done"), &json!(200)));
    assert_eq!(said["data"]["tenant"], set.tenant.name);
    set.counts(0, 0).await;
    assert_eq!(receiver.came().len(), 1);
}

async fn a_receiver_that_fails_is_tried_again_under_one_id(world: &World) {
    let receiver = Receiver::start(Does::Says(500)).await;
    let set = set(world.tenant("hook-500"), &json!({})).await;
    set.kept(Some(&receiver.url())).await;
    receiver.first(1, SOON).await;
    set.counts(1, 0).await;
    receiver.does(Does::Says(200));
    let came = receiver.first(2, Duration::from_secs(40)).await;
    came.iter().for_each(|message| message.is_signed(&set.key));
    assert_eq!(came[0].header("webhook-id"), came[1].header("webhook-id"));
    assert_eq!(came[0].body, came[1].body);
    let at = |message: &Message| message.header("webhook-timestamp").parse::<u64>().unwrap();
    assert!(at(&came[1]) >= at(&came[0]) + 4, "the attempt's own time");
    set.counts(0, 0).await;
}

async fn a_redirect_is_not_followed_and_a_receiver_that_is_gone_leaves_a_dead_letter_that_replays(world: &World) {
    let receiver = Receiver::start(Does::Says(302)).await;
    let set = set(world.tenant("hook-gone"), &json!({})).await;
    let job = set.kept(Some(&receiver.url())).await;
    let first = receiver.first(1, SOON).await.remove(0);
    set.counts(1, 0).await;
    receiver.does(Does::Says(410));
    let came = receiver.first(2, Duration::from_secs(40)).await;
    assert!(came.iter().all(|message| message.head.starts_with("POST /in?")), "{came:?}");
    set.counts(0, 1).await;
    let id = first.header("webhook-id").to_owned();
    let dead = set.dead().await;
    assert_eq!((dead.len(), &dead[0]["id"], &dead[0]["kind"]), (1, &json!(id), &json!("callback")));
    assert_eq!((&dead[0]["job"], &dead[0]["error"]), (&json!(job), &json!("gone")));
    assert_eq!((&dead[0]["attempts"][0]["status"], &dead[0]["attempts"][1]["status"]), (&json!(302), &json!(410)));
    receiver.does(Does::Says(200));
    let replay = Ask::post(&format!("/dead-letters/{id}/replay"), "").key(&set.operator);
    assert_eq!(set.tenant.send(&replay).await.status, 202);
    let came = receiver.first(3, SOON).await;
    came[2].is_signed(&set.key);
    assert_eq!((came[2].header("webhook-id"), &came[2].body), (id.as_str(), &first.body));
    set.counts(0, 0).await;
    assert_eq!(set.dead().await.len(), 0);
}

async fn a_slow_receiver_is_given_up_after_15_seconds_and_tried_again(world: &World) {
    let receiver = Receiver::start(Does::Hangs).await;
    let set = set(world.tenant("hook-slow"), &json!({})).await;
    set.kept(Some(&receiver.url())).await;
    let began = Instant::now();
    let id = receiver.first(1, SOON).await[0].header("webhook-id").to_owned();
    receiver.does(Does::Says(200));
    receiver.first(2, Duration::from_secs(60)).await;
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(19), "{took:?}: 15 s, and 5 s less a tenth");
    assert_eq!(receiver.came()[1].header("webhook-id"), id);
    set.counts(0, 0).await;
}

async fn an_outcome_outlives_a_kill_while_its_receiver_is_down(_: &World) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let instance = Start::fresh("hook-kill").run();
    let mut set = set(Tenant::new(&instance, "hook-kill"), &json!({})).await;
    let job = set.kept(Some(&format!("http://127.0.0.1:{port}/in"))).await;
    set.counts(1, 0).await;
    let start = instance.kill();
    let receiver = Receiver::on(TcpListener::bind(("127.0.0.1", port)).await.unwrap(), Does::Says(200));
    let instance = tokio::task::spawn_blocking(|| start.run()).await.unwrap();
    set.tenant = set.tenant.on(&instance);
    // After the one attempt that was made comes the second, 5 s later, or the third, if the kill
    // came after that.
    set.tenant.status(&set.app).await;
    let message = receiver.first(1, Duration::from_secs(40)).await.remove(0);
    message.is_signed(&set.key);
    assert_eq!(message.json()["data"]["id"], json!(job));
    set.counts(0, 0).await;
}

async fn a_dead_letter_raises_an_alert_that_is_sent_and_cleared(world: &World) {
    let receiver = Receiver::start(Does::Says(200)).await;
    // In the policy an address is not a secret.
    let url = format!("http://127.0.0.1:{}/alerts", receiver.port);
    let alerts = json!({"callback": url, "dead_letters": 1});
    let set = set(world.tenant("hook-alert"), &json!({ "alerts": alerts })).await;
    let refuses = FaultRule::always(Fault::Status { status: 400, retry_after_s: None, retry_at_s: None });
    set.vendor.change(|spec| spec.faults.push(refuses)).unwrap();
    let job = set.kept(None).await;
    let raised = receiver.first(1, SOON).await.remove(0);
    raised.is_signed(&set.key);
    let said = raised.json();
    assert_eq!((&said["type"], &said["data"]["alert"]["kind"]), (&json!("alert.raised"), &json!("dead_letters")));
    assert_eq!((&said["data"]["tenant"], &said["data"]["alert"]["connection"]), (&json!(set.tenant.name), &json!("c")));
    let delete = Ask::new("DELETE", &format!("/dead-letters/{job}")).key(&set.operator);
    assert_eq!(set.tenant.send(&delete).await.status, 204);
    let cleared = receiver.first(2, SOON).await.remove(1);
    assert_eq!(cleared.json()["type"], "alert.cleared");
    assert_ne!(cleared.header("webhook-id"), raised.header("webhook-id"));
}
