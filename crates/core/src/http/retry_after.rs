//! Reads `Retry-After` as vendors send it: seconds or an HTTP date, and also milliseconds or a time
//! of day, which no standard knows.

use sluice_limiter::calendar::http_date;

/// The longest time for which a vendor can close a connection, milliseconds: a day, and an hour for
/// a change of a zone's clocks. The longest honest wait is until the reset of a daily quota.
pub const LONGEST_RETRY_AFTER_MS: u64 = 25 * 3_600_000;

/// The largest number that is read as seconds.
const DAY_S: u64 = 86_400;

/// The largest number that is read as milliseconds, and the furthest that a time of day may be
/// ahead.
const DAY_MS: u64 = 86_400_000;

/// The longest list that is checked for equal members, bytes: eight dates.
const LONGEST_LIST: usize = 256;

/// Returns how long the sender of this field wants to be left alone: milliseconds, at most
/// [`LONGEST_RETRY_AFTER_MS`]. 0, or a date that has passed, asks for no pause and is still a
/// value; `None` means that the field cannot be read, and counts as if there were none. `date` is
/// the `Date` field beside it, against which times of day are measured, as the sender's clock may
/// differ from ours. `now` is our clock in Unix ms, for the case that there is no such field.
///
/// Seconds with a fraction, which RFC 9110 does not know and some vendors send, are rounded up. A
/// number of more than a day of seconds is read as milliseconds of at most a day, or as a Unix time
/// in seconds or milliseconds within the next day, or not at all. A field that was sent several
/// times and joined with commas is read as one if all of its members are equal.
pub fn retry_after_ms(field: &str, date: Option<&str>, now: i64) -> Option<u64> {
    let field = the_one(field);
    let now = date.and_then(|date| http_date(date.trim())).unwrap_or(now);
    match number(field) {
        Some(number @ ..=DAY_S) => Some(number.saturating_mul(1_000)),
        Some(number @ ..=DAY_MS) => Some(number),
        Some(number) => {
            let ahead = |at: u64| at.checked_sub(u64::try_from(now).ok()?).filter(|ahead| *ahead <= DAY_MS);
            ahead(number.saturating_mul(1_000)).or_else(|| ahead(number))
        }
        None => {
            let ahead = http_date(field)?.saturating_sub(now);
            Some(u64::try_from(ahead).unwrap_or(0).min(LONGEST_RETRY_AFTER_MS))
        }
    }
}

/// Returns how long a value in a body asks to wait, milliseconds. It is read like
/// [`retry_after_ms`], or as a duration in Google's form (`7s`, `0.5s`: protobuf's JSON form of
/// `google.protobuf.Duration`), rounded up to whole milliseconds.
pub fn wait_in_body_ms(text: &str, date: Option<&str>, now: i64) -> Option<u64> {
    let text = text.trim();
    match text.strip_suffix('s').and_then(thousandths) {
        Some(ms) => Some(ms).filter(|ms| *ms <= DAY_MS),
        None => retry_after_ms(text, date, now),
    }
}

/// Returns the member of a comma-separated list whose members are all equal, else the whole field.
/// Dates contain a comma, so each comma is tried as the end of the first member.
fn the_one(field: &str) -> &str {
    let field = field.trim();
    if field.len() > LONGEST_LIST {
        return field;
    }
    let commas: Vec<usize> = field.match_indices(',').map(|(at, _)| at).collect();
    let member = commas.iter().find_map(|at| {
        let member = field.get(..*at)?.trim();
        let mut rest = field;
        while let Some(next) = rest.strip_prefix(member) {
            let next = next.trim_start();
            if next.is_empty() {
                return Some(member);
            }
            rest = next.strip_prefix(',')?.trim_start();
        }
        None
    });
    member.filter(|member| !member.is_empty()).unwrap_or(field)
}

/// Reads a decimal number in thousandths, rounded up.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let (kept, cut) = fraction.split_at(fraction.len().min(3));
    let part: u64 = format!("{kept:0<3}").parse().ok()?;
    let up = u64::from(cut.bytes().any(|byte| byte != b'0'));
    Some(whole.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1_000).saturating_add(part).saturating_add(up))
}

