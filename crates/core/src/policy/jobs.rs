//! The policy's rule for jobs that wait.

use super::document::Node;
use crate::document::Decimal;
use serde::Serialize;

/// The longest that a job may wait for its first attempt, milliseconds: a year.
const MOST_EXPIRE_MS: u64 = 31_536_000_000;

/// How long jobs may wait for their first attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobsRule {
    /// A job becomes a dead letter if it has not begun this long after it was submitted or
    /// replayed, milliseconds.
    pub expire_ms: u64,
}

impl Default for JobsRule {
    fn default() -> Self {
        Self { expire_ms: 604_800_000 }
    }
}

/// `jobs` in the form in which it is written.
#[derive(Serialize)]
pub(super) struct JobsDocument {
    expire_seconds: Decimal,
}

impl JobsRule {
    /// Returns the part of the document that this rule can be read from.
    pub(super) const fn document(&self) -> JobsDocument {
        JobsDocument { expire_seconds: Decimal(self.expire_ms, 3) }
    }

    pub(super) fn read(at: &Node<'_>) -> Option<Self> {
        let fields = at.object(&["expire_seconds"])?;
        let default = Self::default();
        let expire =
            fields.get("expire_seconds").map_or(Some(default.expire_ms), |at| at.number(3, 1_000..=MOST_EXPIRE_MS));
        Some(Self { expire_ms: expire? })
    }
}
