//! Snapshots: the stored form of a connection's limiter, one row each, from which the next epoch knows all that this one may have granted.
//!
//! The first byte is the version; the rest is its [binary form](codec), in which the fields' order is the format. `tests/limiter/row.rs` pins
//! it. A snapshot holds the limits under which it was written: an epoch that begins under others begins with those, and then takes the
//! policy's edit like any other.

#![expect(clippy::arithmetic_side_effects, reason = "reserved permits that are at most 256 a lane, and ages")]

use crate::adaptive::Adaptive;
use crate::apps::Apps;
use crate::calendar::{Day, Reset};
use crate::codec;
use crate::config::{Limit, Mode};
use crate::counters::counter::{CounterKey, CounterState};
use crate::durable::prior_epochs::{PriorEpoch, PriorLane};
use crate::history::Stretch;
use crate::index::{AppId, LaneId, LimitId, Table};
use crate::limiter::Limiter;
use crate::pool::loan::StoredLoan;
use crate::queue::lanes::Lane;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Versions 1 and 2 are read by [`snapshot_before`]. Version 3 is this one without the last list, of which an empty one is left in its place.
pub(super) const VERSION: u8 = 4;
/// Stands for an app's budget in place of a limit.
pub(super) const BUDGET: u32 = u32::MAX;

/// What is stored of a connection's limiter. Times are limiter milliseconds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub epoch: u32,
    pub offset: i64,
    pub time: i64,
    pub wall: i64,
    pub life: i64,
    pub mode: Mode,
    pub limits: Vec<Limit>,
    /// The resets and the days that are open under them, the connection's own first.
    pub calendars: Vec<(Reset, Day)>,
    /// The names of the apps that have counts or permits.
    pub apps: Vec<String>,
    pub lanes: Vec<StoredLane>,
    pub ceiling: u64,
    pub until: i64,
    /// How many reserved permits may still be granted, over all lanes.
    pub reserved: u32,
    pub counters: Vec<StoredCounter>,
    /// What every app's count begins with under limits by app.
    pub before: Vec<(LimitId, StoredCounterState)>,
    pub groups: Vec<PriorEpoch>,
    pub adaptive: Adaptive,
    pub history: Vec<Stretch>,
    pub known_from: Option<i64>,
    pub bytes_known_from: Option<i64>,
    pub loans: Vec<StoredLoan>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct StoredLane {
    /// The lane's number, which its permits' ids carry.
    pub lane: LaneId,
    /// A number in `apps`.
    pub app: u32,
    pub mask: u32,
    pub seq: u64,
    pub reserved: u32,
    pub leases: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct StoredCounter {
    /// The limit's place in the plan, or [`BUDGET`].
    pub limit: u32,
    /// A number in `apps`.
    pub app: Option<u32>,
    pub state: StoredCounterState,
    /// The vendor's own count, where its answers tell it.
    pub vendor: Option<u64>,
    /// How many calls its pool has not counted yet.
    pub owes: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum StoredCounterState {
    /// Until when settled calls count, each as the difference from the one before, from `time` on; and how many.
    Window(Vec<(i64, u32)>),
    /// The debt, as two halves of 128 bits.
    Bucket(u64, u64),
    /// What is used today, and what was used the day before.
    Daily(u64, u64),
}

impl Limiter {
    /// Returns the snapshot of the limiter as it stands.
    pub(crate) fn snapshot(&mut self) -> Vec<u8> {
        let time = self.epoch.time();
        let mut apps = Names::new(&self.apps);
        let mut leases: BTreeMap<LaneId, Vec<u64>> = BTreeMap::new();
        for (_, lease) in self.leases.leases() {
            leases.entry(lease.lane).or_default().push(lease.seq);
        }
        // Those of earlier epochs' permits too: the next epoch knows them by app and limits.
        let late = self.late_group(time);
        let prior: BTreeSet<LaneId> =
            self.prior.lanes().chain(late.iter().flat_map(|group| group.lanes.iter().map(|lane| lane.lane))).collect();
        let mut lanes = Vec::new();
        for (at, lane) in self.leases.lanes().iter() {
            let mut leases = leases.remove(&at).unwrap_or_default();
            if lane.reserved > 0 || !leases.is_empty() || prior.contains(&at) {
                leases.sort_unstable();
                lanes.push(stored_lane(at, lane, apps.number(lane.app), leases));
            }
        }
        let refill = self.rate.refilled(time);
        let stored = |state: &CounterState| stored_state(state, time, refill);
        let mut counters = Vec::new();
        for counter in self.counters.iter() {
            let owes = counter.loan.as_ref().map_or(0, |loan| loan.owes);
            if let Some(state) = stored(&counter.state)
                && (counter.vendor_count.is_some() || owes > 0 || !is_nothing(&state))
            {
                let limit = if let CounterKey::Limit(at) = counter.key { at.0 } else { BUDGET };
                let app = counter.app.map(|app| apps.number(app));
                counters.push(StoredCounter { limit, app, state, vendor: counter.vendor_count, owes });
            }
        }
        let before = self.counters.all_before().filter_map(|(at, state)| Some((at, stored(state)?)));
        let stored = Snapshot {
            epoch: self.epoch.number(),
            offset: self.epoch.offset(),
            time,
            wall: self.epoch.wall(),
            life: self.lease_ms(),
            mode: self.plan.mode,
            limits: self.plan.limits.clone(),
            calendars: self.days.iter().map(|days| (days.reset().clone(), days.today().clone())).collect(),
            lanes,
            ceiling: self.reservation.ceiling().max(self.leases.len() as u64),
            until: self.reservation.until().max(time),
            reserved: u32::try_from(self.reservation.left()).unwrap_or(u32::MAX),
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
        codec::write(vec![VERSION], &stored)
    }

    /// This epoch's leases that have lapsed and may yet be answered.
    fn late_group(&self, time: i64) -> Option<PriorEpoch> {
        let mut lanes: Vec<PriorLane> = Vec::new();
        for (lane, seq) in self.leases.late() {
            match lanes.last_mut().filter(|known| known.lane == lane) {
                Some(known) => known.leases.push(seq),
                None => lanes.push(PriorLane { old: lane, lane, leases: vec![seq], reserved_ids: Vec::new() }),
            }
        }
        let group = PriorEpoch {
            epoch: self.epoch.number(),
            in_flight: 0,
            reserved: 0,
            reserved_until: time,
            in_flight_until: time,
            ran: true,
            over: true,
            since: time,
            lanes: Vec::new(),
        };
        (!lanes.is_empty()).then_some(PriorEpoch { lanes, ..group })
    }
}

fn stored_lane(at: LaneId, lane: &Lane, app: u32, leases: Vec<u64>) -> StoredLane {
    StoredLane { lane: at, app, mask: lane.mask, seq: lane.seq, reserved: lane.reserved, leases }
}

fn stored_state(state: &CounterState, time: i64, refill: i128) -> Option<StoredCounterState> {
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

/// The numbers of the apps that a snapshot names, in the order in which it names them.
struct Names {
    /// Each app's number, by its place in the table; none where the snapshot has not named it.
    numbers: Table<AppId, Option<u32>>,
    named: Vec<AppId>,
}

impl Names {
    fn new(apps: &Apps) -> Self {
        Self { numbers: apps.iter().map(|_| None).collect(), named: Vec::new() }
    }

    /// Returns the number of an app in the snapshot. One that is in no table gets a number that no
    /// app has.
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
