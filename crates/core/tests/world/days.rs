//! The vendor's days, by a calendar that shares no code with the limiter's.
//!
//! Nobody knows which zone of a list is the vendor's, or which of the two resets in a repeated
//! hour: each is a reading, and no day may be exceeded in any of them.

use super::spec::Reset;
use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Timestamp, ToSpan};

/// The instants at which days open in one reading, microseconds, in order.
pub struct Reading {
    opens: Vec<i64>,
}

impl Reading {
    /// Returns the number of the day that contains an instant, by a vendor's clock that is ahead by
    /// `skew`, microseconds.
    pub fn day(&self, at: i64, skew: i64) -> usize {
        self.opens.partition_point(|opens| *opens <= at + skew)
    }

    /// Returns the first instant of the day that contains an instant, and that of the next day.
    pub fn around(&self, at: i64) -> (i64, i64) {
        let next = self.day(at, 0);
        (self.opens[next - 1], self.opens[next])
    }
}

/// Returns all readings of a reset for the days around those instants, microseconds.
pub fn readings(reset: &Reset, from: i64, to: i64) -> Vec<Reading> {
    let mut all: Vec<Reading> = Vec::new();
    for zone in &reset.zones {
        let zone = zone_of(zone);
        for later in [false, true] {
            let opens = opens(reset.minute, &zone, later, from, to);
            if all.iter().all(|known| known.opens != opens) {
                all.push(Reading { opens });
            }
        }
    }
    all
}

pub fn zone_of(name: &str) -> TimeZone {
    let fixed = |name: &str| {
        let minutes: i32 = name[1..3].parse::<i32>().unwrap() * 60 + name[4..6].parse::<i32>().unwrap();
        let seconds = if name.starts_with('-') { -minutes * 60 } else { minutes * 60 };
        TimeZone::fixed(Offset::from_seconds(seconds).unwrap())
    };
    if name.starts_with(['+', '-']) { fixed(name) } else { TimeZone::get(name).unwrap() }
}

fn opens(minute: u16, zone: &TimeZone, later: bool, from: i64, to: i64) -> Vec<i64> {
    let date_at = |us: i64| -> Date { Timestamp::from_microsecond(us).unwrap().to_zoned(zone.clone()).date() };
    let (mut date, last) = (date_at(from).saturating_sub(3.days()), date_at(to).saturating_add(5.days()));
    let mut all = Vec::new();
    while date <= last {
        let shown = date.at((minute / 60) as i8, (minute % 60) as i8, 0, 0);
        let at = |offset: Offset| offset.to_timestamp(shown).unwrap();
        let instant = match zone.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } => at(offset),
            AmbiguousOffset::Fold { before, after } => at(if later { after } else { before }),
            // Clocks are set forward over it, so it is the first instant after the gap.
            AmbiguousOffset::Gap { before, .. } => zone.preceding(at(before) + 1.second()).next().unwrap().timestamp(),
        };
        all.push(instant.as_microsecond());
        date = date.tomorrow().unwrap();
    }
    all
}

#[test]
fn days_open_by_the_clocks_of_the_zone() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap().as_microsecond();
    let reset = |minute, zone: &str| Reset { minute, zones: vec![zone.to_owned()] };
    let noon = at("2026-11-01T18:00:00Z");
    // 01:30 comes twice in Chicago on that day.
    let two = readings(&reset(90, "America/Chicago"), noon, noon);
    assert_eq!(
        two.iter().map(|one| one.around(noon).0).collect::<Vec<_>>(),
        [at("2026-11-01T06:30:00Z"), at("2026-11-01T07:30:00Z")]
    );
    // 02:30 does not exist there on 8 March.
    let noon = at("2026-03-08T18:00:00Z");
    let one = readings(&reset(150, "America/Chicago"), noon, noon);
    assert_eq!((one.len(), one[0].around(noon).0), (1, at("2026-03-08T08:00:00Z")));
    assert_eq!(readings(&reset(0, "+05:30"), noon, noon)[0].around(noon).0, at("2026-03-07T18:30:00Z"));
}
