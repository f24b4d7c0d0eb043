//! Where waiting calls are kept: in numbered entries, each linked to those before and behind it in its line, and to those that have
//! waited longer and less long. So a call comes, goes and is found without a look at the others, however many wait.

#![expect(clippy::arithmetic_side_effects, reason = "one each entry, and a number of 64 bits each arrival")]

use crate::ids::Ids;
use crate::queue::{Ticket, Waiting};

/// No entry.
pub const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Entry {
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

/// All entries.
#[derive(Debug, Clone)]
pub struct CallTable {
    entries: Vec<Entry>,
    free: Vec<u32>,
    serial: u64,
    oldest: u32,
    newest: u32,
    ids: Ids,
}

impl Default for CallTable {
    fn default() -> Self {
        let (entries, free, ids) = (Vec::new(), Vec::new(), Ids::default());
        Self { entries, free, serial: 0, oldest: NONE, newest: NONE, ids }
    }
}

impl CallTable {
    /// Takes a call in, behind the last of its line.
    pub fn insert(&mut self, call: Waiting, last: u32) -> Option<Ticket> {
        self.serial += 1;
        let entry = Entry { call, serial: self.serial, before: last, behind: NONE, older: NONE, newer: NONE };
        let free = self.free.pop();
        let slot = match free {
            Some(slot) => slot,
            None => u32::try_from(self.entries.len()).ok()?,
        };
        match self.entries.get_mut(slot as usize) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
        if let Some(last) = self.entries.get_mut(last as usize) {
            last.behind = slot;
        }
        if call.jobs == 0 {
            self.link_by_arrival(slot, call.arrived);
            let entries = &self.entries;
            let waits = |entry: &&Entry| entry.serial > 0 && entry.call.jobs == 0;
            self.ids.insert(slot, call.call, |slot| Some(entries.get(slot as usize).filter(waits)?.call.call));
        }
        Some(Ticket { slot, serial: self.serial })
    }

    /// The call that holds a ticket.
    pub fn get(&self, ticket: Ticket) -> Option<&Waiting> {
        self.entries.get(ticket.slot as usize).filter(|entry| entry.serial == ticket.serial).map(|entry| &entry.call)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Waiting> {
        self.entries
            .get_mut(ticket.slot as usize)
            .filter(|entry| entry.serial == ticket.serial)
            .map(|entry| &mut entry.call)
    }

    /// The ticket of the call in a entry.
    pub fn ticket(&self, slot: u32) -> Option<Ticket> {
        self.entries.get(slot as usize).map(|entry| Ticket { slot, serial: entry.serial })
    }

    /// Takes a call out; and the entries before and behind it in its line.
    pub fn remove(&mut self, ticket: Ticket) -> Option<(Waiting, u32, u32)> {
        let entry = self.entries.get_mut(ticket.slot as usize).filter(|entry| entry.serial == ticket.serial)?;
        entry.serial = 0;
        let Entry { call, before, behind, older, newer, .. } = *entry;
        if let Some(next) = self.entries.get_mut(behind as usize) {
            next.before = before;
        }
        if let Some(last) = self.entries.get_mut(before as usize) {
            last.behind = behind;
        }
        if call.jobs == 0 {
            match self.entries.get_mut(newer as usize) {
                Some(next) => next.older = older,
                None => self.newest = older,
            }
            match self.entries.get_mut(older as usize) {
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
        let is = |slot: u32| self.entries.get(slot as usize).is_some_and(|entry| entry.call.call == id);
        self.ticket(self.ids.find(id, is)?)
    }

    /// Since when the caller that has waited longest waits.
    pub fn oldest(&self) -> Option<i64> {
        self.entries.get(self.oldest as usize).map(|entry| entry.call.arrived)
    }

    /// Those whose callers wait, by arrival.
    pub fn callers(&self) -> impl Iterator<Item = Ticket> + '_ {
        let mut next = self.oldest;
        std::iter::from_fn(move || {
            let entry = self.entries.get(next as usize)?;
            let slot = std::mem::replace(&mut next, entry.newer);
            Some(Ticket { slot, serial: entry.serial })
        })
    }

    /// Everybody, in the order in which they came.
    pub fn all(&self) -> Vec<(Ticket, Waiting)> {
        let entries = (0..).zip(&self.entries).filter(|(_, entry)| entry.serial > 0);
        let mut all: Vec<_> =
            entries.map(|(slot, entry)| (Ticket { slot, serial: entry.serial }, entry.call)).collect();
        all.sort_unstable_by_key(|(ticket, _)| ticket.serial);
        all
    }

    /// Takes everybody out of their lines, though not out of their entries; in the order in which they came.
    pub fn detach(&mut self) -> Vec<Ticket> {
        let mut all = Vec::new();
        for (slot, entry) in (0..).zip(&mut self.entries).filter(|(_, entry)| entry.serial > 0) {
            (entry.before, entry.behind) = (NONE, NONE);
            all.push(Ticket { slot, serial: entry.serial });
        }
        all.sort_unstable_by_key(|ticket| ticket.serial);
        all
    }

    /// A call stands elsewhere, behind the last of its line, and keeps its entry.
    pub fn move_to(&mut self, ticket: Ticket, call: Waiting, last: u32) {
        let Some(entry) = self.entries.get_mut(ticket.slot as usize).filter(|entry| entry.serial == ticket.serial)
        else {
            return;
        };
        (entry.call, entry.before, entry.behind) = (call, last, NONE);
        if let Some(last) = self.entries.get_mut(last as usize) {
            last.behind = ticket.slot;
        }
    }

    /// The last in a line whose caller waits, from a entry on towards the front. A lane's jobs have one place.
    pub fn last_caller(&self, from: u32) -> Option<Ticket> {
        let entry = self.entries.get(from as usize)?;
        if entry.call.jobs == 0 { self.ticket(from) } else { self.last_caller(entry.before) }
    }

    /// Calls arrive nearly in order; only one that has waited before, under another policy, comes before others.
    fn link_by_arrival(&mut self, slot: u32, arrived: i64) {
        let mut older = self.newest;
        while let Some(entry) = self.entries.get(older as usize)
            && entry.call.arrived > arrived
        {
            older = entry.older;
        }
        let newer = match self.entries.get_mut(older as usize) {
            Some(entry) => std::mem::replace(&mut entry.newer, slot),
            None => std::mem::replace(&mut self.oldest, slot),
        };
        match self.entries.get_mut(newer as usize) {
            Some(entry) => entry.older = slot,
            None => self.newest = slot,
        }
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            (entry.older, entry.newer) = (older, newer);
        }
    }
}
