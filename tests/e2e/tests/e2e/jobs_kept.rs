//! What is kept of jobs, for whom, and for how long.

use crate::jobs::{ended, id_of, job, kept};
use serde_json::{Value, json};
use sluice_e2e::instance::Start;
use sluice_e2e::{Ask, Tenant, World, secrets};
use sluice_mock_upstreams::{Fault, FaultRule, Spec, Vendor};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

tests![
    an_app_fills_half_of_the_places_and_an_operator_empties_them_by_one_call,
    a_deletion_that_a_kill_cuts_short_is_finished_by_asking_again,
    a_job_that_has_not_begun_by_its_time_is_a_dead_letter_over_kills,
    nothing_that_a_job_carries_is_stored_in_clear_and_no_cookie_at_all,
    a_page_reads_a_job_by_its_id_alone_and_a_viewer_no_header_of_an_answer_but_three,
    what_is_queued_for_an_app_that_lost_a_connection_or_a_route_dies_when_its_turn_comes,
    an_operator_deletes_what_matches_and_lists_what_matches,
];

/// Makes a connection with one call in this many seconds.
fn slow(url: &str, seconds: u32) -> Value {
    let limit = json!({"name": "rate", "kind": "rolling_window", "calls": 1, "seconds": seconds, "guard_ms": 0});
    json!({"vendor": "generic", "base_url": url, "limits": [limit]})
}

async fn delete(tenant: &Tenant, key: &str, target: &str) -> u64 {
    let answer = tenant.send(&Ask::new("DELETE", target).key(key)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["deleted"].as_u64().expect("a number")
}

async fn numbers(tenant: &Tenant, key: &str, connection: &str) -> Value {
    tenant.status(key).await["connections"][connection]["jobs"].clone()
}

/// Waits until a job is dead; returns its error.
async fn dies(tenant: &Tenant, key: &str, id: &str) -> String {
    let shown = ended(tenant, key, id).await;
    shown["error"].as_str().unwrap_or_else(|| panic!("{shown}")).to_owned()
}

/// Submits jobs of the app until one is refused; returns how many were accepted.
async fn fill(tenant: &Tenant, key: &str, most: usize) -> usize {
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let (tenant, key) = (tenant.clone(), key.to_owned());
        tasks.spawn(async move {
            let ask = Ask::post("/v/c/echo", "x").key(&key).with("Prefer", "respond-async");
            for kept in 0..most {
                let answer = tenant.send(&ask).await;
                if answer.status != 202 {
                    answer.is_refusal(429, "queue-full");
                    return kept;
                }
            }
            most
        });
    }
    tasks.join_all().await.into_iter().sum()
}

async fn an_app_fills_half_of_the_places_and_an_operator_empties_them_by_one_call(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("kept-half");
    tenant.policy(&json!({"connections": {"c": slow(&vendor.url(), 86_400)}, "apps": {"hog": {}, "other": {}}})).await;
    let (hog, other) = (tenant.key("hog").await, tenant.key("other").await);
    let (operator, _) = tenant.make_key(&json!({"role": "operator"})).await;
    // The first job goes at once, and leaves its place to one more.
    let taken = fill(&tenant, &hog, 2_000).await;
    assert!((10_000..=10_001).contains(&taken), "{taken} of 20,000 places");
    let own = kept(&tenant, Ask::post("/v/c/echo", "y").key(&other)).await;
    assert_eq!(delete(&tenant, &operator, "/jobs?app=hog&state=queued").await, 10_000);
    assert_eq!(job(&tenant, &other, &own).await["state"], "queued");
    kept(&tenant, Ask::post("/v/c/echo", "x").key(&hog)).await;
    assert_eq!(numbers(&tenant, &operator, "c").await["queued"], 2);
}

