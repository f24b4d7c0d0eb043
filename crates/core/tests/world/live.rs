//! Faults that are visible as they happen: calls that wait though they may not, waits past their
//! deadlines, queues over their size.

use super::fair::Fair;
use super::place::OFF;
use super::spec::Conn;
use super::world::World;
use sluice_core::protocol::Reply;
use sluice_core::refusal::Reason;
use sluice_core::tenant::state::Ticket;
use std::collections::BTreeMap;

/// How late a timer may be, with clocks that are truncated to milliseconds.
const LATE: i64 = 60_000;
/// How long an exchange with a pool takes at most, lost messages included.
const POOL: i64 = 4_000_000;

/// The calls that wait, and what is known of them.
#[derive(Default)]
pub struct Watch {
    waits: BTreeMap<(u64, u64), Wait>,
    /// How many calls waited after the last one that came, by instance and connection.
    depths: BTreeMap<(u64, String), u64>,
    pub fair: Fair,
}

struct Wait {
    call: usize,
    since: i64,
    wait_ms: Option<u64>,
    stepped: i64,
}

/// Whether a refusal is for want of room, which a connection in observe mode never gives.
pub fn is_throttling(reason: Reason) -> bool {
    use Reason::{AppBudget, Concurrency, DailyQuota, Deadline, Paused, QueueFull, Rate};
    matches!(reason, AppBudget | Concurrency | DailyQuota | Deadline | Paused | QueueFull | Rate)
}

