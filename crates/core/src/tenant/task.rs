//! The tasks that the object hands to Worker invocations of their own, over the service binding to
//! itself. The object calls no vendor: its own fetches would queue behind one another after their
//! permits, and end with it.
//!
//! A Worker takes a task with status 202 and does it after that; it reports what came of it by an
//! [`crate::protocol::Ask`]. A task that surely no Worker has taken comes back through
//! [`super::state::TenantState::task_refused`].

use crate::jobs::Request;
use crate::protocol::{Bearer, Fetch, Route};
use serde::{Deserialize, Serialize};
use sluice_limiter::PermitId;

/// The header that carries a task's stamp ([`crate::keys::stamp`]).
pub const STAMP: &str = "sluice-errand";

/// The length of the longest task, in bytes: a request's head, a body of 1 MB, a route with an
/// inline profile.
pub const LONGEST: u32 = 2_097_152;

/// The most tasks on their way to Workers at once. The platform lets so many fetches wait for
/// headers (its documentation, "simultaneous open connections"), and each may carry 1 MB.
pub const MOST_AT_ONCE: u32 = 6;

/// While more tasks than this have not left, no job asks for a permit. Otherwise permits would grow
/// too old in the row of tasks, come back unsent, be granted again and stand behind the others:
/// where jobs are granted faster than they leave, nearly none would be sent.
pub const MOST_UNSENT: usize = 50;

/// Jobs ask for so many permits, less those of tasks that have not left. So they have their share
/// of what comes free at one stroke.
pub const MOST_ASKED: usize = 100;

/// While a permit that has not left is older than this, in milliseconds, no job asks for one: tasks
/// leave slowly.
pub const SLOW_MS: i64 = 250;

/// A permit older than this, in milliseconds, does not leave: it takes some time until a Worker
/// looks at it.
pub const LEAVES_MS: i64 = 750;

/// A permit older than this, in milliseconds, is not used by a Worker. That is half of what a
/// permit lasts, since two hosts' clocks tell its age.
pub const FRESH_MS: i64 = 1_000;

/// A task for a Worker.
#[derive(Serialize, Deserialize)]
pub enum Task {
    /// Makes a job's call.
    Run(Box<Run>),
    /// Fetches an access token for jobs that wait for one.
    Fetch(Box<Fetching>),
    /// Delivers a message.
    Deliver(Box<Delivery>),
}

/// A job's call, with the permit to make it once.
#[derive(Serialize, Deserialize)]
pub struct Run {
    /// The tenant's name.
    pub tenant: String,
    /// The name of the app that has submitted the job.
    pub app: String,
    /// The connection's name.
    pub connection: String,
    /// The job's id.
    pub job: String,
    /// The number of this run.
    pub run: u32,
    /// When the job was submitted, in Unix milliseconds.
    pub created: i64,
    /// When the permit was granted, in Unix milliseconds.
    pub granted: i64,
    /// The permit, to be settled.
    pub permit: PermitId,
    /// The route of the call.
    pub route: Box<Route>,
    /// The access token, where the route has no credential.
    pub bearer: Option<Bearer>,
    /// The `RateLimit` field, as a caller would get it.
    pub rate_limit: String,
    /// The request to send.
    pub request: Request,
}

/// An access token to fetch.
#[derive(Serialize, Deserialize)]
pub struct Fetching {
    /// The tenant's name.
    pub tenant: String,
    /// The connection's name.
    pub connection: String,
    /// The exchange, and what to report it with.
    pub fetch: Fetch,
}

/// A message to deliver.
#[derive(Serialize, Deserialize)]
pub struct Delivery {
    /// The tenant's name.
    pub tenant: String,
    /// The message's id, as it is sent.
    pub id: String,
    /// The number of this attempt, from 1, to be reported back.
    pub attempt: u32,
    /// The receiver's address.
    pub url: String,
    /// When the message leaves, in Unix seconds.
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
