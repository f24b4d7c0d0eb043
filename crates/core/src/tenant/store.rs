//! The surroundings of a tenant's state: storage, clock, time zones, randomness and settings.

use crate::jobs::sealed::Sealer;
use crate::keys::{Master, SEAL_ID_BYTES};
use sluice_limiter::Now;
use sluice_limiter::calendar::Zones;

/// The tables of what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// The policy, and beside it some rows about the tenant as a whole.
    Policy,
    /// The keys, by id.
    Key,
    /// The limiters' rows with the counts, by connection.
    Limiter,
    /// The names of tenants, in the one object that lists them.
    Tenant,
    /// What removed connections' windows and days still need, by connection.
    Tombstone,
    /// The access tokens and rotated refresh tokens, sealed, by connection.
    TokenCache,
    /// The records of jobs, by id.
    Job,
    /// The requests of jobs, by id, with what may be secret in them sealed.
    JobRequest,
    /// The vendor's answers to jobs, by id.
    JobAnswer,
    /// The records of messages that are to be delivered, or could not be, by id.
    Webhook,
    /// The payloads of messages, by id.
    WebhookBody,
    /// The counts of connections that are no longer in the policy, by name.
    Retained,
}

/// The error of storage that refuses: this object is superseded, or its storage is broken. The
/// object must forget what it holds in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError(pub String);

/// Durable, synchronous storage. What leaves the object after a `save` leaves only once that is
/// durable.
pub trait Store {
    /// Loads one row.
    ///
    /// # Errors
    /// Fails if storage refuses.
    fn load(&self, table: Table, id: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Loads all rows of a table.
    ///
    /// # Errors
    /// Fails if storage refuses.
    fn all(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, StoreError>;
    /// Loads up to `most` rows of a table whose ids come after `after`, in the order of their ids.
    ///
    /// # Errors
    /// Fails if storage refuses.
    fn some(&self, table: Table, after: &str, most: u32) -> Result<Vec<(String, Vec<u8>)>, StoreError>;
    /// Writes one row.
    ///
    /// # Errors
    /// Fails if storage refuses.
    fn save(&mut self, table: Table, id: &str, value: &[u8]) -> Result<(), StoreError>;
    /// Removes one row, if it is there.
    ///
    /// # Errors
    /// Fails if storage refuses.
    fn remove(&mut self, table: Table, id: &str) -> Result<(), StoreError>;
    /// Removes all rows of a table.
    ///
    /// # Errors
    /// Fails if storage refuses.
    fn clear(&mut self, table: Table) -> Result<(), StoreError>;
}

/// The installation's settings, as far as a tenant's state needs them.
pub struct Settings {
    /// Whether vendors may be on this machine (`ALLOW_LOOPBACK_VENDORS`).
    pub allow_loopback: bool,
    /// The master keys (`MASTER_KEY`).
    pub master: Master,
}

/// The surroundings of one event.
pub struct Host<'a> {
    /// The time, in Unix milliseconds.
    pub now: i64,
    /// The storage.
    pub store: &'a mut dyn Store,
    /// The platform's time zones.
    pub zones: &'a dyn Zones,
    /// Fills a slice with random bytes.
    pub random: &'a dyn Fn(&mut [u8]),
    /// The installation's settings.
    pub settings: &'a Settings,
}

impl<'a> Host<'a> {
    /// The time, for a limiter.
    pub(super) fn time(&self) -> Now<'_> {
        Now { wall: self.now, zones: self.zones }
    }

    /// What seals and opens what is stored of a tenant's jobs and callbacks.
    pub(super) fn sealer<'s>(&self, tenant: &'s str) -> Sealer<'s>
    where
        'a: 's,
    {
        Sealer { master: &self.settings.master, tenant, random: self.random }
    }

    /// The id of the master key that seals, where older ones are listed too.
    pub(super) fn rotated_key(&self) -> Option<[u8; SEAL_ID_BYTES]> {
        let master = &self.settings.master;
        if master.is_rotated() { master.sealing().map(|(id, _)| *id) } else { None }
    }
}
