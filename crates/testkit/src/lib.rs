//! Test doubles that the tests, the benchmarks and the fuzzers share.
//!
//! The crate knows none of Sluice's own types, so that also the unit tests inside the crates can use it.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The offset of an IANA zone from UTC at a Unix time in milliseconds, in seconds; none for an unknown zone. The database comes with the
/// test programs, since the machine may have none.
pub fn time_zones(zone: &str, at: i64) -> Option<i32> {
    let zone = TimeZone::get(zone).ok()?;
    Some(zone.to_offset(Timestamp::from_millisecond(at).ok()?).seconds())
}

/// A platform that knows no zone.
pub const fn no_zones(_: &str, _: i64) -> Option<i32> {
    None
}

/// A platform on which every zone is UTC.
pub const fn utc_zones(_: &str, _: i64) -> Option<i32> {
    Some(0)
}
