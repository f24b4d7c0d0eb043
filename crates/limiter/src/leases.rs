//! Who has been granted what and has not yet said how it ended: the leases in flight, by lane.
//!
//! The count in flight under each counter is kept here and nowhere else, by the only two functions that begin and end a lease; so is the
//! count of those in flight for longer than a limit says, for limits that count no others.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "one each call in flight, taken away once for each added; a number of 64 bits each call"
)]

use crate::PermitId;
use crate::config::{Kind, Limit};
use crate::durable::prior_epochs::LATE_MS;
use crate::ids::Ids;
use crate::index::{CounterId, Index, LaneId, LimitId, Table};
use crate::queue::lanes::{Lanes, NONE};
use std::collections::{BTreeMap, VecDeque};

/// Leases in flight in one connection; a call beyond it is refused as `concurrency`. At some 130 bytes each, 3 MB.
pub const MOST_LEASES: usize = 20_000;

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
    /// Reported as of unknown outcome.
    pub cut: bool,
    /// Bytes of its answer that have been counted.
    pub bytes: u64,
}

#[derive(Debug, Clone)]
struct Slot {
    lease: Option<Lease>,
    older: u32,
    newer: u32,
}

/// A limit that counts calls in flight for longer than a time.
#[derive(Debug, Clone)]
struct Ageing {
    /// Its place in the plan.
    limit: LimitId,
    after_ms: i64,
    /// Leases granted before this, limiter milliseconds, are counted.
    until: i64,
    /// The oldest lease that is not: a slot.
    next: u32,
}

/// All leases of one connection, and its lanes.
#[derive(Debug, Clone)]
pub struct Leases {
    lanes: Lanes,
    slots: Vec<Slot>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
    len: usize,
    ids: Ids,
    /// In flight, by counter.
    in_flight: Table<CounterId, u32>,
    /// In flight for longer than the counter's limit says, by counter.
    aged: Table<CounterId, u32>,
    ageing: Vec<Ageing>,
    /// Leases that lapsed, by lane and number: until when they are remembered.
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
            slots: Vec::new(),
            free: Vec::new(),
            oldest: NONE,
            newest: NONE,
            len: 0,
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
    /// The limits of the plan that count calls in flight for longer than so many milliseconds. To be said before any lease begins, or
    /// before [`Self::recount`].
    pub fn watch_ages(&mut self, limits: impl Iterator<Item = (LimitId, i64)>) {
        self.ageing = limits.map(|(limit, after_ms)| Ageing { limit, after_ms, until: i64::MIN, next: NONE }).collect();
    }

    /// The lanes.
    pub const fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// The lanes, to be changed.
    pub const fn lanes_mut(&mut self) -> &mut Lanes {
        &mut self.lanes
    }

    /// There are so many counters.
    pub fn fit(&mut self, counters: usize) {
        if let Some(last) = counters.checked_sub(1).map(CounterId::at) {
            self.in_flight.grow_to(last, 0);
            self.aged.grow_to(last, 0);
        }
    }

    /// Counts anew what is in flight: the lanes' counters are others.
    pub fn recount(&mut self, counters: usize, time: i64) {
        (self.in_flight, self.aged) = (Table::default(), Table::default());
        self.fit(counters);
        let lanes: Vec<LaneId> = self.leases().map(|(_, lease)| lease.lane).collect();
        for lane in lanes {
            self.count(lane, true);
        }
        let oldest = self.oldest;
        self.ageing.iter_mut().for_each(|ageing| (ageing.until, ageing.next) = (i64::MIN, oldest));
        self.age(time);
    }

    /// Leases in flight.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no lease can begin: far beyond what a vendor takes at once.
    pub const fn is_full(&self) -> bool {
        self.len >= MOST_LEASES
    }

    /// Nothing is in flight.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Leases in flight that a counter counts.
    pub fn in_flight(&self, counter: CounterId) -> u64 {
        self.in_flight.get(counter).copied().map_or(0, u64::from)
    }

    /// Of these, those in flight for longer than the counter's limit says.
    pub fn aged(&self, counter: CounterId) -> u64 {
        self.aged.get(counter).copied().map_or(0, u64::from)
    }

    /// Whether a counter counts a lane's calls.
    pub fn counts(&self, lane: LaneId, counter: CounterId) -> bool {
        self.lanes.get(lane).is_some_and(|lane| lane.counters.contains(&counter))
    }

    /// The counters that count a lane's calls.
    pub fn counters(&self, lane: LaneId) -> &[CounterId] {
        self.lanes.get(lane).map_or(&[], |lane| &lane.counters)
    }

