//! Permits of earlier epochs. An epoch that ended without notice leaves ids that were in flight, and ids that its last reservation could
//! still have granted. Which of them were used is not known, so all count until time or their own settlements show otherwise.

#![expect(clippy::arithmetic_side_effects, reason = "calls in flight, and permits that a snapshot has named")]

use crate::index::{CounterId, LaneId, Table};
use crate::leases::Leases;
use crate::mutant::{self, Mutant};
use serde::{Deserialize, Serialize};

/// A call that is taken for ended may yet be answered within this time, milliseconds: then it counts from its answer.
pub const LATE_MS: i64 = 600_000;

/// The ids that one earlier epoch left on one lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorLane {
    /// The lane's number in that epoch.
    pub old: LaneId,
    /// The lane's number in this epoch.
    pub lane: LaneId,
    /// The numbers that were in flight when the snapshot was written and are not settled yet, in order.
    pub leases: Vec<u64>,
    /// The numbers that the snapshot reserved and that are not settled yet, in order.
    pub reserved_ids: Vec<u64>,
}

/// What one earlier epoch left. Times are limiter milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorEpoch {
    /// The number of that epoch.
    pub epoch: u32,
    /// At most so many of the ids are in flight. Only a first attempt to settle lowers it: the earlier epoch cannot have seen that one.
    pub in_flight: u32,
    /// At most so many of the reserved ids were granted, over all lanes.
    pub reserved: u32,
    /// By then the ids that are not in flight have been granted and settled, if they ever were.
    pub reserved_until: i64,
    /// By then the vendor is done with all of them.
    pub in_flight_until: i64,
    /// `reserved_until` has passed and the settled ones are in the windows.
    pub ran: bool,
    /// `in_flight_until` has passed and all are in the windows. One of them may be answered all the same.
    pub over: bool,
    /// When the snapshot was written: days that have opened since count of these ids only those in flight.
    pub since: i64,
    /// The ids, by lane.
    pub lanes: Vec<PriorLane>,
}

impl PriorEpoch {
    /// Returns the lane, in this epoch, of an id that is not settled yet.
    fn holds(&self, epoch: u32, old_lane: LaneId, seq: u64) -> Option<LaneId> {
        let lane = self.lanes.iter().find(|lane| self.epoch == epoch && lane.old == old_lane)?;
        let open = lane.leases.binary_search(&seq).is_ok() || lane.reserved_ids.binary_search(&seq).is_ok();
        open.then_some(lane.lane)
    }
}

/// How many ids one counter counts.
#[derive(Debug, Clone, Copy, Default)]
struct Ids {
    leases: u32,
    reserved_ids: u32,
}

/// What an earlier epoch left, and how much of it each counter counts.
#[derive(Debug, Clone)]
struct Held {
    group: PriorEpoch,
    ids: Table<CounterId, Ids>,
}

impl Held {
    fn new(group: PriorEpoch, counters: usize, leases: &Leases) -> Self {
        let mut ids: Table<CounterId, Ids> = vec![Ids::default(); counters].into_iter().collect();
        for lane in &group.lanes {
            let (held, reserved_ids) = (count(&lane.leases), count(&lane.reserved_ids));
            for &counter in leases.counters(lane.lane) {
                if let Some(ids) = ids.get_mut(counter) {
                    ids.leases = ids.leases.saturating_add(held);
                    ids.reserved_ids = ids.reserved_ids.saturating_add(reserved_ids);
                }
            }
        }
        Self { group, ids }
    }

    /// Returns how many ids under a counter were granted, at most.
    fn given(&self, counter: CounterId) -> u64 {
        if self.group.over {
            return 0;
        }
        let ids = self.ids.get(counter).copied().unwrap_or_default();
        u64::from(ids.leases) + u64::from(ids.reserved_ids.min(self.group.reserved))
    }

    fn in_flight(&self, counter: CounterId) -> u64 {
        self.given(counter).min(u64::from(self.group.in_flight))
    }

    fn settled(&self, counter: CounterId) -> u64 {
        self.given(counter).saturating_sub(u64::from(self.group.in_flight))
    }

