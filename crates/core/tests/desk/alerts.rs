//! Alerts at the desk: raised once, cleared once, over the ends of objects, and by time alone.

use crate::rig::{NOON, Rig};
use serde_json::{Value, json};
use sluice_core::key::Claims;
use sluice_core::tenant::desk::Answer;
use sluice_core::tenant::protocol::{Admit, Ask};
use sluice_limiter::{Outcome, ThrottledBy};

fn rig(alerts: Value) -> (Rig, Claims) {
    let mut rig = Rig::empty();
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
    assert_eq!(rig.put(&policy).0, 201);
    let app = rig.app("sync");
    (rig, app)
}

fn call(rig: &mut Rig, app: &Claims, throttled: bool) {
    let (permit, at) = (rig.go(app, "crm").permit, rig.now);
    let outcome = match throttled {
        true => Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: None },
        false => Outcome::Answered,
    };
    rig.ended(permit, "sync", at, (outcome, throttled.then_some("429")), 1);
}

/// Kinds and limits of the alerts that are raised.
fn raised(rig: &mut Rig) -> Vec<(String, Value)> {
    let alerts = rig.status()["alerts"].clone();
    let list = alerts.as_array().unwrap().iter();
    list.map(|alert| (alert["kind"].as_str().unwrap().to_owned(), alert["limit"].clone())).collect()
}

#[test]
fn throttles_raise_an_alert_that_outlives_the_object_and_ends_by_the_alarm_alone() {
    let (mut rig, app) = rig(json!({}));
    for n in 0..20 {
        call(&mut rig, &app, n < 2);
        assert_eq!(raised(&mut rig).len(), usize::from(n >= 19), "2 of {} calls", n + 1);
    }
    let since = rig.status()["alerts"][0]["since"].clone();
    let alert = json!({"kind": "throttled_ratio", "connection": "crm", "since": since, "value": 0.1, "limit": 0.05});
    assert_eq!(rig.status()["alerts"], json!([alert]));
    rig.reopen();
    assert_eq!(rig.status()["alerts"][0]["since"], since);
    // The alarm that the object before had set.
    rig.go_to(NOON + 60_000);
    let mut alarms = 0;
    while let Some(alarm) = rig.desk.next_alarm() {
        rig.go_to(alarm);
        alarms += 1;
    }
    assert_eq!(raised(&mut rig), []);
    assert!((NOON + 300_000..NOON + 420_000).contains(&rig.now) && alarms < 8, "{} ms, {alarms}", rig.now - NOON);
    rig.reopen();
    assert_eq!(raised(&mut rig), []);
}

#[test]
fn parts_of_the_day_alert_until_the_day_is_over() {
    let (mut rig, app) = rig(json!({"daily_used": [0.5, 0.6]}));
    let used = |rig: &mut Rig, n| (0..n).for_each(|_| call(rig, &app, false));
    used(&mut rig, 49);
    assert_eq!(raised(&mut rig), []);
    used(&mut rig, 1);
    assert_eq!(raised(&mut rig), [("daily_used".to_owned(), json!(0.5))]);
    used(&mut rig, 15);
    assert_eq!(raised(&mut rig).len(), 2);
    assert_eq!(rig.status()["alerts"][1]["value"], 0.65);
    let alarm = rig.desk.next_alarm().unwrap();
    let midnight = NOON + 17 * 3_600_000;
    assert!((midnight..midnight + 5_000).contains(&alarm), "{}", alarm - midnight);
    rig.go_to(alarm);
    assert_eq!((raised(&mut rig), rig.desk.next_alarm()), (vec![], None));
}

#[test]
fn a_call_that_waits_too_long_alerts_when_it_has_and_not_before() {
    let (mut rig, app) = rig(json!({"queue_wait_seconds": 30}));
    let permit = rig.go(&app, "crm").permit;
    let admit = Admit { wait_ms: None, ..rig.admit(&app, "crm") };
    assert!(matches!(rig.ask(Ask::Admit(admit)), Answer::Wait(_)));
    rig.go_to(NOON + 29_999);
    assert_eq!(raised(&mut rig), []);
    rig.go_to(NOON + 30_002);
    assert_eq!(raised(&mut rig), [("queue_wait_seconds".to_owned(), json!(30))]);
    rig.answered("crm", permit);
    assert_eq!(raised(&mut rig), []);
}

#[test]
fn a_policy_that_alerts_no_more_clears_what_it_had_raised() {
    let (mut rig, app) = rig(json!({}));
    (0..20).for_each(|_| call(&mut rig, &app, true));
    assert_eq!(raised(&mut rig).len(), 1);
    let mut policy = rig.admin(sluice_core::tenant::protocol::Admin::GetPolicy).1;
    policy["alerts"]["throttled_ratio"] = json!(1);
    assert_eq!(rig.put(&policy).0, 200);
    assert_eq!(raised(&mut rig), []);
}
