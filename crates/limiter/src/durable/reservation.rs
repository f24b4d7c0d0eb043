//! Reservations: how permits are granted without a snapshot each, and yet none is forgotten in a crash.
//!
//! A snapshot names, for each lane, the next number and how many more may be granted under it (`reserved`); how many over all lanes
//! (`left`); at most how many may be in flight (`ceiling`); and until when, at most a second on. While all of these hold a grant needs no
//! write. An epoch that ends is succeeded by one that takes every permit so named for granted. An object that a deploy has superseded runs
//! on from memory for a while: it can spend its reservation until that time, and then its write fails.
//!
//! How many permits a snapshot names and how many may be in flight is a [forecast], and the guarantee does not depend on it: whatever it
//! is, it is stored before it is used. If it is too high, a crash counts more calls that never were; if too low, more snapshots are written.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "calls in flight, and reserved permits that are at most 256 a snapshot"
)]

mod forecast;

use crate::index::{CounterId, LaneId, Table};
use crate::limiter::Limiter;
use crate::mutant::{self, Mutant};

/// A reservation lasts at most so long, milliseconds: a superseded object overlaps its successor by no more.
const RESERVATION_MS: i64 = 1_000;
/// The most permits that one snapshot reserves over all lanes: by so many a crash can over-count a day.
pub(crate) const MOST_RESERVED: u64 = 256;
/// The most lanes for which a snapshot reserves permits: each takes some bytes of it.
const MOST_NAMED: usize = 2_048;
/// At least so long lies between two snapshots that only make the stored state exact, milliseconds.
const QUIET_MS: i64 = 1_000;
const LONG_AGO: i64 = i64::MIN / 4;

/// The reservation in force, and whether the stored snapshot is still exact. Times are limiter milliseconds.
#[derive(Debug, Clone)]
pub struct Reservation {
    /// When it ends.
    until: i64,
    /// The most permits that may be in flight under it.
    ceiling: u64,
    /// How many permits the snapshot reserved, over all lanes.
    size: u64,
    /// Of these, how many may still be granted.
    left: u64,
    /// Permits granted since that snapshot.
    used: u64,
    /// The most permits in flight since that snapshot.
    peak: u64,
    /// Whether a snapshot must be stored before anything of this event leaves.
    due: bool,
    /// Whether a grant is among what makes the snapshot due.
    opening: bool,
    /// Whether the snapshot that is due reserves no permits.
    closing: bool,
    /// Whether the stored snapshot has all that has happened.
    exact: bool,
    /// Whether a caller waits until all that has happened is stored.
    awaited: bool,
    last_grant: i64,
    last_write: i64,
    last_close: i64,
}

impl Reservation {
    /// Returns a state without a reservation: the first grant needs a snapshot.
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

    /// Notes that the state is no longer as stored.
    pub const fn touch(&mut self) {
        self.exact = false;
    }

    /// Has the state stored before anything of this event leaves.
    pub const fn require(&mut self) {
        self.exact = false;
        self.due = true;
    }

    /// Ends the reservation: from now on no permit may be granted under the stored snapshot.
    pub const fn end(&mut self, time: i64) {
        if self.until >= time {
            self.until = time.saturating_sub(1);
        }
    }

    /// Returns until when reserved permits may be granted, limiter milliseconds.
    pub const fn until(&self) -> i64 {
        self.until
    }

    /// Returns how many reserved permits may still be granted, over all lanes.
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Returns the most permits that may be in flight under the reservation.
    pub const fn ceiling(&self) -> u64 {
        self.ceiling
    }
}

