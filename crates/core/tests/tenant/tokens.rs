//! Access tokens at the tenant state: each is fetched once, stored sealed before anyone uses it,
//! and not counted as a call.

use crate::harness::{Harness, NOON};
use serde_json::{Value, json};
use sluice_core::keys::Claims;
use sluice_core::protocol::{Ask, Fetch, Granted, Reply, TokenReport};
use sluice_core::tenant::state::{Answer, Ticket};
use sluice_core::tenant::store::Table;
use sluice_core::upstream::Dialect;
use sluice_core::upstream::grant::{Failure, Issued};
use sluice_limiter::Outcome;

const HOUR_S: u64 = 3_600;

fn policy(credential: Value) -> Value {
    json!({
        "connections": {
            "crm": {
                "vendor": "generic", "base_url": "https://crm.example.com", "credential": credential,
                "limits": [{"name": "rate", "kind": "rolling_window", "calls": 3, "seconds": 10}],
                "queue": {"size": 5, "max_wait_seconds": 60},
            },
        },
        "apps": {"sync": {}},
    })
}

fn client_credentials(secret: &str) -> Value {
    json!({"type": "client_credentials", "client_id": "i", "client_secret": secret, "token_url": "https://t.example.com/token"})
}

fn refresh_token() -> Value {
    json!({"type": "refresh_token", "client_id": "i", "client_secret": "hush", "refresh_token": "refresh-1",
        "token_url": "https://t.example.com/token"})
}

fn harness(credential: Value) -> (Harness, Claims) {
    let mut harness = Harness::empty();
    assert_eq!(harness.put(&policy(credential)).0, 201);
    let app = harness.app("sync");
    (harness, app)
}

fn ask(harness: &mut Harness, app: &Claims) -> Answer {
    let admit = harness.admit(app, "crm");
    harness.ask(Ask::Admit(admit))
}

fn told_to_fetch(answer: Answer) -> Fetch {
    match answer {
        Answer::Now(Reply::Fetch(fetch)) => *fetch,
        other => panic!("{other:?}"),
    }
}

