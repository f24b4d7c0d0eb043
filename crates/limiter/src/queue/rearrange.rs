//! A policy edit gives every waiting call another place.

use crate::index::{AppId, ClassId, SlotId};
use crate::places::Places;
use crate::queue::lane_queue::App;
use crate::queue::{Queue, Ticket, Waiting};
use crate::share::Share;
use std::collections::{BTreeMap, BTreeSet};

impl Queue {
    /// Gives every waiting call its place under another policy, in the order in which they came; they keep their tickets. `apps` has, for
    /// each app of the new table, its weight and its number in the old one. `call` returns what becomes of a waiting call and its class, or
    /// none if it may wait no longer. Returns the tickets of those.
    pub fn rearrange(
        &mut self,
        size: u32,
        apps: impl Iterator<Item = (u32, Option<AppId>)>,
        mut call: impl FnMut(Ticket, &Waiting) -> Option<(Waiting, ClassId)>,
    ) -> Vec<Ticket> {
        let old = std::mem::take(&mut self.apps);
        let virtual_time = self.virtual_time;
        let share = |weight: u32, before: Option<AppId>| {
            let known = before.and_then(|at| old.get(at)).map(|app| app.share);
            known.map_or_else(|| Share::new(weight), |share| share.weighed(weight, virtual_time))
        };
        let fresh = |(weight, before)| App::new(share(weight, before), weight);
        self.apps = apps.map(fresh).collect();
        (self.orders, self.ready, self.parked) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        self.callers = Places::new(size);
        let mut gone = Vec::new();
        for ticket in self.entries.detach() {
            let Some(before) = self.entries.get(ticket).copied() else { continue };
            let Some((after, class)) = call(ticket, &before) else {
                self.entries.remove(ticket);
                self.len -= 1;
                gone.push(ticket);
                continue;
            };
            let tail = self.apps.get(after.app).map_or(SlotId::NONE, |app| app.tail(after.lane, after.urgency));
            self.entries.move_to(ticket, after, tail);
            self.enqueue(ticket.slot, &after, class);
            if after.jobs.is_none() {
                let weight = self.apps.get(after.app).map_or(1, |app| app.weight);
                self.callers.take(after.app, weight);
            }
        }
        gone
    }
}
