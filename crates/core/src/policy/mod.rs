//! A tenant's policy: it is parsed and checked once, from the document as written to the form in
//! which it is used.
//!
//! [`Policy::parse`] reads a whole document and reports every fault by its JSON pointer. What it
//! returns has only valid parts, in integers, with every default filled in. [`Policy::understood`]
//! writes it back in the form it is read from, without secrets, and [`Policy::to_stored`] with each
//! secret sealed.
//!
//! Every part has a bound, and a policy beyond one is refused:
//!
//! | what | at most |
//! |---|---|
//! | the document | 1 MB ([`MAX_POLICY_BYTES`]), 127 levels deep; 1,000 faults ([`MAX_FAULTS`]) |
//! | connections, apps | 100 ([`MAX_CONNECTIONS`]), 1,000 ([`MAX_APPS`]) |
//! | limits of a connection | 32 ([`MAX_LIMITS`]) |
//! | routes in a list, bytes of one | 100 ([`MAX_ROUTES`]), 1,024 ([`MAX_ROUTE_BYTES`]) |
//! | calls, bytes of a limit | 10^9 ([`MAX_CALLS`]), 10^15 ([`MAX_BYTES`]); a bucket's rate 10^6 a second |
//! | a rolling window, `guard_ms`, `after_seconds` | 31 days ([`MAX_WINDOW_MS`]), 60,000 ms, a day |
//! | zones of a reset | 8, within 12 hours of each other |
//! | `queue.size`, `max_wait_seconds` | 10,000, an hour |
//! | `pause_seconds`, `max_pause_seconds` | an hour, a day (and at least a second) |
//! | `timeout_seconds`, `retry.attempts` | an hour, 10 |
//! | `weight`, origins of an app | 1,000, 100 ([`MAX_ORIGINS`]) |
//! | an address, a credential's field, a private key | 2,048 bytes ([`MAX_ADDRESS_BYTES`]), 8,192, 16,384 |
//! | callback hosts, thresholds of `daily_used` | 100, 10 |
//! | `jobs.expire_seconds` | a year (and at least a second) |
//!
//! Decimals have up to six places (`timeout_seconds` and other times three); `share`, factors and ratios are kept in
//! parts per million, rates in millionths of a call a second, times in milliseconds.

mod alerts;
mod app;
mod connection;
mod credential;
mod document;
mod jobs;
mod limits;
mod matcher;
mod reading;
mod routes;
mod stored;
mod url;
mod warnings;

pub use alerts::{Alerts, Callbacks};
pub use app::{App, MAX_ORIGINS};
pub use connection::Connection;
pub use credential::{Credential, MASK};
pub use document::{Fault, MAX_FAULTS};
pub use jobs::JobsRule;
pub use limits::{LimitRule, MAX_BYTES, MAX_CALLS, MAX_LIMITS, MAX_WINDOW_MS};
pub use matcher::{MAX_LISTS, Matcher};
pub use routes::{MAX_ROUTE_BYTES, MAX_ROUTES, Routes};
pub use stored::StoredFault;
pub use url::{Address, MAX_ADDRESS_BYTES, check as check_address, check_host, check_with_query};

use crate::document::{Tree, text};
use alerts::{AlertsDocument, CallbacksDocument};
use app::AppDocument;
use connection::ConnectionDocument;
use document::{Faults, Fields, Node};
use jobs::JobsDocument;
use serde::Serialize;
use sluice_limiter::calendar::Zones;
use std::collections::BTreeMap;

/// The longest text of a policy: 1 MB.
pub const MAX_POLICY_BYTES: usize = 1_048_576;

/// The most connections of a tenant. Each has its own limiter in the tenant's object.
pub const MAX_CONNECTIONS: usize = 100;

/// The most apps of a tenant.
pub const MAX_APPS: usize = 1_000;

/// A part of a policy that is valid but may not be meant. It has the form of a fault.
pub type Warning = Fault;

/// The policy of a tenant, valid and complete. `Debug` of no part shows a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The connections, by name.
    pub connections: BTreeMap<String, Connection>,
    /// The apps, by name.
    pub apps: BTreeMap<String, App>,
    /// Where results of jobs may be sent, and the signing secret.
    pub callbacks: Option<Callbacks>,
    /// When the tenant is alerted.
    pub alerts: Alerts,
    /// How long jobs wait for their first attempt.
    pub jobs: JobsRule,
}

