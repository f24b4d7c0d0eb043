use super::*;

fn exact(calls: u64, window_ms: u64) -> Window {
    Window::new(calls, window_ms, 0, MOST_ENTRIES)
}

#[test]
fn a_settled_call_counts_for_the_window_and_a_millisecond() {
    let mut window = exact(2, 1_000);
    window.push(500, 1);
    window.expire(1_500);
    assert_eq!(window.total(), 1);
    window.expire(1_501);
    assert_eq!(window.total(), 0);
}

#[test]
fn a_settlement_dated_back_takes_its_place_in_order() {
    let mut window = exact(10, 1_000);
    window.push(500, 1);
    window.push(100, 1);
    window.push(300, 2);
    assert_eq!(
        (1..=5).map(|n| window.release(n)).collect::<Vec<_>>(),
        [Some(1_101), Some(1_301), Some(1_301), Some(1_501), None]
    );
}

#[test]
fn releases_are_found_from_either_end() {
    let mut window = exact(20, 1_000);
    for (settled, n) in [(0, 3), (10, 1), (20, 4), (30, 1), (40, 2)] {
        window.push(settled, n);
    }
    let expected = [0, 0, 0, 10, 20, 20, 20, 20, 30, 40, 40].map(|settled| Some(settled + 1_001));
    assert_eq!((1..=11).map(|n| window.release(n)).collect::<Vec<_>>(), expected);
    assert_eq!(window.release(12), None);
}

#[test]
fn a_million_a_day_are_kept_in_few_entries_that_never_expire_early_nor_a_cell_late() {
    let day = 86_400_000;
    let mut window = exact(1_000_000, day);
    for settled in (0..86_400_000).step_by(86_400) {
        window.push(settled, 1);
    }
    assert!(window.entries.len() <= 514);
    window.expire(i64::try_from(day).unwrap());
    assert_eq!(window.total(), 1_000, "the first has its millisecond left");
    window.expire(2 * 86_400_000);
    assert_eq!(window.total(), 0);
}

#[test]
fn what_is_held_anew_in_another_life_stays_where_it_was() {
    let mut window = exact(1_000_000, 86_400_000);
    (0..1_000).for_each(|settled| window.push(settled * 7_919, 1));
    for _ in 0..500 {
        let mut next = exact(1_000_000, 86_400_000);
        window.entries().for_each(|(until, n)| next.hold(until, n));
        assert_eq!(next, window);
        window = next;
    }
}

#[test]
fn a_call_that_is_taken_back_counts_no_more() {
    let mut window = exact(10, 1_000);
    window.push(500, 2);
    window.take_back(400);
    assert_eq!(window.total(), 2);
    window.take_back(500);
    window.take_back(500);
    window.take_back(500);
    assert_eq!((window.total(), window.release(1)), (0, None));
}

#[test]
fn only_the_latest_are_kept_when_more_are_let_through() {
    let mut window = exact(3, 1_000);
    (1..=5).for_each(|settled| window.push(settled, 1));
    window.keep_latest(3);
    assert_eq!((window.total(), window.release(1)), (3, Some(1_004)));
}

#[test]
fn counts_beyond_32_bits_run_out_whole() {
    let mut window = exact(1_000_000_000, 1_000);
    (0..3).for_each(|_| window.push(5, u32::MAX));
    window.expire(10_000);
    assert_eq!(window.total(), 0);
}

#[test]
fn an_empty_window_gives_its_memory_back() {
    let mut window = exact(2_048, 1_000);
    (0..2_048).for_each(|settled| window.push(settled, 1));
    window.expire(10_000);
    assert!(window.entries.capacity() <= SMALL, "{}", window.entries.capacity());
}
