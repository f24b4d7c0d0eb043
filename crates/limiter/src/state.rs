//! The state of one connection's throttle, and what every event does first: move the days, the past and the leases on to now.

#![expect(clippy::arithmetic_side_effects, reason = "calls in flight")]

use super::adaptive::Adaptive;
use super::block::Block;
use super::bucket::{Bucket, Refill};
use super::clock::Clock;
use super::daily::{Calendar, Daily, Turn};
use super::history::History;
use super::jobs::Place;
use super::lanes::NONE;
use super::ledger::Ledger;
use super::loan::Loan;
use super::meter::{Gauge, Meter, Sight, Stands, Together};
use super::mutant::{self, Mutant};
use super::past::Past;
use super::queue::{Queue, Room, Ticket};
use super::rule::{AdaptiveRule, Kind, Limit, Mode, QueueRule, Unit};
use super::stop::Stops;
use super::turns::Turns;
use super::window::{MOST_ENTRIES, Window};
use super::{Grant, Refused};
use crate::calendar::{Reset, Zones};
use std::collections::VecDeque;

/// The hosts' clocks differ by less than this, milliseconds: what comes from disk is held so much longer.
pub const SKEW_MS: i64 = 1_000;
/// A permit older than this at the Worker is handed back unused, milliseconds.
pub const SLACK_MS: i64 = 2_000;
/// Milliseconds of a `rolling_day`.
pub(super) const DAY_MS: u64 = 86_400_000;
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

/// One app's part in a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRule {
    /// Its name.
    pub name: String,
    /// Its share against the other apps'.
    pub weight: u32,
    /// Its budget on this connection for each of the connection's days.
    pub daily_calls: Option<u64>,
}

/// The time of an event, and who knows the zones.
#[derive(Clone, Copy)]
pub struct Now<'a> {
    /// Unix time, milliseconds.
    pub wall: i64,
    /// The platform's time zones.
    pub zones: &'a dyn Zones,
}

/// What waits, and the limits it waits for: see [`Throttle::parts`].
pub(super) struct Parts<'a> {
    pub queue: &'a mut Queue,
    pub here: Here<'a>,
}

/// The meters, and what these depend on.
pub(super) struct Here<'a> {
    pub meters: &'a mut [Meter],
    pub sight: Sight<'a>,
    stops: &'a Stops,
}

impl Here<'_> {
    /// Whether one more call fits under a meter.
    pub fn has_room(&mut self, meter: u32) -> bool {
        self.meters.get_mut(meter as usize).is_some_and(|entry| entry.has_room(meter, &self.sight))
    }

    /// Whether a lane's next call has to wait.
    pub fn is_full(&mut self, lane: u32) -> bool {
        let class = self.sight.ledger.lanes.get(lane).map_or(NONE, |lane| lane.class);
        !self.is_open(class) || self.own_full(lane).is_some()
    }

    fn own_full(&mut self, lane: u32) -> Option<u32> {
        let own = self.sight.ledger.lanes.get(lane).map_or(&[][..], |lane| &lane.own);
        own.iter().copied().find(|&meter| !self.has_room(meter))
    }
}

impl Room for Here<'_> {
    fn is_open(&mut self, class: u32) -> bool {
        let Some(class) = self.sight.ledger.lanes.class(class) else { return true };
        if class.full_in.get() == self.sight.event {
            return false;
        }
        let tight = class.tight.get();
        if class.shared.is_empty() || self.has_room(tight) {
            let Some(found) = class.shared.iter().copied().find(|&meter| meter != tight && !self.has_room(meter))
            else {
                return true;
            };
            class.tight.set(found);
        }
        class.full_in.set(self.sight.event);
        false
    }

    fn blocked_until(&mut self, lane: u32) -> Option<i64> {
        let app = self.sight.ledger.lanes.get(lane).map_or(NONE, |lane| lane.app);
        if let Some(until) = self.stops.look_at(app, self.sight.time) {
            return Some(until);
        }
        let meter = self.own_full(lane)?;
        let entry = self.meters.get_mut(meter as usize)?;
        Some(entry.next_change(meter, &self.sight).unwrap_or(i64::MAX))
    }
}

