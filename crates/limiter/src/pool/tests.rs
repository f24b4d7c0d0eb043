use super::*;
use crate::calendar::Zone;

/// 2026-06-15 12:00 UTC.
const NOON: i64 = 1_781_524_800_000;

fn at(wall: i64) -> Now<'static> {
    Now { wall, zones: &sluice_testkit::no_zones }
}

fn utc() -> Reset {
    Reset { minute: 0, zones: vec![Zone::Fixed(0)] }
}

fn ask(who: &str, turn: u64, want: u32, unused: u32) -> LoanRequest {
    LoanRequest {
        who: who.to_owned(),
        epoch: 1,
        turn,
        want,
        unused,
        owes: 0,
        amount: 1_000,
        reset: utc(),
        vendor: 0,
        life_ms: 62_000,
    }
}

#[test]
fn a_repeated_turn_is_answered_as_before_and_charged_once() {
    let mut pool = Pool::new(&utc(), at(NOON));
    let first = pool.borrow(at(NOON), &ask("a", 1, 2, 0));
    assert_eq!((first.n, first.spend_ms, first.used), (2, SPEND_MS, 2));
    let again = pool.borrow(at(NOON + 500), &ask("a", 1, 2, 0));
    assert_eq!((again.n, again.spend_ms, again.used), (2, SPEND_MS - 500, 2));
}

#[test]
fn a_clock_set_back_makes_no_loan_last_longer() {
    let mut pool = Pool::new(&utc(), at(NOON));
    let first = pool.borrow(at(NOON), &ask("a", 1, 5, 0));
    // The answer was lost, the clock set back by half an hour, the turn repeated.
    let again = pool.borrow(at(NOON - 1_800_000), &ask("a", 1, 5, 0));
    assert_eq!((again.n, again.spend_ms), (first.n, SPEND_MS));
}

#[test]
fn what_was_not_spent_comes_back_once_and_never_more_than_was_lent() {
    let mut pool = Pool::new(&utc(), at(NOON));
    pool.borrow(at(NOON), &ask("a", 1, 2, 0));
    assert_eq!(pool.borrow(at(NOON + 10), &ask("a", 2, 0, 1)).used, 1);
    assert_eq!(pool.borrow(at(NOON + 20), &ask("a", 2, 0, 1)).used, 1);
    assert_eq!(pool.borrow(at(NOON + 30), &ask("a", 3, 0, 9)).used, 1, "the turn before lent nothing");
    pool.borrow(at(NOON + 40), &ask("b", 7, 0, 1));
    assert_eq!(pool.borrow(at(NOON + 50), &ask("a", 4, 1, 0)).used, 2);
}

#[test]
fn what_a_dead_life_had_left_counts_as_spent() {
    let mut pool = Pool::new(&utc(), at(NOON));
    pool.borrow(at(NOON), &ask("a", 1, 2, 0));
    let next = pool.borrow(at(NOON + 10), &LoanRequest { epoch: 2, ..ask("a", 1, 1, 2) });
    assert_eq!(next.used, 3);
}

#[test]
fn loans_shrink_to_one_and_the_last_is_lent() {
    let mut pool = Pool::new(&utc(), at(NOON));
    let mut turn = 0;
    let mut lent = Vec::new();
    loop {
        turn += 1;
        let loan = pool.borrow(at(NOON), &ask("a", turn, 50, 0));
        if loan.n == 0 {
            assert_eq!(loan.dry_until, NOON + 12 * 3_600_000 + 1_000, "the reset, and a second for the clocks");
            break;
        }
        lent.push(loan.n);
    }
    assert_eq!(lent.iter().sum::<u32>(), 1_000);
    assert!(lent.iter().all(|n| *n <= 2) && lent.ends_with(&[1, 1, 1, 1]), "{lent:?}");
}

#[test]
fn the_smallest_number_declared_holds() {
    let mut pool = Pool::new(&utc(), at(NOON));
    for turn in 1..=300 {
        pool.borrow(at(NOON), &ask("a", turn, 1, 0));
    }
    let low = LoanRequest { amount: 300, ..ask("b", 1, 1, 0) };
    assert_eq!(pool.borrow(at(NOON), &low).n, 0);
    assert_eq!(pool.borrow(at(NOON), &ask("a", 301, 1, 0)).n, 0);
}

