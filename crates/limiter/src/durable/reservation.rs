//! Blocks: how permits are given out without a row each, and yet none is forgotten in a crash.
//!
//! A row names, for each lane, the next number and how many more may be given out under it (`spare`), and how many over all lanes (`left`),
//! until a stated time at most a second on, with at most so many in flight (`ceiling`). While all of these hold a grant needs no write. A life that ends is succeeded
//! by one that takes every permit so named for granted. An object that a deploy has superseded runs on from memory for a while: it
//! can spend its block until that time, and then its write fails.
//!
//! How many permits a row names and how many may be in flight is a forecast, and changes nothing in that: whatever it says is stored
//! before it is used. A bold one has a crash count more that never was, a timid one writes more rows.

#![expect(clippy::arithmetic_side_effects, reason = "calls in flight, and spare permits that are at most 256 a row")]

use crate::config::{Kind, Unit};
use crate::counters::counter::CounterState;
use crate::index::{CounterId, LaneId, LimitId, Table};
use crate::limiter::Limiter;
use crate::mutant::{self, Mutant};

/// A block lasts at most so long, milliseconds: a superseded object overlaps its successor by no more.
const BLOCK_MS: i64 = 1_000;
/// Spare permits of one row over all lanes: what a crash can over-count a day by.
pub(crate) const MOST_RESERVED: u64 = 256;
/// Lanes that a row names spare permits for: each takes some bytes of it.
const MOST_NAMED: usize = 2_048;
/// At least so long lies between two rows that only tidy up, milliseconds.
const QUIET_MS: i64 = 1_000;
const LONG_AGO: i64 = i64::MIN / 4;

/// The block in force, and whether the stored row still tells the truth. Limiter milliseconds.
#[derive(Debug, Clone)]
pub struct Reservation {
    until: i64,
    ceiling: u64,
    /// Spare permits that the row named, over all lanes.
    size: u64,
    /// Of these, how many may still be given out.
    left: u64,
    /// Permits given out since that row.
    used: u64,
    peak: u64,
    due: bool,
    /// A grant is among what makes the row due.
    opening: bool,
    closing: bool,
    exact: bool,
    awaited: bool,
    last_grant: i64,
    last_write: i64,
    last_close: i64,
}

impl Reservation {
    /// No block: the first grant writes.
    pub const fn new() -> Self {
        Self {
            until: LONG_AGO,
            ceiling: 0,
            size: 0,
            left: 0,
            used: 0,
            peak: 0,
            due: false,
            opening: false,
            closing: false,
            exact: true,
            awaited: false,
            last_grant: LONG_AGO,
            last_write: LONG_AGO,
            last_close: LONG_AGO,
        }
    }

    /// The state is no longer as stored.
    pub const fn touch(&mut self) {
        self.exact = false;
    }

    /// The state must be stored before anything of this event leaves.
    pub const fn require(&mut self) {
        self.exact = false;
        self.due = true;
    }

    /// No permit may be given out under the stored row any more.
    pub const fn end(&mut self, time: i64) {
        if self.until >= time {
            self.until = time.saturating_sub(1);
        }
    }

    /// Until when the row's spare permits may be given out.
    pub const fn until(&self) -> i64 {
        self.until
    }

    /// Permits that may still be given out under the row, over all lanes.
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Permits in flight, at most, under the row.
    pub const fn ceiling(&self) -> u64 {
        self.ceiling
    }
}

impl Limiter {
    /// Charges a grant on a lane to the block, or requires a row that holds it.
    pub(crate) fn spend(&mut self, lane: LaneId, time: i64) {
        let in_flight = self.in_flight();
        self.reservation.exact = false;
        self.reservation.last_grant = time;
        self.reservation.peak = self.reservation.peak.max(in_flight + 1);
        let in_time = time <= self.reservation.until || mutant::is(Mutant::NoEnd);
        let covered =
            !self.reservation.due && in_time && in_flight < self.reservation.ceiling && self.reservation.left > 0;
        self.reservation.used = self.reservation.used.saturating_add(1);
        if let Some(lane) = self.leases.lanes_mut().get_mut(lane) {
            lane.used = lane.used.saturating_add(1);
            if covered && lane.spare > 0 {
                lane.spare -= 1;
                self.reservation.left -= 1;
                return;
            }
        }
        self.reservation.due = true;
        self.reservation.opening = true;
    }

    /// Has the state stored at the end of this event, whatever else happens in it.
    pub const fn require_snapshot(&mut self) {
        self.reservation.require();
    }

