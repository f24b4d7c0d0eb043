//! Who goes next: between apps by fair shares of virtual time, within an app by urgency and then by arrival.

use crate::index::{AppId, ClassId};
use crate::queue::order::Rank;
use crate::queue::{Queue, Room, Ticket};

impl Queue {
    /// Chooses the call that goes next among those for which there is room, and moves virtual time on to the start of the fair choice.
    pub fn next(&mut self, room: &mut impl Room) -> Option<Ticket> {
        let mut fair: Option<(u64, Rank)> = None;
        let mut from = ClassId(0);
        while let Some(class) = self.ready_from(from) {
            from = class.next();
            if room.is_open(class)
                && let Some(first) = self.first_of(class, room)
            {
                let start = self.start_of(class, &first);
                let key = |start: u64, rank: &Rank| (start, rank.level, rank.serial);
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

    /// Returns the next class, from that number on, in which a call waits in a lane that is not
    /// parked.
    fn ready_from(&self, from: ClassId) -> Option<ClassId> {
        self.ready.range(from..).next().copied()
    }

    /// Returns the virtual time at which a lane of a class starts.
    pub(super) fn start_of(&self, class: ClassId, rank: &Rank) -> u64 {
        self.orders.get(&class).map_or(0, |order| order.start(rank.tag)).max(self.virtual_time)
    }

    /// Returns the first lane in the order of a class that no limit of its app blocks. Lanes before
    /// it, which one blocks, are parked.
    pub(super) fn first_of(&mut self, class: ClassId, room: &mut impl Room) -> Option<Rank> {
        loop {
            let first = self.orders.get(&class)?.first()?;
            let Some(until) = room.blocked_until(first.lane) else { return Some(first) };
            self.park(&first, until);
        }
    }

    /// Returns the lane of a call more urgent than `level` that may overtake, since its app asks
    /// for little and is not far ahead of its share.
    fn pressing(&mut self, level: u8, room: &mut impl Room) -> Option<Rank> {
        /// So many lanes are considered in each class: an app that is too far ahead goes by its share, and so may one behind it.
        const CONSIDERED: usize = 4;
        if level == 0 {
            return None;
        }
        let mut best: Option<((u8, u64, u64), Rank)> = None;
        let mut from = ClassId(0);
        while let Some(class) = self.ready_from(from) {
            from = class.next();
            if !room.is_open(class) {
                continue;
            }
            let Some(order) = self.orders.get(&class) else { continue };
            for rank in order.most_urgent(level).take(CONSIDERED) {
                let Some(app) = self.apps.get(rank.app) else { continue };
                let start = self.start_of(class, &rank);
                let key = (rank.level, start, rank.serial);
                if app.share.at_liberty(start, self.virtual_time, app.waiting)
                    && best.is_none_or(|(held, _)| key < held)
                    && room.blocked_until(rank.lane).is_none()
                {
                    best = Some((key, rank));
                }
            }
        }
        best.map(|(_, rank)| rank)
    }

    /// Returns the ticket of the first call in the lane of that rank.
    fn first_ticket(&self, rank: &Rank) -> Option<Ticket> {
        let app = self.apps.get(rank.app)?;
        let lane = app.lane(rank.lane)?;
        self.entries.ticket(lane.first()?.1)
    }

    /// Charges an app for a call that goes without having waited: every call that could go before it has gone.
    pub fn charge(&mut self, app: AppId) {
        let Some(entry) = self.apps.get_mut(app) else { return };
        let (start, waits) = (entry.share.start(self.virtual_time), entry.waiting > 0);
        self.move_on(start);
        self.charge_app(app, None);
        if waits {
            self.rerank_all(app);
        }
    }

    /// Charges an app for a call that goes, and its lanes with it. A lane of another class than that of the call starts no later for it than
    /// a call after virtual time: each class is moved on as a whole, and what an app is granted elsewhere must not put it off for ever.
    pub(super) fn charge_app(&mut self, app: AppId, class: Option<ClassId>) {
        let Some(app) = self.apps.get_mut(app) else { return };
        app.share.charge(self.virtual_time);
        let cost = app.share.cost();
        let soon = self.virtual_time.saturating_add(cost);
        for lane in &mut app.lanes {
            let Some(order) = self.orders.get(&lane.class) else { continue };
            let start = order.start(lane.tag);
            let after = start.max(self.virtual_time).saturating_add(cost);
            if Some(lane.class) == class {
                lane.tag = order.tag(after);
                // While it waited its class may have been moved on.
                app.share.ends_at_least(after);
            } else {
                lane.tag = order.tag(after.min(start.max(soon)));
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

    /// Puts a lane where it belongs in the order of its class, after its first call or its app's share has changed.
    pub(super) fn rerank(&mut self, app: AppId, at: usize) {
        let Some(entry) = self.apps.get_mut(app) else { return };
        let Some(lane) = entry.lanes.get_mut(at) else { return };
        let first = lane.first().filter(|_| lane.parked.is_none());
        let rank = first.and_then(|(level, entry)| {
            let serial = self.entries.ticket(entry)?.serial;
            Some(Rank { tag: lane.tag, level, serial, app, lane: lane.id })
        });
        let (before, class) = (std::mem::replace(&mut lane.rank, rank), lane.class);
        let order = self.order(class);
        order.move_to(before, rank);
        if order.is_empty() {
            self.ready.remove(&class);
        } else {
            self.ready.insert(class);
        }
    }

    /// Puts all lanes of an app where they belong in the orders of their classes.
    pub(super) fn rerank_all(&mut self, app: AppId) {
        for at in 0..self.apps.get(app).map_or(0, |app| app.lanes.len()) {
            self.rerank(app, at);
        }
    }
}
