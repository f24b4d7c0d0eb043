//! The messages of administrators, operators and viewers.

use crate::keys::{Claims, Role};
use crate::usage;
use serde::{Deserialize, Serialize};

/// An administrator's call.
#[derive(Debug, Serialize, Deserialize)]
pub enum Admin {
    /// Creates or replaces the policy, of which this is the text as sent.
    PutPolicy(String),
    /// Reads the policy.
    GetPolicy,
    /// Removes the tenant.
    Delete,
    /// Issues a key.
    CreateKey(NewKey),
    /// Lists the keys.
    ListKeys,
    /// Revokes the key with this id.
    RevokeKey(String),
}

/// The body of `POST …/keys`.
#[derive(Debug, Serialize, Deserialize)]
pub struct NewKey {
    /// The role says what the key may do.
    pub role: Role,
    /// The app that carries the key; only the role `app` has one.
    pub app: Option<String>,
    /// How long the key works, in seconds; without it, until it is revoked.
    pub expires_in_seconds: Option<u64>,
}

/// A request to the list of tenants.
#[derive(Debug, Serialize, Deserialize)]
pub enum Directory {
    /// Enters a name, before its tenant is created.
    Add(String),
    /// Strikes a name out, after its tenant was removed.
    Remove(String),
    /// Lists all names.
    List,
    /// Asks whether there is a tenant of that name. The object answers with [`super::Reply::Done`]
    /// if so.
    Has(String),
}

/// An operator's order, by a key whose MAC and expiry the Worker has checked.
#[derive(Debug, Serialize, Deserialize)]
pub struct OperateAsk {
    /// The claims are what the key says.
    pub claims: Claims,
    /// The connection's name.
    pub connection: String,
    /// The order.
    pub what: Operate,
}

/// An order to a connection, or to one app on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operate {
    /// The app that the order is for, where it is for one alone.
    pub app: Option<String>,
    /// The order.
    pub order: Order,
}

/// An order to stop or to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Lets no call go.
    Pause {
        /// For how many seconds; without them, until resumed.
        seconds: Option<u64>,
        /// The reason, which the status shows.
        reason: Option<String>,
    },
    /// Lets calls go again, also where another operator has stopped them.
    Resume,
}

/// The kind of an [`Order`], which its address names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderKind {
    /// `POST /connections/{name}/pause`.
    Pause,
    /// `POST /connections/{name}/resume`.
    Resume,
}

/// A request for statistics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Figures {
    /// Asks for counts by day.
    Days {
        /// Says which figures are asked for: calls or errors.
        kind: usage::Kind,
        /// Over which days.
        span: ReportSpan,
        /// The connection, whose own quota days are then counted; without one, all connections on
        /// UTC days.
        connection: Option<String>,
    },
    /// Asks for everything, in Prometheus' text format.
    Metrics,
}

/// The days of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportSpan {
    /// Today.
    Today,
    /// The last seven days.
    Week,
}
