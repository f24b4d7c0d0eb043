//! The wait queue of one connection: which calls wait, in which order they go, and when each must be checked again.
//!
//! Within an app calls go by urgency (RFC 9218) and then by arrival; between apps, by fair shares. Calls that meet different limits wait
//! in different lanes, so that a blocked call does not hold up one that is not: what all lanes of a class share is checked once for all of
//! them, and a lane that limits of its own app block is parked until they may have room. So an event takes no longer, however many apps
//! wait.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "one each waiting call, taken away once for each added; at most 8 levels"
)]

mod call_table;
mod choice;
mod figures;
mod lane_queue;
pub(crate) mod lanes;
mod order;
mod parking;
mod rearrange;
pub(crate) mod rechecks;

use crate::index::{AppId, ClassId, LaneId, SlotId, Table};
use crate::places::{Admit, Places};
use crate::queue::call_table::CallTable;
use crate::queue::lane_queue::{App, LaneQueue};
use crate::queue::order::Order;
use crate::queue::rechecks::Rechecks;
use crate::share::Share;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

/// The urgencies of RFC 9218: 0, the first to go, to 7.
pub const LEVELS: usize = 8;
/// The urgency that goes last.
const LAST: u8 = 7;

/// A waiting call's place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    pub(crate) slot: SlotId,
    pub(crate) serial: u64,
}

impl Ticket {
    /// Returns the ticket's number, which no other ticket of this limiter has.
    pub const fn number(self) -> u64 {
        self.serial
    }
}

/// A call that waits. Times are limiter milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The app's number in the limiter's table.
    pub app: AppId,
    /// The call's lane.
    pub lane: LaneId,
    /// The urgency by RFC 9218, 0 first.
    pub urgency: u8,
    /// Since when the call waits.
    pub arrived: i64,
    /// When the call last asked.
    pub asked: i64,
    /// Until when the call may wait.
    pub deadline: i64,
    /// The call's id.
    pub call: u128,
    /// For a place of jobs, how many of them want to go; none for a caller's call.
    pub jobs: Option<NonZeroU32>,
}

impl Waiting {
    /// Returns how many calls this stands for.
    fn calls(&self) -> u32 {
        self.jobs.map_or(1, NonZeroU32::get)
    }
}

/// What the queue asks of the limits: whether waiting calls may go.
pub trait Room {
    /// Whether what all calls of a class share has room for one more.
    fn is_open(&mut self, class: ClassId) -> bool;
    /// Returns when a lane that a limit of its app blocks may be free again by the passing of time,
    /// limiter milliseconds; none if no such limit blocks it, and `i64::MAX` if only an event of
    /// the app can change it.
    fn blocked_until(&mut self, lane: LaneId) -> Option<i64>;
}

/// The calls that wait for one connection.
#[derive(Debug, Clone)]
pub struct Queue {
    entries: CallTable,
    apps: Table<AppId, App>,
    orders: BTreeMap<ClassId, Order>,
    /// The classes in which a call waits in a lane that is not parked.
    ready: BTreeSet<ClassId>,
    /// The parked lanes: until when at least (limiter milliseconds), the app and the lane.
    parked: BTreeSet<(i64, AppId, LaneId)>,
    virtual_time: u64,
    len: usize,
    /// The places that callers hold, by app.
    callers: Places<AppId>,
    checks: Rechecks,
}

impl Queue {
    /// Returns a queue of so many places for apps of these weights, in the order of their table.
    pub fn new(size: u32, weights: impl Iterator<Item = u32>) -> Self {
        let apps = weights.map(|weight| App::new(Share::new(weight), weight));
        Self {
            entries: CallTable::default(),
            apps: apps.collect(),
            orders: BTreeMap::new(),
            ready: BTreeSet::new(),
            parked: BTreeSet::new(),
            virtual_time: 0,
            len: 0,
            callers: Places::new(size),
            checks: Rechecks::default(),
        }
    }

