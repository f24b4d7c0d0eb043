//! The waiting calls of one lane, by urgency, and those of one app.

use crate::index::{ClassId, LaneId, SlotId};
use crate::queue::LEVELS;
use crate::queue::order::Rank;
use crate::share::Share;

/// The calls of one urgency in a lane, first come first: the entries of the first and the last of them.
#[derive(Debug, Clone, Copy)]
pub struct Level {
    pub head: SlotId,
    pub tail: SlotId,
    pub len: u32,
}

/// A level at which no call waits.
pub const EMPTY: Level = Level { head: SlotId::NONE, tail: SlotId::NONE, len: 0 };

/// The waiting calls of one lane.
#[derive(Debug, Clone)]
pub struct LaneQueue {
    /// The lane.
    pub id: LaneId,
    /// The lane's class.
    pub class: ClassId,
    /// How many calls wait.
    pub len: u32,
    /// Bit i is set while a call waits at level i.
    pub filled: u8,
    /// The calls by urgency, 0 first.
    pub levels: [Level; LEVELS],
    /// Until when at least the lane is blocked, limiter milliseconds, while a limit of its app
    /// blocks it.
    pub parked: Option<i64>,
    /// When its next call starts, as its class counts virtual time.
    pub tag: u64,
    /// Its place in the order of its class; none while it is parked.
    pub rank: Option<Rank>,
}

impl LaneQueue {
    /// Returns a lane in which no call waits yet.
    pub const fn new(id: LaneId, class: ClassId, tag: u64) -> Self {
        Self { id, class, len: 0, filled: 0, levels: [EMPTY; LEVELS], parked: None, tag, rank: None }
    }

    /// Returns the level of its first call, and that call's entry.
    pub fn first(&self) -> Option<(u8, SlotId)> {
        let level = u8::try_from(self.filled.trailing_zeros()).ok().filter(|_| self.filled > 0)?;
        Some((level, self.levels.get(usize::from(level))?.head))
    }
}

/// One app's part in the queue.
#[derive(Debug, Clone)]
pub struct App {
    /// Its standing against the other apps.
    pub share: Share,
    pub weight: u32,
    /// How many of its calls wait, each job by itself.
    pub waiting: u32,
    /// Its lanes in which calls wait.
    pub lanes: Vec<LaneQueue>,
}

impl App {
    /// Returns an app of which no call waits.
    pub const fn new(share: Share, weight: u32) -> Self {
        Self { share, weight, waiting: 0, lanes: Vec::new() }
    }

    /// Returns the waiting calls of one of its lanes.
    pub fn lane(&self, id: LaneId) -> Option<&LaneQueue> {
        self.lanes.iter().find(|lane| lane.id == id)
    }

    /// Returns the last entry of a lane at an urgency, or no entry.
    pub fn tail(&self, id: LaneId, urgency: u8) -> SlotId {
        let level = self.lane(id).and_then(|lane| lane.levels.get(usize::from(urgency)));
        level.map_or(SlotId::NONE, |level| level.tail)
    }
}