impl World<'_> {
    /// Returns the connection of a call by the policy in force at an instance.
    pub fn conn_at(&self, place: usize, instance: u64, call: usize) -> Option<&Conn> {
        let version = self.version_of(place, instance)?;
        self.versions[version].spec.as_ref()?.conns.get(&self.calls[call].conn)
    }

    /// Checks a request that is answered at once.
    pub fn watch_answer(
        &mut self,
        place: usize,
        instance: u64,
        call: usize,
        reply: &Reply,
        wait_ms: Option<u64>,
        _probe: bool,
    ) {
        let _ = wait_ms;
        let Some(conn) = self.conn_at(place, instance, call) else { return };
        let (observe, pool) = (conn.observe, conn.has_pool());
        if let Reply::Refused(no) = reply
            && observe
            && !pool
            && is_throttling(no.refusal.reason)
        {
            let text = format!("call {call} is refused ({:?}) in observe mode", no.refusal.reason);
            self.fault("observe", text);
        }
    }

    pub fn watch_wait(&mut self, place: usize, instance: u64, ticket: Ticket, call: usize, wait_ms: Option<u64>) {
        let wait = Wait { call, since: self.now, wait_ms, stepped: self.stepped };
        self.watch.waits.retain(|_, held| held.call != call);
        self.watch.waits.insert((instance, ticket.0), wait);
        let Some(conn) = self.conn_at(place, instance, call) else { return };
        let (observe, pool) = (conn.observe, conn.has_pool());
        if !pool && observe {
            self.fault("observe", format!("call {call} is made to wait in observe mode"));
        }
        if !pool && wait_ms == Some(0) {
            self.fault("wait=0", format!("call {call} says wait=0 and is made to wait"));
        }
        self.fair_wait(place, instance, call);
    }

    /// Checks, after a call was made to wait, that there are no more than allowed.
    pub fn watch_depth(&mut self, place: usize, instance: u64, call: usize) {
        let Some(conn) = self.conn_at(place, instance, call) else { return };
        let (size, pool, name) = (conn.queue, conn.has_pool(), self.calls[call].conn.clone());
        let Some(held) = self.places[place].instances.iter().find(|held| held.id == instance) else { return };
        let waits = |waiter: &super::place::Waiter| match waiter {
            super::place::Waiter::Call { call, .. } => self.calls[*call].conn == name,
            _ => false,
        };
        let depth = held.waiting.values().filter(|waiter| waits(waiter)).count() as u64;
        let still = held
            .waiting
            .values()
            .any(|waiter| matches!(waiter, super::place::Waiter::Call { call: c, .. } if *c == call));
        // After an edit that leaves fewer places, the waiting calls stay. A new call may still take
        // the place of one of them.
        let before = self.watch.depths.insert((instance, name.clone()), depth).unwrap_or(0);
        if still && depth > size && depth > before && !pool {
            self.fault("queue", format!("{depth} calls wait on {name} where {size} may, call {call} the last"));
        }
    }

    /// Checks the answer of a waiting call.
    pub fn watch_end(&mut self, instance: u64, ticket: Ticket, call: usize, reply: &Reply) {
        let Some(wait) = self.watch.waits.remove(&(instance, ticket.0)) else { return };
        let place = self.calls[call].tenant;
        if !matches!(reply, Reply::Permit(_)) {
            self.fair_end(instance, call);
        }
        self.check_deadline(place, instance, &wait);
    }

    fn check_deadline(&mut self, place: usize, instance: u64, wait: &Wait) {
        let Some(conn) = self.conn_at(place, instance, wait.call) else { return };
        let most = wait.wait_ms.unwrap_or(u64::MAX).min(conn.max_wait_ms.max(self.was_max_wait(place, wait)));
        let late = self.now - wait.since - i64::try_from(most).unwrap() * 1_000;
        // Until its loan has come, the call waits all the same.
        let late = if conn.has_pool() || self.had_pool(place, wait) { late - POOL } else { late };
        // A clock that reads less than before, even another host's, stands still until it has
        // caught up.
        let opened = self.places[place].instances.iter().find(|held| held.id == instance).map_or(0, |held| held.opened);
        let stood = if wait.since.saturating_sub(opened.max(self.stepped_at)) < 2 * OFF { 2 * OFF } else { 0 };
        if late > LATE + stood + self.stepped - wait.stepped {
            let text = format!("call {} waits {} ms longer than the {most} ms it may", wait.call, late / 1_000);
            self.fault("deadline", text);
        }
    }

    /// Whether a pool lent to its connection under any policy since a call began to wait: an edit
    /// may end that later.
    fn had_pool(&self, place: usize, wait: &Wait) -> bool {
        let versions = self.versions.iter().filter(|version| version.tenant == place && version.until > wait.since);
        let mut conns = versions.filter_map(|version| version.spec.as_ref()?.conns.get(&self.calls[wait.call].conn));
        conns.any(super::spec::Conn::has_pool)
    }

    /// Returns the longest wait that any policy has allowed since a call began to wait: an edit may
    /// shorten it later.
    fn was_max_wait(&self, place: usize, wait: &Wait) -> u64 {
        let versions = self.versions.iter().filter(|version| version.tenant == place && version.until > wait.since);
        let conns = versions.filter_map(|version| version.spec.as_ref()?.conns.get(&self.calls[wait.call].conn));
        conns.map(|conn| conn.max_wait_ms).max().unwrap_or(0)
    }

    pub fn watch_cancel(&mut self, instance: u64, ticket: Ticket) {
        if let Some(wait) = self.watch.waits.remove(&(instance, ticket.0)) {
            self.fair_end(instance, wait.call);
        }
    }

    /// Checks that no waiting call has been forgotten. It is run now and then.
    pub fn watch_all(&mut self) {
        let alive = |place: &super::place::Place, id: u64| place.instances.iter().any(|held| held.id == id);
        let gone: Vec<(u64, u64)> = self
            .watch
            .waits
            .keys()
            .filter(|(instance, _)| !self.places.iter().any(|place| alive(place, *instance)))
            .copied()
            .collect();
        for key in gone {
            self.watch.waits.remove(&key);
        }
        let waits: Vec<((u64, u64), usize)> = self.watch.waits.iter().map(|(key, wait)| (*key, wait.call)).collect();
        for (key, call) in waits {
            let wait = self.watch.waits.remove(&key).unwrap();
            self.check_deadline(self.calls[call].tenant, key.0, &wait);
            self.watch.waits.insert(key, wait);
        }
    }

    /// Checks the grant of a direct call.
    pub fn watch_grant(&mut self, place: usize, instance: u64, call: usize) {
        self.fair_grant(place, instance, call);
    }
}
