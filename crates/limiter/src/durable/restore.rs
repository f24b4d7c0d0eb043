//! The next epoch, from the last snapshot of the one before.

#![expect(clippy::arithmetic_side_effects, reason = "permits that a snapshot has named, which fit into memory")]

use crate::apps::AppRule;
use crate::clock::Clock;
use crate::codec;
use crate::config::{Plan, Unit};
use crate::counters::counter::{CounterKey, CounterState};
use crate::durable::prior_epochs::{PriorEpoch, PriorEpochs, PriorLane};
use crate::durable::reservation::MOST_RESERVED;
use crate::durable::snapshot::{BUDGET, Snapshot, StoredCounterState, StoredLane, VERSION};
use crate::durable::snapshot_before;
use crate::epoch::Epoch;
use crate::history::History;
use crate::index::{AppId, CounterId, LaneId, LimitId};
use crate::limiter::{Limiter, Now};
use crate::limits::daily_quota::Daily;
use std::collections::BTreeMap;

impl Limiter {
    /// Returns the next epoch, from the last snapshot of the one before. What comes from disk is
    /// held `skew` milliseconds longer. If the plan has other limits than that epoch had, that is
    /// taken as an edit.
    ///
    /// # Errors
    /// If the snapshot is not one that this version writes or can read.
    pub fn load(plan: Plan, snapshot: &[u8], now: Now<'_>, skew: i64) -> Result<Self, String> {
        let (version, body) = snapshot.split_first().ok_or("the stored row is empty")?;
        let stored: Snapshot = match *version {
            VERSION => codec::read(body).ok_or("the stored row does not parse")?,
            3 => codec::read(&[body, &[0]].concat()).ok_or("the stored row does not parse")?,
            1 | 2 => snapshot_before::read(*version, body, &plan).ok_or("the stored row does not parse")?,
            _ => return Err(format!("the stored row has version {version}, this build reads 1 to {VERSION}")),
        };
        // Each is looked at by itself: a torn count must not fill the memory.
        if stored.lanes.iter().any(|lane| u64::from(lane.reserved) > MOST_RESERVED) || stored.limits.len() > 32 {
            return Err("the stored row has more spare permits, or more limits, than a connection ever has".to_owned());
        }
        let edited = stored.mode != plan.mode
            || stored.limits != plan.limits
            || stored.calendars.first().is_none_or(|(reset, _)| *reset != plan.day);
        let wanted = edited.then(|| plan.clone());
        let plan = match stored.calendars.first() {
            Some((day, _)) if edited => {
                Plan { limits: stored.limits.clone(), mode: stored.mode, day: day.clone(), ..plan }
            }
            _ => plan,
        };
        let clock = Clock::resume(stored.offset, stored.time, now.wall);
        let epoch = Epoch::new(stored.epoch.saturating_add(1), clock, now.wall);
        let mut next = Self::bare(plan, epoch, now);
        Restore { next: &mut next, stored: &stored, apps: Vec::new(), skew }.inherit();
        next.begin(now);
        if let Some(plan) = wanted {
            next.replan(plan, now, |_, _| None);
        }
        Ok(next)
    }
}

/// Carries one epoch over into the next, which has the same limits.
struct Restore<'a> {
    next: &'a mut Limiter,
    stored: &'a Snapshot,
    /// The numbers of the snapshot's apps in the next epoch's table.
    apps: Vec<Option<AppId>>,
    skew: i64,
}

