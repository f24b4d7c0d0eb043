//! The limits of a vendor, as a [`Spec`](crate::Spec) states them.

use serde::{Deserialize, Serialize};

/// A limit of a vendor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The name by which the journal records its refusals.
    pub name: String,
    /// The kind and its numbers.
    #[serde(flatten)]
    pub kind: Kind,
    /// Only targets that start with this count; with a leading `!`, all but these do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// The kinds of limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// At most `calls` in any window of `ms` milliseconds, wherever it begins.
    RollingWindow {
        /// The number of calls.
        calls: u64,
        /// The window's length, milliseconds.
        ms: u64,
    },
    /// A leaky bucket that holds `burst` calls and leaks `per_second`. A call that does not fit is
    /// refused or, while fewer than `queue` wait, delayed until it fits.
    LeakyBucket {
        /// Calls leaked per second, at least 1.
        per_second: u64,
        /// Calls that fit at once, at least 1.
        burst: u64,
        /// How many calls may wait; 0 refuses at once.
        #[serde(default)]
        queue: u64,
    },
    /// At most `calls` at once. A call counts from the arrival of its head until the last byte of
    /// its answer has left or its connection has closed.
    Concurrency {
        /// The number of calls.
        calls: u64,
        /// Only calls in service for longer than this count, milliseconds.
        #[serde(default)]
        after_ms: u64,
    },
    /// At most `calls` from one reset to the next.
    Daily {
        /// The number of calls.
        calls: u64,
        /// The reset's time of day in the vendor's zone, seconds after midnight.
        #[serde(default)]
        reset_s: u32,
        /// The vendor's zone, seconds east of UTC.
        #[serde(default)]
        offset_s: i32,
    },
}

impl Limit {
    /// Makes a limit on every call.
    pub fn new(name: &str, kind: Kind) -> Self {
        Self { name: name.to_owned(), kind, path: None }
    }

    /// Limits it to calls whose target starts with `path` (`!`: all but these; `*`: any segment).
    #[must_use]
    pub fn on(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// Whether a call to `target` counts.
    pub fn covers(&self, target: &str) -> bool {
        match self.path.as_deref() {
            None => true,
            Some(path) => match path.strip_prefix('!') {
                Some(except) => !begins(target, except),
                None => begins(target, path),
            },
        }
    }
}

/// Whether a target starts with a path, in which `*` stands for a segment.
fn begins(target: &str, path: &str) -> bool {
    let Some((before, after)) = path.split_once('*') else { return target.starts_with(path) };
    target.strip_prefix(before).is_some_and(|rest| {
        let segment = rest.find(['/', '?']).unwrap_or(rest.len());
        segment > 0 && begins(rest.get(segment..).unwrap_or_default(), after)
    })
}

impl Kind {
    /// Makes a limit of `calls` in any `seconds`.
    pub const fn window(calls: u64, seconds: u64) -> Self {
        Self::RollingWindow { calls, ms: seconds * 1000 }
    }

    /// Makes a limit of `calls` at once.
    pub const fn concurrency(calls: u64) -> Self {
        Self::Concurrency { calls, after_ms: 0 }
    }

    /// Makes a limit of `calls` a day, from midnight to midnight, `offset_s` seconds east of UTC.
    pub const fn daily(calls: u64, offset_s: i32) -> Self {
        Self::Daily { calls, reset_s: 0, offset_s }
    }

    /// Returns the number that the vendor's messages name.
    pub const fn calls(&self) -> u64 {
        match self {
            Self::RollingWindow { calls, .. } | Self::Concurrency { calls, .. } | Self::Daily { calls, .. } => *calls,
            Self::LeakyBucket { burst, .. } => *burst,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_in_a_path_stands_for_one_segment() {
        let search = Limit::new("search", Kind::window(1, 1)).on("/crm/*/search");
        assert!(search.covers("/crm/contacts/search?x=1"));
        for other in ["/crm/search", "/crm//search", "/crm/a/b/search", "/crm/a"] {
            assert!(!search.covers(other), "{other}");
        }
    }
}
