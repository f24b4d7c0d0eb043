//! The asks that are not answered yet, by their tickets and by their calls' ids. An event looks at
//! no more of them than it ends.

use super::replies::Ticket;
use crate::lookup::Lookup;

/// Whom to answer, for each ask that waits.
pub struct Waiters<T> {
    held: Lookup<u64, (Option<u128>, T)>,
    tickets: Lookup<u128, u64>,
}

impl<T> Default for Waiters<T> {
    fn default() -> Self {
        Self { held: Lookup::default(), tickets: Lookup::default() }
    }
}

impl<T> Waiters<T> {
    /// Adds an ask, which may be for a call. Nobody listens any longer to an earlier ask for the
    /// same call: it is dropped without an answer.
    pub fn add(&mut self, ticket: Ticket, call: Option<u128>, tell: T) {
        self.held.insert(ticket.0, (call, tell));
        if let Some(earlier) = call.and_then(|call| self.tickets.insert(call, ticket.0)) {
            self.held.remove(&earlier);
        }
    }

    /// Takes out whom to answer for a ticket.
    pub fn remove(&mut self, ticket: Ticket) -> Option<T> {
        let (call, tell) = self.held.remove(&ticket.0)?;
        if let Some(call) = call {
            self.tickets.remove(&call);
        }
        Some(tell)
    }

    /// The ticket that a call waits under.
    pub fn of_call(&self, call: u128) -> Option<Ticket> {
        self.tickets.get(&call).map(|ticket| Ticket(*ticket))
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Takes out all who wait: nothing is known of their asks from now on.
    pub fn into_all(self) -> impl Iterator<Item = T> {
        self.held.into_values().map(|(_, tell)| tell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_asks_again_waits_once() {
        let mut waiters = Waiters::default();
        waiters.add(Ticket(1), Some(7), "first");
        waiters.add(Ticket(2), Some(7), "second");
        assert_eq!(waiters.of_call(7), Some(Ticket(2)));
        assert_eq!((waiters.remove(Ticket(1)), waiters.remove(Ticket(2))), (None, Some("second")));
        assert!(waiters.is_empty() && waiters.of_call(7).is_none());
    }

    #[test]
    fn asks_for_no_call_do_not_displace_each_other() {
        let mut waiters = Waiters::default();
        waiters.add(Ticket(1), None, "first");
        waiters.add(Ticket(2), None, "second");
        assert_eq!((waiters.remove(Ticket(1)), waiters.remove(Ticket(2))), (Some("first"), Some("second")));
        assert!(waiters.is_empty());
    }
}
