//! The Gregorian calendar, by arithmetic on days since 1970-01-01.

#![expect(clippy::arithmetic_side_effects, reason = "days are held to the years 0000 to 9999")]

use super::DAY_MS;

/// Years 0000 to 9999, the ones RFC 3339 can write; days since 1970-01-01.
const FIRST_DAY: i64 = -719_528;
const LAST_DAY: i64 = 2_932_896;

/// Returns year, month 1..=12 and day 1..=31 of a day since 1970-01-01, held to the years 0000 to
/// 9999.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`: years are counted from March, so
/// that the leap day is the last of its year.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days.clamp(FIRST_DAY, LAST_DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Returns the days since 1970-01-01 of a date, the inverse of [`civil_from_days`], for a year
/// 0..=9999 and a month 1..=12.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Returns `YYYY-MM-DD` of a day since 1970-01-01.
pub(super) fn format_date(days: i64) -> String {
    let (year, month, day) = civil_from_days(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Returns the day since 1970-01-01 that `YYYY-MM-DD` names; none for anything else.
pub(super) fn parse_date(date: &str) -> Option<i64> {
    let mut parts = date.split('-');
    let mut number = |digits: usize| {
        let part = parts.next()?;
        (part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse::<i64>().ok())?
    };
    let (year, month, day) = (number(4)?, number(2)?, number(2)?);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    (civil_from_days(days) == (year, month, day)).then_some(days)
}

/// Returns the UTC date, `YYYY-MM-DD`, of a moment in Unix milliseconds.
pub fn utc_date(at: i64) -> String {
    format_date(at.div_euclid(DAY_MS))
}

/// Returns the date `days` after `date` (`YYYY-MM-DD`; before, if negative); none if `date` is not
/// a date or the result is outside the years 0000 to 9999.
pub fn add_days(date: &str, days: i32) -> Option<String> {
    let day = parse_date(date)? + i64::from(days);
    (FIRST_DAY..=LAST_DAY).contains(&day).then(|| format_date(day))
}

/// Returns a date of HTTP in any of its three forms (RFC 9110, 5.6.7), Unix milliseconds; none for
/// anything else. The name of the day of the week is not looked at.
pub fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<&str> = text.split([' ', ',', '-', ':']).filter(|part| !part.is_empty()).take(9).collect();
    let (year, month, day, hour, minute, second) = match parts.as_slice() {
        [_, day, month, year, hour, minute, second, "GMT"] => (year, month, day, hour, minute, second),
        [_, month, day, hour, minute, second, year] => (year, month, day, hour, minute, second),
        _ => return None,
    };
    let number = |part: &str, most: i64| {
        let digits = part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<i64>().ok().filter(|number| digits && *number <= most)
    };
    let month = (1..).zip(MONTHS).find(|(_, name)| name == month)?.0;
    // Two digits are of the form that went out of use before 2000: most likely of a year near then.
    let year = match (year.len(), number(year, 9_999)?) {
        (2, year) if year < 70 => year + 2_000,
        (2, year) => year + 1_900,
        (_, year) => year,
    };
    let day = number(day, 31)?;
    let days = days_from_civil(year, month, day);
    let time = (number(hour, 23)? * 60 + number(minute, 59)?) * 60 + number(second, 60)?;
    (civil_from_days(days) == (year, month, day)).then_some(days * DAY_MS + time * 1_000)
}

/// Returns a moment in Unix milliseconds as RFC 3339 in UTC, to the millisecond. A moment outside
/// the years 0000 to 9999, which that cannot write, becomes the nearest one it can.
pub fn rfc3339(at: i64) -> String {
    let at = at.clamp(FIRST_DAY * DAY_MS, LAST_DAY * DAY_MS + DAY_MS - 1);
    let ms = at.rem_euclid(DAY_MS);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{}T{hour:02}:{minute:02}:{second:02}.{:03}Z", utc_date(at), ms % 1_000)
}
