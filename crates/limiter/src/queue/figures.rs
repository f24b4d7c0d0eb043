//! How many calls wait: in all, in a class, in an app's lanes, and before a new one.

use crate::index::{AppId, ClassId, LaneId};
use crate::queue::{LEVELS, Queue, Room};

impl Queue {
    /// Whether calls of that app wait in this lane and in no other.
    pub fn is_all(&self, app: AppId, lane: LaneId) -> bool {
        self.apps.get(app).is_some_and(|app| app.lanes.iter().all(|queue| queue.id == lane))
    }

    /// Returns how many calls of one app go before a new one of that urgency, among the lanes for
    /// which `counts` holds.
    pub fn ahead(&self, app: AppId, urgency: u8, counts: impl Fn(LaneId) -> bool) -> u64 {
        let Some(app) = self.apps.get(app) else { return 0 };
        let levels = usize::from(urgency).min(LEVELS - 1) + 1;
        let lanes = app.lanes.iter().filter(|lane| counts(lane.id));
        lanes.flat_map(|lane| lane.levels.iter().take(levels)).map(|level| u64::from(level.len)).sum()
    }

    /// Returns how many calls of one app wait in the lanes for which `counts` holds.
    pub fn waiting_of(&self, app: AppId, counts: impl Fn(LaneId) -> bool) -> u64 {
        let lanes = self.apps.get(app).map_or(&[][..], |app| &app.lanes);
        lanes.iter().filter(|lane| counts(lane.id)).map(|lane| u64::from(lane.len)).sum()
    }

    /// Returns how many calls wait in a class.
    pub fn waiting_in(&self, class: ClassId) -> u64 {
        self.orders.get(&class).map_or(0, |order| order.waiting())
    }

    /// Returns how many calls wait in a class that no limit of its app blocks. Only the first lane
    /// is checked: it is parked if one does.
    pub fn ready_in(&mut self, class: ClassId, room: &mut impl Room) -> u64 {
        let first = self.first_of(class, room);
        self.orders.get(&class).filter(|_| first.is_some()).map_or(0, |order| order.ready())
    }

    /// Returns the classes in which a call waits that no limit of its app blocks, as far as is
    /// known.
    pub fn ready_classes(&self) -> impl Iterator<Item = ClassId> + '_ {
        self.ready.iter().copied()
    }
}
