//! Where waiting calls are kept: in numbered seats, each linked to those before and behind it in its line, and to those that have
//! waited longer and less long. So a call comes, goes and is found without a look at the others, however many wait.

#![expect(clippy::arithmetic_side_effects, reason = "one each seat, and a number of 64 bits each arrival")]

use super::queue::{Ticket, Waiting};
use crate::ids::Ids;

/// No seat.
pub const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Seat {
    call: Waiting,
    /// The ticket's; 0 while nobody sits here.
    serial: u64,
    /// In its line.
    before: u32,
    behind: u32,
    /// By arrival, among calls whose callers wait.
    older: u32,
    newer: u32,
}

/// All seats.
#[derive(Debug, Clone)]
pub struct Seats {
    seats: Vec<Seat>,
    free: Vec<u32>,
    serial: u64,
    oldest: u32,
    newest: u32,
    ids: Ids,
}

impl Default for Seats {
    fn default() -> Self {
        let (seats, free, ids) = (Vec::new(), Vec::new(), Ids::default());
        Self { seats, free, serial: 0, oldest: NONE, newest: NONE, ids }
    }
}

impl Seats {
    /// Takes a call in, behind the last of its line.
    pub fn sit(&mut self, call: Waiting, last: u32) -> Option<Ticket> {
        self.serial += 1;
        let seat = Seat { call, serial: self.serial, before: last, behind: NONE, older: NONE, newer: NONE };
        let free = self.free.pop();
        let slot = match free {
            Some(slot) => slot,
            None => u32::try_from(self.seats.len()).ok()?,
        };
        match self.seats.get_mut(slot as usize) {
            Some(place) => *place = seat,
            None => self.seats.push(seat),
        }
        if let Some(last) = self.seats.get_mut(last as usize) {
            last.behind = slot;
        }
        if call.jobs == 0 {
            self.link_by_arrival(slot, call.arrived);
            let seats = &self.seats;
            let waits = |seat: &&Seat| seat.serial > 0 && seat.call.jobs == 0;
            self.ids.insert(slot, call.call, |slot| Some(seats.get(slot as usize).filter(waits)?.call.call));
        }
        Some(Ticket { slot, serial: self.serial })
    }

    /// The call that holds a ticket.
    pub fn get(&self, ticket: Ticket) -> Option<&Waiting> {
        self.seats.get(ticket.slot as usize).filter(|seat| seat.serial == ticket.serial).map(|seat| &seat.call)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Waiting> {
        self.seats.get_mut(ticket.slot as usize).filter(|seat| seat.serial == ticket.serial).map(|seat| &mut seat.call)
    }

    /// The ticket of the call in a seat.
    pub fn ticket(&self, slot: u32) -> Option<Ticket> {
        self.seats.get(slot as usize).map(|seat| Ticket { slot, serial: seat.serial })
    }

    /// Takes a call out; and the seats before and behind it in its line.
    pub fn leave(&mut self, ticket: Ticket) -> Option<(Waiting, u32, u32)> {
        let seat = self.seats.get_mut(ticket.slot as usize).filter(|seat| seat.serial == ticket.serial)?;
        seat.serial = 0;
        let Seat { call, before, behind, older, newer, .. } = *seat;
        if let Some(next) = self.seats.get_mut(behind as usize) {
            next.before = before;
        }
        if let Some(last) = self.seats.get_mut(before as usize) {
            last.behind = behind;
        }
        if call.jobs == 0 {
            match self.seats.get_mut(newer as usize) {
                Some(next) => next.older = older,
                None => self.newest = older,
            }
            match self.seats.get_mut(older as usize) {
                Some(last) => last.newer = newer,
                None => self.oldest = newer,
            }
            self.ids.remove(ticket.slot, call.call);
        }
        self.free.push(ticket.slot);
        Some((call, before, behind))
    }

    /// The call of this id whose caller waits.
    pub fn find(&self, id: u128) -> Option<Ticket> {
        let is = |slot: u32| self.seats.get(slot as usize).is_some_and(|seat| seat.call.call == id);
        self.ticket(self.ids.find(id, is)?)
    }

    /// Since when the caller that has waited longest waits.
    pub fn oldest(&self) -> Option<i64> {
        self.seats.get(self.oldest as usize).map(|seat| seat.call.arrived)
    }

    /// Those whose callers wait, by arrival.
    pub fn callers(&self) -> impl Iterator<Item = Ticket> + '_ {
        let mut next = self.oldest;
        std::iter::from_fn(move || {
            let seat = self.seats.get(next as usize)?;
            let slot = std::mem::replace(&mut next, seat.newer);
            Some(Ticket { slot, serial: seat.serial })
        })
    }

    /// Everybody, in the order in which they came.
    pub fn all(&self) -> Vec<(Ticket, Waiting)> {
        let seats = (0..).zip(&self.seats).filter(|(_, seat)| seat.serial > 0);
        let mut all: Vec<_> = seats.map(|(slot, seat)| (Ticket { slot, serial: seat.serial }, seat.call)).collect();
        all.sort_unstable_by_key(|(ticket, _)| ticket.serial);
        all
    }

    /// Takes everybody out of their lines, though not out of their seats; in the order in which they came.
    pub fn detach(&mut self) -> Vec<Ticket> {
        let mut all = Vec::new();
        for (slot, seat) in (0..).zip(&mut self.seats).filter(|(_, seat)| seat.serial > 0) {
            (seat.before, seat.behind) = (NONE, NONE);
            all.push(Ticket { slot, serial: seat.serial });
        }
        all.sort_unstable_by_key(|ticket| ticket.serial);
        all
    }

    /// A call stands elsewhere, behind the last of its line, and keeps its seat.
    pub fn move_to(&mut self, ticket: Ticket, call: Waiting, last: u32) {
        let Some(seat) = self.seats.get_mut(ticket.slot as usize).filter(|seat| seat.serial == ticket.serial) else {
            return;
        };
        (seat.call, seat.before, seat.behind) = (call, last, NONE);
        if let Some(last) = self.seats.get_mut(last as usize) {
            last.behind = ticket.slot;
        }
    }

    /// The last in a line whose caller waits, from a seat on towards the front. A lane's jobs have one place.
    pub fn last_caller(&self, from: u32) -> Option<Ticket> {
        let seat = self.seats.get(from as usize)?;
        if seat.call.jobs == 0 { self.ticket(from) } else { self.last_caller(seat.before) }
    }

    /// Calls arrive nearly in order; only one that has waited before, under another policy, comes before others.
    fn link_by_arrival(&mut self, slot: u32, arrived: i64) {
        let mut older = self.newest;
        while let Some(seat) = self.seats.get(older as usize)
            && seat.call.arrived > arrived
        {
            older = seat.older;
        }
        let newer = match self.seats.get_mut(older as usize) {
            Some(seat) => std::mem::replace(&mut seat.newer, slot),
            None => std::mem::replace(&mut self.oldest, slot),
        };
        match self.seats.get_mut(newer as usize) {
            Some(seat) => seat.older = slot,
            None => self.newest = slot,
        }
        if let Some(seat) = self.seats.get_mut(slot as usize) {
            (seat.older, seat.newer) = (older, newer);
        }
    }
}
