//! When each waiting call is to be checked again.

#![expect(clippy::arithmetic_side_effects, reason = "the length of a list in memory")]

use crate::queue::Ticket;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The times and tickets, soonest first. Limiter milliseconds.
#[derive(Debug, Clone, Default)]
pub struct Rechecks(BinaryHeap<Reverse<(i64, Ticket)>>);

impl Rechecks {
    /// Has a ticket checked at `at`. `waits` returns whether a ticket is still held; `len` is how
    /// many are.
    pub fn add(&mut self, ticket: Ticket, at: i64, len: usize, waits: impl Fn(Ticket) -> bool) {
        // Tickets that have gone leave their checks behind: at most as many as wait, and a few.
        if self.0.len() > 2 * len + 64 {
            self.0.retain(|Reverse((_, ticket))| waits(*ticket));
        }
        self.0.push(Reverse((at, ticket)));
    }

    /// Returns the next ticket to check, if its time has come.
    pub fn due(&mut self, now: i64, waits: impl Fn(Ticket) -> bool) -> Option<Ticket> {
        loop {
            let at = self.next(&waits)?;
            if at > now {
                return None;
            }
            let Reverse((_, ticket)) = self.0.pop()?;
            if waits(ticket) {
                return Some(ticket);
            }
        }
    }

    /// Returns when the next ticket is to be checked.
    pub fn next(&mut self, waits: impl Fn(Ticket) -> bool) -> Option<i64> {
        while let Some(&Reverse((at, ticket))) = self.0.peek() {
            if waits(ticket) {
                return Some(at);
            }
            self.0.pop();
        }
        None
    }

    /// Returns how many checks are kept, those of calls that have gone included.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
