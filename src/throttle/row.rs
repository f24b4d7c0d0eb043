//! The stored form: one row a connection, from which the next life knows all that this one may have granted.
//!
//! The first byte is the version; the rest is its [`wire`] form, in which the fields' order is the format. `tests/throttle_row.rs` pins it.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "places among at most 33 meters, and spare permits that are at most 256 a lane"
)]

use super::adaptive::Adaptive;
use super::block::MOST_SPARE;
use super::clock::Clock;
use super::daily::{Calendar, Daily};
use super::meter::{Gauge, Meter, Stands};
use super::past::{Group, Past, PastLane};
use super::queue::Queue;
use super::rule::{Kind, Limit};
use super::state::{AppRule, Now, Plan, Throttle};
use crate::civil::{Day, Reset};
use crate::wire::{self, wire};

/// Version 1 had no vendor counts: it is a row of version 2 with the last list left out.
const VERSION: u8 = 2;
const BUDGET: u32 = u32::MAX;

struct Row {
    epoch: u32,
    offset: i64,
    time: i64,
    wall: i64,
    life: i64,
    limits: Vec<(String, u8)>,
    apps: Vec<String>,
    calendars: Vec<(Reset, Day)>,
    lanes: Vec<RowLane>,
    ceiling: u64,
    until: i64,
    meters: Vec<RowMeter>,
    groups: Vec<Group>,
    adaptive: Adaptive,
    last_settled: i64,
    /// The vendor's own counts: a meter's place in `meters`, and the figure.
    vendor: Vec<(u32, u64)>,
}

wire!(struct Row {
    epoch, offset, time, wall, life, limits, apps, calendars, lanes, ceiling, until, meters, groups, adaptive,
    last_settled, vendor,
});

struct RowLane {
    app: u32,
    mask: u32,
    seq: u64,
    spare: u32,
    leases: Vec<u64>,
}

wire!(struct RowLane { app, mask, seq, spare, leases });

struct RowMeter {
    limit: u32,
    app: Option<u32>,
    gauge: RowGauge,
}

wire!(struct RowMeter { limit, app, gauge });

enum RowGauge {
    /// The span, and settlements as ages at `time` with their counts.
    Window(i64, Vec<(i64, u32)>),
    /// Theoretical arrival time, microseconds.
    Bucket(i64),
    /// The calendar, used today, used the day before.
    Daily(u32, u64, u64),
    Slots,
}

wire!(enum RowGauge { 0 Window(a, b), 1 Bucket(a), 2 Daily(a, b, c), 3 Slots });

const fn kind(limit: &Limit) -> u8 {
    match limit.kind {
        Kind::TokenBucket { .. } => 0,
        Kind::RollingWindow { .. } => 1,
        Kind::RollingDay { .. } => 2,
        Kind::Daily { .. } => 3,
        Kind::Concurrency { .. } => 4,
    }
}

impl Throttle {
    /// Everything, to be stored.
    pub(super) fn row(&self) -> Vec<u8> {
        let time = self.clock.last();
        let mut lanes: Vec<_> = self.ledger.lanes().map(|(_, lane)| row_lane(lane)).collect();
        for (_, lease) in self.ledger.leases() {
            if let Some(lane) = lanes.get_mut(lease.lane as usize) {
                lane.leases.push(lease.seq);
            }
        }
        let row = Row {
            epoch: self.epoch,
            offset: self.clock.offset(),
            time,
            wall: self.wall,
            life: self.life_ms(),
            limits: self.plan.limits.iter().map(|limit| (limit.name.clone(), kind(limit))).collect(),
            apps: self.apps.iter().map(|app| app.name.clone()).collect(),
            calendars: self.calendars.iter().map(|days| (days.reset().clone(), days.today().clone())).collect(),
            lanes,
            ceiling: self.block.ceiling().max(self.ledger.len() as u64),
            until: self.block.until().max(time),
            meters: self.meters.iter().map(|meter| row_meter(meter, time)).collect(),
            groups: self.past.groups().to_vec(),
            adaptive: self.adaptive,
            last_settled: self.last_settled,
            vendor: (0..).zip(&self.meters).filter_map(|(at, meter)| Some((at, meter.vendor?))).collect(),
        };
        wire::write(vec![VERSION], &row)
    }

