//! What follows an attempt.

use crate::play::{CAME, Play, admit, call, go, id, refused, route, route_with_token};
use sluice_core::call::{
    Action, BodyCompletion, BodyEnd, CallOutcome, CallSpec, Caller, Event, HeldBack, Log, SendFailure, Timings,
};
use sluice_core::protocol::{Bearer, Granted, Reply, Route, TokenMark};
use sluice_core::refusal::{Reason, Refusal};
use sluice_limiter::{Outcome, ThrottledBy};

fn passes_on(play: &Play) -> (Timings, u64) {
    match play.action {
        Action::PassOn { timings, total_ms } => (timings, total_ms),
        ref other => panic!("it passes nothing on: {other:?}"),
    }
}

#[test]
fn a_good_answer_is_passed_on_and_settled_when_its_body_has_ended() {
    let mut play = Play::new();
    play.is_sent(1);
    play.answers(200, &[]);
    let timings = Timings { attempts: 1, queue_ms: 5, vendor_ms: 100 };
    assert_eq!(passes_on(&play), (timings, 105));
    play.event(Event::CallerAnswered);
    assert!(matches!(play.action, Action::AwaitBody));
    play.now += 50;
    play.event(Event::BodyEnded(BodyCompletion { end: BodyEnd::Whole, bytes: 17, more: false }));
    let [settle] = play.settles_all() else { panic!("{:?}", play.action) };
    assert_eq!(
        (settle.permit, settle.outcome, settle.status, settle.response_bytes),
        (id(1), Outcome::Answered, Some(200), 17)
    );
    assert_eq!((settle.since_headers_ms, settle.sent.as_ref().unwrap().ago_ms), (Some(50), 150));
    let facts = play.machine.facts();
    assert_eq!((facts.status, facts.response_bytes, facts.timings), (Some(200), 17, Some(timings)));
    assert_eq!(facts.outcome, Some(CallOutcome::Settled(Outcome::Answered)));
    play.is_heard();
    assert!(matches!(play.action, Action::End));
}

#[test]
fn each_end_of_a_body_is_settled_for_what_it_is() {
    let cases = [
        (BodyEnd::Whole, Outcome::Answered, None),
        (BodyEnd::TimedOut, Outcome::Unknown, Some("timeout")),
        (BodyEnd::CutOff, Outcome::Unknown, Some("unreachable")),
        (BodyEnd::CallerGone, Outcome::Unknown, None),
    ];
    for (end, outcome, code) in cases {
        let mut play = Play::new();
        play.is_sent(1);
        play.answers(200, &[]);
        play.event(Event::CallerAnswered);
        play.event(Event::BodyEnded(BodyCompletion { end, bytes: 3, more: true }));
        let [settle] = play.settles_all() else { panic!("{:?}", play.action) };
        assert_eq!((settle.outcome, settle.error_code.as_deref()), (outcome, code), "{end:?}");
        assert_eq!(settle.response_bytes, sluice_core::policy::MAX_BYTES, "more may have come than was counted");
    }
}

#[test]
fn a_throttled_call_is_settled_rests_and_goes_again_with_a_permit_of_its_own() {
    let mut play = Play::new();
    play.is_sent(1);
    play.answers(429, &[("Retry-After", "1")]);
    play.is_held_back();
    let settle = play.settles();
    let throttled = Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: Some(1_100) };
    assert_eq!((settle.permit, settle.response_bytes, settle.attempt), (id(1), 12, 1));
    assert!(matches!(settle.outcome, Outcome::Throttled { .. }), "{:?} {throttled:?}", settle.outcome);
    assert!(matches!(&play.log[..], [Log::Throttled { nth: 1, .. }]), "{:?}", play.log);
    play.is_heard();
    let rest = play.rests();
    assert!((1_000..=2_200).contains(&rest), "{rest}");
    play.has_rested();
    let asked = play.now;
    assert_ne!(play.asks().call, admit().call);
    assert_eq!(play.asks().wait_ms, Some(60_000 - u64::try_from(asked - CAME).unwrap()), "as the policy lets it wait");
    play.is_sent_with(go(2, Some(route())));
    assert_eq!(play.machine.permit().unwrap().sent.nth, 2);
    play.answers(200, &[]);
    let (timings, total_ms) = passes_on(&play);
    assert_eq!(timings, Timings { attempts: 2, queue_ms: 10, vendor_ms: 200 });
    assert_eq!(total_ms, 210 + rest);
    assert_eq!(play.ends(), [(1, "Throttled", 2), (2, "Answered", 1)]);
}

