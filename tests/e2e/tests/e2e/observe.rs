//! Observe mode: nothing is delayed or refused, and what would have happened is reported and
//! counted.

use serde_json::json;
use sluice_e2e::{World, tenant::limit};
use sluice_mock_upstreams::{Spec, Vendor};
use std::time::Duration;

tests![in_observe_mode_calls_pass_and_hear_what_would_have_been, enforcing_again_knows_what_was_observed];

async fn in_observe_mode_calls_pass_and_hear_what_would_have_been(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("observe");
    let limits = json!([
        {"name": "rate", "kind": "rolling_window", "calls": 2, "seconds": 5},
        {"name": "day", "kind": "daily", "calls": 4, "reset": "00:00", "time_zone": "UTC"},
    ]);
    let key = tenant.simple("generic", &vendor.url(), &json!({"mode": "observe", "limits": limits})).await;
    for n in 0..6 {
        let answer = tenant.get(&key, "/echo").await;
        answer.is_vendors(200);
        assert!(answer.took < Duration::from_secs(2), "nothing is delayed");
        let would = answer.header("sluice-would");
        match n {
            0 | 1 => assert_eq!(would, None),
            2 | 3 => {
                let ms =
                    would.and_then(|w| w.strip_prefix("wait;ms=")).unwrap_or_else(|| panic!("call {n}: {would:?}"));
                assert!((1..=5100).contains(&ms.parse::<u64>().unwrap()), "{ms}");
            }
            _ => assert_eq!(would, Some("refuse;reason=daily-quota")),
        }
    }
    assert_eq!(vendor.calls().0.len(), 6);
    let status = tenant.status(&key).await;
    let connection = &status["connections"]["c"];
    assert_eq!(connection["mode"], "observe");
    assert_eq!(limit(connection, "day")["used"], 6);
}

async fn enforcing_again_knows_what_was_observed(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("enforce");
    let limits = json!([{"name": "rate", "kind": "rolling_window", "calls": 3, "seconds": 60}]);
    let key = tenant.simple("generic", &vendor.url(), &json!({"mode": "observe", "limits": limits})).await;
    for _ in 0..5 {
        tenant.get(&key, "/echo").await.is_vendors(200);
    }
    tenant.simple("generic", &vendor.url(), &json!({"limits": limits})).await;
    tenant.get_now(&key, "/echo").await.is_problem(429, "rate");
}
