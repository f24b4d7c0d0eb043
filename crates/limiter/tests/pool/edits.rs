//! The number that a connection declares of its pool's day changes by an edit. A world's seed 4126 led here: a call went on a loan from
//! before the edit though the pool's day was spent by the new number.

use super::{Mode, NOON, at, plan, utc};
use sluice_limiter::pool::{LoanGrant, LoanRequest, Pool};
use sluice_limiter::{Admission, Call, Limiter, Plan};

/// One connection, and the pool that lends to it. Another connection, that declares 1,000, has used some of its day.
pub(super) struct Side {
    pub now: i64,
    pub limiter: Limiter,
    pool: Pool,
    calls: u128,
}

impl Side {
    pub fn new(amount: u64, used: u64) -> Self {
        let mut pool = Pool::new(&utc(), at(NOON));
        let words = LoanRequest {
            who: "another".to_owned(),
            epoch: 1,
            turn: 1,
            want: 0,
            unused: 0,
            owes: used,
            amount: 1_000,
            reset: utc(),
            vendor: 0,
            life_ms: 1_000,
        };
        pool.borrow(at(NOON), &words);
        Self { now: NOON, limiter: Limiter::new(plan(amount), at(NOON)), pool, calls: 0 }
    }

    pub fn call(&mut self) -> Admission {
        self.calls += 1;
        let call = Call { app: "a", mask: 1, id: self.calls, again: false, waited_ms: 0, wait_ms: None, urgency: 3 };
        self.limiter.admit(at(self.now), call)
    }

    /// What the connection asks of its pool, and the answer, which has not arrived yet.
    pub fn ask(&mut self) -> Option<(LoanRequest, u32, LoanGrant)> {
        let (_, limit, words) = self.limiter.next_borrow(at(self.now))?;
        let lent = self.pool.borrow(at(self.now), &words);
        Some((words, limit, lent))
    }

    pub fn hear(&mut self, (words, limit, lent): (LoanRequest, u32, LoanGrant)) {
        self.limiter.lent(at(self.now), limit, words.turn, Some(lent));
    }

    /// All that is to be asked of the pool is asked and heard: what it is told to be unspent, in the order of the asks.
    pub fn settle(&mut self) -> Vec<u32> {
        let mut unused = Vec::new();
        while let Some(turn) = self.ask() {
            unused.push(turn.0.unused);
            self.hear(turn);
        }
        unused
    }

    pub fn edit(&mut self, amount: u64) {
        self.limiter.replan(plan(amount), at(self.now), |_, _| None);
    }

    /// Calls that the pool's day holds.
    pub fn used(&mut self) -> u64 {
        let status = self.limiter.limits();
        status.first().map_or(0, |limit| limit.used)
    }

    /// A call came and left: the permit that the pool lent for it is in hand.
    pub fn with_a_permit_in_hand(amount: u64, used: u64) -> Self {
        let mut side = Self::new(amount, used);
        let Admission::Waiting(ticket) = side.call() else { panic!("it waits for a loan") };
        let turn = side.ask().unwrap();
        assert_eq!(turn.2.n, 1);
        side.limiter.cancel(at(side.now), ticket);
        side.hear(turn);
        side
    }
}

#[test]
fn a_loan_in_hand_goes_as_long_as_the_number_stays() {
    let mut side = Side::with_a_permit_in_hand(900, 99);
    side.edit(900);
    assert!(matches!(side.call(), Admission::Granted(_)));
    assert_eq!(side.settle(), [0; 0]);
}

#[test]
fn a_loan_made_before_a_number_was_lowered_is_not_spent_after_it() {
    let mut side = Side::with_a_permit_in_hand(900, 99);
    side.edit(99);
    let admission = side.call();
    assert!(matches!(admission, Admission::Waiting(_)), "a hundredth call of 99: {admission:?}");
    assert_eq!(side.settle(), [1], "it goes back");
    assert_eq!(side.used(), 99);
    assert!(matches!(side.call(), Admission::Refused(_)));
}

#[test]
fn nor_is_one_that_was_asked_for_before_and_comes_after() {
    let mut side = Side::new(900, 99);
    assert!(matches!(side.call(), Admission::Waiting(_)));
    let turn = side.ask().unwrap();
    side.edit(99);
    assert!(matches!(side.call(), Admission::Waiting(_)));
    side.hear(turn);
    assert!(side.limiter.next_ready().is_none_or(|(_, outcome)| outcome.is_err()), "a hundredth call of 99");
    assert_eq!(side.settle(), [1], "it goes back");
    assert_eq!(side.used(), 99);
}

