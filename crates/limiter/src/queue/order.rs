//! The order in which the lanes of one class go: by their apps' shares, and beside that by urgency.
//!
//! Virtual time moves on with every grant, also while the limits of a class have no room: calls that other limits count go then. The class
//! moves on with it as a whole. To move each lane on when its call goes would take from those that wait what sets them apart, so that
//! they would go in the order in which they came, whatever their weights.

#![expect(clippy::arithmetic_side_effects, reason = "one each waiting call, taken away once for each added")]

use crate::index::{AppId, LaneId};
use std::collections::BTreeSet;

/// A lane's place in the order of its class, which is that of its first call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// When it starts, in virtual time less what its class has been moved on by.
    pub tag: u64,
    /// Urgency, 0 first.
    pub level: u8,
    /// The number of the first call's ticket: the lower came first.
    pub serial: u64,
    /// The app.
    pub app: AppId,
    /// The lane.
    pub lane: LaneId,
}

impl Rank {
    const fn by_urgency(self) -> (u8, u64, u64, AppId, LaneId) {
        (self.level, self.tag, self.serial, self.app, self.lane)
    }
}

/// The lanes of one class. A parked lane is counted, and has no rank.
#[derive(Debug, Clone, Default)]
pub struct Order {
    by_share: BTreeSet<Rank>,
    by_urgency: BTreeSet<(u8, u64, u64, AppId, LaneId)>,
    /// What the class has been moved on by, virtual time.
    moved: u64,
    ready: u64,
    waiting: u64,
}

impl Order {
    /// Returns the virtual time at which a tag of this class starts.
    pub const fn start(&self, tag: u64) -> u64 {
        tag.saturating_add(self.moved)
    }

    /// Returns the tag of what starts at a virtual time.
    pub const fn tag(&self, start: u64) -> u64 {
        start.saturating_sub(self.moved)
    }

    /// Moves the lanes on with virtual time: none of the class starts before it, and the lanes stay
    /// as far apart as they are.
    pub fn move_on(&mut self, virtual_time: u64) {
        let Some(first) = self.by_share.first() else { return };
        let behind = virtual_time.saturating_sub(self.start(first.tag));
        self.moved = self.moved.saturating_add(behind);
    }

    /// Moves a lane from one rank to another; it comes if it had none, and goes if it has none.
    pub fn move_to(&mut self, before: Option<Rank>, after: Option<Rank>) {
        if before == after {
            return;
        }
        // In first, so that a set of one lane keeps its memory.
        if let Some(place) = after {
            self.by_share.insert(place);
            self.by_urgency.insert(place.by_urgency());
        }
        if let Some(place) = before {
            self.by_share.remove(&place);
            self.by_urgency.remove(&place.by_urgency());
        }
    }

    /// Returns the lane that goes first by its app's share.
    pub fn first(&self) -> Option<Rank> {
        self.by_share.first().copied()
    }

    /// Returns the lanes whose first call is more urgent than `level`, the most urgent first, and
    /// of these by their apps' shares.
    pub fn most_urgent(&self, level: u8) -> impl Iterator<Item = Rank> + '_ {
        let places = self.by_urgency.range(..(level, 0, 0, AppId(0), LaneId(0)));
        places.map(|&(level, tag, serial, app, lane)| Rank { tag, level, serial, app, lane })
    }

    /// Whether no lane has a rank.
    pub fn is_empty(&self) -> bool {
        self.by_share.is_empty()
    }

    /// Counts a call that comes (1) or goes (-1) in a lane that is parked or not.
    pub fn count(&mut self, calls: i64, parked: bool) {
        self.waiting = self.waiting.saturating_add_signed(calls);
        if !parked {
            self.ready = self.ready.saturating_add_signed(calls);
        }
    }

    /// Counts a lane of so many calls as parked.
    pub fn park(&mut self, calls: u32) {
        self.ready = self.ready.saturating_sub(u64::from(calls));
    }

    /// Counts a lane of so many calls as parked no more.
    pub fn unpark(&mut self, calls: u32) {
        self.ready += u64::from(calls);
    }

    /// Returns how many calls wait, in parked lanes too.
    pub const fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Returns how many calls wait in lanes that are not parked.
    pub const fn ready(&self) -> u64 {
        self.ready
    }
}
