//! Vendors: profiles as data, what an answer means, how a refusal is said.

use serde::{Deserialize, Serialize};

/// A vendor, as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {}
