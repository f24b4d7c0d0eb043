//! Alerts: raised once, cleared once, over the ends of objects, and by time alone.

use crate::harness::{Harness, NOON};
use serde_json::{Value, json};
use sluice_core::keys::Claims;
use sluice_core::protocol::{Admit, Ask};
use sluice_core::tenant::state::Answer;
use sluice_limiter::{Outcome, ThrottledBy};

fn harness(alerts: Value) -> (Harness, Claims) {
    let mut harness = Harness::empty();
    let policy = json!({
        "connections": {
            "crm": {
                "vendor": "generic", "base_url": "https://crm.example.com", "adaptive": {"min": 1},
                "limits": [
                    {"name": "slots", "kind": "concurrency", "calls": 1},
                    {"name": "day", "kind": "daily", "calls": 100, "reset": "00:00", "time_zone": "America/Chicago"},
                ],
                "queue": {"size": 5, "max_wait_seconds": 600},
            },
        },
        "apps": {"sync": {}},
        "alerts": alerts,
    });
    assert_eq!(harness.put(&policy).0, 201);
    let app = harness.app("sync");
    (harness, app)
}

fn call(harness: &mut Harness, app: &Claims, throttled: bool) {
    let (permit, at) = (harness.go(app, "crm").permit, harness.now);
    let outcome = match throttled {
        true => Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: None },
        false => Outcome::Answered,
    };
    harness.ended(permit, "sync", at, (outcome, throttled.then_some("429")), 1);
}

/// Kinds and limits of the alerts that are raised.
fn raised(harness: &mut Harness) -> Vec<(String, Value)> {
    let alerts = harness.status()["alerts"].clone();
    let list = alerts.as_array().unwrap().iter();
    list.map(|alert| (alert["kind"].as_str().unwrap().to_owned(), alert["limit"].clone())).collect()
}

#[test]
fn throttles_raise_an_alert_that_outlives_the_object_and_ends_by_the_alarm_alone() {
    let (mut harness, app) = harness(json!({}));
    for n in 0..20 {
        call(&mut harness, &app, n < 2);
        assert_eq!(raised(&mut harness).len(), usize::from(n >= 19), "2 of {} calls", n + 1);
    }
    let since = harness.status()["alerts"][0]["since"].clone();
    let alert = json!({"kind": "throttled_ratio", "connection": "crm", "since": since, "value": 0.1, "limit": 0.05});
    assert_eq!(harness.status()["alerts"], json!([alert]));
    harness.reopen();
    assert_eq!(harness.status()["alerts"][0]["since"], since);
    // The alarm that the object before had set.
    harness.go_to(NOON + 60_000);
    let mut alarms = 0;
    while let Some(alarm) = harness.tenant.next_alarm() {
        harness.go_to(alarm);
        alarms += 1;
    }
    assert_eq!(raised(&mut harness), []);
    assert!(
        (NOON + 300_000..NOON + 420_000).contains(&harness.now) && alarms < 8,
        "{} ms, {alarms}",
        harness.now - NOON
    );
    harness.reopen();
    assert_eq!(raised(&mut harness), []);
}

#[test]
fn parts_of_the_day_alert_until_the_day_is_over() {
    let (mut harness, app) = harness(json!({"daily_used": [0.5, 0.6]}));
    let used = |harness: &mut Harness, n| (0..n).for_each(|_| call(harness, &app, false));
    used(&mut harness, 49);
    assert_eq!(raised(&mut harness), []);
    used(&mut harness, 1);
    assert_eq!(raised(&mut harness), [("daily_used".to_owned(), json!(0.5))]);
    used(&mut harness, 15);
    assert_eq!(raised(&mut harness).len(), 2);
    assert_eq!(harness.status()["alerts"][1]["value"], 0.65);
    let alarm = harness.tenant.next_alarm().unwrap();
    let midnight = NOON + 17 * 3_600_000;
    assert!((midnight..midnight + 5_000).contains(&alarm), "{}", alarm - midnight);
    harness.go_to(alarm);
    assert_eq!((raised(&mut harness), harness.tenant.next_alarm()), (vec![], None));
}

#[test]
fn a_call_that_waits_too_long_alerts_when_it_has_and_not_before() {
    let (mut harness, app) = harness(json!({"queue_wait_seconds": 30}));
    let permit = harness.go(&app, "crm").permit;
    let admit = Admit { wait_ms: None, ..harness.admit(&app, "crm") };
    assert!(matches!(harness.ask(Ask::Admit(admit)), Answer::Wait(_)));
    harness.go_to(NOON + 29_999);
    assert_eq!(raised(&mut harness), []);
    harness.go_to(NOON + 30_002);
    assert_eq!(raised(&mut harness), [("queue_wait_seconds".to_owned(), json!(30))]);
    harness.answered("crm", permit);
    assert_eq!(raised(&mut harness), []);
}

#[test]
fn a_policy_that_alerts_no_more_clears_what_it_had_raised() {
    let (mut harness, app) = harness(json!({}));
    (0..20).for_each(|_| call(&mut harness, &app, true));
    assert_eq!(raised(&mut harness).len(), 1);
    let mut policy = harness.admin(sluice_core::protocol::Admin::GetPolicy).1;
    policy["alerts"]["throttled_ratio"] = json!(1);
    assert_eq!(harness.put(&policy).0, 200);
    assert_eq!(raised(&mut harness), []);
}
