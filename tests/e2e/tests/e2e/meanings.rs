//! The meaning of an answer is found whatever its label, wherever it is written, and for the right
//! call of several.

use serde_json::{Value, json};
use sluice_e2e::load::Patient;
use sluice_e2e::{Answer, Ask, Tenant, World, tenant::limit};
use sluice_mock_upstreams::{Fault, FaultRule, Handle, Spec, Vendor};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep};

tests![
    a_throttle_in_http_200_is_seen_whatever_its_body_is_labelled,
    a_soap_fault_that_refuses_a_call_as_one_too_many_is_a_throttle_and_goes_to_the_caller_as_it_came,
    a_job_refused_by_a_soap_fault_is_made_again,
    googles_hourly_quotas_pause_long_and_a_wait_in_the_body_is_kept_to,
    a_retry_after_that_came_twice_is_read_once,
    a_route_that_is_refused_each_time_leaves_the_others_their_slots,
    a_job_whose_route_is_refused_each_time_says_that_it_was_refused,
    a_burst_of_refusals_on_all_routes_still_cuts_the_rate,
    a_count_of_the_vendors_goes_to_the_day_whatever_that_is_called,
    a_lower_total_of_the_vendors_holds_and_says_so,
    a_higher_total_of_the_vendors_is_shown_where_the_day_is_spent,
    what_is_likely_not_meant_in_a_policy_is_warned_of_in_the_answer,
];

