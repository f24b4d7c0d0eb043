//! The index of a tenant's jobs in memory: the stage of each and its next event, ordered so that no
//! event has to look at all jobs.
//!
//! | bound | at most | beyond it |
//! |---|---|---|
//! | jobs that are queued, running or dead | [`MOST_UNDONE`]; per app half of what others leave | a new job is refused, `queue-full` |
//! | bytes of requests and answers | [`MOST_BYTES`]; per app half of what others leave | the same; an answer's body is not kept |
//! | done jobs | [`MOST_DONE`], for [`DONE_MS`] | the oldest is forgotten |
//! | dead letters | [`DEAD_MS`] | forgotten |
//! | jobs of one lane at the vendor | [`MOST_AT_ONCE`] | they wait |

#![expect(
    clippy::arithmetic_side_effects,
    reason = "counts of at most 20,000 jobs of each kind, and an urgency of 7 by a minute"
)]

use super::lanes::{Lane, Lanes};
use super::record::State;
use crate::backlog_share::{Held, Room, app_number};
use crate::lookup::Lookup;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The most jobs of a tenant that are queued, running or dead.
pub const MOST_UNDONE: usize = 20_000;
/// The most done jobs whose answer is kept.
pub const MOST_DONE: usize = 20_000;
/// The most bytes of all requests and answers. An object may store ten times as much (the
/// platform's limit is 10 GB).
pub const MOST_BYTES: u64 = 1 << 30;
/// How long a done job is kept and its `Idempotency-Key` stands for it, milliseconds: 24 hours.
pub const DONE_MS: i64 = 86_400_000;
/// How long a dead letter is kept, milliseconds: 30 days.
pub const DEAD_MS: i64 = 30 * DONE_MS;
/// How many jobs of one lane may be at the vendor at once, where no limit of the vendor's is lower.
pub const MOST_AT_ONCE: u32 = 100;
/// How long a job waits until its urgency rises by one level, milliseconds.
const LEVEL_MS: i64 = 60_000;
/// The urgency to which waiting can raise a job, that of a call without `Priority`. Without this
/// bound a long backlog would go before all direct calls of its app.
const ORDINARY: u8 = 3;

/// The stage of a job in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It is queued and may not go before `at`.
    Later,
    /// It is queued in its lane.
    Ready,
    /// It is queued and has a permit.
    Granted,
    /// It is running, and is given up at `at`.
    Running,
    /// It is done, and is kept until `at`.
    Done,
    /// It is a dead letter, and is kept until `at`.
    Dead,
    /// It has been removed; only its entry is left.
    Gone,
}

impl Stage {
    /// Returns the state that is shown for this stage.
    pub const fn state(self) -> State {
        match self {
            Self::Later | Self::Ready | Self::Granted => State::Queued,
            Self::Running => State::Running,
            Self::Dead => State::Dead,
            Self::Done | Self::Gone => State::Done,
        }
    }
}

/// A job in the index.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The job's id: the time when it was made, then random bits.
    pub id: u128,
    /// The job's stage.
    pub stage: Stage,
    /// When the stage ends, Unix ms.
    pub at: i64,
    /// The number of its current or last run.
    pub run: u32,
    /// The number of the job's lane in [`Index::lanes`].
    pub lane: u32,
    /// The urgency, 0 first.
    pub urgency: u8,
    /// The digest of its idempotency key, 0 for none.
    pub key: u128,
    /// How many bytes it has in storage.
    pub bytes: u32,
    /// When it was queued, Unix ms.
    pub since: i64,
    /// Whether an attempt has been made since it was queued.
    pub begun: bool,
}

/// All jobs of a tenant.
#[derive(Debug)]
pub struct Index {
    /// The entries, in the order of their ids.
    entries: Vec<Entry>,
    timers: BinaryHeap<Reverse<(i64, u128)>>,
    /// When jobs were queued that have not begun. Items of jobs that have begun stay until they
    /// come first.
    pub(super) fresh: BinaryHeap<Reverse<(i64, u128)>>,
    /// The lanes in which the jobs wait.
    pub lanes: Lanes,
    /// Jobs by the digests of their idempotency keys.
    keys: Lookup<u128, u128>,
    /// What apps hold: places of jobs that are not done, and bytes of all jobs.
    room: Room,
    done: usize,
    live: usize,
    /// How many of the entries have been removed.
    gone: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            timers: BinaryHeap::new(),
            fresh: BinaryHeap::new(),
            lanes: Lanes::default(),
            keys: Lookup::default(),
            room: Room::new(Held { places: MOST_UNDONE as u64, bytes: MOST_BYTES }),
            done: 0,
            live: 0,
            gone: 0,
        }
    }
}