impl Limiter {
    /// Charges a grant on a lane to the reservation, or requires a snapshot that has it.
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
            if covered && lane.reserved > 0 {
                lane.reserved -= 1;
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

    /// Returns the snapshot to be stored before anything of this event leaves, if one is due. It
    /// opens a new reservation where a grant needs one, or where the one before is not over.
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

    /// Reserves no permits. How many the last reservation used stays known: the next one begins there.
    fn close_reservation(&mut self, time: i64) {
        self.leases.lanes_mut().iter_mut().for_each(|(_, lane)| lane.reserved = 0);
        (self.reservation.size, self.reservation.left) = (0, 0);
        self.reservation.ceiling = self.in_flight();
        self.reservation.peak = self.reservation.ceiling;
        self.reservation.until = time.saturating_sub(1);
    }

    /// Reserves as many permits as the forecast says and the limits bear.
    fn open_reservation(&mut self, live: bool, time: i64) {
        self.leases.lanes_mut().drop_old(time);
        let ran_out = live && self.reservation.left == 0 && self.reservation.size > 0;
        let mut left = self
            .forecast(live, ran_out, (self.reservation.used, self.reservation.left, self.reservation.size), time)
            .min(MOST_RESERVED);
        // What all calls share bounds the reservation, whichever lanes they are of.
        let (mut named, mut wanted) = (0, Vec::new());
        let lanes: Vec<LaneId> = self.leases.lanes().iter().map(|(at, _)| at).collect();
        for counter in self.common_counters() {
            left = left.min(self.most_reserved(counter, time));
        }
        // What each limit has left of what it can grant, over all of its lanes, once that is known. One that can grant no fewer than are
        // to be reserved bounds nothing.
        let mut room: Table<CounterId, Option<u64>> = self.counters.ids().map(|_| None).collect();
        for &at in &lanes {
            let reserved = if named < MOST_NAMED { self.next_reserved(at, live, left, time) } else { 0 };
            let mut reserved = reserved.min(left);
            if reserved > 0 {
                let counters = self.leases.counters(at);
                for &counter in counters {
                    let Some(room) = room.get_mut(counter) else { continue };
                    let held =
                        || Some(self.most_reserved(counter, time)).filter(|held| *held < left).unwrap_or(u64::MAX);
                    reserved = reserved.min(*room.get_or_insert_with(held));
                }
                for counter in counters {
                    if let Some(Some(room)) = room.get_mut(*counter)
                        && *room < u64::MAX
                    {
                        *room -= reserved;
                    }
                }
            }
            named += usize::from(reserved > 0);
            wanted.push(reserved);
        }
        for (&at, &reserved) in lanes.iter().zip(&wanted) {
            if let Some(lane) = self.leases.lanes_mut().get_mut(at) {
                lane.reserved = u32::try_from(reserved).unwrap_or(0);
                lane.last_reserved = lane.reserved;
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
        self.reservation.until =
            time.saturating_add(RESERVATION_MS).min(self.epoch.limiter_time(turn).saturating_sub(1));
    }

    /// Returns the snapshot to be stored, after which the stored state is exact.
    fn store(&mut self, time: i64) -> Vec<u8> {
        self.reservation.due = false;
        self.reservation.exact = true;
        self.reservation.awaited = false;
        self.reservation.last_write = time;
        self.snapshot()
    }

    /// Schedules a snapshot without reserved permits at an end of work, so that an epoch that begins from it recovers the exact state.
    pub(crate) fn close(&mut self, time: i64) {
        self.reservation.last_close = time;
        self.reservation.closing = true;
        self.reservation.due = true;
    }

    /// Closes after a settlement that leaves nothing in flight, unless permits are or were reserved, or it was done just now. So a lone call
    /// leaves an exact snapshot at once; where more come, the next reservation's snapshot does, or the one after a quiet second.
    pub(crate) fn close_if_done(&mut self, time: i64) {
        if !self.leases.is_empty() || self.queue.callers() > 0 || self.reservation.exact || self.reservation.size > 0 {
            return;
        }
        if time.saturating_sub(self.reservation.last_close) >= QUIET_MS {
            self.close(time);
        }
    }

    /// Returns when to close for want of grants, limiter milliseconds; none while the snapshot is
    /// exact, or while calls wait and no caller awaits the snapshot.
    pub(crate) fn quiet_at(&self) -> Option<i64> {
        let wanted = self.queue.callers() == 0 || self.reservation.awaited;
        // An exact snapshot still leaves doubts if it reserves permits that nothing is going to use.
        let exact = self.reservation.exact && (self.reservation.size == 0 || !self.leases.is_empty());
        let due = wanted && !exact && !self.reservation.due;
        due.then(|| self.reservation.last_grant.max(self.reservation.last_write).saturating_add(QUIET_MS))
    }

    /// Notes that a caller waits until all that has happened is stored.
    pub const fn await_snapshot(&mut self) {
        self.reservation.awaited = true;
    }

    /// Whether the stored snapshot has all that has happened.
    pub const fn is_stored(&self) -> bool {
        self.reservation.exact
    }
}

#[cfg(test)]
mod tests;
