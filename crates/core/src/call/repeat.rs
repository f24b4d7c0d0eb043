//! Messages that are repeated until they are acknowledged.

/// Pauses between the reports of a task that are not heard, milliseconds; each is itself sent three times. A refresh token that is
/// lost on this way is lost for good, so this goes on nearly until the object gives up waiting.
const PAUSES_OF_A_REPORT_MS: [u64; 4] = [200, 400, 800, 1_600];

/// The pauses between the tellings of one message.
#[derive(Debug, Clone)]
pub struct Repeats {
    /// The pauses that are left, milliseconds.
    left: std::slice::Iter<'static, u64>,
}

impl Repeats {
    /// One telling more than there are pauses.
    pub fn after(pauses_ms: &'static [u64]) -> Self {
        Self { left: pauses_ms.iter() }
    }

    /// The tellings of what became of a task: of a token that was fetched, of a message that was sent.
    pub fn of_a_report() -> Self {
        Self::after(&PAUSES_OF_A_REPORT_MS)
    }

    /// Gives the pause before the message is told again, milliseconds; none when it is given up.
    pub fn next_pause_ms(&mut self) -> Option<u64> {
        self.left.next().copied()
    }
}
