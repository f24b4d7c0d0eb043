//! Jobs: calls that nobody waits for.

use serde_json::{Value, json};
use sluice_e2e::instance::Start;
use sluice_e2e::{Answer, Ask, Tenant, World};
use sluice_mock_upstreams::{Calls, CountAt, Fault, FaultRule, Kind, Latency, Limit, Spec, Vendor};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

tests![
    two_thousand_jobs_outlive_twenty_kills,
    jobs_use_the_window_to_the_full_and_a_direct_caller_gets_its_share,
    a_vendor_that_is_down_for_a_while_loses_no_job_and_its_dead_letters_replay_clean,
    a_job_is_kept_run_and_replayed_byte_for_byte,
    a_job_that_ends_in_time_is_answered_directly,
    what_is_wrong_with_a_job_is_said,
    who_may_see_what_of_jobs,
    an_idempotency_key_gives_one_job,
];

/// Submits a job; returns its id.
pub async fn kept(tenant: &Tenant, ask: Ask) -> String {
    let answer = tenant.send(&ask.with("Prefer", "respond-async")).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.header("preference-applied"), Some("respond-async"));
    id_of(&answer)
}

pub fn id_of(answer: &Answer) -> String {
    answer.header("location").and_then(|location| location.rsplit_once("/jobs/")).expect("a Location").1.to_owned()
}

