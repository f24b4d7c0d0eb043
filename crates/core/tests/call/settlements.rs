//! What is reported to the object about permits, how often, and in which batches.

use crate::play::{CAME, Play, admit, call, go, id, route};
use sluice_core::call::{Action, CallSpec, Caller, Event, Isolate, Log, ObjectReply};
use sluice_core::protocol::{Reply, Route};
use sluice_limiter::Outcome;

fn answered_once(isolate: Isolate, number: u64, route: Route) -> Play {
    let mut play = Play::within(isolate, CallSpec { number, ..call() }, admit());
    play.is_sent_with(go(number, Some(route)));
    play.answers(200, &[]);
    play.event(Event::CallerAnswered);
    play
}

fn body_ends(play: &mut Play) {
    use sluice_core::call::{BodyCompletion, BodyEnd};
    play.event(Event::BodyEnded(BodyCompletion { end: BodyEnd::Whole, bytes: 1, more: false }));
}

fn unhurried() -> Route {
    Route { unhurried: true, ..route() }
}

#[test]
fn a_settlement_is_told_three_times_at_once_and_then_the_call_goes_on() {
    let mut play = Play::new();
    play.is_sent(1);
    play.answers(429, &[]);
    play.is_held_back();
    for attempt in 1..=3 {
        assert_eq!((play.settles().permit, play.settles().attempt), (id(1), attempt));
        play.event(Event::NotAcknowledged);
    }
    play.has_rested();
    play.is_sent(2);
    play.answers(200, &[]);
    assert_eq!(play.ends(), [(1, "Throttled", 4), (2, "Answered", 1)], "the numbers rise");
}

#[test]
fn a_batch_is_told_six_times_with_longer_and_longer_pauses_and_then_given_up() {
    let mut play = Play::new();
    play.is_sent(1);
    play.answers(200, &[]);
    play.event(Event::CallerAnswered);
    body_ends(&mut play);
    for (told, pause) in (1..).zip([50, 100, 200, 400, 800]) {
        assert_eq!(play.settles_all()[0].attempt, told);
        play.event(Event::NotAcknowledged);
        assert!(matches!(play.action, Action::Wait(ms) if ms == pause), "{:?}", play.action);
        play.now += i64::try_from(pause).unwrap();
        play.event(Event::Waited(Caller::Present));
    }
    assert_eq!((play.settles_all()[0].attempt, play.settles_all()[0].since_headers_ms), (6, Some(1_550)));
    play.event(Event::NotAcknowledged);
    assert!(matches!(play.action, Action::End));
    assert!(matches!(&play.log[..], [Log::Unheard { settlements: 1, .. }]), "{:?}", play.log);
    assert!(!play.try_event(Event::Acknowledged), "what comes later is of no matter");
}

#[test]
fn the_only_call_of_an_isolate_waits_for_no_other() {
    let mut isolate = Isolate::new();
    let number = isolate.begin_call();
    let mut play = answered_once(isolate, number, unhurried());
    assert!(matches!(play.action, Action::Wait(0)), "the answer goes first");
    play.event(Event::Waited(Caller::Present));
    body_ends(&mut play);
    assert_eq!(play.settles_all().len(), 1);
}

#[test]
fn settlements_that_nobody_waits_for_are_told_together() {
    let mut isolate = Isolate::new();
    let (first, second) = (isolate.begin_call(), isolate.begin_call());
    isolate.begin_call();
    let mut one = answered_once(isolate, first, unhurried());
    one.event(Event::Waited(Caller::Present));
    body_ends(&mut one);
    assert!(matches!(one.action, Action::Wait(10)), "{:?}", one.action);

    let mut two = answered_once(std::mem::take(&mut one.isolate), second, unhurried());
    two.event(Event::Waited(Caller::Present));
    body_ends(&mut two);
    assert!(matches!(two.action, Action::End), "the first tells for both");

    std::mem::swap(&mut one.isolate, &mut two.isolate);
    one.event(Event::Waited(Caller::Present));
    let told: Vec<_> = one.settles_all().iter().map(|settle| settle.permit.seq).collect();
    assert_eq!(told, [first, second]);
    one.is_heard();
    assert!(matches!(one.action, Action::End));
}

#[test]
fn a_settlement_that_a_limit_waits_for_takes_along_what_waits() {
    let mut isolate = Isolate::new();
    let (first, second) = (isolate.begin_call(), isolate.begin_call());
    isolate.begin_call();
    let mut one = answered_once(isolate, first, unhurried());
    one.event(Event::Waited(Caller::Present));
    body_ends(&mut one);
    let mut two = answered_once(std::mem::take(&mut one.isolate), second, route());
    body_ends(&mut two);
    assert_eq!(two.settles_all().len(), 2);
    std::mem::swap(&mut one.isolate, &mut two.isolate);
    one.event(Event::Waited(Caller::Present));
    assert!(matches!(one.action, Action::End), "{:?}", one.action);
}

/// After a hand-back that was lost, the object gives the same permit to the call's next request.
#[test]
fn a_permit_that_is_granted_again_after_an_unheard_hand_back_keeps_its_numbers() {
    let mut play = Play::new();
    play.replies(2_001, Reply::Permit(go(1, Some(route()))));
    for _ in 0..3 {
        assert_eq!(play.settles().outcome, Outcome::Unused);
        play.event(Event::NotAcknowledged);
    }
    play.is_sent(1);
    play.answers(200, &[]);
    assert_eq!(play.ends(), [(1, "Answered", 4)]);
}

#[test]
fn a_permit_that_comes_when_nobody_waits_for_it_is_handed_back_at_the_end() {
    let mut play = Play::new();
    let late = |seq| {
        Event::Replied(ObjectReply { reply: Reply::Permit(go(seq, None)), elapsed_ms: 9_000, caller: Caller::Present })
    };
    play.is_sent(1);
    assert!(!play.try_event(late(2)));
    assert!(!play.try_event(late(2)), "twice is once");
    assert!(!play.try_event(late(1)), "the one in hand is none of these");
    play.answers(200, &[]);
    assert_eq!(play.ends(), [(2, "Unused", 1), (1, "Answered", 1)]);
}

#[test]
fn times_count_back_from_each_telling() {
    let mut play = Play::new();
    play.is_sent(1);
    play.answers(200, &[]);
    play.event(Event::CallerAnswered);
    play.now = CAME + 1_105;
    body_ends(&mut play);
    let settle = &play.settles_all()[0];
    assert_eq!((settle.since_headers_ms, settle.sent.as_ref().unwrap().ago_ms), (Some(1_000), 1_100));
}
