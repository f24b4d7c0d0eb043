//! The stored row: its format is pinned, and what it brings back is never less than what was.

use crate::harness::{Harness, NOON, bucket, daily, limit, plan, slots, window, zone};
use sluice_limiter::{Limiter, Now, Outcome, SKEW_MS};
use std::fmt::Write;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn busy() -> Harness {
    let mut harness =
        Harness::new(plan(vec![window(9, 20), bucket(15, 15), daily(50, zone("America/Chicago")), slots(4)]));
    let permits: Vec<_> = (0..3).map(|_| harness.try_now("a").unwrap().permit).collect();
    harness.now += 700;
    harness.settle(permits[0], Outcome::Answered);
    harness.told(permits[1], 0, 30);
    harness.try_now("b").unwrap();
    harness
}

#[test]
fn the_format_is_the_one_that_earlier_builds_wrote() {
    let harness = busy();
    let row = harness.rows.last().unwrap();
    assert_eq!(hex(row), PINNED, "a changed format needs a new version and a migration");
}

#[test]
fn rows_that_this_build_and_earlier_ones_wrote_are_read() {
    [PINNED, VERSION_3, VERSION_2].into_iter().for_each(is_read);
}

fn is_read(row: &str) {
    let now = Now { wall: NOON + 900, zones: &sluice_testkit::time_zones };
    let limits = plan(vec![window(9, 20), bucket(15, 15), daily(50, zone("America/Chicago")), slots(4)]);
    let mut next = Limiter::load(limits, &bytes(row), now, SKEW_MS).unwrap();
    let used: Vec<u64> = next.limits().iter().map(|limit| limit.used).collect();
    assert!(used[0] >= 4 && used[1] >= 3 && used[2] >= 31 && used[3] >= 3, "{used:?}");
    assert_eq!(next.limits()[2].vendor_used, Some(30));
}

#[test]
fn a_row_of_version_1_is_read_and_knows_no_vendor_counts() {
    let now = Now { wall: NOON + 900, zones: &sluice_testkit::time_zones };
    let limits = plan(vec![window(9, 20), bucket(15, 15), daily(50, zone("America/Chicago")), slots(4)]);
    let mut next = Limiter::load(limits, &bytes(VERSION_1), now, SKEW_MS).unwrap();
    let limits = next.limits();
    assert!(limits[0].used >= 4 && limits[2].used >= 4 && limits[3].used >= 3, "{limits:?}");
    assert!(limits.iter().all(|limit| limit.vendor_used.is_none()));
}

/// Rows of earlier builds do not tell what the connection has sent, so a limit that comes after them begins full. It was once let go by the
/// difference when its number was raised before its window was over.
#[test]
fn a_limit_of_whose_past_not_all_is_known_stays_full_for_its_window_or_day_however_it_is_raised() {
    let other = |n| plan(vec![limit("w", window(n, 40).kind), limit("d", daily(n, zone("Asia/Tokyo")).kind)]);
    let time = Now { wall: NOON + 900, zones: &sluice_testkit::time_zones };
    let limiter = Limiter::load(other(5), &bytes(VERSION_2), time, SKEW_MS).unwrap();
    let mut harness = Harness { now: NOON + 900, limiter, rows: Vec::new(), next: 100 };
    assert_eq!(harness.used(), [5, 5]);
    harness.edit(other(50));
    assert_eq!(harness.used(), [50, 50]);
    assert_eq!(harness.limiter.daily_used().map(|(used, limit, _)| (used, limit)), Some((50, 50)));
    assert_eq!(harness.try_now("a").unwrap_err().violated, ["w", "d"]);
    harness.go_to(NOON + 200_000);
    assert_eq!((harness.used()[0], harness.try_now("a").unwrap_err().violated), (0, vec!["d".to_owned()]));
    harness.go_to(NOON + 86_400_000);
    assert!(harness.try_now("a").is_ok());
}

/// They name a limit only by its name and kind; how long its window was the counters tell, and when its day ended.
#[test]
fn a_limit_that_was_another_when_an_earlier_build_wrote_the_row_takes_the_edit_as_any_other() {
    let used_at = |wall, row: &str, seconds, day: &str| {
        let now = Now { wall, zones: &sluice_testkit::time_zones };
        let limits = vec![window(9, seconds), bucket(15, 15), daily(50, zone(day)), slots(4)];
        let mut next = Limiter::load(plan(limits), &bytes(row), now, SKEW_MS).unwrap();
        (next.limits()[0].used, next.limits()[2].used)
    };
    let used = |row: &str, seconds, day: &str| used_at(NOON + 900, row, seconds, day);
    for row in [VERSION_1, VERSION_2] {
        let (same, of_day) = used(row, 20, "America/Chicago");
        assert!(same < 9 && of_day < 50);
        assert_eq!(used(row, 30, "America/Chicago"), (9, of_day), "what the shorter one has forgotten is not known");
        assert_eq!(used(row, 10, "America/Chicago"), (same, of_day), "the longer one has forgotten nothing");
        assert_eq!(used(row, 20, "Pacific/Honolulu"), (same, of_day), "its day opens within that of the row");
        assert_eq!(used(row, 20, "Asia/Tokyo"), (same, of_day), "nothing was sent on the day before the row's");
        // Four hours later a new day has opened in Tokyo, and none in Chicago.
        let later = |day: &str| used_at(NOON + 4 * 3_600_000, row, 20, day).1;
        assert_eq!(later("America/Chicago"), of_day);
        assert!(later("Asia/Tokyo") < of_day, "what had ended before is not of it");
    }
}

