//! The state of one connection's limiter, and what every event does first: move the days, the past and the leases on to now.

#![expect(clippy::arithmetic_side_effects, reason = "calls in flight")]

use crate::apps::{AppRule, Apps};
use crate::calendar::{Reset, Zones};
use crate::clock::Clock;
use crate::config::{AdaptiveRule, Kind, Limit, Mode, QueueRule, Unit};
use crate::counter::{Counter, CounterKey, CounterState, Together, View};
use crate::days::Days;
use crate::durable::prior_epochs::PriorEpochs;
use crate::durable::reservation::Reservation;
use crate::epoch::Epoch;
use crate::history::History;
use crate::index::{AppId, CalendarId, Index};
use crate::jobs::Place;
use crate::leases::Leases;
use crate::limits::daily_quota::{Daily, Turn};
use crate::limits::rolling_window::{MOST_ENTRIES, Window};
use crate::limits::token_bucket::Bucket;
use crate::mutant::{self, Mutant};
use crate::pauses::Pauses;
use crate::pool::loan::Loan;
use crate::queue::lanes::NONE;
use crate::queue::{Queue, Room, Ticket};
use crate::rate::Rate;
use crate::{Grant, Refused};
use std::collections::VecDeque;

/// The hosts' clocks differ by less than this, milliseconds: what comes from disk is held so much longer.
pub const SKEW_MS: i64 = 1_000;
/// A permit older than this at the Worker is handed back unused, milliseconds.
pub const SLACK_MS: i64 = 2_000;
/// Milliseconds of a `rolling_day`.
pub(crate) const DAY_MS: u64 = 86_400_000;
/// Entries that all windows of apps' own keep at most together; each keeps [`LEAST_ENTRIES`] in any case. At 16 bytes each, 1 MB.
const OWN_ENTRIES: usize = 65_536;
/// See [`OWN_ENTRIES`]: with 1,000 apps and 31 limits by app a call may count a quarter of its window too long.
const LEAST_ENTRIES: usize = 4;

/// One connection's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// At most 32: a call's limits are a bit mask.
    pub limits: Vec<Limit>,
    /// The wait queue.
    pub queue: QueueRule,
    /// Adaptation.
    pub adaptive: AdaptiveRule,
    /// Enforce or observe.
    pub mode: Mode,
    /// The apps that may call.
    pub apps: Vec<AppRule>,
    /// The longest a vendor may be at work on a call after it was sent, milliseconds: at least the time-out.
    pub ceiling_ms: u64,
    /// The connection's own day: its budgets' and its statistics'.
    pub day: Reset,
}

/// The time of an event, and who knows the zones.
#[derive(Clone, Copy)]
pub struct Now<'a> {
    /// Unix time, milliseconds.
    pub wall: i64,
    /// The platform's time zones.
    pub zones: &'a dyn Zones,
}

/// What waits, and the limits it waits for: see [`Limiter::parts`].
pub(crate) struct Split<'a> {
    pub queue: &'a mut Queue,
    pub here: CountersView<'a>,
}

/// The counters, and what these depend on.
pub(crate) struct CountersView<'a> {
    pub counters: &'a mut [Counter],
    pub view: View<'a>,
}

impl CountersView<'_> {
    /// Whether one more call fits under a counter.
    pub fn has_room(&mut self, counter: u32) -> bool {
        self.counters.get_mut(counter as usize).is_some_and(|entry| entry.has_room(counter, &self.view))
    }

    /// Whether a lane's next call has to wait.
    pub fn is_full(&mut self, lane: u32) -> bool {
        let class = self.view.leases.lanes.get(lane).map_or(NONE, |lane| lane.class);
        !self.is_open(class) || self.own_full(lane).is_some()
    }

    fn own_full(&mut self, lane: u32) -> Option<u32> {
        let own = self.view.leases.lanes.get(lane).map_or(&[][..], |lane| &lane.own);
        own.iter().copied().find(|&counter| !self.has_room(counter))
    }
}

