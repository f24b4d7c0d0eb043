//! The statistics of a tenant, put together from what its connections have counted.

#![expect(clippy::arithmetic_side_effects, reason = "a letter of the alphabet")]

use super::connection::ReportDays;
use super::replies::refused;
use super::state::TenantState;
use super::store::{Host, StoreError};
use super::{authorize, metrics};
use crate::keys::Claims;
use crate::protocol::{Figures, Reply, ReportSpan};
use crate::usage::{document, entries};
use sluice_limiter::calendar::DAY_MS;

/// Answers a request for statistics, if the key may see them.
pub(super) fn report(
    tenant: &mut TenantState,
    claims: &Claims,
    figures: Figures,
    host: &mut Host<'_>,
) -> Result<Reply, StoreError> {
    if let Err(refusal) = authorize::may_look(tenant, claims, host.now) {
        return Ok(refused(refusal));
    }
    for connection in tenant.connections.values_mut() {
        connection.tick(host);
        connection.count_unheard(host);
    }
    let Figures::Days { kind, span, connection } = figures else {
        let body = metrics::exposition(tenant);
        return Ok(Reply::Document { status: 200, body, warnings: Vec::new() });
    };
    let week = span == ReportSpan::Week;
    let mut bytes = [0; 6];
    (host.random)(&mut bytes);
    let request = bytes.iter().fold(String::new(), |id, byte| id + &char::from(b'a' + byte % 26).to_string());
    let body = match connection {
        Some(name) => {
            let Some(connection) = tenant.connections.get_mut(&name) else {
                return Ok(refused(authorize::unknown(&name)));
            };
            let today = connection.today(host);
            let mut entries = entries(today, week);
            entries.iter_mut().for_each(|entry| connection.report(kind, ReportDays::Quota, entry, host));
            document(kind, &request, &mut entries)
        }
        None => {
            let mut entries = entries(host.now.div_euclid(DAY_MS), week);
            for connection in tenant.connections.values_mut() {
                entries.iter_mut().for_each(|entry| connection.report(kind, ReportDays::Utc, entry, host));
            }
            entries.iter_mut().for_each(|entry| tenant.removed.report(kind, entry));
            document(kind, &request, &mut entries)
        }
    };
    Ok(Reply::Document { status: 200, body, warnings: Vec::new() })
}
