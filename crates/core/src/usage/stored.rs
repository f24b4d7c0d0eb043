//! The stored form of the counts. It goes with the throttle's row, so that counting costs no row of its own.

use super::codec::{Pack, Unpack};
use super::{Count, Flight, Minute, Usage};
use super::{alerts, recovery};

/// Version 1 knew no single permits.
const VERSION: u64 = 2;

impl Usage {
    /// Everything, to be stored, with what is in flight now.
    pub fn pack(&mut self, flight: &Flight) -> Vec<u8> {
        self.unsaved = None;
        let mut to = Pack::default();
        to.num(VERSION);
        for names in [&self.apps, &self.codes, &self.endpoints] {
            to.names(names);
        }
        for days in [&self.own, &self.utc] {
            to.num(days.len() as u64);
            days.iter().for_each(|count| write_count(count, &mut to));
        }
        to.num(self.minutes.len() as u64);
        for minute in &self.minutes {
            to.int(minute.at);
            for tally in [&minute.calls, &minute.throttled, &minute.nth] {
                to.tally(tally);
            }
            to.num(minute.refused);
        }
        write_count(&self.ever, &mut to);
        to.num(self.throttled_ever);
        to.tally(&self.refused_ever);
        for (sum, count) in [self.waits, self.answers] {
            to.num(sum);
            to.num(count);
        }
        alerts::write(&self.alerts, &mut to);
        recovery::write(&self.inherited, flight, &mut to);
        to.0
    }

    /// What was stored; none if it is of another release. Then the counts begin anew: they are no reason to admit nothing.
    pub fn unpack(bytes: &[u8]) -> Option<Self> {
        let mut from = Unpack(bytes);
        let version = from.num()?;
        if !(1..=VERSION).contains(&version) {
            return None;
        }
        let mut usage = Self { apps: from.names()?, codes: from.names()?, endpoints: from.names()?, ..Self::default() };
        for days in [&mut usage.own, &mut usage.utc] {
            for _ in 0..from.num()? {
                days.push(read_count(&mut from)?);
            }
        }
        for _ in 0..from.num()? {
            let (at, calls, throttled, nth) = (from.int()?, from.tally()?, from.tally()?, from.tally()?);
            usage.minutes.push(Minute { at, calls, throttled, nth, refused: from.num()? });
        }
        usage.ever = read_count(&mut from)?;
        usage.throttled_ever = from.num()?;
        usage.refused_ever = from.tally()?;
        usage.waits = (from.num()?, from.num()?);
        usage.answers = (from.num()?, from.num()?);
        usage.alerts = alerts::read(&mut from)?;
        usage.inherited = recovery::read(&mut from, version == VERSION)?;
        from.0.is_empty().then_some(usage)
    }
}

fn write_count(count: &Count, to: &mut Pack) {
    to.int(count.day);
    to.tally(&count.apps);
    to.tally(&count.codes);
}

fn read_count(from: &mut Unpack<'_>) -> Option<Count> {
    Some(Count { day: from.int()?, apps: from.tally()?, codes: from.tally()? })
}
