//! Sealing anew what an older master key has sealed, once `MASTER_KEY` lists a newer one before it: the policy's secrets and the access
//! tokens as the tenant is loaded, and what jobs and callbacks have stored in small steps after that. Once it is done it is noted, so that
//! the next life does not look again.

use super::connection_state::ConnectionState;
use super::state::TenantState;
use super::store::{Host, StoreError, Table};
use crate::jobs::record::{Answer, Record, Request, from_row, to_row};
use crate::jobs::sealed::{Path, Sealer};
use crate::keys::SEAL_ID_BYTES;
use crate::policy::Policy;
use crate::sealed::{self, NONCE_BYTES};
use crate::webhooks::Message;
use crate::webhooks::record::{open_body, open_to, seal_body, seal_to};

/// Tables of rows that are looked at one by one.
const TABLES: [Table; 5] = [Table::Job, Table::JobRequest, Table::JobAnswer, Table::Webhook, Table::WebhookBody];

/// Rows looked at in one step: a request may have 1 MB.
const AT_A_TIME: u32 = 8;

/// Between two steps, milliseconds.
const PAUSE_MS: i64 = 20;

/// The row, among the policy's, that names the key that all of the tenant's secrets are sealed under.
const SEALED_BY: &str = "sealed-by";

/// Where the sealing anew has come to.
pub(super) struct Reseal {
    /// The place in [`TABLES`].
    table: usize,
    /// The id of the last row that was looked at.
    after: String,
    /// When it goes on, Unix ms.
    pub(super) at: i64,
}

impl TenantState {
    /// Begins, where there is something to be sealed anew: the policy at once.
    pub(super) fn begin_reseal(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        let Some(current) = rotated(host) else { return Ok(()) };
        if host.store.load(Table::Policy, SEALED_BY)?.is_some_and(|by| by == current) {
            return Ok(());
        }
        self.reseal = Some(Reseal { table: 0, after: String::new(), at: host.now });
        self.go_on_sealing(host)
    }

    /// Looks at the next few rows, if that is due.
    pub(super) fn go_on_sealing(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        let Some(reseal) = self.reseal.as_mut().filter(|reseal| reseal.at <= host.now) else { return Ok(()) };
        let Some(table) = TABLES.get(reseal.table).copied() else {
            self.reseal = None;
            let Some(current) = rotated(host) else { return Ok(()) };
            return host.store.save(Table::Policy, SEALED_BY, &current);
        };
        let rows = host.store.some(table, &reseal.after, AT_A_TIME)?;
        match rows.last() {
            Some((last, _)) => {
                reseal.after.clone_from(last);
                reseal.at = host.now.saturating_add(PAUSE_MS);
            }
            None => (reseal.table, reseal.after) = (reseal.table.saturating_add(1), String::new()),
        }
        for (id, row) in rows {
            if sealed::is_stale(&host.settings.master, &row)
                && let Some(row) = anew(table, &id, &row, &self.name, host)
            {
                host.store.save(table, &id, &row)?;
            }
        }
        Ok(())
    }
}

impl ConnectionState {
    /// Seals the access token anew, if it is still there to be sealed.
    pub(super) fn reseal_access(&self, host: &mut Host<'_>) -> Result<(), StoreError> {
        if rotated(host).is_none() || !self.access.as_ref().is_some_and(|access| access.holds_something()) {
            return Ok(());
        }
        match host.store.load(Table::TokenCache, &self.name)? {
            Some(row) if sealed::is_stale(&host.settings.master, &row) => self.store_access(host),
            _ => Ok(()),
        }
    }
}

/// Seals a stored policy's secrets anew, if an older key has sealed any.
pub(super) fn reseal_policy(
    policy: &Policy,
    stored: &str,
    tenant: &str,
    host: &mut Host<'_>,
) -> Result<(), StoreError> {
    if rotated(host).is_none() || !sealed::is_stale(&host.settings.master, stored.as_bytes()) {
        return Ok(());
    }
    let stored = policy.to_stored(tenant, &host.settings.master, host.random);
    let stored = stored.map_err(|fault| StoreError(fault.to_string()))?;
    host.store.save(Table::Policy, "", stored.as_bytes())
}

/// The id of the key that seals, where older ones are listed too.
fn rotated(host: &Host<'_>) -> Option<[u8; SEAL_ID_BYTES]> {
    let master = &host.settings.master;
    if master.is_rotated() { master.sealing().map(|(id, _)| *id) } else { None }
}

/// A row with its secrets sealed under the key in force; none for what does not open.
fn anew(table: Table, id: &str, row: &[u8], tenant: &str, host: &Host<'_>) -> Option<Vec<u8>> {
    let sealer = Sealer { master: &host.settings.master, tenant, random: host.random };
    match table {
        Table::Job => {
            let mut record = Record::from_row(row)?;
            let path = record.path.open(&sealer, id);
            if path.is_empty() {
                return None;
            }
            record.path = Path::seal(&path, &sealer, id)?;
            Some(record.to_row())
        }
        Table::JobRequest => Request::from_row(row, &sealer, id)?.to_row(&sealer, id),
        Table::JobAnswer => Answer::from_row(row, &sealer, id)?.to_row(&sealer, id),
        Table::Webhook => {
            let mut message = from_row::<Message>(row)?;
            let to = open_to(sealer.master, tenant, id, &message.to)?;
            let mut nonce = [0; NONCE_BYTES];
            (host.random)(&mut nonce);
            message.to = seal_to(sealer.master, nonce, tenant, id, &to)?;
            Some(to_row(&message))
        }
        Table::WebhookBody => seal_body(&sealer, id, &open_body(&sealer, id, row)?),
        _ => None,
    }
}
