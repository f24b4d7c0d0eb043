//! Limits on single routes: HubSpot's search, Marketo's batches and bulk extract.

use serde_json::{Value, json};
use sluice_e2e::{Ask, World, load, tenant::limit};
use sluice_mock_upstreams::{Spec, Vendor};

tests![
    hubspots_search_goes_at_its_own_pace_beside_other_calls,
    a_batch_that_marketo_does_not_take_is_refused_before_it_costs_quota,
    marketos_bulk_extract_counts_bytes_and_its_other_calls_do_not,
];

async fn hubspots_search_goes_at_its_own_pace_beside_other_calls(world: &World) {
    let vendor = Vendor::start(Spec::new("hubspot").jitter(5, 40)).unwrap();
    let tenant = world.tenant("search");
    let key = tenant.simple("hubspot", &vendor.url(), &json!({})).await;
    let search = Ask::post("/v/c/crm/v3/objects/contacts/search", "{}").key(&key).wait(10);
    let other = Ask::get("/v/c/crm/v3/objects/contacts").key(&key).wait(10);
    let asks: Vec<Ask> = [vec![search; 13], vec![other; 7]].concat();
    let answers = load::at_once(tenant.to(), asks).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let calls = vendor.calls();
    assert!(calls.refused().is_empty(), "{:?}", calls.refused());
    let searches = calls.only(|call| call.target.ends_with("/search"));
    assert!(searches.most_in_window(999) <= 5, "{} searches in a second", searches.most_in_window(999));
    let others = calls.only(|call| !call.target.ends_with("/search"));
    let last = others.0.iter().map(|call| call.arrived_us).max().unwrap() - calls.0[0].arrived_us;
    assert!(last < 1_500_000, "other calls do not wait for searches: {last} us");
}

fn leads(n: usize) -> String {
    let leads: Vec<Value> = (0..n).map(|n| json!({"email": format!("{n}@example.com")})).collect();
    json!({"action": "createOrUpdate", "lookupField": "email", "input": leads}).to_string()
}

async fn a_batch_that_marketo_does_not_take_is_refused_before_it_costs_quota(world: &World) {
    let vendor = Vendor::start(Spec::new("marketo")).unwrap();
    let tenant = world.tenant("batches");
    let key = tenant.simple("marketo", &vendor.url(), &json!({})).await;
    let post = |n| Ask::post("/v/c/rest/v1/leads.json", leads(n)).with("Content-Type", "application/json").key(&key);
    let chunked = Ask { chunked: true, ..post(301) };
    let assets = |n| Ask::get(&format!("/v/c/rest/asset/v1/emails.json?maxReturn={n}")).key(&key);
    let values = |n| vec!["a"; n].join(",");
    let read = |n| Ask::get(&format!("/v/c/rest/v1/leads.json?filterType=email&filterValues={}", values(n))).key(&key);
    for over in [post(301), chunked, assets(201), read(301)] {
        let answer = tenant.send(&over).await;
        answer.is_problem(400, "request");
        assert!(answer.json()["detail"].as_str().unwrap().contains("send it in parts"), "{}", answer.text());
    }
    assert_eq!(vendor.calls().0.len(), 0);
    let status = tenant.status(&key).await;
    assert_eq!(limit(&status["connections"]["c"], "daily")["used"], 0, "no quota is spent");
    for fits in [post(300), assets(200), read(300)] {
        tenant.send(&fits).await.is_vendors(200);
    }
    let sent = tenant.send(&post(300)).await;
    assert_eq!(sent.json()["result"].as_array().unwrap().len(), 300, "the body arrives whole");
}

async fn marketos_bulk_extract_counts_bytes_and_its_other_calls_do_not(world: &World) {
    let vendor = Vendor::start(Spec::new("marketo")).unwrap();
    let tenant = world.tenant("extract");
    let key = tenant.simple("marketo", &vendor.url(), &json!({"share": 1})).await;
    tenant.get(&key, "/rest/v1/leads/describe.json").await.is_vendors(200);
    let file = tenant.get(&key, "/bulk/v1/leads/export/7/file.json?bytes=70000").await;
    file.is_vendors(200);
    assert_eq!(file.body.len(), 70_000);
    let c = tenant.until(&key, "it is settled", |c| c["in_flight"] == 0).await;
    assert_eq!(limit(&c, "extract")["used"], 70_000, "{c}");
    assert_eq!(limit(&c, "extract")["limit"], 524_288_000);
    assert_eq!(limit(&c, "daily")["used"], 2);
}
