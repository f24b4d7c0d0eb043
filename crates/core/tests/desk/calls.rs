//! Calls at the desk: who may, where to, what is said.

use crate::rig::{NOON, Rig, policy};
use serde_json::json;
use sluice_core::tenant::desk::Answer;
use sluice_core::tenant::protocol::{Admin, Admit, Ask, BodyLength, No, Reply, Settle};
use sluice_limiter::Outcome;

fn waits(rig: &mut Rig, admit: Admit) -> sluice_core::tenant::desk::Ticket {
    match rig.ask(Ask::Admit(admit)) {
        Answer::Wait(ticket) => ticket,
        Answer::Now(reply) => panic!("{reply:?}"),
    }
}

#[test]
fn a_permit_says_where_to_and_with_what_once_and_then_only_the_version() {
    let mut rig = Rig::new();
    let app = rig.app("sync");
    let first = rig.go(&app, "free");
    let route = first.route.unwrap();
    assert_eq!((route.base_url.as_str(), route.version), ("https://free.example.com", first.route_version));
    let again = Admit { knows: first.route_version, ..rig.admit(&app, "free") };
    let Reply::Go(second) = rig.now(Ask::Admit(again)) else { panic!() };
    assert!(second.route.is_none());
    rig.reopen();
    let again = Admit { knows: first.route_version, ..rig.admit(&app, "free") };
    let Reply::Go(third) = rig.now(Ask::Admit(again)) else { panic!() };
    assert!(third.route.is_none(), "the version is the content's");
}

#[test]
fn each_thing_that_a_key_may_not_do_is_refused_for_its_own_reason_and_counts_nothing() {
    let mut rig = Rig::new();
    let (sync, form) = (rig.app("sync"), rig.app("form"));
    let viewer = rig.key(json!({"role": "viewer"}));
    let origin = Some("https://www.example.com".to_owned());
    let ask = rig.admit(&form, "crm");
    let from_page = Admit { method: "POST".to_owned(), path: "/leads".to_owned(), page: true, origin, ..ask };
    let mut revoked = rig.app("sync");
    rig.admin(Admin::RevokeKey(revoked.id.clone()));
    let cases = [
        ("key", rig.admit(&revoked, "crm")),
        ("role", rig.admit(&viewer, "crm")),
        ("connection", rig.admit(&sync, "none")),
        ("connection", Admit { connection: "free".to_owned(), ..from_page.clone() }),
        ("origin", Admit { page: false, origin: None, ..from_page.clone() }),
        ("origin", Admit { origin: Some("https://evil.example".to_owned()), ..from_page.clone() }),
        ("origin", Admit { page: true, origin: Some("null".to_owned()), ..rig.admit(&sync, "crm") }),
        ("route", Admit { method: "GET".to_owned(), ..from_page.clone() }),
        ("key", Admit { key_apart: false, ..rig.admit(&sync, "free") }),
    ];
    for (reason, admit) in cases {
        assert_eq!(rig.reason(admit.clone()), reason, "{admit:?}");
    }
    revoked.tenant = "other".to_owned();
    let admit = rig.admit(&revoked, "crm");
    assert_eq!(rig.reason(admit), "key");
    assert_eq!(rig.status()["connections"]["crm"]["limits"][0]["used"], 0);
    assert!(matches!(rig.now(Ask::Admit(from_page)), Reply::Go(_)));
}

/// A client that insists on the token exchange got a 403 there as soon as its app had routes of its own.
#[test]
fn an_app_with_routes_still_gets_its_token_and_reaches_nothing_more() {
    let mut rig = Rig::empty();
    rig.put(&json!({
        "connections": {"marketo": {"vendor": "marketo", "base_url": "https://123-abc-456.mktorest.com"}},
        "apps": {"form": {"routes": ["POST /rest/v1/leads.json"]}},
    }));
    let app = rig.app("form");
    let at = |rig: &mut Rig, path: &str| Admit { path: path.to_owned(), ..rig.admit(&app, "marketo") };
    let endpoint = at(&mut rig, "/identity/oauth/token");
    assert!(matches!(rig.now(Ask::Describe(endpoint.clone())), Reply::Route(_)));
    assert_eq!(rig.reason(endpoint), "route", "a call that would go to the vendor");
    let other = at(&mut rig, "/rest/v1/lists.json");
    assert!(
        matches!(rig.now(Ask::Describe(other)), Reply::No(No { refusal, .. }) if refusal.reason.as_str() == "route")
    );
}

