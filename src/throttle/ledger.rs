//! Who has been granted what and has not yet said how it ended: lanes, and the leases in flight on them.
//!
//! A lane is one app's calls that the same limits count. Permit ids count up within a lane, so a stored `(seq, spare)` names every
//! permit that a block could have given out. The count in flight under each meter is kept here and nowhere else, by the only two
//! functions that begin and end a lease.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "one each call in flight, taken away once for each added; a number of 64 bits each call"
)]

use super::PermitId;
use std::cell::Cell;

/// Leases in flight in one connection; a call beyond it is refused as `concurrency`. At 100 bytes each, 2 MB.
pub const MOST_LEASES: usize = 20_000;
/// Lanes of one connection: its apps times the sets of limits that their calls meet.
pub const MOST_LANES: usize = 8_192;

const NONE: u32 = u32::MAX;

/// One app's calls under one set of limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// The app, in the throttle's table.
    pub app: u32,
    /// Bit i: limit i of the plan counts these calls.
    pub mask: u32,
    /// The meters that count them.
    pub meters: Vec<u32>,
    /// The meter that had no room last: it is looked at first.
    pub tight: Cell<u32>,
    /// The event in which it was found full: grants only take room, so it stays so until the next.
    pub full_in: Cell<u64>,
    /// The next permit's number.
    pub seq: u64,
    /// Permits that may still be given out under the stored row.
    pub spare: u32,
    /// Permits given out since the last row that named spare ones.
    pub used: u32,
    /// Spare permits that it named.
    pub last_spare: u32,
}

/// A permit in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Its lane.
    pub lane: u32,
    /// Its number in the lane.
    pub seq: u64,
    /// When it was granted, limiter milliseconds.
    pub granted: i64,
    /// When the vendor can no longer be at work on it, limiter milliseconds.
    pub lapses: i64,
    /// The call's id, so that asking twice takes one permit.
    pub call: u128,
    /// How long it had waited, milliseconds.
    pub waited: u64,
    /// Reported as of unknown outcome.
    pub cut: bool,
}

#[derive(Debug, Clone)]
struct Slot {
    lease: Option<Lease>,
    older: u32,
    newer: u32,
}

/// All lanes and leases of one connection.
#[derive(Debug, Clone)]
pub struct Ledger {
    lanes: Vec<Lane>,
    /// App, mask and number of each lane, in that order: there may be thousands.
    found: Vec<(u32, u32, u32)>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
    flying: Vec<u32>,
    len: usize,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            lanes: Vec::new(),
            found: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            oldest: NONE,
            newest: NONE,
            flying: Vec::new(),
            len: 0,
        }
    }
}

impl Ledger {
    /// The lane of an app's calls under `mask`, where there is one.
    pub fn find_lane(&self, app: u32, mask: u32) -> Option<u32> {
        let at = self.place(app, mask).ok()?;
        self.found.get(at).map(|(.., lane)| *lane)
    }

    fn place(&self, app: u32, mask: u32) -> Result<usize, usize> {
        self.found.binary_search_by(|(own, its, _)| (*own, *its).cmp(&(app, mask)))
    }

    /// A new lane; none when the table is full.
    pub fn add_lane(&mut self, app: u32, mask: u32, meters: Vec<u32>) -> Option<u32> {
        if self.lanes.len() >= MOST_LANES {
            return None;
        }
        let most = meters.iter().copied().max().map_or(0, |meter| meter as usize + 1);
        if self.flying.len() < most {
            self.flying.resize(most, 0);
        }
        let lane = u32::try_from(self.lanes.len()).ok()?;
        let tight = Cell::new(meters.first().copied().unwrap_or(NONE));
        self.lanes.push(Lane {
            app,
            mask,
            meters,
            tight,
            full_in: Cell::new(0),
            seq: 0,
            spare: 0,
            used: 0,
            last_spare: 0,
        });
        if let Err(at) = self.place(app, mask) {
            self.found.insert(at, (app, mask, lane));
        }
        Some(lane)
    }

    /// One lane.
    pub fn lane(&self, lane: u32) -> Option<&Lane> {
        self.lanes.get(lane as usize)
    }

    /// One lane, to change its block.
    pub fn lane_mut(&mut self, lane: u32) -> Option<&mut Lane> {
        self.lanes.get_mut(lane as usize)
    }

    /// Whether a meter counts a lane's calls.
    pub fn counts(&self, lane: u32, meter: u32) -> bool {
        self.lane(lane).is_some_and(|lane| lane.meters.contains(&meter))
    }

    /// All lanes, to change their blocks.
    pub fn lanes_mut(&mut self) -> impl Iterator<Item = &mut Lane> {
        self.lanes.iter_mut()
    }

    /// All lanes, in the order of their numbers.
    pub fn lanes(&self) -> impl Iterator<Item = (u32, &Lane)> {
        (0..).zip(&self.lanes)
    }

    /// Leases in flight.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Nothing is in flight.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Leases in flight that a meter counts.
    pub fn flying(&self, meter: u32) -> u64 {
        self.flying.get(meter as usize).copied().map_or(0, u64::from)
    }

