//! Parks lanes that a limit of its app blocks, so that the choice of who goes next does not look at
//! them.

use crate::index::AppId;
use crate::queue::Queue;
use crate::queue::order::Rank;

impl Queue {
    /// Parks the lane of that rank until `until` at least, limiter milliseconds.
    pub(super) fn park(&mut self, rank: &Rank, until: i64) {
        let Some(app) = self.apps.get_mut(rank.app) else { return };
        let Some(at) = app.lanes.iter().position(|lane| lane.id == rank.lane) else { return };
        let Some(lane) = app.lanes.get_mut(at) else { return };
        lane.parked = Some(until);
        let (class, len) = (lane.class, lane.len);
        self.parked.insert((until, rank.app, rank.lane));
        self.order(class).park(len);
        self.rerank(rank.app, at);
    }

    /// Unparks the `at`-th lane of an app, if it is parked.
    pub(super) fn unpark_lane(&mut self, app: AppId, at: usize) {
        let Some(lane) = self.apps.get_mut(app).and_then(|app| app.lanes.get_mut(at)) else { return };
        let Some(until) = lane.parked.take() else { return };
        let (id, class, len) = (lane.id, lane.class, lane.len);
        // While it was blocked it has saved nothing up.
        let order = self.orders.entry(class).or_default();
        lane.tag = order.tag(order.start(lane.tag).max(self.virtual_time));
        order.unpark(len);
        self.parked.remove(&(until, app, id));
        self.rerank(app, at);
    }

    /// Unparks an app's lanes: its own limits may have room again.
    pub fn unpark(&mut self, app: AppId) {
        for at in 0..self.apps.get(app).map_or(0, |app| app.lanes.len()) {
            self.unpark_lane(app, at);
        }
    }

    /// Unparks the apps whose own limits may have room again at `time`.
    pub fn unpark_due(&mut self, time: i64) {
        while let Some(&(until, app, _)) = self.parked.first()
            && until <= time
        {
            self.unpark(app);
        }
    }

    /// Unparks all lanes: any limit may have room again, since a day has turned or the rate has risen.
    pub fn unpark_all(&mut self) {
        self.unpark_due(i64::MAX);
    }

    /// Returns when the first parked lane is to be looked at again, limiter milliseconds; none
    /// while only an event can free a lane.
    pub fn next_unpark(&self) -> Option<i64> {
        self.parked.first().map(|(until, ..)| *until).filter(|until| *until < i64::MAX)
    }
}
