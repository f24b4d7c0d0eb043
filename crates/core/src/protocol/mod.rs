//! The wire between a Worker and a tenant's object: one pair of types, in their [binary form](codec). Both ends are of one release but for the
//! moments of a deploy, and then the other's words do not parse and are asked for again.

mod reply;

pub use reply::{Bearer, Granted, No, Reply, Route};

use crate::codec;
use crate::jobs::{self, Request};
use crate::keys::{Claims, Role};
use crate::upstream::grant::{Exchange, Failure, Issued};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sluice_limiter::pool::LoanRequest;
use sluice_limiter::{Counted, Outcome, PermitId};

/// What a Worker asks of a tenant's object.
#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    /// May this call go? Answered when it may, or with a refusal.
    Admit(Admit),
    /// Where a call would go, without asking to go: for a body whose length is not known before it is read.
    Describe(Admit),
    /// What became of a permit. Answered with [`Reply::Done`], also when repeated.
    Settle(Settle),
    /// Keep this call and make it later. Answered with [`Reply::Queued`]; or with [`Reply::Answer`], if it ends in time.
    SubmitJob(Box<SubmitJob>),
    /// What became of a job's run: its permit is settled with it. Answered as [`Ask::SettleBatch`] is.
    RunReport(Box<RunReport>),
    /// Jobs, to be seen, replayed or deleted.
    Jobs(Box<JobsAsk>),
    /// What became of an exchange for an access token. Answered with [`Reply::Done`], also when repeated.
    TokenReport(TokenReport),
    /// What became of a message. Answered with [`Reply::Done`], also when repeated.
    DeliveryReport(DeliveryReport),
    /// The caller of this call has gone: if it still waits, it gives up its place. Its own ask is answered all the same,
    /// so that a permit already on its way is settled as unused. Heeded by the object's shell, which knows who waits.
    Gone(String),
    /// A connection borrows of a pool, whose object this is.
    LoanRequest(LoanRequest),
    /// `GET /status.json`. For the WebSocket the Worker passes the upgrade itself on, to `/live`.
    Status(Claims),
    /// The statistics.
    Figures(Claims, Figures),
    /// An administrator's call, already authorised.
    Admin(Admin),
    /// The list of tenants, which the object named `*` keeps.
    Directory(Directory),
    /// What became of all permits of calls that have ended, those told of before included; all of one connection. Answered with
    /// [`Reply::Done`], also when repeated, once all of it is stored; a life of the object that ends before does not answer, or with
    /// [`Reply::Retry`].
    SettleBatch(Vec<Settle>),
    /// An operator pauses or resumes a connection.
    Operate(Box<OperateAsk>),
    /// Whether the stored policy can be read. Answered with [`Reply::Done`], or with the refusal that says why not.
    Readable,
}

/// An operator's order, by a key whose MAC and expiry are checked.
#[derive(Debug, Serialize, Deserialize)]
pub struct OperateAsk {
    /// What the key says.
    pub claims: Claims,
    /// The connection's name.
    pub connection: String,
    /// The order, and the app that it is for where it is for one alone.
    pub what: Operate,
}

/// What is ordered, of a connection or of one app on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operate {
    /// Of this app alone.
    pub app: Option<String>,
    /// To stop or to go on.
    pub order: Order,
}

/// To stop or to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// No call goes, for so many seconds, or until resumed.
    Pause {
        /// Without: until resumed.
        seconds: Option<u64>,
        /// Shown in the status.
        reason: Option<String>,
    },
    /// Calls go again, whoever has stopped them.
    Resume,
}

/// Which statistics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Figures {
    /// Counts by day.
    Days {
        /// Errors by code, rather than calls by app.
        errors: bool,
        /// The last seven days, rather than today.
        week: bool,
        /// Of this connection, on its own quota days; without, of all, on UTC days.
        connection: Option<String>,
    },
    /// Everything, in Prometheus' text format.
    Metrics,
}

/// The list of tenants.
#[derive(Debug, Serialize, Deserialize)]
pub enum Directory {
    /// Enters a name, before its tenant is created.
    Add(String),
    /// Strikes a name out, after its tenant was removed.
    Remove(String),
    /// All names.
    List,
    /// Whether there is a tenant of that name. Answered with [`Reply::Done`] if so.
    Has(String),
}

