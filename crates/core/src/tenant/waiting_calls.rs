//! The calls of a connection that wait in its limiter's queue, and the reports that wait to be
//! stored.

use super::replies::Ticket;
use crate::lookup::Lookup;
use crate::protocol::Admit;
use sluice_limiter::Ticket as QueueTicket;

/// A call that waits in the limiter's queue.
pub(super) struct WaitingCall {
    /// The call's place in the limiter's queue.
    pub(super) place: QueueTicket,
    /// The ticket under which its caller is answered.
    pub(super) ticket: Ticket,
    /// The call, as it asked to go.
    pub(super) admit: Box<Admit>,
}

/// Those who wait for something of a connection.
#[derive(Default)]
pub(super) struct WaitingCalls {
    /// The calls, by the numbers of their places in the limiter's queue.
    calls: Lookup<u64, WaitingCall>,
    /// The places of the calls in the limiter's queue, by their tickets.
    places: Lookup<u64, QueueTicket>,
    /// The tickets of those who wait until what they have reported is stored.
    reports: Vec<Ticket>,
}

impl WaitingCalls {
    /// Adds a call. A call that had its place waits no more.
    pub(super) fn add(&mut self, call: WaitingCall) {
        let (place, ticket) = (call.place, call.ticket);
        if let Some(earlier) = self.calls.insert(place.number(), call) {
            self.places.remove(&earlier.ticket.0);
        }
        self.places.insert(ticket.0, place);
    }

    /// Takes out the call that has a place in the limiter's queue.
    pub(super) fn remove(&mut self, place: QueueTicket) -> Option<WaitingCall> {
        let call = self.calls.remove(&place.number())?;
        self.places.remove(&call.ticket.0);
        Some(call)
    }

    /// Takes out the call that waits under a ticket, and gives its place in the limiter's queue.
    pub(super) fn cancel(&mut self, ticket: Ticket) -> Option<QueueTicket> {
        let place = self.places.remove(&ticket.0)?;
        self.calls.remove(&place.number());
        Some(place)
    }

    /// All calls that wait, in no order.
    pub(super) fn calls(&self) -> impl Iterator<Item = &WaitingCall> {
        self.calls.values()
    }

    /// The tickets of all calls that wait, in no order.
    pub(super) fn into_tickets(self) -> impl Iterator<Item = Ticket> {
        self.calls.into_values().map(|call| call.ticket)
    }

    /// Adds someone who waits until a report is stored.
    pub(super) fn add_report(&mut self, ticket: Ticket) {
        self.reports.push(ticket);
    }

    /// Takes out all who wait until their reports are stored.
    pub(super) fn take_reports(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.reports)
    }
}
