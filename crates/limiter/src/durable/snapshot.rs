//! The stored form: one row a connection, from which the next life knows all that this one may have granted.
//!
//! The first byte is the version; the rest is its [binary form](codec), in which the fields' order is the format. `tests/limiter/row.rs` pins it.
//! A row holds the limits that it was written under: a life that begins under others begins with theirs, and then takes the policy's edit
//! as any other.

#![expect(clippy::arithmetic_side_effects, reason = "spare permits that are at most 256 a lane, and ages")]

use crate::adaptive::Adaptive;
use crate::apps::{AppRule, Apps};
use crate::calendar::{Day, Reset};
use crate::clock::Clock;
use crate::codec;
use crate::config::{Limit, Mode, Plan};
use crate::counters::counter::{CounterKey, CounterState};
use crate::durable::prior_epochs::{PriorEpoch, PriorEpochs, PriorLane};
use crate::durable::reservation::MOST_RESERVED;
use crate::durable::snapshot_before;
use crate::epoch::Epoch;
use crate::history::{History, Stretch};
use crate::index::{AppId, CounterId, LaneId, LimitId, Table};
use crate::limiter::{Limiter, Now};
use crate::limits::daily_quota::Daily;
use crate::pool::loan::StoredLoan;
use crate::queue::lanes::Lane;
use crate::replan::LONGEST_DAY_MS;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Versions 1 and 2 are read by [`snapshot_before`]. Version 3 is this one without the last list, of which an empty one is left in its place.
const VERSION: u8 = 4;
const BUDGET: u32 = u32::MAX;