impl Room for CountersView<'_> {
    fn is_open(&mut self, class: u32) -> bool {
        let Some(class) = self.view.leases.lanes.class(class) else { return true };
        if class.full_in.get() == self.view.epoch.event() {
            return false;
        }
        let tight = class.tight.get();
        if class.shared.is_empty() || self.has_room(tight) {
            let Some(found) = class.shared.iter().copied().find(|&counter| counter != tight && !self.has_room(counter))
            else {
                return true;
            };
            class.tight.set(found);
        }
        class.full_in.set(self.view.epoch.event());
        false
    }

    fn blocked_until(&mut self, lane: u32) -> Option<i64> {
        let app = self.view.leases.lanes.get(lane).map_or(AppId::NONE, |lane| lane.app);
        if let Some(until) = self.view.pauses.look_at(app, self.view.time()) {
            return Some(until);
        }
        let counter = self.own_full(lane)?;
        let entry = self.counters.get_mut(counter as usize)?;
        Some(entry.next_change(counter, &self.view).unwrap_or(i64::MAX))
    }
}

/// One connection's throttle.
pub struct Limiter {
    pub(crate) plan: Plan,
    pub(crate) epoch: Epoch,
    pub(crate) apps: Apps,
    /// Some limit counts bytes.
    pub(crate) counts_bytes: bool,
    pub(crate) days: Days,
    pub(crate) counters: Vec<Counter>,
    /// The counter of each limit that counts all apps' calls together.
    pub(crate) shared: Vec<u32>,
    /// The counters of each app: its budget's, then for each limit its own; [`NONE`] where there is none yet.
    pub(crate) own: Vec<Vec<u32>>,
    /// For limits by app: what was counted before they were, and begins every app's count. None for most.
    pub(crate) before: Vec<Option<CounterState>>,
    /// Some limit is a day by app.
    pub(crate) days_by_app: bool,
    /// How many limits are windows by app.
    pub(crate) windows_by_app: usize,
    /// The counter of the app that has used most of a day by app, by limit; [`NONE`] before the first call.
    pub(crate) fullest: Vec<u32>,
    pub(crate) history: History,
    pub(crate) leases: Leases,
    pub(crate) prior: PriorEpochs,
    pub(crate) queue: Queue,
    pub(crate) rate: Rate,
    /// What an operator has stopped.
    pub(crate) pauses: Pauses,
    pub(crate) reservation: Reservation,
    pub(crate) ready: VecDeque<(Ticket, Result<Grant, Refused>)>,
    /// Where jobs stand in the queue, by lane; and those that may go.
    pub(crate) places: Vec<Option<Place>>,
    pub(crate) job_ready: VecDeque<(u32, Grant)>,
    /// Calls refused of late though their limits had room: those refused together are told successive times.
    pub(crate) refused: Together,
    /// Permits that lapsed unreported, until the statistics have asked for them: lane, and when granted.
    pub(crate) lapsed: VecDeque<(u32, i64)>,
    /// Mean time from grant to settlement, sixteenths of a millisecond.
    pub(crate) mean_flight: i64,
}

impl Limiter {
    /// A limiter without history.
    pub fn new(plan: Plan, now: Now<'_>) -> Self {
        let mut limiter = Self::bare(plan, Epoch::new(1, Clock::new(now.wall), now.wall), now);
        let apps = limiter.plan.apps.clone();
        for app in apps {
            limiter.add_app(app);
        }
        limiter.add_shared();
        limiter
    }

    /// A limiter with calendars, and with neither apps nor counters.
    pub(crate) fn bare(plan: Plan, epoch: Epoch, now: Now<'_>) -> Self {
        let limits = plan.limits.len();
        let mut leases = Leases::default();
        leases.watch_ages(ages(&plan.limits));
        Self {
            queue: Queue::new(plan.queue.size, std::iter::empty()),
            rate: Rate::new(&plan.adaptive, epoch.time()),
            pauses: Pauses::default(),
            epoch,
            apps: Apps::default(),
            counts_bytes: counts_bytes(&plan.limits),
            days: Days::new(&plan, now),
            counters: Vec::new(),
            shared: vec![NONE; limits],
            own: Vec::new(),
            before: vec![None; limits],
            days_by_app: days_by_app(&plan.limits),
            windows_by_app: windows_by_app(&plan.limits),
            fullest: vec![NONE; limits],
            history: History::default(),
            leases,
            prior: PriorEpochs::default(),
            reservation: Reservation::new(),
            ready: VecDeque::new(),
            places: Vec::new(),
            job_ready: VecDeque::new(),
            refused: Together::default(),
            lapsed: VecDeque::new(),
            mean_flight: 0,
            plan,
        }
    }

    /// The counters of limits that count all apps' calls together.
    pub(crate) fn add_shared(&mut self) {
        for at in 0..u32::try_from(self.plan.limits.len()).unwrap_or(0).min(32) {
            if self.plan.limits.get(at as usize).is_some_and(|limit| !limit.per_app) {
                self.counter(CounterKey::Limit(at), None);
            }
        }
    }

