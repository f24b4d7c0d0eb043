use super::*;
use crate::document::Tree;
use crate::http::LONGEST_RETRY_AFTER_MS;
use crate::upstream::body::BodySniffer;
use serde_json::json;

/// Sun, 06 Nov 1994 08:49:37 GMT.
const THEN: i64 = 784_111_777_000;

fn judged(vendor: &str, status: u16, headers: &[(&str, &str)], body: &str) -> Classification {
    judge(&Profile::built_in(vendor).unwrap(), status, headers, body)
}

fn judge(profile: &Profile, status: u16, headers: &[(&str, &str)], body: &str) -> Classification {
    let mut headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    if !body.is_empty() && value(&headers, "content-type").is_none() {
        headers.push(("Content-Type".into(), "application/json".into()));
    }
    let peek = BodySniffer::new(&profile.reading, status, value(&headers, "content-encoding"));
    let said = peek.filter(|_| !body.is_empty()).map(|mut peek| {
        peek.feed(body.as_bytes());
        peek.said()
    });
    classify(profile, &Answered { status, headers: &headers, said: said.as_ref(), now: THEN })
}

fn marketo(code: &str, message: &str) -> Classification {
    let body = json!({"requestId": "a", "success": false, "errors": [{"code": code, "message": message}]});
    judged("marketo", 200, &[], &body.to_string())
}

/// Marketo's answer while its bulk queue is full.
const FULL: &str = r#"{"success":false,"errors":[{"code":"1029","message":"Too many jobs (queue full)"}]}"#;

const fn throttled(by: ThrottledBy, retry_after_ms: Option<u64>) -> Outcome {
    Outcome::Throttled { by, retry_after_ms }
}

#[test]
fn a_good_answer_is_executed_and_has_no_code() {
    for status in [200, 201, 204, 207, 302, 304] {
        let verdict = judged("generic", status, &[], "");
        assert_eq!(verdict.outcome, Outcome::Answered);
        assert_eq!((verdict.error_code, verdict.executed, verdict.transient), (None, Executed::Yes, false));
    }
}

#[test]
fn marketos_throttles_are_read_from_http_200() {
    for (code, by, transient) in
        [("606", ThrottledBy::Rate, true), ("615", ThrottledBy::Concurrency, true), ("607", ThrottledBy::Day, false)]
    {
        let verdict = marketo(code, "x");
        assert_eq!(verdict.outcome, throttled(by, None), "{code}");
        assert_eq!((verdict.error_code.as_deref(), verdict.executed), (Some(code), Executed::No));
        assert_eq!(verdict.transient, transient, "a spent day does not come back by asking again");
    }
}

#[test]
fn marketos_expired_token_is_to_be_renewed() {
    for code in ["601", "602"] {
        let verdict = marketo(code, "Access token invalid");
        assert!(verdict.expired && verdict.executed == Executed::No && verdict.outcome == Outcome::Answered);
    }
    assert!(!marketo("603", "Access denied").expired);
}

#[test]
fn marketos_codes_say_whether_a_write_may_be_made_again() {
    let profile = Profile::built_in("marketo").unwrap();
    let again =
        |code: &str, method: &str| may_repeat(&profile, method, "/rest/v1/leads.json", true, &marketo(code, "x"));
    for code in ["606", "615", "608"] {
        assert!(again(code, "POST") && again(code, "GET"), "{code}");
    }
    for code in ["604", "611", "502", "713"] {
        assert!(!again(code, "POST") && again(code, "GET"), "{code}");
    }
    for code in ["603", "607", "610", "1003", "709"] {
        assert!(!again(code, "POST") && !again(code, "GET"), "{code}");
    }
}

#[test]
fn a_full_bulk_queue_is_asked_again_later_and_a_spent_export_quota_is_not() {
    let full = marketo("1029", "Too many jobs (queue full)");
    assert!(full.transient && full.retry_after_ms == Some(60_000) && full.executed == Executed::No);
    assert!(!marketo("1029", "Export daily quota exceeded").transient);
}