/// The context in which a policy is read.
pub struct Context<'a> {
    /// The platform's time zones.
    pub zones: &'a dyn Zones,
    /// The setting `ALLOW_LOOPBACK_VENDORS`.
    pub allow_loopback: bool,
    /// The current policy, whose secrets `"***"` stands for.
    pub previous: Option<&'a Policy>,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// It fails with everything that is wrong with the policy, up to [`MAX_FAULTS`] faults.
    pub fn parse(text: &str, context: &Context<'_>) -> Result<(Self, Vec<Warning>), Vec<Fault>> {
        if text.len() > MAX_POLICY_BYTES {
            return Err(vec![Fault::whole("the policy must be at most 1,048,576 bytes long")]);
        }
        match serde_json::from_str::<Tree>(text) {
            Ok(document) => Self::of(&document, context),
            Err(fault) => Err(vec![Fault::whole(format!("is not JSON: {fault}"))]),
        }
    }

    /// Reads a policy from a parsed document.
    fn of(document: &Tree, context: &Context<'_>) -> Result<(Self, Vec<Warning>), Vec<Fault>> {
        let (faults, warnings) = (Faults::default(), Faults::default());
        let policy = read(&Node::root(document, &faults), context, &warnings);
        match (policy, faults.into_vec()) {
            (Some(policy), faults) if faults.is_empty() => {
                warnings::note(&policy, &warnings);
                Ok((policy, warnings.into_vec()))
            }
            (None, faults) if faults.is_empty() => Err(vec![Fault::whole("is not a policy")]),
            (_, faults) => Err(faults),
        }
    }

    /// Writes the policy as JSON with every default, in the form it is read from, with secrets as
    /// `"***"`, and with `warnings` if there are any.
    pub fn understood(&self, warnings: &[Warning]) -> String {
        text(&PolicyDocument { warnings, ..self.document(&mut |_, _| MASK.to_owned()) })
    }

    /// Returns the document that the policy can be read from. Each secret passes through `shown`
    /// with its JSON pointer.
    fn document(&self, shown: &mut dyn FnMut(&str, &str) -> String) -> PolicyDocument<'_> {
        let mut connections = BTreeMap::new();
        for (name, connection) in &self.connections {
            let document = connection.document(&mut |field, secret| shown(&credential_pointer(name, field), secret));
            connections.insert(name.as_str(), document);
        }
        PolicyDocument {
            connections,
            apps: self.apps.iter().map(|(name, app)| (name.as_str(), app.document())).collect(),
            callbacks: self.callbacks.as_ref().map(|own| own.document(shown(CALLBACK_SECRET, &own.secret))),
            alerts: self.alerts.document(),
            jobs: self.jobs.document(),
            warnings: &[],
        }
    }
}

/// A policy in the form in which it is written.
#[derive(Serialize)]
struct PolicyDocument<'a> {
    connections: BTreeMap<&'a str, ConnectionDocument<'a>>,
    apps: BTreeMap<&'a str, AppDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callbacks: Option<CallbacksDocument<'a>>,
    alerts: AlertsDocument<'a>,
    jobs: JobsDocument,
    #[serde(skip_serializing_if = "<[Warning]>::is_empty")]
    warnings: &'a [Warning],
}

/// The JSON pointer of the callbacks' secret.
const CALLBACK_SECRET: &str = "/callbacks/secret";

/// Returns the JSON pointer of a credential's field. Names of connections need no escaping.
fn credential_pointer(connection: &str, field: &str) -> String {
    format!("/connections/{connection}/credential/{field}")
}

fn read(at: &Node<'_>, context: &Context<'_>, warnings: &Faults) -> Option<Policy> {
    let fields = at.object(&["connections", "apps", "callbacks", "alerts", "jobs"])?;
    let connections = read_named(&fields, "connections", MAX_CONNECTIONS, |name, at| {
        let previous = context.previous.and_then(|policy| policy.connections.get(name));
        connection::read(at, context, previous, warnings)
    });
    let known: Vec<&str> = match fields.get("connections").map(|at| at.node) {
        Some(Tree::Object(entries)) => entries.iter().map(|(name, _)| name.as_str()).collect(),
        _ => Vec::new(),
    };
    let apps = read_named(&fields, "apps", MAX_APPS, |_, at| App::read(at, &known));
    let callbacks = fields.get("callbacks").map(|at| {
        let previous = context.previous.and_then(|policy| policy.callbacks.as_ref());
        Callbacks::read(&at, previous, context.allow_loopback, warnings)
    });
    let alerts = match fields.get("alerts") {
        Some(at) => Alerts::read(&at, context.allow_loopback, callbacks.is_some(), warnings),
        None => Some(Alerts::default()),
    };
    let jobs = fields.get("jobs").map_or(Some(JobsRule::default()), |at| JobsRule::read(&at));
    let callbacks = match callbacks {
        Some(read) => Some(read?),
        None => None,
    };
    Some(Policy { connections: connections?, apps: apps?, callbacks, alerts: alerts?, jobs: jobs? })
}

/// Reads the entries of an object by name; it has none where the field is missing.
fn read_named<T>(
    fields: &Fields<'_>,
    name: &str,
    most: usize,
    read: impl Fn(&str, &Node<'_>) -> Option<T>,
) -> Option<BTreeMap<String, T>> {
    let Some(at) = fields.get(name) else { return Some(BTreeMap::new()) };
    // All entries are read even if one fails, so that every fault is noted.
    let mut all = Some(BTreeMap::new());
    for (name, at) in at.named(most)? {
        match (read(name, &at), &mut all) {
            (Some(read), Some(all)) => drop(all.insert(name.to_owned(), read)),
            _ => all = None,
        }
    }
    all
}

#[cfg(test)]
mod tests;
