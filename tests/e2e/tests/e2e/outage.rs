//! A vendor that is down for a minute, while jobs and direct calls keep coming.

use serde_json::{Value, json};
use sluice_e2e::{Answer, Ask, Tenant, World};
use sluice_mock_upstreams::{Calls, CountAt, Fault, FaultRule, Kind, Limit, Spec, Vendor};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

tests![
    a_minute_of_a_vendor_that_asks_for_rests_costs_no_job_and_ends_gently,
    a_minute_of_a_vendor_that_is_broken_leaves_dead_letters_that_replay_clean,
];

const WINDOW: u64 = 100;
const WINDOW_S: u64 = 2;
const ATTEMPTS: usize = 2;

async fn a_minute_of_a_vendor_that_asks_for_rests_costs_no_job_and_ends_gently(world: &World) {
    let (during, dead) = a_minute_without(world, "rests", Some(2)).await;
    assert_eq!(during["rate_factor"], 0.2, "a minute of throttles: {during}");
    assert_eq!(dead, 0, "hardly any was tried");
}

async fn a_minute_of_a_vendor_that_is_broken_leaves_dead_letters_that_replay_clean(world: &World) {
    let (during, dead) = a_minute_without(world, "broken", None).await;
    assert_eq!(during["rate_factor"], 1, "it said nothing of a limit: {during}");
    assert!(dead > 80, "two jobs a second failed twice each, but {dead} are dead");
}

/// Runs the minute; returns the connection's status at its end, and how many jobs it cost.
async fn a_minute_without(world: &World, name: &str, retry_after_s: Option<u64>) -> (Value, usize) {
    // The answers are those of a proxy whose backend is gone.
    let down = FaultRule::always(Fault::Status { status: 503, retry_after_s, retry_at_s: None });
    let spec = Spec::new("generic").jitter(10, 60).count_at(CountAt::Random);
    let vendor = Vendor::start(spec.limits(vec![Limit::new("rate", Kind::window(WINDOW, WINDOW_S))])).unwrap();
    let tenant = world.tenant(&format!("outage-{name}"));
    let more = json!({
        "limits": [{"name": "rate", "kind": "rolling_window", "calls": WINDOW, "seconds": WINDOW_S}],
        "adaptive": {"min": 0.2}, "retry": {"attempts": ATTEMPTS},
    });
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    let began = Instant::now();
    let (falls, rises, ends) = (5, 65, 70);
    let callers = tokio::spawn(callers(tenant.clone(), key.clone(), Duration::from_secs(ends)));
    let at = |seconds| tokio::time::sleep_until(began + Duration::from_secs(seconds));
    at(falls).await;
    vendor.change(|spec| spec.faults.push(down.clone())).unwrap();
    at(rises).await;
    let during = tenant.status(&key).await["connections"]["c"].clone();
    let seen = vendor.calls().0.len();
    vendor.change(|spec| spec.faults.clear()).unwrap();
    let (jobs, answers) = callers.await.unwrap();

    // Nothing is lost: each job ends, and each caller was answered.
    let ended = all_ended(&tenant, &key).await;
    let made = jobs.len() as u64;
    let list = dead_letters(&tenant, &key).await;
    assert!(list.is_subset(&jobs));
    assert_eq!(ended["dead"].as_u64(), Some(list.len() as u64));
    let (good, refused): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(!good.is_empty() && !refused.is_empty(), "{} {}", good.len(), refused.len());
    assert!(refused.iter().all(|answer| matches!(answer.status, 429 | 503)), "{refused:?}");

    // The attempts stay bounded, also in total: nearly all of the minute is spent waiting.
    let calls = vendor.calls();
    let mut attempts: BTreeMap<&str, usize> = BTreeMap::new();
    calls.0.iter().for_each(|call| *attempts.entry(&call.target).or_default() += 1);
    assert!(attempts.values().all(|made| *made <= ATTEMPTS), "{attempts:?}");
    assert!(calls.most_in_window(WINDOW_S * 1_000) <= WINDOW as usize);

    // The end is gentle: the calls that have piled up do not come at once, though the window is
    // free.
    let after = Calls(calls.0[seen..].iter().filter(|call| call.status == 200).cloned().collect());
    let since = after.since_first_us();
    let first = since.iter().filter(|at| **at < 1_000_000).count();
    println!(
        "{name} for a minute: {made} jobs, {} dead, {} calls, {first} in the first second after",
        list.len(),
        calls.0.len()
    );
    assert!(first <= WINDOW as usize / 2, "{first} calls in the first second");
    assert!(after.most_in_window(WINDOW_S * 1_000) <= WINDOW as usize);

    // The dead letters can be replayed and succeed.
    let (operator, _) = tenant.make_key(&json!({"role": "operator"})).await;
    let replayed = tenant.send(&Ask::post("/dead-letters/replay", "").key(&operator)).await.json();
    assert_eq!(replayed["replayed"].as_u64(), Some(list.len() as u64));
    assert_eq!(all_ended(&tenant, &key).await["dead"], 0);
    let done = vendor.calls().only(|call| call.status == 200 && call.method == "PUT");
    let targets: BTreeSet<&str> = done.0.iter().map(|call| call.target.as_str()).collect();
    assert_eq!((targets.len() as u64, done.0.len() as u64), (made, made), "each job went well, once");
    assert!(vendor.calls().refused().keys().all(|why| why != "rate"), "{:?}", vendor.calls().refused());
    (during, list.len())
}

/// Submits two jobs and makes two direct calls a second; returns the jobs' ids and the direct
/// calls' answers.
async fn callers(tenant: Tenant, key: String, length: Duration) -> (BTreeSet<String>, Vec<Answer>) {
    let (mut ids, mut direct) = (BTreeSet::new(), JoinSet::new());
    let mut ticks = interval(Duration::from_millis(500));
    for n in 0..length.as_millis() / 500 {
        ticks.tick().await;
        let job = Ask::new("PUT", &format!("/v/c/echo?job-{n}")).body("x").key(&key).with("Prefer", "respond-async");
        let answer = tenant.send(&job).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        ids.insert(answer.header("location").unwrap().rsplit_once('/').unwrap().1.to_owned());
        let ask = Ask::get(&format!("/v/c/echo?direct-{n}")).key(&key);
        let tenant = tenant.clone();
        direct.spawn(async move { tenant.send(&ask).await });
    }
    (ids, direct.join_all().await)
}

/// Waits until no job is queued or runs; returns the numbers of jobs then.
async fn all_ended(tenant: &Tenant, key: &str) -> Value {
    let began = Instant::now();
    loop {
        let jobs = tenant.status(key).await["connections"]["c"]["jobs"].clone();
        if jobs["queued"] == 0 && jobs["running"] == 0 {
            return jobs;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{jobs}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Returns all dead letters, page by page.
async fn dead_letters(tenant: &Tenant, key: &str) -> BTreeSet<String> {
    let (mut ids, mut path) = (BTreeSet::new(), "/dead-letters?limit=100".to_owned());
    loop {
        let page = tenant.send(&Ask::get(&path).key(key)).await.json();
        let items = page["items"].as_array().unwrap().clone();
        ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = format!("/dead-letters?limit=100&after={next}"),
            None => return ids,
        }
    }
}
