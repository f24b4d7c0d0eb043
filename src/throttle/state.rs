//! The state of one connection's throttle, and what every event does first: move the days, the past and the leases on to now.

#![expect(clippy::arithmetic_side_effects, reason = "calls in flight")]

use super::adaptive::Adaptive;
use super::block::Block;
use super::bucket::Bucket;
use super::clock::Clock;
use super::daily::{Calendar, Daily, Turn};
use super::jobs::Place;
use super::ledger::Ledger;
use super::loan::{Loan, pooled};
use super::meter::{Gauge, Meter, Sight, Stands};
use super::mutant::{self, Mutant};
use super::past::Past;
use super::queue::{Queue, Ticket};
use super::rule::{AdaptiveRule, Kind, Limit, Mode, QueueRule, Unit};
use super::turns::Turns;
use super::window::Window;
use super::{Grant, Refused};
use crate::civil::{Reset, Zones};
use std::collections::VecDeque;

/// The hosts' clocks differ by less than this, milliseconds: what comes from disk is held so much longer.
pub const SKEW_MS: i64 = 1_000;
/// A permit older than this at the Worker is handed back unused, milliseconds.
pub const SLACK_MS: i64 = 2_000;
/// Milliseconds of a `rolling_day`.
const DAY_MS: u64 = 86_400_000;

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

/// See [`Throttle::parts`].
pub(super) struct Parts<'a> {
    pub queue: &'a mut Queue,
    pub meters: &'a mut [Meter],
    pub sight: Sight<'a>,
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
    pub(super) ledger: Ledger,
    pub(super) past: Past,
    pub(super) queue: Queue,
    pub(super) adaptive: Adaptive,
    pub(super) turns: Turns,
    pub(super) block: Block,
    pub(super) ready: VecDeque<(Ticket, Result<Grant, Refused>)>,
    /// Where jobs stand in the queue, one place a lane; and those that may go.
    pub(super) places: Vec<Place>,
    pub(super) job_ready: VecDeque<(u32, Grant)>,
    /// When calls were refused of late: those refused together are told successive times.
    pub(super) refused: VecDeque<i64>,
    /// Permits that lapsed unreported, until the statistics have asked for them: lane, and when granted.
    pub(super) lapsed: VecDeque<(u32, i64)>,
    /// The latest settlement, limiter milliseconds.
    pub(super) last_settled: i64,
    /// Mean time from grant to settlement, sixteenths of a millisecond.
    pub(super) mean_flight: i64,
}

impl Throttle {
    /// A throttle without history.
    pub fn new(plan: Plan, now: Now<'_>) -> Self {
        let mut throttle = Self::bare(plan, Clock::new(now.wall), now);
        for limit in 0..throttle.plan.limits.len() {
            throttle.meter(Stands::Limit(u32::try_from(limit).unwrap_or(u32::MAX)), None);
        }
        throttle
    }

    /// A throttle with calendars and no meters.
    pub(super) fn bare(plan: Plan, clock: Clock, now: Now<'_>) -> Self {
        let mut calendars = vec![Calendar::new(&plan.day, now.zones, now.wall)];
        for limit in &plan.limits {
            if let Kind::Daily { reset, .. } = &limit.kind
                && calendars.iter().all(|calendar| calendar.reset() != reset)
            {
                calendars.push(Calendar::new(reset, now.zones, now.wall));
            }
        }
        let apps = plan.apps.clone();
        let mut throttle = Self {
            queue: Queue::new(apps.iter().map(|app| app.weight)),
            adaptive: Adaptive::new(&plan.adaptive),
            turns: Turns::default(),
            clock,
            wall: now.wall,
            event: 0,
            epoch: 1,
            apps: Vec::with_capacity(apps.len()),
            by_name: Vec::with_capacity(apps.len()),
            recent: (u32::MAX, 0, 0),
            counts_bytes: plan
                .limits
                .iter()
                .any(|limit| matches!(limit.kind, Kind::Daily { unit: Unit::ResponseBytes, .. })),
            calendars,
            meters: Vec::new(),
            ledger: Ledger::default(),
            past: Past::default(),
            block: Block::new(),
            ready: VecDeque::new(),
            places: Vec::new(),
            job_ready: VecDeque::new(),
            refused: VecDeque::new(),
            lapsed: VecDeque::new(),
            last_settled: i64::MIN / 4,
            mean_flight: 0,
            plan,
        };
        apps.into_iter().for_each(|app| throttle.add_app(app));
        throttle
    }

    /// Adds to the table of apps.
    pub(super) fn add_app(&mut self, app: AppRule) {
        if let (Err(at), Ok(place)) = (self.place_of(&app.name), u32::try_from(self.apps.len())) {
            self.by_name.insert(at, place);
        }
        self.apps.push(app);
    }