/// Not one of these may be made twice: nobody knows whether it was executed.
#[test]
fn a_call_of_unknown_outcome_is_sent_again_only_if_that_does_no_harm() {
    let failures = [SendFailure::TimedOut(30_000), SendFailure::Unreachable, SendFailure::Unusable("x")];
    for failure in failures {
        for (method, again) in [("GET", true), ("HEAD", true), ("POST", false), ("PUT", false), ("DELETE", false)] {
            let mut play = Play::with_method(method);
            play.is_sent(1);
            play.fails(failure.clone());
            assert_eq!(matches!(play.action, Action::Settle { .. }), again, "{method} {failure:?}");
            if !again {
                let reason =
                    if matches!(failure, SendFailure::TimedOut(_)) { "vendor-timeout" } else { "vendor-unreachable" };
                assert_eq!(play.refuses(), (reason, Some(1)));
                assert_eq!(play.ends(), [(1, "Unknown", 1)]);
            }
        }
    }
}

#[test]
fn a_body_that_is_not_kept_is_sent_once() {
    let mut play = Play::of(CallSpec { body_is_kept: false, ..call() }, admit());
    play.is_sent(1);
    play.answers(429, &[]);
    assert_eq!(passes_on(&play).0.attempts, 1);
    assert_eq!(play.ends(), [(1, "Throttled", 1)]);
}

#[test]
fn what_was_not_sent_to_its_end_is_refused_and_never_repeated() {
    let no = || Refusal::new(Reason::KeyMisplaced, "x");
    let cases = [
        (SendFailure::NotSendable, "request", "Unused"),
        (SendFailure::NotSent(no()), "key-misplaced", "Unused"),
        (SendFailure::BodyTooLong(Some(9)), "payload", "Unknown"),
        (SendFailure::BodyTooLong(None), "request", "Unknown"),
        (SendFailure::BodyBrokeOff, "request", "Unknown"),
    ];
    for (failure, reason, outcome) in cases {
        let mut play = Play::new();
        play.is_sent(1);
        play.fails(failure);
        assert_eq!(play.refuses(), (reason, Some(1)));
        assert_eq!(play.ends(), [(1, outcome, 1)]);
    }
}

#[test]
fn an_answer_that_is_too_long_to_be_held_back_is_passed_on() {
    let mut play = Play::new();
    play.is_sent(1);
    play.answers(503, &[]);
    play.event(Event::HeldBack(HeldBack::No));
    assert_eq!(passes_on(&play).0.attempts, 1);
    assert_eq!(play.ends(), [(1, "Answered", 1)]);
}

#[test]
fn the_last_answer_is_passed_on_where_another_attempt_is_not_to_be_had() {
    let refusals = [refused(Reason::QueueFull), Reply::TokenStands];
    for reply in refusals {
        let mut play = Play::new();
        play.is_sent(1);
        play.answers(503, &[]);
        play.is_held_back();
        play.is_heard();
        play.has_rested();
        play.replies(7, reply);
        let (timings, total_ms) = passes_on(&play);
        assert_eq!(timings.attempts, 1);
        assert_eq!(total_ms, u64::try_from(play.now - CAME).unwrap(), "it goes out later than its headers came");
        assert_eq!(play.ends(), [(1, "Answered", 2)], "its permit is settled already, and that is told once more");
        assert_eq!(play.machine.facts().status, Some(503));
        assert_eq!(play.machine.facts().outcome, Some(CallOutcome::Settled(Outcome::Answered)));
    }
}

#[test]
fn a_caller_that_goes_while_its_call_rests_is_not_sent_again() {
    let mut play = Play::new();
    play.is_sent(1);
    play.answers(429, &[]);
    play.is_held_back();
    play.is_heard();
    play.rests();
    play.event(Event::Waited(Caller::Gone));
    assert!(matches!(play.action, Action::Leave));
    assert_eq!(play.ends(), [(1, "Throttled", 2)]);
    assert_eq!(play.machine.facts().outcome, Some(CallOutcome::Gone));
}

#[test]
fn a_caller_that_goes_while_its_call_asks_again_hands_that_permit_back() {
    let mut play = Play::new();
    play.is_sent(1);
    play.answers(429, &[]);
    play.is_held_back();
    play.is_heard();
    play.has_rested();
    play.replies_to(Caller::Gone, 5, Reply::Permit(go(2, Some(route()))));
    assert_eq!((play.settles().permit, play.settles().outcome), (id(2), Outcome::Unused));
    play.is_heard();
    assert!(matches!(play.action, Action::Leave));
    assert_eq!(play.ends(), [(1, "Throttled", 2), (2, "Unused", 2)]);
}

