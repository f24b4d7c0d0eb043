//! Zones as written, and the instants at which a zone's clocks show a time.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "hours and minutes have two digits, offsets are below a day; instants are saturated"
)]

use super::{Reset, Zone, Zones};

/// The longest IANA name in use has 32 characters; twice that is let through.
const MAX_NAME: usize = 64;

/// No zone's clocks are farther from UTC: the farthest today are −12:00 and +14:00, and the farthest ever were under 16 h.
const FARTHEST_MS: i64 = 16 * 3_600_000;

impl Zone {
    /// Reads `±HH:MM` or an IANA name. Only the form of the name is checked here; whether there is
    /// such a zone only the platform knows.
    ///
    /// # Errors
    /// One sentence that says what a zone looks like.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.starts_with(['+', '-']) {
            return fixed(text).map(Self::Fixed).ok_or("a fixed offset is written ±HH:MM, at most 14:00");
        }
        let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'+');
        if text.len() <= MAX_NAME && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(name) {
            Ok(Self::Iana(text.to_owned()))
        } else {
            Err("a time zone is an IANA name, such as America/Chicago, or a fixed offset, such as -06:00")
        }
    }

    /// Seconds east of UTC at that moment; none for a name the platform does not know.
    pub fn offset_seconds(&self, zones: &dyn Zones, at: i64) -> Option<i32> {
        match self {
            Self::Iana(name) => zones.offset_seconds(name, at),
            Self::Fixed(seconds) => Some(*seconds),
        }
    }

    /// Returns the earliest and the latest instant at which this zone's clocks show `shown`
    /// (milliseconds since 1970-01-01T00:00 on those clocks): the same, but for an hour that is
    /// repeated. A time that is skipped is the first instant after the gap.
    pub(super) fn instants(&self, zones: &dyn Zones, shown: i64) -> Option<(i64, i64)> {
        let offset = |at: i64| Some(i64::from(self.offset_seconds(zones, at)?) * 1_000);
        if let Self::Fixed(_) = self {
            let at = shown.saturating_sub(offset(shown)?);
            return Some((at, at));
        }
        let (from, to) = (shown.saturating_sub(FARTHEST_MS), shown.saturating_add(FARTHEST_MS));
        let (before, after) = (offset(from)?, offset(to)?);
        let (first, second) = (shown.saturating_sub(before), shown.saturating_sub(after));
        if before == after {
            return Some((first, first));
        }
        let change = transition(from, to, |at| Some(offset(at)? == before))?;
        Some(match (first < change, second >= change) {
            (true, true) => (first, second),
            (true, false) => (first, first),
            (false, true) => (second, second),
            (false, false) => (change, change),
        })
    }
}

impl std::fmt::Display for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Iana(name) => f.write_str(name),
            Self::Fixed(seconds) => {
                let minutes = seconds.unsigned_abs() / 60;
                let sign = if *seconds < 0 { '-' } else { '+' };
                write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }
}

impl Reset {
    /// Minutes after midnight of `HH:MM`, 00:00 to 23:59; none for anything else.
    pub fn minute_of(text: &str) -> Option<u16> {
        let (hours, minutes) = text.split_once(':')?;
        let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
        (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
    }
}

fn two_digits(text: &str) -> Option<u16> {
    (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Seconds east of UTC of `±HH:MM`.
fn fixed(text: &str) -> Option<i32> {
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    let total = hours * 60 + minutes;
    let seconds = i32::from((minutes < 60 && total <= 14 * 60).then_some(total)?) * 60;
    Some(if text.starts_with('-') { -seconds } else { seconds })
}

/// Returns the first instant in `from..=to` at which `before` no longer holds, to the second: it
/// holds at `from`, does not at `to`, and changes once between, as no zone sets its clocks twice
/// within 32 hours.
fn transition(from: i64, to: i64, before: impl Fn(i64) -> Option<bool>) -> Option<i64> {
    let (mut holds, mut ended) = (from.div_euclid(1_000), to.div_euclid(1_000));
    while ended - holds > 1 {
        let middle = holds + (ended - holds) / 2;
        if before(middle * 1_000)? {
            holds = middle;
        } else {
            ended = middle;
        }
    }
    Some(ended * 1_000)
}
