//! Lanes: the jobs of one app on one connection that the same limits count. A lane is in the
//! limiter's queue with the number of its jobs that may go. This module tracks which lanes' numbers
//! have changed since the limiter last received them, so that an event looks only at those, however
//! many lanes there are.

#![expect(clippy::arithmetic_side_effects, reason = "counts of at most 40,000 jobs, and times of at most some minutes")]

use super::index::{Entry, Stage};
use crate::backlog_share::app_number;
use sluice_limiter::ids::Ids;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// Stands for no lane.
const NONE: u32 = u32::MAX;
/// Lanes whose urgency rises within one second of each other are handled together, milliseconds.
const TOGETHER_MS: i64 = 1_000;

/// The jobs of one app on one connection that the same limits count.
#[derive(Debug)]
pub struct Lane {
    /// The connection's name.
    pub connection: String,
    /// The app's name.
    pub app: String,
    /// The app's number, see [`app_number`].
    pub(super) app_number: u64,
    /// The limits that count the lane's jobs: bit i stands for limit i of the connection.
    pub mask: u32,
    /// The limiter's number for this lane, while the limiter knows of jobs in it.
    limiter_lane: Option<u32>,
    /// The jobs that may go, by rank and id. Items of jobs that may no longer go stay until they
    /// come first.
    pub(super) ready: BinaryHeap<Reverse<(i64, u128)>>,
    /// How many jobs may go.
    pub(super) waiting: u32,
    /// How many jobs have a permit or run.
    pub(super) busy: u32,
    /// How many jobs there are at any stage. A lane without any is freed.
    jobs: u32,
    /// The position of the lane in its connection's list.
    place: usize,
    /// Whether it is in its connection's list of changed lanes.
    changed: bool,
    /// When its urgency next rises, Unix ms; `i64::MAX` for never.
    rises: i64,
}

/// How many jobs a connection has in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Queued jobs.
    pub queued: u32,
    /// Running jobs.
    pub running: u32,
    /// Dead letters.
    pub dead: u32,
}

/// The lanes of one connection.
#[derive(Debug, Default)]
struct Connection {
    counts: Counts,
    /// How many jobs may go.
    waiting: u32,
    lanes: Vec<u32>,
    /// The lanes that the limiter must hear of, in the order in which they changed: not all are
    /// reported at once.
    changed: VecDeque<u32>,
    /// The lanes of this connection, indexed by the numbers that its limiter gave them.
    by_limiter_lane: Vec<u32>,
    /// The position in `lanes` of the lane that was last reported again.
    turn: usize,
    /// Whether no job may go because an access token is missing.
    held_back: bool,
}

/// All lanes of a tenant.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: Vec<Lane>,
    /// The numbers of lanes that have been freed.
    free: Vec<u32>,
    /// The lanes by connection, app and mask.
    names: Ids,
    connections: BTreeMap<String, Connection>,
    /// When lanes' urgency rises. Items whose time has changed stay until they come first.
    rises: BinaryHeap<Reverse<(i64, u32)>>,
}

/// Hashes a lane's name to a number, by which [`Ids`] finds it.
fn number(connection: &str, app: u64, mask: u32) -> u128 {
    u128::from(app_number(connection).rotate_left(1) ^ app ^ u64::from(mask).rotate_left(32))
}

impl Lane {
    fn number(&self) -> u128 {
        number(&self.connection, self.app_number, self.mask)
    }

    /// Whether the limiter knows of jobs in this lane.
    pub const fn is_told(&self) -> bool {
        self.limiter_lane.is_some()
    }
}

