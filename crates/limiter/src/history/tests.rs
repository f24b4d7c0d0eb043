use super::*;
use proptest::prelude::*;

#[test]
fn a_month_of_calls_takes_some_hundred_entries() {
    let mut history = History::default();
    for minute in 0..31 * 1_440_i64 {
        history.push(minute * 60_000, 3, 10);
    }
    assert!(history.stretches.len() <= MOST, "{}", history.stretches.len());
    assert!(history.stored(31 * 86_400_000).len() < 260);
}

#[test]
fn what_is_not_known_is_not_told() {
    let mut history = History::resume(Vec::new(), Some(1_000), None, 0);
    history.push(2_000, 1, 7);
    assert_eq!((history.calls_since(999), history.calls_since(1_000)), (None, Some(1)));
    history.lose_bytes(3_000);
    assert_eq!((history.bytes_since(2_999), history.bytes_since(3_000)), (None, Some(0)));
}

#[test]
fn calls_within_a_second_or_dated_back_are_kept_with_the_last_as_of_the_latest_of_them() {
    let mut history = History::default();
    for (at, calls, kept) in [(5_000, 1, 1), (5_999, 2, 1), (4_000, 4, 1), (6_000, 8, 2), (5_500, 16, 2)] {
        history.push(at, calls, 10 * u64::from(calls));
        assert_eq!(history.stretches.len(), kept, "{at}");
    }
    let stretch = |first, last, calls| Stretch { first, last, calls, bytes: 10 * calls };
    assert_eq!(history.stored(6_000), [stretch(5_000, 5_999, 7), stretch(6_000, 6_000, 24)]);
    assert_eq!(
        (history.calls_since(5_999), history.calls_since(6_000), history.calls_since(6_001)),
        (Some(31), Some(24), Some(0))
    );
    assert_eq!((history.bytes_since(6_000), history.last()), (Some(240), Some(6_000)));
}

#[test]
fn what_is_older_than_any_window_is_forgotten_and_what_is_not_is_kept() {
    const LATER: i64 = 5 * 86_400_000;
    let mut history = History::default();
    history.push(0, 1, 1);
    history.push(LATER, 2, 2);
    assert_eq!(history.stored(KEPT_MS).len(), 2);
    assert_eq!(history.stored(KEPT_MS + 1), [Stretch { first: LATER, last: LATER, calls: 2, bytes: 2 }]);
    assert!(history.stored(KEPT_MS + LATER + 1).is_empty());
}

#[test]
fn the_past_comes_from_disk_later_by_what_clocks_may_differ_and_in_order() {
    let stretch = |first, last| Stretch { first, last, calls: 3, bytes: 7 };
    let history = History::resume(vec![stretch(40, 50), stretch(10, 20)], Some(5), Some(15), 100);
    assert_eq!(history.since(i64::MIN).copied().collect::<Vec<_>>(), [stretch(110, 120), stretch(140, 150)]);
    assert_eq!((history.known_from(), history.bytes_known_from(), history.last()), (Some(105), Some(115), Some(150)));
    assert_eq!((history.calls_since(105), history.calls_since(104)), (Some(6), None));
    assert_eq!(
        (history.bytes_since(115), history.bytes_since(114), history.bytes_since(121)),
        (Some(14), None, Some(7))
    );
    assert_eq!(History::resume(Vec::new(), Some(5), Some(9), 0).last(), Some(9));
    assert_eq!(History::default().last(), None);
}

#[test]
fn bytes_once_lost_stay_so_and_no_earlier_loss_brings_them_back() {
    let mut history = History::default();
    history.lose_bytes(50);
    history.lose_bytes(20);
    assert_eq!(
        (history.bytes_known_from(), history.calls_since(0), history.bytes_since(49)),
        (Some(50), Some(0), None)
    );
}

proptest! {
    #[test]
    fn it_never_tells_less_than_was_and_little_more(gaps in prop::collection::vec(0_i64..400_000, 1..2_000), part in 0_i64..1_000) {
        let (mut history, mut ends, mut at) = (History::default(), Vec::new(), 0);
        for gap in gaps {
            at += gap;
            history.push(at, 1, 2);
            ends.push(at);
        }
        let from = at * part / 1_000;
        let count = |from: i64| ends.iter().filter(|end| **end >= from).count() as u64;
        let told = history.calls_since(from).unwrap();
        prop_assert!(told >= count(from));
        // An entry lies within an eighth of its age, and what is put together is looked at anew only now and then.
        prop_assert!(told <= count(from - (at - from) / 6 - 2_000));
        prop_assert_eq!(history.bytes_since(from), Some(2 * told));
    }
}
