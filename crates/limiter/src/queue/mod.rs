//! The wait queue of one connection: who waits, in which order they go, and when each must be looked at again.
//!
//! Within an app: urgency (RFC 9218), then first come. Between apps: fair shares. Calls that meet different limits stand in lines of
//! their own, so that one that is blocked does not hold up one that is not: what all lines of a class share is asked once for all of them,
//! and a line that limits of its own app block is parked until they may have room. So an event takes no longer, however many apps wait.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "one each waiting call, taken away once for each added; at most 8 levels"
)]

mod call_table;
pub(crate) mod lanes;
mod order;
pub(crate) mod rechecks;

use crate::index::{AppId, ClassId, LaneId, Table};
use crate::places::{Admit, Places};
use crate::queue::call_table::{CallTable, NONE};
use crate::queue::order::{Order, Place};
use crate::queue::rechecks::Rechecks;
use crate::share::Share;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// RFC 9218: urgency is 0 to 7.
pub const LEVELS: usize = 8;
const LAST: u8 = 7;

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    pub(crate) slot: u32,
    pub(crate) serial: u64,
}

impl Ticket {
    /// Of this limiter's tickets, no other has it.
    pub const fn number(self) -> u64 {
        self.serial
    }
}

/// A call that waits. Limiter milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Its app, in the limiter's table.
    pub app: AppId,
    /// Its lane.
    pub lane: LaneId,
    /// 0 first.
    pub urgency: u8,
    /// Since when.
    pub arrived: i64,
    /// When it last asked.
    pub asked: i64,
    /// Until when.
    pub deadline: i64,
    /// The call's id.
    pub call: u128,
    /// For a place of jobs: how many want to go. 0 for a caller's call.
    pub jobs: u32,
}

impl Waiting {
    /// How many calls it stands for.
    fn calls(&self) -> u32 {
        self.jobs.max(1)
    }
}

/// Whether those that wait may go.
pub trait Room {
    /// Whether what all calls of a class share has room for one more.
    fn is_open(&mut self, class: ClassId) -> bool;
    /// If a limit of its own app blocks a lane: when that may change by time alone, limiter milliseconds; `i64::MAX` if only an event of
    /// the app can change it.
    fn blocked_until(&mut self, lane: LaneId) -> Option<i64>;
}

#[derive(Debug, Clone, Copy)]
struct Level {
    head: u32,
    tail: u32,
    len: u32,
}

const EMPTY: Level = Level { head: NONE, tail: NONE, len: 0 };

/// Calls of one lane that wait.
#[derive(Debug, Clone)]
struct LaneQueue {
    lane: LaneId,
    class: ClassId,
    len: u32,
    /// Bit i: somebody waits at level i.
    filled: u8,
    levels: [Level; LEVELS],
    /// A limit of its own app blocks it: until then at least.
    parked: Option<i64>,
    /// When its next call starts, as its class counts virtual time.
    tag: u64,
    /// Where it stands in the order of its class.
    place: Option<Place>,
}

impl LaneQueue {
    const fn new(lane: LaneId, class: ClassId, tag: u64) -> Self {
        Self { lane, class, len: 0, filled: 0, levels: [EMPTY; LEVELS], parked: None, tag, place: None }
    }

    /// The level of its first call, and that call's entry.
    fn first(&self) -> Option<(u8, u32)> {
        let level = u8::try_from(self.filled.trailing_zeros()).ok().filter(|_| self.filled > 0)?;
        Some((level, self.levels.get(usize::from(level))?.head))
    }
}

#[derive(Debug, Clone)]
struct App {
    share: Share,
    weight: u32,
    waiting: u32,
    lines: Vec<LaneQueue>,
}

/// The queue.
#[derive(Debug, Clone)]
pub struct Queue {
    entries: CallTable,
    apps: Table<AppId, App>,
    orders: BTreeMap<ClassId, Order>,
    /// Classes in which somebody waits who is not parked.
    ready: BTreeSet<ClassId>,
    parked: BTreeSet<(i64, AppId, LaneId)>,
    virtual_time: u64,
    len: usize,
    /// The places that callers hold, by app.
    callers: Places<AppId>,
    checks: Rechecks,
}

