//! When a connection asks its pool, and what it makes of the answer.

use super::edits::Side;
use sluice_limiter::Admission;
use sluice_limiter::pool::LoanGrant;

/// A pool that has heard a later turn answers so to one that comes late. That is not the word of an empty pool.
#[test]
fn an_answer_to_a_turn_taken_for_late_is_none() {
    let mut side = Side::new(900, 99);
    let Admission::Waiting(ticket) = side.call() else { panic!("it waits for a loan") };
    let (words, limit, lent) = side.ask().unwrap();
    assert_eq!(lent.n, 1);
    side.hear((words.clone(), limit, LoanGrant { n: 0, spend_ms: 0, used: 0, dry_until: 0 }));
    assert_eq!(side.limiter.next_ready(), None, "it waits on");
    side.now += 1_000;
    side.limiter.wake(super::at(side.now));
    let again = side.ask().expect("the turn is asked once more");
    assert_eq!(again.0.turn, words.turn);
    side.hear(again);
    let (granted, outcome) = side.limiter.next_ready().unwrap();
    assert_eq!((granted, outcome.is_ok()), (ticket, true));
}

/// Until the moment that the pool has named a loan may be spent; one that is in hand then goes back after it.
#[test]
fn a_loan_is_kept_to_the_last_millisecond_of_its_time_and_no_longer() {
    let mut side = Side::new(900, 99);
    let Admission::Waiting(ticket) = side.call() else { panic!("it waits for a loan") };
    let turn = side.ask().unwrap();
    let spend_ms = turn.2.spend_ms;
    side.limiter.cancel(super::at(side.now), ticket);
    side.hear(turn);
    side.now += spend_ms;
    side.limiter.wake(super::at(side.now));
    assert!(side.ask().is_none(), "it may still be spent");
    side.now += 1;
    side.limiter.wake(super::at(side.now));
    let (words, ..) = side.ask().expect("it goes back");
    assert_eq!((words.unused, words.want), (1, 0));
}