/// An administrator's call.
#[derive(Debug, Serialize, Deserialize)]
pub enum Admin {
    /// Create or replace the policy; the text as sent.
    PutPolicy(String),
    /// Read it.
    GetPolicy,
    /// Remove the tenant.
    Delete,
    /// Issue a key.
    CreateKey(NewKey),
    /// List the keys.
    ListKeys,
    /// Revoke one.
    RevokeKey(String),
}

/// The body of `POST …/keys`.
#[derive(Debug, Serialize, Deserialize)]
pub struct NewKey {
    /// What the key may do.
    pub role: Role,
    /// The app, for `role: app` alone.
    pub app: Option<String>,
    /// How long it works, seconds; without, until revoked.
    pub expires_in_seconds: Option<u64>,
}

/// A call that asks to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admit {
    /// The call's id: 128 random bits, hexadecimal. Asking twice with one id takes one permit.
    pub call: String,
    /// What the key says, its MAC and expiry already checked.
    pub claims: Claims,
    /// The connection's name.
    pub connection: String,
    /// The methods that the vendor may read, as [`crate::upstream::methods`] writes them: that of the request line first.
    pub method: String,
    /// The vendor's path as sent, from its first `/`, without the query; with a `*` in the place of a key.
    pub path: String,
    /// Length of path and query as the vendor will see them, bytes.
    pub uri_bytes: u32,
    /// What is known of the body.
    pub body: BodyLength,
    /// The caller is a page in a browser (`Origin` or `Sec-Fetch-Site`).
    pub from_browser: bool,
    /// The page's origin, where it is sent.
    pub origin: Option<String>,
    /// Sluice's own page asks.
    pub own_origin: bool,
    /// The key came in `Sluice-Key`.
    pub key_in_header: bool,
    /// `Prefer: wait`, milliseconds.
    pub wait_ms: Option<u64>,
    /// RFC 9218 urgency, 0 first.
    pub urgency: u8,
    /// An earlier ask of this call may have been heard.
    pub repeated: bool,
    /// The version of the route the Worker remembers, so that it need not be sent again; 0: none.
    pub known_route: u64,
    /// The mark of the access token that the Worker holds, so that it need not be sent again; 0: none.
    pub known_token: u64,
    /// The mark of the access token with which the vendor has refused this call; 0: none. Then another is wanted.
    pub rejected_token: u64,
}

/// A call to be kept and made later.
#[derive(Debug, Serialize, Deserialize)]
pub struct SubmitJob {
    /// What it would ask to go by.
    pub admit: Admit,
    /// What is to be sent.
    pub request: Request,
    /// When it came, Unix ms: with the call's id this makes the job's, so that asking twice keeps one.
    pub made: i64,
    /// Its `Idempotency-Key`.
    pub key: Option<String>,
    /// How long its caller waits for its end, milliseconds; 0: not at all.
    pub wait_ms: u64,
}

/// What became of a job's run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunReport {
    /// What becomes of the permit. With an outcome of `Unused` nothing was sent.
    pub settle: Settle,
    /// The job's id.
    pub job: String,
    /// Which of its runs.
    pub run: u32,
    /// Whether the vendor says that it took effect; none where that is not known.
    pub executed: Option<bool>,
    /// The same call might go well if made again.
    pub transient: bool,
    /// When the vendor says to ask again, milliseconds from the answer.
    pub retry_after_ms: Option<u64>,
    /// The mark of the access token that the vendor has refused; 0: none.
    pub rejected_token: u64,
    /// What the vendor answered, where all of it came.
    pub answer: Option<jobs::Answer>,
}

/// An ask about jobs, by a key whose MAC and expiry are checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobsAsk {
    /// What the key says.
    pub claims: Claims,
    /// The caller is a page in a browser.
    pub from_browser: bool,
    /// The page's origin, where it is sent.
    pub origin: Option<String>,
    /// Sluice's own page asks.
    pub own_origin: bool,
    /// What is asked.
    pub what: JobsWhat,
}

