//! Permits of earlier lives. A life that ended without notice leaves ids that were in flight, and ids that its last block could still
//! have given out. Which of them were used is not known, so all count until time or their own settlements say otherwise.

#![expect(clippy::arithmetic_side_effects, reason = "calls in flight, and permits that a row has named")]

use crate::index::{CounterId, LaneId, Table};
use crate::leases::Leases;
use crate::mutant::{self, Mutant};
use serde::{Deserialize, Serialize};

/// A call that is taken for ended may yet be answered within this time, milliseconds: then it is dated anew.
pub const LATE_MS: i64 = 600_000;

/// The ids one earlier life left on one lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorLane {
    /// The lane's number in that life.
    pub old: LaneId,
    /// The lane's number in this one.
    pub lane: LaneId,
    /// Numbers that were in flight when the row was written and are not settled yet, in order.
    pub leases: Vec<u64>,
    /// Numbers that the row named as spare, and are not settled yet, in order.
    pub spares: Vec<u64>,
}

/// What one earlier life left. Limiter milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorEpoch {
    /// That life.
    pub epoch: u32,
    /// At most so many of the ids are in flight. Only a first attempt to settle lowers it: the earlier life cannot have seen that one.
    pub fly: u32,
    /// At most so many of the spare ids were given out, over all lanes.
    pub spare: u32,
    /// By then the ids that are not in flight have been granted and settled, if they ever were.
    pub run_until: i64,
    /// By then the vendor is done with all.
    pub fly_until: i64,
    /// `run_until` has passed and the settled ones are in the windows.
    pub ran: bool,
    /// `fly_until` has passed and all are in the windows. One of them may be answered all the same.
    pub over: bool,
    /// When the row was written: days that have opened since count of these ids only those in flight.
    pub since: i64,
    /// The ids.
    pub lanes: Vec<PriorLane>,
}

impl PriorEpoch {
    /// The lane in this life of an id that is still open.
    fn holds(&self, epoch: u32, old_lane: LaneId, seq: u64) -> Option<LaneId> {
        let lane = self.lanes.iter().find(|lane| self.epoch == epoch && lane.old == old_lane)?;
        let open = lane.leases.binary_search(&seq).is_ok() || lane.spares.binary_search(&seq).is_ok();
        open.then_some(lane.lane)
    }
}

/// Ids under one counter.
#[derive(Debug, Clone, Copy, Default)]
struct Ids {
    leases: u32,
    spares: u32,
}

/// A group, and its ids by counter.
#[derive(Debug, Clone)]
struct Held {
    group: PriorEpoch,
    ids: Table<CounterId, Ids>,
}

impl Held {
    fn new(group: PriorEpoch, counters: usize, leases: &Leases) -> Self {
        let mut ids: Table<CounterId, Ids> = vec![Ids::default(); counters].into_iter().collect();
        for lane in &group.lanes {
            let (held, spares) = (count(&lane.leases), count(&lane.spares));
            for &counter in leases.counters(lane.lane) {
                if let Some(ids) = ids.get_mut(counter) {
                    ids.leases = ids.leases.saturating_add(held);
                    ids.spares = ids.spares.saturating_add(spares);
                }
            }
        }
        Self { group, ids }
    }

    /// Ids under a counter that were given out, at most.
    fn given(&self, counter: CounterId) -> u64 {
        if self.group.over {
            return 0;
        }
        let ids = self.ids.get(counter).copied().unwrap_or_default();
        u64::from(ids.leases) + u64::from(ids.spares.min(self.group.spare))
    }

    fn in_flight(&self, counter: CounterId) -> u64 {
        self.given(counter).min(u64::from(self.group.fly))
    }

    fn settled(&self, counter: CounterId) -> u64 {
        self.given(counter).saturating_sub(u64::from(self.group.fly))
    }

    /// In flight at most, in all.
    fn len(&self) -> u64 {
        if self.group.over {
            return 0;
        }
        let leases: u64 = self.group.lanes.iter().map(|lane| lane.leases.len() as u64).sum();
        let spares: u64 = self.group.lanes.iter().map(|lane| lane.spares.len() as u64).sum();
        (leases + spares.min(u64::from(self.group.spare))).min(u64::from(self.group.fly))
    }
}

fn count(ids: &[u64]) -> u32 {
    u32::try_from(ids.len()).unwrap_or(u32::MAX)
}

/// What a settlement of an earlier life's permit shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its lane in this life.
    pub lane: LaneId,
    /// When its life's row was written.
    pub since: i64,
    /// By then those of its life that are not in flight have ended; none while that time has not come.
    pub ran: Option<i64>,
    /// It was taken for ended already: the vendor was slower than was thought possible.
    pub late: bool,
}

/// Calls of an earlier life that have ended at some time not known before `at`, by counter.
pub struct SettledPrior {
    /// When they are counted as settled.
    pub at: i64,
    /// Counter, and how many.
    pub calls: Vec<(CounterId, u32)>,
    /// In all.
    pub total: u32,
    /// Lanes of a life that is now forgotten.
    pub lanes: Vec<LaneId>,
}

/// All that earlier lives left. Each crash adds one group, which counts until the vendor must be done, and is gone ten minutes later.
#[derive(Debug, Clone, Default)]
pub struct PriorEpochs {
    groups: Vec<Held>,
}

impl PriorEpochs {
    /// Takes over what a row says.
    pub fn new(groups: Vec<PriorEpoch>, counters: usize, leases: &Leases) -> Self {
        Self { groups: groups.into_iter().map(|group| Held::new(group, counters, leases)).collect() }
    }

