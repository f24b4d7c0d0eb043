//! What a profile says of a call by its route.

use super::Profile;
use crate::policy::Routes;
use serde::Deserialize;
use serde::de::value::{Error, SeqDeserializer};

impl Profile {
    /// The largest body it takes on this call, bytes; none where it has no limit. The method is upper case, the path as
    /// sent, without the query.
    pub fn body_limit(&self, method: &str, path: &str) -> Option<u64> {
        let limit = self.bodies.iter().find(|limit| limit.routes.is_empty() || matches(&limit.routes, method, path));
        limit.map(|limit| limit.bytes)
    }

    /// Whether this call may be made again whatever became of it.
    pub fn is_repeatable(&self, method: &str, path: &str) -> bool {
        (self.safe_methods && matches!(method, "GET" | "HEAD" | "OPTIONS"))
            || (!self.repeatable.is_empty() && matches(&self.repeatable, method, path))
    }
}

/// A list of routes that does not parse matches nothing.
fn matches(patterns: &[String], method: &str, path: &str) -> bool {
    routes(patterns).is_ok_and(|routes| routes.matches(method, path))
}

pub(super) fn routes(patterns: &[String]) -> Result<Routes, Error> {
    Routes::deserialize(SeqDeserializer::new(patterns.iter().map(String::as_str)))
}
