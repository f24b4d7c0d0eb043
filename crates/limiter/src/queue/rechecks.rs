//! When each waiting call is to be looked at again.

#![expect(clippy::arithmetic_side_effects, reason = "the length of a list in memory")]

use crate::queue::Ticket;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The times, soonest first. Limiter milliseconds.
#[derive(Debug, Clone, Default)]
pub struct Rechecks(BinaryHeap<Reverse<(i64, Ticket)>>);

impl Rechecks {
    /// A ticket is to be looked at then. `waits` tells whether a ticket is still held, `len` how many are.
    pub fn add(&mut self, ticket: Ticket, at: i64, len: usize, waits: impl Fn(Ticket) -> bool) {
        // Tickets that have gone leave their checks behind: at most as many as wait, and a few.
        if self.0.len() > 2 * len + 64 {
            self.0.retain(|Reverse((_, ticket))| waits(*ticket));
        }
        self.0.push(Reverse((at, ticket)));
    }

    /// The next ticket to look at, if its time has come.
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

    /// When that is.
    pub fn next(&mut self, waits: impl Fn(Ticket) -> bool) -> Option<i64> {
        while let Some(&Reverse((at, ticket))) = self.0.peek() {
            if waits(ticket) {
                return Some(at);
            }
            self.0.pop();
        }
        None
    }

    /// How many are kept, of those that have gone too.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
