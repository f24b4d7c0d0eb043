//! The status document, by request and live.

use serde_json::{Value, json};
use sluice_e2e::{Ask, Open, World, tenant::limit};
use sluice_mock_upstreams::{Latency, Spec, Vendor};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

tests![
    the_status_shows_limits_queue_and_what_is_in_flight,
    the_live_status_is_pushed_on_change_at_most_twice_a_second,
    two_hundred_and_fifty_watchers_are_told_the_same_twice_a_second_and_no_more_are_taken,
    no_app_takes_all_places_of_those_who_watch,
    a_websocket_without_a_good_key_is_refused,
    health_and_the_page_need_no_key,
];

fn limits() -> Value {
    json!([
        {"name": "rate", "kind": "rolling_window", "calls": 4, "seconds": 60},
        {"name": "day", "kind": "daily", "calls": 500, "reset": "00:00", "time_zone": "UTC"},
        {"name": "bucket", "kind": "token_bucket", "rate_per_second": 1, "burst": 10},
        {"name": "slots", "kind": "concurrency", "calls": 20},
    ])
}

async fn the_status_shows_limits_queue_and_what_is_in_flight(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("status");
    let more = json!({"limits": limits(), "share": 0.5, "queue": {"size": 7, "max_wait_seconds": 90}});
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    tenant.get(&key, "/echo").await.is_vendors(200);
    vendor.change(|spec| spec.latency = Latency::Fixed { ms: 4000 }).unwrap();
    for _ in 0..2 {
        let (to, ask) = (tenant.to(), Ask::get("/v/c/echo").key(&key).wait(80));
        tokio::spawn(async move { ask.try_send(to).await });
    }
    let c = tenant.until(&key, "one flies, one waits", |c| c["in_flight"] == 1 && c["queue"]["depth"] == 1).await;
    assert_eq!((c["vendor"].as_str(), c["mode"].as_str()), (Some("generic"), Some("enforce")));
    assert_eq!(c["queue"]["size"], 7);
    assert!(c["queue"]["oldest_wait_ms"].is_u64());
    assert_eq!(c["rate_factor"].as_f64(), Some(1.0));
    let rate = limit(&c, "rate");
    let numbers = ["limit", "of", "used", "remaining"].map(|name| rate[name].as_u64());
    assert_eq!(numbers, [Some(2), Some(4), Some(2), Some(0)], "{rate}");
    assert_eq!(rate["kind"], "rolling_window");
    let day = limit(&c, "day");
    assert_eq!(
        (day["limit"].as_u64(), day["used"].as_u64(), day["remaining"].as_u64()),
        (Some(250), Some(2), Some(248))
    );
    assert!(day["reset_at"].as_str().is_some_and(|at| at.ends_with('Z') && at.contains("T00:00")), "{day}");
    assert_eq!(limit(&c, "slots")["used"], 1);
    let daily = &c["daily"];
    assert_eq!((daily["used"].as_u64(), daily["limit"].as_u64()), (Some(2), Some(250)), "{daily}");
    let status = tenant.status(&key).await;
    assert!(status["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{status}");
    assert!(status["alerts"].is_array());
}

async fn the_live_status_is_pushed_on_change_at_most_twice_a_second(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("live");
    let key = tenant.simple("generic", &vendor.url(), &json!({"limits": limits()})).await;
    let mut live: Open = tenant.open(&Ask::live_status(&key)).await;
    assert_eq!(live.answer().status, 101, "{:?}", live.answer());
    assert_eq!(live.answer().header("sec-websocket-protocol"), Some("sluice.v1"));
    let first: Value = serde_json::from_str(&live.message().await.unwrap()).unwrap();
    assert_eq!(limit(&first["connections"]["c"], "day")["used"], 0);
    for _ in 0..3 {
        tenant.get(&key, "/echo").await.is_vendors(200);
    }
    let mut messages = 0;
    let began = tokio::time::Instant::now();
    loop {
        let message: Value = serde_json::from_str(&live.message().await.unwrap()).unwrap();
        messages += 1;
        let c = &message["connections"]["c"];
        if limit(c, "day")["used"] == 3 && c["in_flight"] == 0 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "the last state was not pushed: {message}");
    }
    let allowed = began.elapsed().as_millis() / 500 + 2;
    assert!(messages <= allowed, "{messages} messages in {:?}", began.elapsed());
}