    /// The row to be stored before anything of this event leaves, if one is due. It opens a new block, where a grant needs one or the
    /// one before is not over.
    pub fn snapshot_due(&mut self) -> Option<Vec<u8>> {
        if !self.reservation.due {
            return None;
        }
        let time = self.epoch.time();
        let live = time <= self.reservation.until;
        let opening = std::mem::take(&mut self.reservation.opening) || live;
        if std::mem::take(&mut self.reservation.closing) || !opening {
            self.close_reservation(time);
        } else {
            self.open_reservation(live, time);
        }
        Some(self.store(time))
    }

    /// No spare permits. How many the last block used stays known: the next one begins there.
    fn close_reservation(&mut self, time: i64) {
        self.leases.lanes_mut().iter_mut().for_each(|(_, lane)| lane.spare = 0);
        (self.reservation.size, self.reservation.left) = (0, 0);
        self.reservation.ceiling = self.in_flight();
        self.reservation.peak = self.reservation.ceiling;
        self.reservation.until = time.saturating_sub(1);
    }

    fn open_reservation(&mut self, live: bool, time: i64) {
        self.leases.lanes_mut().drop_old(time);
        let ran_out = live && self.reservation.left == 0 && self.reservation.size > 0;
        let mut left = self
            .forecast(live, ran_out, (self.reservation.used, self.reservation.left, self.reservation.size), time)
            .min(MOST_RESERVED);
        // What all calls share bounds the block, whichever lanes they are of.
        let (mut named, mut wanted) = (0, Vec::new());
        let lanes: Vec<LaneId> = self.leases.lanes().iter().map(|(at, _)| at).collect();
        for counter in self.common_counters() {
            left = left.min(self.most_reserved(counter, time));
        }
        // What each limit has left of what it holds, over all of its lanes, once it has been looked at. One that holds no fewer than the
        // block bounds nothing.
        let mut room: Table<CounterId, Option<u64>> = self.counters.ids().map(|_| None).collect();
        for &at in &lanes {
            let spare = if named < MOST_NAMED { self.next_reserved(at, live, left, time) } else { 0 };
            let mut spare = spare.min(left);
            if spare > 0 {
                let counters = self.leases.counters(at);
                for &counter in counters {
                    let Some(room) = room.get_mut(counter) else { continue };
                    let held =
                        || Some(self.most_reserved(counter, time)).filter(|held| *held < left).unwrap_or(u64::MAX);
                    spare = spare.min(*room.get_or_insert_with(held));
                }
                for counter in counters {
                    if let Some(Some(room)) = room.get_mut(*counter)
                        && *room < u64::MAX
                    {
                        *room -= spare;
                    }
                }
            }
            named += usize::from(spare > 0);
            wanted.push(spare);
        }
        for (&at, &spare) in lanes.iter().zip(&wanted) {
            if let Some(lane) = self.leases.lanes_mut().get_mut(at) {
                lane.spare = u32::try_from(spare).unwrap_or(0);
                lane.last_spare = lane.spare;
                lane.used = 0;
            }
        }
        let in_flight = self.in_flight();
        let all: u64 = wanted.iter().sum();
        self.reservation.size = left.min(all);
        (self.reservation.left, self.reservation.used) = (self.reservation.size, 0);
        // Room for one more than there were, so that a crash leaves few in doubt; for a quarter more and two where that did not do.
        let narrow = live && in_flight > self.reservation.ceiling;
        let room = if narrow { self.reservation.peak * 5 / 4 + 2 } else { self.reservation.peak + 1 };
        self.reservation.ceiling = room.min(self.slots_of_all()).clamp(in_flight, in_flight + self.reservation.size);
        self.reservation.peak = in_flight;
        let turn = self.days.next_opening();
        self.reservation.until = time.saturating_add(BLOCK_MS).min(self.epoch.limiter_time(turn).saturating_sub(1));
    }

    /// How many permits will be wanted until the next row, by how many were `used` since the last one, which had named `size`, of which so
    /// many are `left`: twice as many as in the last, if it ran out in time; else what it used of that and a quarter more, halved for each
    /// second since: who has been silent for long begins anew. The grant that requires the row is in it, not spare.
    fn forecast(&self, live: bool, ran_out: bool, (used, left, size): (u64, u64, u64), time: i64) -> u64 {
        let spared = used.saturating_sub(1);
        if ran_out || (live && size == 0 && used > 0) {
            return 2 * size.max(1);
        }
        if live && left > 0 {
            return left.max(size);
        }
        let over = self.reservation.until.max(self.reservation.last_close);
        let seconds = time.saturating_sub(over).max(0) / 1_000;
        u32::try_from(seconds).ok().and_then(|halvings| (spared * 5 / 4).checked_shr(halvings)).unwrap_or(0)
    }