/// What is stored of a connection. Times are limiter milliseconds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Row {
    pub epoch: u32,
    pub offset: i64,
    pub time: i64,
    pub wall: i64,
    pub life: i64,
    pub mode: Mode,
    pub limits: Vec<Limit>,
    /// The connection's own day first.
    pub calendars: Vec<(Reset, Day)>,
    /// Of apps that have counts or permits: name.
    pub apps: Vec<String>,
    pub lanes: Vec<RowLane>,
    pub ceiling: u64,
    pub until: i64,
    /// Permits that may still be given out, over all lanes.
    pub spare: u32,
    pub counters: Vec<RowMeter>,
    /// What limits by app begin with: the limit, and the count.
    pub before: Vec<(LimitId, StoredCounterState)>,
    pub groups: Vec<PriorEpoch>,
    pub adaptive: Adaptive,
    pub history: Vec<Stretch>,
    pub known_from: Option<i64>,
    pub bytes_known_from: Option<i64>,
    pub loans: Vec<StoredLoan>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct RowLane {
    /// Its number, which its permits' ids carry.
    pub lane: LaneId,
    /// A number in `apps`.
    pub app: u32,
    pub mask: u32,
    pub seq: u64,
    pub spare: u32,
    pub leases: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct RowMeter {
    /// The limit's place in the plan; or a budget's mark.
    pub limit: u32,
    /// A number in `apps`.
    pub app: Option<u32>,
    pub state: StoredCounterState,
    /// The vendor's own count.
    pub vendor: Option<u64>,
    /// What its pool has not been told of.
    pub owes: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum StoredCounterState {
    /// Until when settled calls count, as what each adds to the one before, from `time` on; and how many.
    Window(Vec<(i64, u32)>),
    /// What is owed, in halves.
    Bucket(u64, u64),
    /// Used today, used the day before.
    Daily(u64, u64),
}

impl Limiter {
    /// Everything, to be stored.
    pub(crate) fn row(&mut self) -> Vec<u8> {
        let time = self.epoch.time();
        let mut apps = Names::new(&self.apps);
        let mut leases: BTreeMap<LaneId, Vec<u64>> = BTreeMap::new();
        for (_, lease) in self.leases.leases() {
            leases.entry(lease.lane).or_default().push(lease.seq);
        }
        // Those of earlier lives' permits too: the next life knows them by app and limits.
        let late = self.late_group(time);
        let prior: BTreeSet<LaneId> =
            self.prior.lanes().chain(late.iter().flat_map(|group| group.lanes.iter().map(|lane| lane.lane))).collect();
        let mut lanes = Vec::new();
        for (at, lane) in self.leases.lanes().iter() {
            let mut leases = leases.remove(&at).unwrap_or_default();
            if lane.spare > 0 || !leases.is_empty() || prior.contains(&at) {
                leases.sort_unstable();
                lanes.push(row_lane(at, lane, apps.number(lane.app), leases));
            }
        }
        let refill = self.rate.refilled(time);
        let stored = |state: &CounterState| row_gauge(state, time, refill);
        let mut counters = Vec::new();
        for counter in self.counters.iter() {
            let owes = counter.loan.as_ref().map_or(0, |loan| loan.owes);
            if let Some(state) = stored(&counter.state)
                && (counter.vendor.is_some() || owes > 0 || !is_nothing(&state))
            {
                let limit = if let CounterKey::Limit(at) = counter.key { at.0 } else { BUDGET };
                let app = counter.app.map(|app| apps.number(app));
                counters.push(RowMeter { limit, app, state, vendor: counter.vendor, owes });
            }
        }
        let before = self.counters.all_before().filter_map(|(at, state)| Some((at, stored(state)?)));
        let row = Row {
            epoch: self.epoch.number(),
            offset: self.epoch.offset(),
            time,
            wall: self.epoch.wall(),
            life: self.life_ms(),
            mode: self.plan.mode,
            limits: self.plan.limits.clone(),
            calendars: self.days.iter().map(|days| (days.reset().clone(), days.today().clone())).collect(),
            lanes,
            ceiling: self.reservation.ceiling().max(self.leases.len() as u64),
            until: self.reservation.until().max(time),
            spare: u32::try_from(self.reservation.left()).unwrap_or(u32::MAX),
            counters,
            before: before.filter(|(_, state)| !is_nothing(state)).collect(),
            groups: self.prior.groups().cloned().chain(late).collect(),
            adaptive: self.rate.stored(),
            history: self.history.stored(time),
            known_from: self.history.known_from(),
            bytes_known_from: self.history.bytes_known_from(),
            apps: apps.names(&self.apps),
            loans: self.pooled().filter_map(|(limit, loan)| loan.stored(limit)).collect(),
        };
        codec::write(vec![VERSION], &row)
    }

    /// This life's leases that have lapsed and may yet be answered.
    fn late_group(&self, time: i64) -> Option<PriorEpoch> {
        let mut lanes: Vec<PriorLane> = Vec::new();
        for (lane, seq) in self.leases.late() {
            match lanes.last_mut().filter(|known| known.lane == lane) {
                Some(known) => known.leases.push(seq),
                None => lanes.push(PriorLane { old: lane, lane, leases: vec![seq], spares: Vec::new() }),
            }
        }
        let group = PriorEpoch {
            epoch: self.epoch.number(),
            fly: 0,
            spare: 0,
            run_until: time,
            fly_until: time,
            ran: true,
            over: true,
            since: time,
            lanes: Vec::new(),
        };
        (!lanes.is_empty()).then_some(PriorEpoch { lanes, ..group })
    }

    /// The next life, from the last row of the one before. What comes from disk is held `skew` milliseconds longer. If the plan has other
    /// limits than that life had, it is edited.
    ///
    /// # Errors
    /// If the row is not one that this version writes or can read.
    pub fn load(plan: Plan, row: &[u8], now: Now<'_>, skew: i64) -> Result<Self, String> {
        let (version, body) = row.split_first().ok_or("the stored row is empty")?;
        let row: Row = match *version {
            VERSION => codec::read(body).ok_or("the stored row does not parse")?,
            3 => codec::read(&[body, &[0]].concat()).ok_or("the stored row does not parse")?,
            1 | 2 => snapshot_before::read(*version, body, &plan).ok_or("the stored row does not parse")?,
            _ => return Err(format!("the stored row has version {version}, this build reads 1 to {VERSION}")),
        };
        // Each is looked at by itself: a torn count must not fill the memory.
        if row.lanes.iter().any(|lane| u64::from(lane.spare) > MOST_RESERVED) || row.limits.len() > 32 {
            return Err("the stored row has more spare permits, or more limits, than a connection ever has".to_owned());
        }
        let edited = row.mode != plan.mode
            || row.limits != plan.limits
            || row.calendars.first().is_none_or(|(reset, _)| *reset != plan.day);
        let wanted = edited.then(|| plan.clone());
        let plan = match row.calendars.first() {
            Some((day, _)) if edited => Plan { limits: row.limits.clone(), mode: row.mode, day: day.clone(), ..plan },
            _ => plan,
        };
        let clock = Clock::resume(row.offset, row.time, now.wall);
        let epoch = Epoch::new(row.epoch.saturating_add(1), clock, now.wall);
        let mut next = Self::bare(plan, epoch, now);
        Restore { next: &mut next, row: &row, apps: Vec::new(), skew }.inherit();
        next.begin(now);
        if let Some(plan) = wanted {
            next.replan(plan, now, |_, _| None);
        }
        Ok(next)
    }

    /// Ends this life for good: until when its counts matter, Unix milliseconds, and the row that keeps them. None if nothing counts.
    ///
    /// They matter for the longest day after the last call at least, whatever the limits were that end here: a connection made anew under
    /// the name may bring a day that ends at another hour, or a `rolling_day`, and such a one counts these calls.
    pub fn bury(mut self, now: Now<'_>) -> Option<(i64, Vec<u8>)> {
        let time = self.begin(now);
        let mut until = time;
        for counter in self.counters.ids() {
            if self.used(counter) > 0 {
                until = until.max(self.counts_until(counter, time));
            }
        }
        let in_flight = (self.in_flight() > 0).then(|| time.saturating_add(self.life_ms()));
        if let Some(last) = self.history.last().max(in_flight) {
            until = until.max(last.saturating_add(LONGEST_DAY_MS));
        }
        if until <= time {
            return None;
        }
        self.close(time);
        let row = self.snapshot_due().unwrap_or_default();
        Some((now.wall.saturating_add(until.saturating_sub(time)).saturating_add(2 * crate::SKEW_MS), row))
    }

    /// When nothing that a counter counts now can count any more.
    fn counts_until(&self, counter: CounterId, time: i64) -> i64 {
        let settled = time.saturating_add(if self.in_flight() > 0 { self.life_ms() } else { 0 });
        match self.counters.state(counter) {
            Some(CounterState::Window { window, .. }) => settled.saturating_add(window.span()),
            Some(CounterState::Daily { calendar, .. }) => {
                let over = self.days.get(*calendar).map_or(time, |days| self.epoch.limiter_time(days.over()));
                over.max(settled)
            }
            Some(CounterState::Bucket(bucket)) => {
                let (factor, burst) = (self.rate.factor(), bucket.burst());
                settled.saturating_add(bucket.wait_ms(self.rate.refilled(time), burst, burst, factor))
            }
            _ => settled,
        }
    }
}

/// Numbers for the apps that a row names, in the order in which it names them.
struct Names {
    /// Each app's number, by its place in the table; none where the snapshot has not named it.
    numbers: Table<AppId, Option<u32>>,
    named: Vec<AppId>,
}

impl Names {
    fn new(apps: &Apps) -> Self {
        Self { numbers: apps.iter().map(|_| None).collect(), named: Vec::new() }
    }

    /// The number of an app in the snapshot. One that is in no table gets a number that no app has.
    fn number(&mut self, app: AppId) -> u32 {
        let Some(number) = self.numbers.get_mut(app) else { return u32::MAX };
        *number.get_or_insert_with(|| {
            self.named.push(app);
            u32::try_from(self.named.len().saturating_sub(1)).unwrap_or(u32::MAX)
        })
    }

    fn names(&self, apps: &Apps) -> Vec<String> {
        self.named.iter().map(|app| apps.name(*app).to_owned()).collect()
    }
}

fn row_lane(at: LaneId, lane: &Lane, app: u32, leases: Vec<u64>) -> RowLane {
    RowLane { lane: at, app, mask: lane.mask, seq: lane.seq, spare: lane.spare, leases }
}

fn row_gauge(state: &CounterState, time: i64, refill: i128) -> Option<StoredCounterState> {
    Some(match state {
        CounterState::Window { window, .. } => {
            let mut last = time;
            let step = |(until, n): (i64, u32)| (until - std::mem::replace(&mut last, until), n);
            StoredCounterState::Window(window.entries().map(step).collect())
        }
        CounterState::Bucket(bucket) => {
            let (high, low) = bucket.debt(refill);
            StoredCounterState::Bucket(high, low)
        }
        CounterState::Daily { count, .. } => StoredCounterState::Daily(count.used, count.before),
        CounterState::Slots { .. } => return None,
    })
}

const fn is_nothing(state: &StoredCounterState) -> bool {
    match state {
        StoredCounterState::Window(entries) => entries.is_empty(),
        StoredCounterState::Bucket(high, low) => *high == 0 && *low == 0,
        StoredCounterState::Daily(used, before) => *used == 0 && *before == 0,
    }
}

/// Carries one life over into the next, which has the same limits.
struct Restore<'a> {
    next: &'a mut Limiter,
    row: &'a Row,
    /// Where the row's apps stand in the next life's table.
    apps: Vec<Option<AppId>>,
    skew: i64,
}

impl Restore<'_> {
    fn inherit(&mut self) {
        let (next, row) = (&mut *self.next, self.row);
        // What was owed comes back from now on, and the clocks' difference later.
        next.rate.resume(row.adaptive, &next.plan.adaptive, row.time, self.skew);
        next.history = History::resume(row.history.clone(), row.known_from, row.bytes_known_from, self.skew);
        for (reset, day) in &row.calendars {
            next.days.resume(reset, day);
        }
        next.add_planned_apps();
        // One that the policy no longer has keeps its counts.
        for name in &row.apps {
            if next.apps.find(name).is_none() {
                next.add_app(AppRule::former(name.clone()));
            }
        }
        self.apps = row.apps.iter().map(|name| next.apps.find(name)).collect();
        self.counts();
        self.reserved_permits();
        self.permits();
    }

    fn app(&self, old: u32) -> Option<AppId> {
        *self.apps.get(old as usize)?
    }

    fn counts(&mut self) {
        for (at, state) in &self.row.before {
            let mut fresh = self.next.rules().fresh(*at, true);
            self.resume(&mut fresh, state);
            self.next.counters.set_before(*at, fresh);
        }
        self.next.add_shared();
        self.loans();
        // Budgets first: what an app has sent bounds what it begins with under others.
        let (budgets, others): (Vec<_>, Vec<_>) = self.row.counters.iter().partition(|counter| counter.limit == BUDGET);
        for old in budgets.into_iter().chain(others) {
            let app = match old.app.map(|app| self.app(app)) {
                Some(None) => continue,
                Some(app) => app,
                None => None,
            };
            let key = if old.limit == BUDGET { CounterKey::Budget } else { CounterKey::Limit(LimitId(old.limit)) };
            let by_app = self.next.plan.limit(LimitId(old.limit)).map(|limit| limit.per_app);
            if by_app.unwrap_or(key == CounterKey::Budget) != app.is_some() {
                continue;
            }
            let at = self.next.counter(key, app);
            let Some(counter) = self.next.counters.get(at) else { continue };
            let mut state = match key {
                CounterKey::Limit(limit) => self.next.rules().fresh(limit, app.is_some()),
                CounterKey::Budget => counter.state.clone(),
            };
            self.resume(&mut state, &old.state);
            if let Some(counter) = self.next.counters.get_mut(at) {
                (counter.state, counter.vendor) = (state, old.vendor);
                if let Some(loan) = &mut counter.loan {
                    loan.owes = old.owes;
                }
            }
            if let (CounterKey::Limit(limit), true) = (key, app.is_some()) {
                self.next.counters.raise_fullest(limit, at);
            }
        }
    }

    /// Of a number of which nothing is stored the pool has heard in an earlier life.
    fn loans(&mut self) {
        let shared: Vec<(LimitId, CounterId)> = self.next.counters.all_shared().collect();
        for (limit, counter) in shared {
            let Some(counter) = self.next.counters.get_mut(counter) else { continue };
            if let Some(loan) = &mut counter.loan {
                loan.resume(self.row.loans.iter().find(|old| old.limit == limit));
            }
        }
    }

    fn resume(&self, state: &mut CounterState, old: &StoredCounterState) {
        match (state, old) {
            (CounterState::Window { window, .. }, StoredCounterState::Window(entries)) => {
                let mut until = self.row.time.saturating_add(self.skew);
                for (step, n) in entries {
                    until = until.saturating_add(*step);
                    window.hold(until, *n);
                }
            }
            (CounterState::Bucket(bucket), StoredCounterState::Bucket(high, low)) => {
                // The clock by which tokens come back begins with the row.
                bucket.resume((*high, *low), 0);
            }
            (CounterState::Daily { count, .. }, StoredCounterState::Daily(used, before)) => {
                *count = Daily { used: *used, before: *before };
            }
            _ => {}
        }
    }

    /// Spare permits may have been given out: they count on the days that were open when the row was written.
    fn reserved_permits(&mut self) {
        let mut spares: BTreeMap<CounterId, u64> = BTreeMap::new();
        for old in &self.row.lanes {
            let Some(lane) = self.lane(old).filter(|_| old.spare > 0) else { continue };
            for &counter in self.next.leases.counters(lane) {
                let spare = spares.entry(counter).or_default();
                *spare = spare.saturating_add(u64::from(old.spare));
            }
        }
        for (counter, spare) in spares {
            let Some(CounterState::Daily { calendar, bytes: false, .. }) = self.next.counters.state(counter) else {
                continue;
            };
            let both = self.next.days.get(*calendar).is_some_and(|days| self.row.wall < days.before_over());
            let spare = spare.min(u64::from(self.row.spare));
            let Some(entry) = self.next.counters.get_mut(counter) else { continue };
            if let CounterState::Daily { count, .. } = &mut entry.state {
                count.count(spare, both);
            }
            if let Some(loan) = entry.loan.as_mut().filter(|loan| !loan.is_kept()) {
                loan.owes = loan.owes.saturating_add(spare);
            }
        }
    }

    /// The lane of a row's lane.
    fn lane(&mut self, old: &RowLane) -> Option<LaneId> {
        let app = self.app(old.app)?;
        self.next.lane(app, old.mask)
    }

    /// The ids that may be in flight: of that life, and of those before it.
    fn permits(&mut self) {
        let now = self.next.epoch.time();
        let lanes: BTreeMap<LaneId, LaneId> =
            self.row.lanes.iter().filter_map(|old| Some((old.lane, self.lane(old)?))).collect();
        let mut groups = Vec::new();
        for group in &self.row.groups {
            let moved = group
                .lanes
                .iter()
                .filter_map(|prior| Some(PriorLane { lane: *lanes.get(&prior.lane)?, ..prior.clone() }));
            groups.push(PriorEpoch {
                lanes: moved.collect(),
                run_until: group.run_until.saturating_add(self.skew),
                fly_until: group.fly_until.saturating_add(self.skew),
                ..group.clone()
            });
        }
        let mut prior = Vec::new();
        for old in self.row.lanes.iter().filter(|old| old.spare > 0 || !old.leases.is_empty()) {
            let spares = (old.seq..old.seq.saturating_add(u64::from(old.spare))).collect();
            if let Some(lane) = lanes.get(&old.lane) {
                prior.push(PriorLane { old: old.lane, lane: *lane, leases: old.leases.clone(), spares });
            }
        }
        let leases: u64 = prior.iter().map(|lane| lane.leases.len() as u64).sum();
        let named: u64 = prior.iter().map(|lane| lane.spares.len() as u64).sum();
        let spare = named.min(u64::from(self.row.spare));
        if leases + spare > 0 {
            let life = self.row.life.max(self.next.life_ms());
            let ends = self.row.until.saturating_add(self.skew);
            groups.push(PriorEpoch {
                epoch: self.row.epoch,
                fly: u32::try_from(self.row.ceiling.min(leases + spare)).unwrap_or(u32::MAX),
                spare: u32::try_from(spare).unwrap_or(u32::MAX),
                run_until: if spare == 0 { now } else { ends.max(now) },
                fly_until: ends.saturating_add(life).saturating_add(self.skew),
                ran: false,
                over: false,
                since: self.row.time,
                lanes: prior,
            });
            // Bytes of these may have come back, and the life that heard of it is gone.
            self.next.history.lose_bytes(ends.max(now));
        }
        let counters = self.next.counters.len();
        self.next.prior = PriorEpochs::new(groups, counters, &self.next.leases);
        // They keep their places as long as that life is remembered.
        for lane in self.next.prior.lanes().collect::<Vec<_>>() {
            self.next.leases.lanes_mut().pin(lane, true);
        }
    }
}
