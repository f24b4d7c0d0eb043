//! What is held in memory of a tenant's messages: where each one is, and when something is to happen to it.
//!
//! | bound | at most | beyond it |
//! |---|---|---|
//! | messages to be delivered | [`MOST_WAITING`], [`FOR_ALERTS`] of them for alerts alone; of one app, half of what others leave | a new one is a dead letter, `queue-full` |
//! | being sent at once | [`MOST_AT_ONCE`], half of them to one receiver | they wait |
//! | dead letters | [`MOST_DEAD`], for [`DEAD_MS`] | the oldest of the app that has most is forgotten |
//!
//! The next to go is one to the receiver that is busy with the fewest, so that one that is slow or gone holds up nobody's
//! messages but its own.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "counts of at most 20,000 messages, each taken down before it is taken away"
)]

use crate::backlog_share::{Held, Room};
use std::collections::VecDeque;

/// Messages of a tenant that are to be delivered: 200 MB at their longest.
pub const MOST_WAITING: usize = 10_000;
/// Of them for alerts alone.
pub const FOR_ALERTS: usize = 500;
/// Messages of a tenant that could not be delivered.
pub const MOST_DEAD: usize = 10_000;
/// How long those are kept, milliseconds: 30 days, as a job's.
pub const DEAD_MS: i64 = crate::jobs::index::DEAD_MS;
/// Messages on their way at once: each may take 15 s of a Worker.
pub const MOST_AT_ONCE: usize = 20;
/// Of them to one receiver.
pub const MOST_TO_ONE: usize = MOST_AT_ONCE / 2;

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// To be sent as soon as may be.
    Ready,
    /// Not before `at`.
    Later,
    /// A Worker has it; at `at` it is given up.
    Sending,
    /// A dead letter, until `at`.
    Dead,
}

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its id: the time it was made, then chance.
    pub id: u128,
    /// The app whose it is, see [`crate::backlog_share::app_number`]; 0 for an alert.
    pub app: u64,
    /// The connection that it is about, by the same number.
    pub connection: u64,
    /// Whom it goes to, see [`super::receiver`].
    pub receiver: u32,
    /// Where it is.
    pub stage: Stage,
    /// When something happens to it, Unix ms.
    pub at: i64,
}

/// All messages of a tenant that are not delivered.
#[derive(Debug)]
pub struct Outbox {
    /// In the order of their ids.
    entries: Vec<Entry>,
    /// Of all that are not ready, in the order of their times.
    timers: Vec<(i64, u128)>,
    /// One for each receiver of a message that is ready or being sent, in the order of receivers.
    lanes: Vec<Lane>,
    /// What apps hold of the places of messages to be delivered.
    room: Room,
    /// The dead letters of each app.
    dead: Room,
    /// Alerts to be delivered.
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

/// What is on its way to one receiver.
#[derive(Debug, Default)]
struct Lane {
    receiver: u32,
    ready: VecDeque<u128>,
    sending: usize,
}

impl Outbox {
    /// A message by its id.
    pub fn get(&self, id: u128) -> Option<Entry> {
        self.entries.get(self.place(id).ok()?).copied()
    }

    /// The dead letters of an app, or of all, made before that one, the oldest first; all for none.
    pub fn dead(&self, app: Option<u64>, before: Option<u128>) -> impl DoubleEndedIterator<Item = u128> {
        self.dead_of(app, None, before)
    }

    /// The same of those about one connection, or all.
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

    /// How many are to be delivered, and how many could not be.
    pub fn counts(&self) -> (usize, usize) {
        let dead = usize::try_from(self.dead.held().places).unwrap_or(usize::MAX);
        (self.entries.len().saturating_sub(dead), dead)
    }

    /// Whether there is room for another of an app, or another alert for app 0, that is to be delivered.
    pub fn has_room(&self, app: u64) -> bool {
        match app {
            0 => self.counts().0 < MOST_WAITING,
            app => self.room.has_room(app, 0),
        }
    }

    /// Takes a message in, or moves it on.
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

    /// Moves one on that is there.
    pub fn move_on(&mut self, id: u128, stage: Stage, at: i64) {
        if let Some(entry) = self.get(id) {
            self.put(Entry { stage, at, ..entry });
        }
    }

    /// Forgets a message.
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

    /// A message has come to its place, or left it.
    fn count(&mut self, entry: &Entry, comes: bool) {
        let place = Held { places: 1, bytes: 0 };
        let room = match (entry.stage, entry.app) {
            (Stage::Dead, _) => &mut self.dead,
            (_, 0) => {
                self.alerts = if comes { self.alerts + 1 } else { self.alerts.saturating_sub(1) };
                // Beyond their own places they take those of apps.
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

    /// The clock was set back by so many milliseconds: what happens to messages comes after as long as it would have.
    pub fn set_back(&mut self, ms: i64) {
        let back = |at: &mut i64| *at = at.saturating_sub(ms);
        self.entries.iter_mut().for_each(|entry| back(&mut entry.at));
        self.timers.iter_mut().for_each(|(at, _)| back(at));
    }

    /// The first to which something is to happen by `now`. It stays until it is moved on.
    pub fn due(&self, now: i64) -> Option<Entry> {
        let (at, id) = self.timers.first()?;
        if *at <= now { self.get(*id) } else { None }
    }

    /// When something next happens, Unix ms.
    pub fn next_due(&self) -> Option<i64> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Whether one is ready, whether or not it may go yet.
    pub fn is_ready(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.ready.is_empty())
    }

    /// The next that may go. It stays until it is moved on.
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

    /// Dead letters beyond the bound, the oldest of the app that has most first, and some more, so that this is not asked for each
    /// time.
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
