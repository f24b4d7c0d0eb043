//! Leases: the permits that have been granted and not settled yet.
//!
//! The count in flight under each counter is kept here and nowhere else, by the only two functions that begin and end a lease; so is the
//! count of those in flight for longer than a limit says, for limits that count no others.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "one each call in flight, taken away once for each added; a number of 64 bits each call"
)]

pub(crate) mod ageing;
mod lapsed;

use crate::PermitId;
use crate::ids::Ids;
use crate::index::{CounterId, Index, LaneId, SlotId, Table};
use crate::leases::ageing::Ageing;
use crate::queue::lanes::Lanes;
use slab::Slab;
use std::collections::{BTreeMap, VecDeque};

/// The most leases in flight in one connection; a call beyond it is refused as `concurrency`. At some 130 bytes each, 3 MB.
pub const MOST_LEASES: usize = 20_000;
/// In the place of a call's id: the lease is a job's, which never asks again and is not looked for.
pub const JOB: u128 = 0;

/// A permit in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Its lane.
    pub lane: LaneId,
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
    /// Whether it was reported as of unknown outcome.
    pub cut: bool,
    /// How many bytes of its answer have been counted.
    pub bytes: u64,
}

/// Whether a count goes up by one or down.
#[derive(Debug, Clone, Copy)]
enum Change {
    More,
    Less,
}

impl Change {
    const fn apply(self, count: &mut u32) {
        *count = match self {
            Self::More => count.saturating_add(1),
            Self::Less => count.saturating_sub(1),
        };
    }
}

/// A lease, and the leases granted before and after it.
#[derive(Debug, Clone)]
struct Slot {
    lease: Lease,
    older: SlotId,
    newer: SlotId,
}

/// All leases of one connection, and its lanes.
#[derive(Debug, Clone)]
pub struct Leases {
    lanes: Lanes,
    slots: Slab<Slot>,
    oldest: SlotId,
    newest: SlotId,
    ids: Ids,
    /// How many leases in flight each counter counts.
    in_flight: Table<CounterId, u32>,
    /// How many of them have been in flight for longer than the counter's limit says.
    aged: Table<CounterId, u32>,
    ageing: Vec<Ageing>,
    /// The leases that have lapsed and may yet be answered, by lane and number.
    late: BTreeMap<(LaneId, u64), Lease>,
    late_until: VecDeque<(i64, LaneId, u64)>,
    /// Leases that lapsed unreported, until the statistics have asked for them: the lane, and when it was granted.
    unreported: VecDeque<(LaneId, i64)>,
    /// The mean time from grant to settlement, sixteenths of a millisecond.
    mean_flight: i64,
}

impl Default for Leases {
    fn default() -> Self {
        Self {
            lanes: Lanes::default(),
            slots: Slab::new(),
            oldest: SlotId::NONE,
            newest: SlotId::NONE,
            ids: Ids::default(),
            in_flight: Table::default(),
            aged: Table::default(),
            ageing: Vec::new(),
            late: BTreeMap::new(),
            late_until: VecDeque::new(),
            unreported: VecDeque::new(),
            mean_flight: 0,
        }
    }
}

impl Leases {
    /// Returns the lanes.
    pub const fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// Returns the lanes, to be changed.
    pub const fn lanes_mut(&mut self) -> &mut Lanes {
        &mut self.lanes
    }

    /// Makes the tables long enough for so many counters.
    pub fn fit(&mut self, counters: usize) {
        if let Some(last) = counters.checked_sub(1).map(CounterId::at) {
            self.in_flight.grow_to(last, 0);
            self.aged.grow_to(last, 0);
        }
    }

    /// Counts anew what is in flight: the lanes have other counters.
    pub fn recount(&mut self, counters: usize, time: i64) {
        (self.in_flight, self.aged) = (Table::default(), Table::default());
        self.fit(counters);
        let lanes: Vec<LaneId> = self.leases().map(|(_, lease)| lease.lane).collect();
        for lane in lanes {
            self.count(lane, Change::More);
        }
        let oldest = self.oldest;
        self.ageing.iter_mut().for_each(|ageing| (ageing.until, ageing.next) = (i64::MIN, oldest));
        self.age(time);
    }

    /// Returns how many leases are in flight.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no lease can begin, since the table is full.
    pub fn is_full(&self) -> bool {
        self.len() >= MOST_LEASES
    }

    /// Whether no lease is in flight.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many leases in flight a counter counts.
    pub fn in_flight(&self, counter: CounterId) -> u64 {
        self.in_flight.get(counter).copied().map_or(0, u64::from)
    }

    /// Whether a counter counts a lane's calls.
    pub fn counts(&self, lane: LaneId, counter: CounterId) -> bool {
        self.lanes.get(lane).is_some_and(|lane| lane.counters.contains(&counter))
    }

    /// Returns the counters that count a lane's calls.
    pub fn counters(&self, lane: LaneId) -> &[CounterId] {
        self.lanes.get(lane).map_or(&[], |lane| &lane.counters)
    }