impl Queue {
    /// A queue of so many places for apps of these weights, in the order of their table.
    pub fn new(size: u32, weights: impl Iterator<Item = u32>) -> Self {
        let apps = weights.map(|weight| App { share: Share::new(weight), weight, waiting: 0, lines: Vec::new() });
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

    /// Another app, at the end of the table.
    pub fn add_app(&mut self, weight: u32) {
        self.apps.push(App { share: Share::new(weight), weight, waiting: 0, lines: Vec::new() });
    }

    /// Calls whose callers wait.
    pub const fn callers(&self) -> usize {
        self.callers.len() as usize
    }

    /// Nobody waits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether somebody waits whom no limit of the own app blocks, as far as is known.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether a caller of that app may have a place; or in whose stead.
    pub fn admit(&self, app: AppId) -> Admit<AppId> {
        let weight = self.apps.get(app).map_or(1, |app| app.weight);
        self.callers.admit(&app, weight)
    }

    /// The caller's call of an app that would go last.
    pub fn last_of(&self, app: AppId) -> Option<Ticket> {
        let lines = &self.apps.get(app)?.lines;
        let levels = lines.iter().flat_map(|line| (0_u8..).zip(&line.levels));
        let last = levels.filter_map(|(level, list)| Some((level, self.entries.last_caller(list.tail)?)));
        last.max_by_key(|(level, ticket)| (*level, ticket.serial)).map(|(_, ticket)| ticket)
    }

    /// Takes a call in, of a lane of that class, to be looked at again at `check`. None for an app that is not in the table.
    pub fn push(&mut self, call: Waiting, class: ClassId, check: i64) -> Option<Ticket> {
        let call = Waiting { urgency: call.urgency.min(LAST), ..call };
        let app = self.apps.get_mut(call.app)?;
        let level = usize::from(call.urgency);
        let tail = app.lines.iter().find(|line| line.lane == call.lane).and_then(|line| line.levels.get(level));
        let ticket = self.entries.insert(call, tail.map_or(NONE, |level| level.tail))?;
        self.line_up(ticket.slot, &call, class);
        if call.jobs == 0 {
            let weight = self.apps.get(call.app).map_or(1, |app| app.weight);
            self.callers.take(call.app, weight);
        }
        self.len += 1;
        self.check_again(ticket, check);
        Some(ticket)
    }

    /// Puts a seated call at the end of its line.
    fn line_up(&mut self, slot: u32, call: &Waiting, class: ClassId) {
        let Some(app) = self.apps.get_mut(call.app) else { return };
        if app.waiting == 0 {
            app.share.catch_up(self.virtual_time);
        }
        app.waiting = app.waiting.saturating_add(call.calls());
        let at = app.lines.iter().position(|line| line.lane == call.lane).unwrap_or_else(|| {
            let tag = self.orders.entry(class).or_default().tag(app.share.start(self.virtual_time));
            app.lines.push(LaneQueue::new(call.lane, class, tag));
            app.lines.len() - 1
        });
        let Some(line) = app.lines.get_mut(at) else { return };
        line.len += 1;
        let parked = line.parked.is_some();
        let Some(level) = line.levels.get_mut(usize::from(call.urgency)) else { return };
        (level.tail, level.len) = (slot, level.len + 1);
        let first = level.head == NONE;
        if first {
            level.head = slot;
            line.filled |= 1 << call.urgency;
        }
        self.order(class).count(1, parked);
        if first && !parked {
            self.place(call.app, at);
        }
    }

    fn order(&mut self, class: ClassId) -> &mut Order {
        self.orders.entry(class).or_default()
    }

    /// Puts a line where it belongs in the order of its class, after its first call or its app's share has changed.
    fn place(&mut self, app: AppId, at: usize) {
        let Some(entry) = self.apps.get_mut(app) else { return };
        let Some(line) = entry.lines.get_mut(at) else { return };
        let first = line.first().filter(|_| line.parked.is_none());
        let place = first.and_then(|(level, entry)| {
            let serial = self.entries.ticket(entry)?.serial;
            Some(Place { tag: line.tag, level, serial, app, lane: line.lane })
        });
        let (before, class) = (std::mem::replace(&mut line.place, place), line.class);
        let order = self.order(class);
        order.move_to(before, place);
        if order.is_empty() {
            self.ready.remove(&class);
        } else {
            self.ready.insert(class);
        }
    }

    fn place_all(&mut self, app: AppId) {
        for at in 0..self.apps.get(app).map_or(0, |app| app.lines.len()) {
            self.place(app, at);
        }
    }

    /// A place of jobs stands for another number of them.
    pub fn stand_for(&mut self, ticket: Ticket, jobs: u32) {
        let Some(call) = self.entries.get_mut(ticket).filter(|call| call.jobs > 0 && jobs > 0) else { return };
        let before = std::mem::replace(&mut call.jobs, jobs);
        if let Some(app) = self.apps.get_mut(call.app) {
            app.waiting = app.waiting.saturating_sub(before).saturating_add(jobs);
        }
    }

    /// The call that holds a ticket.
    pub fn get(&self, ticket: Ticket) -> Option<&Waiting> {
        self.entries.get(ticket)
    }

    /// A waiting call asks again: it may wait until then.
    pub fn ask_again(&mut self, ticket: Ticket, asked: i64, deadline: i64) {
        if let Some(call) = self.entries.get_mut(ticket) {
            (call.asked, call.deadline) = (asked, deadline);
        }
    }

    /// The ticket of the call of this id, if it waits.
    pub fn find(&self, id: u128) -> Option<Ticket> {
        self.entries.find(id)
    }

    /// Takes a call out, wherever it stands.
    pub fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let (call, at) = self.take_out(ticket)?;
        self.tidy(call.app, at);
        Some(call)
    }

