//! Who called how often, with what end: counted by day, by app, by error code, and over the last hour.
//!
//! Everything has a bound, and beyond it counts as `other`:
//!
//! | what | at most |
//! |---|---|
//! | days | seven: today and the six before, by the connection's own quota days and by UTC days |
//! | apps of a connection | [`MOST_APPS`] |
//! | error codes of a connection, bytes of one | [`MOST_CODES`], [`LONGEST_CODE`] |
//! | endpoints of the last hour, bytes of method and path | [`MOST_ENDPOINTS`], [`LONGEST_ENDPOINT`] |
//!
//! The same bounds hold for the labels of metrics.
//!
//! A name that no day (no minute) counts any more gives its place to others once its table is full.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "lengths of texts in memory, and a place in a text that is not its first"
)]

mod alerts;
mod counter_table;
mod endpoint;
mod exposition;
mod metrics;
mod recovery;
mod report;
mod stored;
#[cfg(test)]
mod tests;

pub use alerts::{Alert, AlertDocument, Change, LATELY_MINUTES, Seen, watch};
pub use endpoint::fold;
pub use exposition::Exposition;
pub use metrics::Counter;
pub use recovery::{Flight, Open};
pub use report::{Entry, Kind, LastHour, document, entries};

use crate::refusal::Reason;
use counter_table::{Names, Tally};
use serde::{Deserialize, Serialize};
use sluice_limiter::calendar::{DAY_MS, Day, Reset, Zones};

/// Apps counted by name: as many as a policy may have.
pub const MOST_APPS: usize = crate::policy::MAX_APPS;
/// Error codes counted by name.
pub const MOST_CODES: usize = 100;
/// Bytes of an error code that are kept. Vendors' codes are short words and numbers.
pub const LONGEST_CODE: usize = 64;
/// Endpoints counted by name in the last hour.
pub const MOST_ENDPOINTS: usize = 100;
/// Bytes of an endpoint's method and path; a longer one counts under `other`.
pub const LONGEST_ENDPOINT: usize = 256;

/// Days that are kept.
const DAYS: i64 = 7;
/// Minutes that are kept.
const HOUR: i64 = 60;
const MINUTE_MS: i64 = 60_000;
/// Refusals write no row of their own accord; theirs follows so long after the first, milliseconds. An object that is left
/// alone keeps its memory for ten seconds.
const SAVE_MS: i64 = 5_000;

/// Why the throttle refuses; the order is that of the stored counts.
const REASONS: [Reason; 7] = [
    Reason::DailyQuota,
    Reason::AppBudget,
    Reason::Paused,
    Reason::QueueFull,
    Reason::Deadline,
    Reason::Rate,
    Reason::Concurrency,
];

/// One vendor call that has ended, or is not waited for any longer.
#[derive(Debug, Clone, Copy)]
pub struct Called<'a> {
    /// The app.
    pub app: &'a str,
    /// Its method and folded path; none if not known.
    pub endpoint: Option<(&'a str, &'a str)>,
    /// Its error; none for a good answer, or if not known.
    pub code: Option<&'a str>,
    /// The vendor refused it as one too many.
    pub throttled: bool,
    /// Which vendor call it was of the caller's one.
    pub nth: u32,
    /// When it was sent, Unix milliseconds.
    pub sent_at: i64,
    /// How long the vendor took to its answer's headers, milliseconds; none without an answer.
    pub answered_in_ms: Option<u64>,
}

/// The counts of one day; its number is that of its date, in days since 1970-01-01.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Count {
    #[serde(with = "stored::unsigned")]
    day: i64,
    apps: Tally,
    codes: Tally,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Minute {
    /// Since 1970.
    #[serde(with = "stored::unsigned")]
    at: i64,
    calls: Tally,
    throttled: Tally,
    /// Vendor calls that were the first of their call, the second …: a call that took two counts under both.
    nth: Tally,
    refused: u64,
}

/// What a connection has counted. The order of its fields is the stored form, see [`Usage::pack`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    apps: Names,
    codes: Names,
    endpoints: Names,
    /// By the connection's own quota days, oldest first.
    own: Vec<Count>,
    /// By UTC days.
    utc: Vec<Count>,
    /// Oldest first.
    minutes: Vec<Minute>,
    /// Since the connection was made.
    ever: Count,
    throttled_ever: u64,
    /// By reason.
    refused_ever: Tally,
    /// Waits for permits: milliseconds in all, and how many.
    waits: (u64, u64),
    /// The same of the vendor's answers.
    answers: (u64, u64),
    /// Alerts that are raised.
    pub alerts: Vec<Alert>,
    /// What earlier lives had in flight when they last wrote.
    #[serde(skip)]
    inherited: Flight,
    /// The own day last asked for.
    #[serde(skip)]
    today: Option<Day>,
    /// When the first refusal was counted that is not stored.
    #[serde(skip)]
    unsaved: Option<i64>,
}