fn waits(answer: Answer) -> Ticket {
    match answer {
        Answer::Wait(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

fn goes(answer: Answer) -> Granted {
    match answer {
        Answer::Now(Reply::Permit(go)) => go,
        other => panic!("{other:?}"),
    }
}

fn issued(token: &str) -> Result<Issued, Failure> {
    Ok(Issued { token: token.to_owned(), refresh_token: None, life_s: Some(HOUR_S) })
}

fn report(harness: &mut Harness, fetch: &Fetch, result: Result<Issued, Failure>) {
    let report = TokenReport { connection: "crm".to_owned(), whose: fetch.whose, began: fetch.began, result };
    assert!(matches!(harness.now(Ask::TokenReport(report)), Reply::Done));
}

fn ready(harness: &mut Harness) -> Vec<(Ticket, Reply)> {
    std::iter::from_fn(|| harness.tenant.next_ready()).collect()
}

/// The harness holds `token`; the call that fetched it has not asked again.
fn with_token(harness: &mut Harness, app: &Claims, token: &str) -> Fetch {
    let fetch = told_to_fetch(ask(harness, app));
    report(harness, &fetch, issued(token));
    fetch
}

fn row(harness: &Harness) -> Option<String> {
    harness
        .memory
        .rows
        .get(&(Table::TokenCache as u8, "crm".to_owned()))
        .map(|row| String::from_utf8_lossy(row).into_owned())
}

fn used(harness: &mut Harness) -> u64 {
    harness.status()["connections"]["crm"]["limits"][0]["used"].as_u64().unwrap()
}

#[test]
fn the_first_call_fetches_and_the_others_go_when_it_has_reported() {
    let (mut harness, app) = harness(client_credentials("hush"));
    let fetch = told_to_fetch(ask(&mut harness, &app));
    assert_eq!(fetch.exchange.url, "https://t.example.com/token");
    let tickets: Vec<Ticket> = (0..5).map(|_| waits(ask(&mut harness, &app))).collect();
    assert_eq!(used(&mut harness), 0, "nothing is counted before there is a token");
    harness.now += 300;
    report(&mut harness, &fetch, issued("token-1"));
    let said = ready(&mut harness);
    let order: Vec<Ticket> = said.iter().map(|(ticket, _)| *ticket).collect();
    assert_eq!(order, tickets[..3], "in order, as many as the window takes");
    for (_, reply) in said {
        let Reply::Permit(go) = reply else { panic!("{reply:?}") };
        assert_eq!(go.bearer.unwrap().token, "token-1");
        assert_eq!(go.waited_ms, 300);
        assert_eq!(go.since_ask_ms, 300, "so that the permit is not taken for an old one");
    }
    assert_eq!(used(&mut harness), 3);
}

#[test]
fn a_worker_that_holds_the_token_is_not_sent_it_again() {
    let (mut harness, app) = harness(client_credentials("hush"));
    with_token(&mut harness, &app, "token-1");
    let go = goes(ask(&mut harness, &app));
    let mark = go.token_mark;
    assert_eq!(Some(go.bearer.unwrap().mark), mark);
    let mut admit = harness.admit(&app, "crm");
    admit.known_token = mark;
    let go = goes(harness.ask(Ask::Admit(admit)));
    assert_eq!((go.bearer, go.token_mark), (None, mark));
}

#[test]
fn neither_the_route_nor_storage_nor_a_debug_shows_a_secret() {
    let (mut harness, app) = harness(refresh_token());
    let fetch = told_to_fetch(ask(&mut harness, &app));
    let next = Issued { token: "token-1".into(), refresh_token: Some("refresh-2".into()), life_s: None };
    report(&mut harness, &fetch, Ok(next));
    let go = goes(ask(&mut harness, &app));
    assert!(go.route.as_ref().unwrap().credential.is_none());
    let shown = format!("{fetch:?} {go:?}");
    let stored: String = harness.memory.rows.values().map(|row| String::from_utf8_lossy(row).into_owned()).collect();
    for secret in ["hush", "refresh-1", "refresh-2", "token-1"] {
        assert!(!shown.contains(secret), "{shown}");
        assert!(!stored.contains(secret), "{secret} is stored in clear");
    }
}

#[test]
fn the_next_refresh_token_is_stored_before_the_token_is_used_and_outlives_the_object() {
    let (mut harness, app) = harness(refresh_token());
    let fetch = told_to_fetch(ask(&mut harness, &app));
    assert!(fetch.exchange.form.contains("refresh_token=refresh-1"));
    let ticket = waits(ask(&mut harness, &app));
    let next = Issued { token: "token-1".into(), refresh_token: Some("refresh-2".into()), life_s: Some(HOUR_S) };

    harness.memory.superseded = true;
    let lost =
        TokenReport { connection: "crm".into(), whose: fetch.whose, began: fetch.began, result: Ok(next.clone()) };
    assert!(harness.try_ask(Ask::TokenReport(lost)).is_err());
    assert!(ready(&mut harness).is_empty(), "nobody hears of a token that is not stored: {ticket:?}");

    harness.memory.superseded = false;
    harness.reopen();
    report(&mut harness, &fetch, Ok(next));
    harness.reopen();
    assert_eq!(goes(ask(&mut harness, &app)).bearer.unwrap().token, "token-1", "what is stored may be used again");
    harness.go_to(NOON + 3_600_000);
    let renewal = told_to_fetch(ask(&mut harness, &app));
    assert!(renewal.exchange.form.contains("refresh_token=refresh-2"), "the first works no more");
}

#[test]
fn a_token_that_came_too_late_for_its_object_is_taken_by_the_next() {
    let (mut harness, app) = harness(refresh_token());
    let fetch = told_to_fetch(ask(&mut harness, &app));
    harness.reopen();
    report(&mut harness, &fetch, issued("token-1"));
    assert_eq!(goes(ask(&mut harness, &app)).bearer.unwrap().token, "token-1");
}

#[test]
fn if_the_fetcher_dies_the_next_that_waits_is_told_to_fetch() {
    let (mut harness, app) = harness(client_credentials("hush"));
    told_to_fetch(ask(&mut harness, &app));
    let (first, second) = (waits(ask(&mut harness, &app)), waits(ask(&mut harness, &app)));
    harness.go_to(NOON + 14_999);
    assert!(ready(&mut harness).is_empty());
    harness.go_to(NOON + 15_000);
    let said = ready(&mut harness);
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].0, first);
    let Reply::Fetch(fetch) = &said[0].1 else { panic!("{said:?}") };
    report(&mut harness, fetch, issued("token-1"));
    let said = ready(&mut harness);
    assert!(matches!(&said[..], [(ticket, Reply::Permit(_))] if *ticket == second), "{said:?}");
}

#[test]
fn if_fetchers_keep_dying_those_who_wait_are_told() {
    let (mut harness, app) = harness(client_credentials("hush"));
    told_to_fetch(ask(&mut harness, &app));
    for _ in 0..3 {
        waits(ask(&mut harness, &app));
    }
    harness.go_to(NOON + 30_000);
    let said = ready(&mut harness);
    assert_eq!(said.len(), 3, "one was told to fetch, and the others are not left waiting");
    let refused = said.iter().filter(|(_, reply)| matches!(reply, Reply::Refused(_))).count();
    assert_eq!(refused, 2, "{said:?}");
}

#[test]
fn a_refused_credential_is_said_once_to_all_and_not_tried_again_at_once() {
    let (mut harness, app) = harness(client_credentials("hush"));
    let fetch = told_to_fetch(ask(&mut harness, &app));
    let ticket = waits(ask(&mut harness, &app));
    report(&mut harness, &fetch, Err(Failure::Refused { status: 401, code: Some("invalid_client".into()) }));
    let said = ready(&mut harness);
    assert_eq!(said[0].0, ticket);
    let admit = harness.admit(&app, "crm");
    for reply in [harness.now(Ask::Admit(admit)), said.into_iter().next().unwrap().1] {
        let Reply::Refused(no) = reply else { panic!("{reply:?}") };
        assert_eq!((no.refusal.reason.status(), no.refusal.reason.as_str()), (502, "vendor-unreachable"));
        assert_eq!((no.refusal.retry_after_seconds, no.dialect), (Some(5), Dialect::Generic));
        assert!(no.refusal.detail.contains("connection crm") && no.refusal.detail.contains("invalid_client"));
    }
    assert_eq!(used(&mut harness), 0);
    harness.go_to(NOON + 5_000);
    told_to_fetch(ask(&mut harness, &app));
}

#[test]
fn another_credential_in_the_policy_ends_the_wait_and_the_token() {
    let (mut harness, app) = harness(client_credentials("wrong"));
    let fetch = told_to_fetch(ask(&mut harness, &app));
    report(&mut harness, &fetch, Err(Failure::Refused { status: 401, code: None }));
    assert_eq!(harness.put(&policy(client_credentials("right"))).0, 200);
    let fetch = with_token(&mut harness, &app, "token-1");
    assert!(fetch.exchange.form.contains("client_secret=right"), "it is tried at once");
    assert!(row(&harness).is_some());
    assert_eq!(harness.put(&policy(client_credentials("newer"))).0, 200);
    assert_eq!(row(&harness), None, "the token of the old one is gone from storage too");
    told_to_fetch(ask(&mut harness, &app));
}

#[test]
fn a_policy_put_again_unchanged_keeps_the_token_and_the_turned_refresh_token() {
    let (mut harness, app) = harness(refresh_token());
    let fetch = told_to_fetch(ask(&mut harness, &app));
    let waiting = waits(ask(&mut harness, &app));
    let shown = harness.admin(sluice_core::protocol::Admin::GetPolicy).1;
    assert_eq!(harness.put(&shown).0, 200, "with stars for its secrets, while a fetch is under way");
    assert!(ready(&mut harness).is_empty(), "who waits goes on waiting");
    let next = Issued { token: "token-1".into(), refresh_token: Some("refresh-2".into()), life_s: Some(HOUR_S) };
    report(&mut harness, &fetch, Ok(next));
    let said = ready(&mut harness);
    assert!(matches!(&said[..], [(ticket, Reply::Permit(_))] if *ticket == waiting), "{said:?}");
    assert_eq!(harness.put(&policy(refresh_token())).0, 200, "with the refresh token that works no more");
    assert_eq!(goes(ask(&mut harness, &app)).bearer.unwrap().token, "token-1");
    harness.go_to(NOON + 3_600_000);
    assert!(told_to_fetch(ask(&mut harness, &app)).exchange.form.contains("refresh_token=refresh-2"));
}

#[test]
fn many_calls_refused_with_one_token_cause_one_renewal_and_each_goes_once_more() {
    let (mut harness, app) = harness(client_credentials("hush"));
    with_token(&mut harness, &app, "token-1");
    let gone: Vec<Granted> = (0..3).map(|_| goes(ask(&mut harness, &app))).collect();
    for go in &gone {
        harness.answered("crm", go.permit);
    }
    harness.go_to(NOON + 10_001);
    let again = |harness: &mut Harness| {
        let mut admit = harness.admit(&app, "crm");
        (admit.rejected_token, admit.known_token) = (gone[0].token_mark, gone[0].token_mark);
        harness.ask(Ask::Admit(admit))
    };
    let fetch = told_to_fetch(again(&mut harness));
    let tickets = [waits(again(&mut harness)), waits(again(&mut harness))];
    report(&mut harness, &fetch, issued("token-2"));
    let said = ready(&mut harness);
    assert_eq!(said.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), tickets);
    let last = goes(again(&mut harness));
    assert_eq!(last.bearer.unwrap().token, "token-2");
    assert_eq!(used(&mut harness), 3, "each with a permit of its own");
}