    /// Takes a call out because it goes, and charges its app.
    pub fn serve(&mut self, ticket: Ticket) -> Option<Waiting> {
        let (call, at) = self.take_out(ticket)?;
        let class = self.apps.get(call.app).and_then(|app| app.lines.get(at)).map(|line| line.class);
        self.charge_app(call.app, class);
        self.tidy(call.app, at);
        self.place_all(call.app);
        Some(call)
    }

    /// Charges an app for a call that goes, and its lines with it. A line of another class than that of the call starts no later for it than
    /// a call after virtual time: each class is moved on as a whole, and what an app is granted elsewhere must not put it off for ever.
    fn charge_app(&mut self, app: AppId, class: Option<ClassId>) {
        let Some(app) = self.apps.get_mut(app) else { return };
        app.share.charge(self.virtual_time);
        let cost = app.share.cost();
        let soon = self.virtual_time.saturating_add(cost);
        for line in &mut app.lines {
            let Some(order) = self.orders.get(&line.class) else { continue };
            let start = order.start(line.tag);
            let after = start.max(self.virtual_time).saturating_add(cost);
            if Some(line.class) == class {
                line.tag = order.tag(after);
                // While it waited its class may have been moved on.
                app.share.ends_at_least(after);
            } else {
                line.tag = order.tag(after.min(start.max(soon)));
            }
        }
    }

    /// Moves virtual time on, and with it the classes in which somebody waits.
    fn move_on(&mut self, to: u64) {
        if to <= self.virtual_time {
            return;
        }
        self.virtual_time = to;
        for class in &self.ready {
            if let Some(order) = self.orders.get_mut(class) {
                order.move_on(to);
            }
        }
    }

    /// Takes a call out of its entry and its line; and the line's place among its app's.
    fn take_out(&mut self, ticket: Ticket) -> Option<(Waiting, usize)> {
        let (call, before, behind) = self.entries.remove(ticket)?;
        let app = self.apps.get_mut(call.app)?;
        app.waiting = app.waiting.saturating_sub(call.calls());
        let at = app.lines.iter().position(|line| line.lane == call.lane)?;
        let line = app.lines.get_mut(at)?;
        let (class, parked) = (line.class, line.parked.is_some());
        line.len -= 1;
        let level = line.levels.get_mut(usize::from(call.urgency))?;
        level.len -= 1;
        if level.head == ticket.slot {
            level.head = behind;
        }
        if level.tail == ticket.slot {
            level.tail = before;
        }
        if level.len == 0 {
            line.filled &= !(1 << call.urgency);
        }
        self.order(class).count(-1, parked);
        self.len -= 1;
        if call.jobs == 0 {
            self.callers.leave(&call.app);
        }
        Some((call, at))
    }