    /// The next life, from the last row of the one before. What comes from disk is held `skew` milliseconds longer.
    ///
    /// # Errors
    /// If the row is not one that this version writes or can read.
    pub fn load(plan: Plan, row: &[u8], now: Now<'_>, skew: i64) -> Result<Self, String> {
        let (version, body) = row.split_first().ok_or("the stored row is empty")?;
        let mut body = body.to_vec();
        match *version {
            VERSION => {}
            1 => body.push(0),
            _ => return Err(format!("the stored row has version {version}, this build reads 1 to {VERSION}")),
        }
        let row: Row = wire::read(&body).ok_or("the stored row does not parse")?;
        // Each is looked at by itself: a torn count must not fill the memory.
        if row.lanes.iter().any(|lane| u64::from(lane.spare) > MOST_SPARE) {
            return Err("the stored row has more spare permits than a block ever has".to_owned());
        }
        let clock = Clock::resume(row.offset, row.time, now.wall);
        let mut next = Self::bare(plan, clock, now);
        next.epoch = row.epoch.saturating_add(1);
        next.last_settled = row.last_settled.saturating_add(skew);
        next.adaptive = row.adaptive.resume(&next.plan.adaptive, skew);
        Heir { next: &mut next, row: &row, skew, lanes: vec![None; row.lanes.len()] }.inherit();
        next.queue = Queue::new(next.apps.iter().map(|app| app.weight));
        next.begin(now);
        Ok(next)
    }

    /// The same connection under another plan: as a next life without a crash, so its permits settle as those of an earlier one.
    /// The calls that wait are the caller's to ask for again.
    ///
    /// # Errors
    /// If its own row cannot be read back, which would be a fault in this file.
    pub fn replan(mut self, plan: Plan, now: Now<'_>) -> Result<Self, String> {
        let time = self.begin(now);
        self.close(time);
        let mean_flight = self.mean_flight;
        let row = self.row_due().unwrap_or_default();
        let mut next = Self::load(plan, &row, now, 0)?;
        next.mean_flight = mean_flight;
        next.block.require();
        Ok(next)
    }

    /// Ends this life for good: until when its counts matter, Unix milliseconds, and the row that keeps them. None if nothing counts.
    pub fn bury(mut self, now: Now<'_>) -> Option<(i64, Vec<u8>)> {
        let time = self.begin(now);
        let mut until = time;
        for meter in 0..u32::try_from(self.meters.len()).unwrap_or(0) {
            if self.used(meter, time) > 0 {
                until = until.max(self.counts_until(meter, time));
            }
        }
        if until <= time {
            return None;
        }
        self.close(time);
        let row = self.row_due().unwrap_or_default();
        Some((now.wall.saturating_add(until.saturating_sub(time)).saturating_add(2 * super::SKEW_MS), row))
    }

    /// When nothing that a meter counts now can count any more.
    fn counts_until(&self, meter: u32, time: i64) -> i64 {
        let landed = time.saturating_add(if self.flying() > 0 { self.life_ms() } else { 0 });
        match self.gauge_of(meter) {
            Some(Gauge::Window { window, .. }) => landed.saturating_add(window.span()),
            Some(Gauge::Daily { calendar, .. }) => {
                let over = self.calendars.get(*calendar).map_or(time, |days| self.limiter_time(days.over()));
                over.max(landed)
            }
            Some(Gauge::Bucket(bucket)) => landed.saturating_add(bucket.full_in_ms(time, self.adaptive.factor())),
            _ => landed,
        }
    }
}

fn row_lane(lane: &super::ledger::Lane) -> RowLane {
    RowLane { app: lane.app, mask: lane.mask, seq: lane.seq, spare: lane.spare, leases: Vec::new() }
}

fn row_meter(meter: &Meter, time: i64) -> RowMeter {
    let gauge = match &meter.gauge {
        Gauge::Window { window, .. } => {
            let ages = window.settled().map(|(at, n)| (time.saturating_sub(at), n));
            RowGauge::Window(window.span(), ages.collect())
        }
        Gauge::Bucket(bucket) => RowGauge::Bucket(bucket.tat()),
        Gauge::Daily { calendar, count, .. } => {
            RowGauge::Daily(u32::try_from(*calendar).unwrap_or(0), count.used, count.before)
        }
        Gauge::Slots { .. } => RowGauge::Slots,
    };
    let limit = match meter.stands {
        Stands::Limit(at) => at,
        Stands::Budget => BUDGET,
    };
    RowMeter { limit, app: meter.app, gauge }
}

/// Carries one life over into the next.
struct Heir<'a> {
    next: &'a mut Throttle,
    row: &'a Row,
    skew: i64,
    /// Lanes of the row, by their lanes in the next life.
    lanes: Vec<Option<u32>>,
}

