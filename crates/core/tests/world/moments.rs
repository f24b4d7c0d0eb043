//! The state at the last events of an instance: a job's permit is handed over later than it is
//! granted, and the time of its grant is known only by the instance's clock.

use super::scenario::SECOND;
use std::collections::BTreeMap;

/// The longest time between the grant of a job's permit and its handing over.
const KEPT: i64 = 5 * SECOND;

/// The state at an event of an instance.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The true time.
    pub at: i64,
    /// Its position among the grants.
    pub order: u64,
    /// The policy in force when it ended.
    pub version: Option<usize>,
}

/// An instance's first event in each millisecond of its clock. A job's permit is reported by that
/// clock, up to a second later.
#[derive(Default)]
pub struct Moments {
    known: BTreeMap<i64, Moment>,
    last: i64,
}

impl Moments {
    pub fn note(&mut self, wall: i64, moment: Moment) {
        self.known.retain(|_, old| old.at > moment.at - KEPT);
        // A clock that was set back comes to the same milliseconds again.
        if self.last != wall || !self.known.contains_key(&wall) {
            self.known.insert(wall, moment);
        }
        self.last = wall;
    }

    /// Notes that the current event has put another policy in force. For grants in its millisecond
    /// nobody knows under which policy they were, unless it is the first event of that millisecond.
    pub fn edited(&mut self, now: i64, version: Option<usize>) {
        if let Some(moment) = self.known.get_mut(&self.last) {
            moment.version = version.filter(|_| moment.at == now);
        }
    }

    pub fn at(&self, wall: i64) -> Option<Moment> {
        self.known.get(&wall).copied()
    }
}

#[test]
fn a_grant_is_of_its_own_event_and_policy_however_many_events_and_edits_come_before_it_is_handed_over() {
    let mut moments = Moments::default();
    let note = |moments: &mut Moments, at: i64, order, version| {
        moments.note(at / 1_000, Moment { at, order, version: Some(version) });
    };
    note(&mut moments, 1_000, 7, 0);
    note(&mut moments, 1_900, 8, 0);
    (0..500).for_each(|n| note(&mut moments, 2_000 + n * 1_000, 9, 0));
    moments.edited(501_000, Some(1));
    let seen = |moments: &Moments, wall| moments.at(wall).map(|moment| (moment.at, moment.order, moment.version));
    assert_eq!(seen(&moments, 1), Some((1_000, 7, Some(0))));
    assert_eq!((seen(&moments, 501), seen(&moments, 502)), (Some((501_000, 9, Some(1))), None));
    note(&mut moments, 502_000, 10, 1);
    note(&mut moments, 502_300, 11, 1);
    moments.edited(502_300, Some(2));
    assert_eq!(seen(&moments, 502), Some((502_000, 10, None)), "granted before the edit or by it");
}

#[test]
fn a_clock_that_was_set_back_tells_of_its_last_passing_and_of_what_was_granted_before_it_was() {
    let mut moments = Moments::default();
    let moment = |at| Moment { at, order: 0, version: None };
    moments.note(10, moment(10_000));
    moments.note(12, moment(12_000));
    moments.note(9, moment(13_000));
    moments.note(10, moment(14_000));
    let at = |wall| moments.at(wall).map(|moment| moment.at);
    assert_eq!((at(9), at(10), at(12)), (Some(13_000), Some(14_000), Some(12_000)));
}
