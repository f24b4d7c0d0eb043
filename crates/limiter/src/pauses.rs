//! What an operator has stopped: the connection, or apps of it, until a moment or until it is started again. The vendor's own pauses are
//! kept in [`Rate`](crate::rate::Rate).
//!
//! A stop with an end is like a vendor's pause: a call that would wait beyond it is refused at once, with the exact time. One without an
//! end may be over any moment: calls wait for that as long as they may, and are refused then. Pauses are not in the limiter's snapshot: the
//! user of the limiter stores them, and orders them again in the next epoch.

use crate::index::{AppId, Table};
use crate::limiter::{Limiter, Now};
use std::collections::BTreeMap;

/// The end of a stop that has none.
const NEVER: i64 = i64::MAX;
/// No stop.
const NONE: i64 = i64::MIN;

/// Calls that wait for the end of a stop that has none are checked so often, milliseconds: nothing but an event ends it.
const AGAIN_MS: i64 = 3_600_000;

/// How long a caller that was refused by a stop without an end is asked to stay away, milliseconds.
const LATER_MS: i64 = 60_000;

/// The stops of one connection. Limiter milliseconds.
#[derive(Debug, Clone)]
pub struct Pauses {
    all: i64,
    named: BTreeMap<String, i64>,
    /// Until when each app is stopped, by its number.
    apps: Table<AppId, i64>,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { all: NONE, named: BTreeMap::new(), apps: Table::default() }
    }
}

impl Pauses {
    /// Adds an app at the end of the table.
    pub fn add_app(&mut self, name: &str) {
        self.apps.push(self.named.get(name).copied().unwrap_or(NONE));
    }

    /// Empties the table of apps; stops by name are kept.
    pub fn clear_apps(&mut self) {
        self.apps = Table::default();
    }

    /// Returns until when the connection is stopped, if that lies ahead.
    pub fn of_all(&self, time: i64) -> Option<i64> {
        (self.all > time).then_some(self.all)
    }

    /// Returns until when an app by itself is stopped, if that lies ahead.
    pub fn of_app(&self, app: AppId, time: i64) -> Option<i64> {
        self.apps.get(app).copied().filter(|until| *until > time)
    }

    /// Returns when the calls of an app that is stopped by itself are to be checked again, limiter
    /// milliseconds.
    pub fn recheck_at(&self, app: AppId, time: i64) -> Option<i64> {
        self.of_app(app, time).map(|until| until.min(time.saturating_add(AGAIN_MS)))
    }

    fn set(&mut self, app: Option<(&str, Option<AppId>)>, until: i64) {
        let Some((name, place)) = app else {
            self.all = until;
            return;
        };
        match until {
            NONE => drop(self.named.remove(name)),
            _ => drop(self.named.insert(name.to_owned(), until)),
        }
        if let Some(own) = place.and_then(|place| self.apps.get_mut(place)) {
            *own = until;
        }
    }
}

/// Whether a stop has no end.
pub const fn has_no_end(until: i64) -> bool {
    until == NEVER
}

/// Returns an end, if it is known.
fn known(until: Option<i64>) -> Option<i64> {
    until.filter(|until| !has_no_end(*until))
}

impl Limiter {
    /// Stops the connection, or one app of it, until `until`, Unix milliseconds; if that is none, until [`Self::start`]. Waiting calls that
    /// may not wait so long are refused.
    pub fn stop(&mut self, now: Now<'_>, app: Option<&str>, until: Option<i64>) {
        let time = self.begin(now);
        let until = until.map_or(NEVER, |until| self.epoch.limiter_time(until).min(NEVER.saturating_sub(1)));
        let place = app.and_then(|app| self.apps.find(app));
        self.pauses.set(app.map(|app| (app, place)), until);
        if let Some(place) = place {
            self.queue.unpark(place);
        }
        // Lanes that may not go are parked.
        self.grant_ready(time);
        self.recheck_all(time);
    }

    /// Starts one app again; or the connection, with all of its apps, and ends any pause that the vendor has asked for. Waiting calls
    /// go as the limits let them.
    pub fn start(&mut self, now: Now<'_>, app: Option<&str>) {
        let time = self.begin(now);
        match app {
            Some(app) => {
                let place = self.apps.find(app);
                self.pauses.set(Some((app, place)), NONE);
                if let Some(place) = place {
                    self.queue.unpark(place);
                }
            }
            None => {
                (self.pauses.all, self.pauses.named) = (NONE, BTreeMap::new());
                self.pauses.apps.iter_mut().for_each(|(_, until)| *until = NONE);
                if self.rate.lift() {
                    self.require_snapshot();
                }
                self.queue.unpark_all();
            }
        }
        self.grant_ready(time);
    }

    /// Returns until when no call goes, if that lies ahead: the vendor or an operator has stopped
    /// the connection.
    pub(crate) fn paused(&self, time: i64) -> Option<i64> {
        self.rate.paused(time).max(self.pauses.of_all(time))
    }

    /// Returns until when no call of an app goes, if that lies ahead.
    pub(crate) fn paused_for(&self, app: AppId, time: i64) -> Option<i64> {
        self.paused(time).max(self.pauses.of_app(app, time))
    }

    /// Returns until when no call of an app goes, whatever happens. A stop without an end may end
    /// now.
    pub(crate) fn surely_paused_for(&self, app: AppId, time: i64) -> Option<i64> {
        let stopped = known(self.pauses.of_all(time)).max(known(self.pauses.of_app(app, time)));
        self.rate.paused(time).max(stopped)
    }

    /// Returns when a call that is refused by a pause until `until` may come again: then, or a
    /// while on if the pause has no end.
    pub(crate) fn come_again(until: i64, time: i64) -> i64 {
        if has_no_end(until) { time.saturating_add(LATER_MS) } else { until }
    }

    /// Returns when a call is to be checked that is held until `until`.
    pub(crate) fn recheck_held(until: i64, time: i64) -> i64 {
        if has_no_end(until) { time.saturating_add(AGAIN_MS) } else { until }
    }
}
