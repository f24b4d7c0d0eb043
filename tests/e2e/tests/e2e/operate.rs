//! Operating: an operator pauses and resumes connections, and single apps of them.

use serde_json::{Value, json};
use sluice_e2e::instance::Start;
use sluice_e2e::{Answer, Ask, Tenant, World};
use sluice_mock_upstreams::{Fault, FaultRule, Handle, Spec, Vendor};
use std::time::Duration;

tests![
    a_paused_connection_refuses_until_the_very_second_and_a_resumed_one_goes_on,
    calls_that_wait_under_a_pause_without_an_end_go_when_it_is_resumed,
    one_app_is_paused_and_the_others_go_on_through_a_restart_and_a_new_policy,
    resume_lifts_what_the_vendor_asked_for,
    jobs_rest_while_their_connection_is_paused,
    what_is_no_order_is_refused_and_changes_nothing,
    a_pause_of_a_connection_that_only_observes_is_watched_too,
];

struct Set {
    vendor: Handle,
    tenant: Tenant,
    app: String,
    other: String,
    operator: String,
}

async fn set(world: &World, name: &str, vendor: Spec, more: Value) -> Set {
    let vendor = Vendor::start(vendor).unwrap();
    let tenant = world.tenant(name);
    let mut connection = json!({"vendor": "generic", "base_url": vendor.url()});
    for (name, value) in more.as_object().into_iter().flatten() {
        connection[name] = value.clone();
    }
    tenant.policy(&json!({"connections": {"c": connection}, "apps": {"app": {}, "other": {}}})).await;
    let (app, other) = (tenant.key("app").await, tenant.key("other").await);
    let operator = tenant.make_key(&json!({"role": "operator"})).await.0;
    Set { vendor, tenant, app, other, operator }
}

async fn order(tenant: &Tenant, key: &str, what: &str, body: &str) -> Answer {
    tenant.send(&Ask::post(&format!("/connections/c/{what}"), body).key(key)).await
}

fn plain() -> Spec {
    Spec::new("generic").limits(vec![])
}