    /// Adds an app at the end of the table.
    pub fn add_app(&mut self, weight: u32) {
        self.apps.push(App::new(Share::new(weight), weight));
    }

    /// Returns how many callers wait.
    pub const fn callers(&self) -> usize {
        self.callers.len() as usize
    }

    /// Whether no call and no job waits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a call waits that no limit of its app blocks, as far as is known.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether a caller of that app may have a place, or take that of another app.
    pub fn admit(&self, app: AppId) -> Admit<AppId> {
        let weight = self.apps.get(app).map_or(1, |app| app.weight);
        self.callers.admit(&app, weight)
    }

    /// Returns the ticket of the call that would go last among an app's callers.
    pub fn last_of(&self, app: AppId) -> Option<Ticket> {
        let lanes = &self.apps.get(app)?.lanes;
        let levels = lanes.iter().flat_map(|lane| (0_u8..).zip(&lane.levels));
        let last = levels.filter_map(|(level, list)| Some((level, self.entries.last_caller(list.tail)?)));
        last.max_by_key(|(level, ticket)| (*level, ticket.serial)).map(|(_, ticket)| ticket)
    }

    /// Takes in a call of a lane of that class, to be checked again at `check`. None for an app that is not in the table.
    pub fn push(&mut self, call: Waiting, class: ClassId, check: i64) -> Option<Ticket> {
        let call = Waiting { urgency: call.urgency.min(LAST), ..call };
        let (tail, weight) = self.apps.get(call.app).map(|app| (app.tail(call.lane, call.urgency), app.weight))?;
        let ticket = self.entries.insert(call, tail)?;
        self.enqueue(ticket.slot, &call, class);
        if call.jobs.is_none() {
            self.callers.take(call.app, weight);
        }
        self.len += 1;
        self.check_again(ticket, check);
        Some(ticket)
    }

    /// Puts the call in an entry at the end of its lane.
    fn enqueue(&mut self, slot: SlotId, call: &Waiting, class: ClassId) {
        let Some(app) = self.apps.get_mut(call.app) else { return };
        if app.waiting == 0 {
            app.share.catch_up(self.virtual_time);
        }
        app.waiting = app.waiting.saturating_add(call.calls());
        let at = app.lanes.iter().position(|lane| lane.id == call.lane).unwrap_or_else(|| {
            let tag = self.orders.entry(class).or_default().tag(app.share.start(self.virtual_time));
            app.lanes.push(LaneQueue::new(call.lane, class, tag));
            app.lanes.len() - 1
        });
        let Some(lane) = app.lanes.get_mut(at) else { return };
        lane.len += 1;
        let parked = lane.parked.is_some();
        let Some(level) = lane.levels.get_mut(usize::from(call.urgency)) else { return };
        (level.tail, level.len) = (slot, level.len + 1);
        let first = level.head == SlotId::NONE;
        if first {
            level.head = slot;
            lane.filled |= 1 << call.urgency;
        }
        self.order(class).count(1, parked);
        if first && !parked {
            self.rerank(call.app, at);
        }
    }

    /// Returns the order in which the lanes of a class go.
    fn order(&mut self, class: ClassId) -> &mut Order {
        self.orders.entry(class).or_default()
    }

    /// Makes a place of jobs stand for another number of them.
    pub fn stand_for(&mut self, ticket: Ticket, jobs: NonZeroU32) {
        let Some(call) = self.entries.get_mut(ticket) else { return };
        let Some(before) = call.jobs else { return };
        call.jobs = Some(jobs);
        if let Some(app) = self.apps.get_mut(call.app) {
            app.waiting = app.waiting.saturating_sub(before.get()).saturating_add(jobs.get());
        }
    }

    /// Returns the call that holds a ticket.
    pub fn get(&self, ticket: Ticket) -> Option<&Waiting> {
        self.entries.get(ticket)
    }