    /// A line has one call less: it moves in the order of its class, or is no more.
    fn tidy(&mut self, app: AppId, at: usize) {
        let line = self.apps.get(app).and_then(|app| app.lines.get(at));
        if line.is_some_and(|line| line.len == 0) {
            self.unpark_line(app, at);
            self.place(app, at);
            if let Some(app) = self.apps.get_mut(app) {
                app.lines.swap_remove(at);
            }
        } else {
            self.place(app, at);
        }
    }

    /// Who goes next, of those for whom there is room. Moves virtual time on to the fair choice's start.
    pub fn next(&mut self, room: &mut impl Room) -> Option<Ticket> {
        let mut fair: Option<(u64, Place)> = None;
        let mut before = None;
        while let Some(class) = self.ready_after(before) {
            before = Some(class);
            if room.is_open(class)
                && let Some(first) = self.first_of(class, room)
            {
                let start = self.start_of(class, &first);
                let key = |start: u64, place: &Place| (start, place.level, place.serial);
                if fair.is_none_or(|(other, held)| key(start, &first) < key(other, &held)) {
                    fair = Some((start, first));
                }
            }
        }
        let (start, fair) = fair?;
        self.move_on(start);
        let first = self.pressing(fair.level, room).unwrap_or(fair);
        self.first_ticket(&first)
    }

    /// The next class in which somebody waits who is not parked.
    fn ready_after(&self, class: Option<ClassId>) -> Option<ClassId> {
        let after = class.map_or(Bound::Unbounded, Bound::Excluded);
        self.ready.range((after, Bound::Unbounded)).next().copied()
    }

    /// The virtual time at which a line of a class starts.
    fn start_of(&self, class: ClassId, place: &Place) -> u64 {
        self.orders.get(&class).map_or(0, |order| order.start(place.tag)).max(self.virtual_time)
    }

    /// The first line in the order of a class that no limit of its own app blocks; those that one does block are parked.
    fn first_of(&mut self, class: ClassId, room: &mut impl Room) -> Option<Place> {
        loop {
            let first = self.orders.get(&class)?.first()?;
            let Some(until) = room.blocked_until(first.lane) else { return Some(first) };
            self.park(&first, until);
        }
    }

    /// A call more urgent than `level` that may overtake: its app asks for little, and is not far ahead of its share.
    fn pressing(&mut self, level: u8, room: &mut impl Room) -> Option<Place> {
        /// Lines looked at in each class: an app that is too far ahead goes by its share, and so may one behind it.
        const LOOKED_AT: usize = 4;
        if level == 0 {
            return None;
        }
        let mut best: Option<((u8, u64, u64), Place)> = None;
        let mut before = None;
        while let Some(class) = self.ready_after(before) {
            before = Some(class);
            if !room.is_open(class) {
                continue;
            }
            let Some(order) = self.orders.get(&class) else { continue };
            for place in order.most_urgent(level).take(LOOKED_AT) {
                let Some(app) = self.apps.get(place.app) else { continue };
                let start = self.start_of(class, &place);
                let key = (place.level, start, place.serial);
                if app.share.at_liberty(start, self.virtual_time, app.waiting)
                    && best.is_none_or(|(held, _)| key < held)
                    && room.blocked_until(place.lane).is_none()
                {
                    best = Some((key, place));
                }
            }
        }
        best.map(|(_, place)| place)
    }

    fn first_ticket(&self, place: &Place) -> Option<Ticket> {
        let app = self.apps.get(place.app)?;
        let line = app.lines.iter().find(|line| line.lane == place.lane)?;
        self.entries.ticket(line.first()?.1)
    }

    fn park(&mut self, place: &Place, until: i64) {
        let Some(app) = self.apps.get_mut(place.app) else { return };
        let Some(at) = app.lines.iter().position(|line| line.lane == place.lane) else { return };
        let Some(line) = app.lines.get_mut(at) else { return };
        line.parked = Some(until);
        let (class, len) = (line.class, line.len);
        self.parked.insert((until, place.app, place.lane));
        self.order(class).park(len);
        self.place(place.app, at);
    }

