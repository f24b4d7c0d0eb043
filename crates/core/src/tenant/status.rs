//! The `/status.json` document.

use super::connection::ConnectionDocument;
use super::state::TenantState;
use super::store::Host;
use super::webhooks::CallbackCounts;
use crate::document::text;
use crate::usage::AlertDocument;
use serde::Serialize;
use sluice_limiter::calendar::rfc3339;
use std::collections::BTreeMap;

/// Writes the status document, as of now.
pub(super) fn document(tenant: &mut TenantState, host: &Host<'_>) -> String {
    let mut limits = Vec::new();
    for connection in tenant.connections.values_mut() {
        connection.tick(host);
        limits.push(connection.limits());
    }
    let connections = tenant.connections.iter().zip(limits).map(|((name, connection), limits)| {
        (name.as_str(), connection.document(limits, tenant.jobs.counts(name), host.now))
    });
    let alerts = tenant.connections.values().flat_map(|connection| connection.alert_documents());
    text(&StatusDocument {
        tenant: &tenant.name,
        at: rfc3339(host.now),
        connections: connections.collect(),
        alerts: alerts.collect(),
        callbacks: tenant.callbacks.document(),
    })
}

#[derive(Serialize)]
struct StatusDocument<'a> {
    tenant: &'a str,
    at: String,
    connections: BTreeMap<&'a str, ConnectionDocument<'a>>,
    alerts: Vec<AlertDocument<'a>>,
    callbacks: CallbackCounts,
}