#[test]
fn attempts_are_as_many_as_the_policy_says() {
    for most in 1..=3 {
        let mut play = Play::new();
        for n in 1..=most {
            play.is_sent_with(go(u64::from(n), Some(Route { attempts: most, ..route() })));
            play.answers(429, &[]);
            if n < most {
                play.is_held_back();
                play.is_heard();
                play.has_rested();
            }
        }
        assert_eq!(passes_on(&play).0.attempts, most);
        assert_eq!(play.ends().len(), usize::try_from(most).unwrap());
    }
}

#[test]
fn a_caller_that_does_not_wait_gets_the_throttle_at_once() {
    let mut play = Play::waiting(0);
    play.is_sent(1);
    play.answers(429, &[("Retry-After", "1")]);
    assert_eq!(passes_on(&play).0.attempts, 1);
    assert_eq!(play.ends(), [(1, "Throttled", 1)]);
}

fn with_token(mark: u64) -> Granted {
    let bearer = Some(Bearer { token: format!("token-{mark}"), mark: TokenMark(mark) });
    Granted { bearer, token_mark: Some(TokenMark(mark)), ..go(mark, Some(route_with_token())) }
}

#[test]
fn an_expired_token_is_replaced_once_at_once_and_counts_as_no_attempt() {
    let mut play = Play::with_method("POST");
    play.is_sent_with(with_token(1));
    play.answers(401, &[]);
    play.is_held_back();
    play.is_heard();
    let ask = play.asks();
    assert_eq!((ask.rejected_token, ask.known_token, ask.repeated), (Some(TokenMark(1)), Some(TokenMark(1)), false));
    play.is_sent_with(with_token(2));
    play.answers(401, &[]);
    assert_eq!(passes_on(&play).0.attempts, 2, "a second time the answer stands");
    assert_eq!(play.ends(), [(1, "Answered", 2), (2, "Answered", 1)]);

    let mut play = Play::new();
    play.is_sent_with(with_token(1));
    play.answers(401, &[]);
    play.is_held_back();
    play.is_heard();
    for (mark, again) in [(2, true), (3, true), (4, false)] {
        play.is_sent_with(with_token(mark));
        play.answers(429, &[]);
        assert_eq!(matches!(play.action, Action::HoldBack), again, "three attempts beside the renewal");
        if again {
            play.is_held_back();
            play.is_heard();
            play.has_rested();
            assert_eq!(play.asks().rejected_token, None);
        }
    }
}

#[test]
fn the_vendors_refusal_stands_where_no_better_token_is_to_be_had() {
    let mut play = Play::new();
    play.is_sent_with(with_token(1));
    play.answers(401, &[]);
    play.is_held_back();
    play.is_heard();
    play.replies(5, Reply::TokenStands);
    assert_eq!(passes_on(&play).0.attempts, 1);
    assert_eq!(play.ends(), [(1, "Answered", 2)]);
    assert_eq!(play.machine.facts().status, Some(401));
}

#[test]
fn a_token_that_cannot_be_renewed_is_told_as_the_object_tells_it() {
    let mut play = Play::new();
    play.is_sent_with(with_token(1));
    play.answers(401, &[]);
    play.is_held_back();
    play.is_heard();
    play.replies(5, refused(Reason::VendorUnreachable));
    assert_eq!(play.refuses(), ("vendor-unreachable", None));
    assert_eq!(play.ends(), [(1, "Answered", 2)]);
}

#[test]
fn an_answer_that_http_cannot_carry_on_is_settled_as_the_answer_that_it_is() {
    let mut play = Play::new();
    play.is_sent(1);
    play.answers(200, &[]);
    play.event(Event::NotDeliverable);
    assert_eq!(play.refuses(), ("vendor-unreachable", Some(1)));
    assert_eq!(play.machine.facts().status, None);
    assert_eq!(play.ends(), [(1, "Answered", 1)]);
}

#[test]
fn what_a_machine_does_not_wait_for_changes_nothing() {
    let mut play = Play::new();
    for event in [
        Event::TokenFetched,
        Event::Acknowledged,
        Event::MethodsRead(Ok("GET".to_owned())),
        Event::HeldBack(HeldBack::No),
        Event::CallerAnswered,
        Event::BodyEnded(BodyCompletion { end: BodyEnd::Whole, bytes: 0, more: false }),
    ] {
        assert!(!play.try_event(event));
    }
    play.is_sent(1);
    play.answers(200, &[]);
    assert_eq!(play.ends(), [(1, "Answered", 1)]);
}
