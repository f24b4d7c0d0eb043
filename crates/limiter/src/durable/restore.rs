//! The next epoch, from the last snapshot of the one before.

#![expect(clippy::arithmetic_side_effects, reason = "permits that a snapshot has named, which fit into memory")]

use crate::apps::AppRule;
use crate::clock::Clock;
use crate::codec;
use crate::config::{Plan, Unit};
use crate::counters::counter::{CounterKey, CounterState};
use crate::durable::prior_epochs::{PriorEpoch, PriorEpochs, PriorLane};
use crate::durable::reservation::MOST_RESERVED;
use crate::durable::snapshot::{BUDGET, Row, RowLane, StoredCounterState, VERSION};
use crate::durable::snapshot_before;
use crate::epoch::Epoch;
use crate::history::History;
use crate::index::{AppId, CounterId, LaneId, LimitId};
use crate::limiter::{Limiter, Now};
use crate::limits::daily_quota::Daily;
use std::collections::BTreeMap;

impl Limiter {
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
            let Some(CounterState::Daily { calendar, unit: Unit::Calls, .. }) = self.next.counters.state(counter)
            else {
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
            self.next.leases.lanes_mut().pin(lane);
        }
    }
}
