//! How a call obtains its permit.

use crate::play::{CAME, Play, SLACK_MS, admit, call, fetch, go, id, refused, route, route_with_token};
use sluice_core::call::{Action, CallSpec, Caller, Event, Isolate, Pace};
use sluice_core::protocol::{Admit, Bearer, Granted, Reply, RouteVersion, TokenMark};
use sluice_core::refusal::{Reason, Refusal};
use sluice_limiter::Outcome;
use std::rc::Rc;

#[test]
fn a_call_asks_once_reads_its_methods_and_is_sent() {
    let mut play = Play::new();
    assert_eq!(*play.asks(), admit());
    play.replies(5, Reply::Permit(go(1, Some(route()))));
    assert!(matches!(play.action, Action::ReadMethods));
    play.event(Event::MethodsRead(Ok("GET".to_owned())));
    assert!(matches!(play.action, Action::Send));
    let permit = play.machine.permit().unwrap();
    assert_eq!((permit.id, permit.at, permit.sent.path.as_str()), (id(1), CAME + 5, "/things/{id}"));
    assert_eq!(play.isolate.route("acme", "crm").unwrap().version, RouteVersion(7), "the next call need not be told");
}

#[test]
fn an_object_that_does_not_reply_is_asked_four_times_and_then_the_call_is_refused() {
    let mut play = Play::waiting(10_000);
    for n in 0..4 {
        assert_eq!(play.asks().repeated, n > 0);
        assert_eq!(play.asks().call, admit().call, "asking twice with one id takes one permit");
        assert_eq!(play.asks().wait_ms, Some(10_000 - 100 * n));
        play.now += 100;
        // A reply of another release is as good as none.
        match n % 2 {
            0 => play.event(Event::NotReplied),
            _ => play.replies(0, Reply::Retry),
        }
    }
    assert_eq!(play.refuses(), ("unavailable", None));
    assert!(play.ends().is_empty(), "there is nothing to settle");
}

#[test]
fn asks_keep_their_distance_where_they_are_to() {
    let pace = Pace { tries: 4, spacing_ms: 50 };
    let mut play = Play::of(CallSpec { pace, ..call() }, admit());
    play.now += 20;
    play.event(Event::NotReplied);
    assert_eq!(play.rests(), 30);
    play.has_rested();
    play.now += 50;
    play.event(Event::NotReplied);
    play.asks();
    play.event(Event::NotReplied);
    play.event(Event::Waited(Caller::Gone));
    assert!(matches!(play.action, Action::Leave));
}

#[test]
fn a_refusal_goes_to_the_caller_as_the_object_says_it() {
    let mut play = Play::new();
    play.replies(3, refused(Reason::DailyQuota));
    assert_eq!(play.refuses(), ("daily-quota", None));
    assert!(play.ends().is_empty());
    assert_eq!(play.machine.facts().refused, Some(Reason::DailyQuota));
    assert_eq!(play.machine.facts().timings, None);
}

/// A permit is as old as the time that its reply took, less what the call waited in the object.
#[test]
fn a_permit_over_its_slack_is_handed_back_and_another_is_asked_for() {
    let at = |since_ask_ms| Granted { since_ask_ms, ..go(1, Some(route())) };
    let fresh = [(SLACK_MS, 0), (60_000, 58_000), (SLACK_MS + 10, 10)];
    let stale = [(SLACK_MS + 1, 0), (60_000, 57_999), (1_000, -1_001)];
    for (elapsed, since_ask) in fresh {
        let mut play = Play::new();
        play.replies(elapsed, Reply::Permit(at(since_ask)));
        assert!(matches!(play.action, Action::ReadMethods), "{elapsed} {since_ask}");
    }
    for (elapsed, since_ask) in stale {
        let mut play = Play::waiting(100_000);
        play.replies(elapsed, Reply::Permit(at(since_ask)));
        let settle = play.settles();
        assert_eq!((settle.permit, settle.outcome, settle.attempt), (id(1), Outcome::Unused, 1));
        assert!(settle.sent.is_none());
        play.is_heard();
        let again = play.asks();
        assert_eq!((again.repeated, again.known_route, again.known_token), (true, None, None));
        assert_eq!(again.wait_ms, Some(100_000 - elapsed));
        play.is_sent(2);
        play.answers(200, &[]);
        assert_eq!(play.ends(), [(1, "Unused", 2), (2, "Answered", 1)]);
    }
}

#[test]
fn permits_that_are_always_stale_end_in_a_refusal_with_all_of_them_handed_back() {
    let mut play = Play::new();
    for n in 1..=4 {
        play.replies(SLACK_MS + 1, Reply::Permit(go(n, Some(route()))));
        play.is_heard();
    }
    assert_eq!(play.refuses(), ("unavailable", None));
    assert_eq!(play.ends(), [(1, "Unused", 2), (2, "Unused", 2), (3, "Unused", 2), (4, "Unused", 2)]);
}