/// A world's seed 509: a connection that declared less than the others had been silent for a day, and was taken for one that had left.
/// From the next reset on the others were lent what they themselves declared.
#[test]
fn the_number_of_a_connection_that_is_silent_over_a_weekend_holds() {
    let day = 86_400_000;
    let mut pool = Pool::new(&utc(), at(NOON));
    pool.borrow(at(NOON), &LoanRequest { amount: 300, ..ask("low", 1, 1, 0) });
    let mut turn = 0;
    let mut lent_at = |pool: &mut Pool, now: i64| -> u32 {
        let mut lent = 0;
        loop {
            turn += 1;
            let n = pool.borrow(at(now), &ask("high", turn, 9, 0)).n;
            lent += n;
            if n == 0 {
                return lent;
            }
        }
    };
    assert_eq!(lent_at(&mut pool, NOON + 1), 299);
    // In the second at a reset in which the day before is open too, and later.
    for days in 1..=6 {
        assert_eq!(lent_at(&mut pool, NOON + days * day - day / 2 - 500), 0, "day {days}");
        assert_eq!(lent_at(&mut pool, NOON + days * day), 300, "day {days}");
    }
    for days in 7..=8 {
        lent_at(&mut pool, NOON + days * day);
    }
    assert_eq!(lent_at(&mut pool, NOON + 9 * day), 1_000, "it is not of the pool any more");
}

#[test]
fn loans_end_at_the_reset_and_what_may_be_in_flight_over_it_counts_on_both_days() {
    let midnight = NOON + 12 * 3_600_000;
    let mut pool = Pool::new(&utc(), at(NOON));
    pool.borrow(at(midnight - 600_000), &ask("a", 1, 2, 0));
    pool.borrow(at(midnight - 30_000), &ask("a", 2, 2, 0));
    let last = pool.borrow(at(midnight - 1_400), &ask("a", 3, 2, 0));
    assert_eq!((last.used, last.spend_ms), (6, 400), "to a second before, for the clocks");
    let next = pool.borrow(at(midnight), &ask("a", 4, 1, 2));
    assert_eq!(next.used, 5, "the last two loans may be in flight, and nothing comes back over the reset");
}

#[test]
fn the_vendors_count_raises_the_day_save_around_a_reset() {
    let midnight = NOON + 12 * 3_600_000;
    let mut pool = Pool::new(&utc(), at(NOON));
    assert_eq!(pool.borrow(at(NOON), &LoanRequest { vendor: 400, ..ask("a", 1, 1, 0) }).used, 401);
    assert_eq!(pool.borrow(at(midnight), &LoanRequest { vendor: 402, ..ask("a", 2, 1, 0) }).used, 1);
}

#[test]
fn a_pool_is_read_back_as_it_was_and_its_format_is_pinned() {
    let mut pool = Pool::new(&utc(), at(NOON));
    pool.borrow(at(NOON), &ask("a", 1, 2, 0));
    let row = pool.row();
    let mut next = Pool::load(&row).unwrap();
    assert_eq!(next.row(), row);
    assert_eq!(next.borrow(at(NOON + 10), &ask("a", 2, 0, 1)).used, 1);
    let hex: String = row.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, PINNED, "a changed format needs a new version and a migration");
    assert!(Pool::load(&[9]).is_err() && Pool::load(&[]).is_err());
    (0..row.len()).for_each(|end| drop(Pool::load(&row[..end])));
}

#[test]
fn connections_beyond_the_most_are_forgotten_the_longest_silent_first() {
    let mut pool = Pool::new(&utc(), at(NOON));
    for n in 0..=MOST_BORROWERS {
        pool.borrow(at(NOON + i64::try_from(n).unwrap()), &ask(&format!("t{n}"), 1, 0, 0));
    }
    assert_eq!(pool.borrowers.len(), MOST_BORROWERS);
    assert!(pool.borrowers.iter().all(|borrower| borrower.who != "t0"));
}

const PINNED: &str = "01000101000a323032362d30362d313580d09f89d96780d09f89d96780c0d2dbd96780c0d2dbd967020001c6acc1b2d96702010161e8070101028088b9b2d967a0a7b9b2d96780d09f89d967";
