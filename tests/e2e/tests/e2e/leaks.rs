//! No secret of a run is found anywhere but with its owner. The search assumes no places: it takes
//! every secret, in every form in which it may be written, and searches everything that came out of
//! the instance: each answer, each message, each line of the log and each stored file.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sluice_e2e::instance::Start;
use sluice_e2e::raw::{Raw, Seen};
use sluice_e2e::{Answer, Ask, Instance, Tenant, World, secrets};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};

tests![no_secret_of_a_run_is_anywhere_but_with_its_owner];

/// The owner of a secret, who decides where it may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// No caller: the secret goes to the vendor, or stays where it is.
    Nobody,
    /// The app that sends it: it may be in answers to that app.
    App,
}

struct Secret {
    what: &'static str,
    owner: Owner,
    forms: Vec<Vec<u8>>,
}

/// Every secret of the run, and everything that came out of the instance.
#[derive(Default)]
struct Run {
    secrets: Vec<Secret>,
    found: BTreeSet<(String, String)>,
    looked: usize,
}

impl Run {
    /// Invents a secret that is unlike any other, with characters that are encoded.
    fn invent(&mut self, what: &'static str, owner: Owner) -> String {
        let secret = format!("{:016x}!{:016x}", secrets::bits(), secrets::bits());
        self.know(what, owner, &secret);
        secret
    }

    fn know(&mut self, what: &'static str, owner: Owner, secret: &str) {
        self.secrets.push(Secret { what, owner, forms: forms(secret) });
    }

    /// Searches for every secret. `owner` is the one to whom the place belongs.
    fn look(&mut self, place: &str, owner: Owner, bytes: &[u8]) {
        self.looked += bytes.len();
        for secret in self.secrets.iter().filter(|secret| secret.owner == Owner::Nobody || secret.owner != owner) {
            if secret.forms.iter().any(|form| contains(bytes, form)) {
                self.found.insert((place.to_owned(), secret.what.to_owned()));
            }
        }
    }

    fn answer(&mut self, place: &str, owner: Owner, answer: &Answer) {
        self.head(place, owner, answer);
        self.look(place, owner, &answer.body);
    }

    /// Searches the head of a direct call's answer. Its body passes as received, whatever the
    /// vendor has written into it.
    fn head(&mut self, place: &str, owner: Owner, answer: &Answer) {
        let head = format!("{} {} {:?}", answer.status, answer.reason, answer.headers);
        self.look(place, owner, head.as_bytes());
    }
}

/// Returns a secret as it is, percent-encoded in either case, completely or where necessary,
/// escaped for JSON, and in base64 at each alignment.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let percent = |all: bool, upper: bool| -> String {
        let one = |byte: u8| match byte {
            byte if !all && byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte if upper => format!("%{byte:02X}"),
            byte => format!("%{byte:02x}"),
        };
        secret.bytes().map(one).collect()
    };
    let mut forms = vec![secret.to_owned(), percent(false, true), percent(false, false), percent(true, true)];
    forms.extend([percent(true, false), secret.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect()]);
    for before in 0..3 {
        let padded = [vec![0; before], secret.as_bytes().to_vec()].concat();
        let whole = (before * 8).div_ceil(6)..padded.len() * 8 / 6;
        forms.extend(
            [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD].map(|engine| engine.encode(&padded)[whole.clone()].to_owned()),
        );
    }
    forms.into_iter().map(String::into_bytes).collect()
}

fn contains(bytes: &[u8], form: &[u8]) -> bool {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| byte == &form[0]) {
        if bytes[from + at..].starts_with(form) {
            return true;
        }
        from += at + 1;
    }
    false
}

/// Answers as a vendor that repeats everything it gets, in every form and wherever it can. `/token`
/// issues the given token.
fn echo(seen: &Seen, token: &str) -> Vec<u8> {
    let target = seen.target();
    if target.ends_with("/token") {
        let body = json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600}).to_string();
        return format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes();
    }
    let status = target.split(['/', '?']).find_map(|part| part.parse::<u16>().ok()).unwrap_or(200);
    let credentials = ["authorization", "x-api-key", "cookie", "x-vendor-token"];
    let mut values: Vec<String> = credentials.iter().filter_map(|name| seen.header(name)).collect();
    values.push(target.clone());
    let bare: Vec<String> =
        values.iter().map(|value| value.rsplit(' ').next().unwrap_or_default().to_owned()).collect();
    let mut head = format!("HTTP/1.1 {status} {}\r\n", bare.join(" "));
    let url = format!("http://{}{target}", seen.header("host").unwrap_or_default());
    head.push_str(&format!("Location: {url}\r\nContent-Location: {target}\r\nLink: <{url}>; rel=\"next\"\r\n"));
    head.push_str(&format!("Refresh: 9; url={url}\r\nWarning: 299 - \"{}\"\r\n", bare.join(" ")));
    for (at, value) in values.iter().chain(&bare).enumerate() {
        head.push_str(&format!("X-Echo-{at}: {value}\r\nSet-Cookie: echo{at}={}\r\n", value.replace(';', "_")));
        for (form, text) in forms(value).into_iter().skip(1).enumerate() {
            head.push_str(&format!("X-Echo-{at}-{form}: {}\r\n", String::from_utf8_lossy(&text)));
        }
        head.push_str(&format!("Server-Timing: echo;desc=\"{value}\"\r\nRateLimit: \"{value}\";r=1\r\n"));
    }
    let body = json!({"error": {"code": bare[0], "message": values}, "head": seen.text(),
        "body": String::from_utf8_lossy(&seen.body)})
    .to_string();
    head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    head.into_bytes()
}