fn number(field: &str) -> Option<u64> {
    let (whole, fraction) = field.split_once('.').unwrap_or((field, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let up = u64::from(fraction.bytes().any(|byte| byte != b'0'));
    Some(whole.parse::<u64>().unwrap_or(u64::MAX).saturating_add(up))
}

#[cfg(test)]
mod tests {
    use super::{DAY_MS, LONGEST_RETRY_AFTER_MS, http_date, retry_after_ms, wait_in_body_ms};
    use proptest::prelude::*;
    use std::time::{Duration, UNIX_EPOCH};

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const THEN: i64 = 784_111_777_000;

    #[test]
    fn seconds_and_the_three_dates_of_http_are_read() {
        assert_eq!(retry_after_ms(" 30 ", None, 0), Some(30_000));
        assert_eq!(retry_after_ms("0", None, 0), Some(0));
        for date in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(retry_after_ms(date, None, THEN - 1_500), Some(1_500), "{date}");
        }
    }

    #[test]
    fn fractions_are_rounded_up() {
        assert_eq!(retry_after_ms("1.5", None, 0), Some(2_000));
        assert_eq!(retry_after_ms("1.00", None, 0), Some(1_000));
    }

    #[test]
    fn a_field_that_was_sent_twice_is_read_once_where_both_say_the_same() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        for field in ["60, 60", "60,60,60", " 60 ,60"] {
            assert_eq!(retry_after_ms(field, None, 0), Some(60_000), "{field}");
        }
        assert_eq!(retry_after_ms(&format!("{date}, {date}"), None, THEN - 1_500), Some(1_500));
        for field in
            ["60, 30", "60, 60, 30", "60, 600", "6060", "60,", ",60", ",", ",,", "60, soon", "rand(30),add(30)"]
        {
            let expected = if field == "6060" { Some(6_060_000) } else { None };
            assert_eq!(retry_after_ms(field, None, 0), expected, "{field}");
        }
    }

    #[test]
    fn a_duration_in_a_body_is_read_to_the_millisecond() {
        for (text, expected) in [
            ("7s", Some(7_000)),
            ("0.5s", Some(500)),
            ("6.0000001s", Some(6_001)),
            ("3.25s", Some(3_250)),
            ("0s", Some(0)),
            ("7", Some(7_000)),
            ("86400s", Some(DAY_MS)),
            ("86401s", None),
            ("99999999999999999999s", None),
            ("-1s", None),
            (".5s", None),
            ("1.s", None),
            ("s", None),
            ("7m", None),
            ("7ss", None),
        ] {
            assert_eq!(wait_in_body_ms(text, None, THEN), expected, "{text}");
        }
    }

    #[test]
    fn what_is_past_is_now_and_what_is_far_is_bounded() {
        assert_eq!(retry_after_ms("Sun, 06 Nov 1994 08:49:37 GMT", None, THEN + 5), Some(0));
        assert_eq!(retry_after_ms("Fri, 31 Dec 9999 23:59:59 GMT", None, THEN), Some(LONGEST_RETRY_AFTER_MS));
    }

    #[test]
    fn what_is_neither_is_none() {
        for field in
            ["", "soon", "-1", "1,5", "1.", ".5", "1e3", "0x10", "Sun, 06 Nov 1994", "Sun, 31 Feb 1994 08:49:37 GMT"]
        {
            assert_eq!(retry_after_ms(field, None, 0), None, "{field}");
        }
    }

    #[test]
    fn dates_are_measured_by_the_senders_own_clock() {
        let (date, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:07 GMT");
        for skew in [-86_400_000, -60_000, 0, 60_000, 86_400_000] {
            assert_eq!(retry_after_ms(later, Some(date), THEN + skew), Some(30_000), "{skew}");
            assert_eq!(retry_after_ms("784111807", Some(date), THEN + skew), Some(30_000), "{skew}");
        }
        assert_eq!(
            retry_after_ms(later, Some("yesterday"), THEN),
            Some(30_000),
            "by ours, where theirs cannot be read"
        );
        assert_eq!(retry_after_ms("30", Some(date), 0), Some(30_000));
    }

    #[test]
    fn more_than_a_day_of_seconds_is_milliseconds_or_a_time_of_day_or_nothing() {
        for (field, expected) in [
            ("86400", Some(DAY_MS)),
            ("86401", Some(86_401)),
            ("90000", Some(90_000)),
            ("86400000", Some(DAY_MS)),
            ("86400001", None),
            ("784111777", Some(0)),
            ("784111837", Some(60_000)),
            ("784111836.2", Some(60_000)),
            ("784198177", Some(DAY_MS)),
            ("784198178", None),
            ("784111776", None),
            ("784111777000", Some(0)),
            ("784111837000", Some(60_000)),
            ("784198177000", Some(DAY_MS)),
            ("784198177001", None),
            ("784111776999", None),
            ("99999999999999999999999999", None),
        ] {
            assert_eq!(retry_after_ms(field, None, THEN), expected, "{field}");
        }
        assert_eq!(retry_after_ms("784111837", None, -1), None, "our clock may be anything");
    }

    proptest! {
        #[test]
        fn a_date_is_read_as_another_reader_reads_it(second in 0..200_000_000_000u64) {
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            prop_assert_eq!(http_date(&date), i64::try_from(second * 1_000).ok());
        }

        #[test]
        fn any_field_is_read_without_panic(field in ".{0,40}", date in prop::option::of(".{0,30}"), now: i64) {
            for wait in [retry_after_ms(&field, date.as_deref(), now), wait_in_body_ms(&field, date.as_deref(), now)] {
                prop_assert!(wait.is_none_or(|wait| wait <= LONGEST_RETRY_AFTER_MS));
            }
        }

        #[test]
        fn any_number_is_at_most_a_day(number: u64, now: i64) {
            let wait = retry_after_ms(&number.to_string(), None, now);
            prop_assert!(wait.is_none_or(|wait| wait <= DAY_MS));
            prop_assert!(number > DAY_MS || wait.is_some());
        }
    }
}