    /// Spare permits of a lane in a block of so many: what it will want by itself; one where others call too, if it has called of late
    /// or waits, so that of many lanes that each call now and then none needs a row of its own.
    fn next_reserved(&self, lane: LaneId, live: bool, reservation: u64, time: i64) -> u64 {
        /// A lane that has called within this time may call again, milliseconds.
        const LATELY_MS: i64 = 60_000;
        let Some(entry) = self.leases.lanes().get(lane) else { return 0 };
        let (used, spare, last) = (u64::from(entry.used), u64::from(entry.spare), u64::from(entry.last_spare));
        let ran_out = live && spare == 0 && used > 0;
        let wanted = self.forecast(live, ran_out, (used, spare, last), time);
        let lately = time.saturating_sub(entry.last_grant) <= LATELY_MS || entry.waiting > 0;
        let others = self.reservation.used > used && lately;
        wanted.max(u64::from(others)).min(reservation)
    }

    /// The counters that count every call.
    fn common_counters(&self) -> Vec<CounterId> {
        let masks = self.leases.lanes().classes().map(|(_, class)| class.mask);
        self.counters.shared_under(masks.fold(u32::MAX, |all, mask| all & mask))
    }

    /// The slots of a concurrency limit that counts every lane: no more can be in flight.
    fn slots_of_all(&self) -> u64 {
        let of_all = |at: LimitId| self.leases.lanes().classes().all(|(_, class)| at.is_in(class.mask));
        let limits = self.rules().limits().filter(|(at, limit)| !limit.per_app && of_all(*at));
        let slots = limits.filter_map(|(_, limit)| match limit.kind {
            Kind::Concurrency { calls, after_ms: 0 } => Some(calls),
            _ => None,
        });
        slots.min().unwrap_or(u64::MAX)
    }

    /// The most that a counter can grant in a block: of a day or a budget a quarter of what is left, so that a crash costs it no
    /// more; of a window what is free and what will be before the block ends.
    fn most_reserved(&self, counter: CounterId, time: i64) -> u64 {
        let Some(entry) = self.counters.get(counter) else { return 0 };
        if let Some(loan) = entry.loan.as_ref().filter(|loan| loan.is_kept()) {
            // What a crash counts that never was is what it loses of the loan.
            return u64::from(loan.hand());
        }
        match Some(&entry.state) {
            Some(CounterState::Daily { calendar, count, amount, unit: Unit::Calls }) => {
                amount.saturating_sub(count.most(self.before_is_open(*calendar))) / 4
            }
            Some(CounterState::Window { window, calls, scaled: false }) => {
                calls.saturating_sub(window.total() + self.leases.in_flight(counter)) / 4
            }
            Some(CounterState::Window { window, .. }) if window.span() > BLOCK_MS => {
                let counted = window.total() + self.leases.in_flight(counter) + self.prior.unsettled(counter);
                let freed = window.expiring_by(time.saturating_add(BLOCK_MS));
                (self.capacity(counter) + freed).saturating_sub(counted)
            }
            _ => u64::MAX,
        }
    }

    fn store(&mut self, time: i64) -> Vec<u8> {
        self.reservation.due = false;
        self.reservation.exact = true;
        self.reservation.awaited = false;
        self.reservation.last_write = time;
        self.row()
    }

    /// A row without spare permits, which tells exactly what is: at an end of work, so that no life begins with doubts.
    pub(crate) fn close(&mut self, time: i64) {
        self.reservation.last_close = time;
        self.reservation.closing = true;
        self.reservation.due = true;
    }

    /// After a settlement that leaves nothing in flight: close, unless there are spare permits or were, or it was done just now. A lone
    /// call so leaves an exact row at once; where more come, the next block's row does, or the one after a quiet second.
    pub(crate) fn close_if_done(&mut self, time: i64) {
        if !self.leases.is_empty() || self.queue.callers() > 0 || self.reservation.exact || self.reservation.size > 0 {
            return;
        }
        if time.saturating_sub(self.reservation.last_close) >= QUIET_MS {
            self.close(time);
        }
    }

    /// When to close for want of grants; none while the row is exact, or calls wait and nobody for the row.
    pub(crate) fn quiet_at(&self) -> Option<i64> {
        let wanted = self.queue.callers() == 0 || self.reservation.awaited;
        // A row that tells all still leaves doubts, if it names permits that nobody is going to use.
        let exact = self.reservation.exact && (self.reservation.size == 0 || !self.leases.is_empty());
        let due = wanted && !exact && !self.reservation.due;
        due.then(|| self.reservation.last_grant.max(self.reservation.last_write).saturating_add(QUIET_MS))
    }

    /// Somebody waits until all that has happened is stored.
    pub const fn await_snapshot(&mut self) {
        self.reservation.awaited = true;
    }

    /// Whether the stored row tells all that has happened.
    pub const fn is_stored(&self) -> bool {
        self.reservation.exact
    }
}

#[cfg(test)]
mod tests;