    /// Adds to the table of apps.
    pub(crate) fn add_app(&mut self, app: AppRule) -> AppId {
        self.queue.add_app(app.weight);
        self.pauses.add_app(&app.name);
        self.own.push(Vec::new());
        self.apps.add(app)
    }

    /// An app's number, by its name, and the lane of its calls that the limits in `mask` count. None for an app that is not in the table,
    /// or when the table of lanes is full.
    pub(crate) fn lane_of(&mut self, name: &str, mask: u32) -> Option<(AppId, u32)> {
        if let Some((lane, app)) = self.leases.lanes.recent(mask)
            && self.apps.name(app) == name
        {
            return Some((app, lane));
        }
        let app = self.apps.find(name)?;
        let lane = self.lane(app, mask)?;
        self.leases.lanes.set_recent(lane);
        Some((app, lane))
    }

    /// Empties the table of apps.
    pub(crate) fn clear_apps(&mut self) {
        (self.apps, self.own) = (Apps::default(), Vec::new());
        self.pauses.clear_apps();
    }

    /// What waits, the counters, and what these depend on, to be used together.
    pub(crate) fn parts(&mut self) -> Split<'_> {
        let view = View {
            epoch: &self.epoch,
            rate: &self.rate,
            days: &self.days,
            leases: &self.leases,
            prior: &self.prior,
            pauses: &self.pauses,
            mode: self.plan.mode,
        };
        Split { queue: &mut self.queue, here: CountersView { counters: &mut self.counters, view } }
    }

    /// The counters, and what these depend on.
    pub(crate) fn here(&mut self) -> CountersView<'_> {
        self.parts().here
    }

    /// What every event does first. Days turn before leases lapse, so that what was in flight at the reset is counted in the new
    /// day. Gives limiter time.
    pub(crate) fn begin(&mut self, now: Now<'_>) -> i64 {
        let time = self.epoch.begin_event(now.wall);
        if self.days.next_opening() <= now.wall {
            self.turn_days(now, time);
        }
        while let Some(settled) = self.prior.advance(time) {
            for (counter, n) in settled.calls {
                self.date(counter, settled.at, n);
            }
            self.history.push(settled.at, settled.total, 0);
            settled.lanes.into_iter().for_each(|lane| self.leases.lanes.pin(lane, false));
            self.queue.unpark_all();
            self.reservation.touch();
        }
        while let Some(lease) = self.leases.lapse(self.epoch.number(), time) {
            if !lease.cut && self.lapsed.len() < crate::leases::MOST_LEASES {
                self.lapsed.push_back((lease.lane, lease.granted));
            }
            self.date_lane(lease.lane, lease.lapses);
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
        for (at, counter) in (0..).zip(&mut self.counters) {
            let CounterState::Daily { calendar: kept, count, bytes, .. } = &mut counter.state else { continue };
            if *kept == calendar {
                let in_flight = self.leases.in_flight(at) + self.prior.in_flight(at);
                let counted = !*bytes && !mutant::is(Mutant::OneSided);
                count.turn(turn, if counted { in_flight } else { 0 });
                (counter.vendor, counter.told) = (None, None);
                if let Some(loan) = &mut counter.loan {
                    loan.open_day(in_flight);
                }
            }
        }
        for state in self.before.iter_mut().flatten() {
            if let CounterState::Daily { calendar: kept, count, .. } = state
                && *kept == calendar
            {
                count.turn(turn, 0);
            }
        }
        self.queue.unpark_all();
        self.reservation.touch();
    }

    /// `n` calls under a counter were settled at `at`.
    pub(crate) fn date(&mut self, counter: u32, at: i64, n: u32) {
        let CountersView { counters, view, .. } = self.here();
        if let Some(entry) = counters.get_mut(counter as usize) {
            entry.date(at, n, &view);
        }
    }

    /// A call on a lane was settled at `at`.
    pub(crate) fn date_lane(&mut self, lane: u32, at: i64) {
        if !mutant::is(Mutant::CountBySend) {
            self.date_each(lane, at);
        }
        self.history.push(at, 1, 0);
        self.unpark_app_of(lane);
    }

    /// Limits of the lane's app may have room again.
    pub(crate) fn unpark_app_of(&mut self, lane: u32) {
        if let Some(lane) = self.leases.lanes.get(lane) {
            self.queue.unpark(lane.app);
        }
    }

    /// All counters of a lane count a call as settled at `at`.
    pub(crate) fn date_each(&mut self, lane: u32, at: i64) {
        let CountersView { counters, view, .. } = self.here();
        for &counter in view.counters_of(lane) {
            if let Some(entry) = counters.get_mut(counter as usize) {
                entry.date(at, 1, &view);
            }
        }
    }

    /// The `place`-th counter of a lane.
    pub(crate) fn counters_of(&self, lane: u32, place: usize) -> Option<u32> {
        self.leases.lanes.get(lane)?.counters.get(place).copied()
    }

    /// The lane of an app's calls that the limits in `mask` count; made at the first call. None when the table is full.
    pub(crate) fn lane(&mut self, app: AppId, mask: u32) -> Option<u32> {
        if let Some(lane) = self.leases.lanes.find(app, mask) {
            return Some(lane);
        }
        if !self.leases.lanes.make_room(self.epoch.time()) {
            return None;
        }
        let (counters, own) = self.counters_under(app, mask);
        let class = self.class(mask);
        self.leases.lanes.add(app, mask, class, counters, own)
    }

    /// The counters of an app's calls that the limits in `mask` count: all, and those that count this app alone.
    pub(crate) fn counters_under(&mut self, app: AppId, mask: u32) -> (Vec<u32>, Vec<u32>) {
        let budget = self.counter(CounterKey::Budget, Some(app));
        let (mut counters, mut own) = (vec![budget], vec![budget]);
        for at in 0..u32::try_from(self.plan.limits.len()).unwrap_or(0).min(32) {
            let Some(limit) = self.plan.limits.get(at as usize).filter(|_| mask & (1 << at) != 0) else { continue };
            let per_app = limit.per_app;
            let counter = self.counter(CounterKey::Limit(at), per_app.then_some(app));
            counters.push(counter);
            if per_app {
                own.push(counter);
            }
        }
        (counters, own)
    }

    fn class(&mut self, mask: u32) -> u32 {
        if let Some(class) = self.leases.lanes.find_class(mask) {
            return class;
        }
        let shared = self.shared_under(mask);
        self.leases.lanes.add_class(mask, shared)
    }

    /// The counters that count all calls that the limits in `mask` count.
    pub(crate) fn shared_under(&self, mask: u32) -> Vec<u32> {
        let counts = |(at, counter): &(u32, &u32)| mask & (1 << at) != 0 && **counter != NONE;
        (0..32).zip(&self.shared).filter(counts).map(|(_, counter)| *counter).collect()
    }

    /// The counter of a limit, or of one app under it; made when first needed.
    pub(crate) fn counter(&mut self, key: CounterKey, app: Option<AppId>) -> u32 {
        let place = match key {
            CounterKey::Limit(at) => at as usize,
            CounterKey::Budget => 0,
        };
        let next = u32::try_from(self.counters.len()).unwrap_or(NONE);
        let known = match app {
            None => self.shared.get_mut(place),
            Some(app) => self.own.get_mut(app.position()).and_then(|own| {
                let place = if key == CounterKey::Budget { 0 } else { place + 1 };
                if own.len() <= place {
                    own.resize(place + 1, NONE);
                }
                own.get_mut(place)
            }),
        };
        let Some(known) = known else { return NONE };
        if *known != NONE {
            return *known;
        }
        *known = next;
        let limit = match key {
            CounterKey::Limit(at) => self.plan.limits.get(at as usize),
            CounterKey::Budget => None,
        };
        let loan = limit
            .filter(|limit| limit.pool.is_some())
            .map(|limit| Box::new(Loan::new(limit, self.plan.mode, self.epoch.time())));
        let state = self.state(key, app);
        self.counters.push(Counter { key, app, state, vendor: None, told: None, loan, refused: Together::default() });
        self.leases.fit(self.counters.len());
        next
    }

    /// What an app's count begins with under a limit by app: what was counted before that limit was, and no more than the app has sent.
    fn begun(&self, at: usize, app: AppId) -> Option<CounterState> {
        let mut state = self.before.get(at)?.clone()?;
        if let CounterState::Daily { calendar, count, bytes: false, .. } = &mut state {
            let budget = self.own.get(app.position()).and_then(|own| own.first());
            match budget.and_then(|at| self.counters.get(*at as usize)).map(|counter| &counter.state) {
                Some(CounterState::Daily { calendar: own, count: sent, .. }) if *own == *calendar => {
                    (count.used, count.before) = (count.used.min(sent.used), count.before.min(sent.before));
                }
                None if *calendar == CalendarId::OWN => *count = Daily::default(),
                _ => {}
            }
        }
        Some(state)
    }

    /// Entries that a window by app keeps.
    fn own_entries(&self) -> usize {
        let all = self.windows_by_app.saturating_mul(self.apps.len()).max(1);
        (OWN_ENTRIES / all).clamp(LEAST_ENTRIES, MOST_ENTRIES)
    }

    fn state(&self, key: CounterKey, app: Option<AppId>) -> CounterState {
        let CounterKey::Limit(at) = key else {
            let budget = app.and_then(|app| self.apps.get(app)).and_then(|app| app.daily_calls);
            let amount = budget.unwrap_or(u64::MAX);
            return CounterState::Daily { calendar: CalendarId::OWN, count: Daily::default(), amount, bytes: false };
        };
        let begun = app.and_then(|app| self.begun(at as usize, app));
        begun.unwrap_or_else(|| self.fresh(at as usize, app.is_some()))
    }

    /// The gauge of a limit that has counted nothing.
    pub(crate) fn fresh(&self, at: usize, of_app: bool) -> CounterState {
        let most = if of_app { self.own_entries() } else { MOST_ENTRIES };
        let none = Kind::Concurrency { calls: u64::MAX, after_ms: 0 };
        match self.plan.limits.get(at).map_or(&none, |limit| &limit.kind) {
            Kind::TokenBucket { rate_micro, burst } => CounterState::Bucket(Bucket::new(*rate_micro, *burst)),
            Kind::RollingWindow { calls, window_ms, guard_ms } => {
                let window = Window::new(*calls, *window_ms, *guard_ms, most);
                CounterState::Window { window, calls: *calls, scaled: true }
            }
            Kind::RollingDay { calls } => {
                CounterState::Window { window: Window::new(*calls, DAY_MS, 0, most), calls: *calls, scaled: false }
            }
            Kind::Daily { amount, reset, unit } => {
                let calendar = self.days.find(reset).unwrap_or(CalendarId::OWN);
                let bytes = *unit == Unit::ResponseBytes;
                CounterState::Daily { calendar, count: Daily::default(), amount: *amount, bytes }
            }
            Kind::Concurrency { calls, after_ms } => {
                CounterState::Slots { calls: *calls, after_ms: i64::try_from(*after_ms).unwrap_or(i64::MAX / 4) }
            }
        }
    }

    /// Whether the day before is still open under a calendar.
    pub(crate) fn before_is_open(&self, calendar: CalendarId) -> bool {
        self.days.before_is_open(calendar, self.epoch.wall())
    }

    /// How long a lease lasts: until the vendor can no longer be at work on the call.
    pub(crate) fn life_ms(&self) -> i64 {
        SLACK_MS.saturating_add(i64::try_from(self.plan.ceiling_ms).unwrap_or(i64::MAX / 4))
    }

    /// How many calls are in flight in all, as far as is known.
    pub fn in_flight(&self) -> u64 {
        self.leases.len() as u64 + self.prior.len()
    }
}

/// Limits that count calls in flight for longer than so many milliseconds: their places, and that time.
pub(crate) fn ages(limits: &[Limit]) -> impl Iterator<Item = (u32, i64)> + '_ {
    (0..32).zip(limits).filter_map(|(at, limit)| match limit.kind {
        Kind::Concurrency { after_ms, .. } if after_ms > 0 => {
            Some((at, i64::try_from(after_ms).unwrap_or(i64::MAX / 4)))
        }
        _ => None,
    })
}

pub(crate) fn counts_bytes(limits: &[Limit]) -> bool {
    limits.iter().any(|limit| matches!(limit.kind, Kind::Daily { unit: Unit::ResponseBytes, .. }))
}

pub(crate) fn days_by_app(limits: &[Limit]) -> bool {
    limits.iter().any(|limit| limit.per_app && matches!(limit.kind, Kind::Daily { .. }))
}

pub(crate) fn windows_by_app(limits: &[Limit]) -> usize {
    let is_window = |limit: &&Limit| matches!(limit.kind, Kind::RollingWindow { .. } | Kind::RollingDay { .. });
    limits.iter().filter(|limit| limit.per_app).filter(is_window).count()
}
