//! Statistics of connections that the policy no longer has: their calls belong to the tenant's report as long as that looks back.

use super::connection_state::kept_until;
use super::state::TenantState;
use super::store::{Host, StoreError, Table};
use crate::usage::Usage;
use sluice_limiter::calendar::DAY_MS;

/// How long they are kept, milliseconds: a report tells of today and the six days before.
const KEPT_MS: i64 = 7 * DAY_MS;

/// Removed connections that are kept: as many as a policy may have. Beyond, the one removed first is forgotten.
const MOST: usize = crate::policy::MAX_CONNECTIONS;

/// What a removed connection has counted.
pub(super) struct Retained {
    /// Until when it is kept, Unix ms.
    pub(super) until: i64,
    pub(super) usage: Usage,
}

impl TenantState {
    pub(super) fn load_removed(&mut self, host: &Host<'_>) -> Result<(), StoreError> {
        for (name, row) in host.store.all(Table::Retained)? {
            let parts = row.split_first_chunk().map(|(until, usage)| (i64::from_be_bytes(*until), usage));
            // What another release has written is no reason to admit nothing.
            if let Some((until, Some(usage))) = parts.map(|(until, usage)| (until, Usage::unpack(usage))) {
                self.removed.insert(name, Retained { until, usage });
            }
        }
        Ok(())
    }

    /// Keeps what a connection has counted, as it leaves the policy.
    pub(super) fn keep_removed(
        &mut self,
        name: String,
        mut usage: Usage,
        host: &mut Host<'_>,
    ) -> Result<(), StoreError> {
        let until = host.now.saturating_add(KEPT_MS);
        let mut row = until.to_be_bytes().to_vec();
        row.extend(usage.pack(&Default::default()));
        host.store.save(Table::Retained, &name, &row)?;
        self.removed.insert(name, Retained { until, usage });
        while self.removed.len() > MOST {
            let first = self.removed.iter().min_by_key(|(_, removed)| removed.until).map(|(name, _)| name.clone());
            self.forget_removed(&first.unwrap_or_default(), host)?;
        }
        Ok(())
    }

    /// Forgets one: it is in the policy again, or its time is over.
    fn forget_removed(&mut self, name: &str, host: &mut Host<'_>) -> Result<(), StoreError> {
        match self.removed.remove(name) {
            Some(_) => host.store.remove(Table::Retained, name),
            None => Ok(()),
        }
    }

    /// A connection is in the policy, and may have been out of it: the counts that were kept live on in its own row from here. Where
    /// there is such a row already, a removal or a change of the policy was cut short, and the row holds.
    pub(super) fn take_back(&mut self, name: &str, host: &mut Host<'_>) -> Result<(), StoreError> {
        let Some(connection) = self.connections.get_mut(name) else { return Ok(()) };
        if host.store.load(Table::Limiter, name)?.is_none() {
            connection.usage =
                self.removed.get_mut(name).map(|removed| std::mem::take(&mut removed.usage)).unwrap_or_default();
            connection.limiter.require_snapshot();
            connection.store(host)?;
        }
        self.forget_removed(name, host)?;
        host.store.remove(Table::Tombstone, name)
    }

    /// All connections that are in the policy take back what is kept of them, as a life begins.
    pub(super) fn take_back_all(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        let stones = host.store.all(Table::Tombstone)?.into_iter().map(|(name, _)| name);
        let names: Vec<String> = stones.chain(self.removed.keys().cloned()).collect();
        for name in names {
            self.take_back(&name, host)?;
        }
        Ok(())
    }

    /// Removes what is left of connections that are out of the policy, and their tombstones whose time is over.
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

    /// Forgets those whose time is over.
    pub(super) fn wake_removed(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        let over = self.removed.iter().filter(|(_, removed)| removed.until <= host.now);
        let names: Vec<String> = over.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.forget_removed(&name, host)?;
        }
        Ok(())
    }

    /// When the next is to be forgotten, Unix ms.
    pub(super) fn removed_until(&self) -> Option<i64> {
        self.removed.values().map(|removed| removed.until).min()
    }
}
