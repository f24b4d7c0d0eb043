//! The replies of a tenant's object, and what a Worker needs to make a call.

use super::{Fetch, RouteVersion, TokenMark};
use crate::jobs;
use crate::policy::Credential;
use crate::refusal::Refusal;
use crate::upstream::Profile;
use crate::upstream::profile::Dialect;
use serde::{Deserialize, Serialize};
use sluice_limiter::PermitId;
use sluice_limiter::pool::LoanGrant;

/// A message from a tenant's object to a Worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The call may go, once, within the permit's slack.
    Permit(Granted),
    /// The call may not go.
    Refused(No),
    /// The call needs an access token first: the Worker fetches it, reports it and asks again.
    Fetch(Box<Fetch>),
    /// There is no better token now than the refused one, so the vendor's answer stands.
    TokenStands,
    /// The route answers [`super::Ask::Describe`].
    Route(Box<Route>),
    /// The loan answers [`super::Ask::LoanRequest`].
    LoanGrant(LoanGrant),
    /// The job with this id is kept.
    Queued(String),
    /// The job has ended with this answer.
    Answer(Box<jobs::Answer>),
    /// What was asked for is done.
    Done,
    /// The answer to an administrator's call, or the status: an HTTP status and a JSON document.
    Document {
        /// The HTTP status.
        status: u16,
        /// The JSON document; it is empty with 204.
        body: String,
        /// Warnings of what is valid and likely not meant, one sentence each.
        warnings: Vec<String>,
    },
    /// The document that was sent is not valid. This becomes a 400 with every fault by its JSON
    /// pointer.
    Invalid(Vec<(String, String)>),
    /// The object has lost its memory or its storage meanwhile: the Worker asks again, with the
    /// same call id.
    Retry,
}

impl Reply {
    /// Whether the reply holds no secret: no credential, token or content of a call.
    pub const fn is_plain(&self) -> bool {
        match self {
            Self::Permit(granted) => granted.route.is_none() && granted.bearer.is_none(),
            Self::Refused(_) | Self::TokenStands | Self::Done | Self::Retry => true,
            _ => false,
        }
    }
}

/// A permit to send a call once.
#[derive(Debug, Serialize, Deserialize)]
pub struct Granted {
    /// The id under which the permit is settled.
    pub permit: PermitId,
    /// How long the call waited in the object, in milliseconds.
    pub waited_ms: u64,
    /// How long after this ask the permit was granted, in milliseconds. It is below 0 where an
    /// earlier ask of the call had been granted it. The time since the ask, less this, is the
    /// permit's age.
    pub since_ask_ms: i64,
    /// The age over which the Worker hands the permit back unused, in milliseconds.
    pub slack_ms: u64,
    /// The route, unless the Worker knows it.
    pub route: Option<Box<Route>>,
    /// The version of the route.
    pub route_version: RouteVersion,
    /// The access token, where one is needed and the Worker does not hold it.
    pub bearer: Option<Bearer>,
    /// The mark of the access token to use. There is none where no token is needed, or none works
    /// any more.
    pub token_mark: Option<TokenMark>,
    /// The `RateLimit` field for the caller.
    pub rate_limit: String,
    /// The `Sluice-Would` field for the caller: in observe mode, what would have become of a call
    /// that would not have gone at once.
    pub would: Option<String>,
}

/// A refusal, with what is needed to write it in the vendor's dialect.
#[derive(Debug, Serialize, Deserialize)]
pub struct No {
    /// The refusal.
    pub refusal: Refusal,
    /// The dialect that the caller gets the refusal in.
    pub dialect: Dialect,
    /// The fields `RateLimit-Policy` and `RateLimit`, where there is a connection.
    pub rate_limit: Option<(String, String)>,
}

/// Where and how the calls of a connection go. The route is the same for every call of one version.
#[derive(Clone, Serialize, Deserialize)]
pub struct Route {
    /// The version of the route.
    pub version: RouteVersion,
    /// The vendor's profile.
    pub profile: Profile,
    /// Scheme, host and base path, without a trailing slash.
    pub base_url: String,
    /// The credential that is put in the key's place. There is none where an access token is used,
    /// which comes with the permit.
    pub credential: Option<Credential>,
    /// The time from sending to the last byte, in milliseconds.
    pub timeout_ms: u64,
    /// How many vendor calls may be made for one call, the first included.
    pub attempts: u32,
    /// The longest time that a call may wait for its permits, in milliseconds.
    pub max_wait_ms: u64,
    /// The longest time that a vendor's Retry-After may stop the connection, in milliseconds.
    pub max_pause_ms: u64,
    /// Whether the settlement of an answered call may come a little later: the limits count from
    /// the answer, and have no slot to free.
    pub unhurried: bool,
    /// The `RateLimit-Policy` field.
    pub rate_limit_policy: String,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Route")
            .field("version", &self.version)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

/// An access token. Its `Debug` shows only its mark.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bearer {
    /// The token.
    pub token: String,
    /// The token's mark.
    pub mark: TokenMark,
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bearer").field("mark", &self.mark).finish_non_exhaustive()
    }
}
