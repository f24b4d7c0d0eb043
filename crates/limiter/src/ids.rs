//! Finds by its id what is kept in a numbered slot. Only the slots have the ids: here are the
//! slots' numbers, in a [`HashTable`] that asks the slots for the ids.

#![expect(clippy::cast_possible_truncation, reason = "an id's halves are meant")]

use hashbrown::HashTable;

/// The slots in use, by the ids of what is in them.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    slots: HashTable<u32>,
}

impl Ids {
    /// Returns a slot for which `is` holds, among those that may hold this id.
    pub fn find(&self, id: u128, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        self.slots.find(hash(id), |slot| is(*slot)).copied()
    }

    /// Returns, of the slots that may hold this id, the one for which `order` is greatest; those
    /// for which it is none do not hold it.
    pub fn last<T: Ord>(&self, id: u128, order: impl Fn(u32) -> Option<T>) -> Option<u32> {
        let slots = self.slots.iter_hash(hash(id)).filter_map(|slot| Some((order(*slot)?, *slot)));
        slots.max_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, slot)| slot)
    }

    /// How many slots hold an id.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.slots.len()
    }

    /// Notes that a slot holds an id. `id_of` returns the ids of the other slots that hold one.
    pub fn insert(&mut self, slot: u32, id: u128, id_of: impl Fn(u32) -> Option<u128>) {
        self.slots.insert_unique(hash(id), slot, |slot| id_of(*slot).map_or(0, hash));
    }

    /// Forgets that a slot holds an id.
    pub fn remove(&mut self, slot: u32, id: u128) {
        if let Ok(entry) = self.slots.find_entry(hash(id), |held| *held == slot) {
            entry.remove();
        }
    }
}

/// Hashes by Fibonacci hashing (Knuth, The Art of Computer Programming, 6.4), both halves of the id
/// together. The table takes its place from the low bits and its mark from higher ones, so the high
/// half is folded into the low one.
const fn hash(id: u128) -> u64 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let folded = ((id as u64) ^ ((id >> 64) as u64)).wrapping_mul(GOLDEN);
    folded ^ (folded >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_in_a_slot_is_found_by_its_id_until_it_leaves(steps in prop::collection::vec((any::<bool>(), 0_u32..64, 0_u128..40), 0..200)) {
            let (mut ids, mut slots) = (Ids::default(), vec![None; 64]);
            for (puts, slot, id) in steps {
                if let Some(held) = slots[slot as usize].take() {
                    ids.remove(slot, held);
                }
                if puts {
                    slots[slot as usize] = Some(id);
                    ids.insert(slot, id, |at| slots[at as usize]);
                }
                for id in 0..40 {
                    let found = ids.find(id, |at| slots[at as usize] == Some(id));
                    prop_assert_eq!(found.is_some(), slots.contains(&Some(id)));
                    prop_assert!(found.is_none_or(|at| slots[at as usize] == Some(id)));
                }
            }
        }
    }
}
