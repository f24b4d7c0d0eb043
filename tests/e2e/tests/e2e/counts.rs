//! The vendors' own counts: calls made elsewhere are included, and none is counted twice.

use serde_json::json;
use sluice_e2e::{Ask, Tenant, World, load, tenant::limit};
use sluice_mock_upstreams::{Handle, Spec, Vendor};

tests![calls_made_elsewhere_are_seen_where_the_vendor_tells_its_count, keaps_account_is_counted_beside_its_key];

/// The vendors that report a count, each with a call whose answer does.
const TELLING: [(&str, &str, &str, Option<&str>); 5] = [
    ("hubspot", "GET", "/crm/v3/objects/contacts", None),
    ("salesforce", "GET", "/services/data/v62.0/query", None),
    ("keap", "GET", "/crm/rest/v2/contacts", None),
    ("keap-oauth", "GET", "/crm/rest/v2/contacts", None),
    ("ga4-data", "POST", "/v1beta/properties/1:runReport", Some(r#"{"returnPropertyQuota":true}"#)),
];

fn ask(method: &str, target: &str, body: Option<&str>) -> Ask {
    let ask = Ask::new(method, target).with("Content-Type", "application/json");
    match body {
        Some(body) => ask.body(body),
        None => ask,
    }
}

/// Makes a vendor that has counted 4 calls of others. With ours they stay under Keap's 10 a second.
async fn busy(world: &World, name: &str, call: (&str, &str, Option<&str>)) -> (Handle, Tenant, String) {
    let vendor = Vendor::start(Spec::new(name).jitter(10, 60)).unwrap();
    let elsewhere = ask(call.0, call.1, call.2);
    let to = vendor.url().trim_start_matches("http://").parse().unwrap();
    for _ in 0..4 {
        assert_eq!(elsewhere.send(to).await.status, 200, "{name}");
    }
    let tenant = world.tenant("counts");
    let key = tenant.simple(name, &vendor.url(), &json!({})).await;
    (vendor, tenant, key)
}

async fn calls_made_elsewhere_are_seen_where_the_vendor_tells_its_count(world: &World) {
    for (name, method, path, body) in TELLING {
        let (vendor, tenant, key) = busy(world, name, (method, path, body)).await;
        let ask = ask(method, &format!("/v/c{path}"), body).key(&key).wait(10);
        tenant.send(&ask).await.is_vendors(200);
        let c = tenant.until(&key, "it is settled", |c| c["in_flight"] == 0).await;
        let day = limit(&c, "daily");
        assert_eq!((&day["used"], &day["vendor_used"]), (&json!(5), &json!(5)), "{name}: {day}");
        let answers = load::at_once(tenant.to(), vec![ask; 4]).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{name}: {answers:?}");
        let c = tenant.until(&key, "all are settled", |c| c["in_flight"] == 0).await;
        let day = limit(&c, "daily");
        assert_eq!((&day["used"], &day["vendor_used"]), (&json!(9), &json!(9)), "{name}: {day}");
        assert_eq!(vendor.calls().passed(), 9);
    }
}

async fn keaps_account_is_counted_beside_its_key(world: &World) {
    let (_vendor, tenant, key) = busy(world, "keap", ("GET", "/crm/rest/v2/contacts", None)).await;
    tenant.get(&key, "/crm/rest/v2/contacts").await.is_vendors(200);
    let c = tenant.until(&key, "it is settled", |c| c["in_flight"] == 0).await;
    assert_eq!(limit(&c, "account-daily")["vendor_used"], 5, "{c}");
    assert_eq!(limit(&c, "account-daily")["used"], 5);
}