impl Restore<'_> {
    fn inherit(&mut self) {
        let (next, stored) = (&mut *self.next, self.stored);
        // What was owed comes back from now on, and the clocks' difference later.
        next.rate.resume(stored.adaptive, &next.plan.adaptive, stored.time, self.skew);
        next.history = History::resume(stored.history.clone(), stored.known_from, stored.bytes_known_from, self.skew);
        for (reset, day) in &stored.calendars {
            next.days.resume(reset, day);
        }
        next.add_planned_apps();
        // One that the policy no longer has keeps its counts.
        for name in &stored.apps {
            if next.apps.find(name).is_none() {
                next.add_app(AppRule::former(name.clone()));
            }
        }
        self.apps = stored.apps.iter().map(|name| next.apps.find(name)).collect();
        self.counts();
        self.reserved_permits();
        self.permits();
    }

    fn app(&self, old: u32) -> Option<AppId> {
        *self.apps.get(old as usize)?
    }

    fn counts(&mut self) {
        for (at, state) in &self.stored.before {
            let mut fresh = self.next.rules().fresh(*at);
            self.resume(&mut fresh, state);
            self.next.counters.set_before(*at, fresh);
        }
        self.next.add_shared();
        self.loans();
        // Budgets first: what an app has sent bounds what it begins with under others.
        let (budgets, others): (Vec<_>, Vec<_>) =
            self.stored.counters.iter().partition(|counter| counter.limit == BUDGET);
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
                CounterKey::Limit(limit) => self.next.rules().fresh(limit),
                CounterKey::Budget => counter.state.clone(),
            };
            self.resume(&mut state, &old.state);
            if let Some(counter) = self.next.counters.get_mut(at) {
                (counter.state, counter.vendor_count) = (state, old.vendor);
                if let Some(loan) = &mut counter.loan {
                    loan.owes = old.owes;
                }
            }
            if let (CounterKey::Limit(limit), true) = (key, app.is_some()) {
                self.next.counters.raise_fullest(limit, at);
            }
        }
    }

    /// Restores the loans. Where nothing is stored of one, its pool has learnt the number in an
    /// earlier epoch.
    fn loans(&mut self) {
        let shared: Vec<(LimitId, CounterId)> = self.next.counters.all_shared().collect();
        for (limit, counter) in shared {
            let Some(counter) = self.next.counters.get_mut(counter) else { continue };
            if let Some(loan) = &mut counter.loan {
                loan.resume(self.stored.loans.iter().find(|old| old.limit == limit));
            }
        }
    }

    fn resume(&self, state: &mut CounterState, old: &StoredCounterState) {
        match (state, old) {
            (CounterState::Window { window, .. }, StoredCounterState::Window(entries)) => {
                let mut until = self.stored.time.saturating_add(self.skew);
                for (step, n) in entries {
                    until = until.saturating_add(*step);
                    window.hold(until, *n);
                }
            }
            (CounterState::Bucket(bucket), StoredCounterState::Bucket(high, low)) => {
                // The clock by which tokens come back begins anew with what is stored.
                bucket.resume((*high, *low), 0);
            }
            (CounterState::Daily { count, .. }, StoredCounterState::Daily(used, before)) => {
                *count = Daily { used: *used, before: *before };
            }
            _ => {}
        }
    }

    /// Counts reserved permits as granted, on the days that were open when the snapshot was written.
    fn reserved_permits(&mut self) {
        let mut reserved_ids: BTreeMap<CounterId, u64> = BTreeMap::new();
        for old in &self.stored.lanes {
            let Some(lane) = self.lane(old).filter(|_| old.reserved > 0) else { continue };
            for &counter in self.next.leases.counters(lane) {
                let reserved = reserved_ids.entry(counter).or_default();
                *reserved = reserved.saturating_add(u64::from(old.reserved));
            }
        }
        for (counter, reserved) in reserved_ids {
            let Some(CounterState::Daily { calendar, unit: Unit::Calls, .. }) = self.next.counters.state(counter)
            else {
                continue;
            };
            let both = self.next.days.get(*calendar).is_some_and(|days| self.stored.wall < days.before_over());
            let reserved = reserved.min(u64::from(self.stored.reserved));
            let Some(entry) = self.next.counters.get_mut(counter) else { continue };
            if let CounterState::Daily { count, .. } = &mut entry.state {
                count.count(reserved, both);
            }
            if let Some(loan) = entry.loan.as_mut().filter(|loan| !loan.is_kept()) {
                loan.owes = loan.owes.saturating_add(reserved);
            }
        }
    }

    /// Returns the lane, in the next epoch, of a stored lane.
    fn lane(&mut self, old: &StoredLane) -> Option<LaneId> {
        let app = self.app(old.app)?;
        self.next.lane(app, old.mask)
    }

    /// Restores the ids that may be in flight, of that epoch and of those before it.
    fn permits(&mut self) {
        let now = self.next.epoch.time();
        let lanes: BTreeMap<LaneId, LaneId> =
            self.stored.lanes.iter().filter_map(|old| Some((old.lane, self.lane(old)?))).collect();
        let mut groups = Vec::new();
        for group in &self.stored.groups {
            let moved = group
                .lanes
                .iter()
                .filter_map(|prior| Some(PriorLane { lane: *lanes.get(&prior.lane)?, ..prior.clone() }));
            groups.push(PriorEpoch {
                lanes: moved.collect(),
                reserved_until: group.reserved_until.saturating_add(self.skew),
                in_flight_until: group.in_flight_until.saturating_add(self.skew),
                ..group.clone()
            });
        }
        let mut prior = Vec::new();
        for old in self.stored.lanes.iter().filter(|old| old.reserved > 0 || !old.leases.is_empty()) {
            let reserved_ids = (old.seq..old.seq.saturating_add(u64::from(old.reserved))).collect();
            if let Some(lane) = lanes.get(&old.lane) {
                prior.push(PriorLane { old: old.lane, lane: *lane, leases: old.leases.clone(), reserved_ids });
            }
        }
        let leases: u64 = prior.iter().map(|lane| lane.leases.len() as u64).sum();
        let named: u64 = prior.iter().map(|lane| lane.reserved_ids.len() as u64).sum();
        let reserved = named.min(u64::from(self.stored.reserved));
        if leases + reserved > 0 {
            let life = self.stored.life.max(self.next.lease_ms());
            let ends = self.stored.until.saturating_add(self.skew);
            groups.push(PriorEpoch {
                epoch: self.stored.epoch,
                in_flight: u32::try_from(self.stored.ceiling.min(leases + reserved)).unwrap_or(u32::MAX),
                reserved: u32::try_from(reserved).unwrap_or(u32::MAX),
                reserved_until: if reserved == 0 { now } else { ends.max(now) },
                in_flight_until: ends.saturating_add(life).saturating_add(self.skew),
                ran: false,
                over: false,
                since: self.stored.time,
                lanes: prior,
            });
            // Bytes of these may have come back, and the epoch that counted them is gone.
            self.next.history.lose_bytes(ends.max(now));
        }
        let counters = self.next.counters.len();
        self.next.prior = PriorEpochs::new(groups, counters, &self.next.leases);
        // Their lanes keep their places as long as that epoch is remembered.
        for lane in self.next.prior.lanes().collect::<Vec<_>>() {
            self.next.leases.lanes_mut().pin(lane);
        }
    }
}
