//! The days of one connection: a calendar for its own day, and one for each other reset that a limit of its plan has.

use crate::calendar::{Day, Reset};
use crate::config::Kind;
use crate::config::Plan;
use crate::index::{CalendarId, Table};
use crate::limiter::Now;
use crate::limits::daily_quota::{Calendar, Turn};
use crate::mutant::{self, Mutant};

/// The calendars. The first is the connection's own day.
#[derive(Debug, Clone, Default)]
pub struct Days {
    calendars: Table<CalendarId, Calendar>,
}

impl Days {
    /// Returns the days of a plan at this time.
    pub fn new(plan: &Plan, now: Now<'_>) -> Self {
        let mut days = Self::default();
        days.calendars.push(Calendar::new(&plan.day, now.zones, now.wall));
        for limit in &plan.limits {
            if let Kind::Daily { reset, .. } = &limit.kind
                && days.find(reset).is_none()
            {
                days.calendars.push(Calendar::new(reset, now.zones, now.wall));
            }
        }
        days
    }

    /// Keeps the day that is open under each reset that these days had before, in another plan.
    pub fn keep(&mut self, before: &Self) {
        for (_, calendar) in self.calendars.iter_mut() {
            if let Some(known) = before.of_reset(calendar.reset()) {
                calendar.clone_from(known);
            }
        }
    }

    /// Goes on from a stored day under a reset, if there is such a reset.
    pub fn resume(&mut self, reset: &Reset, day: &Day) {
        if let Some((_, calendar)) = self.calendars.iter_mut().find(|(_, calendar)| calendar.reset() == reset) {
            *calendar = Calendar::resume(reset.clone(), day.clone());
        }
    }

    /// Returns the calendar of a number.
    pub fn get(&self, calendar: CalendarId) -> Option<&Calendar> {
        self.calendars.get(calendar)
    }

    /// Returns the calendar of the connection's own day.
    pub fn own(&self) -> Option<&Calendar> {
        self.calendars.get(CalendarId::OWN)
    }

    /// Returns the number of the calendar of a reset.
    pub fn find(&self, reset: &Reset) -> Option<CalendarId> {
        self.calendars.iter().find(|(_, calendar)| calendar.reset() == reset).map(|(at, _)| at)
    }

    /// Returns the calendar of a reset.
    pub fn of_reset(&self, reset: &Reset) -> Option<&Calendar> {
        self.calendars.values().find(|calendar| calendar.reset() == reset)
    }

    /// Returns all calendars, the connection's own day first.
    pub fn iter(&self) -> impl Iterator<Item = &Calendar> {
        self.calendars.values()
    }

    /// Returns the numbers of all calendars.
    pub fn ids(&self) -> impl Iterator<Item = CalendarId> + use<> {
        self.calendars.ids()
    }

    /// Returns when the next day opens under any calendar, Unix milliseconds.
    pub fn next_opening(&self) -> i64 {
        self.iter().map(Calendar::opens_next).min().unwrap_or(i64::MAX)
    }

    /// Moves a calendar on to the day that is open now.
    pub fn turn(&mut self, calendar: CalendarId, now: Now<'_>) -> Turn {
        self.calendars.get_mut(calendar).map_or(Turn::Same, |calendar| calendar.turn(now.zones, now.wall))
    }

    /// Whether at a wall time the day before the one that is open is still open too.
    pub fn before_is_open(&self, calendar: CalendarId, wall: i64) -> bool {
        let days = self.calendars.get(calendar);
        days.is_some_and(|days| wall < days.before_over() && !mutant::is(Mutant::OneSided))
    }
}
