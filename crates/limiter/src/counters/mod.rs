//! The counters of one connection: for each limit one for all apps or one for each app, and for each app one of its calls on the
//! connection's own day, which is its budget where it has one.

pub(crate) mod counter;
mod room;
pub(crate) mod rules;
mod together;
pub(crate) mod vendor_total;
pub(crate) mod view;

use crate::config::{Kind, Limit, Unit};
use crate::counters::counter::{Counter, CounterKey, CounterState};
use crate::counters::rules::Rules;
use crate::counters::together::Together;
use crate::index::{AppId, CalendarId, CounterId, LimitId, Table};
use crate::limits::daily_quota::{Daily, Turn};

/// All counters of one connection.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    counters: Table<CounterId, Counter>,
    limits: Table<LimitId, OfLimit>,
    apps: Table<AppId, OfApp>,
    /// Whether some limit counts bytes.
    counts_bytes: bool,
    /// Whether some limit is a day with a count for each app.
    days_by_app: bool,
    /// The calls refused of late though their limits had room: by a pause, or since it was not their turn.
    refused: Together,
}

/// What is kept of one limit.
#[derive(Debug, Clone)]
struct OfLimit {
    /// The counter of all apps' calls; none for a limit by app.
    shared: CounterId,
    /// For a day by app, the counter of the app that has used most; none before the first call.
    fullest: CounterId,
    /// For a limit by app, what was counted before the limit was, with which every app's count begins. None for most.
    before: Option<CounterState>,
}

/// The counters of one app, which are made when they are first needed.
#[derive(Debug, Clone)]
struct OfApp {
    budget: CounterId,
    limits: Table<LimitId, CounterId>,
}

impl Counters {
    /// Returns the counters of these limits, of which none is made yet.
    pub fn new(limits: &[Limit]) -> Self {
        let bytes = |limit: &Limit| matches!(limit.kind, Kind::Daily { unit: Unit::ResponseBytes, .. });
        let day_by_app = |limit: &Limit| limit.per_app && matches!(limit.kind, Kind::Daily { .. });
        let none = OfLimit { shared: CounterId::NONE, fullest: CounterId::NONE, before: None };
        Self {
            limits: limits.iter().map(|_| none.clone()).collect(),
            counts_bytes: limits.iter().any(bytes),
            days_by_app: limits.iter().any(day_by_app),
            ..Self::default()
        }
    }

    /// Adds an app at the end of the table.
    pub fn add_app(&mut self) {
        self.apps.push(OfApp { budget: CounterId::NONE, limits: Table::default() });
    }

    /// Returns how many counters there are.
    pub fn len(&self) -> usize {
        self.counters.len()
    }

    /// Returns the numbers of all counters.
    pub fn ids(&self) -> impl Iterator<Item = CounterId> + use<> {
        self.counters.ids()
    }

