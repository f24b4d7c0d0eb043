//! Lanes: one app's calls that the same limits count. Lanes under the same limits are of one class: what all of them share is checked
//! once for all, however many apps there are.
//!
//! Permit numbers count up within a lane and are never used again: an idle lane gives its place to another, whose numbers go on from
//! there.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "one each call in flight or waiting, taken away once for each added"
)]

use crate::index::{AppId, ClassId, CounterId, LaneId, Table};
use std::cell::Cell;
use std::collections::BTreeMap;

/// The most lanes of one connection that are in use: its apps times the sets of limits that their calls meet.
pub const MOST_LANES: usize = 8_192;
/// A lane of which nothing was granted for so long gives up its place, milliseconds.
const IDLE_MS: i64 = 600_000;

/// One app's calls under one set of limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// The app; [`AppId::NONE`] while the place is free.
    pub app: AppId,
    /// Bit i is set if limit i of the plan counts these calls.
    pub mask: u32,
    /// The class of lanes that wait for the same shared limits.
    pub class: ClassId,
    /// The counters that count them: the app's budget, then those of the limits, in the plan's order.
    pub counters: Vec<CounterId>,
    /// Of these, those that count only this app.
    pub own: Vec<CounterId>,
    /// The number that the next permit of this lane gets.
    pub seq: u64,
    /// How many permits may still be granted under the stored snapshot.
    pub reserved: u32,
    /// How many permits were granted since the last snapshot that reserved some.
    pub used: u32,
    /// How many permits that snapshot reserved.
    pub last_reserved: u32,
    /// How many reasons keep its place: leases in flight, those that have lapsed and may yet be answered, and earlier epochs' permits.
    pub leases: u32,
    /// How many calls wait.
    pub waiting: u32,
    /// When the last permit was granted, limiter milliseconds.
    pub last_grant: i64,
}

impl Lane {
    /// Whether its place may be given to another lane.
    fn is_idle(&self, before: i64) -> bool {
        self.app != AppId::NONE && self.leases == 0 && self.waiting == 0 && self.last_grant <= before
    }
}

/// Lanes that the same limits count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Bit i is set if limit i of the plan counts these calls.
    pub mask: u32,
    /// The counters that count all of their calls.
    pub shared: Vec<CounterId>,
    /// The counter that had no room last: it is checked first.
    pub tight: Cell<CounterId>,
    /// The event in which it was found full: grants only take room, so it stays so until the next.
    pub full_in: Cell<u64>,
}

impl Class {
    /// Returns a class of which nothing has been checked.
    pub fn new(mask: u32, shared: Vec<CounterId>) -> Self {
        let tight = Cell::new(shared.first().copied().unwrap_or(CounterId::NONE));
        Self { mask, shared, tight, full_in: Cell::new(0) }
    }
}

/// All lanes of one connection.
#[derive(Debug, Clone)]
pub struct Lanes {
    lanes: Table<LaneId, Lane>,
    classes: Table<ClassId, Class>,
    by_key: BTreeMap<(AppId, u32), LaneId>,
    class_of: BTreeMap<u32, ClassId>,
    free: Vec<LaneId>,
    /// The lane of the last call, which most often is the next one's too.
    recent: LaneId,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            lanes: Table::default(),
            classes: Table::default(),
            by_key: BTreeMap::new(),
            class_of: BTreeMap::new(),
            free: Vec::new(),
            recent: LaneId::NONE,
        }
    }
}

impl Lanes {
    /// Returns the lane of the last call and its app, if those limits count its calls.
    pub fn recent(&self, mask: u32) -> Option<(LaneId, AppId)> {
        let lane = self.lanes.get(self.recent).filter(|lane| lane.mask == mask)?;
        Some((self.recent, lane.app))
    }

    /// Notes the lane of the last call, which [`Self::find`] has found or which is new.
    pub const fn set_recent(&mut self, lane: LaneId) {
        self.recent = lane;
    }

    /// Returns the lane of a number.
    pub fn get(&self, lane: LaneId) -> Option<&Lane> {
        self.lanes.get(lane)
    }

    /// Returns the lane of a number, to be changed.
    pub fn get_mut(&mut self, lane: LaneId) -> Option<&mut Lane> {
        self.lanes.get_mut(lane)
    }

    /// Returns the class of a number.
    pub fn class(&self, class: ClassId) -> Option<&Class> {
        self.classes.get(class)
    }

    /// Returns the counters that all lanes of a class share.
    pub fn shared(&self, class: ClassId) -> &[CounterId] {
        self.classes.get(class).map_or(&[], |class| &class.shared)
    }

