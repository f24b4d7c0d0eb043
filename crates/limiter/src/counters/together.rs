//! Counts calls that are refused at nearly the same time: each is given a later time to come again
//! than the one before.

/// The calls refused within a second of the first of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Together {
    /// When the first was refused, limiter milliseconds.
    since: i64,
    n: u32,
}

impl Together {
    /// For how long refused calls are counted together, milliseconds.
    const MS: i64 = 1_000;

    /// Returns how many calls have been refused together by `time`.
    pub fn count(&self, time: i64) -> u64 {
        if time.saturating_sub(self.since) < Self::MS { u64::from(self.n) } else { 0 }
    }

    /// Counts one more refused call.
    pub fn add(&mut self, time: i64) {
        if self.count(time) == 0 {
            *self = Self { since: time, n: 0 };
        }
        self.n = self.n.saturating_add(1);
    }
}
