//! The state of one connection's limiter, and what every event does first: move the days, earlier epochs and the leases on to now.

#![expect(clippy::arithmetic_side_effects, reason = "calls in flight")]

use crate::apps::{AppRule, Apps};
use crate::calendar::Zones;
use crate::clock::Clock;
use crate::config::Plan;
use crate::counters::Counters;
use crate::counters::counter::CounterKey;
use crate::counters::rules::Rules;
use crate::counters::view::{CountersNow, View};
use crate::days::Days;
use crate::durable::prior_epochs::PriorEpochs;
use crate::durable::reservation::Reservation;
use crate::epoch::Epoch;
use crate::history::History;
use crate::index::{AppId, CalendarId, ClassId, CounterId, LaneId};
use crate::jobs::Jobs;
use crate::leases::Leases;
use crate::leases::ageing::ages;
use crate::limits::daily_quota::Turn;
use crate::mutant::{self, Mutant};
use crate::pauses::Pauses;
use crate::queue::{Queue, Ticket};
use crate::rate::Rate;
use crate::{Grant, Refused};
use std::collections::VecDeque;

/// The hosts' clocks differ by less than this, milliseconds: what comes from disk is held so much longer.
pub const SKEW_MS: i64 = 1_000;
/// A permit older than this at the Worker is handed back unused, milliseconds.
pub const SLACK_MS: i64 = 2_000;

/// The time of an event, and who knows the zones.
#[derive(Clone, Copy)]
pub struct Now<'a> {
    /// Unix time, milliseconds.
    pub wall: i64,
    /// The platform's time zones.
    pub zones: &'a dyn Zones,
}

/// The limiter of one connection.
pub struct Limiter {
    pub(crate) plan: Plan,
    pub(crate) epoch: Epoch,
    pub(crate) apps: Apps,
    pub(crate) days: Days,
    pub(crate) counters: Counters,
    pub(crate) rate: Rate,
    pub(crate) pauses: Pauses,
    pub(crate) leases: Leases,
    pub(crate) prior: PriorEpochs,
    pub(crate) history: History,
    pub(crate) queue: Queue,
    pub(crate) jobs: Jobs,
    /// The calls that have waited and whose end is known, for [`Limiter::next_ready`].
    pub(crate) ready: VecDeque<(Ticket, Result<Grant, Refused>)>,
    pub(crate) reservation: Reservation,
}

impl Limiter {
    /// Returns a limiter without history.
    pub fn new(plan: Plan, now: Now<'_>) -> Self {
        let mut limiter = Self::bare(plan, Epoch::new(1, Clock::new(now.wall), now.wall), now);
        limiter.add_planned_apps();
        limiter.add_shared();
        limiter
    }

    /// Returns a limiter with calendars, and with neither apps nor counters.
    pub(crate) fn bare(plan: Plan, epoch: Epoch, now: Now<'_>) -> Self {
        let mut leases = Leases::default();
        leases.watch_ages(ages(&plan.limits));
        Self {
            epoch,
            apps: Apps::default(),
            days: Days::new(&plan, now),
            counters: Counters::new(&plan.limits),
            rate: Rate::new(&plan.adaptive, epoch.time()),
            pauses: Pauses::default(),
            leases,
            prior: PriorEpochs::default(),
            history: History::default(),
            queue: Queue::new(plan.queue.size, std::iter::empty()),
            jobs: Jobs::default(),
            ready: VecDeque::new(),
            reservation: Reservation::new(),
            plan,
        }
    }

    /// Makes the counters of limits that count all apps' calls together.
    pub(crate) fn add_shared(&mut self) {
        let shared = self.rules().limits().filter(|(_, limit)| !limit.per_app).map(|(limit, _)| limit);
        for limit in shared.collect::<Vec<_>>() {
            self.counter(CounterKey::Limit(limit), None);
        }
    }

    /// Adds the plan's apps to the table of apps.
    pub(crate) fn add_planned_apps(&mut self) {
        for app in self.plan.apps.clone() {
            self.add_app(app);
        }
    }

    /// Adds an app at the end of the table of apps.
    pub(crate) fn add_app(&mut self, app: AppRule) -> AppId {
        self.queue.add_app(app.weight);
        self.pauses.add_app(&app.name);
        self.counters.add_app();
        self.apps.add(app)
    }

    /// Returns an app's number, by its name, and the lane of its calls that the limits in `mask`
    /// count; none for an app that is not in the table, or when the table of lanes is full.
    pub(crate) fn lane_of(&mut self, name: &str, mask: u32) -> Option<(AppId, LaneId)> {
        if let Some((lane, app)) = self.leases.lanes().recent(mask)
            && self.apps.name(app) == name
        {
            return Some((app, lane));
        }
        let app = self.apps.find(name)?;
        let lane = self.lane(app, mask)?;
        self.leases.lanes_mut().set_recent(lane);
        Some((app, lane))
    }

    /// Returns the lane of an app's calls that the limits in `mask` count, which is made at the
    /// first call; none when the table is full.
    pub(crate) fn lane(&mut self, app: AppId, mask: u32) -> Option<LaneId> {
        if let Some(lane) = self.leases.lanes().find(app, mask) {
            return Some(lane);
        }
        if !self.leases.lanes_mut().make_room(self.epoch.time()) {
            return None;
        }
        let (counters, own) = self.counters_under(app, mask);
        let class = self.class(mask);
        self.leases.lanes_mut().add(app, mask, class, counters, own)
    }

