use super::*;
use crate::index::{AppId, LimitId};
use proptest::prelude::*;

fn counters(numbers: &[u32]) -> Vec<CounterId> {
    numbers.iter().copied().map(CounterId).collect()
}

fn leases() -> (Leases, LaneId, LaneId) {
    let mut leases = Leases::default();
    leases.fit(2);
    let both = leases.lanes_mut().add_class(0b11, counters(&[0, 1]));
    let first = leases.lanes_mut().add_class(0b01, counters(&[0]));
    let one = leases.lanes_mut().add(AppId(0), 0b11, both, counters(&[0, 1]), counters(&[])).unwrap();
    let other = leases.lanes_mut().add(AppId(1), 0b01, first, counters(&[0]), counters(&[])).unwrap();
    (leases, one, other)
}

#[test]
fn each_meter_counts_the_lanes_it_stands_for() {
    let (mut leases, one, other) = leases();
    let permit = leases.open(1, one, 10, 100, 7, 0).unwrap();
    leases.open(1, other, 11, 100, 8, 0).unwrap();
    assert_eq!((leases.in_flight(CounterId(0)), leases.in_flight(CounterId(1))), (2, 1));
    leases.close(permit).unwrap();
    assert_eq!((leases.in_flight(CounterId(0)), leases.in_flight(CounterId(1))), (1, 0));
}

#[test]
fn a_lease_ends_once_even_when_its_place_is_taken_again() {
    let (mut leases, one, _) = leases();
    let first = leases.open(1, one, 10, 100, 7, 0).unwrap();
    assert!(leases.close(first).is_some());
    let second = leases.open(1, one, 20, 110, 8, 0).unwrap();
    assert_eq!(first.slot, second.slot);
    assert!(leases.close(first).is_none());
    assert_eq!(leases.in_flight(CounterId(0)), 1);
}

#[test]
fn leases_are_kept_in_the_order_of_their_grants() {
    let (mut leases, one, other) = leases();
    let ids: Vec<_> =
        (0..6).map(|i| leases.open(1, if i % 2 == 0 { one } else { other }, i, 100, 0, 0).unwrap()).collect();
    for gone in [0, 3, 5] {
        leases.close(ids[gone]).unwrap();
    }
    leases.open(1, one, 9, 100, 0, 0).unwrap();
    assert_eq!(leases.leases().map(|(_, lease)| lease.granted).collect::<Vec<_>>(), [1, 2, 4, 9]);
    assert_eq!(leases.oldest().unwrap().granted, 1);
    assert_eq!((leases.granted_after(2, CounterId(0)), leases.granted_after(2, CounterId(1))), (2, 2));
}

#[test]
fn a_lease_is_found_by_its_call_until_it_ends() {
    let (mut leases, one, _) = leases();
    let ids: Vec<_> = (0..100).map(|call| leases.open(1, one, 5, 100, call, 0).unwrap()).collect();
    assert_eq!(leases.of_call(77).map(|(slot, lease)| (slot, lease.seq)), Some((ids[77].slot, 77)));
    leases.close(ids[77]);
    assert_eq!(leases.of_call(77), None);
}

#[test]
fn a_call_counts_as_old_once_it_has_run_so_long_and_until_it_ends() {
    let mut leases = Leases::default();
    leases.fit(3);
    leases.watch_ages([(LimitId(1), 100)].into_iter());
    let class = leases.lanes_mut().add_class(0b11, counters(&[0, 1]));
    let lane = leases.lanes_mut().add(AppId(0), 0b11, class, counters(&[2, 0, 1]), counters(&[2])).unwrap();
    let ids: Vec<_> = (0..4).map(|at| leases.open(1, lane, at * 10, 1_000, 0, 0).unwrap()).collect();
    let mut seen = |time, closes: Option<usize>| {
        closes.map(|at| leases.close(ids[at]).unwrap());
        leases.age(time);
        (leases.aged(CounterId(1)), leases.aged(CounterId(0)))
    };
    assert_eq!(seen(99, None), (0, 0));
    assert_eq!(seen(100, None), (1, 0));
    assert_eq!(seen(119, Some(2)), (2, 0));
    assert_eq!(seen(120, Some(0)), (1, 0));
    assert_eq!(seen(500, None), (2, 0));
    leases.recount(3, 500);
    assert_eq!((leases.in_flight(CounterId(0)), leases.aged(CounterId(1))), (2, 2));
}

proptest! {
    /// Calls begin, end and grow old in any order; which limits there are may change.
    #[test]
    fn as_many_are_old_as_have_run_for_so_long(steps in prop::collection::vec((0_u8..5, 0_usize..9, 0_i64..60), 1..200)) {
        let mut leases = Leases::default();
        leases.fit(3);
        leases.watch_ages([(LimitId(1), 100)].into_iter());
        let class = leases.lanes_mut().add_class(0b11, counters(&[0, 1]));
        let lane = leases.lanes_mut().add(AppId(0), 0b11, class, counters(&[2, 0, 1]), counters(&[2])).unwrap();
        let (mut time, mut after, mut running) = (0, 100, Vec::new());
        for (step, which, wait) in steps {
            time += wait;
            leases.age(time);
            match step {
                0..=1 => running.push((time, leases.open(1, lane, time, 100_000, 0, 0).unwrap())),
                2..=3 if !running.is_empty() => {
                    let (_, permit) = running.remove(which % running.len());
                    leases.close(permit).unwrap();
                }
                4 => {
                    after = [50, 100, 150][which % 3];
                    leases.watch_ages([(LimitId(1), after)].into_iter());
                    leases.recount(3, time);
                }
                _ => {}
            }
            let old = running.iter().filter(|(granted, _)| granted + after <= time).count() as u64;
            prop_assert_eq!((leases.in_flight(CounterId(1)), leases.aged(CounterId(1))), (running.len() as u64, old));
        }
    }
}

/// All jobs' leases had one id in the table, so that each insertion went past those before it.
#[test]
fn leases_of_jobs_are_in_no_table_of_ids() {
    let (mut leases, one, _) = leases();
    let permits: Vec<_> = (0..1_000).map(|_| leases.open(1, one, 5, 100, JOB, 0).unwrap()).collect();
    let call = leases.open(1, one, 5, 100, 9, 0).unwrap();
    assert_eq!(leases.ids.count(), 1);
    for permit in permits {
        leases.close(permit).unwrap();
    }
    assert_eq!(leases.of_call(9).map(|(slot, _)| slot), Some(call.slot));
}