async fn a_deletion_that_a_kill_cuts_short_is_finished_by_asking_again(_: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let mut instance = Start::fresh("kept-kill").run();
    let mut tenant = Tenant::new(&instance, "kept-kill");
    tenant.policy(&json!({"connections": {"c": slow(&vendor.url(), 86_400)}, "apps": {"app": {}}})).await;
    let app = tenant.key("app").await;
    let (operator, _) = tenant.make_key(&json!({"role": "operator"})).await;
    assert_eq!(fill(&tenant, &app, 100).await, 1_600);
    let began = Instant::now();
    while numbers(&tenant, &operator, "c").await["queued"] != 1_599 {
        assert!(began.elapsed() < Duration::from_secs(30), "the first does not go");
        sleep(Duration::from_millis(50)).await;
    }
    for ms in [2, 10, 30] {
        let cut = {
            let (tenant, operator) = (tenant.clone(), operator.clone());
            tokio::spawn(
                async move { Ask::new("DELETE", "/jobs?state=queued").key(&operator).try_send(tenant.to()).await },
            )
        };
        sleep(Duration::from_millis(ms)).await;
        let start = instance.kill();
        let _ = cut.await;
        instance = tokio::task::spawn_blocking(|| start.run()).await.unwrap();
        tenant = tenant.on(&instance);
        // Every job that is left is whole: it is found, and has its request.
        let left = numbers(&tenant, &operator, "c").await["queued"].as_u64().unwrap();
        let list = tenant.send(&Ask::get("/jobs?state=queued&limit=1000").key(&operator)).await.json();
        let listed = list["items"].as_array().unwrap();
        assert_eq!(listed.len() as u64, left.min(1_000));
        assert!(listed.iter().all(|item| item["path"] == "/echo"), "{list}");
    }
    delete(&tenant, &operator, "/jobs?state=queued").await;
    assert_eq!(numbers(&tenant, &operator, "c").await["queued"], 0);
    assert_eq!(delete(&tenant, &operator, "/jobs").await, 1, "what was done");
}

async fn a_job_that_has_not_begun_by_its_time_is_a_dead_letter_over_kills(_: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let mut instance = Start::fresh("kept-expire").run();
    let mut tenant = Tenant::new(&instance, "kept-expire");
    let policy = json!({"connections": {"c": slow(&vendor.url(), 86_400)}, "apps": {"app": {}},
        "jobs": {"expire_seconds": 6}});
    let shown = tenant.put(&policy).await.json();
    assert_eq!(shown["jobs"]["expire_seconds"], 6);
    let key = tenant.key("app").await;
    let first = kept(&tenant, Ask::get("/v/c/echo").key(&key)).await;
    assert_eq!(ended(&tenant, &key, &first).await["state"], "done");
    let began = Instant::now();
    let mut ids = Vec::new();
    for n in 0..40 {
        ids.push(kept(&tenant, Ask::post(&format!("/v/c/echo?{n}"), "x").key(&key)).await);
    }
    let start = instance.kill();
    instance = tokio::task::spawn_blocking(|| start.run()).await.unwrap();
    tenant = tenant.on(&instance);
    if began.elapsed() < Duration::from_secs(5) {
        assert_eq!(job(&tenant, &key, &ids[39]).await["state"], "queued", "after {:?}", began.elapsed());
    }
    for id in &ids {
        assert_eq!(dies(&tenant, &key, id).await, "expired");
    }
    assert_eq!(vendor.calls().0.len(), 1, "none of them was sent");
    let bad = json!({"connections": {}, "apps": {}, "jobs": {"expire_seconds": 0}});
    let refused = tenant.put(&bad).await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (400, &json!("/jobs/expire_seconds")));
}

async fn nothing_that_a_job_carries_is_stored_in_clear_and_no_cookie_at_all(_: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let instance = Start::fresh("kept-sealed").run();
    let tenant = Tenant::new(&instance, "kept-sealed");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let [query, header, body] = ["query", "header", "body"].map(secrets::invent);
    // The statistics fold such segments of a path.
    let number = format!("7{}", secrets::bits());
    let ask = Ask::post(&format!("/v/c/echo/{number}?q={query}"), body.clone()).key(&key).with("X-Own", &header);
    let id = kept(&tenant, ask).await;
    let shown = ended(&tenant, &key, &id).await;
    assert_eq!(shown["path"], format!("/echo/{number}"));
    // The response shows all of it.
    let said = tenant.send(&Ask::get(&format!("/jobs/{id}/response")).key(&key)).await.text();
    assert!([&query, &header, &number].iter().all(|secret| said.contains(secret.as_str())), "{said}");
    let cookies = kept(&tenant, Ask::get("/v/c/cookies").key(&key)).await;
    ended(&tenant, &key, &cookies).await;
    let replayed = tenant.send(&Ask::get(&format!("/jobs/{cookies}/response")).key(&key)).await;
    assert_eq!((replayed.status, replayed.all("set-cookie")), (200, Vec::new()));
    let mut looked_through = 0;
    for (path, _) in instance.files() {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        looked_through += bytes.len();
        for secret in [&query, &header, &body, &number, &"HttpOnly".to_owned()] {
            assert!(!bytes.windows(secret.len()).any(|at| at == secret.as_bytes()), "{secret} in {}", path.display());
        }
    }
    assert!(looked_through > 10_000, "{looked_through} bytes");
}