#[test]
fn a_permit_whose_route_is_not_known_is_handed_back_and_the_route_is_asked_for() {
    // The isolate has forgotten the route that it stated to know.
    let mut play = Play::of(call(), Admit { known_route: Some(RouteVersion(7)), ..admit() });
    play.replies(5, Reply::Permit(go(1, None)));
    assert_eq!(play.settles().outcome, Outcome::Unused);
    play.is_heard();
    assert_eq!(play.asks().known_route, None);
    play.is_sent(2);
}

#[test]
fn a_route_is_remembered_under_its_version_alone() {
    for (version, goes) in [(7, true), (8, false)] {
        let mut isolate = Isolate::new();
        isolate.remember_route("acme", "crm", Rc::new(route()));
        let mut play = Play::within(isolate, call(), Admit { known_route: Some(RouteVersion(7)), ..admit() });
        play.replies(5, Reply::Permit(Granted { route_version: RouteVersion(version), ..go(1, None) }));
        assert_eq!(matches!(play.action, Action::ReadMethods), goes, "{version}");
    }
}

#[test]
fn a_call_that_is_to_fetch_the_token_fetches_it_and_asks_again() {
    let mut play = Play::new();
    play.replies(5, fetch());
    assert!(matches!(play.action, Action::FetchToken { .. }));
    play.now += 300;
    play.event(Event::TokenFetched);
    assert!(play.asks().repeated);
    let bearer = Some(Bearer { token: "token-1".to_owned(), mark: TokenMark(3) });
    play.is_sent_with(Granted { bearer, token_mark: Some(TokenMark(3)), ..go(1, Some(route_with_token())) });
    assert_eq!(play.machine.permit().unwrap().bearer.as_ref().unwrap().token, "token-1");
    assert_eq!(play.isolate.token("acme", "crm").unwrap().mark, TokenMark(3));
}

#[test]
fn a_permit_without_the_token_that_it_is_for_is_handed_back() {
    let mut play = Play::of(call(), Admit { known_token: Some(TokenMark(3)), ..admit() });
    play.replies(5, Reply::Permit(Granted { token_mark: Some(TokenMark(3)), ..go(1, Some(route_with_token())) }));
    assert_eq!(play.settles().outcome, Outcome::Unused);
    play.is_heard();
    assert_eq!(play.asks().known_token, None);
}

#[test]
fn a_caller_that_goes_while_it_waits_takes_no_permit() {
    // The object answers the ask of a caller that has gone with what it had on its way.
    let mut play = Play::new();
    play.replies_to(Caller::Gone, 500, Reply::Done);
    assert!(matches!(play.action, Action::Leave));
    assert!(play.ends().is_empty());

    let mut play = Play::new();
    play.replies_to(Caller::Gone, 500, Reply::Permit(go(1, Some(route()))));
    assert_eq!((play.settles().permit, play.settles().outcome), (id(1), Outcome::Unused));
    play.is_heard();
    assert!(matches!(play.action, Action::Leave));
    assert_eq!(play.ends(), [(1, "Unused", 2)]);
}

#[test]
fn a_caller_that_goes_still_fetches_the_token_that_others_wait_for() {
    let mut play = Play::new();
    play.replies_to(Caller::Gone, 500, fetch());
    assert!(matches!(play.action, Action::FetchToken { .. }));
    play.event(Event::TokenFetched);
    play.replies_to(Caller::Gone, 0, Reply::Done);
    assert!(matches!(play.action, Action::Leave));
}

#[test]
fn a_vendor_that_reads_another_method_by_a_new_policy_is_asked_for_under_that_one() {
    let mut play = Play::with_method("POST");
    play.replies(5, Reply::Permit(go(1, Some(route()))));
    play.event(Event::MethodsRead(Ok("POST =DELETE".to_owned())));
    assert_eq!((play.settles().permit, play.settles().outcome), (id(1), Outcome::Unused));
    play.is_heard();
    let other = play.asks();
    assert_eq!((other.method.as_str(), other.repeated), ("POST =DELETE", false));
    assert_ne!(other.call, admit().call, "it is another permit that is asked for");
    play.is_sent(2);
    play.answers(200, &[]);
    assert_eq!(play.ends(), [(1, "Unused", 2), (2, "Answered", 1)]);
}

#[test]
fn a_call_that_cannot_be_made_by_a_new_policy_hands_its_permit_back() {
    let mut play = Play::new();
    play.replies(5, Reply::Permit(go(1, Some(route()))));
    play.event(Event::MethodsRead(Err(Refusal::new(Reason::Request, "two methods"))));
    assert_eq!(play.settles().outcome, Outcome::Unused);
    play.is_heard();
    assert_eq!(play.refuses(), ("request", None));
    assert_eq!(play.ends(), [(1, "Unused", 2)]);
}

#[test]
fn methods_that_never_stay_the_same_end_in_a_refusal() {
    let mut play = Play::new();
    for n in 1..=3 {
        play.replies(5, Reply::Permit(go(n, Some(route()))));
        play.event(Event::MethodsRead(Ok(format!("GET =M{n}"))));
        play.is_heard();
    }
    assert_eq!(play.refuses(), ("unavailable", None));
    assert_eq!(play.ends().len(), 3);
}