    /// Begins a lease on a lane: takes its next number. None when the lane is unknown or the table is full.
    pub fn open(
        &mut self,
        epoch: u32,
        lane: u32,
        granted: i64,
        lapses: i64,
        call: u128,
        waited: u64,
    ) -> Option<PermitId> {
        if self.len >= MOST_LEASES {
            return None;
        }
        let entry = self.lanes.get_mut(lane as usize)?;
        let seq = entry.seq;
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Slot { lease: None, older: NONE, newer: NONE });
                u32::try_from(self.slots.len() - 1).ok()?
            }
        };
        entry.seq += 1;
        for &meter in &entry.meters {
            if let Some(count) = self.flying.get_mut(meter as usize) {
                *count += 1;
            }
        }
        let newest = self.newest;
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Slot {
                lease: Some(Lease { lane, seq, granted, lapses, call, waited, cut: false }),
                older: newest,
                newer: NONE,
            };
        }
        match self.slots.get_mut(newest as usize) {
            Some(before) => before.newer = slot,
            None => self.oldest = slot,
        }
        self.newest = slot;
        self.len += 1;
        Some(PermitId { epoch, lane, seq, slot })
    }

    /// A lease in flight.
    pub fn find(&self, id: PermitId) -> Option<Lease> {
        let lease = self.slots.get(id.slot as usize)?.lease?;
        (lease.lane == id.lane && lease.seq == id.seq).then_some(lease)
    }

    /// Ends a lease. None if it has ended before.
    pub fn close(&mut self, id: PermitId) -> Option<Lease> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        let lease = slot.lease.filter(|lease| lease.lane == id.lane && lease.seq == id.seq)?;
        slot.lease = None;
        let (older, newer) = (slot.older, slot.newer);
        match self.slots.get_mut(older as usize) {
            Some(before) => before.newer = newer,
            None => self.oldest = newer,
        }
        match self.slots.get_mut(newer as usize) {
            Some(after) => after.older = older,
            None => self.newest = older,
        }
        self.free.push(id.slot);
        self.len -= 1;
        let meters = self.lanes.get(lease.lane as usize).map_or(&[][..], |lane| &lane.meters);
        for &meter in meters {
            if let Some(count) = self.flying.get_mut(meter as usize) {
                *count -= 1;
            }
        }
        Some(lease)
    }

    /// Notes that a lease's outcome is unknown. False if it has ended or was noted before.
    pub fn mark(&mut self, id: PermitId) -> bool {
        let lease = self.slots.get_mut(id.slot as usize).and_then(|slot| slot.lease.as_mut());
        match lease.filter(|lease| lease.lane == id.lane && lease.seq == id.seq && !lease.cut) {
            Some(lease) => {
                lease.cut = true;
                true
            }
            None => false,
        }
    }

    /// The lease granted first.
    pub fn oldest(&self) -> Option<&Lease> {
        self.slots.get(self.oldest as usize)?.lease.as_ref()
    }

    /// The lease granted first, with its place, if it has lapsed by `time`.
    pub fn lapsed(&self, time: i64) -> Option<(u32, Lease)> {
        let lease = self.oldest().filter(|lease| lease.lapses <= time)?;
        Some((self.oldest, *lease))
    }

    /// All leases, in the order they were granted.
    pub fn leases(&self) -> impl Iterator<Item = (u32, Lease)> + '_ {
        let mut next = self.oldest;
        std::iter::from_fn(move || {
            let slot = self.slots.get(next as usize)?;
            let at = std::mem::replace(&mut next, slot.newer);
            Some((at, slot.lease?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> (Ledger, u32, u32) {
        let mut ledger = Ledger::default();
        let one = ledger.add_lane(0, 0b11, vec![0, 1]).unwrap();
        let other = ledger.add_lane(1, 0b01, vec![0]).unwrap();
        (ledger, one, other)
    }

    #[test]
    fn each_meter_counts_the_lanes_it_stands_for() {
        let (mut ledger, one, other) = ledger();
        let permit = ledger.open(1, one, 10, 100, 7, 0).unwrap();
        ledger.open(1, other, 11, 100, 8, 0).unwrap();
        assert_eq!((ledger.flying(0), ledger.flying(1)), (2, 1));
        ledger.close(permit).unwrap();
        assert_eq!((ledger.flying(0), ledger.flying(1)), (1, 0));
    }

    #[test]
    fn a_lease_ends_once_even_when_its_place_is_taken_again() {
        let (mut ledger, one, _) = ledger();
        let first = ledger.open(1, one, 10, 100, 7, 0).unwrap();
        assert!(ledger.close(first).is_some());
        let second = ledger.open(1, one, 20, 110, 8, 0).unwrap();
        assert_eq!(first.slot, second.slot);
        assert!(ledger.close(first).is_none());
        assert_eq!(ledger.flying(0), 1);
    }

    #[test]
    fn leases_are_kept_in_the_order_of_their_grants() {
        let (mut ledger, one, other) = ledger();
        let ids: Vec<_> =
            (0..6).map(|i| ledger.open(1, if i % 2 == 0 { one } else { other }, i, 100, 0, 0).unwrap()).collect();
        for gone in [0, 3, 5] {
            ledger.close(ids[gone]).unwrap();
        }
        ledger.open(1, one, 9, 100, 0, 0).unwrap();
        assert_eq!(ledger.leases().map(|(_, lease)| lease.granted).collect::<Vec<_>>(), [1, 2, 4, 9]);
        assert_eq!(ledger.oldest().unwrap().granted, 1);
    }
}
