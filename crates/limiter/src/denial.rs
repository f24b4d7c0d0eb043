//! Why a call is refused by the limits.

/// Why a call may neither go nor wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Denial {
    /// A daily limit of the connection is spent.
    DailyQuota,
    /// The app's `daily_calls` are spent.
    AppBudget,
    /// The vendor has asked for a pause, or an operator has stopped the connection or the app.
    Paused,
    /// The wait queue has no place left.
    QueueFull,
    /// The wait is longer than the caller allows.
    Deadline,
    /// A rate or window is full, and the call may not wait.
    Rate,
    /// The slots are full, and the call may not wait.
    Concurrency,
}