async fn a_page_reads_a_job_by_its_id_alone_and_a_viewer_no_header_of_an_answer_but_three(world: &World) {
    const PAGE: &str = "https://www.example.com";
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("kept-page");
    let connection = json!({"vendor": "generic", "base_url": vendor.url()});
    tenant.policy(&json!({"connections": {"c": connection}, "apps": {"app": {}, "page": {"origins": [PAGE]}}})).await;
    let (app, page) = (tenant.key("app").await, tenant.key("page").await);
    let (viewer, _) = tenant.make_key(&json!({"role": "viewer"})).await;
    let (operator, _) = tenant.make_key(&json!({"role": "operator"})).await;
    let from_page = |method: &str, path: &str| Ask::new(method, path).key(&page).with("Origin", PAGE);
    let id = kept(&tenant, from_page("GET", "/v/c/echo")).await;
    ended(&tenant, &operator, &id).await;
    for path in [format!("/jobs/{id}"), format!("/jobs/{id}/response")] {
        assert_eq!(tenant.send(&from_page("GET", &path)).await.status, 200);
    }
    for (method, path) in [
        ("GET", "/jobs"),
        ("GET", "/jobs?state=done"),
        ("GET", "/dead-letters"),
        ("POST", "/dead-letters/replay"),
        ("DELETE", "/jobs"),
        ("DELETE", "/dead-letters"),
        ("GET", "/status.json"),
        ("GET", "/stats/usage.json"),
        ("GET", "/metrics"),
    ] {
        tenant.send(&from_page(method, path)).await.is_problem(403, "role");
    }
    assert_eq!(tenant.send(&Ask::get("/jobs").key(&app)).await.json()["items"], json!([]), "its own");
    let seen = job(&tenant, &viewer, &id).await["response"].clone();
    assert!(seen.get("body").is_none());
    let names: Vec<String> =
        seen["headers"].as_array().unwrap().iter().map(|pair| pair[0].as_str().unwrap().to_lowercase()).collect();
    let viewed = ["content-type", "content-length", "date"];
    assert!(!names.is_empty() && names.iter().all(|name| viewed.contains(&name.as_str())), "{names:?}");
    let whole = job(&tenant, &operator, &id).await["response"].clone();
    assert!(whole["headers"].as_array().unwrap().len() > names.len() && whole["body"].is_string());
    // Ids cannot be guessed: in two jobs of one moment, eighty bits differ at random.
    let other = kept(&tenant, from_page("GET", "/v/c/echo")).await;
    let differ = id[12..].bytes().zip(other[12..].bytes()).filter(|(one, two)| one != two).count();
    assert!(differ > 8, "{id} {other}");
}