impl Index {
    /// Returns a job by its id.
    pub fn get(&self, id: u128) -> Option<&Entry> {
        self.entries.get(self.place(id).ok()?).filter(|entry| entry.stage != Stage::Gone)
    }

    /// Yields all jobs in the order in which they were made.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.stage != Stage::Gone)
    }

    /// Yields the jobs that were made before this one, or all for `None`.
    pub fn before(&self, id: Option<u128>) -> impl DoubleEndedIterator<Item = &Entry> {
        let end = id.map_or(self.entries.len(), |id| self.place(id).unwrap_or_else(|at| at));
        self.entries.get(..end).unwrap_or_default().iter().filter(|entry| entry.stage != Stage::Gone)
    }

    /// Whether there is no job.
    pub const fn is_empty(&self) -> bool {
        self.entries.len() == self.gone
    }

    /// Returns how many jobs are queued or running.
    pub const fn live(&self) -> usize {
        self.live
    }

    /// Whether there is room for another job of an app with this many bytes.
    pub fn has_room(&self, app: &str, bytes: u64) -> bool {
        self.room.has_room(app_number(app), bytes)
    }

    /// Whether there is room for this many bytes more of a job that an app has.
    pub fn has_bytes(&self, app: &str, bytes: u64) -> bool {
        self.room.has_bytes(app_number(app), bytes)
    }

    /// Returns the job that this idempotency key stands for.
    pub fn of_key(&self, key: u128) -> Option<u128> {
        self.keys.get(&key).copied()
    }

    /// Adds a job, whose id must be new.
    pub fn insert(&mut self, entry: Entry) {
        let fresh = Entry { stage: Stage::Gone, ..entry };
        let at = match self.place(entry.id) {
            Ok(at) => match self.entries.get_mut(at).filter(|known| known.stage == Stage::Gone) {
                Some(known) => {
                    *known = fresh;
                    self.gone = self.gone.saturating_sub(1);
                    at
                }
                None => return self.lanes.free_if_empty(entry.lane),
            },
            Err(at) => {
                self.entries.insert(at, fresh);
                at
            }
        };
        self.room.take(self.app_of(&entry), Held { places: 0, bytes: entry.bytes.into() });
        if entry.key != 0 {
            // The key may have been used a day or more ago.
            let latest = self.of_key(entry.key).map_or(entry.id, |known| known.max(entry.id));
            self.keys.insert(entry.key, latest);
        }
        self.put(at, entry.stage, entry.at);
        if is_fresh(&entry) {
            self.set_fresh(entry.since, entry.id);
        }
    }

    /// Moves a job to a stage, which ends at `at`, Unix ms.
    pub fn set(&mut self, id: u128, stage: Stage, at: i64) {
        if let Ok(place) = self.place(id)
            && self.get(id).is_some()
        {
            self.put(place, stage, at);
        }
    }

    /// Adjusts all times to a clock that was set back by this many milliseconds, so that jobs wait
    /// as long as they would have.
    pub fn set_back(&mut self, ms: i64) {
        self.fresh.clear();
        for at in 0..self.entries.len() {
            let Some(entry) = self.entries.get_mut(at) else { continue };
            entry.since = entry.since.saturating_sub(ms);
            let entry = *entry;
            if is_fresh(&entry) {
                self.fresh.push(Reverse((entry.since, entry.id)));
            }
        }
        let wait = |entry: &&Entry| matches!(entry.stage, Stage::Later | Stage::Running);
        let waiting: Vec<Entry> = self.iter().filter(wait).copied().collect();
        for entry in waiting {
            self.set(entry.id, entry.stage, entry.at.saturating_sub(ms));
        }
        self.lanes.set_back();
    }

    /// Sets the number of the job's current run.
    pub fn set_run(&mut self, id: u128, run: u32) {
        if let Some(entry) = self.entry(id) {
            entry.run = run;
        }
    }

    /// Sets whether an attempt of the job has been made since it was queued.
    pub fn set_begun(&mut self, id: u128, begun: bool) {
        let Some(entry) = self.entry(id).filter(|entry| entry.begun != begun) else { return };
        entry.begun = begun;
        let since = entry.since;
        if !begun {
            self.set_fresh(since, id);
        }
    }

    /// Returns the job that has waited longest for its first attempt, and since when, Unix ms.
    pub fn first_fresh(&mut self) -> Option<(i64, u128)> {
        while let Some(&Reverse((since, id))) = self.fresh.peek() {
            if self.get(id).is_some_and(|entry| entry.since == since && is_fresh(entry)) {
                return Some((since, id));
            }
            self.fresh.pop();
        }
        None
    }

    /// Sets how many bytes the job has in storage.
    pub fn set_bytes(&mut self, id: u128, bytes: u32) {
        if let Some(entry) = self.entry(id) {
            let before = std::mem::replace(&mut entry.bytes, bytes);
            let entry = *entry;
            let app = self.app_of(&entry);
            self.room.take(app, Held { places: 0, bytes: bytes.into() });
            self.room.give_back(app, Held { places: 0, bytes: before.into() });
        }
    }

    fn app_of(&self, entry: &Entry) -> u64 {
        self.lanes.get(entry.lane).map_or(0, |lane| lane.app_number)
    }

    fn entry(&mut self, id: u128) -> Option<&mut Entry> {
        let at = self.place(id).ok()?;
        self.entries.get_mut(at).filter(|entry| entry.stage != Stage::Gone)
    }

    /// Removes a job.
    pub fn remove(&mut self, id: u128) {
        let Some(entry) = self.get(id).copied() else { return };
        // The room is booked back first, since the lane may be freed when its last job leaves.
        self.room.give_back(self.app_of(&entry), Held { places: 0, bytes: entry.bytes.into() });
        self.set(id, Stage::Gone, i64::MAX);
        self.gone += 1;
        if self.of_key(entry.key) == Some(id) {
            self.keys.remove(&entry.key);
        }
    }

    /// Drops the removed entries once they are an eighth of all, since this looks at every entry.
    pub fn compact(&mut self) {
        if self.gone > self.entries.len() / 8 {
            self.entries.retain(|entry| entry.stage != Stage::Gone);
            self.gone = 0;
        }
    }

    /// Returns the next job whose stage has ended by `now`.
    pub fn due(&mut self, now: i64) -> Option<Entry> {
        let entry = self.next_timed().filter(|entry| entry.at <= now)?;
        self.timers.pop();
        Some(entry)
    }

    /// Returns when the next stage ends, Unix ms.
    pub fn next_due(&mut self) -> Option<i64> {
        self.next_timed().map(|entry| entry.at)
    }

    fn next_timed(&mut self) -> Option<Entry> {
        while let Some(&Reverse((at, id))) = self.timers.peek() {
            let entry = self.get(id).copied().filter(|entry| entry.at == at && is_timed(entry.stage));
            if entry.is_some() {
                return entry;
            }
            self.timers.pop();
        }
        None
    }

    /// Returns how many jobs of a lane may ask for a permit, the urgency of the first, and when
    /// that rises, Unix ms.
    pub fn wants(&mut self, lane: u32, now: i64) -> (u32, u8, Option<i64>) {
        let Some(entry) = self.first(lane) else { return (0, 0, None) };
        let waited = now.saturating_sub(entry.at).max(0) / LEVEL_MS;
        let (urgency, rises) = match entry.urgency {
            urgent @ 0..=ORDINARY => (urgent, None),
            urgency => {
                let levels = u8::try_from(waited).unwrap_or(u8::MAX);
                let urgency = urgency.saturating_sub(levels).max(ORDINARY);
                let rises = entry.at.saturating_add((waited + 1) * LEVEL_MS);
                (urgency, (urgency > ORDINARY).then_some(rises))
            }
        };
        let Some(lane) = self.lanes.get(lane) else { return (0, 0, None) };
        (lane.waiting.min(MOST_AT_ONCE.saturating_sub(lane.busy)), urgency, rises)
    }

    /// Returns the job of a lane that goes first.
    pub fn first(&mut self, lane: u32) -> Option<Entry> {
        loop {
            let Reverse((rank, id)) = *self.lanes.get(lane)?.ready.peek()?;
            let entry = self.get(id).copied();
            let stands = |entry: &Entry| entry.stage == Stage::Ready && entry.lane == lane && entry.rank() == rank;
            if let Some(entry) = entry.filter(stands) {
                return Some(entry);
            }
            self.lanes.get_mut(lane)?.ready.pop();
        }
    }

    /// Returns the done jobs beyond the bound, oldest first, and a few more, so that this is not
    /// needed each time.
    pub fn too_many_done(&self) -> Vec<u128> {
        if self.done <= MOST_DONE {
            return Vec::new();
        }
        let done = self.iter().filter(|entry| entry.stage == Stage::Done).map(|entry| entry.id);
        done.take(self.done - MOST_DONE + MOST_DONE / 100).collect()
    }

    fn set_fresh(&mut self, since: i64, id: u128) {
        // Old items are dropped as they are for timers.
        if self.fresh.len() > 2 * self.entries.len() + 64 {
            let fresh = std::mem::take(&mut self.fresh);
            let stands = |Reverse((since, id)): &Reverse<(i64, u128)>| {
                self.get(*id).is_some_and(|entry| entry.since == *since && !entry.begun)
            };
            let mut fresh: Vec<_> = fresh.into_iter().filter(stands).collect();
            // A job that came back unsent more than once has several items.
            fresh.sort_unstable();
            fresh.dedup();
            self.fresh = fresh.into();
        }
        self.fresh.push(Reverse((since, id)));
    }

    fn set_timer(&mut self, at: i64, id: u128) {
        // Timers of jobs that have moved on stay behind, at most as many as there are jobs and a
        // few.
        if self.timers.len() > 2 * self.entries.len() + 64 {
            let timers = std::mem::take(&mut self.timers);
            let stands = |Reverse((at, id)): &Reverse<(i64, u128)>| self.get(*id).is_some_and(|e| e.at == *at);
            self.timers = timers.into_iter().filter(stands).collect();
        }
        self.timers.push(Reverse((at, id)));
    }

    /// Drops the items of jobs that left a lane from its middle, once they are more than the
    /// waiting jobs and a few.
    fn drop_past(&mut self, at: u32) {
        let most = |lane: &Lane| 2 * lane.waiting as usize + 64;
        let Some(lane) = self.lanes.get_mut(at).filter(|lane| lane.ready.len() > most(lane)) else { return };
        let mut ready = std::mem::take(&mut lane.ready);
        ready.retain(|Reverse((rank, id))| {
            self.get(*id).is_some_and(|entry| entry.stage == Stage::Ready && entry.lane == at && entry.rank() == *rank)
        });
        if let Some(lane) = self.lanes.get_mut(at) {
            lane.ready = ready;
        }
    }

    fn place(&self, id: u128) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&id, |entry| entry.id)
    }

    fn put(&mut self, place: usize, stage: Stage, at: i64) {
        let Some(entry) = self.entries.get_mut(place) else { return };
        let before = std::mem::replace(&mut entry.stage, stage);
        entry.at = at;
        let entry = *entry;
        let (app, place) = (self.app_of(&entry), Held { places: 1, bytes: 0 });
        for (stage, more) in [(before, false), (stage, true)] {
            let change = |n: &mut usize| *n = if more { *n + 1 } else { n.saturating_sub(1) };
            match stage {
                Stage::Gone => {}
                Stage::Done => change(&mut self.done),
                _ if more => self.room.take(app, place),
                _ => self.room.give_back(app, place),
            }
            if !matches!(stage, Stage::Gone | Stage::Done | Stage::Dead) {
                change(&mut self.live);
            }
        }
        self.lanes.moved(&entry, before);
        self.drop_past(entry.lane);
        if is_timed(stage) {
            self.set_timer(at, entry.id);
        }
    }
}

const fn is_timed(stage: Stage) -> bool {
    matches!(stage, Stage::Later | Stage::Running | Stage::Done | Stage::Dead)
}

/// Whether a job may expire: it is queued, and no attempt has been made. A running job may come
/// back unsent.
const fn is_fresh(entry: &Entry) -> bool {
    !entry.begun && matches!(entry.stage, Stage::Later | Stage::Ready | Stage::Granted)
}

impl Entry {
    /// Returns the job's rank in its lane. One level less of urgency costs a minute of waiting.
    pub(super) fn rank(&self) -> i64 {
        self.at.saturating_add(i64::from(self.urgency) * LEVEL_MS)
    }
}
