//! The messages about jobs: submitted, run, listed and changed.

use super::{Admit, Settle, TokenMark};
use crate::jobs::{self, Request};
use crate::keys::Claims;
use crate::upstream::profile::Executed;
use serde::{Deserialize, Serialize};

/// A call to be kept and made later.
#[derive(Debug, Serialize, Deserialize)]
pub struct SubmitJob {
    /// The call, as it would ask to go.
    pub admit: Admit,
    /// The request to be sent.
    pub request: Request,
    /// When the call came, in Unix milliseconds. This and the call's id make the job's id, so that
    /// asking twice keeps one job.
    pub made: i64,
    /// The call's `Idempotency-Key`, if it has one.
    pub key: Option<String>,
    /// How long the caller waits for the job's end, in milliseconds, if it waits at all.
    pub wait_ms: Option<u64>,
}

/// The report on what became of a job's run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunReport {
    /// The settlement of the run's permit. With an outcome of `Unused` nothing was sent.
    pub settle: Settle,
    /// The job's id.
    pub job: String,
    /// The number of the run.
    pub run: u32,
    /// Whether the call took effect, as far as the vendor says.
    pub executed: Executed,
    /// Whether the same call might go well if it were made again.
    pub transient: bool,
    /// When the vendor says to ask again, in milliseconds from the answer.
    pub retry_after_ms: Option<u64>,
    /// The access token that the vendor has refused, if it has.
    pub rejected_token: Option<TokenMark>,
    /// The vendor's answer, where all of it came.
    pub answer: Option<jobs::Answer>,
}

/// A request about jobs, by a key whose MAC and expiry the Worker has checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobsAsk {
    /// The claims are what the key says.
    pub claims: Claims,
    /// Whether the caller is a page in a browser.
    pub from_browser: bool,
    /// The page's origin, where the browser sends it.
    pub origin: Option<String>,
    /// Whether the page is Sluice's own.
    pub own_origin: bool,
    /// The request.
    pub what: JobsWhat,
}

/// A selection of jobs: those to which all of it applies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Selects dead letters alone, and among them the callbacks that could not be delivered.
    pub dead: bool,
    /// Selects the jobs in this state.
    pub state: Option<jobs::State>,
    /// Selects the jobs of this app.
    pub app: Option<String>,
    /// Selects the jobs for this connection.
    pub connection: Option<String>,
}

/// What may be asked about jobs. Ids are given as they were written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum JobsWhat {
    /// Lists jobs, the newest first.
    List {
        /// The jobs that are selected.
        of: Filter,
        /// The most that one list has.
        limit: u32,
        /// The id of the job before which the list begins, if it does not begin with the newest.
        after: Option<String>,
    },
    /// Shows a job.
    Show(String),
    /// Gives the vendor's answer to a job.
    Answer(String),
    /// Deletes a job.
    Delete(String, Deletable),
    /// Makes a dead letter's call again.
    Replay(String),
    /// Makes the calls of all dead letters again that were made before this one. Each request
    /// replays some of them, the newest first; the reply says how many, and, if there may be more,
    /// before which one to go on.
    ReplayAll(Option<String>),
    /// Deletes all jobs that are selected, except those that run, in the same way.
    DeleteAll(Filter, Option<String>),
}

/// Which jobs a deletion may delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deletable {
    /// Any job that does not run.
    Job,
    /// A dead letter alone.
    DeadLetter,
}

impl JobsWhat {
    /// Whether the request is about one job, which the asker names.
    pub const fn is_of_one(&self) -> bool {
        match self {
            Self::Show(_) | Self::Answer(_) | Self::Delete(..) | Self::Replay(_) => true,
            Self::List { .. } | Self::ReplayAll(_) | Self::DeleteAll(..) => false,
        }
    }

    /// Whether the request changes nothing.
    pub const fn is_read_only(&self) -> bool {
        matches!(self, Self::List { .. } | Self::Show(_) | Self::Answer(_))
    }
}
