//! A permit as a call holds it.

use crate::protocol::{Bearer, Route, Sent, TokenMark};
use sluice_limiter::PermitId;
use std::rc::Rc;

/// The right to send one call once, now.
#[derive(Debug, Clone)]
pub struct Permit {
    /// The tenant's name.
    pub tenant: String,
    /// The connection's name.
    pub connection: String,
    /// The id under which the permit is settled.
    pub id: PermitId,
    /// Where the call goes.
    pub route: Rc<Route>,
    /// The access token to use, where the route has no credential of its own.
    pub bearer: Option<Rc<Bearer>>,
    /// The `RateLimit` field for the caller.
    pub rate_limit: String,
    /// The `Sluice-Would` field for the caller.
    pub would: Option<String>,
    /// When the permit arrived, Unix ms.
    pub at: i64,
    /// What the statistics count, as if the call were sent at once.
    pub sent: Sent,
}

impl Permit {
    /// The mark of the access token, where one is used.
    pub fn token_mark(&self) -> Option<TokenMark> {
        self.bearer.as_ref().map(|bearer| bearer.mark)
    }
}