#[test]
fn what_is_longer_than_the_vendor_takes_is_refused_before_it_counts() {
    let mut rig = Rig::empty();
    rig.put(&json!({
        "connections": {"marketo": {"vendor": "marketo", "base_url": "https://123-abc-456.mktorest.com"}},
        "apps": {"sync": {}},
    }));
    let app = rig.app("sync");
    let long = Admit { uri_bytes: 8_193, ..rig.admit(&app, "marketo") };
    assert_eq!(rig.reason(long), "uri");
    let asset = |uri_bytes, rig: &mut Rig| Admit {
        path: "/rest/asset/v1/emails.json".to_owned(),
        uri_bytes,
        ..rig.admit(&app, "marketo")
    };
    let longest = asset(65_536, &mut rig);
    assert!(matches!(rig.now(Ask::Admit(longest)), Reply::Go(_)), "the asset api takes 64 KB");
    let longer = asset(65_537, &mut rig);
    assert_eq!(rig.reason(longer), "uri");
    let heavy = |rig: &mut Rig, path: &str, bytes| Admit {
        method: "POST".to_owned(),
        path: path.to_owned(),
        body: BodyLength::Bytes(bytes),
        ..rig.admit(&app, "marketo")
    };
    let admit = heavy(&mut rig, "/rest/v1/leads.json", 1_048_577);
    assert_eq!(rig.reason(admit), "payload");
    let admit = heavy(&mut rig, "/bulk/v1/leads.json", 10_485_761);
    assert_eq!(rig.reason(admit), "payload");
    let admit = heavy(&mut rig, "/bulk/v1/leads.json", 10_485_760);
    assert!(matches!(rig.now(Ask::Admit(admit)), Reply::Go(_)));
    assert_eq!(rig.status()["connections"]["marketo"]["daily"]["used"], 2);
}

#[test]
fn a_call_that_names_another_method_needs_leave_for_both() {
    let mut rig = Rig::empty();
    let routes = ["POST /rest/v1/leads.json", "GET /rest/v1/leads.json"];
    rig.put(&json!({
        "connections": {"marketo": {"vendor": "marketo", "base_url": "https://123-abc-456.mktorest.com"}},
        "apps": {"form": {"routes": &routes[..1]}, "both": {"routes": &routes[..]}},
    }));
    for (app, may) in [("form", false), ("both", true)] {
        let app = rig.app(app);
        let tunnelled = Admit {
            method: "POST =GET".to_owned(),
            path: "/rest/v1/leads.json".to_owned(),
            ..rig.admit(&app, "marketo")
        };
        assert_eq!(matches!(rig.now(Ask::Admit(tunnelled.clone())), Reply::Go(_)), may);
        if !may {
            assert_eq!(rig.reason(tunnelled), "route");
        }
    }
}

#[test]
fn a_waiting_call_goes_when_the_window_lets_it() {
    let mut rig = Rig::new();
    let app = rig.app("sync");
    let permit = rig.go(&app, "crm").permit;
    let admit = rig.admit(&app, "crm");
    let ticket = waits(&mut rig, admit);
    rig.now += 500;
    rig.answered("crm", permit);
    rig.go_to(NOON + 20_000);
    let Some((ready, Reply::Go(go))) = rig.desk.next_ready() else { panic!() };
    assert_eq!((ready, go.waited_ms), (ticket, 10_501));
}

#[test]
fn a_cancelled_call_is_never_granted() {
    let mut rig = Rig::new();
    let app = rig.app("sync");
    let permit = rig.go(&app, "crm").permit;
    let admit = rig.admit(&app, "crm");
    let ticket = waits(&mut rig, admit);
    rig.cancel(ticket);
    rig.answered("crm", permit);
    rig.go_to(NOON + 60_000);
    assert!(rig.desk.next_ready().is_none());
    assert_eq!(rig.status()["connections"]["crm"]["queue"]["depth"], 0);
}

#[test]
fn a_changed_policy_is_in_force_for_those_that_wait_too() {
    let mut rig = Rig::new();
    let app = rig.app("sync");
    rig.go(&app, "crm");
    let admit = rig.admit(&app, "crm");
    let first = waits(&mut rig, admit);
    let admit = rig.admit(&app, "crm");
    let second = waits(&mut rig, admit);
    rig.now += 3_000;
    let mut wider = policy();
    wider["connections"]["crm"]["limits"][0]["calls"] = json!(2);
    assert_eq!(rig.put(&wider).0, 200);
    let Some((ready, Reply::Go(go))) = rig.desk.next_ready() else { panic!() };
    assert_eq!((ready, go.waited_ms), (first, 3_000), "first come, with the time it has waited");
    assert!(rig.desk.next_ready().is_none());
    wider["connections"].as_object_mut().unwrap().remove("crm");
    wider["apps"].as_object_mut().unwrap().remove("form");
    rig.put(&wider);
    let Some((ready, Reply::No(no))) = rig.desk.next_ready() else { panic!() };
    assert_eq!((ready, no.refusal.reason.as_str(), no.refusal.reason.status()), (second, "connection", 404));
}

