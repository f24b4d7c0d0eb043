//! Pools: one daily limit over connections of several tenants.

use serde_json::{Value, json};
use sluice_e2e::instance::Start;
use sluice_e2e::{Ask, Tenant, World, load, tenant::limit};
use sluice_mock_upstreams::{Handle, Kind, Limit, Spec, Vendor};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep};

tests![
    three_tenants_evenly_asking_use_a_pool_up_and_no_more,
    three_tenants_unevenly_asking_with_all_killed_on_the_way_use_a_pool_up_and_no_more,
    connections_of_one_keap_client_share_its_day,
];

const DAY: u64 = 1_000;

fn vendor() -> Handle {
    Vendor::start(Spec::new("generic").jitter(5, 60).limits(vec![Limit::new("day", Kind::daily(DAY, 0))])).unwrap()
}

async fn join(tenant: &Tenant, vendor: &Handle, pool: &str) -> String {
    let day = json!({"name": "day", "kind": "daily", "calls": DAY, "reset": "00:00", "time_zone": "UTC", "pool": pool});
    tenant.simple("generic", &vendor.url(), &json!({"limits": [day]})).await
}

/// Lets this many callers of each tenant call until Sluice refuses them for the day. Returns how
/// many calls the vendor had passed at the first refusal.
async fn use_up(to: SocketAddr, vendor: &Handle, callers: &[(String, usize)]) -> usize {
    let mut tasks = tokio::task::JoinSet::new();
    let began = Instant::now();
    for (key, callers) in callers {
        for _ in 0..*callers {
            let ask = Ask::get("/v/c/echo").key(key).wait(5);
            let control: SocketAddr = vendor.url().trim_start_matches("http://").parse().unwrap();
            tasks.spawn(async move {
                loop {
                    assert!(began.elapsed() < Duration::from_secs(100), "the pool is not used up");
                    match ask.try_send(to).await {
                        Ok(answer) if answer.sluice_reason() == Some("daily-quota") => {
                            answer.is_problem(429, "daily-quota");
                            assert!(answer.retry_after().is_some());
                            let summary = Ask::get("/__control/summary").send(control).await.json();
                            return usize::try_from(summary["passed"].as_u64().unwrap()).unwrap();
                        }
                        Ok(answer) => assert_eq!(answer.status, 200, "{}", answer.text()),
                        // The instance was killed and is not back yet.
                        Err(_) => sleep(Duration::from_millis(50)).await,
                    }
                }
            });
        }
    }
    tasks.join_all().await.into_iter().min().unwrap()
}

async fn three_tenants_evenly_asking_use_a_pool_up_and_no_more(world: &World) {
    let vendor = vendor();
    let tenants = [world.tenant("pool-a"), world.tenant("pool-b"), world.tenant("pool-c")];
    let mut callers = Vec::new();
    for tenant in &tenants {
        callers.push((join(tenant, &vendor, "even").await, 3));
    }
    let at_first = use_up(tenants[0].to(), &vendor, &callers).await;
    let calls = vendor.calls();
    println!("evenly: {at_first} passed at the first refusal, {} in all", calls.passed());
    assert!(calls.refused().is_empty(), "{:?}", calls.refused());
    assert!(at_first >= 990, "{at_first} at the first refusal");
    assert!(calls.passed() <= 1_000);
    let status = tenants[0].status(&callers[0].0).await;
    let day = limit(&status["connections"]["c"], "day");
    assert!(day["used"].as_u64().unwrap() >= 900, "the pool's use shows in each tenant's status: {day}");
}

async fn three_tenants_unevenly_asking_with_all_killed_on_the_way_use_a_pool_up_and_no_more(_: &World) {
    let vendor = vendor();
    let instance = Start::fresh("pools").run();
    let tenants = ["pool-a", "pool-b", "pool-c"].map(|name| Tenant::new(&instance, name));
    let mut callers = Vec::new();
    for (tenant, n) in tenants.iter().zip([4, 1, 1]) {
        callers.push((join(tenant, &vendor, "uneven").await, n));
    }
    let to = tenants[0].to();
    let watched = &vendor;
    let (at_first, instance) = tokio::join!(use_up(to, &vendor, &callers), async move {
        while watched.calls().passed() < 400 {
            sleep(Duration::from_millis(20)).await;
        }
        let start = instance.kill();
        tokio::task::spawn_blocking(|| start.run()).await.unwrap()
    });
    let calls = vendor.calls();
    println!("unevenly, killed: {at_first} passed at the first refusal, {} in all", calls.passed());
    assert!(calls.refused().is_empty(), "{:?}", calls.refused());
    assert!(at_first >= 990, "{at_first} at the first refusal");
    assert!(calls.passed() <= 1_000);
    drop(instance);
}

/// Returns the credential of one OAuth client, for a separate account.
fn client(vendor: &Handle, id: &str) -> Value {
    json!({"type": "refresh_token", "client_id": id, "client_secret": "s", "refresh_token": "r",
        "token_url": format!("{}/token", vendor.url())})
}

async fn connections_of_one_keap_client_share_its_day(world: &World) {
    let spec = Spec::new("keap-oauth").limits(vec![Limit::new("daily", Kind::daily(125_000, 0))]);
    let vendor = Vendor::start(spec).unwrap();
    let mut shared = Vec::new();
    for (name, id) in [("keap-a", "one"), ("keap-b", "one"), ("keap-c", "other")] {
        let tenant = world.tenant(name);
        let key = tenant.simple("keap-oauth", &vendor.url(), &json!({"credential": client(&vendor, id)})).await;
        let policy = tenant.admin("GET", &format!("/tenants/{}", tenant.name), None).await.json();
        shared.push(policy["connections"]["c"]["limits"][0]["pool"].as_str().unwrap().to_owned());
        let answers = load::at_once(tenant.to(), vec![Ask::get("/v/c/crm/rest/v2/contacts").key(&key); 5]).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    }
    assert!(shared[0].starts_with("client-") && !shared[0].contains("one"), "{shared:?}");
    assert_eq!(shared[0], shared[1]);
    assert_ne!(shared[0], shared[2]);
}
