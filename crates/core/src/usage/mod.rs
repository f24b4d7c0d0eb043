//! Counts calls and how they ended: by day, by app, by error code, and over the last hour.
//!
//! Every table has a bound, and what is beyond it counts as `other`:
//!
//! | what | at most |
//! |---|---|
//! | days | seven with today, by the connection's own quota days and by UTC days |
//! | apps of a connection | [`MOST_APPS`] |
//! | error codes of a connection, bytes of one | [`MOST_CODES`], [`LONGEST_CODE`] |
//! | endpoints of the last hour, bytes of one | [`MOST_ENDPOINTS`], [`LONGEST_ENDPOINT`] |
//!
//! These bounds also apply to the labels of metrics.
//!
//! Once its table is full, a name that no day (or minute) counts any more gives its place to
//! others.

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

/// How many apps are counted by name: as many as a policy may have.
pub const MOST_APPS: usize = crate::policy::MAX_APPS;
/// How many error codes are counted by name.
pub const MOST_CODES: usize = 100;
/// How many bytes of an error code are kept. Vendors' codes are short words and numbers.
pub const LONGEST_CODE: usize = 64;
/// How many endpoints of the last hour are counted by name.
pub const MOST_ENDPOINTS: usize = 100;
/// The longest method and path of an endpoint, bytes. A longer one counts under `other`.
pub const LONGEST_ENDPOINT: usize = 256;

/// How many days are kept.
const DAYS: i64 = 7;
/// How many minutes are kept.
const HOUR: i64 = 60;
const MINUTE_MS: i64 = 60_000;
/// How long after the first unsaved refusal the counts are stored, milliseconds. A refusal alone
/// writes no row at once, and an idle object keeps its memory for ten seconds.
const SAVE_MS: i64 = 5_000;

/// The limiter's reasons for refusals, in the order of the stored counts.
const REASONS: [Reason; 7] = [
    Reason::DailyQuota,
    Reason::AppBudget,
    Reason::Paused,
    Reason::QueueFull,
    Reason::Deadline,
    Reason::Rate,
    Reason::Concurrency,
];

/// A vendor call that has ended, or for which nobody waits any longer.
#[derive(Debug, Clone, Copy)]
pub struct Called<'a> {
    /// The app.
    pub app: &'a str,
    /// Its method and folded path; `None` if not known.
    pub endpoint: Option<(&'a str, &'a str)>,
    /// Its error code; `None` for a good answer, or if not known.
    pub code: Option<&'a str>,
    /// Whether the vendor refused it as one too many.
    pub throttled: bool,
    /// The number of this vendor call within the caller's call, from 1.
    pub nth: u32,
    /// When it was sent, Unix milliseconds.
    pub sent_at: i64,
    /// How long the vendor took to send the answer's headers, milliseconds; `None` without an
    /// answer.
    pub answered_in_ms: Option<u64>,
}

/// The counts of one day. Its number is that of its date, in days since 1970-01-01.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Count {
    #[serde(with = "stored::unsigned")]
    day: i64,
    apps: Tally,
    codes: Tally,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Minute {
    /// Minutes since 1970.
    #[serde(with = "stored::unsigned")]
    at: i64,
    calls: Tally,
    throttled: Tally,
    /// How many vendor calls were the first of their call, the second and so on. A call that took
    /// two counts under both.
    nth: Tally,
    refused: u64,
}

/// The counts of a connection. The order of the fields is the stored form, see [`Usage::pack`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    apps: Names,
    codes: Names,
    endpoints: Names,
    /// The counts by the connection's own quota days, oldest first.
    own: Vec<Count>,
    /// The counts by UTC days, oldest first.
    utc: Vec<Count>,
    /// The counts by minute, oldest first.
    minutes: Vec<Minute>,
    /// The counts since the connection was made.
    ever: Count,
    throttled_ever: u64,
    /// The refusals by reason.
    refused_ever: Tally,
    /// The waits for permits: the sum in milliseconds, and their number.
    waits: (u64, u64),
    /// The times until the vendor's answer: the sum in milliseconds, and their number.
    answers: (u64, u64),
    /// Alerts that are raised.
    pub alerts: Vec<Alert>,
    /// What earlier epochs had in flight when they last wrote.
    #[serde(skip)]
    inherited: Flight,
    /// The own day that was last looked up.
    #[serde(skip)]
    today: Option<Day>,
    /// When the first refusal was counted that is not stored yet, Unix ms.
    #[serde(skip)]
    unsaved: Option<i64>,
}

impl Usage {
    /// Counts a call that was reported at `now` (Unix ms).
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

    /// Counts a refusal by the limiter.
    pub fn refuse(&mut self, reason: Reason, now: i64) {
        if let Some(minute) = self.minute(now) {
            minute.refused = minute.refused.saturating_add(1);
        }
        let place = REASONS.iter().position(|known| *known == reason).unwrap_or(REASONS.len());
        self.refused_ever.add(u16::try_from(place).unwrap_or(counter_table::OTHER), 1);
        self.unsaved.get_or_insert(now);
    }

    /// Counts a wait for a permit, milliseconds.
    pub fn waited(&mut self, ms: u64) {
        self.waits = (self.waits.0.saturating_add(ms), self.waits.1.saturating_add(1));
    }

    /// Returns when the counts must be stored even if nothing else is, Unix ms.
    pub fn wants_saving_at(&self) -> Option<i64> {
        self.unsaved.map(|since| since.saturating_add(SAVE_MS))
    }

    /// Returns the number of the connection's day at a moment.
    pub fn own_day(&mut self, reset: &Reset, zones: &dyn Zones, at: i64) -> i64 {
        if let Some(day) = self.today.as_ref().filter(|day| (day.opens.0..day.ends.0).contains(&at)) {
            return day.number();
        }
        let Some(day) = reset.day_at(zones, at) else { return at.div_euclid(DAY_MS) };
        let number = day.number();
        // For calls that were in flight over a reset, only the new day is worth remembering.
        if self.today.as_ref().is_none_or(|today| today.opens.0 < day.opens.0) {
            self.today = Some(day);
        }
        number
    }

    /// Forgets the current day after the reset has changed.
    pub fn forget_day(&mut self) {
        self.today = None;
    }

    /// Opens the days and drops those that are over a week old. If a table is full, unused names
    /// give way then.
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

    /// Returns the minute to count in: the current one, or the latest there is if the clock has
    /// stepped back.
    fn minute(&mut self, now: i64) -> Option<&mut Minute> {
        let at = now.div_euclid(MINUTE_MS);
        if self.minutes.last().is_none_or(|last| last.at < at) {
            self.minutes.retain(|minute| minute.at > at.saturating_sub(HOUR));
            self.minutes.push(Minute { at, ..Minute::default() });
        }
        self.minutes.last_mut()
    }
}

/// Adds a day. Returns whether it is new and the latest.
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

/// Returns the counts of a day, if it is one of those kept.
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
