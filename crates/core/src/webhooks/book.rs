//! The undelivered messages of a tenant in memory: the stage of each and its next event.
//!
//! | bound | at most | beyond it |
//! |---|---|---|
//! | messages that wait | [`MOST_WAITING`], [`FOR_ALERTS`] of them only for alerts; per app half of what others leave | a new one is a dead letter, `queue-full` |
//! | messages in flight | [`MOST_AT_ONCE`], half of them to one receiver | they wait |
//! | dead letters | [`MOST_DEAD`], for [`DEAD_MS`] | the oldest of the app with most is forgotten |
//!
//! The next message to go is one to the receiver with the fewest in flight, so that a slow or lost
//! receiver delays only its own messages.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "counts of at most 20,000 messages, each taken down before it is taken away"
)]

use crate::backlog_share::{Held, Room};
use std::collections::VecDeque;

/// The most messages of a tenant that wait for delivery: 200 MB at their longest.
pub const MOST_WAITING: usize = 10_000;
/// How many of these places are reserved for alerts.
pub const FOR_ALERTS: usize = 500;
/// The most messages of a tenant that could not be delivered.
pub const MOST_DEAD: usize = 10_000;
/// How long those are kept, milliseconds: 30 days, like a job.
pub const DEAD_MS: i64 = crate::jobs::index::DEAD_MS;
/// The most messages in flight at once. Each may take 15 s of a Worker.
pub const MOST_AT_ONCE: usize = 20;
/// How many of them may go to one receiver.
pub const MOST_TO_ONE: usize = MOST_AT_ONCE / 2;

/// The stage of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It is sent as soon as possible.
    Ready,
    /// It may not be sent before `at`.
    Later,
    /// A Worker has it; it is given up at `at`.
    Sending,
    /// It is a dead letter, and is kept until `at`.
    Dead,
}

/// A message in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The message's id: the time when it was made, then random bits.
    pub id: u128,
    /// The number of its app, see [`crate::backlog_share::app_number`]; 0 for an alert.
    pub app: u64,
    /// The number of the connection that it is about, made in the same way.
    pub connection: u64,
    /// The number of its receiver, see [`super::receiver`].
    pub receiver: u32,
    /// Its stage.
    pub stage: Stage,
    /// When the stage ends, Unix ms.
    pub at: i64,
}

/// All messages of a tenant that are not delivered.
#[derive(Debug)]
pub struct Outbox {
    /// The entries, in the order of their ids.
    entries: Vec<Entry>,
    /// The times of all messages that are not ready, in order.
    timers: Vec<(i64, u128)>,
    /// A lane for each receiver of a message that is ready or being sent, in the order of
    /// receivers.
    lanes: Vec<Lane>,
    /// What apps hold of the places for messages that wait for delivery.
    room: Room,
    /// The dead letters of each app.
    dead: Room,
    /// How many alerts wait for delivery.
    alerts: u64,
}

impl Default for Outbox {
    fn default() -> Self {
        let places = |places: usize| Room::new(Held { places: places as u64, bytes: 0 });
        Self {
            entries: Vec::new(),
            timers: Vec::new(),
            lanes: Vec::new(),
            room: places(MOST_WAITING - FOR_ALERTS),
            dead: places(MOST_DEAD),
            alerts: 0,
        }
    }
}

/// The messages to one receiver that are ready or in flight.
#[derive(Debug, Default)]
struct Lane {
    receiver: u32,
    ready: VecDeque<u128>,
    sending: usize,
}

impl Outbox {
    /// Returns a message by its id.
    pub fn get(&self, id: u128) -> Option<Entry> {
        self.entries.get(self.place(id).ok()?).copied()
    }

    /// Yields the dead letters of an app, or of all for `None`, that were made before a message,
    /// oldest first.
    pub fn dead(&self, app: Option<u64>, before: Option<u128>) -> impl DoubleEndedIterator<Item = u128> {
        self.dead_of(app, None, before)
    }

    /// Yields dead letters as [`Self::dead`] does, but only those about one connection, or about
    /// all for `None`.
    pub fn dead_of(
        &self,
        app: Option<u64>,
        connection: Option<u64>,
        before: Option<u128>,
    ) -> impl DoubleEndedIterator<Item = u128> {
        let end = before.map_or(self.entries.len(), |id| self.place(id).unwrap_or_else(|at| at));
        let before = self.entries.get(..end).unwrap_or_default().iter();
        let own = move |entry: &&Entry| {
            entry.stage == Stage::Dead
                && app.is_none_or(|app| app == entry.app)
                && connection.is_none_or(|connection| connection == entry.connection)
        };
        before.filter(own).map(|entry| entry.id)
    }

    /// Returns how many messages wait for delivery, and how many could not be delivered.
    pub fn counts(&self) -> (usize, usize) {
        let dead = usize::try_from(self.dead.held().places).unwrap_or(usize::MAX);
        (self.entries.len().saturating_sub(dead), dead)
    }

