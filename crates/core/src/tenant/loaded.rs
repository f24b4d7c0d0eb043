//! What objects have loaded into the memory of their isolate. The platform does not tell when an
//! object leaves memory, and what it held stays until JavaScript collects garbage, which JavaScript
//! puts off: to it an object is a few bytes. So an object that loads looks whether others may give
//! up what they hold.

use std::collections::VecDeque;

/// How many others an object looks at that loads: more than it adds, so that what may go goes.
const LOOKS: usize = 2;

/// The objects that have loaded, the one that was looked at longest ago first.
#[derive(Debug)]
pub struct Loaded<T>(VecDeque<T>);

impl<T> Loaded<T> {
    /// A list of no objects.
    pub const fn empty() -> Self {
        Self(VecDeque::new())
    }

    /// Adds an object that has loaded. Of two others this asks whether they stay; one that does not
    /// is forgotten.
    pub fn add(&mut self, one: T, mut stays: impl FnMut(&T) -> bool) {
        for _ in 0..LOOKS {
            let Some(other) = self.0.pop_front() else { break };
            if stays(&other) {
                self.0.push_back(other);
            }
        }
        self.0.push_back(one);
    }
}

#[cfg(test)]
mod tests {
    use super::Loaded;

    /// Loads a thousand, one after another, of which each stays as long as `stays` more load. Gives
    /// how many are held at most.
    fn most(stays: usize) -> usize {
        let mut loaded = Loaded::empty();
        let mut most = 0;
        for now in 0..1_000 {
            loaded.add(now, |then| now - then <= stays);
            most = most.max(loaded.0.len());
        }
        most
    }

    #[test]
    fn of_a_thousand_that_load_hardly_more_are_held_than_stay() {
        assert!(most(0) <= 2, "{}", most(0));
        assert!(most(10) <= 2 * 11, "{}", most(10));
        assert!(most(100) <= 2 * 101, "{}", most(100));
        assert_eq!(most(1_000), 1_000, "none goes that stays");
    }
}