async fn a_paused_connection_refuses_until_the_very_second_and_a_resumed_one_goes_on(world: &World) {
    let Set { vendor, tenant, app, operator, .. } = set(world, "op-pause", plain(), json!({})).await;
    let paused = order(&tenant, &operator, "pause", r#"{"seconds":600,"reason":"the vendor's maintenance"}"#).await;
    assert_eq!(paused.status, 200, "{}", paused.text());
    let refused = tenant.get(&app, "/echo").await;
    refused.is_problem(503, "paused");
    assert!((599..=600).contains(&refused.retry_after().unwrap()));
    assert!(refused.json()["type"].as_str().unwrap().ends_with("#temporary-reduced-capacity"));
    let shown = tenant.status(&app).await["connections"]["c"].clone();
    assert_eq!(shown["paused"]["reason"], "the vendor's maintenance");
    assert!(shown["paused"]["until"].is_string() && shown["paused"]["by"].is_string(), "{shown}");
    assert_eq!(shown["paused"]["app"], Value::Null);
    assert!(vendor.calls().0.is_empty());
    assert_eq!(order(&tenant, &operator, "resume", "").await.status, 200);
    tenant.get(&app, "/echo").await.is_vendors(200);
    assert_eq!(tenant.status(&app).await["connections"]["c"]["paused"], Value::Null);
    // A call waits for a pause that is short enough.
    order(&tenant, &operator, "pause", r#"{"seconds":2}"#).await;
    let waited = tenant.get(&app, "/echo").await;
    waited.is_vendors(200);
    assert!(waited.head_after >= Duration::from_millis(1_500), "{:?}", waited.head_after);
}

async fn calls_that_wait_under_a_pause_without_an_end_go_when_it_is_resumed(world: &World) {
    let Set { vendor: _vendor, tenant, app, operator, .. } = set(world, "op-wait", plain(), json!({})).await;
    assert_eq!(order(&tenant, &operator, "pause", "").await.status, 200);
    let refused = tenant.get_now(&app, "/echo").await;
    refused.is_problem(503, "paused");
    let waiting = tokio::spawn({
        let (to, ask) = (tenant.to(), Ask::get("/v/c/echo").key(&app).wait(9));
        async move { ask.send(to).await }
    });
    tenant.until(&app, "it waits", |c| c["queue"]["depth"] == 1).await;
    order(&tenant, &operator, "resume", "{}").await;
    waiting.await.unwrap().is_vendors(200);
    // Nobody resumes it: when its time to wait is over, the call is told why.
    order(&tenant, &operator, "pause", "{}").await;
    tenant.send(&Ask::get("/v/c/echo").key(&app).wait(1)).await.is_problem(503, "paused");
}

async fn one_app_is_paused_and_the_others_go_on_through_a_restart_and_a_new_policy(_: &World) {
    let vendor = Vendor::start(plain()).unwrap();
    let instance = Start::fresh("op-app").run();
    let tenant = Tenant::new(&instance, "op-app");
    let policy = json!({"connections": {"c": {"vendor": "generic", "base_url": vendor.url()}}, "apps": {"app": {}, "other": {}}});
    tenant.policy(&policy).await;
    let (app, other) = (tenant.key("app").await, tenant.key("other").await);
    let operator = tenant.make_key(&json!({"role": "operator"})).await.0;
    assert_eq!(order(&tenant, &operator, "pause", r#"{"app":"app"}"#).await.status, 200);
    let instance = instance.kill().run();
    let tenant = tenant.on(&instance);
    for _ in 0..2 {
        tenant.get_now(&app, "/echo").await.is_problem(503, "paused");
        tenant.get_now(&other, "/echo").await.is_vendors(200);
        assert_eq!(tenant.status(&app).await["connections"]["c"]["paused"]["app"], "app");
        tenant.policy(&policy).await;
    }
    assert_eq!(order(&tenant, &operator, "resume", r#"{"app":"app"}"#).await.status, 200);
    tenant.get_now(&app, "/echo").await.is_vendors(200);
}

async fn resume_lifts_what_the_vendor_asked_for(world: &World) {
    let vendor = plain().fault(FaultRule::first(1, Fault::Throttle { retry_after_s: Some(3_000) }));
    let Set { vendor: _vendor, tenant, app, operator, other } =
        set(world, "op-vendor", vendor, json!({"retry": {"attempts": 1}})).await;
    tenant.get(&app, "/echo").await.is_vendors(429);
    tenant.until(&app, "it is paused", |c| c["paused_until"].is_string()).await;
    tenant.get_now(&other, "/echo").await.is_problem(503, "paused");
    assert_eq!(order(&tenant, &operator, "resume", "").await.status, 200);
    tenant.get(&other, "/echo").await.is_vendors(200);
    assert_eq!(tenant.status(&app).await["connections"]["c"]["paused_until"], Value::Null);
}

async fn jobs_rest_while_their_connection_is_paused(world: &World) {
    let Set { vendor, tenant, app, operator, .. } = set(world, "op-jobs", plain(), json!({})).await;
    order(&tenant, &operator, "pause", r#"{"seconds":600}"#).await;
    let kept = tenant.send(&Ask::post("/v/c/echo", "x").key(&app).with("Prefer", "respond-async")).await;
    assert_eq!(kept.status, 202, "{}", kept.text());
    let at = format!("/jobs/{}", kept.header("location").and_then(|at| at.rsplit_once("/jobs/")).unwrap().1);
    tenant.until(&app, "it is queued", |c| c["jobs"]["queued"] == 1).await;
    assert!(vendor.calls().0.is_empty());
    order(&tenant, &operator, "resume", "").await;
    tenant.until(&app, "it is done", |c| c["jobs"]["queued"] == 0 && c["jobs"]["running"] == 0).await;
    assert_eq!(tenant.send(&Ask::get(&at).key(&app)).await.json()["state"], "done");
}

async fn what_is_no_order_is_refused_and_changes_nothing(world: &World) {
    let Set { vendor: _vendor, tenant, app, operator, .. } = set(world, "op-faults", plain(), json!({})).await;
    let viewer = tenant.make_key(&json!({"role": "viewer"})).await.0;
    for key in [&viewer, &app] {
        for what in ["pause", "resume"] {
            order(&tenant, key, what, "{}").await.is_problem(403, "role");
            order(&tenant, key, what, "nonsense").await.is_problem(403, "role");
        }
    }
    order(&tenant, "slk_none", "pause", "{}").await.is_problem(401, "key");
    let bodies = [r#"{"second":1}"#, r#"{"seconds":0}"#, r#"{"seconds":1.5}"#, "[]", "{", r#"{"app":"nobody"}"#];
    for body in bodies {
        order(&tenant, &operator, "pause", body).await.is_problem(400, "request");
    }
    order(&tenant, &operator, "resume", r#"{"seconds":1}"#).await.is_problem(400, "request");
    let nowhere = tenant.send(&Ask::post("/connections/nowhere/pause", "{}").key(&operator)).await;
    nowhere.is_problem(404, "connection");
    assert_eq!(tenant.send(&Ask::get("/connections/c/pause").key(&operator)).await.status, 405);
    assert_eq!(tenant.send(&Ask::post("/connections/c/stop", "{}").key(&operator)).await.status, 404);
    tenant.get_now(&app, "/echo").await.is_vendors(200);
}

async fn a_pause_of_a_connection_that_only_observes_is_watched_too(world: &World) {
    let Set { vendor: _vendor, tenant, app, operator, .. } =
        set(world, "op-observe", plain(), json!({"mode": "observe"})).await;
    let paused = order(&tenant, &operator, "pause", "{}").await;
    assert!(paused.header("sluice-warning").unwrap().contains("observes"), "{:?}", paused.headers);
    let answer = tenant.get(&app, "/echo").await;
    answer.is_vendors(200);
    assert_eq!(answer.header("sluice-would"), Some("refuse;reason=paused"));
    assert!(tenant.status(&app).await["connections"]["c"]["paused"].is_object());
}
