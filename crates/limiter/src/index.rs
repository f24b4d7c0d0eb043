//! Numbers of entries in tables, with a type for each table: a number of one table cannot be used in another.

use serde::{Deserialize, Serialize};
use std::marker::PhantomData;

/// The number of an entry in a [`Table`].
pub trait Index: Copy {
    /// Returns the index of an entry by its position in the table. Positions beyond 32 bits, which
    /// no table has, become `NONE`.
    fn at(position: usize) -> Self;
    /// Returns the position in the table.
    fn position(self) -> usize;
}

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl $name {
            /// Stands for no entry, where an `Option` would take twice the memory. No table has an entry of this number.
            #[allow(dead_code, reason = "not every table needs it")]
            pub const NONE: Self = Self(u32::MAX);

            /// Returns the number as an `Option`.
            #[allow(dead_code, reason = "not every table needs it")]
            pub fn known(self) -> Option<Self> {
                (self != Self::NONE).then_some(self)
            }
        }

        impl Index for $name {
            fn at(position: usize) -> Self {
                u32::try_from(position).map_or(Self::NONE, Self)
            }

            fn position(self) -> usize {
                self.0 as usize
            }
        }
    };
}

index! {
    /// An app's number in the limiter's table of apps.
    AppId
}
index! {
    /// A limit's place in the plan, below 32.
    LimitId
}
index! {
    /// A counter's number in the limiter's table of counters.
    CounterId
}
index! {
    /// A calendar's number in the limiter's table of days.
    CalendarId
}
index! {
    /// A lane's number in the limiter's table of lanes.
    LaneId
}
index! {
    /// The slot of a lease or of a waiting call, which another may have after it.
    SlotId
}
index! {
    /// A class's number in the limiter's table of lanes.
    ClassId
}

impl CalendarId {
    /// The connection's own day, which is the first in the table.
    pub const OWN: Self = Self(0);
}

impl ClassId {
    /// Returns the number after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl LimitId {
    /// Returns the limit's bit in a mask of limits; 0 for one beyond the 32 that a mask holds.
    pub fn bit(self) -> u32 {
        1_u32.checked_shl(self.0).unwrap_or(0)
    }

    /// Whether a mask of limits has this limit.
    pub fn is_in(self, mask: u32) -> bool {
        mask & self.bit() != 0
    }

    /// Returns the limits of a plan, in its order; at most the 32 that a mask holds.
    pub fn all(limits: usize) -> impl Iterator<Item = Self> {
        (0..u32::try_from(limits).unwrap_or(0).min(32)).map(Self)
    }
}

/// Entries that are found by their numbers, which count up from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table<I, T> {
    entries: Vec<T>,
    index: PhantomData<I>,
}

impl<I, T> Default for Table<I, T> {
    fn default() -> Self {
        Self { entries: Vec::new(), index: PhantomData }
    }
}

impl<I: Index, T> Table<I, T> {
    /// Returns the entry of a number.
    pub fn get(&self, at: I) -> Option<&T> {
        self.entries.get(at.position())
    }

    /// Returns the entry of a number, to be changed.
    pub fn get_mut(&mut self, at: I) -> Option<&mut T> {
        self.entries.get_mut(at.position())
    }

    /// Adds an entry at the end and returns its number.
    pub fn push(&mut self, entry: T) -> I {
        self.entries.push(entry);
        I::at(self.entries.len().saturating_sub(1))
    }

    /// Returns how many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the numbers of all entries, in order.
    pub fn ids(&self) -> impl Iterator<Item = I> + use<I, T> {
        (0..self.entries.len()).map(I::at)
    }

    /// Returns all entries with their numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (I, &T)> {
        self.entries.iter().enumerate().map(|(at, entry)| (I::at(at), entry))
    }

    /// Returns all entries with their numbers, in order, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (I, &mut T)> {
        self.entries.iter_mut().enumerate().map(|(at, entry)| (I::at(at), entry))
    }

    /// Returns all entries, in the order of their numbers.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter()
    }

    /// Makes the table long enough to have an entry of this number; new entries are `entry`.
    pub fn grow_to(&mut self, at: I, entry: T)
    where
        T: Clone,
    {
        if self.entries.len() <= at.position() {
            self.entries.resize(at.position().saturating_add(1), entry);
        }
    }
}

impl<I: Index, T> FromIterator<T> for Table<I, T> {
    fn from_iter<S: IntoIterator<Item = T>>(entries: S) -> Self {
        Self { entries: entries.into_iter().collect(), index: PhantomData }
    }
}