    /// Returns how many are in flight in all, at most.
    fn len(&self) -> u64 {
        if self.group.over {
            return 0;
        }
        let leases: u64 = self.group.lanes.iter().map(|lane| lane.leases.len() as u64).sum();
        let reserved_ids: u64 = self.group.lanes.iter().map(|lane| lane.reserved_ids.len() as u64).sum();
        (leases + reserved_ids.min(u64::from(self.group.reserved))).min(u64::from(self.group.in_flight))
    }
}

fn count(ids: &[u64]) -> u32 {
    u32::try_from(ids.len()).unwrap_or(u32::MAX)
}

/// What a settlement of an earlier epoch's permit shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The permit's lane in this epoch.
    pub lane: LaneId,
    /// When its epoch's snapshot was written, limiter milliseconds.
    pub since: i64,
    /// By then those of its epoch that are not in flight have ended; none while that time has not come.
    pub ran: Option<i64>,
    /// Whether it had been taken for ended already: the vendor was slower than was thought possible.
    pub late: bool,
}

/// Calls of an earlier epoch that have ended at some unknown time before `at`, by counter.
pub struct SettledPrior {
    /// When they are counted as settled, limiter milliseconds.
    pub at: i64,
    /// How many each counter counts.
    pub calls: Vec<(CounterId, u32)>,
    /// How many there are in all.
    pub total: u32,
    /// The lanes of an epoch that is now forgotten.
    pub lanes: Vec<LaneId>,
}

/// All that earlier epochs left. Each crash adds one group, which counts until the vendor must be done, and is gone ten minutes later.
#[derive(Debug, Clone, Default)]
pub struct PriorEpochs {
    groups: Vec<Held>,
}

impl PriorEpochs {
    /// Takes over what a snapshot has of earlier epochs.
    pub fn new(groups: Vec<PriorEpoch>, counters: usize, leases: &Leases) -> Self {
        Self { groups: groups.into_iter().map(|group| Held::new(group, counters, leases)).collect() }
    }

    /// Counts the ids anew: the lanes have other counters.
    pub fn recount(&mut self, counters: usize, leases: &Leases) {
        let groups = std::mem::take(&mut self.groups);
        *self = Self::new(groups.into_iter().map(|held| held.group).collect(), counters, leases);
    }

    /// Returns what each earlier epoch left.
    pub fn groups(&self) -> impl Iterator<Item = &PriorEpoch> {
        self.groups.iter().map(|held| &held.group)
    }

    /// Returns how many calls of earlier epochs are in flight under one counter, at most.
    /// Concurrency limits and a new day count these.
    #[inline]
    pub fn in_flight(&self, counter: CounterId) -> u64 {
        // Most often nothing is left of them, and this is checked at every event.
        if self.groups.is_empty() {
            return 0;
        }
        self.groups.iter().map(|held| held.in_flight(counter)).sum()
    }

    /// Returns how many calls of earlier epochs windows and buckets count beside what they hold: in
    /// flight, or settled at a time not yet known.
    #[inline]
    pub fn unsettled(&self, counter: CounterId) -> u64 {
        if self.groups.is_empty() {
            return 0;
        }
        let open = |held: &Held| if held.group.ran { 0 } else { held.settled(counter) };
        self.groups.iter().map(|held| held.in_flight(counter) + open(held)).sum()
    }

    /// Returns how many calls of earlier epochs are in flight in all, at most.
    pub fn len(&self) -> u64 {
        self.groups.iter().map(Held::len).sum()
    }

    /// Returns when something is next known without a settlement, limiter milliseconds.
    pub fn next_known(&self) -> Option<i64> {
        let known = self.groups().filter(|group| !group.over);
        known.map(|group| if group.ran { group.in_flight_until } else { group.reserved_until }).min()
    }

    /// Returns the lanes in which earlier epochs may have something in flight, or may have had.
    pub fn lanes(&self) -> impl Iterator<Item = LaneId> {
        self.groups().flat_map(|group| group.lanes.iter().map(|lane| lane.lane))
    }