impl Heir<'_> {
    fn inherit(&mut self) {
        for (reset, day) in &self.row.calendars {
            if let Some(days) = self.next.calendars.iter_mut().find(|days| days.reset() == reset) {
                *days = Calendar::resume(reset.clone(), day.clone());
            }
        }
        for (old, meter) in (0..).zip(&self.row.meters) {
            let vendor = self.row.vendor.iter().find(|(at, _)| *at == old).map(|(_, n)| *n);
            self.meter(meter, vendor);
        }
        self.spare_permits();
        self.permits();
        self.new_limits();
    }

    /// Where a limit of the row is in the plan: the same name and kind.
    fn limit(&self, old: u32) -> Option<u32> {
        let (name, old_kind) = self.row.limits.get(old as usize)?;
        let same = |limit: &Limit| limit.name == *name && kind(limit) == *old_kind;
        u32::try_from(self.next.plan.limits.iter().position(same)?).ok()
    }

    /// An app of the row; one that the policy no longer has keeps its counts.
    fn app(&mut self, old: u32) -> Option<u32> {
        let name = self.row.apps.get(old as usize)?;
        let found = self.next.apps.iter().position(|app| app.name == *name);
        let at = found.unwrap_or_else(|| {
            self.next.add_app(AppRule { name: name.clone(), weight: 1, daily_calls: None });
            self.next.apps.len() - 1
        });
        u32::try_from(at).ok()
    }

    fn meter(&mut self, old: &RowMeter, vendor: Option<u64>) {
        let app = match old.app {
            Some(app) => self.app(app),
            None => None,
        };
        let stands = match old.limit {
            BUDGET => Stands::Budget,
            limit => match self.limit(limit) {
                Some(limit) => Stands::Limit(limit),
                None => return,
            },
        };
        if let Stands::Limit(at) = stands {
            let per_app = self.next.plan.limits.get(at as usize).is_some_and(|limit| limit.per_app);
            if per_app != app.is_some() {
                return;
            }
        }
        let at = self.next.meter(stands, app);
        let (time, skew, last_settled) = (self.row.time, self.skew, self.next.last_settled);
        let now = self.next.clock.last();
        let stored_days = match &old.gauge {
            RowGauge::Daily(calendar, ..) => self.row.calendars.get(*calendar as usize),
            _ => None,
        };
        let resets: Vec<_> = self.next.calendars.iter().map(|days| days.reset().clone()).collect();
        let mut same = true;
        match (self.next.gauge_mut(at), &old.gauge) {
            (Some(Gauge::Window { window, calls, .. }), RowGauge::Window(span, ages)) => {
                for (age, n) in ages {
                    window.push(time.saturating_sub(*age).saturating_add(skew), *n);
                }
                window.expire(now);
                // What the shorter window had forgotten may still be in the longer one.
                let forgotten = last_settled.min(now.saturating_sub(*span));
                if window.span() > *span && forgotten.saturating_add(window.span()) > now {
                    let missing = calls.saturating_sub(window.total());
                    window.push(forgotten, u32::try_from(missing).unwrap_or(u32::MAX));
                }
            }
            (Some(Gauge::Bucket(bucket)), RowGauge::Bucket(tat)) => {
                bucket.resume(tat.saturating_add(skew.saturating_mul(1_000)));
            }
            (Some(Gauge::Daily { calendar, count, .. }), RowGauge::Daily(_, used, before)) => {
                same = stored_days.map(|(reset, _)| reset) == resets.get(*calendar);
                // Under another reset the days are others: what either had counts as today's.
                *count = if same {
                    Daily { used: *used, before: *before }
                } else {
                    Daily { used: (*used).max(*before), before: *before }
                };
            }
            _ => {}
        }
        if let Some(meter) = self.next.meters.get_mut(at as usize).filter(|_| same) {
            meter.vendor = vendor;
        }
    }

    /// The lane of a row's lane. A limit that the row does not know counts all its permits.
    fn lane(&mut self, old: u32) -> Option<u32> {
        if let Some(lane) = self.lanes.get(old as usize).copied().flatten() {
            return Some(lane);
        }
        let entry = self.row.lanes.get(old as usize)?;
        let mut mask = 0;
        for at in 0..u32::try_from(self.next.plan.limits.len()).unwrap_or(0).min(32) {
            let known = (0..u32::try_from(self.row.limits.len()).unwrap_or(0)).find(|old| self.limit(*old) == Some(at));
            let counts = known.is_none_or(|old| old < 32 && entry.mask & (1 << old) != 0);
            mask |= u32::from(counts) << at;
        }
        let app = self.app(entry.app)?;
        let lane = self.next.lane(app, mask)?;
        if let Some(known) = self.lanes.get_mut(old as usize) {
            *known = Some(lane);
        }
        Some(lane)
    }

    /// Spare permits may have been given out: they count on the days that were open when the row was written.
    fn spare_permits(&mut self) {
        for old in 0..u32::try_from(self.row.lanes.len()).unwrap_or(0) {
            let spare = self.row.lanes.get(old as usize).map_or(0, |lane| u64::from(lane.spare));
            if spare == 0 {
                continue;
            }
            let Some(lane) = self.lane(old) else { continue };
            let mut place = 0;
            while let Some(meter) = self.next.meter_of(lane, place) {
                place += 1;
                let Some(Gauge::Daily { calendar, bytes: false, .. }) = self.next.gauge_of(meter) else { continue };
                let both = self.next.calendars.get(*calendar).is_some_and(|days| self.row.wall < days.before_over());
                if let Some(Gauge::Daily { count, .. }) = self.next.gauge_mut(meter) {
                    count.count(spare, both);
                }
            }
        }
    }

    /// The ids that may be in flight: of that life, and of those before it.
    fn permits(&mut self) {
        let now = self.next.clock.last();
        let mut groups = Vec::new();
        for group in &self.row.groups {
            let lanes = group.lanes.iter().filter_map(|past| {
                Some(PastLane { old: past.old, lane: self.lane(past.lane)?, ids: past.ids.clone() })
            });
            groups.push(Group {
                lanes: lanes.collect(),
                run_until: group.run_until.saturating_add(self.skew),
                fly_until: group.fly_until.saturating_add(self.skew),
                ..group.clone()
            });
        }
        let mut lanes = Vec::new();
        let mut spare = 0;
        for (old, lane) in (0..).zip(&self.row.lanes) {
            // In flight, in the order of their grants; then those that may have been given out.
            let mut ids = lane.leases.clone();
            ids.extend(lane.seq..lane.seq.saturating_add(u64::from(lane.spare)));
            spare += u64::from(lane.spare);
            if ids.is_empty() {
                continue;
            }
            if let Some(lane) = self.lane(old) {
                lanes.push(PastLane { old, lane, ids });
            }
        }
        let ids: u64 = lanes.iter().map(|lane| lane.ids.len() as u64).sum();
        if ids > 0 {
            let life = self.row.life.max(self.next.life_ms());
            let ends = self.row.until.saturating_add(self.skew);
            groups.push(Group {
                epoch: self.row.epoch,
                fly: u32::try_from(self.row.ceiling.min(ids)).unwrap_or(u32::MAX),
                run_until: if spare == 0 { now } else { ends.max(now) },
                fly_until: ends.saturating_add(life).saturating_add(self.skew),
                ran: false,
                lanes,
            });
        }
        self.next.past = Past::new(groups);
    }

    /// A limit that the row does not know begins as full as what has passed may have made it.
    fn new_limits(&mut self) {
        for at in 0..u32::try_from(self.next.plan.limits.len()).unwrap_or(0) {
            let per_app = self.next.plan.limits.get(at as usize).is_some_and(|limit| limit.per_app);
            let known = (0..u32::try_from(self.row.limits.len()).unwrap_or(0)).any(|old| self.limit(old) == Some(at));
            if !per_app {
                let fresh = !self.next.meters.iter().any(|meter| meter.stands == Stands::Limit(at)) || !known;
                let meter = self.next.meter(Stands::Limit(at), None);
                if fresh {
                    self.fill(meter, None);
                }
            } else if !known {
                for app in 0..u32::try_from(self.next.apps.len()).unwrap_or(0) {
                    let meter = self.next.meter(Stands::Limit(at), Some(app));
                    self.fill(meter, Some(app));
                }
            }
        }
    }

    fn fill(&mut self, meter: u32, app: Option<u32>) {
        let (last, now) = (self.next.last_settled, self.next.clock.last());
        let factor = self.next.adaptive.factor();
        let of_app = |meter: &&Meter| meter.stands == Stands::Budget && (app.is_none() || meter.app == app);
        let today =
            self.next.meters.iter().filter(of_app).map(|meter| day_count(&meter.gauge)).fold(0, u64::saturating_add);
        match self.next.gauge_mut(meter) {
            Some(Gauge::Window { window, calls, .. }) if last.saturating_add(window.span()) > now => {
                window.push(last, u32::try_from(*calls).unwrap_or(u32::MAX));
            }
            Some(Gauge::Bucket(bucket)) => bucket.drain(last, factor),
            Some(Gauge::Daily { count, bytes: false, .. }) => count.used = today,
            _ => {}
        }
    }
}

const fn day_count(gauge: &Gauge) -> u64 {
    match gauge {
        Gauge::Daily { count, .. } => count.used,
        _ => 0,
    }
}