    fn unpark_line(&mut self, app: AppId, at: usize) {
        let Some(line) = self.apps.get_mut(app).and_then(|app| app.lines.get_mut(at)) else { return };
        let Some(until) = line.parked.take() else { return };
        let (lane, class, len) = (line.lane, line.class, line.len);
        // While it was blocked it has saved nothing up.
        let order = self.orders.entry(class).or_default();
        line.tag = order.tag(order.start(line.tag).max(self.virtual_time));
        order.unpark(len);
        self.parked.remove(&(until, app, lane));
        self.place(app, at);
    }

    /// An app's own limits may have room again.
    pub fn unpark(&mut self, app: AppId) {
        for at in 0..self.apps.get(app).map_or(0, |app| app.lines.len()) {
            self.unpark_line(app, at);
        }
    }

    /// Limits of apps' own may have room again by now.
    pub fn unpark_due(&mut self, time: i64) {
        while let Some(&(until, app, _)) = self.parked.first()
            && until <= time
        {
            self.unpark(app);
        }
    }

    /// Any limit may have room again: a day has turned, or the rate has risen.
    pub fn unpark_all(&mut self) {
        self.unpark_due(i64::MAX);
    }

    /// When the first of those that limits of their own app block may go.
    pub fn next_unpark(&self) -> Option<i64> {
        self.parked.first().map(|(until, ..)| *until).filter(|until| *until < i64::MAX)
    }

    /// A call of that app goes that has not waited: whoever could go before it has gone.
    pub fn charge(&mut self, app: AppId) {
        let Some(entry) = self.apps.get_mut(app) else { return };
        let (start, waits) = (entry.share.start(self.virtual_time), entry.waiting > 0);
        self.move_on(start);
        self.charge_app(app, None);
        if waits {
            self.place_all(app);
        }
    }

    /// Whether calls of that app wait in this lane and in no other.
    pub fn is_all(&self, app: AppId, lane: LaneId) -> bool {
        self.apps.get(app).is_some_and(|app| app.lines.iter().all(|line| line.lane == lane))
    }

    /// Calls of one app that go before a new one of that urgency, among the lanes that `counts` names.
    pub fn ahead(&self, app: AppId, urgency: u8, counts: impl Fn(LaneId) -> bool) -> u64 {
        let Some(app) = self.apps.get(app) else { return 0 };
        let levels = usize::from(urgency).min(LEVELS - 1) + 1;
        let lines = app.lines.iter().filter(|line| counts(line.lane));
        lines.flat_map(|line| line.levels.iter().take(levels)).map(|level| u64::from(level.len)).sum()
    }

    /// All calls of one app that wait in the lanes that `counts` names.
    pub fn waiting_of(&self, app: AppId, counts: impl Fn(LaneId) -> bool) -> u64 {
        let lines = self.apps.get(app).map_or(&[][..], |app| &app.lines);
        lines.iter().filter(|line| counts(line.lane)).map(|line| u64::from(line.len)).sum()
    }

    /// All calls that wait in a class.
    pub fn waiting_in(&self, class: ClassId) -> u64 {
        self.orders.get(&class).map_or(0, |order| order.waiting())
    }

    /// Calls that wait in a class and that no limit of their own app blocks, as far as is known once its first is no such call.
    pub fn ready_in(&mut self, class: ClassId, room: &mut impl Room) -> u64 {
        let first = self.first_of(class, room);
        self.orders.get(&class).filter(|_| first.is_some()).map_or(0, |order| order.ready())
    }