    fn count(&mut self, lane: LaneId, more: bool) {
        let counters = self.lanes.get(lane).map_or(&[][..], |lane| &lane.counters);
        for &counter in counters {
            if let Some(count) = self.in_flight.get_mut(counter) {
                *count = if more { *count + 1 } else { count.saturating_sub(1) };
            }
        }
    }

    /// Begins a lease on a lane: takes its next number. None when the lane is unknown or the table is full.
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
        let entry = self.lanes.get_mut(lane)?;
        let seq = entry.seq;
        entry.seq += 1;
        entry.leases += 1;
        entry.last_grant = granted;
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Slot { lease: None, older: NONE, newer: NONE });
                u32::try_from(self.slots.len() - 1).ok()?
            }
        };
        self.count(lane, true);
        let newest = self.newest;
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Slot {
                lease: Some(Lease { lane, seq, granted, lapses, call, waited, cut: false, bytes: 0 }),
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
        for ageing in self.ageing.iter_mut().filter(|ageing| ageing.next == NONE) {
            ageing.next = slot;
        }
        let slots = &self.slots;
        self.ids.insert(slot, call, |slot| slots.get(slot as usize)?.lease.map(|lease| lease.call));
        Some(PermitId { epoch, lane: lane.0, seq, slot })
    }

    /// The lease of the call of this id.
    pub fn of_call(&self, call: u128) -> Option<(u32, Lease)> {
        let lease = |slot: u32| self.slots.get(slot as usize)?.lease.filter(|lease| lease.call == call);
        let slot = self.ids.find(call, |slot| lease(slot).is_some())?;
        Some((slot, lease(slot)?))
    }

    /// A lease in flight.
    pub fn find(&self, id: PermitId) -> Option<Lease> {
        let lease = self.slots.get(id.slot as usize)?.lease?;
        (lease.lane.0 == id.lane && lease.seq == id.seq).then_some(lease)
    }

    /// Ends a lease. None if it has ended before.
    pub fn close(&mut self, id: PermitId) -> Option<Lease> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        let lease = slot.lease.filter(|lease| lease.lane.0 == id.lane && lease.seq == id.seq)?;
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
        self.ids.remove(id.slot, lease.call);
        self.count(lease.lane, false);
        self.grow_no_older(id.slot, newer, &lease);
        if let Some(lane) = self.lanes.get_mut(lease.lane) {
            lane.leases = lane.leases.saturating_sub(1);
        }
        Some(lease)
    }

    fn grow_no_older(&mut self, slot: u32, newer: u32, lease: &Lease) {
        for at in 0..self.ageing.len() {
            let Some(ageing) = self.ageing.get_mut(at) else { continue };
            if ageing.next == slot {
                ageing.next = newer;
            } else if lease.granted < ageing.until {
                let limit = ageing.limit;
                self.count_aged(lease.lane, limit, false);
            }
        }
    }

    /// Counts those that have grown old by `time`.
    pub fn age(&mut self, time: i64) {
        for at in 0..self.ageing.len() {
            while let Some((lane, limit)) = self.grows_old(at, time) {
                self.count_aged(lane, limit, true);
            }
        }
    }

    /// The next lease that has grown old by `time` for the `at`-th limit that counts such: its lane, and the limit's place in the plan.
    fn grows_old(&mut self, at: usize, time: i64) -> Option<(LaneId, LimitId)> {
        let ageing = self.ageing.get_mut(at)?;
        let until = time.saturating_sub(ageing.after_ms).saturating_add(1);
        let slot = self.slots.get(ageing.next as usize);
        let old = slot.and_then(|slot| Some((slot.lease.filter(|lease| lease.granted < until)?, slot.newer)));
        match old {
            Some((lease, newer)) => {
                (ageing.next, ageing.until) = (newer, ageing.until.max(lease.granted.saturating_add(1)));
                Some((lease.lane, ageing.limit))
            }
            None => {
                ageing.until = ageing.until.max(until);
                None
            }
        }
    }

    fn count_aged(&mut self, lane: LaneId, limit: LimitId, more: bool) {
        let Some(lane) = self.lanes.get(lane).filter(|lane| limit.is_in(lane.mask)) else { return };
        // The first is the app's budget; the limits follow in the plan's order.
        let before = lane.mask & (limit.bit() - 1);
        let counter = lane.counters.get(before.count_ones() as usize + 1).copied();
        if let Some(count) = counter.and_then(|counter| self.aged.get_mut(counter)) {
            *count = if more { *count + 1 } else { count.saturating_sub(1) };
        }
    }

    /// Notes that a lease's outcome is unknown, though so many bytes came back; how many of them are news. None if it has ended.
    pub fn mark(&mut self, id: PermitId, bytes: u64) -> Option<(Lease, u64)> {
        let lease = self.slots.get_mut(id.slot as usize).and_then(|slot| slot.lease.as_mut());
        let lease = lease.filter(|lease| lease.lane.0 == id.lane && lease.seq == id.seq)?;
        let before = *lease;
        let news = bytes.saturating_sub(lease.bytes);
        (lease.cut, lease.bytes) = (true, lease.bytes.max(bytes));
        Some((before, news))
    }

    /// The lease granted first.
    pub fn oldest(&self) -> Option<&Lease> {
        self.slots.get(self.oldest as usize)?.lease.as_ref()
    }

    /// Ends the lease granted first, if it has lapsed by `time`. Its call may yet be answered.
    pub fn lapse(&mut self, epoch: u32, time: i64) -> Option<Lease> {
        while let Some(&(until, lane, seq)) = self.late_until.front()
            && (until <= time || self.late_until.len() >= MOST_LEASES)
        {
            self.late_until.pop_front();
            self.forget_late(lane, seq);
        }
        let lease = *self.oldest().filter(|lease| lease.lapses <= time)?;
        let lease = self.close(PermitId { epoch, lane: lease.lane.0, seq: lease.seq, slot: self.oldest })?;
        self.late.insert((lease.lane, lease.seq), lease);
        self.late_until.push_back((time.saturating_add(LATE_MS), lease.lane, lease.seq));
        if !lease.cut && self.unreported.len() < MOST_LEASES {
            self.unreported.push_back((lease.lane, lease.granted));
        }
        if let Some(lane) = self.lanes.get_mut(lease.lane) {
            lane.leases += 1;
        }
        Some(lease)
    }

    /// The next lease that lapsed unreported: its lane, and when it was granted, limiter milliseconds. Each is returned once.
    pub fn next_unreported(&mut self) -> Option<(LaneId, i64)> {
        self.unreported.pop_front()
    }

    /// A call has been settled so many milliseconds after its grant.
    pub const fn note_flight(&mut self, flight_ms: i64) {
        let flight = flight_ms.saturating_mul(16);
        self.mean_flight = self.mean_flight.saturating_add(flight.saturating_sub(self.mean_flight) / 16);
    }

    /// The mean time from grant to settlement, milliseconds.
    pub const fn mean_flight_ms(&self) -> i64 {
        self.mean_flight / 16
    }

    /// Takes a lease out that had lapsed: its call was answered after all.
    pub fn forget_late(&mut self, lane: LaneId, seq: u64) -> Option<Lease> {
        let lease = self.late.remove(&(lane, seq))?;
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.leases = lane.leases.saturating_sub(1);
        }
        Some(lease)
    }

    /// Leases that have lapsed and may yet be answered: lane and number, by lane.
    pub fn late(&self) -> impl Iterator<Item = (LaneId, u64)> + '_ {
        self.late.keys().copied()
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

    /// Leases granted after a moment that a counter counts.
    pub fn granted_after(&self, at: i64, counter: CounterId) -> u64 {
        let mut next = self.newest;
        let mut n = 0;
        while let Some(slot) = self.slots.get(next as usize)
            && let Some(lease) = slot.lease.filter(|lease| lease.granted > at)
        {
            n += u64::from(self.counts(lease.lane, counter));
            next = slot.older;
        }
        n
    }
}