    fn class(&mut self, mask: u32) -> ClassId {
        if let Some(class) = self.leases.lanes().find_class(mask) {
            return class;
        }
        let shared = self.counters.shared_under(mask);
        self.leases.lanes_mut().add_class(mask, shared)
    }

    /// Returns what counters are made from now.
    pub(crate) fn rules(&self) -> Rules<'_> {
        Rules { plan: &self.plan, apps: &self.apps, days: &self.days, time: self.epoch.time() }
    }

    /// Returns the counters of an app's calls that the limits in `mask` count: all, and those that
    /// count only this app.
    pub(crate) fn counters_under(&mut self, app: AppId, mask: u32) -> (Vec<CounterId>, Vec<CounterId>) {
        let rules = Rules { plan: &self.plan, apps: &self.apps, days: &self.days, time: self.epoch.time() };
        let counters = self.counters.under(app, mask, &rules);
        self.leases.fit(self.counters.len());
        counters
    }

    /// Returns the counter of a limit, or of one app under it, which is made when it is first
    /// needed.
    pub(crate) fn counter(&mut self, key: CounterKey, app: Option<AppId>) -> CounterId {
        let rules = Rules { plan: &self.plan, apps: &self.apps, days: &self.days, time: self.epoch.time() };
        let counter = self.counters.find_or_add(key, app, &rules);
        self.leases.fit(self.counters.len());
        counter
    }

    /// Returns the queue, and apart from it the counters with what they depend on.
    pub(crate) fn split(&mut self) -> (&mut Queue, CountersNow<'_>) {
        let view = View {
            epoch: &self.epoch,
            rate: &self.rate,
            days: &self.days,
            leases: &self.leases,
            prior: &self.prior,
            pauses: &self.pauses,
            mode: self.plan.mode,
        };
        (&mut self.queue, CountersNow { counters: &mut self.counters, view })
    }

    /// Returns the counters, and what they depend on.
    pub(crate) fn here(&mut self) -> CountersNow<'_> {
        self.split().1
    }

    /// Does what every event begins with. Days turn before leases lapse, so that what was in flight
    /// at the reset is counted in the new day. Returns the limiter time, milliseconds.
    pub(crate) fn begin(&mut self, now: Now<'_>) -> i64 {
        let time = self.epoch.begin_event(now.wall);
        if self.days.next_opening() <= now.wall {
            self.turn_days(now, time);
        }
        while let Some(settled) = self.prior.advance(time) {
            for (counter, n) in settled.calls {
                self.record_on(counter, settled.at, n);
            }
            self.history.push(settled.at, settled.total, 0);
            settled.lanes.into_iter().for_each(|lane| self.leases.lanes_mut().unpin(lane));
            self.queue.unpark_all();
            self.reservation.touch();
        }
        while let Some(lease) = self.leases.lapse(self.epoch.number(), time) {
            self.record_settled(lease.lane, lease.lapses);
            self.reservation.touch();
        }
        self.leases.age(time);
        time
    }

    fn turn_days(&mut self, now: Now<'_>, time: i64) {
        for at in self.days.ids() {
            let turn = self.days.turn(at, now);
            if turn != Turn::Same {
                self.open_day(at, turn);
                self.reservation.end(time);
            }
        }
    }

    fn open_day(&mut self, calendar: CalendarId, turn: Turn) {
        let (leases, prior) = (&self.leases, &self.prior);
        self.counters.open_day(calendar, turn, |counter| leases.in_flight(counter) + prior.in_flight(counter));
        self.queue.unpark_all();
        self.reservation.touch();
    }

    /// Counts `n` calls under a counter as settled at `at`.
    pub(crate) fn record_on(&mut self, counter: CounterId, at: i64, n: u32) {
        if let Some((entry, view)) = self.here().get(counter) {
            entry.record_settled(at, n, view);
        }
    }

    /// Counts a call on a lane as settled at `at`.
    pub(crate) fn record_settled(&mut self, lane: LaneId, at: i64) {
        if !mutant::is(Mutant::CountBySend) {
            self.record_on_each(lane, at);
        }
        self.history.push(at, 1, 0);
        self.unpark_app_of(lane);
    }

    /// Unparks the lanes of a lane's app, whose limits may have room again.
    pub(crate) fn unpark_app_of(&mut self, lane: LaneId) {
        if let Some(lane) = self.leases.lanes().get(lane) {
            self.queue.unpark(lane.app);
        }
    }

    /// Counts a call as settled at `at` under all counters of a lane.
    pub(crate) fn record_on_each(&mut self, lane: LaneId, at: i64) {
        self.here().each_of(lane, |_, entry, view| entry.record_settled(at, 1, view));
    }

    /// Notes that something was counted on a lane: its app may be the one that has used most of a
    /// day by app.
    pub(crate) fn note_fullest(&mut self, lane: LaneId) {
        if let Some(lane) = self.leases.lanes().get(lane) {
            self.counters.note_fullest(&lane.own);
        }
    }

    /// Whether the day before is still open under a calendar.
    pub(crate) fn before_is_open(&self, calendar: CalendarId) -> bool {
        self.days.before_is_open(calendar, self.epoch.wall())
    }

    /// Returns how long a permit's lease lasts, milliseconds: after that the vendor can no longer
    /// be at work on its call.
    pub fn lease_ms(&self) -> i64 {
        SLACK_MS.saturating_add(i64::try_from(self.plan.ceiling_ms).unwrap_or(i64::MAX / 4))
    }

    /// Returns how many calls are in flight in all, as far as is known.
    pub fn in_flight(&self) -> u64 {
        self.leases.len() as u64 + self.prior.len()
    }
}
