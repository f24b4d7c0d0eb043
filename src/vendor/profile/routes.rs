//! What a profile says of a call by its route.

use super::{Batch, Profile};
use crate::policy::Routes;

impl Profile {
    /// The largest body it takes on this call, bytes; none where it has no limit. The method is upper case, the path as
    /// sent, without the query.
    pub fn body_limit(&self, method: &str, path: &str) -> Option<u64> {
        let limit =
            self.bodies.iter().find(|limit| limit.routes.is_empty() || Routes::of(&limit.routes).matches(method, path));
        limit.map(|limit| limit.bytes)
    }

    /// What bounds the records of this call; none where nothing does.
    pub fn batch_limit(&self, method: &str, path: &str) -> Option<&Batch> {
        self.batches.iter().find(|batch| Routes::of(&batch.routes).matches(method, path))
    }

    /// Whether this call may be made again whatever became of it: only if every reading of its path says so.
    pub fn is_repeatable(&self, method: &str, path: &str) -> bool {
        (self.safe_methods && matches!(method, "GET" | "HEAD" | "OPTIONS"))
            || (!self.repeatable.is_empty() && Routes::of(&self.repeatable).allow(method, path))
    }
}
