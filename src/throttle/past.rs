//! Permits of earlier lives. A life that ended without notice leaves ids that were in flight, and ids that its last block could still
//! have given out. Which of them were used is not known, so all count until time or their own settlements say otherwise.

#![expect(clippy::arithmetic_side_effects, reason = "calls in flight")]

use super::ledger::Ledger;
use super::mutant::{self, Mutant};
use crate::wire::wire;

/// The ids one earlier life left on one lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastLane {
    /// The lane's number in that life.
    pub old: u32,
    /// The lane's number in this one.
    pub lane: u32,
    /// Numbers not yet settled, in order.
    pub ids: Vec<u64>,
}

wire!(struct PastLane { old, lane, ids });

/// What one earlier life left. Limiter milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// That life.
    pub epoch: u32,
    /// At most so many of the ids are in flight. Only a first attempt to settle lowers it: the earlier life cannot have seen that one.
    pub fly: u32,
    /// By then the ids that are not in flight have been granted and settled, if they ever were.
    pub run_until: i64,
    /// By then the vendor is done with all.
    pub fly_until: i64,
    /// `run_until` has passed and the settled ones are in the windows.
    pub ran: bool,
    /// The ids.
    pub lanes: Vec<PastLane>,
}

wire!(struct Group { epoch, fly, run_until, fly_until, ran, lanes });

impl Group {
    fn ids(&self, meter: u32, ledger: &Ledger) -> u64 {
        self.lanes.iter().filter(|lane| ledger.counts(lane.lane, meter)).map(|lane| lane.ids.len() as u64).sum()
    }

    /// In flight at most, under one meter.
    pub fn flying(&self, meter: u32, ledger: &Ledger) -> u64 {
        self.ids(meter, ledger).min(u64::from(self.fly))
    }

    /// Granted and settled at some unknown time before `run_until`, at most, under one meter.
    pub fn landed(&self, meter: u32, ledger: &Ledger) -> u64 {
        self.ids(meter, ledger).saturating_sub(u64::from(self.fly))
    }
}

/// All that earlier lives left. Each crash adds one group, which is gone once the vendor must be done; the row caps them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    groups: Vec<Group>,
}

impl Past {
    /// Takes over what a row says.
    pub const fn new(groups: Vec<Group>) -> Self {
        Self { groups }
    }

    /// The groups.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// In flight at most, under one meter: what concurrency and a new day count.
    #[inline]
    pub fn flying(&self, meter: u32, ledger: &Ledger) -> u64 {
        // Most often nothing is left of them, and this is asked at every event.
        if self.groups.is_empty() {
            return 0;
        }
        self.groups.iter().map(|group| group.flying(meter, ledger)).sum()
    }

    /// What windows and buckets count beside what they hold: in flight, or settled at a time not yet known.
    #[inline]
    pub fn unsettled(&self, meter: u32, ledger: &Ledger) -> u64 {
        if self.groups.is_empty() {
            return 0;
        }
        let open = |group: &Group| if group.ran { 0 } else { group.landed(meter, ledger) };
        self.groups.iter().map(|group| group.flying(meter, ledger) + open(group)).sum()
    }

    /// In flight at most, in all.
    pub fn len(&self) -> u64 {
        let ids = |group: &Group| group.lanes.iter().map(|lane| lane.ids.len() as u64).sum::<u64>();
        self.groups.iter().map(|group| ids(group).min(u64::from(group.fly))).sum()
    }

    /// When something is next known by time alone.
    pub fn next_known(&self) -> Option<i64> {
        self.groups.iter().map(|group| if group.ran { group.fly_until } else { group.run_until }).min()
    }

    /// The group of an earlier life.
    pub fn group(&self, epoch: u32) -> Option<&Group> {
        self.groups.iter().find(|group| group.epoch == epoch)
    }

    /// Takes a settled id out. Gives its lane in this life, or none where it was settled before the row was written.
    pub fn settle(&mut self, epoch: u32, old_lane: u32, seq: u64, first_attempt: bool) -> Option<u32> {
        let group = self.groups.iter_mut().find(|group| group.epoch == epoch)?;
        let lane = group.lanes.iter_mut().find(|lane| lane.old == old_lane)?;
        let at = lane.ids.binary_search(&seq).ok()?;
        lane.ids.remove(at);
        if first_attempt || mutant::is(Mutant::AnyAttempt) {
            group.fly = group.fly.saturating_sub(1);
        }
        Some(lane.lane)
    }

    /// Whether an id is still open.
    pub fn holds(&self, epoch: u32, old_lane: u32, seq: u64) -> bool {
        let lane = |group: &&Group| {
            group.lanes.iter().any(|lane| lane.old == old_lane && lane.ids.binary_search(&seq).is_ok())
        };
        self.groups.iter().any(|group| group.epoch == epoch && lane(&group))
    }

    /// The next group one of whose times has come by `now`, to be counted as settled then: the group as it was, the time, and
    /// whether those in flight are meant (else the landed ones).
    pub fn advance(&mut self, now: i64) -> Option<(Group, i64, bool)> {
        let due = |group: &Group| if group.ran { group.fly_until <= now } else { group.run_until <= now };
        let at = self.groups.iter().position(due)?;
        if self.groups.get(at)?.ran {
            let group = self.groups.remove(at);
            let until = group.fly_until;
            return Some((group, until, true));
        }
        let group = self.groups.get_mut(at)?;
        group.ran = true;
        Some((group.clone(), group.run_until, false))
    }
}