/// One connection's throttle.
pub struct Throttle {
    pub(super) plan: Plan,
    pub(super) clock: Clock,
    pub(super) wall: i64,
    /// Events so far.
    event: u64,
    pub(super) epoch: u32,
    /// The plan's apps, then those that only have counts left.
    pub(super) apps: Vec<AppRule>,
    /// Their places by name.
    by_name: Vec<u32>,
    /// App, mask and lane of the last call: most often the next one's too.
    recent: (u32, u32, u32),
    /// Some limit counts bytes.
    pub(super) counts_bytes: bool,
    /// The first is the connection's own day.
    pub(super) calendars: Vec<Calendar>,
    pub(super) meters: Vec<Meter>,
    /// The meter of each limit that counts all apps' calls together.
    pub(super) shared: Vec<u32>,
    /// The meters of each app: its budget's, then for each limit its own; [`NONE`] where there is none yet.
    pub(super) own: Vec<Vec<u32>>,
    /// For limits by app: what was counted before they were, and begins every app's count. None for most.
    pub(super) before: Vec<Option<Gauge>>,
    /// Some limit is a day by app.
    pub(super) days_by_app: bool,
    /// How many limits are windows by app.
    pub(super) windows_by_app: usize,
    /// The meter of the app that has used most of a day by app, by limit; [`NONE`] before the first call.
    pub(super) fullest: Vec<u32>,
    pub(super) history: History,
    pub(super) refill: Refill,
    pub(super) ledger: Ledger,
    pub(super) past: Past,
    pub(super) queue: Queue,
    pub(super) adaptive: Adaptive,
    pub(super) turns: Turns,
    /// What an operator has stopped.
    pub(super) stops: Stops,
    pub(super) block: Block,
    pub(super) ready: VecDeque<(Ticket, Result<Grant, Refused>)>,
    /// Where jobs stand in the queue, by lane; and those that may go.
    pub(super) places: Vec<Option<Place>>,
    pub(super) job_ready: VecDeque<(u32, Grant)>,
    /// Calls refused of late though their limits had room: those refused together are told successive times.
    pub(super) refused: Together,
    /// Permits that lapsed unreported, until the statistics have asked for them: lane, and when granted.
    pub(super) lapsed: VecDeque<(u32, i64)>,
    /// Mean time from grant to settlement, sixteenths of a millisecond.
    pub(super) mean_flight: i64,
}

impl Throttle {
    /// A throttle without history.
    pub fn new(plan: Plan, now: Now<'_>) -> Self {
        let mut throttle = Self::bare(plan, Clock::new(now.wall), now);
        let apps = throttle.plan.apps.clone();
        apps.into_iter().for_each(|app| throttle.add_app(app));
        throttle.add_shared();
        throttle
    }

    /// A throttle with calendars, and with neither apps nor meters.
    pub(super) fn bare(plan: Plan, clock: Clock, now: Now<'_>) -> Self {
        let calendars = calendars(&plan, now);
        let limits = plan.limits.len();
        let mut ledger = Ledger::default();
        ledger.watch_ages(ages(&plan.limits));
        Self {
            queue: Queue::new(plan.queue.size, std::iter::empty()),
            adaptive: Adaptive::new(&plan.adaptive),
            turns: Turns::default(),
            stops: Stops::default(),
            clock,
            wall: now.wall,
            event: 0,
            epoch: 1,
            apps: Vec::new(),
            by_name: Vec::new(),
            recent: (NONE, 0, 0),
            counts_bytes: counts_bytes(&plan.limits),
            calendars,
            meters: Vec::new(),
            shared: vec![NONE; limits],
            own: Vec::new(),
            before: vec![None; limits],
            days_by_app: days_by_app(&plan.limits),
            windows_by_app: windows_by_app(&plan.limits),
            fullest: vec![NONE; limits],
            history: History::default(),
            refill: Refill::new(clock.last()),
            ledger,
            past: Past::default(),
            block: Block::new(),
            ready: VecDeque::new(),
            places: Vec::new(),
            job_ready: VecDeque::new(),
            refused: Together::default(),
            lapsed: VecDeque::new(),
            mean_flight: 0,
            plan,
        }
    }

