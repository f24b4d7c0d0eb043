//! What a tenant may do: the policy as written becomes, once, the policy as used.

use serde::{Deserialize, Serialize};

/// What is put in the key's place on the way to the vendor. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Credential {
    /// The caller's own headers go through untouched.
    Passthrough,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(***)")
    }
}
