//! Test doubles that the tests, the benchmarks and the fuzzers share.
//!
//! This crate uses none of Sluice's own types, so that the unit tests inside the crates can use it
//! too.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Returns the offset of an IANA zone from UTC at a Unix time in milliseconds, in seconds; `None`
/// for an unknown zone. The database is compiled in, since the machine may have none.
pub fn time_zones(zone: &str, at: i64) -> Option<i32> {
    let zone = TimeZone::get(zone).ok()?;
    Some(zone.to_offset(Timestamp::from_millisecond(at).ok()?).seconds())
}

/// Stands for a platform that knows no zone.
pub const fn no_zones(_: &str, _: i64) -> Option<i32> {
    None
}

/// Stands for a platform on which every zone is UTC.
pub const fn utc_zones(_: &str, _: i64) -> Option<i32> {
    Some(0)
}