#[test]
fn an_object_that_was_superseded_grants_nothing_that_it_cannot_store() {
    let mut rig = Rig::new();
    let app = rig.app("sync");
    rig.memory.superseded = true;
    let admit = rig.admit(&app, "crm");
    assert!(rig.try_ask(Ask::Admit(admit)).is_err());
}

#[test]
fn counts_outlive_the_object_and_its_permits_settle_with_the_next() {
    let mut rig = Rig::new();
    let app = rig.app("sync");
    let permit = rig.go(&app, "crm").permit;
    rig.now += 100;
    rig.reopen();
    assert_eq!(rig.status()["connections"]["crm"]["limits"][0]["used"], 1);
    rig.answered("crm", permit);
    rig.go_to(NOON + 10_102);
    assert_eq!(rig.status()["connections"]["crm"]["limits"][0]["used"], 0);
}

#[test]
fn a_refusal_carries_the_dialect_the_limits_and_when_to_come_again() {
    let mut rig = Rig::new();
    let app = rig.app("sync");
    let permit = rig.go(&app, "crm").permit;
    rig.answered("crm", permit);
    let admit = Admit { wait_ms: Some(0), ..rig.admit(&app, "crm") };
    let no = rig.no(admit);
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
    let mut rig = Rig::empty();
    rig.put(&narrow());
    let app = rig.app("sync");
    let mut permit = rig.go(&app, "crm").permit;
    let mut tickets = Vec::new();
    for _ in 0..10_000 {
        let admit = rig.admit(&app, "crm");
        tickets.push(waits(&mut rig, admit));
    }
    let full = rig.admit(&app, "crm");
    assert_eq!(rig.reason(full), "queue-full");
    tickets.iter().step_by(3).for_each(|ticket| rig.cancel(*ticket));
    for ticket in tickets.iter().enumerate().filter(|(at, _)| at % 3 != 0).map(|(_, ticket)| ticket) {
        rig.now += 5;
        rig.answered("crm", permit);
        let Some((next, Reply::Go(go))) = rig.desk.next_ready() else { panic!("nobody goes") };
        assert_eq!(next, *ticket);
        permit = go.permit;
    }
    assert!(rig.desk.next_ready().is_none());
}

#[test]
fn a_call_that_asks_again_takes_one_place_under_the_next_policy_too() {
    let mut rig = Rig::empty();
    rig.put(&narrow());
    let app = rig.app("sync");
    let permit = rig.go(&app, "crm").permit;
    let admit = rig.admit(&app, "crm");
    waits(&mut rig, admit.clone());
    let again = waits(&mut rig, Admit { again: true, ..admit });
    rig.put(&narrow());
    assert_eq!(rig.status()["connections"]["crm"]["queue"]["depth"], 1);
    rig.answered("crm", permit);
    let Some((next, Reply::Go(_))) = rig.desk.next_ready() else { panic!("nobody goes") };
    assert_eq!(next, again);
    assert!(rig.desk.next_ready().is_none());
}

/// The vendor answers at once, and the body takes 30 seconds; it takes one call in ten.
#[test]
fn a_vendor_that_counts_at_completion_has_its_windows_dated_from_there() {
    for at_completion in [false, true] {
        let mut rig = Rig::empty();
        let limits = json!([{"name": "rate", "kind": "rolling_window", "calls": 1, "seconds": 10}]);
        let connection = json!({"vendor": "acme-crm", "base_url": "https://crm.example.com",
            "profile": {"limits": limits, "counts_at_completion": at_completion},
            "credential": {"type": "bearer", "token": "crm-secret"}});
        assert_eq!(rig.put(&json!({"connections": {"crm": connection}, "apps": {"sync": {}}})).0, 201);
        let app = rig.app("sync");
        let go = rig.go(&app, "crm");
        rig.go_to(NOON + 30_000);
        rig.told(Ask::Settle(Settle {
            connection: "crm".to_owned(),
            permit: go.permit,
            attempt: 1,
            outcome: Outcome::Answered,
            since_headers_ms: 30_000,
            response_bytes: 0,
            status: 200,
            error_code: None,
            sent: None,
            counts: Vec::new(),
        }));
        let goes = |rig: &mut Rig, at| {
            rig.go_to(at);
            let admit = Admit { wait_ms: Some(0), ..rig.admit(&app, "crm") };
            matches!(rig.now(Ask::Admit(admit)), Reply::Go(_))
        };
        if at_completion {
            assert!(!goes(&mut rig, NOON + 30_000), "the vendor has just counted one");
            assert!(!goes(&mut rig, NOON + 39_999));
            assert!(goes(&mut rig, NOON + 41_000));
        } else {
            assert!(goes(&mut rig, NOON + 30_000), "it counted one half a minute ago");
        }
    }
}
