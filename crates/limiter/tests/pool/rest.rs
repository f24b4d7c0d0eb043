//! A connection whose pool has nothing left for it comes to rest, though its jobs wait: it asks less and less. And what it declares reaches
//! the pool, and stays known there.

use super::{MIDNIGHT, NOON, at, plan, utc};
use sluice_limiter::pool::{LoanGrant, LoanRequest, Pool};
use sluice_limiter::{Admission, Call, Limiter, Plan, SKEW_MS};

/// An object whose timer is farther off than this sleeps till then, milliseconds: another epoch
/// wakes.
const SLEEPS_MS: i64 = 70_000;
/// From one ask to the next passes twice as long each time: twelve hours are 16 asks of 1 s and more, and after each the object wakes
/// to write down what it has heard, and once or twice more if something was lent.
const MOST_WAKES: u32 = 110;

/// A plan whose connection has so many limits that are the same pool's.
fn limits(amounts: &[u64]) -> Plan {
    let mut limits = Vec::new();
    for amount in amounts {
        let mut of_one = plan(*amount);
        of_one.limits[0].name = format!("day {}", limits.len());
        limits.append(&mut of_one.limits);
    }
    Plan { limits, ..plan(1) }
}

fn words(who: &str, turn: u64, want: u32, owes: u64, amount: u64) -> LoanRequest {
    LoanRequest {
        who: who.to_owned(),
        epoch: 1,
        turn,
        want,
        unused: 0,
        owes,
        amount,
        reset: utc(),
        vendor: 0,
        life_ms: 1_000,
    }
}

/// One connection of an object that sleeps, with a job that waits or without one; and its pool.
struct Object {
    now: i64,
    plan: Plan,
    limiter: Limiter,
    row: Vec<u8>,
    pool: Pool,
    /// The pool's object cannot be asked.
    silent: bool,
    job_waits: bool,
    lives: u32,
    wakes: u32,
    asks: u32,
    went: u32,
}

impl Object {
    /// Another connection, that declares 1,000, has used some of the pool's day.
    fn new(plan: Plan, used: u64) -> Self {
        let mut pool = Pool::new(&utc(), at(NOON));
        pool.borrow(at(NOON), &words("another", 1, 0, used, 1_000));
        let limiter = Limiter::new(plan.clone(), at(NOON));
        Self {
            now: NOON,
            plan,
            limiter,
            row: Vec::new(),
            pool,
            silent: false,
            job_waits: false,
            lives: 1,
            wakes: 0,
            asks: 0,
            went: 0,
        }
    }

    fn keep_a_job(&mut self) {
        self.job_waits = true;
        let mask = (1 << self.plan.limits.len()) - 1;
        self.limiter.want(at(self.now), "a", mask, 1, 3).unwrap();
        self.finish();
    }

    /// What every event ends with. Of several asks of one moment now the first comes first at the pool, now the last.
    fn finish(&mut self) {
        loop {
            self.store();
            while self.limiter.next_job().is_some() {
                (self.went, self.job_waits) = (self.went + 1, false);
            }
            let mut asks: Vec<_> = std::iter::from_fn(|| self.limiter.next_borrow(at(self.now))).collect();
            if asks.is_empty() {
                return;
            }
            self.asks += u32::try_from(asks.len()).unwrap();
            if self.asks.is_multiple_of(3) {
                asks.reverse();
            }
            self.now += 10;
            let mut heard: Vec<(u32, u64, Option<LoanGrant>)> = Vec::new();
            for (_, limit, words) in asks {
                let words = LoanRequest { who: format!("mine/{}", words.who), ..words };
                let lent = (!self.silent).then(|| self.pool.borrow(at(self.now), &words));
                heard.push((limit, words.turn, lent));
            }
            for (limit, turn, lent) in heard {
                self.limiter.lent(at(self.now), limit, turn, lent);
            }
        }
    }

    fn store(&mut self) {
        if let Some(row) = self.limiter.snapshot_due() {
            self.row = row;
        }
    }

    /// Another epoch begins from what is stored.
    fn live_anew(&mut self) {
        self.lives += 1;
        self.limiter = Limiter::load(self.plan.clone(), &self.row, at(self.now), SKEW_MS).unwrap();
        if self.job_waits {
            self.keep_a_job();
        }
    }

    /// Lets time pass, and wakes the object whenever it wants to be woken.
    fn rest(&mut self, until: i64) {
        while let Some(wake) = self.limiter.next_wakeup().filter(|wake| *wake < until) {
            let sleeps = wake - self.now > SLEEPS_MS;
            (self.now, self.wakes) = (wake, self.wakes + 1);
            if sleeps {
                self.live_anew();
            }
            self.limiter.wake(at(self.now));
            self.finish();
        }
        self.now = until;
    }

