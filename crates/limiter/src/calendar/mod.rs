//! When a vendor's day ends: civil time, zones asked of the platform.
//!
//! A reset is a time of day on a calendar date, never 24 hours after the last one. Where clocks are set forward over it,
//! it is the first instant after the gap; where they are set back over it, it happens twice and the two instants bound
//! it; where the vendor's zone is uncertain, the zones' instants bound it.

use serde::{Deserialize, Serialize};

mod date;
mod day;
mod zone;

pub use date::{add_days, http_date, rfc3339, utc_date};

/// Milliseconds of a UTC day.
pub const DAY_MS: i64 = 86_400_000;

/// A time of day in one zone, or in several where the vendor's own is uncertain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// Minutes after midnight, 0..1440.
    pub minute: u16,
    /// At least one.
    pub zones: Vec<Zone>,
}

/// A time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Zone {
    /// IANA name.
    Iana(String),
    /// Seconds east of UTC.
    Fixed(i32),
}

/// What the calendar asks of the platform, which knows the time zones. A function of a zone's name and a Unix time in milliseconds is one.
pub trait Zones {
    /// Returns the offset in seconds east of UTC of that zone at that moment (Unix time,
    /// milliseconds); none for a name it does not know.
    fn offset_seconds(&self, zone: &str, at: i64) -> Option<i32>;
}

impl<F: Fn(&str, i64) -> Option<i32>> Zones for F {
    fn offset_seconds(&self, zone: &str, at: i64) -> Option<i32> {
        self(zone, at)
    }
}

/// One day between two resets. A reset is an interval: of the zones' instants, before any allowance for clocks. Unix time, milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// Its date, `YYYY-MM-DD`: the date on which it opens, in the (first) zone.
    pub date: String,
    /// Earliest and latest instant of its opening.
    pub opens: (i64, i64),
    /// Earliest and latest instant of the next reset.
    pub ends: (i64, i64),
}

impl Day {
    /// Returns the number of the day's date: days since 1970-01-01.
    pub fn number(&self) -> i64 {
        date::parse_date(&self.date).unwrap_or_else(|| self.opens.0.div_euclid(DAY_MS))
    }
}

#[cfg(test)]
pub(crate) mod tests;
