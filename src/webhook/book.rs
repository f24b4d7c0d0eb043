//! What is held in memory of a tenant's messages: where each one is, and when something is to happen to it.
//!
//! | bound | at most | beyond it |
//! |---|---|---|
//! | messages to be delivered | [`MOST_WAITING`] | a new one is a dead letter, `queue-full` |
//! | being sent at once | [`MOST_AT_ONCE`], half of them to one receiver | they wait |
//! | dead letters | [`MOST_DEAD`], for [`DEAD_MS`] | the oldest is forgotten |
//!
//! The next to go is one to the receiver that is busy with the fewest, so that one that is slow or gone holds up nobody's
//! messages but its own.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "counts of at most 20,000 messages, each taken down before it is taken away"
)]

use std::collections::VecDeque;

/// Messages of a tenant that are to be delivered: 200 MB at their longest.
pub const MOST_WAITING: usize = 10_000;
/// Messages of a tenant that could not be delivered.
pub const MOST_DEAD: usize = 10_000;
/// How long those are kept, milliseconds: 30 days, as a job's.
pub const DEAD_MS: i64 = crate::job::index::DEAD_MS;
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
    /// Whom it goes to, see [`super::receiver`].
    pub receiver: u32,
    /// Where it is.
    pub stage: Stage,
    /// When something happens to it, Unix ms.
    pub at: i64,
}

/// All messages of a tenant that are not delivered.
#[derive(Debug, Default)]
pub struct Book {
    /// In the order of their ids.
    entries: Vec<Entry>,
    /// Of all that are not ready, in the order of their times.
    timers: Vec<(i64, u128)>,
    /// One for each receiver of a message that is ready or being sent, in the order of receivers.
    lanes: Vec<Lane>,
    dead: usize,
}

/// What is on its way to one receiver.
#[derive(Debug, Default)]
struct Lane {
    receiver: u32,
    ready: VecDeque<u128>,
    sending: usize,
}

impl Book {
    /// A message by its id.
    pub fn get(&self, id: u128) -> Option<Entry> {
        self.entries.get(self.place(id).ok()?).copied()
    }

    /// The dead letters made before that one, the oldest first; all for none.
    pub fn dead(&self, before: Option<u128>) -> impl DoubleEndedIterator<Item = u128> {
        let end = before.map_or(self.entries.len(), |id| self.place(id).unwrap_or_else(|at| at));
        let before = self.entries.get(..end).unwrap_or_default().iter();
        before.filter(|entry| entry.stage == Stage::Dead).map(|entry| entry.id)
    }

    /// How many are to be delivered, and how many could not be.
    pub const fn counts(&self) -> (usize, usize) {
        (self.entries.len() - self.dead, self.dead)
    }

    /// Whether there is room for another that is to be delivered.
    pub const fn has_room(&self) -> bool {
        self.counts().0 < MOST_WAITING
    }

    /// Takes a message in, or moves it on.
    pub fn put(&mut self, id: u128, receiver: u32, stage: Stage, at: i64) {
        self.remove(id);
        if let Err(place) = self.place(id) {
            self.entries.insert(place, Entry { id, receiver, stage, at });
        }
        self.dead += usize::from(stage == Stage::Dead);
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
            self.put(id, entry.receiver, stage, at);
        }
    }

    /// Forgets a message.
    pub fn remove(&mut self, id: u128) {
        let Ok(place) = self.place(id) else { return };
        let Entry { receiver, stage, at, .. } = self.entries.remove(place);
        self.dead -= usize::from(stage == Stage::Dead);
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

    /// Dead letters beyond the bound, the oldest first, and some more, so that this is not asked for each time.
    pub fn too_many_dead(&self) -> Vec<u128> {
        if self.dead <= MOST_DEAD {
            return Vec::new();
        }
        self.dead(None).take(self.dead - MOST_DEAD + MOST_DEAD / 100).collect()
    }

    fn place(&self, id: u128) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&id, |entry| entry.id)
    }
}
