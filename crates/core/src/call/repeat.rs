//! Messages that are repeated until they are acknowledged.

/// The pauses between the reports of a task that are not acknowledged, milliseconds; each report is
/// itself sent three times. A refresh token that is lost on this way is lost for good, so this goes
/// on nearly until the object gives up waiting.
const PAUSES_OF_A_REPORT_MS: [u64; 4] = [200, 400, 800, 1_600];

/// The pauses between the repetitions of one message.
#[derive(Debug, Clone)]
pub struct Repeats {
    /// The pauses that are left, milliseconds.
    left: std::slice::Iter<'static, u64>,
}

impl Repeats {
    /// Allows one sending more than there are pauses.
    pub fn after(pauses_ms: &'static [u64]) -> Self {
        Self { left: pauses_ms.iter() }
    }

    /// Returns the repetitions of a report on a task: on a token that was fetched, or a message
    /// that was sent.
    pub fn of_a_report() -> Self {
        Self::after(&PAUSES_OF_A_REPORT_MS)
    }

    /// Returns the pause before the message is sent again, milliseconds; none when it is given up.
    pub fn next_pause_ms(&mut self) -> Option<u64> {
        self.left.next().copied()
    }
}
