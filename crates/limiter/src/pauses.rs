//! What an operator has stopped: the connection, or apps of it, until a moment or until it is started again. The vendor's own pauses are
//! [`Adaptive`](crate::adaptive::Adaptive)'s.
//!
//! A stop with an end is like a vendor's pause: whoever would wait beyond it is refused at once, with the exact time. One without an end
//! may be over any moment: calls wait for that as long as they may, and are refused then. Pauses are not in the limiter's row: whoever
//! orders them stores them, and says them again to the next life.

use crate::index::{AppId, Table};
use crate::limiter::{Limiter, Now};
use std::collections::BTreeMap;

/// The end of a stop that has none.
const NEVER: i64 = i64::MAX;
const NONE: i64 = i64::MIN;

/// Whoever waits for the end of a stop that has none is looked at so often, milliseconds: nothing but an event ends it.
const AGAIN_MS: i64 = 3_600_000;

/// What a refused caller is told of a stop without an end, milliseconds: nobody knows when it will be over.
const LATER_MS: i64 = 60_000;

/// The stops of one connection. Limiter milliseconds.
#[derive(Debug, Clone)]
pub struct Pauses {
    all: i64,
    named: BTreeMap<String, i64>,
    /// By the place in the limiter's table of apps.
    apps: Table<AppId, i64>,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { all: NONE, named: BTreeMap::new(), apps: Table::default() }
    }
}

impl Pauses {
    /// Another app, at the end of the table.
    pub fn add_app(&mut self, name: &str) {
        self.apps.push(self.named.get(name).copied().unwrap_or(NONE));
    }

    /// The table of apps is empty.
    pub fn clear_apps(&mut self) {
        self.apps = Table::default();
    }

    /// Until when the connection is stopped, if that lies ahead.
    pub fn of_all(&self, time: i64) -> Option<i64> {
        (self.all > time).then_some(self.all)
    }

    /// Until when an app by itself is stopped, if that lies ahead.
    pub fn of_app(&self, app: AppId, time: i64) -> Option<i64> {
        self.apps.get(app).copied().filter(|until| *until > time)
    }

    /// When an app that is stopped by itself is to be looked at again.
    pub fn look_at(&self, app: AppId, time: i64) -> Option<i64> {
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

/// Whether the end of a stop is not known.
pub const fn has_no_end(until: i64) -> bool {
    until == NEVER
}

/// An end, where one is known.
fn known(until: Option<i64>) -> Option<i64> {
    until.filter(|until| !has_no_end(*until))
}

impl Limiter {
    /// Pauses the connection, or one app of it, until then, Unix milliseconds; none: until [`Self::start`]. Whoever waits and may not wait
    /// so long is refused.
    pub fn stop(&mut self, now: Now<'_>, app: Option<&str>, until: Option<i64>) {
        let time = self.begin(now);
        let until = until.map_or(NEVER, |until| self.epoch.limiter_time(until).min(NEVER.saturating_sub(1)));
        let place = app.and_then(|app| self.apps.find(app));
        self.pauses.set(app.map(|app| (app, place)), until);
        if let Some(place) = place {
            self.queue.unpark(place);
        }
        // Those that may not go are parked.
        self.grant_ready(time);
        self.look_at_all(time);
    }

    /// Starts one app again; or the connection, with all of its apps, and whatever pause the vendor has asked for. Those that waited go as
    /// the limits let them.
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

    /// Until when no call goes, if that lies ahead: by the vendor's word, or an operator's.
    pub(crate) fn paused(&self, time: i64) -> Option<i64> {
        self.rate.paused(time).max(self.pauses.of_all(time))
    }

    /// The same of one app's calls.
    pub(crate) fn paused_for(&self, app: AppId, time: i64) -> Option<i64> {
        self.paused(time).max(self.pauses.of_app(app, time))
    }

    /// Until when no call of an app goes, whatever happens: an end that nobody knows may be now.
    pub(crate) fn surely_paused_for(&self, app: AppId, time: i64) -> Option<i64> {
        let stopped = known(self.pauses.of_all(time)).max(known(self.pauses.of_app(app, time)));
        self.rate.paused(time).max(stopped)
    }

    /// When a call of an app that is paused until then may be told to come again: the end; or where nobody knows it, a while on.
    pub(crate) fn come_again(until: i64, time: i64) -> i64 {
        if has_no_end(until) { time.saturating_add(LATER_MS) } else { until }
    }

    /// When something is to be looked at that is held until then.
    pub(crate) fn look_at_held(until: i64, time: i64) -> i64 {
        if has_no_end(until) { time.saturating_add(AGAIN_MS) } else { until }
    }
}
