//! Reports the counts as JSON.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "minutes and days of Unix time, below 2^48; a product of 64 bits by a million in 128"
)]

use super::counter_table::{OTHER, Tally};
use super::{Count, DAYS, HOUR, MINUTE_MS, Usage, day};
use crate::document::{Decimal, text};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sluice_limiter::calendar::{DAY_MS, utc_date};

/// The kind of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The calls by app.
    Usage,
    /// The errors by code.
    Errors,
}

/// One day of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// The number of the date, in days since 1970-01-01.
    pub day: i64,
    /// The names with their counts.
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
    /// Adds a day's counts to an entry of a report: of the connection's own day with that number if
    /// `own`, else of the UTC day.
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

    /// Returns the calls of the last minutes, the current one included, and how many of them the
    /// vendor throttled.
    pub fn lately(&self, minutes: i64, now: i64) -> (u64, u64) {
        let from = now.div_euclid(MINUTE_MS) - minutes;
        let recent = self.minutes.iter().filter(|minute| minute.at > from);
        recent.fold((0, 0), |(calls, throttled), minute| {
            (calls.saturating_add(minute.calls.total()), throttled.saturating_add(minute.throttled.total()))
        })
    }

    /// Returns `last_hour` of the status.
    pub fn last_hour(&self, now: i64) -> LastHour<'_> {
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
        let mut places: Vec<(u16, u64)> = calls.0;
        places.sort_by_key(|(place, n)| (*place == OTHER, std::cmp::Reverse(*n)));
        let by_endpoint = places.into_iter().map(|(place, calls)| {
            let (method, path) = self.endpoints.name(place).split_once(' ').unwrap_or(("other", "other"));
            Endpoint { method, path, calls, throttled: throttled.of(place) }
        });
        // A call that reached the next attempt did not end with this one.
        let ended = nth.0.iter().map(|(attempts, reached)| Attempts {
            attempts: *attempts,
            calls: reached.saturating_sub(nth.of(attempts.saturating_add(1))),
        });
        LastHour {
            calls: all,
            throttled: over,
            throttled_ratio: ratio(over, all),
            refused,
            by_endpoint: by_endpoint.collect(),
            retries_histogram: ended.filter(|ended| ended.calls > 0).collect(),
        }
    }
}

/// The counts of the last hour as they are shown.
#[derive(Serialize)]
pub struct LastHour<'a> {
    calls: u64,
    throttled: u64,
    throttled_ratio: Decimal,
    refused: u64,
    by_endpoint: Vec<Endpoint<'a>>,
    retries_histogram: Vec<Attempts>,
}

#[derive(Serialize)]
struct Endpoint<'a> {
    method: &'a str,
    path: &'a str,
    calls: u64,
    throttled: u64,
}

/// How many calls ended with this attempt.
#[derive(Serialize)]
struct Attempts {
    attempts: u16,
    calls: u64,
}

/// Returns the days of a report that ends with `today`, oldest first and still empty.
pub fn entries(today: i64, week: bool) -> Vec<Entry> {
    let first = if week { today - DAYS + 1 } else { today };
    (first..=today).map(|day| Entry { day, ..Entry::default() }).collect()
}

/// Writes a report in the shape of Marketo's usage API.
pub fn document(kind: Kind, request: &str, entries: &mut [Entry]) -> String {
    let (list, name) = match kind {
        Kind::Usage => ("users", "userId"),
        Kind::Errors => ("errors", "errorCode"),
    };
    let mut result = Vec::new();
    for Entry { day, counts } in entries {
        // The names with the most calls come first.
        counts.sort_unstable_by(|(one, n), (other, m)| m.cmp(n).then_with(|| one.cmp(other)));
        let total = counts.iter().map(|(_, n)| *n).fold(0, u64::saturating_add);
        let items: Vec<_> = counts.iter().map(|(who, n)| json!({name: who, "count": n})).collect();
        result.push(json!({"date": utc_date(day.saturating_mul(DAY_MS)), "total": total, list: items}));
    }
    text(&json!({"requestId": request, "success": true, "result": result}))
}

/// Returns a ratio as a decimal with six places, rounded down; it is 0 if `of` is 0.
fn ratio(part: u64, of: u64) -> Decimal {
    let ppm = u128::from(part) * 1_000_000 / u128::from(of.max(1));
    Decimal(u64::try_from(ppm).unwrap_or(u64::MAX), 6)
}
