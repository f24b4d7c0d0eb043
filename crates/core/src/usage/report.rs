//! What the counts say, as JSON.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "minutes and days of Unix time, below 2^48; a product of 64 bits by a million in 128"
)]

use super::counter_table::{OTHER, Tally};
use super::exposition::decimal;
use super::{Count, DAYS, HOUR, MINUTE_MS, Usage, day};
use sluice_limiter::calendar::{DAY_MS, utc_date};
use std::fmt::Write;

/// What is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Calls, by app.
    Usage,
    /// Errors, by code.
    Errors,
}

/// One day of a report: names with their counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// The number of the date.
    pub day: i64,
    /// Names with their counts.
    pub counts: Vec<(String, u64)>,
}

impl Entry {
    /// Counts `n` more under a name.
    pub fn add(&mut self, name: &str, n: u64) {
        match self.counts.iter_mut().find(|(known, _)| known == name) {
            Some((_, count)) => *count = count.saturating_add(n),
            None => self.counts.push((name.to_owned(), n)),
        }
    }
}

impl Usage {
    /// Adds a day's counts to an entry of a report: of the connection's own day of that number, or of the UTC day.
    pub fn report(&mut self, kind: Kind, own: bool, entry: &mut Entry) {
        let days = if own { &mut self.own } else { &mut self.utc };
        let Some(Count { apps, codes, .. }) = day(days, entry.day) else { return };
        let (names, tally) = match kind {
            Kind::Usage => (&self.apps, apps),
            Kind::Errors => (&self.codes, codes),
        };
        for (place, n) in &tally.0 {
            entry.add(names.name(*place), *n);
        }
    }

    /// The calls of the last so many minutes, this one included, and the vendor's throttles among them.
    pub fn lately(&self, minutes: i64, now: i64) -> (u64, u64) {
        let from = now.div_euclid(MINUTE_MS) - minutes;
        let recent = self.minutes.iter().filter(|minute| minute.at > from);
        recent.fold((0, 0), |(calls, throttled), minute| {
            (calls.saturating_add(minute.calls.total()), throttled.saturating_add(minute.throttled.total()))
        })
    }

    /// `last_hour` of the status, as a JSON object.
    pub fn last_hour(&self, now: i64, to: &mut String) {
        let from = now.div_euclid(MINUTE_MS) - HOUR;
        let (mut calls, mut throttled, mut nth) = (Tally::default(), Tally::default(), Tally::default());
        let mut refused = 0_u64;
        for minute in self.minutes.iter().filter(|minute| minute.at > from) {
            calls.add_all(&minute.calls);
            throttled.add_all(&minute.throttled);
            nth.add_all(&minute.nth);
            refused = refused.saturating_add(minute.refused);
        }
        let (all, over) = (calls.total(), throttled.total());
        let _ = write!(to, "{{\"calls\":{all},\"throttled\":{over},\"throttled_ratio\":");
        ratio(over, all, to);
        let _ = write!(to, ",\"refused\":{refused},\"by_endpoint\":[");
        let mut places: Vec<(u16, u64)> = calls.0;
        places.sort_by_key(|(place, n)| (*place == OTHER, std::cmp::Reverse(*n)));
        for (at, (place, n)) in places.iter().enumerate() {
            let (method, path) = self.endpoints.name(*place).split_once(' ').unwrap_or(("other", "other"));
            to.push_str(if at > 0 { ",{\"method\":" } else { "{\"method\":" });
            text(method, to);
            to.push_str(",\"path\":");
            text(path, to);
            let _ = write!(to, ",\"calls\":{n},\"throttled\":{}}}", throttled.of(*place));
        }
        to.push_str("],\"retries_histogram\":[");
        let mut first = true;
        for (attempts, reached) in &nth.0 {
            // Of those that reached this attempt, the ones that reached the next had not ended with it.
            let calls = reached.saturating_sub(nth.of(attempts.saturating_add(1)));
            if calls > 0 {
                let comma = if std::mem::take(&mut first) { "" } else { "," };
                let _ = write!(to, "{comma}{{\"attempts\":{attempts},\"calls\":{calls}}}");
            }
        }
        to.push_str("]}");
    }
}

/// The days of a report that ends with `today`, oldest first, still empty.
pub fn entries(today: i64, week: bool) -> Vec<Entry> {
    let first = if week { today - DAYS + 1 } else { today };
    (first..=today).map(|day| Entry { day, ..Entry::default() }).collect()
}

/// A report in the shape of Marketo's usage API.
pub fn document(kind: Kind, request: &str, entries: &mut [Entry]) -> String {
    let (list, name) = match kind {
        Kind::Usage => ("users", "userId"),
        Kind::Errors => ("errors", "errorCode"),
    };
    let mut to = String::from("{\"requestId\":");
    text(request, &mut to);
    to.push_str(",\"success\":true,\"result\":[");
    for (at, Entry { day, counts }) in entries.iter_mut().enumerate() {
        // Those with most calls first.
        counts.sort_unstable_by(|(one, n), (other, m)| m.cmp(n).then_with(|| one.cmp(other)));
        let total = counts.iter().map(|(_, n)| *n).fold(0, u64::saturating_add);
        let comma = if at > 0 { "," } else { "" };
        let date = utc_date(day.saturating_mul(DAY_MS));
        let _ = write!(to, "{comma}{{\"date\":\"{date}\",\"total\":{total},\"{list}\":[");
        for (at, (who, n)) in counts.iter().enumerate() {
            to.push_str(if at > 0 { ",{\"" } else { "{\"" });
            to.push_str(name);
            to.push_str("\":");
            text(who, &mut to);
            let _ = write!(to, ",\"count\":{n}}}");
        }
        to.push_str("]}");
    }
    to.push_str("]}");
    to
}

/// A JSON string.
pub fn text(text: &str, to: &mut String) {
    to.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                to.push('\\');
                to.push(c);
            }
            '\0'..='\u{1f}' => {
                let _ = write!(to, "\\u{:04x}", u32::from(c));
            }
            _ => to.push(c),
        }
    }
    to.push('"');
}

/// A part of a whole as a decimal, to six places, rounded down; 0 of nothing.
pub fn ratio(part: u64, of: u64, to: &mut String) {
    let ppm = u128::from(part) * 1_000_000 / u128::from(of.max(1));
    decimal(u64::try_from(ppm).unwrap_or(u64::MAX), 6, to);
}
