//! The replies to those who wait: tickets tell who waits, and each ticket is answered once.

use crate::protocol::Reply;
use crate::refusal::Refusal;
use crate::upstream::Dialect;
use std::collections::VecDeque;

/// The ticket of an ask that waits for its reply. Tickets count up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The answer to an ask.
#[derive(Debug)]
pub enum Answer {
    /// The reply is known at once.
    Now(Reply),
    /// The reply follows through [`super::state::TenantState::next_ready`], under this ticket.
    Wait(Ticket),
}

/// The replies that are known and not handed out yet, and the tickets that were given.
#[derive(Default)]
pub(super) struct Replies {
    ready: VecDeque<(Ticket, Reply)>,
    last_ticket: u64,
}

impl Replies {
    /// Gives a ticket that nobody has.
    pub(super) fn new_ticket(&mut self) -> Ticket {
        self.last_ticket = self.last_ticket.wrapping_add(1);
        Ticket(self.last_ticket)
    }

    /// Adds the reply to the one who waits under a ticket.
    pub(super) fn push(&mut self, ticket: Ticket, reply: Reply) {
        self.ready.push_back((ticket, reply));
    }

    /// Adds replies.
    pub(super) fn extend(&mut self, replies: impl IntoIterator<Item = (Ticket, Reply)>) {
        self.ready.extend(replies);
    }

    /// Tells those who wait until their reports are stored that they are.
    pub(super) fn acknowledge(&mut self, tickets: Vec<Ticket>) {
        self.extend(tickets.into_iter().map(|ticket| (ticket, Reply::Done)));
    }

    /// Takes out the reply that has been ready longest.
    pub(super) fn pop(&mut self) -> Option<(Ticket, Reply)> {
        self.ready.pop_front()
    }
}

/// A refusal that its caller gets as a problem document, and not in a vendor's dialect.
pub(super) const fn refused(refusal: Refusal) -> Reply {
    Reply::Refused(crate::protocol::No { refusal, dialect: Dialect::Generic, rate_limit: None })
}
