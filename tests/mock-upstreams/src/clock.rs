//! The clocks of a vendor: a monotonic one for its limits, and the calendar for its days.

use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Both clocks of one vendor. They follow tokio's clock, so a test with a paused clock controls
/// them.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    unix_origin_ms: i64,
}

impl Clock {
    /// Starts a clock at 0 µs, with its calendar at the machine's time.
    #[expect(clippy::disallowed_methods, reason = "the calendar's one source")]
    pub fn start() -> Self {
        let unix_origin_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0));
        Self { origin: Instant::now(), unix_origin_ms }
    }

    /// Returns the microseconds since the vendor started.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Returns Unix milliseconds, moved by `shift_ms`.
    pub fn civil_ms(&self, shift_ms: i64) -> i64 {
        self.unix_origin_ms + i64::try_from(self.now_us() / 1000).unwrap_or(i64::MAX) + shift_ms
    }
}
