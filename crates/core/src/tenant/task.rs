//! Tasks: work that the object hands to a Worker invocation of its own, over the service binding to itself. The object
//! calls no vendor: its own fetches would queue behind one another after their permits, and end with it.
//!
//! A task is taken with status 202 and done after that; what came of it is told by an [`crate::protocol::Ask`]. One that
//! was surely not taken comes back through [`super::state::TenantState::task_refused`].

use crate::jobs::Request;
use crate::protocol::{Bearer, Fetch, Route};
use serde::{Deserialize, Serialize};
use sluice_limiter::PermitId;

/// The header that carries a task's stamp ([`crate::keys::stamp`]).
pub const STAMP: &str = "sluice-errand";

/// The longest task, bytes: a request's head, a body of 1 MB, a route with a profile of its own.
pub const LONGEST: u32 = 2_097_152;

/// Tasks on their way to a Worker at once: the platform lets so many fetches wait for headers (its documentation,
/// "simultaneous open connections"), and each may carry 1 MB.
pub const MOST_AT_ONCE: u32 = 6;

/// While more tasks than this have not left, no job asks for a permit. Permits that were asked for without end would grow too old in
/// the row, come back unsent, be granted again and stand behind the others: where jobs are granted faster than they leave, nearly none
/// would be sent any more.
pub const MOST_UNSENT: usize = 50;

/// Jobs ask for so many permits less those of tasks that have not left: so they have their share of what comes free at one stroke.
pub const MOST_ASKED: usize = 100;

/// While a permit that has not left is older than this, no job asks for one: tasks leave slowly. Milliseconds.
pub const SLOW_MS: i64 = 250;

/// A permit older than this does not leave, milliseconds: it takes some time until a Worker looks at it.
pub const LEAVES_MS: i64 = 750;

/// A permit older than this is not handed on, milliseconds: half of what one lasts, since it is told by two hosts' clocks.
pub const FRESH_MS: i64 = 1_000;

/// What a Worker is asked to do.
#[derive(Serialize, Deserialize)]
pub enum Task {
    /// Make a job's call.
    Run(Box<Run>),
    /// Fetch an access token for jobs that wait for one.
    Fetch(Box<Fetching>),
    /// Deliver a message.
    Deliver(Box<Delivery>),
}

/// A job's call, with leave to make it once.
#[derive(Serialize, Deserialize)]
pub struct Run {
    /// Whose.
    pub tenant: String,
    /// Who has asked for it.
    pub app: String,
    /// For which connection.
    pub connection: String,
    /// The job's id.
    pub job: String,
    /// Which of its runs this is.
    pub run: u32,
    /// When the job was made, Unix ms.
    pub created: i64,
    /// When the permit was granted, Unix ms.
    pub granted: i64,
    /// What to settle with.
    pub permit: PermitId,
    /// Where to.
    pub route: Box<Route>,
    /// The access token, where the route has no credential.
    pub bearer: Option<Bearer>,
    /// The `RateLimit` field.
    pub rate_limit: String,
    /// What to send.
    pub request: Request,
}

/// An access token to fetch.
#[derive(Serialize, Deserialize)]
pub struct Fetching {
    /// Whose.
    pub tenant: String,
    /// For which connection.
    pub connection: String,
    /// How.
    pub fetch: Fetch,
}

/// A message to deliver.
#[derive(Serialize, Deserialize)]
pub struct Delivery {
    /// Whose.
    pub tenant: String,
    /// Its id, as it is sent.
    pub id: String,
    /// To report with: which attempt this is, from 1.
    pub attempt: u32,
    /// Where to.
    pub url: String,
    /// When it leaves, Unix seconds.
    pub seconds: i64,
    /// The signature, where the policy has a secret to sign with.
    pub signature: Option<String>,
    /// The payload.
    pub body: String,
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run(run) => write!(f, "Run({}, {})", run.job, run.run),
            Self::Fetch(fetching) => write!(f, "Fetch({})", fetching.connection),
            Self::Deliver(delivery) => write!(f, "Deliver({}, {})", delivery.id, delivery.attempt),
        }
    }
}
