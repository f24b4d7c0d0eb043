//! Calls at the tenant state: who may make them, where they may go, and what is answered.

use crate::harness::{Harness, NOON, policy};
use serde_json::json;
use sluice_core::protocol::{Admin, Admit, Ask, BodyLength, No, Reply, Settle};
use sluice_core::tenant::state::Answer;
use sluice_limiter::Outcome;

fn waits(harness: &mut Harness, admit: Admit) -> sluice_core::tenant::state::Ticket {
    match harness.ask(Ask::Admit(admit)) {
        Answer::Wait(ticket) => ticket,
        Answer::Now(reply) => panic!("{reply:?}"),
    }
}

#[test]
fn a_permit_says_where_to_and_with_what_once_and_then_only_the_version() {
    let mut harness = Harness::new();
    let app = harness.app("sync");
    let first = harness.go(&app, "free");
    let route = first.route.unwrap();
    assert_eq!((route.base_url.as_str(), route.version), ("https://free.example.com", first.route_version));
    let again = Admit { known_route: Some(first.route_version), ..harness.admit(&app, "free") };
    let Reply::Permit(second) = harness.now(Ask::Admit(again)) else { panic!() };
    assert!(second.route.is_none());
    harness.reopen();
    let again = Admit { known_route: Some(first.route_version), ..harness.admit(&app, "free") };
    let Reply::Permit(third) = harness.now(Ask::Admit(again)) else { panic!() };
    assert!(third.route.is_none(), "the version is the content's");
}

#[test]
fn each_thing_that_a_key_may_not_do_is_refused_for_its_own_reason_and_counts_nothing() {
    let mut harness = Harness::new();
    let (sync, form) = (harness.app("sync"), harness.app("form"));
    let viewer = harness.key(json!({"role": "viewer"}));
    let origin = Some("https://www.example.com".to_owned());
    let ask = harness.admit(&form, "crm");
    let from_page = Admit { method: "POST".to_owned(), path: "/leads".to_owned(), from_browser: true, origin, ..ask };
    let mut revoked = harness.app("sync");
    harness.admin(Admin::RevokeKey(revoked.id.clone()));
    let cases = [
        ("key", harness.admit(&revoked, "crm")),
        ("role", harness.admit(&viewer, "crm")),
        ("connection", harness.admit(&sync, "none")),
        ("connection", Admit { connection: "free".to_owned(), ..from_page.clone() }),
        ("origin", Admit { from_browser: false, origin: None, ..from_page.clone() }),
        ("origin", Admit { origin: Some("https://evil.example".to_owned()), ..from_page.clone() }),
        ("origin", Admit { from_browser: true, origin: Some("null".to_owned()), ..harness.admit(&sync, "crm") }),
        ("route", Admit { method: "GET".to_owned(), ..from_page.clone() }),
        ("key", Admit { key_in_header: false, ..harness.admit(&sync, "free") }),
    ];
    for (reason, admit) in cases {
        assert_eq!(harness.reason(admit.clone()), reason, "{admit:?}");
    }
    revoked.tenant = "other".to_owned();
    let admit = harness.admit(&revoked, "crm");
    assert_eq!(harness.reason(admit), "key");
    assert_eq!(harness.status()["connections"]["crm"]["limits"][0]["used"], 0);
    assert!(matches!(harness.now(Ask::Admit(from_page)), Reply::Permit(_)));
}

/// A client that insists on the token exchange got a 403 there as soon as its app had routes of its own.
#[test]
fn an_app_with_routes_still_gets_its_token_and_reaches_nothing_more() {
    let mut harness = Harness::empty();
    harness.put(&json!({
        "connections": {"marketo": {"vendor": "marketo", "base_url": "https://123-abc-456.mktorest.com"}},
        "apps": {"form": {"routes": ["POST /rest/v1/leads.json"]}},
    }));
    let app = harness.app("form");
    let at = |harness: &mut Harness, path: &str| Admit { path: path.to_owned(), ..harness.admit(&app, "marketo") };
    let endpoint = at(&mut harness, "/identity/oauth/token");
    assert!(matches!(harness.now(Ask::Describe(endpoint.clone())), Reply::Route(_)));
    assert_eq!(harness.reason(endpoint), "route", "a call that would go to the vendor");
    let other = at(&mut harness, "/rest/v1/lists.json");
    assert!(
        matches!(harness.now(Ask::Describe(other)), Reply::Refused(No { refusal, .. }) if refusal.reason.as_str() == "route")
    );
}