    /// An app's place in the table, by its name, and the lane of its calls that the limits in `mask` count.
    pub(super) fn lane_of(&mut self, name: &str, mask: u32) -> Option<(u32, u32)> {
        let (app, counted, lane) = self.recent;
        if counted == mask && self.apps.get(app as usize).is_some_and(|app| app.name == name) {
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

    /// What waits, the meters, and what these depend on, to be used together.
    pub(super) fn parts(&mut self, time: i64) -> Parts<'_> {
        let observe = self.plan.mode == Mode::Observe;
        let (wall, factor) = (self.wall, self.adaptive.factor());
        let (ledger, past, calendars) = (&self.ledger, &self.past, self.calendars.as_slice());
        let sight = Sight { time, event: self.event, wall, factor, observe, ledger, past, calendars };
        Parts { queue: &mut self.queue, meters: &mut self.meters, sight }
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
        while let Some((group, at, flying)) = self.past.advance(time) {
            for meter in 0..u32::try_from(self.meters.len()).unwrap_or(0) {
                let n = if flying { group.flying(meter, &self.ledger) } else { group.landed(meter, &self.ledger) };
                self.date(meter, at, u32::try_from(n).unwrap_or(u32::MAX));
            }
            self.block.touch();
        }
        while let Some((slot, lease)) = self.ledger.lapsed(time) {
            let id = super::PermitId { epoch: self.epoch, lane: lease.lane, seq: lease.seq, slot };
            self.ledger.close(id);
            if !lease.cut && self.lapsed.len() < super::ledger::MOST_LEASES {
                self.lapsed.push_back((lease.lane, lease.granted));
            }
            self.date_lane(lease.lane, lease.lapses);
            self.block.touch();
        }
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
                let flying = self.ledger.flying(at) + self.past.flying(at, &self.ledger);
                let counted = !*bytes && !mutant::is(Mutant::OneSided);
                count.turn(turn, if counted { flying } else { 0 });
                meter.vendor = None;
            }
        }
        self.block.touch();
    }

    /// `n` calls under a meter were settled at `at`.
    pub(super) fn date(&mut self, meter: u32, at: i64, n: u32) {
        let Parts { meters, sight, .. } = self.parts(self.clock.last());
        if let Some(entry) = meters.get_mut(meter as usize) {
            entry.date(at, n, &sight);
        }
        if n > 0 {
            self.last_settled = self.last_settled.max(at);
        }
    }

    /// A call on a lane was settled at `at`.
    pub(super) fn date_lane(&mut self, lane: u32, at: i64) {
        if !mutant::is(Mutant::CountBySend) {
            self.date_each(lane, at);
        }
    }

    /// All meters of a lane count a call as settled at `at`.
    pub(super) fn date_each(&mut self, lane: u32, at: i64) {
        let Parts { meters, sight, .. } = self.parts(self.clock.last());
        for &meter in sight.meters_of(lane) {
            if let Some(entry) = meters.get_mut(meter as usize) {
                entry.date(at, 1, &sight);
            }
        }
        self.last_settled = self.last_settled.max(at);
    }

    /// The `place`-th meter of a lane.
    pub(super) fn meter_of(&self, lane: u32, place: usize) -> Option<u32> {
        self.ledger.lane(lane)?.meters.get(place).copied()
    }

    /// The lane of an app's calls that the limits in `mask` count; made at the first call.
    pub(super) fn lane(&mut self, app: u32, mask: u32) -> Option<u32> {
        if let Some(lane) = self.ledger.find_lane(app, mask) {
            return Some(lane);
        }
        let mut meters = vec![self.meter(Stands::Budget, Some(app))];
        for at in 0..u32::try_from(self.plan.limits.len()).unwrap_or(0).min(32) {
            let Some(limit) = self.plan.limits.get(at as usize) else { continue };
            if mask & (1 << at) != 0 {
                let per_app = limit.per_app.then_some(app);
                meters.push(self.meter(Stands::Limit(at), per_app));
            }
        }
        self.ledger.add_lane(app, mask, meters)
    }

    /// The meter of a limit, or of one app under it; made when first needed.
    pub(super) fn meter(&mut self, stands: Stands, app: Option<u32>) -> u32 {
        let found = self.meters.iter().position(|meter| meter.stands == stands && meter.app == app);
        let at = found.unwrap_or_else(|| {
            let limit = match stands {
                Stands::Limit(at) => self.plan.limits.get(at as usize),
                Stands::Budget => None,
            };
            let loan = limit.filter(|limit| pooled(limit, self.plan.mode)).map(|_| Loan::default());
            self.meters.push(Meter { stands, app, gauge: self.gauge(stands, app), vendor: None, loan });
            self.meters.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    fn gauge(&self, stands: Stands, app: Option<u32>) -> Gauge {
        let limit = match stands {
            Stands::Limit(at) => self.plan.limits.get(at as usize),
            Stands::Budget => None,
        };
        let Some(limit) = limit else {
            let budget = app.and_then(|app| self.apps.get(app as usize)).and_then(|app| app.daily_calls);
            let amount = budget.unwrap_or(u64::MAX);
            return Gauge::Daily { calendar: 0, count: Daily::default(), amount, bytes: false };
        };
        match &limit.kind {
            Kind::TokenBucket { rate_micro, burst } => Gauge::Bucket(Bucket::new(*rate_micro, *burst)),
            Kind::RollingWindow { calls, window_ms, guard_ms } => {
                Gauge::Window { window: Window::new(*calls, *window_ms, *guard_ms), calls: *calls, scaled: true }
            }
            Kind::RollingDay { calls } => {
                Gauge::Window { window: Window::new(*calls, DAY_MS, 0), calls: *calls, scaled: false }
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