/// Limits that count calls in flight for longer than so many milliseconds: their places in the plan, and that time.
pub(crate) fn ages(limits: &[Limit]) -> impl Iterator<Item = (LimitId, i64)> + '_ {
    LimitId::all(limits.len()).zip(limits).filter_map(|(at, limit)| match limit.kind {
        Kind::Concurrency { after_ms, .. } if after_ms > 0 => {
            Some((at, i64::try_from(after_ms).unwrap_or(i64::MAX / 4)))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::AppId;
    use proptest::prelude::*;

    fn counters(numbers: &[u32]) -> Vec<CounterId> {
        numbers.iter().copied().map(CounterId).collect()
    }

    fn leases() -> (Leases, LaneId, LaneId) {
        let mut leases = Leases::default();
        leases.fit(2);
        let both = leases.lanes_mut().add_class(0b11, counters(&[0, 1]));
        let first = leases.lanes_mut().add_class(0b01, counters(&[0]));
        let one = leases.lanes_mut().add(AppId(0), 0b11, both, counters(&[0, 1]), counters(&[])).unwrap();
        let other = leases.lanes_mut().add(AppId(1), 0b01, first, counters(&[0]), counters(&[])).unwrap();
        (leases, one, other)
    }

    #[test]
    fn each_meter_counts_the_lanes_it_stands_for() {
        let (mut leases, one, other) = leases();
        let permit = leases.open(1, one, 10, 100, 7, 0).unwrap();
        leases.open(1, other, 11, 100, 8, 0).unwrap();
        assert_eq!((leases.in_flight(CounterId(0)), leases.in_flight(CounterId(1))), (2, 1));
        leases.close(permit).unwrap();
        assert_eq!((leases.in_flight(CounterId(0)), leases.in_flight(CounterId(1))), (1, 0));
    }

    #[test]
    fn a_lease_ends_once_even_when_its_place_is_taken_again() {
        let (mut leases, one, _) = leases();
        let first = leases.open(1, one, 10, 100, 7, 0).unwrap();
        assert!(leases.close(first).is_some());
        let second = leases.open(1, one, 20, 110, 8, 0).unwrap();
        assert_eq!(first.slot, second.slot);
        assert!(leases.close(first).is_none());
        assert_eq!(leases.in_flight(CounterId(0)), 1);
    }

    #[test]
    fn leases_are_kept_in_the_order_of_their_grants() {
        let (mut leases, one, other) = leases();
        let ids: Vec<_> =
            (0..6).map(|i| leases.open(1, if i % 2 == 0 { one } else { other }, i, 100, 0, 0).unwrap()).collect();
        for gone in [0, 3, 5] {
            leases.close(ids[gone]).unwrap();
        }
        leases.open(1, one, 9, 100, 0, 0).unwrap();
        assert_eq!(leases.leases().map(|(_, lease)| lease.granted).collect::<Vec<_>>(), [1, 2, 4, 9]);
        assert_eq!(leases.oldest().unwrap().granted, 1);
        assert_eq!((leases.granted_after(2, CounterId(0)), leases.granted_after(2, CounterId(1))), (2, 2));
    }

    #[test]
    fn a_lease_is_found_by_its_call_until_it_ends() {
        let (mut leases, one, _) = leases();
        let ids: Vec<_> = (0..100).map(|call| leases.open(1, one, 5, 100, call, 0).unwrap()).collect();
        assert_eq!(leases.of_call(77).map(|(slot, lease)| (slot, lease.seq)), Some((ids[77].slot, 77)));
        leases.close(ids[77]);
        assert_eq!(leases.of_call(77), None);
    }

    #[test]
    fn a_call_counts_as_old_once_it_has_run_so_long_and_until_it_ends() {
        let mut leases = Leases::default();
        leases.fit(3);
        leases.watch_ages([(LimitId(1), 100)].into_iter());
        let class = leases.lanes_mut().add_class(0b11, counters(&[0, 1]));
        let lane = leases.lanes_mut().add(AppId(0), 0b11, class, counters(&[2, 0, 1]), counters(&[2])).unwrap();
        let ids: Vec<_> = (0..4).map(|at| leases.open(1, lane, at * 10, 1_000, 0, 0).unwrap()).collect();
        let mut seen = |time, closes: Option<usize>| {
            closes.map(|at| leases.close(ids[at]).unwrap());
            leases.age(time);
            (leases.aged(CounterId(1)), leases.aged(CounterId(0)))
        };
        assert_eq!(seen(99, None), (0, 0));
        assert_eq!(seen(100, None), (1, 0));
        assert_eq!(seen(119, Some(2)), (2, 0));
        assert_eq!(seen(120, Some(0)), (1, 0));
        assert_eq!(seen(500, None), (2, 0));
        leases.recount(3, 500);
        assert_eq!((leases.in_flight(CounterId(0)), leases.aged(CounterId(1))), (2, 2));
    }

    proptest! {
        /// Calls begin, end and grow old in any order; which limits there are may change.
        #[test]
        fn as_many_are_old_as_have_run_for_so_long(steps in prop::collection::vec((0_u8..5, 0_usize..9, 0_i64..60), 1..200)) {
            let mut leases = Leases::default();
            leases.fit(3);
            leases.watch_ages([(LimitId(1), 100)].into_iter());
            let class = leases.lanes_mut().add_class(0b11, counters(&[0, 1]));
            let lane = leases.lanes_mut().add(AppId(0), 0b11, class, counters(&[2, 0, 1]), counters(&[2])).unwrap();
            let (mut time, mut after, mut running) = (0, 100, Vec::new());
            for (step, which, wait) in steps {
                time += wait;
                leases.age(time);
                match step {
                    0..=1 => running.push((time, leases.open(1, lane, time, 100_000, 0, 0).unwrap())),
                    2..=3 if !running.is_empty() => {
                        let (_, permit) = running.remove(which % running.len());
                        leases.close(permit).unwrap();
                    }
                    4 => {
                        after = [50, 100, 150][which % 3];
                        leases.watch_ages([(LimitId(1), after)].into_iter());
                        leases.recount(3, time);
                    }
                    _ => {}
                }
                let old = running.iter().filter(|(granted, _)| granted + after <= time).count() as u64;
                prop_assert_eq!((leases.in_flight(CounterId(1)), leases.aged(CounterId(1))), (running.len() as u64, old));
            }
        }
    }
}
