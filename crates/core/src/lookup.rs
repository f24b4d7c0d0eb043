//! Values by numbers that are each used once: calls by their tickets and ids.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

/// A map by numbers. It hashes without a seed: a life that is replayed goes through its values in the same order. Nobody
/// outside chooses the numbers, so that nobody can make them collide.
pub type Lookup<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;
