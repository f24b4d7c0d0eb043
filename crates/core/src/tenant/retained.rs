//! The statistics of connections that the policy no longer has: their calls belong to the tenant's
//! report as long as that looks back.

use super::store::{Host, StoreError, Table};
use crate::usage::{Entry, Kind, Usage};
use sluice_limiter::calendar::DAY_MS;
use std::collections::BTreeMap;

/// How long the statistics are kept, in milliseconds: a report covers today and the six days
/// before.
const KEPT_MS: i64 = 7 * DAY_MS;

/// The most removed connections that are kept: as many as a policy may have. Beyond, the one
/// removed first is forgotten.
const MOST: usize = crate::policy::MAX_CONNECTIONS;

/// The connections that are out of the policy, by name.
#[derive(Default)]
pub(super) struct RemovedConnections(BTreeMap<String, Retained>);

/// What a removed connection has counted.
struct Retained {
    /// Until when it is kept, in Unix milliseconds.
    until: i64,
    usage: Usage,
}

impl RemovedConnections {
    /// Loads what is stored.
    pub(super) fn load(host: &Host<'_>) -> Result<Self, StoreError> {
        let mut removed = BTreeMap::new();
        for (name, row) in host.store.all(Table::Retained)? {
            let parts = row.split_first_chunk().map(|(until, usage)| (i64::from_be_bytes(*until), usage));
            // What another release has written is no reason to admit nothing.
            if let Some((until, Some(usage))) = parts.map(|(until, usage)| (until, Usage::unpack(usage))) {
                removed.insert(name, Retained { until, usage });
            }
        }
        Ok(Self(removed))
    }

    /// Keeps what a connection has counted, as it leaves the policy.
    pub(super) fn keep(&mut self, name: String, mut usage: Usage, host: &mut Host<'_>) -> Result<(), StoreError> {
        let until = host.now.saturating_add(KEPT_MS);
        let mut row = until.to_be_bytes().to_vec();
        row.extend(usage.pack(&Default::default()));
        host.store.save(Table::Retained, &name, &row)?;
        self.0.insert(name, Retained { until, usage });
        while self.0.len() > MOST {
            let first = self.0.iter().min_by_key(|(_, removed)| removed.until).map(|(name, _)| name.clone());
            self.forget(&first.unwrap_or_default(), host)?;
        }
        Ok(())
    }

    /// Takes the counts of a connection out. Its row stays until the connection is
    /// [forgotten](Self::forget).
    pub(super) fn take_usage(&mut self, name: &str) -> Usage {
        self.0.get_mut(name).map(|removed| std::mem::take(&mut removed.usage)).unwrap_or_default()
    }

    /// Forgets a connection: it is in the policy again, or its time is over.
    pub(super) fn forget(&mut self, name: &str, host: &mut Host<'_>) -> Result<(), StoreError> {
        match self.0.remove(name) {
            Some(_) => host.store.remove(Table::Retained, name),
            None => Ok(()),
        }
    }

    /// Forgets the connections whose time is over.
    pub(super) fn forget_old(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        let over = self.0.iter().filter(|(_, removed)| removed.until <= host.now);
        let names: Vec<String> = over.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.forget(&name, host)?;
        }
        Ok(())
    }

    /// The names of the connections.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// When the next connection is to be forgotten, in Unix milliseconds.
    pub(super) fn next_end(&self) -> Option<i64> {
        self.0.values().map(|removed| removed.until).min()
    }

    /// Adds what the connections have counted on a day to an entry of a report. Nobody reports what
    /// was in flight when a connection was removed, so that counts as sent.
    pub(super) fn report(&mut self, kind: Kind, entry: &mut Entry) {
        for removed in self.0.values_mut() {
            removed.usage.report(kind, false, entry);
            if kind == Kind::Usage {
                let day = entry.day;
                let usage = &removed.usage;
                for open in usage.inherited().iter().filter(|open| open.since.div_euclid(DAY_MS) == day) {
                    entry.add(&open.app, open.left);
                }
            }
        }
    }
}
