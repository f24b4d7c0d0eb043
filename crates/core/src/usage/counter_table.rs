//! Counts by name. Each name is kept once, in a bounded table, and counted by its place in it.

#![expect(clippy::arithmetic_side_effects, reason = "places in a table of at most 1,000 names")]

use serde::{Deserialize, Serialize};

/// The place of every name that found none because the table was full.
pub const OTHER: u16 = u16::MAX;

/// A table of names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names(pub Vec<String>);

impl Names {
    /// Returns a name's place, or [`OTHER`] if it has none and the table has `most` names.
    pub fn place(&mut self, name: &str, most: usize) -> u16 {
        if let Some(at) = self.0.iter().position(|known| known == name) {
            return u16::try_from(at).unwrap_or(OTHER);
        }
        if self.0.len() >= most {
            return OTHER;
        }
        self.0.push(name.to_owned());
        u16::try_from(self.0.len() - 1).unwrap_or(OTHER)
    }

    /// Returns the name at a place, or `other` for a place without one.
    pub fn name(&self, place: u16) -> &str {
        self.0.get(usize::from(place)).map_or("other", String::as_str)
    }

    /// Drops the names that only the `lasting` tally counts, which counts them under `other` from
    /// then on.
    pub fn tidy(&mut self, tallies: &mut [&mut Tally], lasting: Option<&mut Tally>) {
        let mut moved = vec![OTHER; self.0.len()];
        let mut kept = 0;
        let names = std::mem::take(&mut self.0);
        for ((name, to), place) in names.into_iter().zip(&mut moved).zip(0..) {
            if tallies.iter().any(|tally| tally.of(place) > 0) {
                *to = kept;
                kept += 1;
                self.0.push(name);
            }
        }
        for tally in tallies.iter_mut().map(|tally| &mut **tally).chain(lasting) {
            for (place, n) in std::mem::take(&mut tally.0) {
                tally.add(moved.get(usize::from(place)).copied().unwrap_or(OTHER), n);
            }
        }
    }
}

/// Counts by place, in the order of places. None of them is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u16, u64)>")]
pub struct Tally(pub Vec<(u16, u64)>);

impl From<Vec<(u16, u64)>> for Tally {
    fn from(counts: Vec<(u16, u64)>) -> Self {
        let mut tally = Self::default();
        counts.into_iter().for_each(|(place, n)| tally.add(place, n));
        tally
    }
}

impl Tally {
    /// Counts `n` more.
    pub fn add(&mut self, place: u16, n: u64) {
        match self.0.binary_search_by_key(&place, |(place, _)| *place) {
            Ok(at) => {
                if let Some((_, count)) = self.0.get_mut(at) {
                    *count = count.saturating_add(n);
                }
            }
            Err(at) if n > 0 => self.0.insert(at, (place, n)),
            Err(_) => {}
        }
    }

    /// Adds all counts of another tally.
    pub fn add_all(&mut self, other: &Self) {
        for (place, n) in &other.0 {
            self.add(*place, *n);
        }
    }

    /// Returns the count at a place.
    pub fn of(&self, place: u16) -> u64 {
        let at = self.0.binary_search_by_key(&place, |(place, _)| *place);
        at.ok().and_then(|at| self.0.get(at)).map_or(0, |(_, n)| *n)
    }

    /// Returns the sum of all counts.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum: u64, (_, n)| sum.saturating_add(*n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_counts_the_rest_under_other() {
        let mut names = Names::default();
        let places: Vec<u16> = ["a", "b", "c", "a", "d"].iter().map(|name| names.place(name, 2)).collect();
        assert_eq!(places, [0, 1, OTHER, 0, OTHER]);
        assert_eq!((names.name(1), names.name(OTHER)), ("b", "other"));
    }

    #[test]
    fn tidying_drops_unused_names_and_loses_no_count() {
        let mut names = Names(["a", "b", "c"].map(str::to_owned).into());
        let (mut one, mut all) = (Tally::default(), Tally::default());
        one.add(2, 5);
        one.add(OTHER, 1);
        for (place, n) in [(0, 7), (1, 1), (2, 9), (OTHER, 3)] {
            all.add(place, n);
        }
        names.tidy(&mut [&mut one], Some(&mut all));
        assert_eq!(names.0, ["c"]);
        assert_eq!((one.of(0), one.of(OTHER)), (5, 1));
        assert_eq!((all.of(0), all.of(OTHER), all.total()), (9, 11, 20));
    }
}