#[test]
fn a_caller_that_goes_while_it_waits_for_the_token_takes_no_permit() {
    let (mut harness, app) = harness(client_credentials("hush"));
    let fetch = told_to_fetch(ask(&mut harness, &app));
    let ticket = waits(ask(&mut harness, &app));
    harness.cancel(ticket);
    report(&mut harness, &fetch, issued("token-1"));
    assert!(ready(&mut harness).is_empty());
    assert_eq!(used(&mut harness), 0);
}

#[test]
fn a_call_that_asks_again_while_it_waits_goes_once() {
    let (mut harness, app) = harness(client_credentials("hush"));
    let fetch = told_to_fetch(ask(&mut harness, &app));
    let admit = harness.admit(&app, "crm");
    let first = waits(harness.ask(Ask::Admit(admit.clone())));
    let mut again = admit;
    again.repeated = true;
    let second = waits(harness.ask(Ask::Admit(again)));
    report(&mut harness, &fetch, issued("token-1"));
    let said = ready(&mut harness);
    assert!(matches!(&said[..], [(a, Reply::Retry), (b, Reply::Permit(_))] if (*a, *b) == (first, second)), "{said:?}");
    assert_eq!(used(&mut harness), 1);
}

#[test]
fn a_key_that_no_longer_holds_fetches_nothing() {
    let (mut harness, app) = harness(client_credentials("hush"));
    harness.admin(sluice_core::protocol::Admin::RevokeKey(app.id.clone()));
    let admit = harness.admit(&app, "crm");
    assert_eq!(harness.reason(admit), "key");
}