/// Which jobs are meant: those to which all of it applies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Dead letters alone, and callbacks that could not be delivered among them.
    pub dead: bool,
    /// Those in this state.
    pub state: Option<jobs::State>,
    /// Those of this app.
    pub app: Option<String>,
    /// Those for this connection.
    pub connection: Option<String>,
}

/// What may be asked about jobs. Ids as they were written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum JobsWhat {
    /// Which there are, the newest first.
    List {
        /// These alone.
        of: Filter,
        /// So many at most.
        limit: u32,
        /// Those made before this one.
        after: Option<String>,
    },
    /// One of them.
    Show(String),
    /// The vendor's answer to it.
    Answer(String),
    /// Forget it; with true, only if it is a dead letter.
    Delete(String, bool),
    /// Make a dead letter's call again.
    Replay(String),
    /// The same for all of them, of those made before this one; some at a time, the newest first. The reply says how many, and if there
    /// may be more, before which one to go on.
    ReplayAll(Option<String>),
    /// Forget all of these but those that run, in the same way.
    DeleteAll(Filter, Option<String>),
}

impl JobsWhat {
    /// It is about one job, which the asker names.
    pub const fn is_of_one(&self) -> bool {
        match self {
            Self::Show(_) | Self::Answer(_) | Self::Delete(..) | Self::Replay(_) => true,
            Self::List { .. } | Self::ReplayAll(_) | Self::DeleteAll(..) => false,
        }
    }

    /// It changes nothing.
    pub const fn is_read_only(&self) -> bool {
        matches!(self, Self::List { .. } | Self::Show(_) | Self::Answer(_))
    }
}

/// An access token to fetch: for whoever is told so, and nobody else.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fetch {
    /// What to send.
    pub exchange: Exchange,
    /// To report with.
    pub whose: u64,
    /// To report with.
    pub began: i64,
}

/// What became of an exchange.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenReport {
    /// The connection's name.
    pub connection: String,
    /// From [`Fetch`].
    pub whose: u64,
    /// From [`Fetch`].
    pub began: i64,
    /// A token, or why there is none.
    pub result: Result<Issued, Failure>,
}

/// What became of a message that was sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliveryReport {
    /// Its id, as it was sent.
    pub id: String,
    /// From [`crate::tenant::task::Delivery`].
    pub attempt: u32,
    /// The receiver's status, or 0.
    pub status: u16,
    /// Why there is none: `timeout` or `unreachable`.
    pub error: Option<String>,
    /// When the receiver says to try again, milliseconds from its answer.
    pub retry_after_ms: Option<u64>,
}

/// What is known of a request's body before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BodyLength {
    /// No body, or this many bytes.
    Bytes(u64),
    /// Chunked.
    Unknown,
}

/// What became of a permit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settle {
    /// The connection's name.
    pub connection: String,
    /// The permit.
    pub permit: PermitId,
    /// 1 for the first try to report, then 2, 3 …
    pub attempt: u32,
    /// Its end.
    pub outcome: Outcome,
    /// How long ago the vendor's headers came, milliseconds, where they did.
    pub since_headers_ms: u64,
    /// Bytes of the answer's body as received.
    pub response_bytes: u64,
    /// The vendor's status, or 0.
    pub status: u16,
    /// What the answer told of the vendor's own counts.
    pub counts: Vec<Counted>,
    /// The code for the error statistics: in the vendor's body, else the status, else `timeout` or `unreachable`; none for a good answer.
    pub error_code: Option<String>,
    /// What the statistics count; none for a permit that was not used.
    pub sent: Option<Sent>,
}

/// A vendor call that was made, as the statistics see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The app that called.
    pub app: String,
    /// The method, upper case.
    pub method: String,
    /// The vendor's path with its ids folded ([`crate::usage::endpoint`]), without the query.
    pub path: String,
    /// Which vendor call this was of the caller's one: 1, and more for its repeats.
    pub nth: u32,
    /// How long ago it was sent, milliseconds.
    pub ago_ms: u64,
}

/// What goes over the wire.
pub fn to_wire(message: &impl Serialize) -> Vec<u8> {
    codec::write(Vec::new(), message)
}

/// What came over the wire; none for the words of another release.
pub fn from_wire<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    codec::read(bytes)
}

#[cfg(test)]
mod tests;