    /// The meters of limits that count all apps' calls together.
    pub(super) fn add_shared(&mut self) {
        for at in 0..u32::try_from(self.plan.limits.len()).unwrap_or(0).min(32) {
            if self.plan.limits.get(at as usize).is_some_and(|limit| !limit.per_app) {
                self.meter(Stands::Limit(at), None);
            }
        }
    }

    /// Adds to the table of apps.
    pub(super) fn add_app(&mut self, app: AppRule) {
        if let (Err(at), Ok(place)) = (self.place_of(&app.name), u32::try_from(self.apps.len())) {
            self.by_name.insert(at, place);
        }
        self.queue.add_app(app.weight);
        self.stops.add_app(&app.name);
        self.apps.push(app);
        self.own.push(Vec::new());
    }

    /// An app's place in the table, by its name, and the lane of its calls that the limits in `mask` count.
    pub(super) fn lane_of(&mut self, name: &str, mask: u32) -> Option<(u32, u32)> {
        let (app, counted, lane) = self.recent;
        let stands = self.ledger.lanes.get(lane).is_some_and(|lane| lane.app == app && lane.mask == mask);
        if counted == mask && stands && self.apps.get(app as usize).is_some_and(|app| app.name == name) {
            return Some((app, lane));
        }
        let app = *self.by_name.get(self.place_of(name).ok()?)?;
        let lane = self.lane(app, mask)?;
        self.recent = (app, mask, lane);
        Some((app, lane))
    }

    fn place_of(&self, name: &str) -> Result<usize, usize> {
        self.by_name.binary_search_by(|&at| self.apps.get(at as usize).map_or("", |app| app.name.as_str()).cmp(name))
    }

    /// Empties the table of apps.
    pub(super) fn clear_apps(&mut self) {
        (self.apps, self.by_name, self.own) = (Vec::new(), Vec::new(), Vec::new());
        self.stops.clear_apps();
        self.forget_recent();
    }

    /// Lanes and apps may have other numbers.
    pub(super) fn forget_recent(&mut self) {
        self.recent = (NONE, 0, 0);
    }

    /// An app's place in the table.
    pub(super) fn app(&self, name: &str) -> Option<u32> {
        self.by_name.get(self.place_of(name).ok()?).copied()
    }