    /// Gives a lane one reason more to keep its place: a lease in flight, one that has lapsed, or
    /// an earlier epoch's permit.
    pub fn pin(&mut self, lane: LaneId) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.leases = lane.leases.saturating_add(1);
        }
    }

    /// Gives a lane one reason less to keep its place.
    pub fn unpin(&mut self, lane: LaneId) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.leases = lane.leases.saturating_sub(1);
        }
    }

    /// Counts one call more that waits in a lane.
    pub fn note_waiting(&mut self, lane: LaneId) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.waiting = lane.waiting.saturating_add(1);
        }
    }

    /// Counts one call less that waits in a lane.
    pub fn note_left(&mut self, lane: LaneId) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.waiting = lane.waiting.saturating_sub(1);
        }
    }

    /// Returns all classes.
    pub fn classes(&self) -> impl Iterator<Item = (ClassId, &Class)> {
        self.classes.iter()
    }

    /// Returns the class of a set of limits, where there is one.
    pub fn find_class(&self, mask: u32) -> Option<ClassId> {
        self.class_of.get(&mask).copied()
    }

    /// Adds a class and returns its number.
    pub fn add_class(&mut self, mask: u32, shared: Vec<CounterId>) -> ClassId {
        let class = self.classes.push(Class::new(mask, shared));
        self.class_of.insert(mask, class);
        class
    }

    /// Returns the lane of an app's calls under `mask`, where there is one.
    pub fn find(&self, app: AppId, mask: u32) -> Option<LaneId> {
        self.by_key.get(&(app, mask)).copied()
    }

    /// Whether there is room for one more lane, once idle ones have given up their places.
    pub fn make_room(&mut self, time: i64) -> bool {
        if self.free.is_empty() && self.lanes.len() >= MOST_LANES {
            self.drop_idle(time);
        }
        !self.free.is_empty() || self.lanes.len() < MOST_LANES
    }

    /// Adds a lane and returns its number; none when the table is full.
    pub fn add(
        &mut self,
        app: AppId,
        mask: u32,
        class: ClassId,
        counters: Vec<CounterId>,
        own: Vec<CounterId>,
    ) -> Option<LaneId> {
        let lane = |seq| Lane {
            app,
            mask,
            class,
            counters,
            own,
            seq,
            reserved: 0,
            used: 0,
            last_reserved: 0,
            leases: 0,
            waiting: 0,
            last_grant: i64::MIN / 4,
        };
        let at = match self.free.pop() {
            Some(at) => {
                let place = self.lanes.get_mut(at)?;
                // A snapshot may have reserved its next numbers for another lane.
                *place = lane(place.seq + u64::from(place.reserved));
                at
            }
            None => self.lanes.push(lane(0)),
        };
        self.by_key.insert((app, mask), at);
        Some(at)
    }

    /// Frees the places of lanes that have nothing in flight and no call waiting, and were last granted something at `before` or earlier.
    pub fn drop_idle(&mut self, before: i64) {
        for (at, lane) in self.lanes.iter_mut() {
            if lane.is_idle(before) {
                if self.by_key.get(&(lane.app, lane.mask)) == Some(&at) {
                    self.by_key.remove(&(lane.app, lane.mask));
                }
                lane.app = AppId::NONE;
                lane.counters = Vec::new();
                lane.own = Vec::new();
                self.free.push(at);
            }
        }
    }

    /// Frees the places of lanes that have not been used for long.
    pub fn drop_old(&mut self, time: i64) {
        self.drop_idle(time.saturating_sub(IDLE_MS));
    }

    /// Returns all lanes in use, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (LaneId, &Lane)> {
        self.lanes.iter().filter(|(_, lane)| lane.app != AppId::NONE)
    }

    /// Returns all lanes in use, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (LaneId, &mut Lane)> {
        self.lanes.iter_mut().filter(|(_, lane)| lane.app != AppId::NONE)
    }

    /// Moves every lane to where `move_to` puts it under other limits and apps; one that it puts nowhere gives up its place. Of two lanes
    /// that become the same, one is found from now on; the other ends with its leases.
    pub fn rearrange(&mut self, classes: Table<ClassId, Class>, mut move_to: impl FnMut(LaneId) -> Option<Moved>) {
        self.class_of = classes.iter().map(|(at, class)| (class.mask, at)).collect();
        self.classes = classes;
        self.by_key.clear();
        self.recent = LaneId::NONE;
        for (at, lane) in self.lanes.iter_mut().filter(|(_, lane)| lane.app != AppId::NONE) {
            let Some(moved) = move_to(at) else {
                lane.app = AppId::NONE;
                self.free.push(at);
                continue;
            };
            self.by_key.insert((moved.app, moved.mask), at);
            (lane.app, lane.mask, lane.class) = (moved.app, moved.mask, moved.class);
            (lane.counters, lane.own) = (moved.counters, moved.own);
        }
    }
}

/// Where a lane belongs after a policy edit.
pub struct Moved {
    pub app: AppId,
    pub mask: u32,
    pub class: ClassId,
    pub counters: Vec<CounterId>,
    pub own: Vec<CounterId>,
}

#[cfg(test)]
mod tests;
