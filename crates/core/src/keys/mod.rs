//! The keys of a tenant: their claims, and the MAC by which a Worker can trust them before it wakes
//! any object.

use serde::{Deserialize, Serialize};

mod admin;
mod claims;
mod find;
mod guesses;
mod lost;
mod master;
mod seek;
mod task;

pub use admin::{AdminFault, AdminTokens};
pub use claims::{KeyFault, MAX_ID_BYTES, MAX_KEY_BYTES, PREFIX, claimed_tenant, open};
pub use find::{Found, Place, Search, Taken, in_protocols, is_usual, search, without_parameters};
pub use guesses::{Guesses, Source};
pub use lost::{LostKeys, Suspicion, lost_tenant};
pub use master::{MAX_MASTERS, Master, MasterFault};
pub(crate) use master::{SEAL_ID_BYTES, hmac};
pub use seek::{Stands, seek, without};
pub use task::{is_stamp, is_stamped, stamp};

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// An app makes calls.
    App,
    /// A viewer sees statistics, status and jobs without bodies.
    Viewer,
    /// An operator also sees bodies, replays and deletes jobs, and pauses connections.
    Operator,
}

/// The claims of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The tenant's name.
    pub tenant: String,
    /// The key's id. The key works only while the tenant lists it.
    pub id: String,
    /// The role.
    pub role: Role,
    /// The app's name, if and only if the role is [`Role::App`].
    pub app: Option<String>,
    /// When the key expires, in seconds of Unix time.
    pub expires: Option<u64>,
}

/// The longest name of a tenant, an app or a connection, bytes.
pub const MAX_NAME_BYTES: usize = 63;

/// Whether a text is a valid name of a tenant, an app or a connection: `[a-z0-9][a-z0-9-]{0,62}`.
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= MAX_NAME_BYTES && !text.is_empty() && !text.starts_with('-') && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
