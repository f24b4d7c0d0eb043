//! `Retry-After` as vendors send it: seconds, or an HTTP date.

use crate::civil::http_date;

/// A vendor cannot close a connection for longer than this, milliseconds: a day, and an hour for a zone's change of clocks.
/// The longest honest wait is the reset of a daily quota.
pub const LONGEST_RETRY_AFTER_MS: u64 = 25 * 3_600_000;

/// Milliseconds from now, at most [`LONGEST_RETRY_AFTER_MS`]; none when it cannot be read. `now`: Unix time, milliseconds.
/// Seconds with a fraction, which RFC 9110 does not know and some vendors send, are rounded up.
pub fn retry_after_ms(field: &str, now: i64) -> Option<u64> {
    let field = field.trim();
    let wait = match seconds(field) {
        Some(seconds) => seconds.saturating_mul(1_000),
        None => {
            let at = http_date(field)?;
            u64::try_from(at.saturating_sub(now)).unwrap_or(0)
        }
    };
    Some(wait.min(LONGEST_RETRY_AFTER_MS))
}

fn seconds(field: &str) -> Option<u64> {
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
    use super::{LONGEST_RETRY_AFTER_MS, http_date, retry_after_ms};
    use proptest::prelude::*;
    use std::time::{Duration, UNIX_EPOCH};

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const THEN: i64 = 784_111_777_000;

    #[test]
    fn seconds_and_the_three_dates_of_http_are_read() {
        assert_eq!(retry_after_ms(" 30 ", 0), Some(30_000));
        assert_eq!(retry_after_ms("0", 0), Some(0));
        for date in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(retry_after_ms(date, THEN - 1_500), Some(1_500), "{date}");
        }
    }

    #[test]
    fn fractions_are_rounded_up() {
        assert_eq!(retry_after_ms("1.5", 0), Some(2_000));
        assert_eq!(retry_after_ms("1.00", 0), Some(1_000));
    }

    #[test]
    fn what_is_past_is_now_and_what_is_far_is_bounded() {
        assert_eq!(retry_after_ms("Sun, 06 Nov 1994 08:49:37 GMT", THEN + 5), Some(0));
        assert_eq!(retry_after_ms("99999999999999999999999999", 0), Some(LONGEST_RETRY_AFTER_MS));
        assert_eq!(retry_after_ms("Fri, 31 Dec 9999 23:59:59 GMT", THEN), Some(LONGEST_RETRY_AFTER_MS));
    }

    #[test]
    fn what_is_neither_is_none() {
        for field in
            ["", "soon", "-1", "1,5", "1.", ".5", "1e3", "0x10", "Sun, 06 Nov 1994", "Sun, 31 Feb 1994 08:49:37 GMT"]
        {
            assert_eq!(retry_after_ms(field, 0), None, "{field}");
        }
    }

    proptest! {
        #[test]
        fn a_date_is_read_as_another_reader_reads_it(second in 0..200_000_000_000u64) {
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            prop_assert_eq!(http_date(&date), i64::try_from(second * 1_000).ok());
        }

        #[test]
        fn any_field_is_read_without_panic(field in ".{0,40}", now: i64) {
            if let Some(wait) = retry_after_ms(&field, now) {
                prop_assert!(wait <= LONGEST_RETRY_AFTER_MS);
            }
        }
    }
}
