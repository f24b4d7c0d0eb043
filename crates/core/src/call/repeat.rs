//! Messages that are repeated until they are acknowledged.

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

    /// Gives the pause before the message is told again, milliseconds; none when it is given up.
    pub fn next_pause_ms(&mut self) -> Option<u64> {
        self.left.next().copied()
    }
}
