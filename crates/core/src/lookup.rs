//! Values by numbers that are each used once: calls by their tickets and ids. Each step takes the same time, however many there are.

use sluice_limiter::ids::Ids;

/// Which slot a number has.
#[derive(Debug, Clone, Default)]
struct Slots {
    numbers: Vec<Option<u128>>,
    free: Vec<u32>,
    ids: Ids,
}

impl Slots {
    fn find(&self, number: u128) -> Option<u32> {
        self.ids.find(number, |slot| self.numbers.get(slot as usize) == Some(&Some(number)))
    }

    fn add(&mut self, number: u128) -> Option<u32> {
        if let Some(slot) = self.find(number) {
            return Some(slot);
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.numbers.push(None);
                u32::try_from(self.numbers.len().saturating_sub(1)).ok()?
            }
        };
        if let Some(place) = self.numbers.get_mut(slot as usize) {
            *place = Some(number);
        }
        self.ids.insert(slot, number, |slot| self.numbers.get(slot as usize).copied().flatten());
        Some(slot)
    }

    fn remove(&mut self, number: u128) -> Option<u32> {
        let slot = self.find(number)?;
        self.ids.remove(slot, number);
        if let Some(place) = self.numbers.get_mut(slot as usize) {
            *place = None;
        }
        self.free.push(slot);
        Some(slot)
    }
}

/// Values by numbers.
#[derive(Debug, Clone)]
pub struct Lookup<V> {
    slots: Slots,
    values: Vec<Option<V>>,
}

impl<V> Default for Lookup<V> {
    fn default() -> Self {
        Self { slots: Slots::default(), values: Vec::new() }
    }
}

impl<V> Lookup<V> {
    /// Puts a value in; the one that was there.
    pub fn insert(&mut self, number: impl Into<u128>, value: V) -> Option<V> {
        let slot = self.slots.add(number.into())? as usize;
        if slot == self.values.len() {
            self.values.push(None);
        }
        self.values.get_mut(slot)?.replace(value)
    }

    /// The value of a number.
    pub fn get(&self, number: impl Into<u128>) -> Option<&V> {
        self.values.get(self.slots.find(number.into())? as usize)?.as_ref()
    }

    /// Takes a value out.
    pub fn remove(&mut self, number: impl Into<u128>) -> Option<V> {
        let slot = self.slots.remove(number.into())?;
        self.values.get_mut(slot as usize)?.take()
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.values.len().saturating_sub(self.slots.free.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.free.len() == self.values.len()
    }

    /// The values, in no order, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.values.iter_mut().flatten()
    }

    /// The values, in no order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.values.iter().flatten()
    }

    /// The values, in no order.
    pub fn into_values(self) -> impl Iterator<Item = V> {
        self.values.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((any::<bool>(), 0_u32..64, any::<u8>()), 0..300)) {
            let (mut lookup, mut model) = (Lookup::default(), BTreeMap::new());
            for (puts, number, value) in steps {
                if puts {
                    prop_assert_eq!(lookup.insert(number, value), model.insert(number, value));
                } else {
                    prop_assert_eq!(lookup.remove(number), model.remove(&number));
                }
                prop_assert_eq!((lookup.get(number), lookup.is_empty()), (model.get(&number), model.is_empty()));
                prop_assert_eq!((lookup.len(), lookup.values_mut().count()), (model.len(), model.len()));
            }
            let (mut values, mut known): (Vec<_>, Vec<_>) = (lookup.into_values().collect(), model.into_values().collect());
            values.sort_unstable();
            known.sort_unstable();
            prop_assert_eq!(values, known);
        }
    }
}
