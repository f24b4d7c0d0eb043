//! The messages between a Worker and a tenant's object, in their [binary form](codec): the Worker
//! sends an [`Ask`], the object answers with a [`Reply`].
//!
//! Both ends are of one release, except in the moments of a deploy. A message begins with the
//! version of its form; a message of another version does not parse, and is asked for again.

mod admin;
mod admission;
mod jobs;
mod reply;
mod report;

pub use admin::{Admin, Directory, Figures, NewKey, Operate, OperateAsk, Order, OrderKind, ReportSpan};
pub use admission::{Admit, BodyLength, RouteVersion, TokenMark};
pub use jobs::{Deletable, Filter, JobsAsk, JobsWhat, RunReport, SubmitJob};
pub use reply::{Bearer, Granted, No, Reply, Route};
pub use report::{DeliveryOutcome, DeliveryReport, Fetch, Sent, Settle, TokenReport};

use crate::codec;
use crate::keys::Claims;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sluice_limiter::pool::LoanRequest;

/// The version of the messages' form. It is no number that an enum of messages could begin with, so
/// that no release without a version takes such a message for one of its own.
const VERSION: u8 = 0xc2;

/// A message from a Worker to a tenant's object.
#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    /// Asks whether a call may go. The object answers when it may, or with a refusal.
    Admit(Admit),
    /// Asks where a call would go, without asking to go. A Worker asks so for a body whose length
    /// is not known before it is read.
    Describe(Admit),
    /// Reports what became of a permit. The object answers with [`Reply::Done`], also when the
    /// report is repeated.
    Settle(Settle),
    /// Asks the object to keep a call and to make it later. The object answers with
    /// [`Reply::Queued`], or with [`Reply::Answer`] if the job ends in time.
    SubmitJob(Box<SubmitJob>),
    /// Reports what became of a job's run, and settles its permit. The object answers as it answers
    /// [`Ask::SettleBatch`].
    RunReport(Box<RunReport>),
    /// Lists, shows, replays or deletes jobs.
    Jobs(Box<JobsAsk>),
    /// Reports what became of an exchange for an access token. The object answers with
    /// [`Reply::Done`], also when the report is repeated.
    TokenReport(TokenReport),
    /// Reports what became of a callback. The object answers with [`Reply::Done`], also when the
    /// report is repeated.
    DeliveryReport(DeliveryReport),
    /// Tells that the caller of the call with this id has gone: if the call still waits, it gives
    /// up its place. Its own ask is answered all the same, so that a permit already on its way is
    /// settled as unused. The object's shell handles this, since it knows who waits.
    Gone(String),
    /// Asks the object of a pool for a loan to a connection.
    LoanRequest(LoanRequest),
    /// Asks for `GET /status.json`. For the WebSocket the Worker passes the upgrade itself on, to
    /// `/live`.
    Status(Claims),
    /// Asks for statistics.
    Figures(Claims, Figures),
    /// Carries an administrator's call, which the Worker has authorised.
    Admin(Admin),
    /// Reads or changes the list of tenants, which the object named `*` keeps.
    Directory(Directory),
    /// Reports what became of all permits of calls that have ended, including those reported
    /// before; all of one connection. The object answers with [`Reply::Done`], also when the report
    /// is repeated, once all of it is stored. An epoch of the object that ends before does not
    /// answer, or answers with [`Reply::Retry`].
    SettleBatch(Vec<Settle>),
    /// Carries an operator's order to pause or to resume a connection.
    Operate(Box<OperateAsk>),
    /// Asks whether the stored policy can be read. The object answers with [`Reply::Done`], or with
    /// a refusal that says why not.
    Readable,
}

/// Writes a message in its binary form.
pub fn to_wire(message: &impl Serialize) -> Vec<u8> {
    codec::write(vec![VERSION], message)
}

/// Reads a message from its binary form; gives none for a message of another release.
pub fn from_wire<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    codec::read(bytes.strip_prefix(&[VERSION])?)
}

#[cfg(test)]
mod tests;