#[test]
fn what_is_longer_than_the_vendor_takes_is_refused_before_it_counts() {
    let mut harness = Harness::empty();
    harness.put(&json!({
        "connections": {"marketo": {"vendor": "marketo", "base_url": "https://123-abc-456.mktorest.com"}},
        "apps": {"sync": {}},
    }));
    let app = harness.app("sync");
    let long = Admit { uri_bytes: 8_193, ..harness.admit(&app, "marketo") };
    assert_eq!(harness.reason(long), "uri");
    let asset = |uri_bytes, harness: &mut Harness| Admit {
        path: "/rest/asset/v1/emails.json".to_owned(),
        uri_bytes,
        ..harness.admit(&app, "marketo")
    };
    let longest = asset(65_536, &mut harness);
    assert!(matches!(harness.now(Ask::Admit(longest)), Reply::Permit(_)), "the asset api takes 64 KB");
    let longer = asset(65_537, &mut harness);
    assert_eq!(harness.reason(longer), "uri");
    let heavy = |harness: &mut Harness, path: &str, bytes| Admit {
        method: "POST".to_owned(),
        path: path.to_owned(),
        body: BodyLength::Bytes(bytes),
        ..harness.admit(&app, "marketo")
    };
    let admit = heavy(&mut harness, "/rest/v1/leads.json", 1_048_577);
    assert_eq!(harness.reason(admit), "payload");
    let admit = heavy(&mut harness, "/bulk/v1/leads.json", 10_485_761);
    assert_eq!(harness.reason(admit), "payload");
    let admit = heavy(&mut harness, "/bulk/v1/leads.json", 10_485_760);
    assert!(matches!(harness.now(Ask::Admit(admit)), Reply::Permit(_)));
    assert_eq!(harness.status()["connections"]["marketo"]["daily"]["used"], 2);
}

#[test]
fn a_call_that_names_another_method_needs_leave_for_both() {
    let mut harness = Harness::empty();
    let routes = ["POST /rest/v1/leads.json", "GET /rest/v1/leads.json"];
    harness.put(&json!({
        "connections": {"marketo": {"vendor": "marketo", "base_url": "https://123-abc-456.mktorest.com"}},
        "apps": {"form": {"routes": &routes[..1]}, "both": {"routes": &routes[..]}},
    }));
    for (app, may) in [("form", false), ("both", true)] {
        let app = harness.app(app);
        let tunnelled = Admit {
            method: "POST =GET".to_owned(),
            path: "/rest/v1/leads.json".to_owned(),
            ..harness.admit(&app, "marketo")
        };
        assert_eq!(matches!(harness.now(Ask::Admit(tunnelled.clone())), Reply::Permit(_)), may);
        if !may {
            assert_eq!(harness.reason(tunnelled), "route");
        }
    }
}

#[test]
fn a_waiting_call_goes_when_the_window_lets_it() {
    let mut harness = Harness::new();
    let app = harness.app("sync");
    let permit = harness.go(&app, "crm").permit;
    let admit = harness.admit(&app, "crm");
    let ticket = waits(&mut harness, admit);
    harness.now += 500;
    harness.answered("crm", permit);
    harness.go_to(NOON + 20_000);
    let Some((ready, Reply::Permit(go))) = harness.tenant.next_ready() else { panic!() };
    assert_eq!((ready, go.waited_ms), (ticket, 10_501));
}

#[test]
fn a_cancelled_call_is_never_granted() {
    let mut harness = Harness::new();
    let app = harness.app("sync");
    let permit = harness.go(&app, "crm").permit;
    let admit = harness.admit(&app, "crm");
    let ticket = waits(&mut harness, admit);
    harness.cancel(ticket);
    harness.answered("crm", permit);
    harness.go_to(NOON + 60_000);
    assert!(harness.tenant.next_ready().is_none());
    assert_eq!(harness.status()["connections"]["crm"]["queue"]["depth"], 0);
}

#[test]
fn a_changed_policy_is_in_force_for_those_that_wait_too() {
    let mut harness = Harness::new();
    let app = harness.app("sync");
    harness.go(&app, "crm");
    let admit = harness.admit(&app, "crm");
    let first = waits(&mut harness, admit);
    let admit = harness.admit(&app, "crm");
    let second = waits(&mut harness, admit);
    harness.now += 3_000;
    let mut wider = policy();
    wider["connections"]["crm"]["limits"][0]["calls"] = json!(2);
    assert_eq!(harness.put(&wider).0, 200);
    let Some((ready, Reply::Permit(go))) = harness.tenant.next_ready() else { panic!() };
    assert_eq!((ready, go.waited_ms), (first, 3_000), "first come, with the time it has waited");
    assert!(harness.tenant.next_ready().is_none());
    wider["connections"].as_object_mut().unwrap().remove("crm");
    wider["apps"].as_object_mut().unwrap().remove("form");
    harness.put(&wider);
    let Some((ready, Reply::Refused(no))) = harness.tenant.next_ready() else { panic!() };
    assert_eq!((ready, no.refusal.reason.as_str(), no.refusal.reason.status()), (second, "connection", 404));
}

#[test]
fn an_object_that_was_superseded_grants_nothing_that_it_cannot_store() {
    let mut harness = Harness::new();
    let app = harness.app("sync");
    harness.memory.superseded = true;
    let admit = harness.admit(&app, "crm");
    assert!(harness.try_ask(Ask::Admit(admit)).is_err());
}

#[test]
fn counts_outlive_the_object_and_its_permits_settle_with_the_next() {
    let mut harness = Harness::new();
    let app = harness.app("sync");
    let permit = harness.go(&app, "crm").permit;
    harness.now += 100;
    harness.reopen();
    assert_eq!(harness.status()["connections"]["crm"]["limits"][0]["used"], 1);
    harness.answered("crm", permit);
    harness.go_to(NOON + 10_102);
    assert_eq!(harness.status()["connections"]["crm"]["limits"][0]["used"], 0);
}

