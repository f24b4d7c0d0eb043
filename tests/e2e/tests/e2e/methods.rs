//! Calls that name another method than their request line does are checked against both.

use serde_json::{Value, json};
use sluice_e2e::{Ask, Tenant, World, tenant::limit};
use sluice_mock_upstreams::{Fault, FaultRule, Handle, Spec, Vendor};

tests![
    an_app_needs_leave_for_every_method_that_the_vendor_may_read,
    a_limit_counts_a_call_under_any_of_its_methods,
    a_tunnelled_read_is_repeated_as_a_read_is,
];

const FORM: &str = "application/x-www-form-urlencoded";

/// Makes an app with these routes, at a vendor that accepts everything.
async fn with_routes(world: &World, vendor: &str, routes: &[&str]) -> (Handle, Tenant, String) {
    let running = Vendor::start(Spec::new(vendor).limits(vec![])).unwrap();
    let tenant = world.tenant("methods");
    let connection = json!({"vendor": vendor, "base_url": running.url(), "limits": []});
    tenant.policy(&json!({"connections": {"c": connection}, "apps": {"app": {"routes": routes}}})).await;
    let key = tenant.key("app").await;
    (running, tenant, key)
}

async fn an_app_needs_leave_for_every_method_that_the_vendor_may_read(world: &World) {
    let leads = "/v/c/rest/v1/leads.json";
    let (vendor, tenant, key) = with_routes(world, "marketo", &["POST /rest/v1/leads.json"]).await;
    let read = "filterType=email&filterValues=ceo@example.com";
    let form = |target: &str, body: &str| Ask::post(target, body).with("Content-Type", FORM).key(&key);
    for ask in [
        form(&format!("{leads}?_method=GET"), read),
        form(&format!("{leads}?%5Fmethod=get"), read),
        form(&format!("{leads}?_method=DELETE"), "{}"),
        form(leads, &format!("{read}&_method=GET")),
        form(leads, "").chunked(format!("{read}&_method=GET")),
        Ask::post(leads, "{}").key(&key).with("X-HTTP-Method-Override", "DELETE"),
        form(&format!("{leads}?_method=GET"), read).with("Prefer", "respond-async"),
    ] {
        tenant.send(&ask).await.is_problem(403, "route");
    }
    assert!(vendor.calls().0.is_empty());
    tenant.send(&form(leads, "{\"input\":[]}")).await.is_vendors(200);
    tenant.send(&form(&format!("{leads}?_method=POST"), "{\"input\":[]}")).await.is_vendors(200);

    let (_vendor, tenant, key) =
        with_routes(world, "marketo", &["POST /rest/v1/leads.json", "GET /rest/v1/leads.json"]).await;
    let may = Ask::post(&format!("{leads}?_method=GET"), read).with("Content-Type", FORM).key(&key);
    tenant.send(&may).await.is_vendors(200);

    let (vendor, tenant, key) = with_routes(world, "salesforce", &["POST /services/data/*/sobjects/**"]).await;
    for method in ["DELETE", "PATCH"] {
        let target = format!("/v/c/services/data/v60.0/sobjects/Account/1?_HttpMethod={method}");
        tenant.send(&Ask::post(&target, "{}").key(&key)).await.is_problem(403, "route");
    }
    assert!(vendor.calls().0.is_empty());

    for vendor in ["generic", "ga4-data", "mailchimp"] {
        let (running, tenant, key) = with_routes(world, vendor, &["POST /**"]).await;
        for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X_HTTP_Method_Override"] {
            let ask = Ask::post("/v/c/x", "{}").key(&key).with(name, "GET");
            tenant.send(&ask).await.is_problem(403, "route");
        }
        assert!(running.calls().0.is_empty());
        tenant.send(&Ask::post("/v/c/x", "{}").key(&key).with("X-HTTP-Method-Override", "POST")).await.echo();
    }
}

async fn a_limit_counts_a_call_under_any_of_its_methods(world: &World) {
    let vendor = Vendor::start(Spec::new("marketo").limits(vec![])).unwrap();
    let tenant = world.tenant("methods");
    let one = |name: &str, route: &str| json!({"name": name, "kind": "rolling_window", "calls": 100, "seconds": 60, "routes": [route]});
    let limits = json!([one("reads", "GET /rest/v1/leads.json"), one("writes", "POST /rest/v1/leads.json")]);
    let key = tenant.simple("marketo", &vendor.url(), &json!({"limits": limits, "share": 1})).await;
    let values = |n: usize| format!("filterType=email&filterValues={}", vec!["a"; n].join(","));
    let ask =
        |body: String| Ask::post("/v/c/rest/v1/leads.json?_method=GET", body).with("Content-Type", FORM).key(&key);
    tenant.send(&ask(values(1))).await.is_vendors(200);
    tenant.send(&ask(values(301))).await.is_problem(400, "request");
    let status = tenant.status(&key).await;
    let used = |name: &str| limit(&status["connections"]["c"], name)["used"].clone();
    assert_eq!((used("reads"), used("writes")), (json!(1), json!(1)), "{status}");
}

async fn a_tunnelled_read_is_repeated_as_a_read_is(world: &World) {
    let broken = || FaultRule::first(1, Fault::Status { status: 502, retry_after_s: None, retry_at_s: None });
    let attempts = async |vendor: &str, ask: &dyn Fn(&str) -> Ask| -> Value {
        let running = Vendor::start(Spec::new(vendor).limits(vec![]).fault(broken())).unwrap();
        let tenant = world.tenant("methods");
        let key = tenant.simple(vendor, &running.url(), &json!({"limits": []})).await;
        let answer = tenant.send(&ask(&key)).await;
        json!([answer.status, answer.header("sluice-attempts")])
    };
    let leads = |query: &'static str, body: &'static str| {
        move |key: &str| Ask::post(&format!("/v/c/rest/v1/leads.json{query}"), body).with("Content-Type", FORM).key(key)
    };
    let read = "filterType=email&filterValues=a";
    assert_eq!(attempts("marketo", &leads("?_method=GET", read)).await, json!([200, "2"]));
    assert_eq!(attempts("marketo", &leads("", "filterType=email&filterValues=a&_method=GET")).await, json!([200, "2"]));
    assert_eq!(attempts("marketo", &leads("", read)).await, json!([502, "1"]), "a write is not");
    assert_eq!(
        attempts("generic", &leads("?_method=GET", read)).await,
        json!([502, "1"]),
        "who knows who reads it there"
    );
}