    /// Takes a settled id out and returns what that shows; none where it was settled before the snapshot was written. `settled` is called
    /// with each counter of which calls of that epoch turn out to have ended before, since fewer of its calls are in flight than was thought.
    pub fn settle(
        &mut self,
        epoch: u32,
        old_lane: LaneId,
        seq: u64,
        attempt: u32,
        leases: &Leases,
        mut settled: impl FnMut(CounterId, u32),
    ) -> Option<Ended> {
        let held = self.groups.iter_mut().find(|held| held.group.holds(epoch, old_lane, seq).is_some())?;
        let lane = held.group.lanes.iter_mut().find(|lane| lane.old == old_lane)?;
        let was_lease = lane.leases.binary_search(&seq).ok().map(|at| lane.leases.remove(at)).is_some();
        if !was_lease {
            let at = lane.reserved_ids.binary_search(&seq).ok()?;
            lane.reserved_ids.remove(at);
        }
        let lane = lane.lane;
        let (in_flight, reserved) = (held.group.in_flight, held.group.reserved);
        if attempt == 1 || mutant::is(Mutant::AnyAttempt) {
            held.group.in_flight = in_flight.saturating_sub(1);
        }
        if !was_lease {
            held.group.reserved = held.group.reserved.saturating_sub(1);
        }
        let counters = leases.counters(lane);
        for &counter in counters {
            if let Some(ids) = held.ids.get_mut(counter) {
                let n = if was_lease { &mut ids.leases } else { &mut ids.reserved_ids };
                *n = n.saturating_sub(1);
            }
        }
        let late = held.group.over;
        let ran = (held.group.ran && !late).then_some(held.group.reserved_until);
        if ran.is_some() && held.group.in_flight < in_flight {
            for (counter, ids) in held.ids.iter().filter(|(counter, _)| !counters.contains(counter)) {
                let before = u64::from(ids.leases) + u64::from(ids.reserved_ids.min(reserved));
                let more = held.settled(counter).saturating_sub(before.saturating_sub(u64::from(in_flight)));
                if more > 0 {
                    settled(counter, u32::try_from(more).unwrap_or(u32::MAX));
                }
            }
        }
        Some(Ended { lane, since: held.group.since, ran, late })
    }

    /// Whether an id is still open whose call is taken for ended.
    pub fn is_over(&self, epoch: u32, old_lane: LaneId, seq: u64) -> bool {
        self.groups().any(|group| group.over && group.holds(epoch, old_lane, seq).is_some())
    }

    /// Returns the lane, in this epoch, of an id that is not settled yet.
    pub fn holds(&self, epoch: u32, old_lane: LaneId, seq: u64) -> Option<LaneId> {
        self.groups().find_map(|group| group.holds(epoch, old_lane, seq))
    }

    /// Returns the next group one of whose times has come by `now`: which of its calls are to be
    /// counted as settled then.
    pub fn advance(&mut self, now: i64) -> Option<SettledPrior> {
        let due = |held: &Held| match &held.group {
            PriorEpoch { over: true, in_flight_until, .. } => in_flight_until.saturating_add(LATE_MS) <= now,
            PriorEpoch { ran: true, in_flight_until, .. } => *in_flight_until <= now,
            PriorEpoch { reserved_until, .. } => *reserved_until <= now,
        };
        let at = self.groups.iter().position(due)?;
        let calls = |held: &Held, n: &dyn Fn(CounterId) -> u64| {
            let each = held.ids.ids().map(|counter| (counter, n(counter)));
            each.filter(|(_, n)| *n > 0).map(|(counter, n)| (counter, u32::try_from(n).unwrap_or(u32::MAX))).collect()
        };
        let whole = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        if self.groups.get(at)?.group.over {
            let held = self.groups.remove(at);
            let lanes = held.group.lanes.iter().map(|lane| lane.lane).collect();
            return Some(SettledPrior { at: held.group.in_flight_until, calls: Vec::new(), total: 0, lanes });
        }
        let held = self.groups.get_mut(at)?;
        if held.group.ran {
            let (calls, total) = (calls(held, &|counter| held.in_flight(counter)), whole(held.len()));
            held.group.over = true;
            return Some(SettledPrior { at: held.group.in_flight_until, calls, total, lanes: Vec::new() });
        }
        held.group.ran = true;
        let held = self.groups.get(at)?;
        let given: u64 = held.group.lanes.iter().map(|lane| lane.leases.len() as u64).sum::<u64>()
            + u64::from(held.group.reserved)
                .min(held.group.lanes.iter().map(|lane| lane.reserved_ids.len() as u64).sum());
        let calls = calls(held, &|counter| held.settled(counter));
        Some(SettledPrior {
            at: held.group.reserved_until,
            calls,
            total: whole(given.saturating_sub(held.len())),
            lanes: Vec::new(),
        })
    }
}
