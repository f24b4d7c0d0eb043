//! Buckets and windows against models of them that are too simple to be wrong.

use crate::limits::rolling_window::{MOST_ENTRIES, Window};
use crate::limits::token_bucket::{Bucket, Refill};
use proptest::prelude::*;

const WHOLE: u32 = 1_000_000;

/// A bucket, as what it owes: millionths of a microsecond at the whole rate.
struct Owed {
    token: i128,
    burst: i128,
    owed: i128,
}

impl Owed {
    fn new(rate_micro: u64, burst: u64) -> Self {
        let micros = 1_000_000_000_000_i128 / i128::from(rate_micro);
        let whole = micros * i128::from(rate_micro) == 1_000_000_000_000;
        Self { token: (micros + i128::from(!whole)) * 1_000_000, burst: i128::from(burst), owed: 0 }
    }

    fn left(&self, in_flight: u64) -> u64 {
        let mut left = self.burst - i128::from(in_flight);
        let mut owed = self.owed;
        while owed > 0 && left > 0 {
            (left, owed) = (left - 1, owed - self.token);
        }
        u64::try_from(left.max(0)).unwrap()
    }

    fn pass(&mut self, ms: i64, factor: u32) {
        self.owed = (self.owed - i128::from(ms) * 1_000 * i128::from(factor)).max(0);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Pass(i64),
    Factor(u32),
    Settle(u32),
    Forgive,
    Drain,
    Store,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_i64..2_000).prop_map(Step::Pass),
        1 => (100_000_u32..=WHOLE).prop_map(Step::Factor),
        4 => (1_u32..4).prop_map(Step::Settle),
        1 => Just(Step::Forgive),
        1 => Just(Step::Drain),
        1 => Just(Step::Store),
    ]
}

proptest! {
    #[test]
    fn a_bucket_owes_what_was_settled_less_what_has_come_back(
        rate in 300_000_u64..20_000_000,
        burst in 1_u64..12,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let (mut bucket, mut model) = (Bucket::new(rate, burst), Owed::new(rate, burst));
        let (mut refill, mut time, mut factor) = (Refill::new(1_000), 1_000, WHOLE);
        for step in steps {
            let reading = refill.at(time, factor);
            match step {
                Step::Pass(ms) => {
                    time += ms;
                    model.pass(ms, factor);
                }
                Step::Factor(to) => {
                    refill.change(time, factor);
                    factor = to;
                }
                Step::Settle(n) => {
                    bucket.settle(reading, n);
                    model.owed += i128::from(n) * model.token;
                }
                Step::Forgive => {
                    bucket.forgive(reading);
                    model.owed = model.owed.min(model.burst * model.token);
                }
                Step::Drain => {
                    bucket.drain(reading);
                    model.owed = model.owed.max(model.burst * model.token);
                }
                Step::Store => {
                    let debt = bucket.debt(reading);
                    bucket = Bucket::new(rate, burst);
                    bucket.resume(debt, reading);
                }
            }
            let reading = refill.at(time, factor);
            prop_assert_eq!(bucket.is_full(reading), model.owed == 0);
            for in_flight in 0..=burst + 1 {
                let left = model.left(in_flight);
                prop_assert_eq!(bucket.left(reading, in_flight), left);
                prop_assert_eq!(bucket.has_room(reading, in_flight), left > 0);
                let wait = bucket.wait_ms(reading, in_flight, 0, factor);
                prop_assert_eq!(wait == 0, left > 0);
                prop_assert_eq!(bucket.wait_ms(reading, 0, in_flight, factor), wait);
                let by_time = bucket.wait_by_time_ms(reading, in_flight, factor);
                prop_assert_eq!(by_time, (in_flight < burst).then_some(wait));
            }
        }
    }

    #[test]
    fn a_window_counts_each_call_until_its_time_and_lets_them_go_in_that_order(
        steps in prop::collection::vec((0_i64..400, -900_i64..=0, 0_u32..4, 0_u8..8), 1..80),
    ) {
        let mut window = Window::new(2_000, 1_000, 50, MOST_ENTRIES);
        // Until when each call counts.
        let (mut model, mut time): (Vec<i64>, i64) = (Vec::new(), 10_000);
        for (pass, dated, n, what) in steps {
            time += pass;
            window.expire(time);
            model.retain(|until| *until > time);
            let settled = time + dated;
            match what {
                0 => {
                    window.take_back(settled);
                    if let Some(at) = model.iter().position(|until| *until == settled + 1_051) {
                        model.remove(at);
                    }
                }
                1 => {
                    window.keep_latest(5);
                    model.drain(..model.len().saturating_sub(5));
                }
                _ => {
                    window.push(settled, n);
                    model.extend((0..n).map(|_| settled + 1_051));
                }
            }
            model.sort_unstable();
            prop_assert_eq!(window.total(), model.len() as u64);
            for nth in 1..model.len() + 3 {
                prop_assert_eq!(window.release(nth as u64), model.get(nth - 1).copied());
            }
            let soon = time + 300;
            prop_assert_eq!(window.expiring_by(soon), model.iter().filter(|until| **until <= soon).count() as u64);
            let mut longer = Window::new(2_000, 3_000, 0, MOST_ENTRIES);
            longer.take_over(&window);
            let later: Vec<i64> = model.iter().map(|until| until + 3_001 - 1_051).collect();
            prop_assert_eq!(longer.entries().flat_map(|(until, n)| (0..n).map(move |_| until)).collect::<Vec<_>>(), later);
        }
    }

    #[test]
    fn a_window_that_keeps_cells_counts_no_call_shorter_than_it_must_nor_a_cell_longer(
        gaps in prop::collection::vec(0_i64..60, 1..400),
        most in 1_usize..40,
    ) {
        let mut window = Window::new(1_000, 2_000, 0, most);
        let cell = 2_001 / i64::try_from(most).unwrap();
        let (mut model, mut time) = (Vec::new(), 0);
        for gap in gaps {
            time += gap;
            window.push(time, 1);
            model.push(time + 2_001);
            window.expire(time);
            let still = |late: i64| model.iter().filter(|until| **until + late > time).count() as u64;
            prop_assert!((still(0)..=still(cell)).contains(&window.total()));
            prop_assert!(window.entries().count() <= most + 3);
        }
    }
}

