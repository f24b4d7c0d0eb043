//! One epoch: a connection's limiter in memory, from a snapshot to a crash or an orderly end.

#![expect(clippy::arithmetic_side_effects, reason = "a number of 64 bits each event")]

use crate::clock::Clock;

/// The number of an epoch, and the time in it.
#[derive(Debug, Clone, Copy)]
pub struct Epoch {
    number: u32,
    clock: Clock,
    /// The last event's time on the wall clock, Unix milliseconds.
    wall: i64,
    /// How many events there have been.
    events: u64,
}

impl Epoch {
    /// Begins an epoch of that number at a wall time, Unix milliseconds.
    pub const fn new(number: u32, clock: Clock, wall: i64) -> Self {
        Self { number, clock, wall, events: 0 }
    }

    /// Begins an event at a wall time (Unix milliseconds) and returns its limiter time.
    pub fn begin_event(&mut self, wall: i64) -> i64 {
        self.wall = wall;
        self.events += 1;
        self.clock.read(wall)
    }

    /// Returns the epoch's number, which its permits carry.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Returns the limiter time of the last event, milliseconds.
    pub const fn time(&self) -> i64 {
        self.clock.last()
    }

    /// Returns the wall time of the last event, Unix milliseconds.
    pub const fn wall(&self) -> i64 {
        self.wall
    }

    /// Returns what limiter time has over wall time, milliseconds.
    pub const fn offset(&self) -> i64 {
        self.clock.offset()
    }

    /// Returns which event of the epoch the last one is, from 1.
    pub const fn event(&self) -> u64 {
        self.events
    }

    /// Returns the limiter time of a moment on the wall clock.
    pub const fn limiter_time(&self, wall: i64) -> i64 {
        self.time().saturating_add(wall.saturating_sub(self.wall))
    }

    /// Returns the moment on the wall clock of a limiter time, Unix milliseconds.
    pub const fn wall_time(&self, time: i64) -> i64 {
        self.wall.saturating_sub(self.time().saturating_sub(time))
    }
}