    /// The classes in which somebody waits whom no limit of the own app blocks, as far as is known.
    pub fn ready_classes(&self) -> impl Iterator<Item = ClassId> + '_ {
        self.ready.iter().copied()
    }

    /// The tickets of those whose callers wait, oldest first.
    pub fn tickets(&self) -> Vec<Ticket> {
        self.entries.callers().collect()
    }

    /// Since when the caller that has waited longest waits.
    pub fn oldest(&self) -> Option<i64> {
        self.entries.oldest()
    }

    /// Looks at a ticket again at `at`.
    pub fn check_again(&mut self, ticket: Ticket, at: i64) {
        self.checks.add(ticket, at, self.len, |ticket| self.entries.get(ticket).is_some());
    }

    /// The next ticket to look at, if its time has come.
    pub fn due(&mut self, now: i64) -> Option<Ticket> {
        self.checks.due(now, |ticket| self.entries.get(ticket).is_some())
    }

    /// When the next ticket must be looked at.
    pub fn next_check(&mut self) -> Option<i64> {
        self.checks.next(|ticket| self.entries.get(ticket).is_some())
    }

    /// Everybody who waits, in the order in which they came.
    pub fn everybody(&self) -> Vec<(Ticket, Waiting)> {
        self.entries.all()
    }

    /// Gives everybody the place that another policy says, in the order in which they came; they keep their tickets. `apps`: for each app of
    /// the new table its weight, and its number in the old one. `class_of` and `call` tell what becomes of each.
    pub fn rearrange(
        &mut self,
        size: u32,
        apps: impl Iterator<Item = (u32, Option<AppId>)>,
        mut call: impl FnMut(Ticket, &Waiting) -> Option<(Waiting, ClassId)>,
    ) -> Vec<Ticket> {
        let old = std::mem::take(&mut self.apps);
        let share = |weight: u32, before: Option<AppId>| {
            let known = before.and_then(|at| old.get(at)).map(|app| app.share);
            known.map_or_else(|| Share::new(weight), |share| share.weighed(weight))
        };
        let fresh = |(weight, before)| App { share: share(weight, before), weight, waiting: 0, lines: Vec::new() };
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
            let app = self.apps.get(after.app);
            let line = app.and_then(|app| app.lines.iter().find(|line| line.lane == after.lane));
            let tail =
                line.and_then(|line| line.levels.get(usize::from(after.urgency))).map_or(NONE, |level| level.tail);
            self.entries.move_to(ticket, after, tail);
            self.line_up(ticket.slot, &after, class);
            if after.jobs == 0 {
                let weight = self.apps.get(after.app).map_or(1, |app| app.weight);
                self.callers.take(after.app, weight);
            }
        }
        gone
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Index;

    fn call(app: u32, urgency: u8) -> Waiting {
        Waiting {
            app: AppId(app),
            lane: LaneId(app),
            urgency,
            arrived: 0,
            asked: 0,
            deadline: 10_000,
            call: 0,
            jobs: 0,
        }
    }

    /// The shared limits have room; when each lane's own have.
    struct Lanes<F: FnMut(LaneId) -> Option<i64>>(F);

    impl<F: FnMut(LaneId) -> Option<i64>> Room for Lanes<F> {
        fn is_open(&mut self, _: ClassId) -> bool {
            true
        }

        fn blocked_until(&mut self, lane: LaneId) -> Option<i64> {
            (self.0)(lane)
        }
    }

    fn fill(queue: &mut Queue, calls: usize, app: u32, urgency: u8) {
        (0..calls).for_each(|_| assert!(queue.push(call(app, urgency), ClassId(0), 0).is_some()));
    }

    fn serve(queue: &mut Queue) -> Waiting {
        let ticket = queue.next(&mut Lanes(|_| None)).unwrap();
        queue.serve(ticket).unwrap()
    }

    #[test]
    fn each_quiet_app_goes_before_the_noisy_one_whatever_urgency_it_claims() {
        for claimed in [0, 3] {
            let mut queue = Queue::new(1_000, [1; 8].into_iter());
            fill(&mut queue, 200, 0, claimed);
            (1..8).for_each(|app| fill(&mut queue, 1, app, 3));
            let mut served: Vec<_> = (0..8).map(|_| serve(&mut queue).app.0).collect();
            served.sort_unstable();
            assert_eq!(served, [0, 1, 2, 3, 4, 5, 6, 7]);
        }
    }

    #[test]
    fn weights_three_to_one_give_three_to_one() {
        let mut queue = Queue::new(1_000, [3, 1].into_iter());
        for _ in 0..400 {
            queue.push(call(0, 3), ClassId(0), 0).unwrap();
            queue.push(call(1, 3), ClassId(0), 0).unwrap();
        }
        let first = (0..400).filter(|_| serve(&mut queue).app == AppId(0)).count();
        assert!((285..=315).contains(&first), "{first} of 400");
    }

    #[test]
    fn a_few_urgent_calls_overtake_and_are_charged_for() {
        let mut queue = Queue::new(1_000, [1, 1].into_iter());
        fill(&mut queue, 20, 0, 5);
        fill(&mut queue, 4, 1, 0);
        assert_eq!((0..4).map(|_| serve(&mut queue).app.0).collect::<Vec<_>>(), [1; 4]);
        queue.push(call(1, 5), ClassId(0), 0).unwrap();
        assert_eq!((0..3).map(|_| serve(&mut queue).app.0).collect::<Vec<_>>(), [0; 3]);
    }

    #[test]
    fn within_an_app_the_urgent_go_first_then_first_come() {
        let mut queue = Queue::new(1_000, [1].into_iter());
        for (urgency, id) in [(3, 1), (0, 2), (7, 3), (0, 4)] {
            queue.push(Waiting { call: id, ..call(0, urgency) }, ClassId(0), 0).unwrap();
        }
        assert_eq!((0..4).map(|_| serve(&mut queue).call).collect::<Vec<_>>(), [2, 4, 1, 3]);
    }

    #[test]
    fn a_call_that_is_blocked_is_passed_by_and_keeps_its_turn() {
        let mut queue = Queue::new(1_000, [1, 1].into_iter());
        queue.push(call(0, 3), ClassId(0), 0).unwrap();
        queue.push(call(1, 3), ClassId(0), 0).unwrap();
        let ticket = queue.next(&mut Lanes(|lane| (lane == LaneId(0)).then_some(70))).unwrap();
        assert_eq!(queue.get(ticket).unwrap().app, AppId(1));
        assert!(queue.next(&mut Lanes(|_| Some(i64::MAX))).is_none());
        queue.unpark_due(69);
        assert!(queue.next(&mut Lanes(|_| None)).is_none(), "nothing has changed");
        assert_eq!(queue.next_unpark(), Some(70));
        queue.unpark_due(70);
        assert_eq!(serve(&mut queue).app, AppId(0));
        queue.unpark(AppId(1));
        assert_eq!(serve(&mut queue).app, AppId(1));
    }

    #[test]
    fn one_that_leaves_from_the_middle_frees_its_place() {
        let mut queue = Queue::new(1_000, [1].into_iter());
        let tickets: Vec<_> =
            (0..3).map(|id| queue.push(Waiting { call: id, ..call(0, 3) }, ClassId(0), 5).unwrap()).collect();
        queue.remove(tickets[1]).unwrap();
        assert!(queue.remove(tickets[1]).is_none());
        assert_eq!(queue.callers(), 2);
        assert_eq!((serve(&mut queue).call, serve(&mut queue).call), (0, 2));
        assert_eq!(queue.due(10), None);
    }

    #[test]
    fn checks_of_calls_that_left_do_not_pile_up() {
        let mut queue = Queue::new(1_000, [1].into_iter());
        for _ in 0..10_000 {
            let ticket = queue.push(call(0, 3), ClassId(0), 1_000).unwrap();
            queue.remove(ticket).unwrap();
        }
        assert!(queue.checks.len() < 200);
    }

    #[test]
    fn the_last_caller_of_an_app_is_the_least_urgent_and_of_these_the_latest() {
        let mut queue = Queue::new(10, [1].into_iter());
        for (urgency, id, jobs) in [(3, 1, 0), (5, 2, 0), (5, 3, 0), (5, 0, 9), (0, 5, 0)] {
            queue.push(Waiting { call: id, jobs, ..call(0, urgency) }, ClassId(0), 0).unwrap();
        }
        let last = queue.last_of(AppId(0)).unwrap();
        assert_eq!(queue.get(last).unwrap().call, 3, "a place of jobs is no caller's");
    }

    #[test]
    fn an_app_that_a_third_one_blocked_all_along_gets_its_share_and_no_more() {
        // App 2 waits for its own limit for ever; app 0 has gone alone for long; then app 1 comes.
        let mut queue = Queue::new(1_000, [1; 3].into_iter());
        queue.push(call(2, 5), ClassId(0), 0).unwrap();
        let mut own = Lanes(|lane| (lane == LaneId(2)).then_some(i64::MAX));
        assert!(queue.next(&mut own).is_none());
        (0..3_000).for_each(|_| queue.charge(AppId(0)));
        (0..40).for_each(|_| {
            queue.push(call(0, 3), ClassId(0), 0).unwrap();
            queue.push(call(1, 3), ClassId(0), 0).unwrap();
        });
        let of_first = (0..40).filter(|_| {
            let ticket = queue.next(&mut own).unwrap();
            queue.serve(ticket).unwrap().app == AppId(0)
        });
        assert!((19..=21).contains(&of_first.count()));
    }

    /// Classes that have room, and no limits of apps' own.
    struct Open<'a>(&'a [u32]);

    impl Room for Open<'_> {
        fn is_open(&mut self, class: ClassId) -> bool {
            self.0.contains(&class.0)
        }

        fn blocked_until(&mut self, _: LaneId) -> Option<i64> {
            None
        }
    }

    #[test]
    fn two_that_wait_keep_to_their_weights_whatever_a_third_one_is_granted_elsewhere() {
        let mut queue = Queue::new(1_000, [1, 2, 3].into_iter());
        fill(&mut queue, 60, 1, 3);
        fill(&mut queue, 60, 2, 3);
        let mut granted = [0_i64; 3];
        for _ in 0..60 {
            // Calls that no limit counts.
            (0..7).for_each(|_| queue.charge(AppId(0)));
            granted[serve(&mut queue).app.position()] += 1;
            // |W1/w1 - W2/w2| <= 1/w1 + 1/w2 (Goyal, Vin and Cheng), times the weights.
            assert!((3 * granted[1] - 2 * granted[2]).abs() <= 5, "{granted:?}");
        }
    }

    #[test]
    fn who_comes_late_to_a_class_that_time_has_passed_by_gets_its_share() {
        let mut queue = Queue::new(1_000, [1, 1, 1].into_iter());
        fill(&mut queue, 20, 1, 3);
        (0..3_000).for_each(|_| queue.charge(AppId(0)));
        fill(&mut queue, 20, 2, 3);
        let of_late = (0..20).filter(|_| serve(&mut queue).app == AppId(2)).count();
        assert!((9..=11).contains(&of_late), "{of_late} of 20");
    }

    #[test]
    fn what_an_app_is_granted_in_one_class_puts_it_off_by_a_call_in_another() {
        let mut queue = Queue::new(1_000, [1, 1].into_iter());
        for _ in 0..200 {
            queue.push(Waiting { lane: LaneId(7), ..call(0, 3) }, ClassId(1), 0).unwrap();
            queue.push(call(0, 3), ClassId(0), 0).unwrap();
            queue.push(call(1, 3), ClassId(0), 0).unwrap();
        }
        let mut go = |open: &[u32]| {
            let ticket = queue.next(&mut Open(open)).unwrap();
            queue.serve(ticket).unwrap().app.0
        };
        assert!((0..150).all(|_| go(&[1]) == 0));
        let of_first = (0..20).filter(|_| go(&[0]) == 0).count();
        assert!((9..=10).contains(&of_first), "{of_first} of 20");
    }

    #[test]
    fn places_are_rearranged_with_their_tickets_and_in_their_order() {
        let mut queue = Queue::new(10, [1, 1].into_iter());
        let tickets: Vec<_> = (0..4_u32)
            .map(|id| {
                let waiting = Waiting { call: u128::from(id), ..call(id % 2, 3) };
                queue.push(waiting, ClassId(id % 2), 7).unwrap()
            })
            .collect();
        // The first app has left; the second is now the first, and its lane another.
        let gone = queue.rearrange(10, [(1, Some(AppId(1)))].into_iter(), |_, waiting| {
            (waiting.app == AppId(1)).then_some((Waiting { app: AppId(0), lane: LaneId(9), ..*waiting }, ClassId(0)))
        });
        assert_eq!(gone, [tickets[0], tickets[2]]);
        assert_eq!((queue.callers(), queue.get(tickets[3]).unwrap().lane), (2, LaneId(9)));
        assert_eq!((serve(&mut queue).call, serve(&mut queue).call), (1, 3));
        assert!(queue.is_empty());
    }
}