    /// The lanes' counters are others: counts their ids anew.
    pub fn recount(&mut self, counters: usize, leases: &Leases) {
        let groups = std::mem::take(&mut self.groups);
        *self = Self::new(groups.into_iter().map(|held| held.group).collect(), counters, leases);
    }

    /// The groups.
    pub fn groups(&self) -> impl Iterator<Item = &PriorEpoch> {
        self.groups.iter().map(|held| &held.group)
    }

    /// In flight at most, under one counter: what concurrency and a new day count.
    #[inline]
    pub fn in_flight(&self, counter: CounterId) -> u64 {
        // Most often nothing is left of them, and this is asked at every event.
        if self.groups.is_empty() {
            return 0;
        }
        self.groups.iter().map(|held| held.in_flight(counter)).sum()
    }

    /// What windows and buckets count beside what they hold: in flight, or settled at a time not yet known.
    #[inline]
    pub fn unsettled(&self, counter: CounterId) -> u64 {
        if self.groups.is_empty() {
            return 0;
        }
        let open = |held: &Held| if held.group.ran { 0 } else { held.settled(counter) };
        self.groups.iter().map(|held| held.in_flight(counter) + open(held)).sum()
    }

    /// In flight at most, in all.
    pub fn len(&self) -> u64 {
        self.groups.iter().map(Held::len).sum()
    }

    /// When something is next known by time alone.
    pub fn next_known(&self) -> Option<i64> {
        let known = self.groups().filter(|group| !group.over);
        known.map(|group| if group.ran { group.fly_until } else { group.run_until }).min()
    }

    /// The lanes in which earlier lives may have something in flight, or may have had.
    pub fn lanes(&self) -> impl Iterator<Item = LaneId> {
        self.groups().flat_map(|group| group.lanes.iter().map(|lane| lane.lane))
    }

    /// Takes a settled id out, and says what that shows; none where it was settled before the row was written. `landed` hears of each
    /// counter of which calls of that life turn out to have ended before: fewer of its calls are in flight than was thought.
    pub fn settle(
        &mut self,
        epoch: u32,
        old_lane: LaneId,
        seq: u64,
        first_attempt: bool,
        leases: &Leases,
        mut settled: impl FnMut(CounterId, u32),
    ) -> Option<Ended> {
        let held = self.groups.iter_mut().find(|held| held.group.holds(epoch, old_lane, seq).is_some())?;
        let lane = held.group.lanes.iter_mut().find(|lane| lane.old == old_lane)?;
        let was_lease = lane.leases.binary_search(&seq).ok().map(|at| lane.leases.remove(at)).is_some();
        if !was_lease {
            let at = lane.spares.binary_search(&seq).ok()?;
            lane.spares.remove(at);
        }
        let lane = lane.lane;
        let (fly, spare) = (held.group.fly, held.group.spare);
        if first_attempt || mutant::is(Mutant::AnyAttempt) {
            held.group.fly = fly.saturating_sub(1);
        }
        if !was_lease {
            held.group.spare = held.group.spare.saturating_sub(1);
        }
        let counters = leases.counters(lane);
        for &counter in counters {
            if let Some(ids) = held.ids.get_mut(counter) {
                let n = if was_lease { &mut ids.leases } else { &mut ids.spares };
                *n = n.saturating_sub(1);
            }
        }
        let late = held.group.over;
        let ran = (held.group.ran && !late).then_some(held.group.run_until);
        if ran.is_some() && held.group.fly < fly {
            for (counter, ids) in held.ids.iter().filter(|(counter, _)| !counters.contains(counter)) {
                let before = u64::from(ids.leases) + u64::from(ids.spares.min(spare));
                let more = held.settled(counter).saturating_sub(before.saturating_sub(u64::from(fly)));
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

    /// Whether an id is still open, and its lane in this life.
    pub fn holds(&self, epoch: u32, old_lane: LaneId, seq: u64) -> Option<LaneId> {
        self.groups().find_map(|group| group.holds(epoch, old_lane, seq))
    }

    /// The next group one of whose times has come by `now`: which of its calls are to be counted as settled then.
    pub fn advance(&mut self, now: i64) -> Option<SettledPrior> {
        let due = |held: &Held| match &held.group {
            PriorEpoch { over: true, fly_until, .. } => fly_until.saturating_add(LATE_MS) <= now,
            PriorEpoch { ran: true, fly_until, .. } => *fly_until <= now,
            PriorEpoch { run_until, .. } => *run_until <= now,
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
            return Some(SettledPrior { at: held.group.fly_until, calls: Vec::new(), total: 0, lanes });
        }
        let held = self.groups.get_mut(at)?;
        if held.group.ran {
            let (calls, total) = (calls(held, &|counter| held.in_flight(counter)), whole(held.len()));
            held.group.over = true;
            return Some(SettledPrior { at: held.group.fly_until, calls, total, lanes: Vec::new() });
        }
        held.group.ran = true;
        let held = self.groups.get(at)?;
        let given: u64 = held.group.lanes.iter().map(|lane| lane.leases.len() as u64).sum::<u64>()
            + u64::from(held.group.spare).min(held.group.lanes.iter().map(|lane| lane.spares.len() as u64).sum());
        let calls = calls(held, &|counter| held.settled(counter));
        Some(SettledPrior {
            at: held.group.run_until,
            calls,
            total: whole(given.saturating_sub(held.len())),
            lanes: Vec::new(),
        })
    }
}