#[test]
fn a_token_that_ends_while_calls_wait_for_the_window_is_not_sent_with_them() {
    let (mut harness, app) = harness(client_credentials("hush"));
    let fetch = told_to_fetch(ask(&mut harness, &app));
    let short = Issued { token: "token-1".into(), refresh_token: None, life_s: Some(5) };
    report(&mut harness, &fetch, Ok(short));
    for _ in 0..3 {
        let go = goes(ask(&mut harness, &app));
        harness.answered("crm", go.permit);
    }
    let ticket = waits(ask(&mut harness, &app));
    harness.go_to(NOON + 11_000);
    let said = ready(&mut harness);
    let [(ready, Reply::Permit(go))] = &said[..] else { panic!("{said:?}") };
    assert_eq!(
        (*ready, go.token_mark, &go.bearer),
        (ticket, None, &None),
        "the Worker hands the permit back and asks anew"
    );
    harness.now(Ask::Settle(sluice_core::protocol::Settle {
        connection: "crm".to_owned(),
        permit: go.permit,
        attempt: 1,
        outcome: Outcome::Unused,
        since_headers_ms: None,
        response_bytes: 0,
        status: None,
        counts: Vec::new(),
        error_code: None,
        sent: None,
    }));
    told_to_fetch(ask(&mut harness, &app));
}

