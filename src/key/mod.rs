//! A tenant's keys: what they say, and the MAC that lets the edge believe it before any object is woken.

use serde::{Deserialize, Serialize};

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