pub async fn job(tenant: &Tenant, key: &str, id: &str) -> Value {
    let answer = tenant.send(&Ask::get(&format!("/jobs/{id}")).key(key)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Waits a minute at most until the job has ended; returns it.
pub async fn ended(tenant: &Tenant, key: &str, id: &str) -> Value {
    let began = Instant::now();
    loop {
        let shown = job(tenant, key, id).await;
        if matches!(shown["state"].as_str(), Some("done" | "dead")) {
            return shown;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it does not end: {shown}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until no job of `c` is queued or runs; returns the numbers of its jobs then.
async fn all_ended(tenant: &Tenant, key: &str, most: Duration) -> Value {
    let began = Instant::now();
    loop {
        let status = tenant.status(key).await;
        let jobs = status["connections"]["c"]["jobs"].clone();
        if jobs["queued"] == 0 && jobs["running"] == 0 {
            return jobs;
        }
        assert!(began.elapsed() < most, "jobs do not end: {jobs}");
        sleep(Duration::from_millis(200)).await;
    }
}

async fn a_job_is_kept_run_and_replayed_byte_for_byte(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("job");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let ask = Ask::post("/v/c/echo?a=%2Fb&c", r#"{"x":"é"}"#)
        .key(&key)
        .with("Content-Type", "application/json")
        .with("X-Own", "1")
        .with("Prefer", "return=minimal");
    let id = kept(&tenant, ask).await;
    assert_eq!(id.len(), 32);
    let shown = ended(&tenant, &key, &id).await;
    assert_eq!((shown["state"].as_str(), shown["method"].as_str()), (Some("done"), Some("POST")));
    assert_eq!(
        (shown["path"].as_str(), shown["connection"].as_str(), shown["app"].as_str()),
        (Some("/echo"), Some("c"), Some("app"))
    );
    assert_eq!(
        (shown["attempts"][0]["status"].as_u64(), shown["attempts"].as_array().map(Vec::len)),
        (Some(200), Some(1))
    );
    assert_eq!(
        (shown["response"]["status"].as_u64(), shown["response"]["truncated"].as_bool()),
        (Some(200), Some(false))
    );
    let replayed = tenant.send(&Ask::get(&format!("/jobs/{id}/response")).key(&key)).await;
    assert_eq!(replayed.header("sluice-call"), Some(id.as_str()));
    assert_eq!(replayed.text(), shown["response"]["body"].as_str().unwrap());
    let echo = replayed.echo();
    assert_eq!((echo.target(), echo.header("x-own")), ("/echo?a=%2Fb&c", Some("1")));
    assert_eq!(echo.header("prefer"), Some("return=minimal"));
    assert_eq!(echo.header("content-length"), Some("10"));
    assert!(!echo.names().iter().any(|name| name.starts_with("sluice-")), "{:?}", echo.names());

    let bytes = kept(&tenant, Ask::get("/v/c/bytes/200000").key(&key)).await;
    ended(&tenant, &key, &bytes).await;
    let direct = tenant.get(&key, "/bytes/200000").await;
    let replayed = tenant.send(&Ask::get(&format!("/jobs/{bytes}/response")).key(&key)).await;
    assert_eq!(replayed.body, direct.body);
    let long = kept(&tenant, Ask::get("/v/c/bytes/1500000").key(&key)).await;
    let shown = ended(&tenant, &key, &long).await;
    assert_eq!((shown["state"].as_str(), shown["response"]["truncated"].as_bool()), (Some("done"), Some(true)));
    let replayed = tenant.send(&Ask::get(&format!("/jobs/{long}/response")).key(&key)).await;
    assert_eq!(replayed.body.len(), 1_048_576);
    let list = tenant.send(&Ask::get("/jobs?state=done&limit=2").key(&key)).await.json();
    let ids: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [long.as_str(), bytes.as_str()]);
    let next = list["next"].as_str().unwrap();
    let list = tenant.send(&Ask::get(&format!("/jobs?state=done&limit=2&after={next}")).key(&key)).await.json();
    assert_eq!((list["items"][0]["id"].as_str(), list.get("next")), (Some(id.as_str()), None));
}

async fn a_job_that_ends_in_time_is_answered_directly(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![]).latency(Latency::Fixed { ms: 700 })).unwrap();
    let tenant = world.tenant("job-wait");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let ask = |wait: u32| Ask::get("/v/c/echo").key(&key).with("Prefer", &format!("respond-async, wait={wait}"));
    let answer = tenant.send(&ask(20)).await;
    answer.is_vendors(200);
    assert_eq!(answer.echo().target(), "/echo");
    let late = tenant.send(&Ask::get("/v/c/echo?late").key(&key).with("Prefer", "respond-async, wait=0")).await;
    assert_eq!(late.status, 202, "{}", late.text());
    vendor.change(|spec| spec.latency = Latency::Fixed { ms: 3_000 }).unwrap();
    let late = tenant.send(&ask(1)).await;
    assert_eq!(late.status, 202, "{}", late.text());
    assert!(late.took < Duration::from_millis(2_500), "{:?}", late.took);
    assert_eq!(ended(&tenant, &key, &id_of(&late)).await["state"], "done");
}

async fn what_is_wrong_with_a_job_is_said(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("job-bad");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let long = Ask::post("/v/c/echo", vec![b'x'; 1_048_577]).key(&key).with("Prefer", "respond-async");
    tenant.send(&long).await.is_problem(413, "payload");
    let long = Ask::new("POST", "/v/c/echo").chunked(vec![b'x'; 1_200_000]).key(&key).with("Prefer", "respond-async");
    tenant.send(&long).await.is_problem(413, "payload");
    let whole = Ask::post("/v/c/echo", vec![b'x'; 1_048_576]).key(&key);
    let whole = kept(&tenant, whole).await;
    assert_eq!(ended(&tenant, &key, &whole).await["state"], "done");
    let none = Ask::post("/v/none/echo", "").key(&key).with("Prefer", "respond-async");
    tenant.send(&none).await.is_problem(404, "connection");
    let callback = Ask::post("/v/c/echo", "").key(&key).with("Prefer", "respond-async");
    let callback = callback.with("Sluice-Callback", "https://hooks.example.com/x");
    tenant.send(&callback).await.is_problem(400, "request");
    for path in ["/jobs/x", "/jobs/00000000000000000000000000000000", "/jobs/x/response"] {
        tenant.send(&Ask::get(path).key(&key)).await.is_problem(404, "not-found");
    }
    tenant.send(&Ask::get("/jobs?limit=0").key(&key)).await.is_problem(400, "request");
    tenant.send(&Ask::get("/jobs?state=lost").key(&key)).await.is_problem(400, "request");
    tenant.send(&Ask::get("/jobs")).await.is_problem(401, "key");
    tenant.send(&Ask::new("PUT", "/jobs").key(&key)).await.is_problem(405, "method");
    // Only the installation itself can hand out tasks.
    let forged = Ask::post("/", vec![0; 100])
        .with("Sluice-Errand", "1781524800000.AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA");
    tenant.send(&forged).await.is_problem(404, "not-found");
    let (operator, _) = tenant.make_key(&json!({"role": "operator"})).await;
    let replay = tenant.send(&Ask::post(&format!("/dead-letters/{whole}/replay"), "").key(&operator)).await;
    replay.is_problem(409, "live");
}

async fn who_may_see_what_of_jobs(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("job-roles");
    let connection = json!({"vendor": "generic", "base_url": vendor.url()});
    let page = json!({"origins": ["https://www.example.com"]});
    tenant.policy(&json!({"connections": {"c": connection}, "apps": {"app": {}, "other": {}, "page": page}})).await;
    let (app, other, page) = (tenant.key("app").await, tenant.key("other").await, tenant.key("page").await);
    let (viewer, _) = tenant.make_key(&json!({"role": "viewer"})).await;
    let (operator, _) = tenant.make_key(&json!({"role": "operator"})).await;
    let id = kept(&tenant, Ask::get("/v/c/echo").key(&app)).await;
    ended(&tenant, &app, &id).await;
    let at = |path: &str| Ask::get(&format!("/jobs/{id}{path}"));
    tenant.send(&at("").key(&other)).await.is_problem(404, "not-found");
    assert!(tenant.send(&at("").key(&viewer)).await.json()["response"].get("body").is_none());
    tenant.send(&at("/response").key(&viewer)).await.is_problem(403, "role");
    assert!(tenant.send(&at("").key(&operator)).await.json()["response"]["body"].is_string());
    tenant.send(&Ask::new("DELETE", &format!("/jobs/{id}")).key(&app)).await.is_problem(403, "role");
    let stranger = world.tenant("job-stranger");
    let foreign = stranger.simple("generic", &vendor.url(), &json!({})).await;
    stranger.send(&at("").key(&foreign)).await.is_problem(404, "not-found");
    tenant.send(&at("").key(&app).with("Origin", "https://www.example.com")).await.is_problem(403, "origin");
    tenant.send(&Ask::get("/jobs").key(&page)).await.is_problem(403, "origin");
    let own = kept(&tenant, Ask::get("/v/c/echo").key(&page).with("Origin", "https://www.example.com")).await;
    let seen =
        tenant.send(&Ask::get(&format!("/jobs/{own}")).key(&page).with("Origin", "https://www.example.com")).await;
    assert_eq!((seen.status, seen.header("access-control-allow-origin")), (200, Some("https://www.example.com")));
    assert_eq!(tenant.send(&Ask::new("DELETE", &format!("/jobs/{id}")).key(&operator)).await.status, 204);
    tenant.send(&at("").key(&operator)).await.is_problem(404, "not-found");
}

async fn an_idempotency_key_gives_one_job(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("job-key");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let ask = |body: &str| Ask::post("/v/c/echo", body).key(&key).with("Idempotency-Key", "order-1");
    let id = kept(&tenant, ask("a")).await;
    assert_eq!(kept(&tenant, ask("a")).await, id);
    ended(&tenant, &key, &id).await;
    assert_eq!(kept(&tenant, ask("a")).await, id);
    tenant.send(&ask("b").with("Prefer", "respond-async")).await.is_problem(422, "idempotency-key");
    assert_eq!(vendor.calls().0.len(), 1);
}

async fn a_vendor_that_is_down_for_a_while_loses_no_job_and_its_dead_letters_replay_clean(world: &World) {
    let down = FaultRule::always(Fault::Status { status: 503, retry_after_s: None, retry_at_s: None });
    let vendor = Vendor::start(Spec::new("generic").limits(vec![]).fault(down)).unwrap();
    let tenant = world.tenant("job-down");
    let more = json!({"retry": {"attempts": 2}, "adaptive": {"min": 1, "max": 1}});
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    let mut ids = BTreeSet::new();
    for n in 0..40 {
        ids.insert(kept(&tenant, Ask::new("PUT", &format!("/v/c/echo?{n}")).body("x").key(&key)).await);
    }
    assert_eq!(all_ended(&tenant, &key, Duration::from_secs(30)).await["dead"], 40);
    assert_eq!(vendor.calls().0.len(), 80, "two attempts each, and no more");
    let list = tenant.send(&Ask::get("/dead-letters").key(&key)).await.json();
    let dead: BTreeSet<String> =
        list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(dead, ids);
    assert_eq!(list["items"][0]["attempts"].as_array().map(Vec::len), Some(2));
    assert_eq!(list["items"][0]["error"], "attempts-spent");
    vendor.change(|spec| spec.faults.clear()).unwrap();
    let (operator, _) = tenant.make_key(&json!({"role": "operator"})).await;
    let one = ids.first().unwrap();
    let replayed = tenant.send(&Ask::post(&format!("/dead-letters/{one}/replay"), "").key(&operator)).await;
    assert_eq!(replayed.status, 202, "{}", replayed.text());
    assert_eq!(ended(&tenant, &key, one).await["state"], "done");
    let replayed = tenant.send(&Ask::post("/dead-letters/replay", "").key(&operator)).await;
    assert_eq!((replayed.status, &replayed.json()["replayed"]), (202, &json!(39)));
    assert_eq!(all_ended(&tenant, &key, Duration::from_secs(30)).await["dead"], 0);
    let good: BTreeSet<String> = vendor.calls().only(|c| c.status == 200).0.iter().map(|c| c.target.clone()).collect();
    assert_eq!((good.len(), vendor.calls().0.len()), (40, 120), "each once");
}

async fn jobs_use_the_window_to_the_full_and_a_direct_caller_gets_its_share(world: &World) {
    let spec = Spec::new("generic").jitter(20, 200).count_at(CountAt::Random);
    let vendor = Vendor::start(spec.limits(vec![Limit::new("rate", Kind::window(100, 10))])).unwrap();
    let tenant = world.tenant("job-rate");
    let connection = json!({
        "vendor": "generic", "base_url": vendor.url(),
        "limits": [{"name": "rate", "kind": "rolling_window", "calls": 100, "seconds": 10}],
        "queue": {"size": 10, "max_wait_seconds": 30},
    });
    tenant.policy(&json!({"connections": {"c": connection}, "apps": {"jobs": {}, "direct": {}}})).await;
    let (jobs, direct) = (tenant.key("jobs").await, tenant.key("direct").await);
    let mut tasks = JoinSet::new();
    for n in 0..10 {
        let (tenant, jobs) = (tenant.clone(), jobs.clone());
        tasks.spawn(async move {
            for m in 0..29 {
                kept(&tenant, Ask::post(&format!("/v/c/echo?{n}-{m}"), "x").key(&jobs).with("X-App", "jobs")).await;
            }
        });
    }
    tasks.join_all().await;
    // The window is full of jobs, and hundreds wait. The other app may have half of what becomes
    // free.
    let began = Instant::now();
    let ask = Ask::get("/v/c/echo").key(&direct).with("X-App", "direct");
    let answers: Vec<Answer> = {
        let mut tasks = JoinSet::new();
        for _ in 0..10 {
            let (tenant, ask) = (tenant.clone(), ask.clone());
            tasks.spawn(async move { tenant.send(&ask).await });
        }
        tasks.join_all().await
    };
    let waited = began.elapsed();
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert!(waited < Duration::from_secs(13), "ten calls waited {waited:?} for half of a window of 10 s");
    assert_eq!(all_ended(&tenant, &jobs, Duration::from_secs(60)).await["dead"], 0);
    let calls = vendor.calls();
    assert!(calls.refused().is_empty(), "{:?}", calls.refused());
    assert_eq!(calls.0.len(), 300);
    let since = calls.since_first_us();
    let took_s = (since[299] - since[99]) as f64 / 1e6;
    // Between the hundredth and the last call two windows must pass, whenever the first was full.
    println!("200 of 290 jobs and 10 calls at 100 per 10 s took {took_s:.1} s; 20 s is the least");
    assert!(took_s <= 20.0 * 1.05 + 0.5, "{took_s} s");
}

async fn two_thousand_jobs_outlive_twenty_kills(_: &World) {
    const JOBS: usize = 2_000;
    let spec = Spec::new("generic").jitter(10, 120).count_at(CountAt::Random);
    let limit = Limit::new("rate", Kind::window(400, 2));
    let vendor = Vendor::start(Spec { works_on: true, ..spec.limits(vec![limit]) }).unwrap();
    let mut instance = Start::fresh("job-kills").run();
    let tenant = Tenant::new(&instance, "job-kills");
    let profile = json!({"title": "killed", "timeout_seconds": 3, "ceiling_seconds": 3});
    let more = json!({
        "profile": profile,
        "limits": [{"name": "rate", "kind": "rolling_window", "calls": 400, "seconds": 2}],
        "retry": {"attempts": 5},
    });
    let key = tenant.simple("killed", &vendor.url(), &more).await;
    // Each caller repeats what was not answered under its idempotency key, so that each job is
    // accepted once.
    let mut tasks = JoinSet::new();
    for caller in 0..4 {
        let (tenant, key) = (tenant.clone(), key.clone());
        tasks.spawn(async move {
            let mut ids = Vec::new();
            for n in (caller..JOBS).step_by(4) {
                let method = ["GET", "PUT", "POST", "PATCH"][n % 4];
                let ask = Ask::new(method, &format!("/v/c/echo?{method}-{n}")).key(&key);
                let ask = ask.with("Prefer", "respond-async").with("Idempotency-Key", &format!("job-{n}"));
                loop {
                    match ask.try_send(tenant.to()).await {
                        Ok(answer) if answer.status == 202 => {
                            ids.push(id_of(&answer));
                            break;
                        }
                        Ok(answer) if answer.status < 500 => panic!("{} {}", answer.status, answer.text()),
                        _ => sleep(Duration::from_millis(50)).await,
                    }
                }
            }
            ids
        });
    }
    for kill in 0..20 {
        sleep(Duration::from_millis(300 + kill * 37 % 700)).await;
        let start = instance.kill();
        instance = tokio::task::spawn_blocking(|| start.run()).await.unwrap();
    }
    let ids: BTreeSet<String> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(ids.len(), JOBS);
    let numbers = all_ended(&tenant, &key, Duration::from_secs(90)).await;
    let calls = vendor.calls();
    assert!(calls.refused().is_empty(), "{:?} of {} refused", calls.refused(), calls.0.len());
    let states = states(&tenant, &key).await;
    assert_eq!(states.len(), JOBS, "every accepted job is there");
    assert!(ids.iter().all(|id| states.contains_key(id)));
    let done = states.values().filter(|state| state.as_str() == "done").count();
    println!("2,000 jobs and 20 kills: {done} done, {} dead letters, {} vendor calls", numbers["dead"], calls.0.len());
    assert_eq!(done as u64 + numbers["dead"].as_u64().unwrap(), JOBS as u64);
    let twice = more_than_once(&calls);
    assert!(twice.is_empty(), "sent twice, though the first may have been executed: {twice:?}");
}

async fn states(tenant: &Tenant, key: &str) -> BTreeMap<String, String> {
    let mut states = BTreeMap::new();
    let mut after = String::new();
    loop {
        let list = tenant.send(&Ask::get(&format!("/jobs?limit=1000&after={after}")).key(key)).await.json();
        for item in list["items"].as_array().unwrap() {
            states.insert(item["id"].as_str().unwrap().to_owned(), item["state"].as_str().unwrap().to_owned());
        }
        match list["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => return states,
        }
    }
}

/// Returns the calls of methods that are not idempotent which the vendor received more than once.
fn more_than_once(calls: &Calls) -> Vec<String> {
    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    for call in &calls.0 {
        if matches!(call.method.as_str(), "POST" | "PATCH") {
            *times.entry(&call.target).or_default() += 1;
        }
    }
    times.into_iter().filter(|(_, times)| *times > 1).map(|(target, _)| target.to_owned()).collect()
}
