//! Calls that wait for the access token of their connection. Where the places are taken, apps share
//! them by weight.

use crate::backlog_share::app_number;
use crate::lookup::Lookup;
use crate::protocol;
use crate::tenant::replies::Ticket;
use sluice_limiter::places::{Admit, Places};
use std::collections::BTreeMap;

/// Calls of a connection that may wait for a token at once. Each is a future in the object.
pub(super) const MOST_WAITING: u32 = 1_000;

/// A call that waits for a token.
#[derive(Clone)]
pub(in crate::tenant) struct Waiter {
    /// The ticket under which the caller is answered.
    pub ticket: Ticket,
    /// The call, as it asked to go.
    pub admit: Box<protocol::Admit>,
    /// Since when the call waits, in Unix milliseconds.
    pub since: i64,
    /// The weight of the app that waits, by which places are shared.
    pub weight: u32,
}

impl Waiter {
    fn app(&self) -> u64 {
        app_number(self.admit.claims.app.as_deref().unwrap_or_default())
    }
}

/// All calls that wait.
#[derive(Clone)]
pub(super) struct Waiting {
    places: Places<u64>,
    /// The calls, by their tickets.
    waiters: Lookup<u64, Waiter>,
    /// The tickets of each app in the order in which they came, and some that wait no more.
    apps: BTreeMap<u64, Vec<u64>>,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { places: Places::new(MOST_WAITING), waiters: Lookup::default(), apps: BTreeMap::new() }
    }
}

impl Waiting {
    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Adds a call. Gives the call that waits no more in its place, if there is one.
    ///
    /// # Errors
    /// Fails if no place is left for the call.
    pub(super) fn add(&mut self, waiter: Waiter) -> Result<Option<Waiter>, Waiter> {
        let app = waiter.app();
        let instead = match self.places.admit(&app, waiter.weight) {
            Admit::Free => None,
            Admit::Instead(other) => self.remove_last(other),
            Admit::Full => return Err(waiter),
        };
        self.places.take(app, waiter.weight);
        match self.apps.get_mut(&app) {
            Some(tickets) => tickets.push(waiter.ticket.0),
            None => drop(self.apps.insert(app, vec![waiter.ticket.0])),
        }
        self.waiters.insert(waiter.ticket.0, waiter);
        Ok(instead)
    }

    /// Takes out the call that waits under a ticket.
    pub(super) fn remove(&mut self, ticket: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&ticket)?;
        let app = waiter.app();
        self.places.leave(&app);
        match self.places.held(&app) as usize {
            0 => drop(self.apps.remove(&app)),
            held => {
                // Those that are left behind are at most as many as wait, and a few.
                if let Some(tickets) = self.apps.get_mut(&app).filter(|tickets| tickets.len() / 2 > held.max(16)) {
                    tickets.retain(|ticket| self.waiters.contains_key(ticket));
                }
            }
        }
        Some(waiter)
    }

    fn remove_last(&mut self, app: u64) -> Option<Waiter> {
        loop {
            let last = self.apps.get_mut(&app)?.pop()?;
            if self.waiters.contains_key(&last) {
                return self.remove(last);
            }
        }
    }

    /// The tickets that are remembered, of calls that wait and of others.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.apps.values().map(Vec::len).sum()
    }

    /// Takes out all that wait, the first first: tickets count up.
    pub(super) fn take(&mut self) -> Vec<Waiter> {
        let mut all: Vec<Waiter> = std::mem::take(self).waiters.into_values().collect();
        all.sort_unstable_by_key(|waiter| waiter.ticket.0);
        all
    }
}
