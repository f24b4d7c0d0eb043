//! What is stored of a job.

use super::Bytes;
use serde::{Deserialize, Serialize};

/// What a job asks of the vendor: what would go out, less the credential. Its `Debug` shows no header and no query.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Upper case.
    pub method: String,
    /// As it came, without a key.
    pub url: String,
    /// Those that go on to the vendor.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Bytes,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("method", &self.method).field("body", &self.body).finish_non_exhaustive()
    }
}

/// What the vendor answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// As a caller would have got them.
    pub headers: Vec<(String, String)>,
    /// As received.
    pub body: Bytes,
    /// There was more of it.
    pub truncated: bool,
}