/// The smallest number declared holds for all, also that of a connection that makes no call after the edit.
#[test]
fn a_pool_hears_of_a_new_number_though_nobody_calls() {
    let mut side = Side::new(900, 99);
    side.settle();
    for (amount, mode) in [(99, Mode::Enforce), (98, Mode::Enforce), (97, Mode::Observe)] {
        side.now += 5_000;
        side.limiter.replan(Plan { mode, ..plan(amount) }, at(side.now), |_, _| None);
        let turn = side.ask().unwrap();
        assert_eq!((turn.0.amount, turn.0.want), (amount, 0));
        side.hear(turn);
    }
}

/// What was empty by the number before need not be by the new one.
#[test]
fn a_pool_that_was_empty_is_asked_anew_when_the_number_is_raised() {
    let mut side = Side::new(99, 99);
    assert!(matches!(side.call(), Admission::Waiting(_)));
    side.settle();
    assert!(side.limiter.next_ready().is_some_and(|(_, outcome)| outcome.is_err()), "it is known to be empty");
    assert!(matches!(side.call(), Admission::Refused(_)));
    side.edit(900);
    assert!(matches!(side.call(), Admission::Waiting(_)));
    side.settle();
    assert!(side.limiter.next_ready().is_some_and(|(_, outcome)| outcome.is_ok()));
}

/// A permit that one pool has lent does not count on another pool's day.
#[test]
fn what_one_pool_has_lent_is_not_spent_on_another_which_hears_once_what_was_sent_before() {
    let other = |amount| {
        let mut plan = plan(amount);
        plan.limits[0].pool = Some("other".to_owned());
        plan
    };
    let mut side = Side::with_a_permit_in_hand(900, 0);
    assert!(matches!(side.call(), Admission::Granted(_)));
    side.settle();
    assert!(matches!(side.call(), Admission::Waiting(_)));
    side.settle();
    assert!(side.limiter.next_ready().is_some_and(|(_, outcome)| outcome.is_ok()));
    side.limiter.replan(other(900), at(side.now), |_, _| None);
    assert!(matches!(side.call(), Admission::Waiting(_)), "it has no permit of that pool's");
    let (pool, _, words) = side.limiter.next_borrow(at(side.now)).unwrap();
    assert_eq!((pool.as_str(), words.owes, words.want, words.unused), ("other", 2, 1, 0));
    assert!(side.limiter.next_borrow(at(side.now)).is_none(), "it is said once");
}

#[test]
fn a_connection_that_is_only_watched_tells_its_pool_each_second_of_what_it_has_sent_and_then_rests() {
    let mut side = Side::new(900, 0);
    side.limiter = Limiter::new(Plan { mode: Mode::Observe, ..plan(900) }, at(NOON));
    // Wakes until there is nothing to wake for. Gives what the pool was told meanwhile.
    let rest = |side: &mut Side| {
        let (mut told, mut woken) = (Vec::new(), 0);
        while let Some(wake) = side.limiter.next_wakeup() {
            (side.now, woken) = (wake, woken + 1);
            assert!(woken < 5, "it does not come to rest");
            side.limiter.wake(at(wake));
            side.limiter.snapshot_due();
            while let Some(turn) = side.ask() {
                assert_eq!(turn.0.want, 0, "nothing is borrowed");
                told.push((side.now, turn.0.owes));
                side.hear(turn);
            }
        }
        told
    };
    assert_eq!(side.settle().len(), 1, "it says what it declares");
    assert_eq!(rest(&mut side), []);
    side.now += 60_000;
    let begun = side.now;
    assert!(matches!(side.call(), Admission::Granted(_)));
    let turn = side.ask().unwrap();
    assert_eq!((turn.0.owes, turn.0.want), (1, 0));
    side.hear(turn);
    for _ in 0..3 {
        side.now += 100;
        assert!(matches!(side.call(), Admission::Granted(_)));
        assert!(side.ask().is_none(), "it was told within a second");
    }
    side.limiter.snapshot_due();
    assert_eq!(rest(&mut side), [(begun + 1_000, 3)]);
    assert_eq!(side.used(), 4);
}

#[test]
fn no_more_than_ten_thousand_wait_for_a_loan() {
    let mut side = Side::new(900, 0);
    let waiting = (0..10_001).take_while(|_| matches!(side.call(), Admission::Waiting(_))).count();
    assert_eq!(waiting, 10_000);
}

#[test]
fn a_permit_in_hand_is_not_yet_used() {
    let mut side = Side::with_a_permit_in_hand(900, 99);
    assert_eq!(side.used(), 99);
    assert!(matches!(side.call(), Admission::Granted(_)));
    assert_eq!(side.used(), 100);
}
