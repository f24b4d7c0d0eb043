//! How many rows are written: reservations are to keep them few, however soon the vendor answers.
#![allow(clippy::float_arithmetic, reason = "a ratio to be held against a bound")]

use super::harness::{Harness, NOON, call, daily, limit, plan, slots, window, zone};
use sluice_limiter::{Admission, Call, Kind, Limiter, Outcome, PermitId, SKEW_MS, Unit};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Calls that come and are answered, whose settlements wait for the row, as in a tenant's state.
struct Traffic {
    harness: Harness,
    rng: fastrand::Rng,
    /// When answers come, and what they settle.
    answers: BinaryHeap<Reverse<(i64, u64)>>,
    permits: Vec<PermitId>,
}

impl Traffic {
    fn new(seed: u64) -> Self {
        let harness = Harness::new(plan(vec![window(1_000_000, 10), slots(1_000), daily(1_000_000, zone("Etc/UTC"))]));
        Self { harness, rng: fastrand::Rng::with_seed(seed), answers: BinaryHeap::new(), permits: Vec::new() }
    }

    /// Goes on to a time, settling what is answered until then.
    fn go_to(&mut self, at: i64) {
        while let Some(&Reverse((answered, permit))) = self.answers.peek().filter(|next| next.0.0 <= at) {
            self.answers.pop();
            self.harness.go_to(answered);
            self.harness.settle(self.permits[permit as usize], Outcome::Answered);
            self.harness.limiter.await_snapshot();
        }
        self.harness.go_to(at);
    }

    /// A call now, answered after `latency` milliseconds.
    fn call(&mut self, latency: i64) {
        let Admission::Granted(grant) = self.harness.admit(Call { wait_ms: Some(0), ..call("a") }) else {
            panic!("no limit is near");
        };
        self.answers.push(Reverse((self.harness.now + latency, self.permits.len() as u64)));
        self.permits.push(grant.permit);
    }

    /// Rows a call over 100 seconds of it. `gap`: milliseconds to the next calls; `burst`: how many come together.
    fn rows_a_call(
        mut self,
        gap: impl Fn(&mut fastrand::Rng) -> i64,
        burst: impl Fn(&mut fastrand::Rng) -> usize,
        latency: std::ops::RangeInclusive<i64>,
    ) -> f64 {
        while self.harness.now < NOON + 100_000 {
            let next = self.harness.now + gap(&mut self.rng);
            self.go_to(next);
            for _ in 0..burst(&mut self.rng) {
                let latency = self.rng.i64(latency.clone());
                self.call(latency);
            }
        }
        let rows = self.harness.rows.len() as f64 / self.permits.len() as f64;
        println!("{} calls, {rows:.4} rows a call", self.permits.len());
        rows
    }
}

#[test]
fn a_hundred_calls_a_second_that_are_answered_at_once_write_a_fiftieth_of_a_row_each() {
    let rows = Traffic::new(1).rows_a_call(|_| 10, |_| 1, 0..=2);
    assert!(rows <= 0.02, "{rows} rows a call");
}

#[test]
fn sixteen_callers_that_come_in_bursts_write_hardly_more() {
    let rows = Traffic::new(2).rows_a_call(|rng| rng.i64(1..170), |rng| rng.usize(1..=16), 0..=2);
    assert!(rows <= 0.03, "{rows} rows a call");
    let rows = Traffic::new(3).rows_a_call(|rng| rng.i64(1..170), |rng| rng.usize(1..=16), 0..=40);
    assert!(rows <= 0.03, "{rows} rows a call");
}

#[test]
fn five_calls_a_second_write_a_quarter_of_a_row_each_and_one_in_a_minute_two() {
    let rows = Traffic::new(4).rows_a_call(|rng| rng.i64(1..400), |_| 1, 0..=2);
    assert!(rows <= 0.3, "{rows} rows a call");
    let rows = Traffic::new(5).rows_a_call(|_| 60_000, |_| 1, 0..=200);
    assert!(rows <= 2.0, "{rows} rows a call");
}

#[test]
fn a_block_begins_where_the_last_one_was_and_the_smaller_the_longer_ago_that_is() {
    let spared = |pause: i64| {
        let mut traffic = Traffic::new(6);
        for at in 0..200 {
            traffic.go_to(NOON + at * 10);
            traffic.call(1);
        }
        traffic.go_to(NOON + 2_000 + pause);
        traffic.call(1);
        let row = traffic.harness.rows.last().unwrap();
        let mut next =
            Limiter::load(plan(vec![daily(1_000_000, zone("Etc/UTC"))]), row, traffic.harness.time(), SKEW_MS).unwrap();
        next.tick(traffic.harness.time());
        next.limits()[0].used - 201
    };
    let (soon, late) = (spared(1_500), spared(4_000));
    assert!((50..=130).contains(&soon), "{soon} permits in doubt");
    assert!((5..=soon / 3).contains(&late), "{late} permits in doubt, {soon} after less");
    assert_eq!(spared(12_000), 0);
}

#[test]
fn permits_that_a_row_named_for_want_of_a_later_one_are_taken_back_within_a_second() {
    // Bytes are stored as soon as they are known, so the last row is a settlement's, and it comes
    // while the reservation is not over.
    let bytes = limit("bytes", Kind::Daily { amount: 1 << 40, reset: zone("Etc/UTC"), unit: Unit::ResponseBytes });
    let limits = vec![daily(1_000, zone("Etc/UTC")), bytes];
    let mut harness = Harness::new(plan(limits.clone()));
    for _ in 0..4 {
        harness.call("a").unwrap();
    }
    harness.go_to(harness.now + 1_100);
    let mut next = Limiter::load(plan(limits), harness.rows.last().unwrap(), harness.time(), SKEW_MS).unwrap();
    next.tick(harness.time());
    assert_eq!(next.limits()[0].used, 4);
}
