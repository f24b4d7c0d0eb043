//! Connections that leave the policy and come back: what is kept of them is taken back, and what
//! nobody needs is removed.

use super::state::TenantState;
use super::store::{Host, StoreError, Table};
use super::tombstone::kept_until;

impl TenantState {
    /// Takes back what was kept of a connection that is in the policy, and may have been out of it:
    /// the counts live on in its own row from here. Where there is such a row already, a removal or
    /// a change of the policy was cut short, and the row holds.
    pub(super) fn take_back(&mut self, name: &str, host: &mut Host<'_>) -> Result<(), StoreError> {
        let Some(connection) = self.connections.get_mut(name) else { return Ok(()) };
        if host.store.load(Table::Limiter, name)?.is_none() {
            connection.take_back(self.removed.take_usage(name), host)?;
        }
        self.removed.forget(name, host)?;
        host.store.remove(Table::Tombstone, name)
    }

    /// Takes back what was kept of all connections that are in the policy, as an epoch begins.
    pub(super) fn take_back_all(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        let stones = host.store.all(Table::Tombstone)?.into_iter().map(|(name, _)| name);
        let names: Vec<String> = stones.chain(self.removed.names().cloned()).collect();
        for name in names {
            self.take_back(&name, host)?;
        }
        Ok(())
    }

    /// Removes what is left of connections that are out of the policy, and their tombstones whose
    /// time is over.
    pub(super) fn sweep(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        for (name, stone) in host.store.all(Table::Tombstone)? {
            if !self.connections.contains_key(&name) {
                host.store.remove(Table::Limiter, &name)?;
                host.store.remove(Table::TokenCache, &name)?;
            }
            if kept_until(&stone) <= host.now {
                host.store.remove(Table::Tombstone, &name)?;
            }
        }
        Ok(())
    }
}
