//! A hash map whose keys are numbers that are used once each, such as tickets and ids of calls.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

/// A map by numbers. It hashes without a seed, so that a replayed life iterates in the same order.
/// Sluice itself chooses the numbers, so that no caller can make them collide.
pub type Lookup<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;