#[test]
fn a_bucket_has_a_pace_that_its_rate_and_factor_tell_rounded_up() {
    let paces =
        [(1_000_000, WHOLE, 1_000), (1_000_000, 500_000, 2_000), (15_000_000, WHOLE, 67), (300_000, WHOLE, 3_334)];
    for (rate, factor, pace) in paces {
        assert_eq!(Bucket::new(rate, 9).pace_ms(factor), pace);
    }
}

#[test]
fn a_bucket_is_slower_than_one_of_a_higher_rate_and_not_than_its_like() {
    let [slow, like, quick] =
        [(1_000_000, 9), (1_000_000, 3), (1_000_002, 9)].map(|(rate, burst)| Bucket::new(rate, burst));
    assert!(slow.is_slower_than(&quick) && !quick.is_slower_than(&slow));
    assert!(!slow.is_slower_than(&like) && !like.is_slower_than(&slow));
}

#[test]
fn what_one_bucket_owes_another_owes_in_tokens_and_parts_of_one_never_less() {
    let clock = Refill::new(0);
    for (rate, other) in [(1_000_000, 10_000_000), (7_000_000, 3_000_000), (10_000_000, 300_000)] {
        let mut from = Bucket::new(other, 50);
        from.settle(clock.at(0, WHOLE), 7);
        for time in (0..2_000).step_by(37) {
            let reading = clock.at(time, WHOLE);
            let mut bucket = Bucket::new(rate, 50);
            bucket.settle(reading, 2);
            bucket.take_over(&from, reading);
            // 2, and what the other owes, to a millionth of a token.
            let owed =
                |bucket: &Bucket| (i128::from(bucket.debt(reading).0) << 64) + i128::from(bucket.debt(reading).1);
            let tokens = |owed: i128, rate: u64| owed / i128::from(1_000_000_000_000_u64.div_ceil(rate));
            let more = tokens(owed(&bucket), rate) - 2_000_000 - tokens(owed(&from), other);
            assert!((0..=1).contains(&more), "{more} millionths of a token at {time}");
        }
    }
}

#[test]
fn a_torn_debt_is_cut_at_a_million_bursts() {
    let mut bucket = Bucket::new(1_000_000, 2);
    bucket.resume((u64::MAX, u64::MAX), 5);
    assert_eq!(bucket.wait_ms(5, 0, 0, WHOLE), 1_999_999_000);
    bucket.resume((0, 1_500_000_000_000), 5);
    assert_eq!((bucket.left(5, 0), bucket.wait_ms(5, 1, 0, WHOLE)), (0, 1_500));
}

#[test]
fn a_call_dated_before_the_rate_changed_comes_back_as_if_the_rate_had_been_least_until_then() {
    let mut refill = Refill::new(1_000);
    refill.change(3_000, WHOLE);
    assert_eq!(refill.at(2_000, 500_000), refill.at(3_000, 500_000));
    assert_eq!(refill.at(3_000, 500_000) - refill.at_most(2_500, 500_000, 100_000), 500 * 1_000 * 100_000);
    assert_eq!(refill.at_most(4_000, 500_000, 100_000), refill.at(4_000, 500_000));
    // A change that is dated before the last takes nothing back.
    let reading = refill.at(3_000, 500_000);
    refill.change(2_000, 500_000);
    assert_eq!(refill.at(3_000, WHOLE), reading);
}