    /// Notes that a waiting call has asked again, and may now wait until `deadline`.
    pub fn ask_again(&mut self, ticket: Ticket, asked: i64, deadline: i64) {
        if let Some(call) = self.entries.get_mut(ticket) {
            (call.asked, call.deadline) = (asked, deadline);
        }
    }

    /// Returns the ticket of the call of this id, if it waits.
    pub fn find(&self, id: u128) -> Option<Ticket> {
        self.entries.find(id)
    }

    /// Takes a call out, wherever it stands, and charges nobody for it.
    pub fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let (call, at) = self.take_out(ticket)?;
        self.shorten(call.app, at);
        Some(call)
    }

    /// Takes a call out because it goes, and charges its app.
    pub fn serve(&mut self, ticket: Ticket) -> Option<Waiting> {
        let (call, at) = self.take_out(ticket)?;
        let class = self.apps.get(call.app).and_then(|app| app.lanes.get(at)).map(|lane| lane.class);
        self.charge_app(call.app, class);
        self.shorten(call.app, at);
        self.rerank_all(call.app);
        Some(call)
    }

    /// Takes a call out of its entry and its lane. Returns it with its lane's position among those of its app.
    fn take_out(&mut self, ticket: Ticket) -> Option<(Waiting, usize)> {
        let (call, before, behind) = self.entries.remove(ticket)?;
        let app = self.apps.get_mut(call.app)?;
        app.waiting = app.waiting.saturating_sub(call.calls());
        let at = app.lanes.iter().position(|lane| lane.id == call.lane)?;
        let lane = app.lanes.get_mut(at)?;
        let (class, parked) = (lane.class, lane.parked.is_some());
        lane.len -= 1;
        let level = lane.levels.get_mut(usize::from(call.urgency))?;
        level.len -= 1;
        if level.head == ticket.slot {
            level.head = behind;
        }
        if level.tail == ticket.slot {
            level.tail = before;
        }
        if level.len == 0 {
            lane.filled &= !(1 << call.urgency);
        }
        self.order(class).count(-1, parked);
        self.len -= 1;
        if call.jobs.is_none() {
            self.callers.leave(&call.app);
        }
        Some((call, at))
    }

    /// Moves a lane that has one call less in the order of its class, or drops it if it is empty.
    fn shorten(&mut self, app: AppId, at: usize) {
        let lane = self.apps.get(app).and_then(|app| app.lanes.get(at));
        if lane.is_some_and(|lane| lane.len == 0) {
            self.unpark_lane(app, at);
            self.rerank(app, at);
            if let Some(app) = self.apps.get_mut(app) {
                app.lanes.swap_remove(at);
            }
        } else {
            self.rerank(app, at);
        }
    }

    /// Returns the tickets of the calls whose callers wait, oldest first.
    pub fn tickets(&self) -> Vec<Ticket> {
        self.entries.callers().collect()
    }

    /// Returns since when the caller that has waited longest waits, limiter milliseconds.
    pub fn oldest(&self) -> Option<i64> {
        self.entries.oldest()
    }

    /// Has a waiting call checked again at `at`, limiter milliseconds.
    pub fn check_again(&mut self, ticket: Ticket, at: i64) {
        self.checks.add(ticket, at, self.len, |ticket| self.entries.get(ticket).is_some());
    }

    /// Returns the ticket of the next call to check, if its time has come.
    pub fn due(&mut self, now: i64) -> Option<Ticket> {
        self.checks.due(now, |ticket| self.entries.get(ticket).is_some())
    }

    /// Returns when the next call must be checked, limiter milliseconds.
    pub fn next_check(&mut self) -> Option<i64> {
        self.checks.next(|ticket| self.entries.get(ticket).is_some())
    }

    /// Returns all that waits, in the order in which it came.
    pub fn all(&self) -> Vec<(Ticket, Waiting)> {
        self.entries.all()
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