    fn count(&mut self, lane: LaneId, change: Change) {
        let counters = self.lanes.get(lane).map_or(&[][..], |lane| &lane.counters);
        for &counter in counters {
            if let Some(count) = self.in_flight.get_mut(counter) {
                change.apply(count);
            }
        }
    }

    /// Begins a lease on a lane and returns its permit, with the lane's next number. None when the lane is unknown or the table is full.
    pub fn open(
        &mut self,
        epoch: u32,
        lane: LaneId,
        granted: i64,
        lapses: i64,
        call: u128,
        waited: u64,
    ) -> Option<PermitId> {
        if self.is_full() {
            return None;
        }
        let slot = SlotId::at(self.slots.vacant_key()).known()?;
        let entry = self.lanes.get_mut(lane)?;
        let seq = entry.seq;
        entry.seq += 1;
        entry.leases += 1;
        entry.last_grant = granted;
        self.count(lane, Change::More);
        let newest = self.newest;
        let lease = Lease { lane, seq, granted, lapses, call, waited, cut: false, bytes: 0 };
        self.slots.insert(Slot { lease, older: newest, newer: SlotId::NONE });
        match self.slots.get_mut(newest.position()) {
            Some(before) => before.newer = slot,
            None => self.oldest = slot,
        }
        self.newest = slot;
        for ageing in self.ageing.iter_mut().filter(|ageing| ageing.next == SlotId::NONE) {
            ageing.next = slot;
        }
        let slots = &self.slots;
        if call != JOB {
            self.ids.insert(slot.0, call, |slot| Some(slots.get(slot as usize)?.lease.call));
        }
        Some(PermitId { epoch, lane: lane.0, seq, slot: slot.0 })
    }

    /// Returns the lease of the call of this id, and its slot; of several, the one granted last.
    pub fn of_call(&self, call: u128) -> Option<(u32, Lease)> {
        let lease = |slot: u32| self.slots.get(slot as usize).map(|slot| slot.lease).filter(|lease| lease.call == call);
        let slot = self.ids.last(call, |slot| lease(slot).map(|lease| (lease.granted, lease.seq)))?;
        Some((slot, lease(slot)?))
    }

    /// Returns the lease in flight of a permit.
    pub fn find(&self, id: PermitId) -> Option<Lease> {
        let lease = self.slots.get(id.slot as usize)?.lease;
        (lease.lane.0 == id.lane && lease.seq == id.seq).then_some(lease)
    }

    /// Ends the lease of a permit and returns it; none if it has ended before.
    pub fn close(&mut self, id: PermitId) -> Option<Lease> {
        self.find(id)?;
        let Slot { lease, older, newer } = self.slots.try_remove(id.slot as usize)?;
        match self.slots.get_mut(older.position()) {
            Some(before) => before.newer = newer,
            None => self.oldest = newer,
        }
        match self.slots.get_mut(newer.position()) {
            Some(after) => after.older = older,
            None => self.newest = older,
        }
        if lease.call != JOB {
            self.ids.remove(id.slot, lease.call);
        }
        self.count(lease.lane, Change::Less);
        self.grow_no_older(SlotId(id.slot), newer, &lease);
        self.lanes.unpin(lease.lane);
        Some(lease)
    }

    /// Notes that a lease's outcome is unknown, though so many bytes came back. Returns the lease as it was, and how many of the bytes are
    /// new; none if it has ended.
    pub fn mark(&mut self, id: PermitId, bytes: u64) -> Option<(Lease, u64)> {
        self.find(id)?;
        let lease = &mut self.slots.get_mut(id.slot as usize)?.lease;
        let before = *lease;
        let news = bytes.saturating_sub(lease.bytes);
        (lease.cut, lease.bytes) = (true, lease.bytes.max(bytes));
        Some((before, news))
    }

    /// Returns the lease granted first.
    pub fn oldest(&self) -> Option<&Lease> {
        self.slots.get(self.oldest.position()).map(|slot| &slot.lease)
    }

    /// Notes that a call has been settled so many milliseconds after its grant.
    pub const fn note_flight(&mut self, flight_ms: i64) {
        let flight = flight_ms.saturating_mul(16);
        self.mean_flight = self.mean_flight.saturating_add(flight.saturating_sub(self.mean_flight) / 16);
    }

    /// Returns the mean time from grant to settlement, milliseconds.
    pub const fn mean_flight_ms(&self) -> i64 {
        self.mean_flight / 16
    }

    /// Returns all leases in flight with their slots, in the order in which they were granted.
    pub fn leases(&self) -> impl Iterator<Item = (u32, Lease)> + '_ {
        let mut next = self.oldest;
        std::iter::from_fn(move || {
            let slot = self.slots.get(next.position())?;
            let at = std::mem::replace(&mut next, slot.newer);
            Some((at.0, slot.lease))
        })
    }

    /// Returns how many leases granted after a limiter time a counter counts.
    pub fn granted_after(&self, at: i64, counter: CounterId) -> u64 {
        let mut next = self.newest;
        let mut n = 0;
        while let Some(slot) = self.slots.get(next.position())
            && slot.lease.granted > at
        {
            n += u64::from(self.counts(slot.lease.lane, counter));
            next = slot.older;
        }
        n
    }
}

#[cfg(test)]
mod tests;