#[test]
fn rows_that_are_cut_off_or_altered_are_refused_or_read_but_never_a_panic() {
    [PINNED, VERSION_3, VERSION_2, VERSION_1].into_iter().for_each(|row| survives(&bytes(row)));
}

fn survives(row: &[u8]) {
    let load = |row: &[u8]| {
        drop(Limiter::load(
            plan(vec![window(9, 20)]),
            row,
            Now { wall: NOON, zones: &sluice_testkit::time_zones },
            SKEW_MS,
        ))
    };
    (0..row.len()).for_each(|end| load(&row[..end]));
    for at in 0..row.len() {
        for bit in 0..8 {
            let mut altered = row.to_vec();
            altered[at] ^= 1 << bit;
            load(&altered);
        }
    }
}

#[test]
fn a_row_of_a_later_version_is_refused_by_name() {
    let fault = Limiter::load(plan(vec![]), &[9, 1, 2], Now { wall: NOON, zones: &sluice_testkit::time_zones }, 0)
        .err()
        .unwrap();
    assert_eq!(fault, "the stored row has version 9, this build reads 1 to 4");
}

/// As the first release wrote it.
const VERSION_1: &str = "010100f892b9b2d967f892b9b2d967e0c807040677696e646f7701066275636b657400056461696c790305736c6f747304020161016202000100074574632f5554430a323032362d30362d313580d09f89d96780d09f89d96780c0d2dbd96780c0d2dbd9670001000f416d65726963612f4368696361676f0a323032362d30362d313580f2b49ad96780f2b49ad96780e2e7ecd96780e2e7ecd9670200ffffffff0f030202010201ffffffff0f0102010004c8a2b9b2d96706000000c2b802010001010001968bc48eb292aa06020002010400030003ffffffff0f010002000300ffffffff0f01010200010000c0843dffffffffffffffffff0100ffffffffffffffffff01f892b9b2d967";

/// As builds wrote it before rows told the limits that they were written under.
const VERSION_2: &str = "020100f892b9b2d967f892b9b2d967e0c807040677696e646f7701066275636b657400056461696c790305736c6f747304020161016202000100074574632f5554430a323032362d30362d313580d09f89d96780d09f89d96780c0d2dbd96780c0d2dbd9670001000f416d65726963612f4368696361676f0a323032362d30362d313580f2b49ad96780f2b49ad96780e2e7ecd96780e2e7ecd9670200ffffffff0f030202010201ffffffff0f0102010004c8a2b9b2d96706000000c2b802010001010001968bc48eb292aa06020002011f00030003ffffffff0f010002000300ffffffff0f01010200010000c0843dffffffffffffffffff0100ffffffffffffffffff01f892b9b2d96701021e";

const PINNED: &str = "040100f892b9b2d967f892b9b2d967e0c80700040677696e646f770109a09c010000000000066275636b657400c0c393070f00000000056461696c7903320001000f416d65726963612f4368696361676f000000000005736c6f74730404000000000002000100074574632f5554430a323032362d30362d313580d09f89d96780d09f89d96780c0d2dbd96780c0d2dbd9670001000f416d65726963612f4368696361676f0a323032362d30362d313580f2b49ad96780f2b49ad96780e2e7ecd96780e2e7ecd9670201610162020000ffffffff0f03020201020101ffffffff0f0102010004c8a2b9b2d967020500000001c2b80201000001000100c0e1a6adf80100000200021f00011e00ffffffff0f01000203000000ffffffff0f010102010000000000c0843dffffffffffffffffff0100ffffffffffffffffff0101f892b9b2d967f892b9b2d9670100000000";

/// As earlier builds wrote it, which did not store what a pool has said.
const VERSION_3: &str = "030100f892b9b2d967f892b9b2d967e0c80700040677696e646f770109a09c010000000000066275636b657400c0c393070f00000000056461696c7903320001000f416d65726963612f4368696361676f000000000005736c6f74730404000000000002000100074574632f5554430a323032362d30362d313580d09f89d96780d09f89d96780c0d2dbd96780c0d2dbd9670001000f416d65726963612f4368696361676f0a323032362d30362d313580f2b49ad96780f2b49ad96780e2e7ecd96780e2e7ecd9670201610162020000ffffffff0f03020201020101ffffffff0f0102010004c8a2b9b2d967020500000001c2b80201000001000100c0e1a6adf80100000200021f00011e00ffffffff0f01000203000000ffffffff0f010102010000000000c0843dffffffffffffffffff0100ffffffffffffffffff0101f892b9b2d967f892b9b2d96701000000";
