//! Statistics: the documents report what the vendor saw.

use serde_json::{Value, json};
use sluice_e2e::instance::{Start, panicking_build};
use sluice_e2e::{Ask, Tenant, World};
use sluice_mock_upstreams::{Calls, Fault, FaultRule, Spec, Vendor};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

tests![
    sums_equal_the_vendors_log_over_retries_refusals_jobs_and_ends_of_the_object,
    usage_and_errors_equal_the_vendors_log,
    throttles_raise_an_alert_that_a_restart_neither_repeats_nor_forgets,
    who_may_see_the_statistics,
];

/// Returns what a document reports for today: names and counts.
fn today(document: &Value, list: &str, name: &str) -> BTreeMap<String, u64> {
    let day = document["result"].as_array().unwrap().last().unwrap();
    let counts: BTreeMap<String, u64> = day[list]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one[name].as_str().unwrap().to_owned(), one["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(day["total"].as_u64(), Some(counts.values().sum()));
    counts
}

async fn document(tenant: &Tenant, key: &str, path: &str) -> Value {
    let answer = tenant.send(&Ask::get(path).key(key)).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let document = answer.json();
    assert_eq!(document["success"], true);
    assert!(document["requestId"].is_string());
    document
}

async fn usage_and_errors_equal_the_vendors_log(world: &World) {
    let spec = Spec::new("generic").limits(vec![]).jitter(5, 60);
    let status = |status| FaultRule {
        probability: 0.2,
        ..FaultRule::always(Fault::Status { status, retry_after_s: None, retry_at_s: None })
    };
    let spec = spec.fault(status(500)).fault(status(404)).fault(status(429));
    let vendor = Vendor::start(spec).unwrap();
    let tenant = world.tenant("usage");
    let connection = json!({
        "vendor": "generic", "base_url": vendor.url(), "adaptive": {"min": 1},
        "limits": [{"name": "day", "kind": "daily", "calls": 150, "reset": "00:00", "time_zone": "Pacific/Kiritimati"}],
    });
    let other = json!({"vendor": "generic", "base_url": vendor.url()});
    let apps = json!({"crm-sync": {}, "web-form": {}});
    tenant.policy(&json!({"connections": {"c": connection, "other": other}, "apps": apps})).await;
    let mut asks = Vec::new();
    for (app, path, calls) in
        [("crm-sync", "/v/c/contacts/17", 40), ("web-form", "/v/c/echo?x=1", 20), ("web-form", "/v/other/echo", 5)]
    {
        let key = tenant.key(app).await;
        for _ in 0..calls {
            asks.push(Ask::get(path).key(&key).with("X-App", app));
        }
    }
    sluice_e2e::load::at_once(tenant.to(), asks).await;
    let key = tenant.make_key(&json!({"role": "viewer"})).await.0;
    tenant.until(&key, "all is settled", |c| c["in_flight"] == 0).await;
    while tenant.status(&key).await["connections"]["other"]["in_flight"] != 0 {}

    let log = vendor.calls();
    let by_code = |calls: &[sluice_mock_upstreams::Call]| {
        let mut by = BTreeMap::new();
        for call in calls.iter().filter(|call| call.status >= 400) {
            *by.entry(call.status.to_string()).or_insert(0_u64) += 1;
        }
        by
    };
    let by_app: BTreeMap<String, u64> = log.by_app().into_iter().map(|(app, n)| (app, n as u64)).collect();
    let all = document(&tenant, &key, "/stats/usage.json").await;
    assert_eq!(today(&all, "users", "userId"), by_app);
    let errors = document(&tenant, &key, "/stats/errors.json").await;
    assert_eq!(today(&errors, "errors", "errorCode"), by_code(&log.0));
    assert!(by_code(&log.0).len() == 3, "{:?}", by_code(&log.0));

    // The connection has its own day, whose date is that of Kiritimati, 14 hours ahead.
    let through_c = log.only(|call| !call.target.starts_with("/echo") || call.target.contains('x'));
    let own = document(&tenant, &key, "/stats/usage/last7days.json?connection=c").await;
    let days = own["result"].as_array().unwrap();
    assert_eq!(days.len(), 7);
    let sum: u64 = days.iter().map(|day| day["total"].as_u64().unwrap()).sum();
    assert_eq!(sum, through_c.0.len() as u64);
    let reset_at = tenant.status(&key).await["connections"]["c"]["limits"][0]["reset_at"].as_str().unwrap().to_owned();
    assert_eq!(days[6]["date"].as_str(), Some(&reset_at[..10]), "its day ends at 10:00 of that date in UTC");
    let errors = document(&tenant, &key, "/stats/errors/last7days.json?connection=c").await;
    assert_eq!(today(&errors, "errors", "errorCode"), by_code(&through_c.0));

    let status = tenant.status(&key).await;
    let hour = &status["connections"]["c"]["last_hour"];
    let throttled = through_c.only(|call| call.status == 429).0.len() as u64;
    assert_eq!((hour["calls"].as_u64(), hour["throttled"].as_u64()), (Some(sum), Some(throttled)), "{hour}");
    let folded = hour["by_endpoint"].as_array().unwrap().iter().find(|one| one["path"] == "/contacts/{id}").unwrap();
    assert_eq!(folded["calls"], log.only(|call| call.target == "/contacts/17").0.len());
    let tried: u64 = hour["retries_histogram"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["attempts"].as_u64().unwrap() * one["calls"].as_u64().unwrap())
        .sum();
    assert_eq!(tried, sum, "{hour}");
}

/// Calls that are repeated and refused, and jobs, of two apps, while the object panics again and
/// again: it loses its memory, and the Workers go on.
async fn sums_equal_the_vendors_log_over_retries_refusals_jobs_and_ends_of_the_object(_: &World) {
    let Some(build) = panicking_build() else {
        println!("not tried: there is no panicking build with panic=unwind");
        return;
    };
    let fault = |status, probability| FaultRule {
        probability,
        ..FaultRule::always(Fault::Status { status, retry_after_s: None, retry_at_s: None })
    };
    let spec = Spec::new("generic").limits(vec![]).jitter(20, 300);
    let vendor = Vendor::start(spec.fault(fault(500, 0.1)).fault(fault(404, 0.1)).fault(fault(429, 0.1))).unwrap();
    let instance = Start { build, ..Start::fresh("ends") }.run();
    let tenant = Tenant::new(&instance, "ends");
    // The vendor is done quickly, so what a dead life may have had in flight holds up the next only
    // for seconds.
    let answers = json!([{"status": 429, "means": "rate"}]);
    let profile = json!({"title": "swift", "timeout_seconds": 2, "ceiling_seconds": 2, "answers": answers});
    let connection = json!({
        "vendor": "swift", "profile": profile, "base_url": vendor.url(), "adaptive": {"min": 1},
        "limits": [{"name": "rate", "kind": "rolling_window", "calls": 60, "seconds": 1}],
        "queue": {"size": 20, "max_wait_seconds": 30},
    });
    let apps = ["crm-sync", "web-form"];
    tenant.policy(&json!({"connections": {"c": connection}, "apps": {"crm-sync": {}, "web-form": {}}})).await;
    let mut keys = Vec::new();
    for app in apps {
        keys.push((app, tenant.key(app).await));
    }
    let mut calls = JoinSet::new();
    for n in 0..400_usize {
        let (app, key) = &keys[n % 2];
        let ask = Ask::get("/v/c/contacts/17").key(key).with("X-App", app);
        let ask = match n % 5 {
            0 => ask.with("Prefer", "respond-async"),
            1 => ask.wait(0),
            _ => ask,
        };
        let to = tenant.to();
        calls.spawn(async move { ask.try_send(to).await });
        if n % 100 == 25 {
            // The object's life ends at each try to have this call admitted.
            let (to, ask) = (tenant.to(), Ask::get("/v/c/panic-trigger-object").key(key));
            calls.spawn(async move { ask.try_send(to).await });
        }
        sleep(Duration::from_millis(25)).await;
    }
    let answers = calls.join_all().await;
    let refused = answers.iter().flatten().filter(|answer| answer.sluice_reason().is_some()).count();
    let viewer = tenant.make_key(&json!({"role": "viewer"})).await.0;
    tenant.until(&viewer, "all jobs have ended", |c| c["jobs"]["queued"] == 0 && c["jobs"]["running"] == 0).await;
    let log = vendor.calls();
    let told = vendors_sums(&tenant, &viewer, &log).await;
    let panics = instance.printed().matches("asked to, by a path").count();
    println!("{panics} ends of the object, {refused} refusals, {} calls at the vendor, {told:?}", log.0.len());
    assert!(panics >= 4 && refused > 8 && log.0.len() > 250);
}

/// Waits until the statistics report as many calls as the vendor has logged, and checks that they
/// agree by app and by code.
async fn vendors_sums(tenant: &Tenant, key: &str, log: &Calls) -> BTreeMap<String, u64> {
    let by_app: BTreeMap<String, u64> = log.by_app().into_iter().map(|(app, n)| (app, n as u64)).collect();
    let mut by_code = BTreeMap::new();
    for call in log.0.iter().filter(|call| call.status >= 400) {
        *by_code.entry(call.status.to_string()).or_insert(0_u64) += 1;
    }
    let began = Instant::now();
    loop {
        let apps = today(&document(tenant, key, "/stats/usage.json").await, "users", "userId");
        let codes = today(&document(tenant, key, "/stats/errors.json").await, "errors", "errorCode");
        if (&apps, &codes) == (&by_app, &by_code) {
            return codes;
        }
        let late = began.elapsed() > Duration::from_secs(20);
        assert!(!late, "told {apps:?} and {codes:?}, the vendor's log has {by_app:?} and {by_code:?}");
        sleep(Duration::from_millis(200)).await;
    }
}

async fn throttles_raise_an_alert_that_a_restart_neither_repeats_nor_forgets(_: &World) {
    let throttle = FaultRule { times: Some(2), ..FaultRule::always(Fault::Throttle { retry_after_s: None }) };
    let vendor = Vendor::start(Spec::new("generic").limits(vec![]).fault(throttle)).unwrap();
    let instance = Start::fresh("alerts").run();
    let tenant = Tenant::new(&instance, "alerts");
    let key = tenant.simple("generic", &vendor.url(), &json!({"retry": {"attempts": 1}})).await;
    let mut throttled = Vec::new();
    for _ in 0..20 {
        let answer = tenant.get(&key, "/echo/17?secret=1").await;
        if answer.status == 429 {
            throttled.push(answer.header("sluice-call").unwrap().to_owned());
        }
    }
    tenant.until(&key, "all is settled", |c| c["last_hour"]["calls"] == 20).await;
    let raised = tenant.status(&key).await["alerts"].clone();
    assert_eq!(raised.as_array().unwrap().len(), 1, "{raised}");
    let (kind, value) = (&raised[0]["kind"], raised[0]["value"].as_f64());
    assert_eq!(
        (kind, &raised[0]["connection"], value),
        (&json!("throttled_ratio"), &json!("c"), Some(0.1)),
        "{raised}"
    );
    let metrics = tenant.send(&Ask::get("/metrics").key(&key)).await.text();
    assert!(
        metrics.contains("\nsluice_alert{connection=\"c\",kind=\"throttled_ratio\",limit=\"0.05\"} 1\n"),
        "{metrics}"
    );
    assert!(metrics.contains("\nsluice_vendor_calls_total{connection=\"c\",app=\"app\"} 20\n"), "{metrics}");

    let output = instance.printed();
    let warned: Vec<Value> = output
        .lines()
        .filter(|line| line.contains("throttled by the vendor"))
        .map(|line| serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap())
        .collect();
    let told: Vec<&str> = warned.iter().filter_map(|line| line["call"].as_str()).collect();
    assert_eq!(told, throttled, "{output}");
    let expected = json!({
        "level": "warn", "call": throttled[0], "tenant": tenant.name, "connection": "c", "app": "app", "method": "GET",
        "path": "/echo/17", "attempt": 1, "error_code": "429", "fault": "throttled by the vendor",
    });
    assert_eq!(warned[0], expected);

    let start = instance.kill();
    let _instance = tokio::task::spawn_blocking(|| start.run()).await.unwrap();
    let kept = tenant.status(&key).await["alerts"].clone();
    assert_eq!(kept[0]["since"], raised[0]["since"]);
    let told = document(&tenant, &key, "/stats/usage.json").await["result"][0]["total"].as_u64().unwrap();
    assert_eq!(told, 20, "each was settled alone, and stored with that");
}

async fn who_may_see_the_statistics(world: &World) {
    let tenant = world.tenant("usage-roles");
    let connection = json!({"vendor": "generic", "base_url": "http://127.0.0.1:9"});
    let apps = json!({"app": {}, "page": {"origins": ["https://www.example.com"]}});
    tenant.policy(&json!({"connections": {"c": connection}, "apps": apps})).await;
    let (app, page) = (tenant.key("app").await, tenant.key("page").await);
    for role in ["viewer", "operator"] {
        let key = tenant.make_key(&json!({"role": role})).await.0;
        document(&tenant, &key, "/stats/usage.json").await;
    }
    for path in
        ["/stats/usage.json", "/stats/usage/last7days.json", "/stats/errors.json", "/stats/errors/last7days.json"]
    {
        document(&tenant, &app, path).await;
        document(&tenant, &app, &format!("{path}?connection=c")).await;
        tenant.send(&Ask::get(path).key(&page)).await.is_problem(403, "role");
        tenant.send(&Ask::get(path)).await.is_problem(401, "key");
        tenant.send(&Ask::get(&format!("{path}?connection=none")).key(&app)).await.is_problem(404, "connection");
        tenant.send(&Ask::get(&format!("{path}?conection=c")).key(&app)).await.is_problem(400, "request");
        let answer = tenant.send(&Ask::new("POST", path).key(&app)).await;
        answer.is_problem(405, "method");
        let bearer = Ask::get(path).with("Authorization", &format!("Bearer {app}"));
        assert_eq!(tenant.send(&bearer).await.status, 200);
    }
}
