//! What objects have loaded into the memory of their isolate. The platform says nothing when an object leaves memory, and what it held
//! stays until JavaScript collects garbage, which it puts off: to JavaScript an object is a few bytes. So whoever loads looks whether
//! others may give up theirs.

use std::collections::VecDeque;

/// How many are looked at by one that loads: more than it adds, so that what may go goes.
const LOOKS: usize = 2;

/// Those who have loaded, the one that was looked at longest ago first.
#[derive(Debug)]
pub struct Loaded<T>(VecDeque<T>);

impl<T> Loaded<T> {
    /// Nobody yet.
    pub const fn empty() -> Self {
        Self(VecDeque::new())
    }

    /// One more has loaded. Of two others it is asked whether they stay; one that does not is asked after no more.
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

    /// A thousand load one after another, and each stays as long as `stays` more load. How many are held at most.
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