impl Usage {
    /// Counts a call, heard of `now` (Unix milliseconds).
    pub fn call(&mut self, call: &Called<'_>, reset: &Reset, zones: &dyn Zones, now: i64) {
        let own = self.own_day(reset, zones, call.sent_at);
        self.turn(own, call.sent_at.div_euclid(DAY_MS), now);
        let app = self.apps.place(call.app, MOST_APPS);
        let code = call.code.map(|code| self.codes.place(shortened(code), MOST_CODES));
        for count in
            [day(&mut self.own, own), day(&mut self.utc, call.sent_at.div_euclid(DAY_MS))].into_iter().flatten()
        {
            count.apps.add(app, 1);
            if let Some(code) = code {
                count.codes.add(code, 1);
            }
        }
        self.ever.apps.add(app, 1);
        if let Some(code) = code {
            self.ever.codes.add(code, 1);
        }
        self.throttled_ever = self.throttled_ever.saturating_add(u64::from(call.throttled));
        if let Some(ms) = call.answered_in_ms {
            self.answers = (self.answers.0.saturating_add(ms), self.answers.1.saturating_add(1));
        }
        let endpoint = match call.endpoint {
            Some((method, path)) if method.len() + path.len() < LONGEST_ENDPOINT => {
                let mut name = String::with_capacity(LONGEST_ENDPOINT);
                name.push_str(method);
                name.push(' ');
                name.push_str(path);
                self.endpoints.place(&name, MOST_ENDPOINTS)
            }
            _ => counter_table::OTHER,
        };
        if let Some(minute) = self.minute(now) {
            minute.calls.add(endpoint, 1);
            minute.throttled.add(endpoint, u64::from(call.throttled));
            minute.nth.add(u16::try_from(call.nth.max(1)).unwrap_or(counter_table::OTHER), 1);
        }
    }

    /// Counts a refusal by the throttle.
    pub fn refuse(&mut self, reason: Reason, now: i64) {
        if let Some(minute) = self.minute(now) {
            minute.refused = minute.refused.saturating_add(1);
        }
        let place = REASONS.iter().position(|known| *known == reason).unwrap_or(REASONS.len());
        self.refused_ever.add(u16::try_from(place).unwrap_or(counter_table::OTHER), 1);
        self.unsaved.get_or_insert(now);
    }

    /// Counts a wait for a permit.
    pub fn waited(&mut self, ms: u64) {
        self.waits = (self.waits.0.saturating_add(ms), self.waits.1.saturating_add(1));
    }

    /// When the counts want to be stored, though nothing else does: Unix milliseconds.
    pub fn wants_saving_at(&self) -> Option<i64> {
        self.unsaved.map(|since| since.saturating_add(SAVE_MS))
    }

    /// The number of the connection's day that a moment is in.
    pub fn own_day(&mut self, reset: &Reset, zones: &dyn Zones, at: i64) -> i64 {
        if let Some(day) = self.today.as_ref().filter(|day| (day.opens.0..day.ends.0).contains(&at)) {
            return day.number();
        }
        let Some(day) = reset.day_at(zones, at) else { return at.div_euclid(DAY_MS) };
        let number = day.number();
        // Of calls that were in flight over a reset, only the new day is worth remembering.
        if self.today.as_ref().is_none_or(|today| today.opens.0 < day.opens.0) {
            self.today = Some(day);
        }
        number
    }

    /// Another reset: its days are found anew.
    pub fn forget_day(&mut self) {
        self.today = None;
    }

    /// Opens the days and drops those that are over a week old. Names that fell out of use then give way, where it is full.
    fn turn(&mut self, own: i64, utc: i64, now: i64) {
        let opened = open(&mut self.own, own) | open(&mut self.utc, utc);
        if opened && self.apps.0.len() >= MOST_APPS {
            let mut kept: Vec<_> = self.own.iter_mut().chain(&mut self.utc).map(|count| &mut count.apps).collect();
            self.apps.tidy(&mut kept, Some(&mut self.ever.apps));
        }
        if opened && self.codes.0.len() >= MOST_CODES {
            let mut kept: Vec<_> = self.own.iter_mut().chain(&mut self.utc).map(|count| &mut count.codes).collect();
            self.codes.tidy(&mut kept, Some(&mut self.ever.codes));
        }
        let turned = self.minutes.last().is_none_or(|last| last.at < now.div_euclid(MINUTE_MS));
        self.minute(now);
        if turned && self.endpoints.0.len() >= MOST_ENDPOINTS {
            let mut kept = Vec::new();
            for minute in &mut self.minutes {
                kept.push(&mut minute.calls);
                kept.push(&mut minute.throttled);
            }
            self.endpoints.tidy(&mut kept, None);
        }
    }

    /// The minute to count in: this one, or the latest there is, if the clock has stepped back.
    fn minute(&mut self, now: i64) -> Option<&mut Minute> {
        let at = now.div_euclid(MINUTE_MS);
        if self.minutes.last().is_none_or(|last| last.at < at) {
            self.minutes.retain(|minute| minute.at > at.saturating_sub(HOUR));
            self.minutes.push(Minute { at, ..Minute::default() });
        }
        self.minutes.last_mut()
    }
}

/// Makes room for a day; whether it is a new one, and the latest.
fn open(days: &mut Vec<Count>, day: i64) -> bool {
    let Err(at) = days.binary_search_by_key(&day, |count| count.day) else { return false };
    let latest = at == days.len();
    if latest {
        days.retain(|count| count.day > day.saturating_sub(DAYS));
        days.push(Count { day, ..Count::default() });
    } else if days.last().is_some_and(|last| last.day < day.saturating_add(DAYS)) {
        days.insert(at, Count { day, ..Count::default() });
    }
    latest
}

/// The counts of a day, if it is one of those kept.
fn day(days: &mut [Count], day: i64) -> Option<&mut Count> {
    let at = days.binary_search_by_key(&day, |count| count.day).ok()?;
    days.get_mut(at)
}

fn shortened(code: &str) -> &str {
    let mut end = code.len().min(LONGEST_CODE);
    while !code.is_char_boundary(end) {
        end -= 1;
    }
    code.get(..end).unwrap_or_default()
}
