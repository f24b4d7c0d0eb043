//! A tenant's keys: what they say, and the MAC that lets the edge believe it before any object is woken.

use serde::{Deserialize, Serialize};

mod admin;
mod claims;
mod errand;
mod find;
mod guesses;
mod lost;
mod master;
mod seek;

pub use admin::{AdminFault, AdminTokens};
pub use claims::{KeyFault, MAX_ID_BYTES, MAX_KEY_BYTES, PREFIX, claimed_tenant, open};
pub use errand::{is_stamp, is_stamped, stamp};
pub use find::{Found, Place, Search, Taken, in_protocols, is_usual, search, without_parameters};
pub use guesses::{Guesses, Source};
pub use lost::{LostKeys, Suspicion, lost_tenant};
pub use master::{MAX_MASTERS, Master, MasterFault};
pub(crate) use master::{SEAL_ID_BYTES, hmac};
pub use seek::{Stands, seek, without};

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Make calls.
    App,
    /// See figures.
    Viewer,
    /// See bodies too, replay, delete.
    Operator,
}

/// What a key says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The tenant's name.
    pub tenant: String,
    /// The key's id; it works only while the tenant lists it.
    pub id: String,
    /// The role.
    pub role: Role,
    /// The app, for [`Role::App`] alone.
    pub app: Option<String>,
    /// Unix time, seconds.
    pub expires: Option<u64>,
}

/// Most characters in the name of a tenant, an app or a connection.
pub const MAX_NAME_BYTES: usize = 63;

/// Whether this may name a tenant, an app or a connection: `[a-z0-9][a-z0-9-]{0,62}`.
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= MAX_NAME_BYTES && !text.is_empty() && !text.starts_with('-') && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