/// The running instance, with the keys for its API.
struct Stage {
    tenant: Tenant,
    vendor: Raw,
    receiver: Raw,
    app: String,
    other: String,
    viewer: String,
    operator: String,
}

const ADDRESSES: [&str; 9] = [
    "/status.json",
    "/metrics",
    "/stats/usage.json",
    "/stats/usage/last7days.json",
    "/stats/errors.json",
    "/stats/errors/last7days.json",
    "/jobs",
    "/dead-letters",
    "/jobs?limit=1000&state=done",
];

const CONNECTIONS: [&str; 7] = ["bearer", "basic", "header", "query", "client", "refresh", "pass"];

async fn set(instance: &Instance, run: &mut Run) -> Stage {
    run.know("administrator's token", Owner::Nobody, &instance.start.admin_token);
    run.know("master key", Owner::Nobody, &instance.start.master_key);
    let token = run.invent("fetched token", Owner::Nobody);
    let vendor = Raw::start(move |seen| echo(seen, &token)).await;
    let receiver = Raw::start(|_| b"HTTP/1.1 204 X\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    let mut stored = || run.invent("stored credential", Owner::Nobody);
    let token_url = format!("{}/token", vendor.url());
    let credentials = json!({
        "bearer": {"type": "bearer", "token": stored()},
        "basic": {"type": "basic", "username": "someone", "password": stored()},
        "header": {"type": "header", "name": "X-Api-Key", "value": stored()},
        "query": {"type": "query", "name": "api_secret", "value": stored()},
        "client": {"type": "client_credentials", "client_id": "c", "client_secret": stored(), "token_url": token_url},
        "refresh": {"type": "refresh_token", "client_id": "c", "client_secret": stored(), "refresh_token": stored(), "token_url": token_url},
        "pass": {"type": "passthrough"},
    });
    let signing = base64::engine::general_purpose::STANDARD.encode(stored());
    run.know("signing secret", Owner::Nobody, &signing);
    let mut connections = json!({});
    for name in CONNECTIONS {
        let reading = json!({"codes": ["/error/code"], "every": true});
        connections[name] = json!({"vendor": "echo", "base_url": vendor.url(), "credential": credentials[name],
            "profile": {"reading": reading}, "retry": {"attempts": 1}});
    }
    let policy = json!({"connections": connections, "apps": {"app": {}, "other": {}},
        "callbacks": {"secret": format!("whsec_{signing}"), "hosts": ["127.0.0.1"]},
        "alerts": {"callback": format!("{}/alerts", receiver.url())}});
    let tenant = Tenant::new(instance, "leaks");
    let put = tenant.put(&policy).await;
    assert_eq!(put.status, 201, "{}", put.text());
    run.answer("administration", Owner::Nobody, &put);
    let mut keys = Vec::new();
    for what in [
        json!({"role": "app", "app": "app"}),
        json!({"role": "app", "app": "other"}),
        json!({"role": "viewer"}),
        json!({"role": "operator"}),
    ] {
        let made = tenant.admin("POST", "/tenants/leaks/keys", Some(&what)).await;
        let key = made.json()["key"].as_str().unwrap().to_owned();
        run.know("key", Owner::Nobody, &key);
        keys.push(key);
    }
    let [app, other, viewer, operator] = keys.try_into().unwrap_or_else(|_| panic!("four keys"));
    Stage { tenant, vendor, receiver, app, other, viewer, operator }
}

/// Makes calls on every connection, directly and as jobs, that succeed and that fail.
async fn call(stage: &Stage, run: &mut Run) -> Vec<String> {
    let own = run.invent("caller's own token", Owner::App);
    let cookie = run.invent("caller's cookie", Owner::App);
    let mut jobs = Vec::new();
    for connection in CONNECTIONS {
        for (method, status) in [("GET", 200), ("GET", 307), ("GET", 429), ("POST", 400), ("POST", 500)] {
            let target = format!("/v/{connection}/status/{status}?a=1&b=%2F");
            let mut ask = Ask::new(method, &target).key(&stage.app);
            if method == "POST" {
                ask = ask.body(r#"{"a":1}"#).with("Content-Type", "application/json");
            }
            if connection == "pass" {
                ask = ask.with("Authorization", &format!("Bearer {own}")).with("Cookie", &format!("session={cookie}"));
            }
            let answer = stage.tenant.send(&ask).await;
            assert_eq!(answer.status, status, "{connection} {}", answer.text());
            run.head("answer", Owner::App, &answer);
            let job =
                ask.with("Prefer", "respond-async").with("Sluice-Callback", &format!("{}/in", stage.receiver.url()));
            let kept = stage.tenant.send(&job).await;
            assert_eq!(kept.status, 202, "{}", kept.text());
            run.answer("answer", Owner::App, &kept);
            jobs.push(kept.json()["id"].as_str().unwrap().to_owned());
        }
    }
    // This SDK puts its credential in a place that has none.
    let key = &stage.app;
    for ask in [
        Ask::get(&format!("/v/bearer/tokens/{key}")),
        Ask::get(&format!("/v/bearer/x?token={key}")),
        Ask::get("/v/bearer/x").with("X-Custom", key),
        Ask::post("/v/bearer/x", format!("{{\"token\":\"{key}\"}}")).with("Content-Type", "application/json"),
    ] {
        let answer = stage.tenant.send(&ask.clone().key(key)).await;
        run.head("answer", Owner::App, &answer);
        let kept = stage.tenant.send(&ask.key(key).with("Prefer", "respond-async")).await;
        run.answer("answer", Owner::App, &kept);
        if kept.status == 202 {
            jobs.push(kept.json()["id"].as_str().unwrap().to_owned());
        }
    }
    jobs
}

async fn ended(stage: &Stage, jobs: &[String]) {
    let began = Instant::now();
    for id in jobs {
        loop {
            let shown = stage.tenant.send(&Ask::get(&format!("/jobs/{id}")).key(&stage.operator)).await.json();
            if matches!(shown["state"].as_str(), Some("done" | "dead")) {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{shown}");
            sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn no_secret_of_a_run_is_anywhere_but_with_its_owner(_: &World) {
    let instance = Start::fresh("leaks").run();
    let mut run = Run::default();
    let stage = set(&instance, &mut run).await;
    let jobs = call(&stage, &mut run).await;
    ended(&stage, &jobs).await;
    for id in &jobs {
        for what in ["", "/response"] {
            let ask = |key: &str| Ask::get(&format!("/jobs/{id}{what}")).key(key);
            run.answer("job to its app", Owner::App, &stage.tenant.send(&ask(&stage.app)).await);
            run.answer("job to another app", Owner::Nobody, &stage.tenant.send(&ask(&stage.other)).await);
            run.answer("job to a viewer", Owner::Nobody, &stage.tenant.send(&ask(&stage.viewer)).await);
            // An operator sees bodies, and so what a vendor repeated of the caller's request.
            run.answer("job to an operator", Owner::App, &stage.tenant.send(&ask(&stage.operator)).await);
        }
    }
    for address in ADDRESSES {
        for key in [&stage.app, &stage.viewer, &stage.operator] {
            run.answer(address, Owner::Nobody, &stage.tenant.send(&Ask::get(address).key(key)).await);
        }
    }
    for path in ["/tenants", "/tenants/leaks", "/tenants/leaks/keys", "/tenants/leaks/audit", "/status.json"] {
        run.answer("administration", Owner::Nobody, &stage.tenant.admin("GET", path, None).await);
    }
    let began = Instant::now();
    while stage.receiver.seen().len() < CONNECTIONS.len() * 5 {
        assert!(began.elapsed() < Duration::from_secs(60), "{} messages came", stage.receiver.seen().len());
        sleep(Duration::from_millis(100)).await;
    }
    for seen in stage.receiver.seen() {
        // The caller names the receiver of its job's result.
        run.look("message", Owner::App, &[seen.head, seen.body].concat());
    }
    for seen in stage.vendor.seen() {
        let got = [seen.head, seen.body].concat();
        let keys: Vec<_> = run.secrets.iter().filter(|secret| secret.what == "key").collect();
        if keys.iter().any(|key| key.forms.iter().any(|form| contains(&got, form))) {
            run.found.insert(("vendor".to_owned(), "key".to_owned()));
        }
    }
    let printed = instance.printed();
    assert!(printed.contains("\"connection\":\"query\""), "the log has lines to look through");
    run.look("log", Owner::Nobody, printed.as_bytes());
    let start = instance.kill();
    secrets::walk(&start.persist, &mut |path| {
        // These are the installation's files. It generates no master key into them here, as one is
        // set.
        run.look("file", Owner::Nobody, &std::fs::read(path).unwrap_or_default());
    });
    tell(&run);
}

fn tell(run: &Run) {
    println!("looked for {} secrets in {} bytes", run.secrets.len(), run.looked);
    let shown: Vec<Value> = run.found.iter().map(|(place, what)| json!([place, what])).collect();
    assert!(run.found.is_empty(), "where, and what: {}", json!(shown));
}