#[test]
fn a_refusal_carries_the_dialect_the_limits_and_when_to_come_again() {
    let mut harness = Harness::new();
    let app = harness.app("sync");
    let permit = harness.go(&app, "crm").permit;
    harness.answered("crm", permit);
    let admit = Admit { wait_ms: Some(0), ..harness.admit(&app, "crm") };
    let no = harness.no(admit);
    assert_eq!(no.refusal.retry_after_seconds, Some(11));
    assert_eq!(no.refusal.violated, ["rate"]);
    assert_eq!(no.rate_limit.unwrap(), (r#""rate";q=1;w=10"#.to_owned(), r#""rate";r=0;t=11"#.to_owned()));
}

/// One call at a time, and a queue of ten thousand.
fn narrow() -> serde_json::Value {
    json!({
        "connections": {"crm": {
            "vendor": "generic", "base_url": "https://crm.example.com",
            "limits": [{"name": "one", "kind": "concurrency", "calls": 1}],
            "queue": {"size": 10_000, "max_wait_seconds": 600},
            "credential": {"type": "bearer", "token": "crm-secret"},
        }},
        "apps": {"sync": {}},
    })
}

#[test]
fn ten_thousand_that_wait_are_answered_in_the_order_they_came_and_those_that_left_are_passed_by() {
    let mut harness = Harness::empty();
    harness.put(&narrow());
    let app = harness.app("sync");
    let mut permit = harness.go(&app, "crm").permit;
    let mut tickets = Vec::new();
    for _ in 0..10_000 {
        let admit = harness.admit(&app, "crm");
        tickets.push(waits(&mut harness, admit));
    }
    let full = harness.admit(&app, "crm");
    assert_eq!(harness.reason(full), "queue-full");
    tickets.iter().step_by(3).for_each(|ticket| harness.cancel(*ticket));
    for ticket in tickets.iter().enumerate().filter(|(at, _)| at % 3 != 0).map(|(_, ticket)| ticket) {
        harness.now += 5;
        harness.answered("crm", permit);
        let Some((next, Reply::Permit(go))) = harness.tenant.next_ready() else { panic!("nobody goes") };
        assert_eq!(next, *ticket);
        permit = go.permit;
    }
    assert!(harness.tenant.next_ready().is_none());
}

#[test]
fn a_call_that_asks_again_takes_one_place_under_the_next_policy_too() {
    let mut harness = Harness::empty();
    harness.put(&narrow());
    let app = harness.app("sync");
    let permit = harness.go(&app, "crm").permit;
    let admit = harness.admit(&app, "crm");
    waits(&mut harness, admit.clone());
    let again = waits(&mut harness, Admit { repeated: true, ..admit });
    harness.put(&narrow());
    assert_eq!(harness.status()["connections"]["crm"]["queue"]["depth"], 1);
    harness.answered("crm", permit);
    let Some((next, Reply::Permit(_))) = harness.tenant.next_ready() else { panic!("nobody goes") };
    assert_eq!(next, again);
    assert!(harness.tenant.next_ready().is_none());
}

/// The vendor answers at once, and the body takes 30 seconds; it takes one call in ten.
#[test]
fn a_vendor_that_counts_at_completion_has_its_windows_dated_from_there() {
    for at_completion in [false, true] {
        let mut harness = Harness::empty();
        let limits = json!([{"name": "rate", "kind": "rolling_window", "calls": 1, "seconds": 10}]);
        let connection = json!({"vendor": "acme-crm", "base_url": "https://crm.example.com",
            "profile": {"limits": limits, "counts_at_completion": at_completion},
            "credential": {"type": "bearer", "token": "crm-secret"}});
        assert_eq!(harness.put(&json!({"connections": {"crm": connection}, "apps": {"sync": {}}})).0, 201);
        let app = harness.app("sync");
        let go = harness.go(&app, "crm");
        harness.go_to(NOON + 30_000);
        harness.told(Ask::Settle(Settle {
            connection: "crm".to_owned(),
            permit: go.permit,
            attempt: 1,
            outcome: Outcome::Answered,
            since_headers_ms: Some(30_000),
            response_bytes: 0,
            status: Some(200),
            error_code: None,
            sent: None,
            counts: Vec::new(),
        }));
        let goes = |harness: &mut Harness, at| {
            harness.go_to(at);
            let admit = Admit { wait_ms: Some(0), ..harness.admit(&app, "crm") };
            matches!(harness.now(Ask::Admit(admit)), Reply::Permit(_))
        };
        if at_completion {
            assert!(!goes(&mut harness, NOON + 30_000), "the vendor has just counted one");
            assert!(!goes(&mut harness, NOON + 39_999));
            assert!(goes(&mut harness, NOON + 41_000));
        } else {
            assert!(goes(&mut harness, NOON + 30_000), "it counted one half a minute ago");
        }
    }
}