impl Lanes {
    /// Returns a lane by its number.
    pub fn get(&self, at: u32) -> Option<&Lane> {
        self.lanes.get(at as usize)
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Lane> {
        self.lanes.get_mut(at as usize)
    }

    /// Returns how many lanes there are.
    pub const fn len(&self) -> usize {
        self.lanes.len() - self.free.len()
    }

    /// Whether there is no lane.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the lane of that connection, app and mask, and makes it if needed. It stays while it
    /// has jobs.
    pub fn lane(&mut self, connection: &str, app: &str, mask: u32) -> u32 {
        let id = number(connection, app_number(app), mask);
        let is = |at: u32| {
            let lane = self.lanes.get(at as usize);
            lane.is_some_and(|lane| lane.mask == mask && lane.app == app && lane.connection == connection)
        };
        if let Some(known) = self.names.find(id, is) {
            return known;
        }
        let lane = Lane {
            connection: connection.to_owned(),
            app: app.to_owned(),
            app_number: app_number(app),
            mask,
            limiter_lane: None,
            ready: BinaryHeap::new(),
            waiting: 0,
            busy: 0,
            jobs: 0,
            place: 0,
            changed: false,
            rises: i64::MAX,
        };
        let at = match self.free.pop() {
            Some(free) => free,
            None => u32::try_from(self.lanes.len()).unwrap_or(NONE),
        };
        match self.lanes.get_mut(at as usize) {
            Some(place) => *place = lane,
            None => self.lanes.push(lane),
        }
        self.names.insert(at, id, |at| self.lanes.get(at as usize).map(Lane::number));
        if !self.connections.contains_key(connection) {
            self.connections.insert(connection.to_owned(), Connection::default());
        }
        if let (Some(known), Some(lane)) = (self.connections.get_mut(connection), self.lanes.get_mut(at as usize)) {
            lane.place = known.lanes.len();
            known.lanes.push(at);
        }
        at
    }

    /// Returns the counts of a connection.
    pub fn counts(&self, connection: &str) -> Counts {
        self.connections.get(connection).map(|known| known.counts).unwrap_or_default()
    }

    /// Whether some job of a connection may go.
    pub fn has_waiting(&self, connection: &str) -> bool {
        self.connections.get(connection).is_some_and(|known| known.waiting > 0)
    }

    /// Updates the counts after a job moved to its stage from `before`.
    pub(super) fn moved(&mut self, entry: &Entry, before: Stage) {
        let Some(lane) = self.lanes.get_mut(entry.lane as usize) else { return };
        let Some(known) = self.connections.get_mut(&lane.connection) else { return };
        let was = (lane.waiting, lane.busy);
        for (stage, more) in [(before, false), (entry.stage, true)] {
            let change = |n: &mut u32| *n = if more { *n + 1 } else { n.saturating_sub(1) };
            if stage != Stage::Gone {
                change(&mut lane.jobs);
            }
            match stage {
                Stage::Ready => {
                    change(&mut lane.waiting);
                    change(&mut known.waiting);
                }
                Stage::Granted | Stage::Running => change(&mut lane.busy),
                _ => {}
            }
            match stage {
                Stage::Later | Stage::Ready | Stage::Granted => change(&mut known.counts.queued),
                Stage::Running => change(&mut known.counts.running),
                Stage::Dead => change(&mut known.counts.dead),
                Stage::Done | Stage::Gone => {}
            }
        }
        if entry.stage == Stage::Ready {
            lane.ready.push(Reverse((entry.rank(), entry.id)));
        }
        if was != (lane.waiting, lane.busy) || entry.stage == Stage::Ready {
            known.change(lane, entry.lane);
        }
        self.free_if_empty(entry.lane);
    }

    /// Frees a lane that has no jobs, once the limiter knows that.
    pub(super) fn free_if_empty(&mut self, at: u32) {
        let empty = |lane: &&mut Lane| lane.jobs == 0 && lane.limiter_lane.is_none() && !lane.changed;
        let Some(lane) = self.lanes.get_mut(at as usize).filter(empty) else { return };
        let (id, place) = (lane.number(), lane.place);
        let connection = std::mem::take(&mut lane.connection);
        (lane.app, lane.ready, lane.rises) = (String::new(), BinaryHeap::new(), i64::MAX);
        self.names.remove(at, id);
        self.free.push(at);
        let Some(known) = self.connections.get_mut(&connection) else { return };
        known.lanes.swap_remove(place);
        if let Some(moved) = known.lanes.get(place).and_then(|moved| self.lanes.get_mut(*moved as usize)) {
            moved.place = place;
        }
        if known.lanes.is_empty() {
            self.connections.remove(&connection);
        }
    }

    /// Sets whether the jobs of a connection are held back because an access token is missing.
    pub fn hold_back(&mut self, connection: &str, held_back: bool) {
        let Some(known) = self.connections.get_mut(connection).filter(|known| known.held_back != held_back) else {
            return;
        };
        known.held_back = held_back;
        self.change_all(connection);
    }

    /// Marks all lanes of a connection whose jobs want to go or are known to the limiter as
    /// changed.
    fn change_all(&mut self, connection: &str) {
        let Some(known) = self.connections.get_mut(connection) else { return };
        for place in 0..known.lanes.len() {
            let Some(at) = known.lanes.get(place).copied() else { continue };
            let lane = self.lanes.get_mut(at as usize).filter(|lane| lane.waiting > 0 || lane.limiter_lane.is_some());
            if let Some(lane) = lane {
                known.change(lane, at);
            }
        }
    }

    /// Marks one lane of a connection as changed, each in its turn. If the limiter dropped a lane
    /// because it had no lease left to give, the lane is so in its queue again before long.
    pub fn repeat_one(&mut self, connection: &str) {
        let Some(known) = self.connections.get_mut(connection) else { return };
        known.turn = if known.turn + 1 < known.lanes.len() { known.turn + 1 } else { 0 };
        if let Some(at) = known.lanes.get(known.turn).copied()
            && let Some(lane) = self.lanes.get_mut(at as usize).filter(|lane| lane.waiting > 0)
        {
            known.change(lane, at);
        }
    }

    /// Marks a lane as changed, so that the limiter receives its numbers.
    pub fn change(&mut self, at: u32) {
        if let Some(lane) = self.lanes.get_mut(at as usize)
            && let Some(known) = self.connections.get_mut(&lane.connection)
        {
            known.change(lane, at);
        }
    }

    /// Whether a connection has lanes that have changed.
    pub fn has_changed(&self, connection: &str) -> bool {
        self.connections.get(connection).is_some_and(|known| !known.changed.is_empty())
    }

    /// Takes the next changed lane of a connection, and whether its jobs are held back.
    pub fn next_changed(&mut self, connection: &str) -> Option<(u32, bool)> {
        let known = self.connections.get_mut(connection)?;
        let at = known.changed.pop_front()?;
        if let Some(lane) = self.lanes.get_mut(at as usize) {
            lane.changed = false;
        }
        Some((at, known.held_back))
    }

    /// Notes that the limiter received a lane's numbers. `limiter_lane` is the lane's number there,
    /// `None` if it has no jobs there; `rises` is when the lane's urgency will have risen, Unix ms,
    /// `None` for never.
    pub fn said(&mut self, at: u32, limiter_lane: Option<u32>, rises: Option<i64>) {
        let Some(lane) = self.lanes.get_mut(at as usize) else { return };
        let rises =
            rises.map_or(i64::MAX, |at| at.div_euclid(TOGETHER_MS).saturating_add(1).saturating_mul(TOGETHER_MS));
        let rises_before = std::mem::replace(&mut lane.rises, rises);
        let before = std::mem::replace(&mut lane.limiter_lane, limiter_lane);
        if before != limiter_lane
            && let Some(known) = self.connections.get_mut(&lane.connection)
        {
            if let Some(place) =
                before.and_then(|before| known.by_limiter_lane.get_mut(before as usize)).filter(|own| **own == at)
            {
                *place = NONE;
            }
            if let Some(limiter_lane) = limiter_lane {
                let least = limiter_lane as usize + 1;
                if known.by_limiter_lane.len() < least {
                    known.by_limiter_lane.resize(least, NONE);
                }
                if let Some(place) = known.by_limiter_lane.get_mut(limiter_lane as usize) {
                    *place = at;
                }
            }
        }
        if rises != rises_before && rises != i64::MAX {
            self.rises.push(Reverse((rises, at)));
            if self.rises.len() > 2 * self.lanes.len() + 64 {
                let lanes = &self.lanes;
                self.rises
                    .retain(|Reverse((rises, at))| lanes.get(*at as usize).is_some_and(|lane| lane.rises == *rises));
            }
        }
        self.free_if_empty(at);
    }

    /// Returns the lane of a connection to which the limiter gave this number.
    pub fn of_told(&self, connection: &str, limiter_lane: u32) -> Option<u32> {
        self.connections.get(connection)?.by_limiter_lane.get(limiter_lane as usize).copied().filter(|at| *at != NONE)
    }

    /// Returns when a lane's urgency next rises, Unix ms.
    pub fn next_rise(&mut self) -> Option<i64> {
        while let Some(&Reverse((rises, at))) = self.rises.peek() {
            if self.lanes.get(at as usize).is_some_and(|lane| lane.rises == rises) {
                return Some(rises);
            }
            self.rises.pop();
        }
        None
    }

    /// Takes the next lane whose urgency has risen by `now`, and marks it as changed.
    pub fn risen(&mut self, now: i64) -> Option<&Lane> {
        self.next_rise().filter(|rises| *rises <= now)?;
        let Reverse((_, at)) = self.rises.pop()?;
        self.change(at);
        let lane = self.lanes.get_mut(at as usize)?;
        lane.rises = i64::MAX;
        Some(lane)
    }

    /// Forgets all times after the clock was set back, and marks all lanes as changed so that they
    /// are found again.
    pub(super) fn set_back(&mut self) {
        self.rises.clear();
        self.lanes.iter_mut().for_each(|lane| lane.rises = i64::MAX);
        let names: Vec<String> = self.connections.keys().cloned().collect();
        names.iter().for_each(|name| self.change_all(name));
    }
}

impl Connection {
    fn change(&mut self, lane: &mut Lane, at: u32) {
        if !std::mem::replace(&mut lane.changed, true) {
            self.changed.push_back(at);
        }
    }
}
