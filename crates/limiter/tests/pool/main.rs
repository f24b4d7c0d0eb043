//! Connections on one pool, with everything lost and repeated that can be, on a virtual clock.
//!
//! The vendor counts at a random instant between a permit's grant and its settlement. It must never see more than the day's number,
//! and, but for what crashes have cost, no connection may be refused before that number is nearly used.
#![allow(
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and the world outside the pool is not in integers"
)]

mod edits;
mod rest;
mod turns;

use sluice_limiter::Denial;
use sluice_limiter::calendar::{Reset, Zone};
use sluice_limiter::pool::{LoanGrant, LoanRequest, Pool};
use sluice_limiter::{
    AdaptiveRule, Admission, AppRule, Call, Grant, Kind, Limit, Limiter, Mode, Now, Outcome, PermitId, Plan, QueueRule,
    Refused, SKEW_MS, Settlement, Ticket, Unit,
};
use std::collections::BTreeMap;

/// 2026-06-15 12:00 UTC.
const NOON: i64 = 1_781_524_800_000;
const MIDNIGHT: i64 = NOON + 12 * 3_600_000;

const fn at(wall: i64) -> Now<'static> {
    Now { wall, zones: &sluice_testkit::no_zones }
}

fn utc() -> Reset {
    Reset { minute: 0, zones: vec![Zone::Fixed(0)] }
}

fn plan(amount: u64) -> Plan {
    let kind = Kind::Daily { amount, reset: utc(), unit: Unit::Calls };
    let adaptive = AdaptiveRule::USUAL;
    Plan {
        limits: vec![Limit {
            name: "daily".to_owned(),
            kind,
            of: amount,
            per_app: false,
            pool: Some("shared".to_owned()),
            routes: 0,
        }],
        queue: QueueRule { size: 20, max_wait_ms: 5_000 },
        adaptive,
        mode: Mode::Enforce,
        apps: vec![AppRule { name: "a".to_owned(), weight: 1, daily_calls: None }],
        ceiling_ms: 9_000,
        day: utc(),
    }
}

/// What a run is like.
#[derive(Clone)]
struct Setting {
    amount: u64,
    /// Calls a second of each connection.
    rates: Vec<f64>,
    /// In thousandths: asks of the pool that are not heard, answers that are lost, words that come twice.
    lost: u32,
    /// Mean seconds between kills of a connection's life, and of the pool's; 0: none.
    kill_every: f64,
    kill_pool_every: f64,
    start: i64,
    seconds: i64,
}

enum Event {
    Arrive(usize),
    Wake(usize, u64),
    /// An ask at the pool.
    Ask(usize, u32, LoanRequest),
    /// Its answer, for that epoch.
    Answer(usize, u32, u32, u64, Option<LoanGrant>),
    Count(i64),
    Settle(usize, u32, PermitId),
    Kill(usize),
    KillPool,
}

struct Side {
    limiter: Limiter,
    row: Option<Vec<u8>>,
    life: u32,
    timer: u64,
    waiting: BTreeMap<Ticket, ()>,
}

struct World {
    setting: Setting,
    now: i64,
    rng: fastrand::Rng,
    order: u64,
    events: BTreeMap<(i64, u64), Event>,
    sides: Vec<Side>,
    pool: Pool,
    pool_row: Option<Vec<u8>>,
    /// When the vendor counted each call.
    counted: Vec<i64>,
    calls: u128,
    killed: u64,
    first_refusal: Option<(i64, Denial, u64)>,
    refused: u64,
    rows: u64,
}

