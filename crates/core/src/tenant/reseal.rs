//! The sealing anew of what an older master key has sealed, once `MASTER_KEY` lists a newer one
//! before it. The policy's secrets and the access tokens are sealed anew as the tenant is loaded,
//! and what jobs and callbacks have stored in small steps after that. The end is noted, so that the
//! next epoch does not look again.

use super::store::{Host, StoreError, Table};
use crate::jobs::record::{Answer, Record, Request, from_row, to_row};
use crate::jobs::sealed::Path;
use crate::policy::Policy;
use crate::sealed::{self, NONCE_BYTES};
use crate::webhooks::Message;
use crate::webhooks::record::{open_body, open_to, seal_body, seal_to};

/// The tables whose rows are looked at one by one.
const TABLES: [Table; 5] = [Table::Job, Table::JobRequest, Table::JobAnswer, Table::Webhook, Table::WebhookBody];

/// How many rows one step looks at: a request may have 1 MB.
const AT_A_TIME: u32 = 8;

/// The time between two steps, in milliseconds.
const PAUSE_MS: i64 = 20;

/// The row, among the policy's, that names the key that all of the tenant's secrets are sealed
/// under.
const SEALED_BY: &str = "sealed-by";

/// How far the sealing anew of a tenant's rows has come.
#[derive(Clone)]
pub(super) struct Reseal {
    /// The place in [`TABLES`].
    table: usize,
    /// The id of the last row that was looked at.
    after: String,
    /// When the sealing goes on, in Unix milliseconds.
    at: i64,
}

impl Reseal {
    /// Begins, if there is something to be sealed anew.
    pub(super) fn begin(host: &Host<'_>) -> Result<Option<Self>, StoreError> {
        let Some(current) = host.rotated_key() else { return Ok(None) };
        if host.store.load(Table::Policy, SEALED_BY)?.is_some_and(|by| by == current) {
            return Ok(None);
        }
        Ok(Some(Self { table: 0, after: String::new(), at: host.now }))
    }

    /// When the sealing goes on, in Unix milliseconds.
    pub(super) const fn next_wakeup(&self) -> i64 {
        self.at
    }

    /// Looks at the next few rows of a tenant, if that is due. Gives what is left to do; none once
    /// all is done.
    pub(super) fn go_on(mut self, tenant: &str, host: &mut Host<'_>) -> Result<Option<Self>, StoreError> {
        if self.at > host.now {
            return Ok(Some(self));
        }
        let Some(table) = TABLES.get(self.table).copied() else {
            if let Some(current) = host.rotated_key() {
                host.store.save(Table::Policy, SEALED_BY, &current)?;
            }
            return Ok(None);
        };
        let rows = host.store.some(table, &self.after, AT_A_TIME)?;
        match rows.last() {
            Some((last, _)) => {
                self.after.clone_from(last);
                self.at = host.now.saturating_add(PAUSE_MS);
            }
            None => (self.table, self.after) = (self.table.saturating_add(1), String::new()),
        }
        for (id, row) in rows {
            if sealed::is_stale(&host.settings.master, &row)
                && let Some(row) = anew(table, &id, &row, tenant, host)
            {
                host.store.save(table, &id, &row)?;
            }
        }
        Ok(Some(self))
    }
}

/// Seals a stored policy's secrets anew, if an older key has sealed any.
pub(super) fn reseal_policy(
    policy: &Policy,
    stored: &str,
    tenant: &str,
    host: &mut Host<'_>,
) -> Result<(), StoreError> {
    if host.rotated_key().is_none() || !sealed::is_stale(&host.settings.master, stored.as_bytes()) {
        return Ok(());
    }
    let stored = policy.to_stored(tenant, &host.settings.master, host.random);
    let stored = stored.map_err(|fault| StoreError(fault.to_string()))?;
    host.store.save(Table::Policy, "", stored.as_bytes())
}

/// A row with its secrets sealed under the key in force; none for what does not open.
fn anew(table: Table, id: &str, row: &[u8], tenant: &str, host: &Host<'_>) -> Option<Vec<u8>> {
    let sealer = host.sealer(tenant);
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