#[test]
fn marketos_good_answer_stays_good_whatever_its_records_say() {
    let body = r#"{"success":true,"result":[{"status":"skipped","reasons":[{"code":"606"}]}]}"#;
    assert_eq!(judged("marketo", 200, &[], body).error_code, None);
    assert_eq!(judged("marketo", 200, &[("content-type", "text/csv")], "606").error_code, None);
    assert_eq!(judged("marketo", 200, &[], "").error_code, None);
}

#[test]
fn marketos_unknown_code_is_final_and_counted_as_such() {
    let verdict = marketo("1006", "Field 'x' not found");
    assert_eq!(
        (verdict.error_code.as_deref(), verdict.transient, verdict.outcome),
        (Some("1006"), false, Outcome::Answered)
    );
    assert_eq!(judged("marketo", 200, &[], r#"{"success":false,"errors":[]}"#).error_code.as_deref(), Some("200"));
}

#[test]
fn hubspot_names_the_limit_in_its_body() {
    let body = |policy: &str| {
        json!({"status": "error", "errorType": "RATE_LIMIT", "policyName": policy, "message": "x"}).to_string()
    };
    let verdict = judged("hubspot", 429, &[], &body("TEN_SECONDLY_ROLLING"));
    assert_eq!(verdict.outcome, throttled(ThrottledBy::Rate, None));
    assert_eq!(verdict.error_code.as_deref(), Some("TEN_SECONDLY_ROLLING"));
    assert_eq!(judged("hubspot", 429, &[], &body("SECONDLY")).outcome, throttled(ThrottledBy::Rate, None));
    assert_eq!(judged("hubspot", 429, &[], &body("DAILY")).outcome, throttled(ThrottledBy::Day, None));
    let unread = judged("hubspot", 429, &[("X-HubSpot-RateLimit-Daily-Remaining", "0")], "");
    assert_eq!(unread.outcome, throttled(ThrottledBy::Day, None), "its body in an encoding that is not read");
    assert_eq!(
        judged("hubspot", 477, &[("Retry-After", "300")], "").outcome,
        throttled(ThrottledBy::Rate, Some(300_000))
    );
    assert_eq!(judged("hubspot", 423, &[], "").retry_after_ms, Some(2_000));
}

#[test]
fn aprimos_429_is_its_rate() {
    assert_eq!(judged("aprimo", 429, &[], "").outcome, throttled(ThrottledBy::Rate, None));
}

#[test]
fn retry_after_is_heeded_in_both_forms_and_bounded() {
    let of = |field: &str| judged("generic", 429, &[("Retry-After", field)], "").retry_after_ms;
    assert_eq!(of("30"), Some(30_000));
    assert_eq!(of("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60_000));
    assert_eq!(of("Fri, 31 Dec 9999 23:59:59 GMT"), Some(LONGEST_RETRY_AFTER_MS));
    assert_eq!(of("99999999999"), None);
    assert_eq!(of("soon"), None);
}

#[test]
fn a_time_to_come_back_is_by_the_vendors_own_clock() {
    // The vendor's date is a day behind ours, or ahead.
    for (date, later) in [
        ("Sat, 05 Nov 1994 08:49:37 GMT", "Sat, 05 Nov 1994 08:50:07 GMT"),
        ("Mon, 07 Nov 1994 08:49:37 GMT", "Mon, 07 Nov 1994 08:50:07 GMT"),
    ] {
        let verdict = judged("generic", 429, &[("Date", date), ("Retry-After", later)], "");
        assert_eq!(verdict.outcome, throttled(ThrottledBy::Rate, Some(30_000)), "{date}");
    }
}

#[test]
fn no_time_to_come_back_leaves_the_pause_to_others() {
    for field in ["0", "0.0", "Sun, 06 Nov 1994 08:49:36 GMT", "soon", "-1", "604800000"] {
        assert_eq!(judged("generic", 429, &[("Retry-After", field)], "").outcome, throttled(ThrottledBy::Rate, None));
        let full = judged("marketo", 200, &[("Retry-After", field)], FULL);
        assert_eq!(full.retry_after_ms, Some(60_000), "{field}: the profile knows better");
    }
}

#[test]
fn a_gateways_answer_leaves_the_call_unknown() {
    for status in [502, 504, 520, 524, 527] {
        let verdict = judged("generic", status, &[], "");
        assert_eq!(
            (verdict.outcome, verdict.executed, verdict.transient),
            (Outcome::Unknown, Executed::Maybe, true),
            "{status}"
        );
        assert_eq!(verdict.error_code, Some(status.to_string()));
    }
}

#[test]
fn a_503_is_a_throttle_only_with_a_time_to_come_back() {
    assert_eq!(judged("generic", 503, &[], "").outcome, Outcome::Answered);
    assert_eq!(judged("generic", 503, &[("retry-after", "soon")], "").outcome, Outcome::Answered);
    assert_eq!(judged("generic", 503, &[("retry-after", "0")], "").outcome, throttled(ThrottledBy::Rate, None));
    let verdict = judged("generic", 503, &[("retry-after", "5")], "");
    assert_eq!((verdict.outcome, verdict.executed), (throttled(ThrottledBy::Rate, Some(5_000)), Executed::Maybe));
}

#[test]
fn faults_of_the_caller_are_final() {
    for status in [400, 403, 404, 409, 422, 501, 505, 599] {
        let verdict = judged("generic", status, &[], "");
        assert!(!verdict.transient && verdict.outcome == Outcome::Answered, "{status}");
    }
    assert!(judged("generic", 401, &[], "").expired);
}

#[test]
fn no_answer_is_unknown_with_its_own_code() {
    for (why, code) in [(Unanswered::Timeout, "timeout"), (Unanswered::Unreachable, "unreachable")] {
        let verdict = unanswered(why);
        assert_eq!((verdict.outcome, verdict.error_code.as_deref()), (Outcome::Unknown, Some(code)));
        assert_eq!(verdict.executed, Executed::Maybe);
    }
}

#[test]
fn a_call_is_repeated_only_where_that_does_no_harm() {
    let plain = Profile::built_in("generic").unwrap();
    let honours =
        Profile::inline(&Tree::from(&json!({"idempotency_key": true, "repeatable": ["POST /search"]}))).unwrap();
    let lost = unanswered(Unanswered::Timeout);
    assert!(may_repeat(&plain, "GET", "/x", false, &lost));
    assert!(!may_repeat(&plain, "POST", "/x", true, &lost), "a key that the vendor does not honour");
    assert!(!may_repeat(&plain, "PUT", "/x", false, &lost));
    assert!(may_repeat(&honours, "POST", "/x", true, &lost));
    assert!(!may_repeat(&honours, "POST", "/x", false, &lost));
    assert!(may_repeat(&honours, "POST", "/search", false, &lost));
    assert!(may_repeat(&plain, "POST", "/x", false, &judged("generic", 429, &[], "")), "refused is not executed");
    assert!(!may_repeat(&honours, "POST", "/SEARCH", false, &lost), "another path to a vendor that tells case apart");
    let unsafe_reads = Profile::inline(&Tree::from(&json!({"safe_methods": false}))).unwrap();
    assert!(!may_repeat(&unsafe_reads, "GET", "/collect", false, &lost));
    assert!(!may_repeat(&plain, "GET", "/x", false, &judged("generic", 404, &[], "")), "nothing would change");
}

#[test]
fn the_first_rule_that_matches_counts_and_rules_see_headers_words_and_form() {
    let profile = Profile::inline(&Tree::from(&json!({
        "reading": {"codes": ["/code"], "message": "/message"},
        "answers": [
            {"status": 403, "json": false, "means": "concurrency"},
            {"status": "400-499", "message": ["TOO MANY"], "means": "rate", "retry_after_seconds": 9},
            {"header": "X-Busy", "means": "transient", "executed": "no"},
            {"header": "X-Left", "value": "0", "means": "day"},
            {"status": [418, 420], "codes": ["A", "B"], "means": "lost"}
        ]
    })))
    .unwrap();
    let outcome = |status, headers: &[(&str, &str)], body: &str| judge(&profile, status, headers, body).outcome;
    assert_eq!(outcome(403, &[("content-type", "text/html")], "<html>"), throttled(ThrottledBy::Concurrency, None));
    assert_eq!(outcome(403, &[], r#"{"code":"x"}"#), Outcome::Answered);
    assert_eq!(outcome(400, &[], r#"{"message":"far too many calls"}"#), throttled(ThrottledBy::Rate, Some(9_000)));
    assert!(judge(&profile, 400, &[("x-busy", "")], "").transient);
    assert_eq!(outcome(200, &[("x-left", " 0 ")], ""), throttled(ThrottledBy::Day, None));
    assert_eq!(outcome(200, &[("x-left", "10")], ""), Outcome::Answered);
    assert_eq!(outcome(420, &[], r#"{"code":"B"}"#), Outcome::Unknown);
    assert_eq!(outcome(420, &[], r#"{"code":"C"}"#), Outcome::Answered);
}

#[test]
fn the_vendors_own_count_is_read_where_it_tells_it() {
    let profile = Profile::built_in("hubspot").unwrap();
    let counts = |pairs: &[(&str, &str)]| {
        let headers: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        vendor_counts(&profile, &Answered { status: 200, headers: &headers, said: None, now: 0 })
    };
    let daily = |n| Counted { limit: "daily".to_owned(), n, left: false, total: Some(40_000) };
    let (left, of) = ("x-hubspot-ratelimit-daily-remaining", "X-HubSpot-RateLimit-Daily");
    assert_eq!(counts(&[(left, "39990"), (of, "40000")]), [daily(10)]);
    for odd in [
        &[(left, "39990")][..],
        &[(left, ""), (of, "40000")],
        &[(left, "50000"), (of, "40000")],
        &[(left, "x"), (of, "y")],
    ] {
        assert_eq!(counts(odd), []);
    }
}

#[test]
fn a_body_that_is_read_is_asked_for_in_an_encoding_that_is_known() {
    let (marketo, generic) = (Profile::built_in("marketo").unwrap(), Profile::built_in("generic").unwrap());
    let of_marketo = |callers| accept_encoding(&marketo, callers).unwrap();
    assert_eq!(of_marketo(Some("gzip, br, zstd")), "gzip");
    assert_eq!(of_marketo(Some("br;q=1, deflate;q=0.5, identity;q=0")), "deflate;q=0.5, identity;q=0");
    assert_eq!(of_marketo(Some("br")), "identity");
    assert_eq!(of_marketo(None), "identity");
    assert_eq!(accept_encoding(&generic, Some("br, zstd")).as_deref(), Some("br, zstd"));
    assert_eq!(accept_encoding(&generic, None), None);
    for vendor in ["hubspot", "salesforce", "keap", "ga4-data"] {
        let profile = Profile::built_in(vendor).unwrap();
        assert_eq!(
            accept_encoding(&profile, Some("br, gzip")).as_deref(),
            Some("gzip"),
            "{vendor}: its errors are read"
        );
    }
    let mailchimp = Profile::built_in("mailchimp").unwrap();
    assert_eq!(accept_encoding(&mailchimp, Some("br, gzip")).as_deref(), Some("br, gzip"));
}

#[test]
fn bodies_are_limited_by_route() {
    let marketo = Profile::built_in("marketo").unwrap();
    assert_eq!(marketo.body_limit("POST", "/rest/v1/leads.json"), Some(1_048_576));
    assert_eq!(marketo.body_limit("POST", "/bulk/v1/leads.json"), Some(10_485_760));
    assert_eq!(Profile::built_in("generic").unwrap().body_limit("POST", "/x"), None);
}

fn salesforce(status: u16, code: &str, message: &str) -> Classification {
    judged("salesforce", status, &[], &json!([{"message": message, "errorCode": code}]).to_string())
}

#[test]
fn salesforce_tells_its_limits_apart_by_words() {
    let of = |message| salesforce(403, "REQUEST_LIMIT_EXCEEDED", message).outcome;
    assert_eq!(of("TotalRequests Limit exceeded."), throttled(ThrottledBy::Day, None));
    assert_eq!(
        of("ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
        throttled(ThrottledBy::Concurrency, None)
    );
    assert_eq!(of("ConcurrentPerOrgLongTxn Limit exceeded."), throttled(ThrottledBy::Concurrency, None));
    assert_eq!(salesforce(403, "INSUFFICIENT_ACCESS", "no").outcome, Outcome::Answered);
    assert_eq!(salesforce(503, "SERVER_UNAVAILABLE", "x").outcome, throttled(ThrottledBy::Rate, None));
}

#[test]
fn salesforces_session_is_renewed_and_its_locked_rows_are_asked_again() {
    assert!(salesforce(401, "INVALID_SESSION_ID", "Session expired or invalid").expired);
    let locked = salesforce(400, "UNABLE_TO_LOCK_ROW", "x");
    assert!(locked.transient && locked.executed == Executed::No);
    assert_eq!(locked.error_code.as_deref(), Some("UNABLE_TO_LOCK_ROW"));
    let profile = Profile::built_in("salesforce").unwrap();
    let lost = unanswered(Unanswered::Unreachable);
    assert!(may_repeat(&profile, "PATCH", "/services/data/v59.0/sobjects/Lead/Ext__c/42", false, &lost));
    assert!(!may_repeat(&profile, "PATCH", "/services/data/v59.0/sobjects/Lead/00Q1", false, &lost));
    assert!(!may_repeat(&profile, "POST", "/services/data/v59.0/sobjects/Lead", false, &lost));
}

#[test]
fn a_vendors_own_count_is_read_from_each_form_of_header() {
    let used = |vendor: &str, name: &str, value: &str| {
        let headers = [(name.to_owned(), value.to_owned())];
        let profile = Profile::built_in(vendor).unwrap();
        let counts = vendor_counts(&profile, &Answered { status: 200, headers: &headers, said: None, now: 0 });
        counts.first().map(|counted| counted.n)
    };
    assert_eq!(used("salesforce", "Sforce-Limit-Info", "api-usage=18/5000"), Some(18));
    assert_eq!(
        used("salesforce", "sforce-limit-info", "api-usage=25/5000; per-app-api-usage=17/250(appName=x)"),
        Some(25)
    );
    assert_eq!(used("salesforce", "Sforce-Limit-Info", "per-app-api-usage=17/250(appName=x)"), None);
    assert_eq!(used("salesforce", "Sforce-Limit-Info", "nothing"), None);
    assert_eq!(used("keap", "x-keap-product-quota-used", "1200"), Some(1200));
    assert_eq!(used("keap-oauth", "x-keap-product-quota-used", ""), None);
}

#[test]
fn a_vendors_own_total_is_read_beside_its_count() {
    let told = |vendor: &str, pairs: &[(&str, &str)]| {
        let headers: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let profile = Profile::built_in(vendor).unwrap();
        let counts = vendor_counts(&profile, &Answered { status: 200, headers: &headers, said: None, now: 0 });
        counts.into_iter().map(|counted| (counted.n, counted.total)).collect::<Vec<_>>()
    };
    let usage = |value: &str| told("salesforce", &[("Sforce-Limit-Info", value)]);
    assert_eq!(usage("api-usage=14990/15000"), [(14_990, Some(15_000))]);
    assert_eq!(usage("api-usage=25/5000; per-app-api-usage=17/250(appName=x)"), [(25, Some(5_000))]);
    for odd in ["api-usage=25", "api-usage=25/", "api-usage=25/0", "api-usage=25;/5000", "api-usage=25/many"] {
        assert_eq!(usage(odd), [(25, None)], "{odd}");
    }
    let hubspot = |left, whole| {
        told("hubspot", &[("X-HubSpot-RateLimit-Daily-Remaining", left), ("X-HubSpot-RateLimit-Daily", whole)])
    };
    assert_eq!(hubspot("600000", "650000"), [(50_000, Some(650_000))]);
    assert_eq!(hubspot("0", "0"), [(0, None)]);
    let (used, limit, unit) =
        ("x-keap-tenant-throttle-used", "x-keap-tenant-throttle-limit", "x-keap-tenant-throttle-time-unit");
    let several = [(used, "7|1234"), (limit, "10000|250000"), (unit, "minute|day")];
    assert_eq!(told("keap", &several), [(1_234, Some(250_000))]);
    assert_eq!(told("keap", &[(used, "7|1234"), (limit, "10000"), (unit, "minute|day")]), [(1_234, None)]);
    assert_eq!(told("keap", &[(used, "7|1234"), (unit, "minute|day")]), [(1_234, None)]);
    let quota = [("x-keap-product-quota-used", "10"), ("x-keap-product-quota-limit", "30000")];
    assert_eq!(told("keap", &quota), [(10, Some(30_000))]);
    assert_eq!(told("keap-oauth", &quota), [(10, Some(30_000))]);
}

#[test]
fn googles_hourly_quotas_are_left_alone_and_a_wait_that_is_told_is_kept_to() {
    let of = |message: &str, details: serde_json::Value| {
        let body =
            json!({"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}});
        judged("ga4-data", 429, &[], &body.to_string())
    };
    for message in [
        "Exhausted potentially thresholded requests quota. This quota will refresh in under an hour. To learn more, see https://x",
        "Exhausted server errors quota.",
        "Exhausted property tokens for a project per hour. These quota tokens will return in under an hour.",
        "Exhausted property tokens per hour.",
    ] {
        assert_eq!(of(message, json!([])).outcome, throttled(ThrottledBy::Rate, Some(1_800_000)), "{message}");
    }
    let minute = "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute per user' of service 'analyticsdata.googleapis.com'";
    let info = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"});
    let retry = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"});
    for details in [json!([info.clone(), retry.clone()]), json!([retry.clone(), info.clone()]), json!([retry])] {
        assert_eq!(of(minute, details).outcome, throttled(ThrottledBy::Rate, Some(7_000)));
    }
    assert_eq!(of(minute, json!([info])).outcome, throttled(ThrottledBy::Rate, Some(60_000)));
    let nonsense = json!([{"retryDelay": "99999999s"}]);
    assert_eq!(of(minute, nonsense).outcome, throttled(ThrottledBy::Rate, Some(60_000)));
    let body = json!({"error": {"message": minute, "details": [{"retryDelay": "7s"}]}}).to_string();
    let field = judged("ga4-data", 429, &[("Retry-After", "3")], &body);
    assert_eq!(field.outcome, throttled(ThrottledBy::Rate, Some(3_000)), "HTTP's own field goes first");
}

/// Classifies a SOAP fault as Salesforce writes it.
fn fault(code: &str, words: &str) -> Classification {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\">\
         <soapenv:Body><soapenv:Fault><faultcode>{code}</faultcode><faultstring>{words}</faultstring></soapenv:Fault></soapenv:Body></soapenv:Envelope>"
    );
    judged("salesforce", 500, &[("Content-Type", "text/xml;charset=UTF-8")], &body)
}

#[test]
fn a_soap_fault_means_what_the_same_code_means_in_json() {
    let spent = fault("sf:REQUEST_LIMIT_EXCEEDED", "REQUEST_LIMIT_EXCEEDED: TotalRequests Limit exceeded.");
    assert_eq!(spent.outcome, throttled(ThrottledBy::Day, None));
    assert_eq!((spent.error_code.as_deref(), spent.executed), (Some("REQUEST_LIMIT_EXCEEDED"), Executed::No));
    let concurrent = fault("sf:REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.");
    assert_eq!(concurrent.outcome, throttled(ThrottledBy::Concurrency, None));
    let busy = fault("sf:SERVER_UNAVAILABLE", "too busy");
    assert_eq!((busy.outcome, busy.executed), (throttled(ThrottledBy::Rate, None), Executed::No));
    let locked = fault("sf:UNABLE_TO_LOCK_ROW", "x");
    assert!(locked.transient && locked.executed == Executed::No && locked.outcome == Outcome::Answered);
    assert!(fault("sf:INVALID_SESSION_ID", "x").expired);
    let other = fault("sf:UNKNOWN_EXCEPTION", "it broke");
    assert_eq!((other.outcome, other.executed), (Outcome::Answered, Executed::Maybe));
    assert_eq!(other.error_code.as_deref(), Some("UNKNOWN_EXCEPTION"));
}

#[test]
fn bulk_api_1_says_its_errors_in_xml_or_json() {
    let xml = |code: &str, words: &str| {
        format!(
            "<?xml version=\"1.0\"?><error xmlns=\"http://www.force.com/2009/06/asyncapi/dataload\"><exceptionCode>{code}</exceptionCode>\
             <exceptionMessage>{words}</exceptionMessage></error>"
        )
    };
    let json = |code: &str, words: &str| json!({"exceptionCode": code, "exceptionMessage": words}).to_string();
    for body in [xml as fn(&str, &str) -> String, json] {
        let of = |status, code, words| judged("salesforce", status, &[], &body(code, words));
        assert!(of(400, "InvalidSessionId", "Unable to find session id").expired);
        let spent = of(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.");
        assert_eq!((spent.outcome, spent.executed), (throttled(ThrottledBy::Day, None), Executed::No));
        let batches = of(400, "ExceededQuota", "ApiBatchItems Limit exceeded.");
        assert_eq!(
            (batches.outcome, batches.transient),
            (Outcome::Answered, false),
            "the quota of batches, not of calls"
        );
        assert_eq!(batches.error_code.as_deref(), Some("ExceededQuota"));
    }
}

#[test]
fn marketos_soap_codes_are_throttles_and_nothing_was_executed() {
    for (code, by) in [("20015", ThrottledBy::Day), ("20023", ThrottledBy::Rate), ("20024", ThrottledBy::Concurrency)] {
        let body = format!(
            "<SOAP-ENV:Envelope><SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>SOAP-ENV:Client</faultcode><faultstring>{code} - x</faultstring>\
             <detail><ns1:serviceException><name>mktServiceException</name><code>{code}</code></ns1:serviceException></detail></SOAP-ENV:Fault>"
        );
        let verdict = judged("marketo", 500, &[("Content-Type", "text/xml")], &body);
        assert_eq!((verdict.outcome, verdict.executed), (throttled(by, None), Executed::No), "{code}");
    }
}

#[test]
fn no_label_hides_a_throttle() {
    let body = r#"{"requestId":"a#1","success":false,"errors":[{"code":"606","message":"Max rate limit '100' exceeded with in '20' secs"}]}"#;
    for coding in ["UTF-8", "utf8", "none", "binary", "identity", "", "gzip", "br"] {
        for kind in ["application/json;charset=UTF-8", "text/html", "text/plain", "application/octet-stream"] {
            let headers = [("Content-Encoding", coding), ("Content-Type", kind)];
            let verdict = judged("marketo", 200, &headers, body);
            assert_eq!(verdict.outcome, throttled(ThrottledBy::Rate, None), "{coding} {kind}");
        }
    }
}

#[test]
fn a_rule_finds_its_words_in_the_head_of_any_body() {
    let profile = Profile::inline(&Tree::from(&json!({
        "answers": [{"status": [500, 503], "text": ["Over Capacity"], "means": "rate", "executed": "no"}]
    })));
    let profile = profile.unwrap();
    for body in ["<html><h1>We are over capacity</h1>", "over capacity", "{\"message\":\"OVER CAPACITY\"}"] {
        let verdict = judge(&profile, 500, &[], body);
        assert_eq!((verdict.outcome, verdict.executed), (throttled(ThrottledBy::Rate, None), Executed::No), "{body}");
    }
    assert_eq!(judge(&profile, 500, &[], "it broke").outcome, Outcome::Answered);
    assert_eq!(judge(&profile, 404, &[], "over capacity").outcome, Outcome::Answered);
}

#[test]
fn mailchimps_bare_403_is_a_throttle_and_one_with_json_is_not() {
    let problem = [("Content-Type", "application/problem+json")];
    assert_eq!(
        judged("mailchimp", 403, &[("Content-Type", "text/html")], "<html>").outcome,
        throttled(ThrottledBy::Concurrency, None)
    );
    assert_eq!(judged("mailchimp", 403, &[], "").outcome, throttled(ThrottledBy::Concurrency, None));
    assert_eq!(judged("mailchimp", 403, &problem, "{}").outcome, Outcome::Answered);
    assert_eq!(judged("mailchimp", 429, &problem, "{}").outcome, throttled(ThrottledBy::Concurrency, None));
}

#[test]
fn googles_words_name_the_quota() {
    let of = |message: &str| {
        let body = json!({"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED"}});
        judged("ga4-data", 429, &[], &body.to_string())
    };
    let concurrent = of("Exhausted concurrent requests quota.");
    assert_eq!(concurrent.outcome, throttled(ThrottledBy::Concurrency, None));
    assert_eq!(concurrent.error_code.as_deref(), Some("RESOURCE_EXHAUSTED"));
    assert_eq!(of("Exhausted property tokens for a project per hour.").retry_after_ms, Some(1_800_000));
    assert_eq!(of("Exhausted property tokens per day.").outcome, throttled(ThrottledBy::Day, None));
    assert!(!judged("ga4-data", 500, &[], "").transient, "server errors have a quota too");
}

#[test]
fn a_hit_is_never_sent_twice_to_the_measurement_protocol() {
    let profile = Profile::built_in("ga4-mp").unwrap();
    let lost = unanswered(Unanswered::Timeout);
    for method in ["GET", "POST"] {
        assert!(!may_repeat(&profile, method, "/mp/collect", true, &lost));
    }
}

#[test]
fn keap_tells_a_spent_day_by_what_is_left() {
    let of =
        |headers: &[(&str, &str)]| judged("keap", 429, headers, r#"{"code":"429","message":"Quota Exceeded"}"#).outcome;
    assert_eq!(of(&[("x-keap-product-quota-available", "0")]), throttled(ThrottledBy::Day, None));
    assert_eq!(of(&[("x-keap-product-quota-available", "12")]), throttled(ThrottledBy::Rate, None));
    let spike = r#"{"fault":{"faultstring":"x","detail":{"errorcode":"policies.ratelimit.SpikeArrestViolation"}}}"#;
    let verdict = judged("keap", 429, &[], spike);
    assert_eq!(verdict.error_code.as_deref(), Some("policies.ratelimit.SpikeArrestViolation"));
}

#[test]
fn keaps_fields_of_several_are_read_at_the_day() {
    let profile = Profile::built_in("keap").unwrap();
    let counts = |pairs: &[(&str, &str)]| {
        let headers: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let counts = vendor_counts(&profile, &Answered { status: 200, headers: &headers, said: None, now: 0 });
        counts.into_iter().map(|counted| (counted.limit, counted.n)).collect::<Vec<_>>()
    };
    let (used, unit) = ("x-keap-tenant-throttle-used", "x-keap-tenant-throttle-time-unit");
    let account = |n| [("account-daily".to_owned(), n)];
    assert_eq!(counts(&[(used, "7|1234"), (unit, "minute|day")]), account(1234));
    assert_eq!(counts(&[(used, "1234 | 7"), (unit, "Day | Minute")]), account(1234));
    assert_eq!(counts(&[(used, "1234"), (unit, "day")]), account(1234));
    for (field, units) in [("7", "minute"), ("", ""), ("|", "minute|day"), ("7|1234", ""), ("7", "minute|hour")] {
        assert_eq!(counts(&[(used, field), (unit, units)]), [], "{field} {units}");
    }
    let both = [(used, "7|20"), (unit, "minute|day"), ("X-Keap-Product-Quota-Used", "10")];
    assert_eq!(counts(&both), [("daily".to_owned(), 10), ("account-daily".to_owned(), 20)]);
}

#[test]
fn googles_counts_are_in_the_body_where_asked_for_and_hold_nothing_up_long() {
    let profile = Profile::built_in("ga4-data").unwrap();
    let told = |body: &str| {
        let mut peek = BodySniffer::new(&profile.reading, 200, None).unwrap();
        let done = peek.feed(body.as_bytes());
        let said = peek.said();
        (vendor_counts(&profile, &Answered { status: 200, headers: &[], said: Some(&said), now: 0 }), done)
    };
    let left = |n| vec![Counted { limit: "daily".to_owned(), n, left: true, total: None }];
    let quota = r#""propertyQuota":{"tokensPerDay":{"consumed":1,"remaining":9990},"#;
    assert_eq!(told(&format!("{{\"rows\":[],{quota}")), (left(9990), true));
    assert_eq!(told(&format!("{{\"reports\":[{{{quota}")), (left(9990), true));
    assert_eq!(told(r#"{"rows":[{"dimensionValues":[]}]}"#), (vec![], true));
    let long = format!("{{\"rows\":[{}1],{quota}", "1,".repeat(10_000));
    assert_eq!(told(&long), (vec![], true), "it stands too far in");
}