#[test]
fn a_removed_connection_or_tenant_leaves_no_token_behind() {
    let (mut harness, app) = harness(client_credentials("hush"));
    with_token(&mut harness, &app, "token-1");
    assert!(row(&harness).is_some());
    harness.put(&json!({"connections": {}, "apps": {"sync": {}}}));
    assert_eq!(row(&harness), None);

    harness.put(&policy(client_credentials("hush")));
    with_token(&mut harness, &app, "token-1");
    let waiting = {
        harness.go_to(NOON + 3_600_000);
        told_to_fetch(ask(&mut harness, &app));
        waits(ask(&mut harness, &app))
    };
    harness.admin(sluice_core::protocol::Admin::Delete);
    assert_eq!(row(&harness), None);
    let said = ready(&mut harness);
    assert!(matches!(&said[..], [(ticket, Reply::Refused(_))] if *ticket == waiting), "{said:?}");
}

#[test]
fn a_call_whose_place_another_app_takes_while_it_waits_for_the_token_is_told_so() {
    let mut harness = Harness::empty();
    let mut policy = policy(client_credentials("hush"));
    policy["apps"] = json!({"noisy": {}, "quiet": {"weight": 3}});
    harness.put(&policy);
    let (noisy, quiet) = (harness.app("noisy"), harness.app("quiet"));
    told_to_fetch(ask(&mut harness, &noisy));
    let tickets: Vec<Ticket> = (0..1_000).map(|_| waits(ask(&mut harness, &noisy))).collect();
    let Answer::Now(Reply::Refused(no)) = ask(&mut harness, &noisy) else { panic!() };
    assert_eq!(no.refusal.reason.as_str(), "queue-full");
    waits(ask(&mut harness, &quiet));
    let said = ready(&mut harness);
    let [(ticket, Reply::Refused(no))] = &said[..] else { panic!("{said:?}") };
    assert_eq!((*ticket, no.refusal.reason.as_str()), (tickets[999], "queue-full"));
    harness.cancel(tickets[999]);
    harness.cancel(tickets[998]);
    waits(ask(&mut harness, &noisy));
    assert!(ready(&mut harness).is_empty());
}

#[test]
fn a_token_and_a_turned_refresh_token_outlive_the_master_key_that_sealed_them() {
    use crate::masters::{NEW, OLD};
    let (mut harness, app) = harness(refresh_token());
    let fetch = told_to_fetch(ask(&mut harness, &app));
    let turned = Issued { refresh_token: Some("refresh-2".to_owned()), ..issued("access-1").ok().unwrap() };
    report(&mut harness, &fetch, Ok(turned));
    let before = row(&harness).unwrap();
    harness.reopen_under(&[NEW, OLD]);
    assert_ne!(row(&harness).unwrap(), before, "they are sealed anew as the tenant is loaded");
    harness.reopen_under(&[NEW]);
    let go = goes(ask(&mut harness, &app));
    assert_eq!(go.bearer.map(|bearer| bearer.token).as_deref(), Some("access-1"));
    // The token ends; what it is renewed with is the turned one.
    harness.go_to(harness.now + 2 * 3_600_000);
    let fetch = told_to_fetch(ask(&mut harness, &app));
    assert!(fetch.exchange.form.contains("refresh-2"), "the turned refresh token is used");
}