    /// Whether there is room for another message of an app, or for another alert (app 0).
    pub fn has_room(&self, app: u64) -> bool {
        match app {
            0 => self.counts().0 < MOST_WAITING,
            app => self.room.has_room(app, 0),
        }
    }

    /// Adds a message, or replaces the one with its id.
    pub fn put(&mut self, entry: Entry) {
        let Entry { id, receiver, stage, at, .. } = entry;
        self.remove(id);
        if let Err(place) = self.place(id) {
            self.entries.insert(place, entry);
        }
        self.count(&entry, true);
        if stage == Stage::Sending {
            let lane = self.lane(receiver);
            lane.sending = lane.sending.saturating_add(1);
        }
        if stage == Stage::Ready {
            self.lane(receiver).ready.push_back(id);
        } else if let Err(place) = self.timers.binary_search(&(at, id)) {
            self.timers.insert(place, (at, id));
        }
    }

    /// Moves a message to a stage, if it is there.
    pub fn move_on(&mut self, id: u128, stage: Stage, at: i64) {
        if let Some(entry) = self.get(id) {
            self.put(Entry { stage, at, ..entry });
        }
    }

    /// Removes a message.
    pub fn remove(&mut self, id: u128) {
        let Ok(place) = self.place(id) else { return };
        let entry = self.entries.remove(place);
        self.count(&entry, false);
        let Entry { receiver, stage, at, .. } = entry;
        if stage == Stage::Ready {
            let ready = &mut self.lane(receiver).ready;
            match ready.front() {
                Some(first) if *first == id => drop(ready.pop_front()),
                _ => ready.retain(|ready| *ready != id),
            }
        } else if let Ok(place) = self.timers.binary_search(&(at, id)) {
            self.timers.remove(place);
        }
        if stage == Stage::Sending {
            self.lane(receiver).sending -= 1;
        }
        self.lanes.retain(|lane| lane.sending > 0 || !lane.ready.is_empty());
    }

    /// Counts a message that comes to its stage or leaves it.
    fn count(&mut self, entry: &Entry, comes: bool) {
        let place = Held { places: 1, bytes: 0 };
        let room = match (entry.stage, entry.app) {
            (Stage::Dead, _) => &mut self.dead,
            (_, 0) => {
                self.alerts = if comes { self.alerts + 1 } else { self.alerts.saturating_sub(1) };
                // Alerts beyond their own places take those of apps.
                return self.room.resize((MOST_WAITING as u64).saturating_sub(self.alerts.max(FOR_ALERTS as u64)));
            }
            _ => &mut self.room,
        };
        match comes {
            true => room.take(entry.app, place),
            false => room.give_back(entry.app, place),
        }
    }

    fn lane(&mut self, receiver: u32) -> &mut Lane {
        let at = self.lanes.partition_point(|lane| lane.receiver < receiver);
        if self.lanes.get(at).is_none_or(|lane| lane.receiver != receiver) {
            self.lanes.insert(at, Lane { receiver, ..Lane::default() });
        }
        #[expect(clippy::indexing_slicing, reason = "if there was none at this place, one was just put there")]
        &mut self.lanes[at]
    }

    /// Adjusts all times to a clock that was set back by this many milliseconds, so that messages
    /// wait as long as they would have.
    pub fn set_back(&mut self, ms: i64) {
        let back = |at: &mut i64| *at = at.saturating_sub(ms);
        self.entries.iter_mut().for_each(|entry| back(&mut entry.at));
        self.timers.iter_mut().for_each(|(at, _)| back(at));
    }

    /// Returns the first message whose stage has ended by `now`. It stays until it is moved.
    pub fn due(&self, now: i64) -> Option<Entry> {
        let (at, id) = self.timers.first()?;
        if *at <= now { self.get(*id) } else { None }
    }

    /// Returns when the next stage ends, Unix ms.
    pub fn next_due(&self) -> Option<i64> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Whether a message is ready, even if it may not go yet.
    pub fn is_ready(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.ready.is_empty())
    }

    /// Returns the next message that may go. It stays until it is moved.
    pub fn next(&self) -> Option<u128> {
        if self.lanes.iter().map(|lane| lane.sending).sum::<usize>() >= MOST_AT_ONCE {
            return None;
        }
        let mut first: Option<(usize, u128)> = None;
        for lane in &self.lanes {
            if let Some(id) = lane.ready.front()
                && lane.sending < MOST_TO_ONE
                && first.is_none_or(|first| (lane.sending, *id) < first)
            {
                first = Some((lane.sending, *id));
            }
        }
        first.map(|(_, id)| id)
    }

    /// Returns the dead letters beyond the bound, the oldest of the app that has most first, and a
    /// few more, so that this is not needed each time.
    pub fn too_many_dead(&self) -> Vec<u128> {
        match self.counts().1.checked_sub(MOST_DEAD) {
            None | Some(0) => Vec::new(),
            Some(more) => self.dead(self.dead.most(), None).take(more + MOST_DEAD / 100).collect(),
        }
    }

    fn place(&self, id: u128) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&id, |entry| entry.id)
    }
}
