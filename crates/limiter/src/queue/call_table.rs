//! Where waiting calls are kept: in numbered entries, each linked to those before and behind it in its lane, and to those that have
//! waited longer and less long. So a call comes, goes and is found without a look at the others, however many wait.

#![expect(clippy::arithmetic_side_effects, reason = "one each entry, and a number of 64 bits each arrival")]

use crate::ids::Ids;
use crate::index::{Index, SlotId};
use crate::queue::{Ticket, Waiting};
use slab::Slab;

#[derive(Debug, Clone, Copy)]
struct Entry {
    call: Waiting,
    /// The number of the call's ticket.
    serial: u64,
    /// The calls before and behind it in its lane at its urgency.
    before: SlotId,
    behind: SlotId,
    /// The calls that came before and after it, of those whose callers wait.
    older: SlotId,
    newer: SlotId,
}

/// All waiting calls.
#[derive(Debug, Clone)]
pub struct CallTable {
    entries: Slab<Entry>,
    serial: u64,
    oldest: SlotId,
    newest: SlotId,
    ids: Ids,
}

impl Default for CallTable {
    fn default() -> Self {
        Self { entries: Slab::new(), serial: 0, oldest: SlotId::NONE, newest: SlotId::NONE, ids: Ids::default() }
    }
}

impl CallTable {
    /// Takes a call in, behind the last of its lane at its urgency. None when the table is full.
    pub fn insert(&mut self, call: Waiting, last: SlotId) -> Option<Ticket> {
        let slot = SlotId::at(self.entries.vacant_key()).known()?;
        self.serial += 1;
        let none = SlotId::NONE;
        let entry = Entry { call, serial: self.serial, before: last, behind: none, older: none, newer: none };
        self.entries.insert(entry);
        if let Some(last) = self.entries.get_mut(last.position()) {
            last.behind = slot;
        }
        if call.jobs.is_none() {
            self.link_by_arrival(slot, call.arrived);
            let entries = &self.entries;
            self.ids.insert(slot.0, call.call, |slot| Some(entries.get(slot as usize)?.call.call));
        }
        Some(Ticket { slot, serial: self.serial })
    }

    /// Returns the call that holds a ticket.
    pub fn get(&self, ticket: Ticket) -> Option<&Waiting> {
        self.entries.get(ticket.slot.position()).filter(|entry| entry.serial == ticket.serial).map(|entry| &entry.call)
    }

    /// Returns the call that holds a ticket, to be changed.
    pub fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Waiting> {
        self.entries
            .get_mut(ticket.slot.position())
            .filter(|entry| entry.serial == ticket.serial)
            .map(|entry| &mut entry.call)
    }

    /// Returns the ticket of the call in an entry.
    pub fn ticket(&self, slot: SlotId) -> Option<Ticket> {
        self.entries.get(slot.position()).map(|entry| Ticket { slot, serial: entry.serial })
    }

    /// Takes a call out. Returns it with the entries before and behind it in its lane.
    pub fn remove(&mut self, ticket: Ticket) -> Option<(Waiting, SlotId, SlotId)> {
        self.get(ticket)?;
        let Entry { call, before, behind, older, newer, .. } = self.entries.try_remove(ticket.slot.position())?;
        if let Some(next) = self.entries.get_mut(behind.position()) {
            next.before = before;
        }
        if let Some(last) = self.entries.get_mut(before.position()) {
            last.behind = behind;
        }
        if call.jobs.is_none() {
            match self.entries.get_mut(newer.position()) {
                Some(next) => next.older = older,
                None => self.newest = older,
            }
            match self.entries.get_mut(older.position()) {
                Some(last) => last.newer = newer,
                None => self.oldest = newer,
            }
            self.ids.remove(ticket.slot.0, call.call);
        }
        Some((call, before, behind))
    }

    /// Returns the ticket of the call of this id whose caller waits; of several, the one that came
    /// last.
    pub fn find(&self, id: u128) -> Option<Ticket> {
        let serial = |slot: u32| {
            let entry = self.entries.get(slot as usize).filter(|entry| entry.call.call == id)?;
            Some(entry.serial)
        };
        self.ticket(SlotId(self.ids.last(id, serial)?))
    }

    /// Returns since when the caller that has waited longest waits, limiter milliseconds.
    pub fn oldest(&self) -> Option<i64> {
        self.entries.get(self.oldest.position()).map(|entry| entry.call.arrived)
    }

    /// Returns the tickets of the calls whose callers wait, by arrival.
    pub fn callers(&self) -> impl Iterator<Item = Ticket> + '_ {
        let mut next = self.oldest;
        std::iter::from_fn(move || {
            let entry = self.entries.get(next.position())?;
            let slot = std::mem::replace(&mut next, entry.newer);
            Some(Ticket { slot, serial: entry.serial })
        })
    }

    /// Returns all calls, in the order in which they came.
    pub fn all(&self) -> Vec<(Ticket, Waiting)> {
        let ticket = |slot, entry: &Entry| Ticket { slot: SlotId::at(slot), serial: entry.serial };
        let mut all: Vec<_> = self.entries.iter().map(|(slot, entry)| (ticket(slot, entry), entry.call)).collect();
        all.sort_unstable_by_key(|(ticket, _)| ticket.serial);
        all
    }

    /// Takes all calls out of their lanes, though not out of their entries. Returns their tickets in the order in which they came.
    pub fn detach(&mut self) -> Vec<Ticket> {
        let mut all = Vec::new();
        for (slot, entry) in &mut self.entries {
            (entry.before, entry.behind) = (SlotId::NONE, SlotId::NONE);
            all.push(Ticket { slot: SlotId::at(slot), serial: entry.serial });
        }
        all.sort_unstable_by_key(|ticket| ticket.serial);
        all
    }

    /// Puts a call behind the last of another lane; it keeps its entry.
    pub fn move_to(&mut self, ticket: Ticket, call: Waiting, last: SlotId) {
        let Some(entry) = self.entries.get_mut(ticket.slot.position()).filter(|entry| entry.serial == ticket.serial)
        else {
            return;
        };
        (entry.call, entry.before, entry.behind) = (call, last, SlotId::NONE);
        if let Some(last) = self.entries.get_mut(last.position()) {
            last.behind = ticket.slot;
        }
    }

    /// Returns the last call in a lane whose caller waits, from an entry on towards the front. A
    /// lane's jobs have one place.
    pub fn last_caller(&self, from: SlotId) -> Option<Ticket> {
        let entry = self.entries.get(from.position())?;
        if entry.call.jobs.is_none() { self.ticket(from) } else { self.last_caller(entry.before) }
    }

    /// Links a call by its arrival. Calls arrive nearly in order; only one that has waited before, under another policy, comes before others.
    fn link_by_arrival(&mut self, slot: SlotId, arrived: i64) {
        let mut older = self.newest;
        while let Some(entry) = self.entries.get(older.position())
            && entry.call.arrived > arrived
        {
            older = entry.older;
        }
        let newer = match self.entries.get_mut(older.position()) {
            Some(entry) => std::mem::replace(&mut entry.newer, slot),
            None => std::mem::replace(&mut self.oldest, slot),
        };
        match self.entries.get_mut(newer.position()) {
            Some(entry) => entry.older = slot,
            None => self.newest = slot,
        }
        if let Some(entry) = self.entries.get_mut(slot.position()) {
            (entry.older, entry.newer) = (older, newer);
        }
    }
}
