//! The order in which the lines of one class go: by their apps' shares; and beside that by urgency.
//!
//! Virtual time moves on with every grant, also while the limits of a class have no room: calls that other limits count go then. The class
//! moves on with it as a whole. To move each line on when its call goes would take from those that wait what sets them apart, so that
//! they would go in the order in which they came, whatever their weights.

#![expect(clippy::arithmetic_side_effects, reason = "one each waiting call, taken away once for each added")]

use crate::index::{AppId, LaneId};
use std::collections::BTreeSet;

/// Where a line stands: its first call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When it starts, in virtual time less what its class has been moved on by.
    pub tag: u64,
    /// Urgency, 0 first.
    pub level: u8,
    /// Who came first.
    pub serial: u64,
    /// The app.
    pub app: AppId,
    /// The line's lane.
    pub lane: LaneId,
}

impl Place {
    const fn by_urgency(self) -> (u8, u64, u64, AppId, LaneId) {
        (self.level, self.tag, self.serial, self.app, self.lane)
    }
}

/// The lines of one class. A parked line is counted, and has no place.
#[derive(Debug, Clone, Default)]
pub struct Order {
    by_share: BTreeSet<Place>,
    by_urgency: BTreeSet<(u8, u64, u64, AppId, LaneId)>,
    /// What the class has been moved on by, virtual time.
    moved: u64,
    ready: u64,
    waiting: u64,
}

impl Order {
    /// The virtual time at which a tag of this class starts.
    pub const fn start(&self, tag: u64) -> u64 {
        tag.saturating_add(self.moved)
    }

    /// The tag of what starts at a virtual time.
    pub const fn tag(&self, start: u64) -> u64 {
        start.saturating_sub(self.moved)
    }

    /// Virtual time has moved on: none of the class starts before it, and the lines stay as far apart as they are.
    pub fn move_on(&mut self, virtual_time: u64) {
        let Some(first) = self.by_share.first() else { return };
        let behind = virtual_time.saturating_sub(self.start(first.tag));
        self.moved = self.moved.saturating_add(behind);
    }

    /// A line moves, comes or goes.
    pub fn move_to(&mut self, before: Option<Place>, after: Option<Place>) {
        if before == after {
            return;
        }
        // In first, so that a set of one line keeps its memory.
        if let Some(place) = after {
            self.by_share.insert(place);
            self.by_urgency.insert(place.by_urgency());
        }
        if let Some(place) = before {
            self.by_share.remove(&place);
            self.by_urgency.remove(&place.by_urgency());
        }
    }

    /// The line that goes first by its app's share.
    pub fn first(&self) -> Option<Place> {
        self.by_share.first().copied()
    }

    /// The lines whose first call is more urgent than `level`, the most urgent first, and of these by their apps' shares.
    pub fn most_urgent(&self, level: u8) -> impl Iterator<Item = Place> + '_ {
        let places = self.by_urgency.range(..(level, 0, 0, AppId(0), LaneId(0)));
        places.map(|&(level, tag, serial, app, lane)| Place { tag, level, serial, app, lane })
    }

    /// No line has a place.
    pub fn is_empty(&self) -> bool {
        self.by_share.is_empty()
    }

    /// A call comes, or goes, in a line that is parked or not.
    pub fn count(&mut self, calls: i64, parked: bool) {
        self.waiting = self.waiting.saturating_add_signed(calls);
        if !parked {
            self.ready = self.ready.saturating_add_signed(calls);
        }
    }

    /// A line of so many calls is parked.
    pub fn park(&mut self, calls: u32) {
        self.ready = self.ready.saturating_sub(u64::from(calls));
    }

    /// A line of so many calls is parked no more.
    pub fn unpark(&mut self, calls: u32) {
        self.ready += u64::from(calls);
    }

    /// Calls that wait, those in parked lines too.
    pub const fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Calls that wait in lines that are not parked.
    pub const fn ready(&self) -> u64 {
        self.ready
    }
}