async fn what_is_queued_for_an_app_that_lost_a_connection_or_a_route_dies_when_its_turn_comes(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("kept-lost");
    let policy = |one: Value, other: Value| {
        json!({"connections": {"c": slow(&vendor.url(), 4), "d": slow(&vendor.url(), 4)},
            "apps": {"one": one, "other": other, "third": {}}})
    };
    tenant.policy(&policy(json!({}), json!({}))).await;
    let (one, other, third) = (tenant.key("one").await, tenant.key("other").await, tenant.key("third").await);
    let (operator, _) = tenant.make_key(&json!({"role": "operator"})).await;
    // The windows are full, and what comes now waits for them.
    for connection in ["c", "d"] {
        let answer = tenant.send(&Ask::get(&format!("/v/{connection}/echo")).key(&third)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let lost = kept(&tenant, Ask::get("/v/c/echo?one").key(&one)).await;
    let barred = kept(&tenant, Ask::post("/v/d/echo?other", "x").key(&other)).await;
    tenant.policy(&policy(json!({"connections": ["d"]}), json!({"routes": ["GET /echo"]}))).await;
    assert_eq!(dies(&tenant, &operator, &lost).await, "app");
    assert_eq!(dies(&tenant, &operator, &barred).await, "route");
    assert_eq!(vendor.calls().0.len(), 2, "neither was sent");
    // The jobs of a removed connection are dead letters at once.
    tenant.policy(&policy(json!({}), json!({}))).await;
    let gone = kept(&tenant, Ask::get("/v/c/echo?gone").key(&one)).await;
    let mut without = policy(json!({}), json!({}));
    without["connections"].as_object_mut().unwrap().remove("c");
    let state = job(&tenant, &operator, &gone).await["state"].clone();
    tenant.policy(&without).await;
    if state == "queued" {
        assert_eq!(job(&tenant, &operator, &gone).await["error"], "connection");
    }
}

async fn an_operator_deletes_what_matches_and_lists_what_matches(world: &World) {
    let no = FaultRule::always(Fault::Status { status: 400, retry_after_s: None, retry_at_s: None });
    let good = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let bad = Vendor::start(Spec::new("generic").limits(vec![]).fault(no)).unwrap();
    let tenant = world.tenant("kept-delete");
    let plain = |url: &str| json!({"vendor": "generic", "base_url": url});
    let connections = json!({"good": plain(&good.url()), "bad": plain(&bad.url()), "slow": slow(&good.url(), 86_400)});
    tenant.policy(&json!({"connections": connections, "apps": {"one": {}, "other": {}}})).await;
    let (one, other) = (tenant.key("one").await, tenant.key("other").await);
    let (viewer, _) = tenant.make_key(&json!({"role": "viewer"})).await;
    let (operator, _) = tenant.make_key(&json!({"role": "operator"})).await;
    tenant.send(&Ask::get("/v/slow/echo").key(&one)).await.is_vendors(200);
    let mut ids = Vec::new();
    for key in [&one, &other] {
        for (connection, most) in [("good", 2), ("bad", 3), ("slow", 4)] {
            for _ in 0..most {
                let answer = Ask::get(&format!("/v/{connection}/echo")).key(key).with("Prefer", "respond-async");
                ids.push((connection, id_of(&tenant.send(&answer).await)));
            }
        }
    }
    for (_, id) in ids.iter().filter(|(connection, _)| *connection != "slow") {
        ended(&tenant, &operator, id).await;
    }
    let list = |key: &str, target: &str| {
        let (tenant, ask) = (tenant.clone(), Ask::get(target).key(key));
        async move { tenant.send(&ask).await.json()["items"].as_array().unwrap().len() }
    };
    assert_eq!(list(&operator, "/jobs").await, 18);
    assert_eq!(list(&viewer, "/jobs?connection=bad").await, 6);
    assert_eq!(list(&viewer, "/jobs?connection=slow&state=queued&app=one").await, 4);
    assert_eq!(list(&viewer, "/dead-letters?app=other").await, 3);
    assert_eq!(list(&one, "/jobs?app=other").await, 0);
    for key in [&one, &viewer] {
        for target in ["/jobs", "/dead-letters", "/jobs?app=one"] {
            tenant.send(&Ask::new("DELETE", target).key(key)).await.is_problem(403, "role");
        }
    }
    for target in ["/jobs?limit=1", "/jobs?apps=one", "/jobs?state=lost", "/dead-letters?app=A"] {
        tenant.send(&Ask::new("DELETE", target).key(&operator)).await.is_problem(400, "request");
    }
    assert_eq!(delete(&tenant, &operator, "/dead-letters?app=one&connection=good").await, 0);
    assert_eq!(delete(&tenant, &operator, "/dead-letters?app=one&connection=bad").await, 3);
    assert_eq!(delete(&tenant, &operator, "/jobs?app=&state=done&connection=").await, 4);
    assert_eq!(delete(&tenant, &operator, "/jobs?app=other&connection=slow&state=queued").await, 4);
    assert_eq!(delete(&tenant, &operator, "/dead-letters").await, 3);
    assert_eq!(list(&operator, "/jobs").await, 4);
    assert_eq!(delete(&tenant, &operator, "/jobs").await, 4);
    assert_eq!(delete(&tenant, &operator, "/jobs").await, 0);
}
