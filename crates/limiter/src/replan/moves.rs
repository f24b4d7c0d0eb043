//! Apps, lanes and waiting calls move to their places under the new plan.

use crate::apps::AppRule;
use crate::counters::counter::CounterState;
use crate::index::{AppId, ClassId, LaneId, LimitId, Table};
use crate::limiter::Limiter;
use crate::queue::lanes::{Class, Moved};
use crate::queue::{Ticket, Waiting};
use crate::replan::{Moves, Old, Stays, same_limit};
use std::collections::{BTreeMap, BTreeSet};

impl Limiter {
    /// Makes the table of apps anew: the plan's, then those that have left and still have counts or calls in flight. Returns their new
    /// numbers.
    pub(super) fn take_apps(&mut self, old: &Old) -> Moves {
        self.pauses.clear_apps();
        self.add_planned_apps();
        let lanes = self.leases.lanes().iter().filter(|(_, lane)| lane.leases > 0 || lane.waiting > 0);
        let mut used: BTreeSet<AppId> = lanes.map(|(_, lane)| lane.app).collect();
        for counter in old.counters.iter() {
            let counts = match &counter.state {
                CounterState::Window { window, .. } => window.total() > 0,
                CounterState::Daily { count, .. } => count.used > 0 || count.before > 0,
                CounterState::Bucket(bucket) => !bucket.is_full(self.rate.refilled(self.epoch.time())),
                CounterState::Slots { .. } => false,
            };
            used.extend(counter.app.filter(|_| counts));
        }
        let mut moved = Moves::default();
        for (at, app) in old.apps.iter() {
            let known = self.apps.find(&app.name);
            moved.push(known.or_else(|| used.contains(&at).then(|| self.add_app(AppRule::former(app.name.clone())))));
        }
        moved
    }

    /// Moves every lane to the limits that count its calls now. Of a limit that the plan did not have, or that counted other calls, it is
    /// not known whether it counts what is in flight, so it does.
    pub(super) fn move_lanes(&mut self, old: &Old, moved: &Moves) {
        let places: Table<LimitId, Option<LimitId>> =
            self.plan.limits.iter().take(32).map(|limit| same_limit(old, limit)).collect();
        let mask_of = |before: u32| {
            let counts = |place: &Option<LimitId>| place.is_none_or(|old| old.is_in(before));
            places.iter().filter(|(_, place)| counts(place)).fold(0, |mask, (at, _)| mask | at.bit())
        };
        let mut lanes = std::mem::take(self.leases.lanes_mut());
        lanes.iter_mut().for_each(|(_, lane)| lane.waiting = 0);
        let mut classes: Table<ClassId, Class> = Table::default();
        let mut numbers: BTreeMap<u32, ClassId> = BTreeMap::new();
        lanes.drop_idle(i64::MAX);
        let all: Vec<(LaneId, AppId, u32)> = lanes.iter().map(|(at, lane)| (at, lane.app, lane.mask)).collect();
        let mut to: BTreeMap<LaneId, Moved> = BTreeMap::new();
        for (at, app, mask) in all {
            // Apps with something in flight have kept their place.
            let Some(app) = moved.get(app).copied().flatten() else { continue };
            let mask = mask_of(mask);
            let (counters, own) = self.counters_under(app, mask);
            let class = *numbers
                .entry(mask)
                .or_insert_with(|| classes.push(Class::new(mask, self.counters.shared_under(mask))));
            to.insert(at, Moved { app, mask, class, counters, own });
        }
        lanes.rearrange(classes, |at| to.remove(&at));
        *self.leases.lanes_mut() = lanes;
        let (counters, time) = (self.counters.len(), self.epoch.time());
        self.leases.recount(counters, time);
        let mut prior = std::mem::take(&mut self.prior);
        prior.recount(counters, &self.leases);
        self.prior = prior;
    }

    /// Gives every waiting call its place under the new plan. Returns the tickets of those that may wait no longer.
    pub(super) fn move_queue(
        &mut self,
        old: &Old,
        moved: &Moves,
        stays: &mut impl FnMut(Ticket, &str) -> Option<Stays>,
    ) -> Vec<Ticket> {
        let time = self.epoch.time();
        let mut to: BTreeMap<u64, (Waiting, ClassId)> = BTreeMap::new();
        for (ticket, call) in self.queue.all() {
            let name = old.apps.name(call.app);
            let Some(stays) = stays(ticket, name).filter(|_| call.jobs.is_none()) else { continue };
            let Some(app) = moved.get(call.app).copied().flatten() else { continue };
            let Some(lane) = self.lane(app, stays.mask) else { continue };
            let class = self.class_of(lane);
            self.leases.lanes_mut().note_waiting(lane);
            let deadline = self.deadline(call.arrived, stays.wait_ms).max(time);
            to.insert(ticket.number(), (Waiting { app, lane, deadline, ..call }, class));
        }
        let before: BTreeMap<AppId, AppId> = moved.iter().filter_map(|(from, to)| Some(((*to)?, from))).collect();
        let apps = self.apps.iter().map(|(at, app)| (app.weight, before.get(&at).copied()));
        let mut jobs = BTreeSet::new();
        let gone = self.queue.rearrange(self.plan.queue.size, apps, |ticket, call| {
            let place = to.remove(&ticket.number());
            if call.jobs.is_some() {
                jobs.insert(ticket);
            }
            place
        });
        // Deadlines are others: each call is checked when its own comes.
        for (ticket, call) in self.queue.all() {
            self.queue.check_again(ticket, call.deadline);
        }
        gone.into_iter().filter(|ticket| !jobs.contains(ticket)).collect()
    }
}
