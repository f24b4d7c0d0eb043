//! The places of a queue of limited size, which apps share by weight.
//!
//! While places are free, every newcomer takes one. When none is free, an app's part of them is `size × weight ÷ (the weights of the
//! apps that hold places, the newcomer's included)`. A newcomer whose app holds less than its part takes the place of the app that
//! holds most for its weight; of apps that hold equally much, that is the one that took a place last. Which of that app's calls
//! gives way is for the caller to say.
//!
//! A step takes time by the logarithm of the number of apps that hold places, and an app that holds none takes no memory.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "places and weights are u32, and a product of two of them fits u64, or u128 by a sum"
)]

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Whether a newcomer gets a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admit<K> {
    /// A place is free.
    Free,
    /// It gets a place that this app gives up.
    Instead(K),
    /// There is no place for it: its app holds its part already.
    Full,
}

/// The places that one app holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holding {
    /// Places; never 0.
    held: u32,
    weight: u32,
    /// When it last took one, as a number that only grows.
    latest: u64,
}

/// An app in the order of who gives way: the greatest first. No two apps took a place at once, so none are equal.
#[derive(Debug, Clone)]
struct Standing<K> {
    holding: Holding,
    key: K,
}

impl Ord for Holding {
    fn cmp(&self, other: &Self) -> Ordering {
        let product = |held: u32, weight: u32| u64::from(held) * u64::from(weight);
        let by_part = product(self.held, other.weight).cmp(&product(other.held, self.weight));
        by_part.then(self.latest.cmp(&other.latest))
    }
}

impl PartialOrd for Holding {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Standing<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.holding.cmp(&other.holding)
    }
}

impl<K> PartialOrd for Standing<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> PartialEq for Standing<K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<K> Eq for Standing<K> {}

/// The places of one queue, held by apps.
#[derive(Debug, Clone)]
pub struct Places<K> {
    size: u32,
    len: u32,
    /// The sum of the weights of the apps that hold places.
    weights: u64,
    takes: u64,
    apps: BTreeMap<K, Holding>,
    /// The apps in the order of who gives way, the first of them last.
    order: BTreeSet<Standing<K>>,
}

impl<K: Ord + Clone> Places<K> {
    /// Returns a queue of so many places, all free.
    pub const fn new(size: u32) -> Self {
        Self { size, len: 0, weights: 0, takes: 0, apps: BTreeMap::new(), order: BTreeSet::new() }
    }

    /// Changes the number of places. Held ones stay held, even if there are now fewer than that.
    pub const fn resize(&mut self, size: u32) {
        self.size = size;
    }

    /// Returns how many places are held.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether no place is held.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns how many places an app holds.
    pub fn held(&self, key: &K) -> u32 {
        self.apps.get(key).map_or(0, |app| app.held)
    }

    /// Whether an app may have one more place, and who gives it up. The weight is that of an app that holds none: another is judged
    /// by the weight that it has. Nothing changes: the caller makes the other [`leave`](Self::leave) and this one
    /// [`take`](Self::take).
    pub fn admit(&self, key: &K, weight: u32) -> Admit<K> {
        if self.len < self.size {
            return Admit::Free;
        }
        let (held, weight, weights) = match self.apps.get(key) {
            Some(app) => (app.held, app.weight, self.weights),
            None => (0, weight.max(1), self.weights + u64::from(weight.max(1))),
        };
        let part = u128::from(self.size) * u128::from(weight);
        match self.order.last() {
            // All parts together are all places: where one app is below its part, another is above.
            Some(most) if u128::from(held) * u128::from(weights) < part => Admit::Instead(most.key.clone()),
            _ => Admit::Full,
        }
    }

    /// Gives an app a place, whether or not one is free; all that it holds counts by this weight from now on.
    pub fn take(&mut self, key: K, weight: u32) {
        self.len = self.len.saturating_add(1);
        self.takes = self.takes.wrapping_add(1);
        let held = self.held(&key).saturating_add(1);
        self.stand(key, Holding { held, weight: weight.max(1), latest: self.takes });
    }

    /// Counts what an app holds by this weight from now on.
    pub fn weigh(&mut self, key: &K, weight: u32) {
        if let Some(app) = self.apps.get(key).copied() {
            self.stand(key.clone(), Holding { weight: weight.max(1), ..app });
        }
    }

    /// Takes a place back from an app. For an app that holds none nothing changes.
    pub fn leave(&mut self, key: &K) {
        let Some(app) = self.apps.get(key).copied() else { return };
        self.len = self.len.saturating_sub(1);
        if app.held > 1 {
            self.stand(key.clone(), Holding { held: app.held - 1, ..app });
        } else {
            self.weights -= u64::from(app.weight);
            self.apps.remove(key);
            self.order.remove(&Standing { holding: app, key: key.clone() });
        }
    }

    /// Notes what an app holds now.
    fn stand(&mut self, key: K, holding: Holding) {
        let before = self.apps.insert(key.clone(), holding);
        self.weights = self.weights - before.map_or(0, |app| u64::from(app.weight)) + u64::from(holding.weight);
        // In first, so that a set of one app keeps its memory.
        self.order.insert(Standing { holding, key: key.clone() });
        if let Some(before) = before.filter(|before| *before != holding) {
            self.order.remove(&Standing { holding: before, key });
        }
    }
}

#[cfg(test)]
mod tests;