async fn two_hundred_and_fifty_watchers_are_told_the_same_twice_a_second_and_no_more_are_taken(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("watched");
    let limit = json!({"name": "day", "kind": "daily", "calls": 500, "reset": "00:00", "time_zone": "UTC"});
    let key = tenant.simple("generic", &vendor.url(), &json!({"limits": [limit]})).await;
    // The keys belong to different people, who see the same.
    let mut keys = vec![key.clone()];
    for _ in 0..4 {
        keys.push(tenant.make_key(&json!({"role": "viewer"})).await.0);
    }
    let mut watching = JoinSet::new();
    for watcher in 0..250 {
        let mut live: Open = tenant.open(&Ask::live_status(&keys[watcher % keys.len()])).await;
        assert_eq!(live.answer().status, 101, "watcher {watcher}: {:?}", live.answer());
        watching.spawn(async move {
            let mut documents = Vec::new();
            loop {
                documents.push(live.message().await.unwrap());
                let document: Value = serde_json::from_str(documents.last().unwrap()).unwrap();
                let c = &document["connections"]["c"];
                if c["daily"]["used"] == 100 && c["in_flight"] == 0 {
                    // The connections stay open until all have seen it.
                    return (live, documents);
                }
            }
        });
    }
    tenant.send(&Ask::live_status(&key)).await.is_problem(503, "unavailable");
    for _ in 0..100 {
        tenant.get(&key, "/echo").await.is_vendors(200);
        sleep(Duration::from_millis(20)).await;
    }
    let seen = watching.join_all().await;
    let mut texts = BTreeMap::new();
    let mut most = 0;
    for (_, documents) in &seen {
        let mut last = i64::MIN / 2;
        most = most.max(documents.len());
        for text in documents {
            let at = moment(text);
            assert!(at - last >= 500, "two within {} ms", at - last);
            last = at;
            assert_eq!(texts.entry(at).or_insert(text), &text, "one document a push, whoever sees it");
        }
    }
    assert!(most > 3, "{most} documents over two seconds of calls");
}

/// One app may have half of the places, another half of what it leaves, and an operator still finds
/// one.
async fn no_app_takes_all_places_of_those_who_watch(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("watched-by-apps");
    let connection = json!({"vendor": "generic", "base_url": vendor.url()});
    tenant.policy(&json!({"connections": {"c": connection}, "apps": {"one": {}, "other": {}}})).await;
    let mut watching = Vec::new();
    for (app, places) in [("one", 125), ("other", 63)] {
        // The keys of one app count as one app.
        let keys = [tenant.key(app).await, tenant.key(app).await];
        for place in 0..places {
            let live = tenant.open(&Ask::live_status(&keys[place % 2])).await;
            assert_eq!(live.answer().status, 101, "{app} takes place {place}");
            watching.push(live);
        }
        for key in &keys {
            tenant.send(&Ask::live_status(key)).await.is_problem(503, "unavailable");
        }
    }
    let (operator, _) = tenant.make_key(&json!({"role": "operator"})).await;
    assert_eq!(tenant.open(&Ask::live_status(&operator)).await.answer().status, 101);

    // A watcher that leaves frees its place for the same app.
    let other = tenant.key("other").await;
    watching.pop().expect("one of the other's").reset();
    let began = Instant::now();
    loop {
        let live = tenant.open(&Ask::live_status(&other)).await;
        if live.answer().status == 101 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "its place is not free again");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Returns when a document was made, Unix ms.
fn moment(text: &str) -> i64 {
    let document: Value = serde_json::from_str(text).unwrap();
    let at = ms_of_month(document["at"].as_str().unwrap());
    at.unwrap_or_else(|| panic!("no moment: {text}"))
}

/// Returns the milliseconds within the month of an RFC 3339 moment, which is enough to compare
/// moments of one test.
fn ms_of_month(at: &str) -> Option<i64> {
    let number = |from: usize, to: usize| at.get(from..to)?.parse::<i64>().ok();
    let (day, hour, minute, second) = (number(8, 10)?, number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let ms = if at.len() > 20 { number(20, at.len() - 1)? } else { 0 };
    Some((((day * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + ms)
}

async fn a_websocket_without_a_good_key_is_refused(world: &World) {
    let tenant = world.tenant("live-refused");
    for key in ["slk_bad", ""] {
        assert_eq!(tenant.open(&Ask::live_status(key)).await.answer().status, 401);
    }
    let in_query = tenant.open(&Ask::live_status("").with("X", "y")).await;
    assert_eq!(in_query.answer().status, 401);
}

async fn health_and_the_page_need_no_key(world: &World) {
    let tenant = world.tenant("public");
    assert_eq!(tenant.send(&Ask::get("/healthz")).await.status, 200);
    let page = tenant.send(&Ask::get("/")).await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap_or_default().starts_with("text/html"));
    assert!(page.header("content-security-policy").is_some(), "{:?}", page.headers);
}
