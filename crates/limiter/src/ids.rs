//! Finds by its id what is kept in a numbered slot: chains of slots, one for each value of a hash. Ids are the callers' or chance, and
//! the slots are the owner's: nothing is kept here twice, and nothing is moved but a few numbers.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "slots are numbers of a list's entries, and an id's halves are meant"
)]

/// The end of a chain.
const NONE: u32 = u32::MAX;

/// Slots by the ids of what is in them.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    /// The first slot of each chain; as many as a power of two, and at least as many as there are slots.
    heads: Vec<u32>,
    /// By slot: the next of its chain.
    next: Vec<u32>,
}

impl Ids {
    /// The slot for which `is` holds, among those that may hold this id.
    pub fn find(&self, id: u128, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = self.heads.get(self.chain(id)).copied().unwrap_or(NONE);
        while at != NONE && !is(at) {
            at = self.after(at);
        }
        (at != NONE).then_some(at)
    }

    /// Notes that a slot holds an id. `id_of` tells what the slots hold, this one included.
    pub fn insert(&mut self, slot: u32, id: u128, id_of: impl Fn(u32) -> Option<u128>) {
        let least = slot as usize + 1;
        if self.next.len() < least {
            self.next.resize(least, NONE);
        }
        if self.heads.len() < least {
            self.heads = vec![NONE; least.next_power_of_two().max(16)];
            for at in 0..u32::try_from(self.next.len()).unwrap_or(NONE) {
                if let Some(id) = id_of(at) {
                    self.chain_up(at, id);
                }
            }
        } else {
            self.chain_up(slot, id);
        }
    }

    /// Forgets that a slot holds an id.
    pub fn remove(&mut self, slot: u32, id: u128) {
        let (chain, behind) = (self.chain(id), self.after(slot));
        let Some(head) = self.heads.get_mut(chain) else { return };
        if *head == slot {
            *head = behind;
            return;
        }
        let mut at = *head;
        while at != NONE {
            let next = self.after(at);
            if next == slot {
                if let Some(link) = self.next.get_mut(at as usize) {
                    *link = behind;
                }
                return;
            }
            at = next;
        }
    }

    fn chain_up(&mut self, slot: u32, id: u128) {
        let chain = self.chain(id);
        if let (Some(head), Some(link)) = (self.heads.get_mut(chain), self.next.get_mut(slot as usize)) {
            *link = std::mem::replace(head, slot);
        }
    }

    fn after(&self, slot: u32) -> u32 {
        self.next.get(slot as usize).copied().unwrap_or(NONE)
    }

    /// Fibonacci hashing (Knuth, The Art of Computer Programming, 6.4), of the two halves together.
    const fn chain(&self, id: u128) -> usize {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let folded = (id as u64) ^ ((id >> 64) as u64);
        (folded.wrapping_mul(GOLDEN) >> 32) as usize & self.heads.len().wrapping_sub(1)
    }
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