impl World {
    fn run(setting: &Setting, seed: u64) -> Self {
        let start = setting.start;
        let side = || Side {
            limiter: Limiter::new(plan(setting.amount), at(start)),
            row: None,
            life: 0,
            timer: 0,
            waiting: BTreeMap::new(),
        };
        let mut world = Self {
            setting: setting.clone(),
            now: start,
            rng: fastrand::Rng::with_seed(seed),
            order: 0,
            events: BTreeMap::new(),
            sides: setting.rates.iter().map(|_| side()).collect(),
            pool: Pool::new(&utc(), at(start)),
            pool_row: None,
            counted: Vec::new(),
            calls: 0,
            killed: 0,
            first_refusal: None,
            refused: 0,
            rows: 0,
        };
        for (side, rate) in setting.rates.iter().enumerate() {
            if *rate > 0.0 {
                world.after(1, Event::Arrive(side));
            }
            world.again(setting.kill_every, Event::Kill(side));
        }
        world.again(setting.kill_pool_every, Event::KillPool);
        let end = start + setting.seconds * 1_000;
        while let Some(((when, _), event)) = world.events.pop_first() {
            if when > end {
                break;
            }
            world.now = when;
            world.happen(event);
        }
        world.counted.sort_unstable();
        world
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive(side) => self.arrive(side),
            Event::Wake(side, timer) if self.sides[side].timer == timer => {
                let now = at(self.now);
                self.sides[side].limiter.wake(now);
                self.finish(side);
            }
            Event::Ask(side, life, words) => self.ask_pool(side, life, &words),
            Event::Answer(side, life, limit, turn, lent) if self.sides[side].life == life => {
                let now = at(self.now);
                self.sides[side].limiter.lent(now, limit, turn, lent);
                self.finish(side);
            }
            Event::Count(when) => self.counted.push(when),
            Event::Settle(side, life, permit) => {
                // After a kill it reaches the next epoch.
                let _ = life;
                let report = Settlement {
                    permit,
                    attempt: 1,
                    outcome: Outcome::Answered,
                    since_headers_ms: 0,
                    response_bytes: 0,
                };
                let now = at(self.now);
                self.sides[side].limiter.settle(now, report);
                self.finish(side);
            }
            Event::Kill(side) => {
                self.killed += 1;
                let now = at(self.now);
                let fresh = match &self.sides[side].row {
                    Some(row) => Limiter::load(plan(self.setting.amount), row, now, SKEW_MS).expect("our own row"),
                    None => Limiter::new(plan(self.setting.amount), now),
                };
                let side_ = &mut self.sides[side];
                (side_.limiter, side_.life, side_.waiting) = (fresh, side_.life + 1, BTreeMap::new());
                self.again(self.setting.kill_every, Event::Kill(side));
            }
            Event::KillPool => {
                let now = at(self.now);
                self.pool = match &self.pool_row {
                    Some(row) => Pool::load(row).expect("our own row"),
                    None => Pool::new(&utc(), now),
                };
                self.again(self.setting.kill_pool_every, Event::KillPool);
            }
            _ => {}
        }
    }

    fn arrive(&mut self, side: usize) {
        self.calls += 1;
        // Half may not wait at all: for a loan they wait all the same.
        let wait_ms = self.rng.bool().then_some(0);
        let call = Call { app: "a", mask: 1, id: self.calls, again: false, waited_ms: 0, wait_ms, urgency: 3 };
        let now = at(self.now);
        let admission = self.sides[side].limiter.admit(now, call);
        match admission {
            Admission::Granted(grant) => self.granted(side, &grant),
            Admission::Refused(refused) => self.refused(&refused),
            Admission::Waiting(ticket) => drop(self.sides[side].waiting.insert(ticket, ())),
        }
        self.finish(side);
        let mean = 1_000.0 / self.setting.rates[side];
        let gap = (-(1.0 - self.rng.f64()).ln() * mean) as i64 + 1;
        self.after(gap, Event::Arrive(side));
    }

    fn granted(&mut self, side: usize, grant: &Grant) {
        let latency = self.rng.i64(20..800);
        let counted = self.now + self.rng.i64(0..=latency);
        self.at(counted, Event::Count(counted));
        let life = self.sides[side].life;
        self.after(latency, Event::Settle(side, life, grant.permit));
    }

    fn refused(&mut self, refused: &Refused) {
        self.refused += 1;
        self.first_refusal.get_or_insert((self.now, refused.reason, refused.retry_after_seconds));
    }

    /// What every event ends with: store, hand out, borrow, set the timer.
    fn finish(&mut self, side: usize) {
        let now = at(self.now);
        if let Some(row) = self.sides[side].limiter.snapshot_due() {
            self.sides[side].row = Some(row);
            self.rows += 1;
        }
        while let Some((ticket, outcome)) = self.sides[side].limiter.next_ready() {
            self.sides[side].waiting.remove(&ticket);
            match outcome {
                Ok(grant) => self.granted(side, &grant),
                Err(refused) => self.refused(&refused),
            }
        }
        while let Some((pool, limit, words)) = self.sides[side].limiter.next_borrow(now) {
            assert_eq!((pool.as_str(), limit), ("shared", 0));
            let life = self.sides[side].life;
            let words = LoanRequest { who: format!("side-{side}"), ..words };
            let trip = self.rng.i64(1..30);
            if self.chance() {
                self.after(200, Event::Answer(side, life, 0, words.turn, None));
            } else {
                if self.chance() {
                    let later = self.rng.i64(30..4_000);
                    self.after(later, Event::Ask(side, u32::MAX, words.clone()));
                }
                self.after(trip, Event::Ask(side, life, words));
            }
        }
        self.sides[side].timer += 1;
        if let Some(wake) = self.sides[side].limiter.next_wakeup() {
            assert!(wake > self.now, "woken for nothing");
            let timer = self.sides[side].timer;
            self.at(wake, Event::Wake(side, timer));
        }
    }

    fn ask_pool(&mut self, side: usize, life: u32, words: &LoanRequest) {
        let lent = self.pool.borrow(at(self.now), words);
        self.pool_row = Some(self.pool.row());
        let trip = self.rng.i64(1..30);
        let heard = (!self.chance()).then_some(lent);
        self.after(trip, Event::Answer(side, life, 0, words.turn, heard));
    }

    fn chance(&mut self) -> bool {
        self.rng.u32(0..1_000) < self.setting.lost
    }

    fn again(&mut self, mean: f64, event: Event) {
        if mean > 0.0 {
            let gap = (-(1.0 - self.rng.f64()).ln() * mean * 1_000.0) as i64 + 1;
            self.after(gap, event);
        }
    }

    fn after(&mut self, ms: i64, event: Event) {
        self.at(self.now + ms, event);
    }

    fn at(&mut self, when: i64, event: Event) {
        self.order += 1;
        self.events.insert((when, self.order), event);
    }

    /// Calls that the vendor counted in the day that holds an instant, its clock off by so much.
    fn in_day(&self, instant: i64, skew: i64) -> u64 {
        let day = |when: i64| (when - skew).div_euclid(86_400_000);
        self.counted.iter().filter(|when| day(**when) == day(instant)).count() as u64
    }
}