    fn call(&mut self) -> Admission {
        let call = Call {
            app: "a",
            mask: 1,
            id: u128::from(self.asks) + 1,
            again: false,
            waited_ms: 0,
            wait_ms: None,
            urgency: 3,
        };
        self.limiter.admit(at(self.now), call)
    }
}

/// A world's seed 3354 led here: the last permit was lent to one limit, then to the other, each time in vain.
#[test]
fn the_last_permit_of_a_pool_is_not_lent_to_one_limit_and_the_other_in_turns_without_end() {
    let mut object = Object::new(limits(&[1_000, 1_000]), 999);
    object.keep_a_job();
    object.rest(MIDNIGHT - 5_000);
    assert_eq!(object.went, 0, "it takes two");
    assert!(object.wakes <= MOST_WAKES, "woken {} times", object.wakes);
    object.rest(MIDNIGHT + 30_000);
    assert_eq!(object.went, 1);
}

/// The other half of it: between two asks the object slept, and its next epoch knew of no ask.
#[test]
fn a_life_that_wakes_knows_that_its_pool_was_empty() {
    let mut object = Object::new(limits(&[1_000]), 1_000);
    object.keep_a_job();
    object.rest(MIDNIGHT - 5_000);
    assert!(object.lives > 3, "{} lives", object.lives);
    assert!(object.wakes <= MOST_WAKES, "woken {} times", object.wakes);
    assert_eq!(object.limiter.limits()[0].used, 1_000, "and what the pool has said of its day");
    object.rest(MIDNIGHT + 30_000);
    assert_eq!(object.went, 1);
}

#[test]
fn a_pool_that_cannot_be_asked_is_asked_once_a_minute_for_jobs() {
    let mut object = Object::new(limits(&[1_000]), 0);
    object.silent = true;
    object.keep_a_job();
    object.rest(MIDNIGHT - 5_000);
    assert!(object.asks <= 12 * 60 + 20, "asked {} times", object.asks);
    object.silent = false;
    object.rest(MIDNIGHT + 60_000);
    assert_eq!(object.went, 1);
}

/// What others had not spent may have come back.
#[test]
fn a_call_that_comes_asks_an_empty_pool_anew_after_five_minutes() {
    let mut object = Object::new(limits(&[1_000]), 1_000);
    object.keep_a_job();
    object.rest(NOON + 3 * 3_600_000);
    assert!(matches!(object.call(), Admission::Waiting(_)));
    object.finish();
    assert!(object.limiter.next_ready().is_some_and(|(_, outcome)| outcome.is_err()), "it is still empty");
    assert!(matches!(object.call(), Admission::Refused(_)), "and need not be asked again");
}

#[test]
fn a_number_that_a_life_has_not_told_its_pool_is_told_by_the_next() {
    let mut object = Object::new(limits(&[900]), 99);
    object.finish();
    object.rest(NOON + 60_000);
    assert_eq!(object.limiter.next_declaration(), None, "the pool has heard it");
    (object.plan, object.silent) = (limits(&[99]), true);
    object.limiter.replan(limits(&[99]), at(object.now), |_, _| None);
    object.finish();
    assert!(object.limiter.next_declaration().is_some_and(|at| at <= object.now + 60_000));
    object.silent = false;
    object.live_anew();
    assert!(object.limiter.next_declaration().is_some_and(|at| at <= object.now));
    object.rest(object.now + 60_000);
    assert_eq!(object.limiter.next_declaration(), None);
    let lent = object.pool.borrow(at(object.now), &words("another", 2, 1, 0, 1_000));
    assert_eq!(lent.n, 0, "a hundredth call of 99");
}

/// No call of its is one that the pool's limit counts.
#[test]
fn a_connection_that_lives_and_never_borrows_is_not_forgotten_by_its_pool() {
    let mut object = Object::new(limits(&[99]), 99);
    object.finish();
    let mut lent = None;
    for day in 1..=10 {
        object.rest(NOON + day * 86_400_000);
        object.limiter.wake(at(object.now));
        object.finish();
        let turn = 1 + u64::try_from(day).unwrap();
        object.pool.borrow(at(object.now), &words("another", 2 * turn, 0, 99, 1_000));
        lent = Some(object.pool.borrow(at(object.now), &words("another", 2 * turn + 1, 1, 0, 1_000)).n);
    }
    assert_eq!(lent, Some(0), "a hundredth call of 99 on the tenth day");
}
