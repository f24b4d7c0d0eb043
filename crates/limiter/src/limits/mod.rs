//! The kinds of limits, each by itself: what it counts, when it has room, and what it forgets.

pub(crate) mod daily_quota;
pub(crate) mod rolling_window;
pub(crate) mod token_bucket;

#[cfg(test)]
mod tests;