/// Makes an answer as bytes.
fn raw(status: &str, headers: &[&str], body: &str) -> Fault {
    let mut text = format!("HTTP/1.1 {status}\r\n");
    for header in headers {
        text.push_str(&format!("{header}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    Fault::Raw { text }
}

fn vendor(rules: Vec<FaultRule>) -> Handle {
    let spec = rules.into_iter().fold(Spec::new("generic").limits(vec![]), Spec::fault);
    Vendor::start(spec).unwrap()
}

fn once() -> Value {
    json!({"retry": {"attempts": 1}})
}

/// Returns how many seconds ahead a time in the status is.
#[expect(clippy::disallowed_methods, reason = "the vendor's clock is this machine's")]
fn ahead(time: &Value) -> i64 {
    let text = time.as_str().expect("a time");
    let parts: Vec<i64> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().unwrap())
        .collect();
    let [year, month, day, hour, minute, second] = parts[..6] else { panic!("{text}") };
    // The days come from the civil calendar (Hinnant, 2013).
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + day - 1 - 719_468;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    days * 86_400 + hour * 3_600 + minute * 60 + second - i64::try_from(now).unwrap()
}

const RATE: &str = r#"{"requestId":"a#1","success":false,"errors":[{"code":"606","message":"Max rate limit '100' exceeded with in '20' secs"}]}"#;

async fn a_throttle_in_http_200_is_seen_whatever_its_body_is_labelled(world: &World) {
    for (coding, kind) in [
        ("UTF-8", "application/json;charset=UTF-8"),
        ("utf8", "application/json"),
        ("none", "text/plain"),
        ("binary", "text/html"),
        ("identity", "application/octet-stream"),
    ] {
        let labels = [format!("Content-Type: {kind}"), format!("Content-Encoding: {coding}")];
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let vendor = vendor(vec![FaultRule::first(1, raw("200 OK", &labels, RATE))]);
        let tenant = world.tenant("labelled");
        let key = tenant.simple("marketo", &vendor.url(), &once()).await;
        let answer = tenant.get(&key, "/rest/v1/leads.json").await;
        answer.is_vendors(200);
        assert_eq!((answer.text().as_str(), answer.header("content-encoding")), (RATE, Some(coding)));
        let c = tenant.until(&key, "it is seen", |c| c["last_hour"]["throttled"] == 1).await;
        assert!(c["rate_factor"].as_f64().unwrap() < 1.0, "{coding}: {c}");
    }
    let again = raw("200 OK", &["Content-Type: application/json", "Content-Encoding: UTF-8"], RATE);
    let vendor = vendor(vec![FaultRule::first(1, again)]);
    let tenant = world.tenant("labelled-again");
    let key = tenant.simple("marketo", &vendor.url(), &json!({})).await;
    let answer = tenant.get(&key, "/echo").await;
    answer.is_vendors(200);
    assert_eq!(answer.header("sluice-attempts"), Some("2"));
}

const FAULT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
    xmlns:sf=\"urn:fault.partner.soap.sforce.com\"><soapenv:Body><soapenv:Fault><faultcode>sf:REQUEST_LIMIT_EXCEEDED</faultcode>\
    <faultstring>REQUEST_LIMIT_EXCEEDED: TotalRequests Limit exceeded.</faultstring></soapenv:Fault></soapenv:Body></soapenv:Envelope>";

fn soap(key: &str) -> Ask {
    Ask::post("/v/c/services/Soap/u/59.0", "<soapenv:Envelope/>")
        .key(key)
        .with("Content-Type", "text/xml; charset=UTF-8")
        .with("SOAPAction", "\"\"")
}

async fn a_soap_fault_that_refuses_a_call_as_one_too_many_is_a_throttle_and_goes_to_the_caller_as_it_came(
    world: &World,
) {
    let fault = raw("500 Internal Server Error", &["Content-Type: text/xml"], FAULT);
    let vendor = vendor(vec![FaultRule::always(fault)]);
    let tenant = world.tenant("soap");
    let daily = json!([{"name": "daily", "kind": "daily", "calls": 1000, "reset": "00:00", "time_zone": "UTC"}]);
    let key = tenant.simple("salesforce", &vendor.url(), &json!({"limits": daily})).await;
    let answer = tenant.send(&soap(&key)).await;
    answer.is_vendors(500);
    assert_eq!(answer.text(), FAULT, "byte for byte");
    let c = tenant.until(&key, "it is settled", |c| c["in_flight"] == 0 && c["last_hour"]["calls"] == 1).await;
    assert_eq!(c["last_hour"]["throttled"], 1, "{c}");
    assert_eq!(limit(&c, "daily")["remaining"], 0, "{c}");
    for _ in 0..11 {
        tenant.send(&soap(&key)).await.is_refusal(403, "daily-quota");
    }
    assert_eq!(vendor.calls().0.len(), 1, "it is not asked in vain");
}

async fn kept(tenant: &Tenant, ask: Ask) -> String {
    let kept = tenant.send(&ask.with("Prefer", "respond-async")).await;
    assert_eq!(kept.status, 202, "{}", kept.text());
    let (_, id) = kept.header("location").and_then(|location| location.rsplit_once("/jobs/")).expect("a Location");
    format!("/jobs/{id}")
}

/// Waits 30 s at most until the job is as wanted; returns it.
async fn until_job(tenant: &Tenant, key: &str, location: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let shown = tenant.send(&Ask::get(location).key(key)).await.json();
        if wanted(&shown) {
            return shown;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{shown}");
        sleep(Duration::from_millis(100)).await;
    }
}

async fn a_job_refused_by_a_soap_fault_is_made_again(world: &World) {
    let busy = FAULT.replace("TotalRequests", "ConcurrentRequests (Concurrent API Requests)");
    let fault = raw("500 Internal Server Error", &["Content-Type: text/xml"], &busy);
    let vendor = vendor(vec![FaultRule::first(1, fault)]);
    let tenant = world.tenant("soap-job");
    let key = tenant.simple("salesforce", &vendor.url(), &json!({})).await;
    let location = kept(&tenant, soap(&key)).await;
    let ended = until_job(&tenant, &key, &location, |job| matches!(job["state"].as_str(), Some("done" | "dead"))).await;
    assert_eq!(ended["state"], "done", "{ended}");
    assert_eq!(ended["attempts"][0]["error"], "REQUEST_LIMIT_EXCEEDED", "{ended}");
    assert_eq!(vendor.calls().0.len(), 2);
}

async fn googles_hourly_quotas_pause_long_and_a_wait_in_the_body_is_kept_to(world: &World) {
    let of = |message: &str, details: Value| {
        json!({"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}})
            .to_string()
    };
    let info = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"});
    let retry = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"});
    let minute = "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute per user' of service 'analyticsdata.googleapis.com'";
    for (body, least, most) in [
        (
            of(
                "Exhausted potentially thresholded requests quota. This quota will refresh in under an hour.",
                json!([]),
            ),
            1_700,
            1_802,
        ),
        (of("Exhausted server errors quota.", json!([])), 1_700, 1_802),
        (
            of(
                "Exhausted property tokens for a project per hour. These quota tokens will return in under an hour.",
                json!([]),
            ),
            1_700,
            1_802,
        ),
        (of(minute, json!([info, retry])), 3, 9),
    ] {
        let vendor =
            vendor(vec![FaultRule::first(1, raw("429 Too Many Requests", &["Content-Type: application/json"], &body))]);
        let tenant = world.tenant("google");
        let key = tenant.simple("ga4-data", &vendor.url(), &once()).await;
        tenant.send(&Ask::post("/v/c/v1beta/properties/1:runReport", "{}").key(&key)).await.is_vendors(429);
        let c = tenant.until(&key, "it is paused", |c| c["paused_until"].is_string()).await;
        let seconds = ahead(&c["paused_until"]);
        assert!((least..=most).contains(&seconds), "{seconds} s for {body}");
    }
}

async fn a_retry_after_that_came_twice_is_read_once(world: &World) {
    for fields in [&["Retry-After: 60", "Retry-After: 60"][..], &["Retry-After: 60, 60"]] {
        let vendor = vendor(vec![FaultRule::first(1, raw("429 Too Many Requests", fields, "{}"))]);
        let tenant = world.tenant("twice");
        let key = tenant.simple("generic", &vendor.url(), &once()).await;
        tenant.get(&key, "/echo").await.is_vendors(429);
        let c = tenant.until(&key, "it is paused", |c| c["paused_until"].is_string()).await;
        assert!((50..=62).contains(&ahead(&c["paused_until"])), "{fields:?}: {c}");
    }
}

const DENIED: &str = "<HTML><HEAD>\n<TITLE>Access Denied</TITLE>\n</HEAD><BODY>\n<H1>Access Denied</H1>\nReference&#32;&#35;18&#46;x\n</BODY>\n</HTML>\n";

fn denied() -> Fault {
    raw("403 Forbidden", &["Server: AkamaiGHost", "Content-Type: text/html"], DENIED)
}

async fn a_route_that_is_refused_each_time_leaves_the_others_their_slots(world: &World) {
    let blocked = "/3.0/campaigns/";
    let vendor = vendor(vec![FaultRule::always(denied()).on(blocked)]);
    let tenant = world.tenant("edge");
    let key = tenant.simple("mailchimp", &vendor.url(), &json!({"retry": {"attempts": 2}})).await;
    let good = |n: usize| Ask::get(&format!("/v/c/3.0/lists/{n}")).key(&key);
    let call = |n: usize| match n % 5 {
        0 => Ask::new("PUT", &format!("/v/c{blocked}{n:x}9e57ab/content")).body("{}").key(&key),
        _ => good(n),
    };
    let mut answers: Vec<(usize, Answer)> = Vec::new();
    for round in 0..12 {
        let asks: Vec<Ask> = (round * 10..round * 10 + 10).map(call).collect();
        answers.extend((round * 10..).zip(sluice_e2e::load::at_once(tenant.to(), asks).await));
    }
    for (n, answer) in &answers {
        match n % 5 {
            0 => {
                answer.is_vendors(403);
                assert_eq!(answer.text(), DENIED);
            }
            _ => answer.is_vendors(200),
        }
    }
    let c = tenant.until(&key, "all is settled", |c| c["in_flight"] == 0).await;
    assert!(c["rate_factor"].as_f64().unwrap() >= 0.9, "{c}");
    assert!(limit(&c, "concurrent")["limit"].as_u64().unwrap() >= 9, "{c}");
    assert!(c["last_hour"]["throttled"].as_u64().unwrap() <= 12, "the first are throttles, as far as is known: {c}");
}

async fn a_job_whose_route_is_refused_each_time_says_that_it_was_refused(world: &World) {
    let vendor = vendor(vec![FaultRule::always(denied()).on("/3.0/campaigns/")]);
    let tenant = world.tenant("edge-job");
    let key = tenant.simple("mailchimp", &vendor.url(), &json!({})).await;
    let ask = Ask::new("PUT", "/v/c/3.0/campaigns/42694e9e57/content").body("{}").key(&key);
    let location = kept(&tenant, ask).await;
    let mut others = Patient::default();
    let ended = loop {
        others.send(&tenant, Ask::get("/v/c/3.0/lists").key(&key));
        sleep(Duration::from_millis(50)).await;
        let shown = tenant.send(&Ask::get(&location).key(&key)).await.json();
        if shown["state"] == "dead" {
            break shown;
        }
    };
    assert_eq!(ended["error"], "refused", "{ended}");
    assert_eq!(ended["response"]["status"], 403, "{ended}");
    assert!(ended["attempts"].as_array().unwrap().len() >= 2, "{ended}");
}

async fn a_burst_of_refusals_on_all_routes_still_cuts_the_rate(world: &World) {
    let vendor = vendor(vec![FaultRule::first(8, denied())]);
    let tenant = world.tenant("edge-burst");
    let key = tenant.simple("mailchimp", &vendor.url(), &once()).await;
    let ask = |n: usize| Ask::get(&format!("/v/c/3.0/{}", ["lists", "tags", "campaigns", "reports"][n % 4])).key(&key);
    for answer in sluice_e2e::load::at_once(tenant.to(), (0..8).map(ask).collect()).await {
        answer.is_vendors(403);
    }
    let c = tenant.until(&key, "all is settled", |c| c["in_flight"] == 0).await;
    assert!(c["rate_factor"].as_f64().unwrap() <= 0.5, "{c}");
    assert_eq!(c["last_hour"]["throttled"], 8, "{c}");
}

/// Makes a connection with a daily limit of that name and size, whose vendor sends these headers
/// with each answer.
async fn telling(world: &World, profile: &str, headers: &[&str], day: Value) -> (Handle, Tenant, String) {
    let fault = raw("200 OK", &[&["Content-Type: application/json"], headers].concat(), "{}");
    let vendor = vendor(vec![FaultRule::always(fault)]);
    let tenant = world.tenant("told");
    let key = tenant.simple(profile, &vendor.url(), &json!({"limits": [day]})).await;
    (vendor, tenant, key)
}

async fn a_count_of_the_vendors_goes_to_the_day_whatever_that_is_called(world: &World) {
    let utc =
        |name: &str| json!({"name": name, "kind": "daily", "calls": 100_000, "reset": "00:00", "time_zone": "UTC"});
    let hubspot = ["X-HubSpot-RateLimit-Daily: 100000", "X-HubSpot-RateLimit-Daily-Remaining: 99000"];
    for (profile, headers, day) in [
        ("hubspot", &hubspot[..], utc("per-portal")),
        ("salesforce", &["Sforce-Limit-Info: api-usage=1000/100000"], utc("calls-a-day")),
        ("salesforce", &["Sforce-Limit-Info: api-usage=1000/100000"], json!({"kind": "rolling_day", "calls": 100_000})),
        ("keap", &["x-keap-product-quota-used: 1000", "x-keap-product-quota-time-unit: day"], utc("quota")),
    ] {
        let name = day["name"].as_str().unwrap_or("rolling_day").to_owned();
        let (_vendor, tenant, key) = telling(world, profile, headers, day).await;
        tenant.get(&key, "/echo").await.is_vendors(200);
        let c = tenant.until(&key, "it is settled", |c| c["in_flight"] == 0 && c["last_hour"]["calls"] == 1).await;
        let day = limit(&c, &name);
        assert_eq!((&day["vendor_used"], &day["used"]), (&json!(1_000), &json!(1_000)), "{profile}: {day}");
    }
}

async fn a_lower_total_of_the_vendors_holds_and_says_so(world: &World) {
    let day = json!({"name": "day", "kind": "rolling_day", "calls": 1_000_000});
    let headers = ["Sforce-Limit-Info: api-usage=14999/15000"];
    let (vendor, tenant, key) = telling(world, "salesforce", &headers, day).await;
    tenant.get(&key, "/echo").await.is_vendors(200);
    let c = tenant.until(&key, "it is settled", |c| c["in_flight"] == 0 && c["last_hour"]["calls"] == 1).await;
    let day = limit(&c, "day");
    assert_eq!((&day["vendor_limit"], &day["limit"], &day["of"]), (&json!(15_000), &json!(15_000), &json!(1_000_000)));
    assert_eq!((&day["used"], &day["remaining"]), (&json!(14_999), &json!(1)));
    tenant.get(&key, "/echo").await.is_vendors(200);
    let refused = tenant.send(&Ask::get("/v/c/echo").key(&key).with("Accept", "application/problem+json")).await;
    refused.is_problem(429, "daily-quota");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("14999 of 15000") && detail.contains("1000000 of day"), "{detail}");
    assert_eq!(vendor.calls().0.len(), 2);
}

async fn a_higher_total_of_the_vendors_is_shown_where_the_day_is_spent(world: &World) {
    let day = json!({"name": "daily", "kind": "daily", "calls": 40_000, "reset": "00:00", "time_zone": "UTC"});
    let headers = ["X-HubSpot-RateLimit-Daily: 650000", "X-HubSpot-RateLimit-Daily-Remaining: 600000"];
    let (_vendor, tenant, key) = telling(world, "hubspot", &headers, day).await;
    tenant.get(&key, "/echo").await.is_vendors(200);
    let c = tenant.until(&key, "it is settled", |c| c["in_flight"] == 0 && c["last_hour"]["calls"] == 1).await;
    let day = limit(&c, "daily");
    assert_eq!(
        (&day["vendor_limit"], &day["limit"], &day["vendor_used"]),
        (&json!(650_000), &json!(40_000), &json!(50_000))
    );
    let refused = tenant.send(&Ask::get("/v/c/echo").key(&key).with("Accept", "application/problem+json")).await;
    refused.is_problem(429, "daily-quota");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("50000 of 650000") && detail.contains("40000 of daily"), "{detail}");
}

async fn what_is_likely_not_meant_in_a_policy_is_warned_of_in_the_answer(world: &World) {
    let tenant = world.tenant("warned");
    let warned = async |connections: Value| {
        let answer = tenant.put(&json!({"connections": connections})).await;
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        let policy = answer.json();
        assert!(policy["connections"].is_object(), "the policy is there too: {policy}");
        let warnings = policy["warnings"].as_array().cloned().unwrap_or_default();
        assert_eq!(answer.all("sluice-warning").len(), warnings.len());
        assert!(warnings.iter().all(|warning| warning["detail"].as_str().unwrap().len() > 20));
        warnings.iter().map(|warning| warning["pointer"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let marketo = "https://123-ABC-456.mktorest.com";
    for (vendor, base_url) in [
        ("marketo", "https://123-ABC-456.mktorest.com/rest"),
        ("mailchimp", "https://us1.api.mailchimp.com/3.0"),
        ("keap", "https://api.infusionsoft.com/crm/rest"),
        ("keap", "https://api.infusionsoft.com/crm/rest/v1/"),
        ("salesforce", "https://acme.my.salesforce.com/services/data/v62.0"),
    ] {
        let found = warned(json!({"a": {"vendor": vendor, "base_url": base_url}})).await;
        assert_eq!(found, ["/connections/a/base_url"], "{base_url}");
    }
    for (vendor, base_url) in [
        ("marketo", marketo),
        ("marketo", "https://gateway.example.com/marketo"),
        ("generic", "https://api.example.com/v1"),
    ] {
        assert!(warned(json!({"a": {"vendor": vendor, "base_url": base_url}})).await.is_empty(), "{base_url}");
    }
    let window = json!([{"kind": "rolling_window", "calls": 5, "seconds": 1}]);
    let blind = json!({"a": {"vendor": "hubspot", "limits": window}});
    assert_eq!(warned(blind).await, ["/connections/a/limits"]);
    let one = |share: f64| json!({"vendor": "marketo", "base_url": marketo, "share": share});
    let many = json!({"a": one(0.5), "b": one(0.3), "c": one(0.3)});
    assert_eq!(warned(many).await, ["/connections/a/share", "/connections/b/share", "/connections/c/share"]);
    assert!(warned(json!({"a": one(0.5), "b": one(0.5)})).await.is_empty());
    let read = tenant.admin("GET", &format!("/tenants/{}", tenant.name), None).await.json();
    assert!(read.get("warnings").is_none());
}