    /// Returns all counters, in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = &Counter> {
        self.counters.values()
    }

    /// Returns the counter of a number.
    pub fn get(&self, counter: CounterId) -> Option<&Counter> {
        self.counters.get(counter)
    }

    /// Returns the counter of a number, to be changed.
    pub fn get_mut(&mut self, counter: CounterId) -> Option<&mut Counter> {
        self.counters.get_mut(counter)
    }

    /// Returns what the counter of a number has counted.
    pub fn state(&self, counter: CounterId) -> Option<&CounterState> {
        self.get(counter).map(|counter| &counter.state)
    }

    /// Returns what the counter of a number has counted, to be changed.
    pub fn state_mut(&mut self, counter: CounterId) -> Option<&mut CounterState> {
        self.get_mut(counter).map(|counter| &mut counter.state)
    }

    /// Returns the counter of all apps' calls under a limit; none for a limit by app.
    pub fn shared(&self, limit: LimitId) -> Option<CounterId> {
        self.limits.get(limit)?.shared.known()
    }

    /// Returns the counters of limits that count all apps' calls together.
    pub fn all_shared(&self) -> impl Iterator<Item = (LimitId, CounterId)> {
        self.limits.iter().filter_map(|(limit, of)| Some((limit, of.shared.known()?)))
    }

    /// Returns the counter of an app's calls on the connection's own day.
    pub fn budget(&self, app: AppId) -> Option<CounterId> {
        self.apps.get(app)?.budget.known()
    }

    /// Returns the counters of a limit: the one of all apps, or that of each app that has one.
    pub fn of_limit(&self, limit: LimitId) -> impl Iterator<Item = (Option<AppId>, CounterId)> {
        let own = self.apps.iter().filter_map(move |(app, of)| Some((Some(app), of.limits.get(limit)?.known()?)));
        self.shared(limit).map(|counter| (None, counter)).into_iter().chain(own)
    }

    /// Returns the counters that count all calls that the limits in `mask` count.
    pub fn shared_under(&self, mask: u32) -> Vec<CounterId> {
        self.all_shared().filter(|(limit, _)| limit.is_in(mask)).map(|(_, counter)| counter).collect()
    }

    /// Returns the counters of an app's calls that the limits in `mask` count: all, and those that
    /// count only this app. They are made if need be.
    pub fn under(&mut self, app: AppId, mask: u32, rules: &Rules<'_>) -> (Vec<CounterId>, Vec<CounterId>) {
        let budget = self.find_or_add(CounterKey::Budget, Some(app), rules);
        let (mut counters, mut own) = (vec![budget], vec![budget]);
        for (at, limit) in rules.limits().filter(|(at, _)| at.is_in(mask)) {
            let counter = self.find_or_add(CounterKey::Limit(at), limit.per_app.then_some(app), rules);
            counters.push(counter);
            if limit.per_app {
                own.push(counter);
            }
        }
        (counters, own)
    }

    /// Returns the counter of a limit, or of one app under it, which is made when it is first
    /// needed.
    pub fn find_or_add(&mut self, key: CounterKey, app: Option<AppId>, rules: &Rules<'_>) -> CounterId {
        let Some(known) = self.noted(key, app).copied() else { return CounterId::NONE };
        if let Some(known) = known.known() {
            return known;
        }
        let state = self.first_state(key, app, rules);
        let counter = self.counters.push(Counter::new(key, app, state, rules.loan(key)));
        if let Some(known) = self.noted(key, app) {
            *known = counter;
        }
        counter
    }

    /// Returns where the number of a counter is noted; none for a limit or an app that is in no
    /// table.
    fn noted(&mut self, key: CounterKey, app: Option<AppId>) -> Option<&mut CounterId> {
        match (key, app) {
            (CounterKey::Limit(limit), None) => Some(&mut self.limits.get_mut(limit)?.shared),
            (CounterKey::Limit(limit), Some(app)) => {
                let own = &mut self.apps.get_mut(app)?.limits;
                own.grow_to(limit, CounterId::NONE);
                own.get_mut(limit)
            }
            (CounterKey::Budget, app) => Some(&mut self.apps.get_mut(app?)?.budget),
        }
    }

    fn first_state(&self, key: CounterKey, app: Option<AppId>, rules: &Rules<'_>) -> CounterState {
        match key {
            CounterKey::Budget => rules.budget(app),
            CounterKey::Limit(limit) => {
                let begun = app.and_then(|app| self.begun(limit, app));
                begun.unwrap_or_else(|| rules.fresh(limit))
            }
        }
    }

    /// Returns what an app's count begins with under a limit by app: what was counted before that
    /// limit was, and no more than the app has sent.
    fn begun(&self, limit: LimitId, app: AppId) -> Option<CounterState> {
        let mut state = self.before(limit)?.clone();
        if let CounterState::Daily { calendar, count, unit: Unit::Calls, .. } = &mut state {
            match self.budget(app).and_then(|budget| self.state(budget)) {
                Some(CounterState::Daily { calendar: own, count: sent, .. }) if *own == *calendar => {
                    (count.used, count.before) = (count.used.min(sent.used), count.before.min(sent.before));
                }
                None if *calendar == CalendarId::OWN => *count = Daily::default(),
                _ => {}
            }
        }
        Some(state)
    }

    /// Returns what every app's count begins with under a limit by app.
    pub fn before(&self, limit: LimitId) -> Option<&CounterState> {
        self.limits.get(limit)?.before.as_ref()
    }

    /// Returns what every app's count begins with under each limit by app that has such a count.
    pub fn all_before(&self) -> impl Iterator<Item = (LimitId, &CounterState)> {
        self.limits.iter().filter_map(|(limit, of)| Some((limit, of.before.as_ref()?)))
    }

    /// Sets what every app's count begins with under a limit by app.
    pub fn set_before(&mut self, limit: LimitId, state: CounterState) {
        if let Some(of) = self.limits.get_mut(limit) {
            of.before = Some(state);
        }
    }

    /// Whether some limit counts bytes.
    pub const fn counts_bytes(&self) -> bool {
        self.counts_bytes
    }

    /// Returns, for a day by app, the counter of the app that has used most.
    pub fn fullest(&self, limit: LimitId) -> Option<CounterId> {
        self.limits.get(limit)?.fullest.known()
    }

    /// Notes that these counters of one app have counted something: it may be the app that has used
    /// most of a day by app.
    pub fn note_fullest(&mut self, own: &[CounterId]) {
        if !self.days_by_app {
            return;
        }
        for &counter in own {
            if let Some(CounterKey::Limit(limit)) = self.get(counter).map(|counter| counter.key) {
                self.raise_fullest(limit, counter);
            }
        }
    }

    /// Notes that a counter of a limit by app has risen: it may be the fullest of that day.
    pub fn raise_fullest(&mut self, limit: LimitId, counter: CounterId) {
        let used = |counter: CounterId| match self.state(counter) {
            Some(CounterState::Daily { count, .. }) => Some(count.used),
            _ => None,
        };
        let Some(of) = self.limits.get(limit) else { return };
        if used(counter) > used(of.fullest)
            && let Some(of) = self.limits.get_mut(limit)
        {
            of.fullest = counter;
        }
    }

    /// Opens a new day under a calendar; `in_flight` returns how many calls in flight a counter
    /// counts.
    pub fn open_day(&mut self, calendar: CalendarId, turn: Turn, in_flight: impl Fn(CounterId) -> u64) {
        for (at, counter) in self.counters.iter_mut() {
            counter.open_day(calendar, turn, || in_flight(at));
        }
        for (_, of) in self.limits.iter_mut() {
            if let Some(CounterState::Daily { calendar: kept, count, .. }) = &mut of.before
                && *kept == calendar
            {
                count.turn(turn, 0);
            }
        }
    }

    /// Returns how many calls have been refused of late though their limits had room.
    pub fn refused_with_room(&self, time: i64) -> u64 {
        self.refused.count(time)
    }

    /// Notes a refused call: it is refused by this counter, or, if there is none, though its limits
    /// had room.
    pub fn refuse(&mut self, by: Option<CounterId>, time: i64) {
        match by.and_then(|counter| self.counters.get_mut(counter)) {
            Some(counter) => counter.refused.add(time),
            None => self.refused.add(time),
        }
    }

    /// Takes over what counters before an edit know of refused calls that no limit refused.
    pub const fn keep_refused(&mut self, before: &Self) {
        self.refused = before.refused;
    }
}