fn calm(rates: &[f64]) -> Setting {
    Setting {
        amount: 1_000,
        rates: rates.to_vec(),
        lost: 0,
        kill_every: 0.0,
        kill_pool_every: 0.0,
        start: NOON,
        seconds: 400,
    }
}

#[test]
fn evenly_asked_or_not_all_of_the_day_is_used_and_no_call_more() {
    for rates in [&[3.0, 3.0, 3.0][..], &[8.0, 0.5, 0.1], &[9.0, 0.0, 0.0], &[40.0, 40.0, 40.0]] {
        for seed in 0..4 {
            let world = World::run(&calm(rates), seed);
            assert_eq!(world.in_day(NOON, 0), 1_000, "{rates:?}, seed {seed}");
            let (when, reason, retry) = world.first_refusal.expect("it is spent");
            assert_eq!(reason, Denial::DailyQuota, "{rates:?}, seed {seed}");
            let by_then = world.counted.iter().filter(|counted| **counted <= when + 800).count();
            assert!(by_then >= 990, "{rates:?}, seed {seed}: {by_then} used at the first refusal");
            let told = when + i64::try_from(retry).unwrap() * 1_000;
            assert!((MIDNIGHT + 1_000..=MIDNIGHT + 2_000).contains(&told), "told to come {} ms late", told - MIDNIGHT);
        }
    }
}

#[test]
fn words_lost_and_repeated_lend_nothing_twice() {
    for seed in 0..8 {
        let world = World::run(&Setting { lost: 150, ..calm(&[5.0, 3.0, 1.0]) }, seed);
        let used = world.in_day(NOON, 0);
        assert!((990..=1_000).contains(&used), "seed {seed}: {used} used");
    }
}

#[test]
fn a_connection_killed_on_the_way_costs_ten_at_most() {
    for rates in [[3.0, 3.0, 3.0], [20.0, 1.0, 0.2]] {
        for seed in 0..12 {
            let setting = Setting { kill_every: 300.0, kill_pool_every: 60.0, ..calm(&rates) };
            let world = World::run(&setting, seed);
            let used = world.in_day(NOON, 0);
            assert!(
                used <= 1_000 && used + 3 * world.killed.max(1) >= 1_000,
                "seed {seed}: {used}, {} kills",
                world.killed
            );
        }
    }
}

#[test]
fn everything_killed_again_and_again_overruns_nothing() {
    for seed in 0..8 {
        let setting = Setting { kill_every: 4.0, kill_pool_every: 5.0, lost: 50, ..calm(&[6.0, 6.0, 2.0]) };
        let world = World::run(&setting, seed);
        let used = world.in_day(NOON, 0);
        assert!(used <= 1_000, "seed {seed}: {used}");
        assert!(used >= 700, "seed {seed}: {used} after {} kills", world.killed);
    }
}

