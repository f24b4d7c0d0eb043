//! Limiter time: milliseconds that never run backwards.

/// Steps back up to this long are clamped, longer ones are bridged by an offset. Clamping alone would freeze the limiter for as
/// long as the clock stepped back; bridging alone would let a clock that jitters to and fro run the limiter fast.
const CLAMPED_MS: i64 = 1_000;

/// Turns wall time into limiter time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    offset: i64,
    last: i64,
}

impl Clock {
    /// Returns a clock that starts with the wall's.
    pub const fn new(wall: i64) -> Self {
        Self { offset: 0, last: wall }
    }

    /// Goes on from a stored reading, on a wall clock that may since have been set back.
    pub fn resume(offset: i64, last: i64, wall: i64) -> Self {
        let mut clock = Self { offset, last };
        clock.read(wall);
        clock
    }

    /// Returns limiter time at this wall time.
    pub fn read(&mut self, wall: i64) -> i64 {
        let time = wall.saturating_add(self.offset);
        let back = self.last.saturating_sub(time);
        if back > CLAMPED_MS {
            self.offset = self.offset.saturating_add(back);
        }
        self.last = self.last.max(time);
        self.last
    }

    /// Returns the last reading.
    pub const fn last(&self) -> i64 {
        self.last
    }

    /// Returns what limiter time has over wall time.
    pub const fn offset(&self) -> i64 {
        self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_step_back_does_not_freeze_it() {
        let mut clock = Clock::new(1_000_000);
        assert_eq!(clock.read(1_005_000), 1_005_000);
        assert_eq!(clock.read(5_000), 1_005_000);
        assert_eq!(clock.read(6_000), 1_006_000);
    }

    #[test]
    fn a_jittering_clock_does_not_run_it_fast() {
        let mut clock = Clock::new(1_000);
        for step in 0..1_000 {
            clock.read(1_000 + step % 2);
        }
        assert_eq!(clock.last(), 1_001);
    }
}
