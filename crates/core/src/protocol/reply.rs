//! What the object answers, and what a Worker needs to make a call.

use super::Fetch;
use crate::jobs;
use crate::policy::Credential;
use crate::refusal::Refusal;
use crate::upstream::Profile;
use serde::{Deserialize, Serialize};
use sluice_limiter::PermitId;
use sluice_limiter::pool::LoanGrant;

/// What the object answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The call may go, once, within the permit's slack.
    Permit(Granted),
    /// It may not.
    Refused(No),
    /// An access token is wanted first: fetch it, report it, ask again.
    Fetch(Box<Fetch>),
    /// No better token than the refused one is to be had now: the vendor's answer stands.
    TokenStands,
    /// [`super::Ask::Describe`].
    Route(Box<Route>),
    /// [`super::Ask::LoanRequest`].
    LoanGrant(LoanGrant),
    /// The id of a job that is kept.
    Queued(String),
    /// A job's answer.
    Answer(Box<jobs::Answer>),
    /// Done.
    Done,
    /// An administrator's answer, or the status: an HTTP status and a JSON document.
    Document {
        /// HTTP status.
        status: u16,
        /// JSON; empty with 204.
        body: String,
        /// What holds but may not be meant, one sentence each.
        warnings: Vec<String>,
    },
    /// A document that is not valid: 400, with every fault by its JSON pointer.
    Invalid(Vec<(String, String)>),
    /// The object lost its memory or its storage between: ask again, with the same call id.
    Retry,
}

impl Reply {
    /// Whether anybody may see it: no credential, token or content of a call is in it.
    pub const fn is_plain(&self) -> bool {
        match self {
            Self::Permit(go) => go.route.is_none() && go.bearer.is_none(),
            Self::Refused(_) | Self::TokenStands | Self::Done | Self::Retry => true,
            _ => false,
        }
    }
}

/// Leave to send once.
#[derive(Debug, Serialize, Deserialize)]
pub struct Granted {
    /// What to settle with.
    pub permit: PermitId,
    /// How long the call waited in the object, milliseconds.
    pub waited_ms: u64,
    /// How long after this ask the permit was granted, milliseconds: below 0 where an earlier ask of the call had been granted it. What has
    /// passed since the ask, less this, is the permit's age.
    pub since_ask_ms: i64,
    /// The age over which the Worker hands it back unused, milliseconds.
    pub slack_ms: u64,
    /// Where to, unless the Worker knows.
    pub route: Option<Box<Route>>,
    /// Its version.
    pub route_version: u64,
    /// The access token, where one is needed and the Worker does not hold it.
    pub bearer: Option<Bearer>,
    /// The mark of the token to use; 0 where none is needed, or none works any more.
    pub mark: u64,
    /// The `RateLimit` field.
    pub rate_limit: String,
    /// `Sluice-ObservedDecision`, in observe mode, where the call would not have gone at once.
    pub would: Option<String>,
}

/// A refusal, with what is needed to say it in the vendor's dialect.
#[derive(Debug, Serialize, Deserialize)]
pub struct No {
    /// The refusal.
    pub refusal: Refusal,
    /// The profile whose dialect it is said in; none: a problem document.
    pub vendor: Option<String>,
    /// The fields `RateLimit-Policy` and `RateLimit`, where there is a connection.
    pub rate_limit: Option<(String, String)>,
}

/// Where a connection's calls go, and how. The same for every call of one version.
#[derive(Clone, Serialize, Deserialize)]
pub struct Route {
    /// Differs whenever anything in it does, over all lives of all tenants.
    pub version: u64,
    /// The profile.
    pub profile: Profile,
    /// Scheme, host and base path, without a trailing slash.
    pub base_url: String,
    /// What is put in the key's place; none where an access token is, which comes with the permit.
    pub credential: Option<Credential>,
    /// From send to last byte, milliseconds.
    pub timeout_ms: u64,
    /// Vendor calls that may be made for one call, the first included.
    pub attempts: u32,
    /// The most that a call may wait for its permits, milliseconds.
    pub max_wait_ms: u64,
    /// The longest that a vendor's Retry-After may stop the connection, milliseconds.
    pub max_pause_ms: u64,
    /// A settlement of an answered call may come a little later: the limits count from the answer, and have no slot to free.
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

/// An access token. Its `Debug` shows only which one it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bearer {
    /// The token.
    pub token: String,
    /// Its mark.
    pub mark: u64,
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bearer").field("mark", &self.mark).finish_non_exhaustive()
    }
}