#[test]
fn no_day_is_overrun_over_a_reset_wherever_in_its_second_the_vendors_is() {
    for seed in 0..8 {
        let setting = Setting {
            amount: 400,
            start: MIDNIGHT - 40_000,
            seconds: 120,
            kill_every: 20.0,
            kill_pool_every: 20.0,
            lost: 20,
            ..calm(&[12.0, 6.0, 3.0])
        };
        let world = World::run(&setting, seed);
        for skew in [-999, 0, 999] {
            for day in [MIDNIGHT - 20_000, MIDNIGHT + 20_000] {
                let used = world.in_day(day, skew);
                assert!(used <= 400, "seed {seed}, skew {skew}: {used}");
            }
        }
        // Less what was lent before the reset and may still have been in flight, and what 12 epochs
        // that were killed had left.
        assert!(world.in_day(MIDNIGHT + 20_000, 0) > 100, "seed {seed}: {}", world.in_day(MIDNIGHT + 20_000, 0));
    }
}

#[test]
fn a_large_pool_writes_few_rows_and_idle_connections_hold_nothing_back() {
    let setting = Setting { amount: 100_000, seconds: 60, ..calm(&[100.0, 10.0, 0.2]) };
    let world = World::run(&setting, 1);
    let rows = world.rows as f64 / world.counted.len() as f64;
    println!("{} calls, {rows:.3} rows a call", world.counted.len());
    assert!(rows < 0.5, "{rows} rows a call");
    assert_eq!(world.refused, 0);
}

/// Calls of a connection that is only watched, and what it tells its pool of them.
fn watched(start: i64, calls: u64) -> Limiter {
    let mut limiter = Limiter::new(Plan { mode: Mode::Observe, ..plan(1_000) }, at(start));
    (0..calls).for_each(|n| admit(&mut limiter, start, n));
    limiter
}

fn admit(limiter: &mut Limiter, now: i64, id: u64) {
    let id = u128::from(id) + 1;
    let call = Call { app: "a", mask: 1, id, again: false, waited_ms: 0, wait_ms: None, urgency: 3 };
    assert!(matches!(limiter.admit(at(now), call), Admission::Granted(_)));
}

/// A world's seed 661 led here. A day opens between a connection's word of its calls and the pool's answer: the answer took away calls of
/// the new day that the pool had not heard of.
#[test]
fn an_answer_of_yesterday_takes_no_calls_of_today_away() {
    let mut limiter = watched(MIDNIGHT - 1_500, 3);
    let (_, limit, words) = limiter.next_borrow(at(MIDNIGHT - 1_500)).unwrap();
    assert_eq!(words.owes, 3);
    limiter.wake(at(MIDNIGHT - 900));
    (10..15).for_each(|n| admit(&mut limiter, MIDNIGHT - 800, n));
    let heard = LoanGrant { n: 0, spend_ms: 0, used: 3, dry_until: 0 };
    limiter.lent(at(MIDNIGHT - 700), limit, words.turn, Some(heard));
    let (_, _, words) = limiter.next_borrow(at(MIDNIGHT + 500)).unwrap();
    assert_eq!(words.owes, 5);
}

/// The three are still in flight when the day opens, and count on it; the pool was not told of them before.
#[test]
fn calls_in_flight_over_a_reset_are_told_to_the_pool_after_it() {
    let mut limiter = watched(MIDNIGHT - 1_500, 3);
    let (_, _, words) = limiter.next_borrow(at(MIDNIGHT + 500)).unwrap();
    assert_eq!(words.owes, 3);
}

/// A connection is no longer watched, and then nobody calls: its pool hears all the same of what was sent last.
#[test]
fn what_a_connection_owes_is_told_though_nobody_calls() {
    let mut limiter = watched(NOON, 3);
    limiter.replan(plan(1_000), at(NOON), |_, _| None);
    let (_, limit, words) = limiter.next_borrow(at(NOON)).unwrap();
    assert_eq!((words.owes, words.want), (3, 0));
    let heard = LoanGrant { n: 0, spend_ms: 0, used: 3, dry_until: 0 };
    limiter.lent(at(NOON + 20), limit, words.turn, Some(heard));
    assert!(limiter.next_borrow(at(NOON + 20)).is_none());
}
