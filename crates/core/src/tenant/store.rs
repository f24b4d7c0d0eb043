//! The surroundings of a tenant's state: storage, clock, time zones, randomness and settings.

use crate::jobs::sealed::Sealer;
use crate::keys::{Master, SEAL_ID_BYTES};
use sluice_limiter::Now;
use sluice_limiter::calendar::Zones;

/// What is stored, each a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// The policy: one row.
    Policy,
    /// Keys, by id.
    Key,
    /// Limiters, by connection.
    Limiter,
    /// Names of tenants, in the one object that lists them.
    Tenant,
    /// What removed connections' windows and days still need, by connection.
    Tombstone,
    /// Access tokens and rotated refresh tokens, sealed, by connection.
    TokenCache,
    /// Jobs, by id: where each stands.
    Job,
    /// What jobs send, by id, with what may be secret in it sealed.
    JobRequest,
    /// What the vendor has answered them, by id.
    JobAnswer,
    /// Messages that are to be delivered, or could not be, by id: where each stands.
    Webhook,
    /// Their payloads, by id.
    WebhookBody,
    /// What connections have counted that are no longer in the policy, by name.
    Retained,
}

/// Storage refused: this object is superseded, or its storage is broken. It must forget what it holds in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError(pub String);

/// Durable storage, synchronous. What leaves the object after a `save` leaves only once that is durable.
pub trait Store {
    /// One row.
    ///
    /// # Errors
    /// If storage refuses.
    fn load(&self, table: Table, id: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// All rows of a table.
    ///
    /// # Errors
    /// If storage refuses.
    fn all(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, StoreError>;
    /// Up to `most` rows of a table, in the order of their ids, from after that one on.
    ///
    /// # Errors
    /// If storage refuses.
    fn some(&self, table: Table, after: &str, most: u32) -> Result<Vec<(String, Vec<u8>)>, StoreError>;
    /// Writes one row.
    ///
    /// # Errors
    /// If storage refuses.
    fn save(&mut self, table: Table, id: &str, value: &[u8]) -> Result<(), StoreError>;
    /// Removes one row, if it is there.
    ///
    /// # Errors
    /// If storage refuses.
    fn remove(&mut self, table: Table, id: &str) -> Result<(), StoreError>;
    /// Removes all rows of a table.
    ///
    /// # Errors
    /// If storage refuses.
    fn clear(&mut self, table: Table) -> Result<(), StoreError>;
}

/// The installation's settings, as far as a tenant's state needs them.
pub struct Settings {
    /// `ALLOW_LOOPBACK_VENDORS`.
    pub allow_loopback: bool,
    /// `MASTER_KEY`.
    pub master: Master,
}

/// The surroundings of one event.
pub struct Host<'a> {
    /// Unix time, milliseconds.
    pub now: i64,
    /// Storage.
    pub store: &'a mut dyn Store,
    /// The platform's time zones.
    pub zones: &'a dyn Zones,
    /// Fills a slice with random bytes.
    pub random: &'a dyn Fn(&mut [u8]),
    /// The settings.
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