    /// What waits, the meters, and what these depend on, to be used together.
    pub(super) fn parts(&mut self, time: i64) -> Parts<'_> {
        let observe = self.plan.mode == Mode::Observe;
        let sight = Sight {
            time,
            event: self.event,
            wall: self.wall,
            factor: self.adaptive.factor(),
            refill: self.refill,
            observe,
            ledger: &self.ledger,
            past: &self.past,
            calendars: &self.calendars,
        };
        Parts { queue: &mut self.queue, here: Here { meters: &mut self.meters, sight, stops: &self.stops } }
    }

    /// The meters, and what these depend on.
    pub(super) fn here(&mut self, time: i64) -> Here<'_> {
        self.parts(time).here
    }

    /// What every event does first. Days turn before leases lapse, so that what was in flight at the reset is counted in the new
    /// day. Gives limiter time.
    pub(super) fn begin(&mut self, now: Now<'_>) -> i64 {
        let time = self.clock.read(now.wall);
        self.wall = now.wall;
        self.event += 1;
        if self.calendars.iter().any(|days| days.opens_next() <= now.wall) {
            self.turn_days(now, time);
        }
        while let Some(landed) = self.past.advance(time) {
            for (meter, n) in landed.calls {
                self.date(meter, landed.at, n);
            }
            self.history.push(landed.at, landed.total, 0);
            landed.lanes.into_iter().for_each(|lane| self.ledger.lanes.pin(lane, false));
            self.queue.unpark_all();
            self.block.touch();
        }
        while let Some(lease) = self.ledger.lapse(self.epoch, time) {
            if !lease.cut && self.lapsed.len() < super::ledger::MOST_LEASES {
                self.lapsed.push_back((lease.lane, lease.granted));
            }
            self.date_lane(lease.lane, lease.lapses);
            self.block.touch();
        }
        self.ledger.age(time);
        time
    }

    fn turn_days(&mut self, now: Now<'_>, time: i64) {
        for at in 0..self.calendars.len() {
            let turn = self.calendars.get_mut(at).map_or(Turn::Same, |calendar| calendar.turn(now.zones, now.wall));
            if turn != Turn::Same {
                self.open_day(at, turn);
                self.block.end(time);
            }
        }
    }

    fn open_day(&mut self, calendar: usize, turn: Turn) {
        for (at, meter) in (0..).zip(&mut self.meters) {
            let Gauge::Daily { calendar: kept, count, bytes, .. } = &mut meter.gauge else { continue };
            if *kept == calendar {
                let flying = self.ledger.flying(at) + self.past.flying(at);
                let counted = !*bytes && !mutant::is(Mutant::OneSided);
                count.turn(turn, if counted { flying } else { 0 });
                (meter.vendor, meter.told) = (None, None);
                if let Some(loan) = &mut meter.loan {
                    loan.open_day(flying);
                }
            }
        }
        for gauge in self.before.iter_mut().flatten() {
            if let Gauge::Daily { calendar: kept, count, .. } = gauge
                && *kept == calendar
            {
                count.turn(turn, 0);
            }
        }
        self.queue.unpark_all();
        self.block.touch();
    }

    /// `n` calls under a meter were settled at `at`.
    pub(super) fn date(&mut self, meter: u32, at: i64, n: u32) {
        let Here { meters, sight, .. } = self.here(self.clock.last());
        if let Some(entry) = meters.get_mut(meter as usize) {
            entry.date(at, n, &sight);
        }
    }

    /// A call on a lane was settled at `at`.
    pub(super) fn date_lane(&mut self, lane: u32, at: i64) {
        if !mutant::is(Mutant::CountBySend) {
            self.date_each(lane, at);
        }
        self.history.push(at, 1, 0);
        self.unpark_app_of(lane);
    }

    /// Limits of the lane's app may have room again.
    pub(super) fn unpark_app_of(&mut self, lane: u32) {
        if let Some(lane) = self.ledger.lanes.get(lane) {
            self.queue.unpark(lane.app);
        }
    }

    /// All meters of a lane count a call as settled at `at`.
    pub(super) fn date_each(&mut self, lane: u32, at: i64) {
        let Here { meters, sight, .. } = self.here(self.clock.last());
        for &meter in sight.meters_of(lane) {
            if let Some(entry) = meters.get_mut(meter as usize) {
                entry.date(at, 1, &sight);
            }
        }
    }

    /// The `place`-th meter of a lane.
    pub(super) fn meter_of(&self, lane: u32, place: usize) -> Option<u32> {
        self.ledger.lanes.get(lane)?.meters.get(place).copied()
    }

    /// The lane of an app's calls that the limits in `mask` count; made at the first call. None when the table is full.
    pub(super) fn lane(&mut self, app: u32, mask: u32) -> Option<u32> {
        if let Some(lane) = self.ledger.lanes.find(app, mask) {
            return Some(lane);
        }
        if !self.ledger.lanes.make_room(self.clock.last()) {
            return None;
        }
        let (meters, own) = self.meters_under(app, mask);
        let class = self.class(mask);
        self.ledger.lanes.add(app, mask, class, meters, own)
    }

    /// The meters of an app's calls that the limits in `mask` count: all, and those that count this app alone.
    pub(super) fn meters_under(&mut self, app: u32, mask: u32) -> (Vec<u32>, Vec<u32>) {
        let budget = self.meter(Stands::Budget, Some(app));
        let (mut meters, mut own) = (vec![budget], vec![budget]);
        for at in 0..u32::try_from(self.plan.limits.len()).unwrap_or(0).min(32) {
            let Some(limit) = self.plan.limits.get(at as usize).filter(|_| mask & (1 << at) != 0) else { continue };
            let per_app = limit.per_app;
            let meter = self.meter(Stands::Limit(at), per_app.then_some(app));
            meters.push(meter);
            if per_app {
                own.push(meter);
            }
        }
        (meters, own)
    }

    fn class(&mut self, mask: u32) -> u32 {
        if let Some(class) = self.ledger.lanes.find_class(mask) {
            return class;
        }
        let shared = self.shared_under(mask);
        self.ledger.lanes.add_class(mask, shared)
    }

    /// The meters that count all calls that the limits in `mask` count.
    pub(super) fn shared_under(&self, mask: u32) -> Vec<u32> {
        let counts = |(at, meter): &(u32, &u32)| mask & (1 << at) != 0 && **meter != NONE;
        (0..32).zip(&self.shared).filter(counts).map(|(_, meter)| *meter).collect()
    }

    /// The meter of a limit, or of one app under it; made when first needed.
    pub(super) fn meter(&mut self, stands: Stands, app: Option<u32>) -> u32 {
        let place = match stands {
            Stands::Limit(at) => at as usize,
            Stands::Budget => 0,
        };
        let next = u32::try_from(self.meters.len()).unwrap_or(NONE);
        let known = match app {
            None => self.shared.get_mut(place),
            Some(app) => self.own.get_mut(app as usize).and_then(|own| {
                let place = if stands == Stands::Budget { 0 } else { place + 1 };
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
        let limit = match stands {
            Stands::Limit(at) => self.plan.limits.get(at as usize),
            Stands::Budget => None,
        };
        let loan = limit
            .filter(|limit| limit.pool.is_some())
            .map(|limit| Box::new(Loan::new(limit, self.plan.mode, self.clock.last())));
        let gauge = self.gauge(stands, app);
        self.meters.push(Meter { stands, app, gauge, vendor: None, told: None, loan, refused: Together::default() });
        self.ledger.fit(self.meters.len());
        next
    }

    /// What an app's count begins with under a limit by app: what was counted before that limit was, and no more than the app has sent.
    fn begun(&self, at: usize, app: u32) -> Option<Gauge> {
        let mut gauge = self.before.get(at)?.clone()?;
        if let Gauge::Daily { calendar, count, bytes: false, .. } = &mut gauge {
            let budget = self.own.get(app as usize).and_then(|own| own.first());
            match budget.and_then(|at| self.meters.get(*at as usize)).map(|meter| &meter.gauge) {
                Some(Gauge::Daily { calendar: own, count: sent, .. }) if own == calendar => {
                    (count.used, count.before) = (count.used.min(sent.used), count.before.min(sent.before));
                }
                None if *calendar == 0 => *count = Daily::default(),
                _ => {}
            }
        }
        Some(gauge)
    }

    /// Entries that a window by app keeps.
    fn own_entries(&self) -> usize {
        let all = self.windows_by_app.saturating_mul(self.apps.len()).max(1);
        (OWN_ENTRIES / all).clamp(LEAST_ENTRIES, MOST_ENTRIES)
    }

    fn gauge(&self, stands: Stands, app: Option<u32>) -> Gauge {
        let Stands::Limit(at) = stands else {
            let budget = app.and_then(|app| self.apps.get(app as usize)).and_then(|app| app.daily_calls);
            let amount = budget.unwrap_or(u64::MAX);
            return Gauge::Daily { calendar: 0, count: Daily::default(), amount, bytes: false };
        };
        let begun = app.and_then(|app| self.begun(at as usize, app));
        begun.unwrap_or_else(|| self.fresh(at as usize, app.is_some()))
    }

    /// The gauge of a limit that has counted nothing.
    pub(super) fn fresh(&self, at: usize, of_app: bool) -> Gauge {
        let most = if of_app { self.own_entries() } else { MOST_ENTRIES };
        let none = Kind::Concurrency { calls: u64::MAX, after_ms: 0 };
        match self.plan.limits.get(at).map_or(&none, |limit| &limit.kind) {
            Kind::TokenBucket { rate_micro, burst } => Gauge::Bucket(Bucket::new(*rate_micro, *burst)),
            Kind::RollingWindow { calls, window_ms, guard_ms } => {
                let window = Window::new(*calls, *window_ms, *guard_ms, most);
                Gauge::Window { window, calls: *calls, scaled: true }
            }
            Kind::RollingDay { calls } => {
                Gauge::Window { window: Window::new(*calls, DAY_MS, 0, most), calls: *calls, scaled: false }
            }
            Kind::Daily { amount, reset, unit } => {
                let calendar = self.calendars.iter().position(|calendar| calendar.reset() == reset).unwrap_or(0);
                let bytes = *unit == Unit::ResponseBytes;
                Gauge::Daily { calendar, count: Daily::default(), amount: *amount, bytes }
            }
            Kind::Concurrency { calls, after_ms } => {
                Gauge::Slots { calls: *calls, after_ms: i64::try_from(*after_ms).unwrap_or(i64::MAX / 4) }
            }
        }
    }

    /// Whether the day before is still open under a calendar.
    pub(super) fn before_is_open(&self, calendar: usize) -> bool {
        self.calendars
            .get(calendar)
            .is_some_and(|calendar| self.wall < calendar.before_over() && !mutant::is(Mutant::OneSided))
    }

    /// The limiter time of a moment on the wall clock.
    pub(super) fn limiter_time(&self, wall: i64) -> i64 {
        self.clock.last().saturating_add(wall.saturating_sub(self.wall))
    }

    /// How long a lease lasts: until the vendor can no longer be at work on the call.
    pub(super) fn life_ms(&self) -> i64 {
        SLACK_MS.saturating_add(i64::try_from(self.plan.ceiling_ms).unwrap_or(i64::MAX / 4))
    }

    /// In flight in all, as far as is known.
    pub(super) fn flying(&self) -> u64 {
        self.ledger.len() as u64 + self.past.len()
    }
}

/// The days of a plan: first the connection's own, then those of its limits.
pub(super) fn calendars(plan: &Plan, now: Now<'_>) -> Vec<Calendar> {
    let mut calendars = vec![Calendar::new(&plan.day, now.zones, now.wall)];
    for limit in &plan.limits {
        if let Kind::Daily { reset, .. } = &limit.kind
            && calendars.iter().all(|calendar| calendar.reset() != reset)
        {
            calendars.push(Calendar::new(reset, now.zones, now.wall));
        }
    }
    calendars
}

/// Limits that count calls in flight for longer than so many milliseconds: their places, and that time.
pub(super) fn ages(limits: &[Limit]) -> impl Iterator<Item = (u32, i64)> + '_ {
    (0..32).zip(limits).filter_map(|(at, limit)| match limit.kind {
        Kind::Concurrency { after_ms, .. } if after_ms > 0 => {
            Some((at, i64::try_from(after_ms).unwrap_or(i64::MAX / 4)))
        }
        _ => None,
    })
}

pub(super) fn counts_bytes(limits: &[Limit]) -> bool {
    limits.iter().any(|limit| matches!(limit.kind, Kind::Daily { unit: Unit::ResponseBytes, .. }))
}

pub(super) fn days_by_app(limits: &[Limit]) -> bool {
    limits.iter().any(|limit| limit.per_app && matches!(limit.kind, Kind::Daily { .. }))
}

pub(super) fn windows_by_app(limits: &[Limit]) -> usize {
    let is_window = |limit: &&Limit| matches!(limit.kind, Kind::RollingWindow { .. } | Kind::RollingDay { .. });
    limits.iter().filter(|limit| limit.per_app).filter(is_window).count()
}
