//! Seals the stored parts of a job and of the messages about it, each for its own place.

use super::Bytes;
use crate::keys::Master;
use crate::sealed::{self, NONCE_BYTES, Place};
use serde::{Deserialize, Serialize};

/// Seals and opens the stored data of one tenant.
#[derive(Clone, Copy)]
pub struct Sealer<'a> {
    /// The keys of `MASTER_KEY`.
    pub master: &'a Master,
    /// The tenant's name.
    pub tenant: &'a str,
    /// Fills a slice with random bytes.
    pub random: &'a dyn Fn(&mut [u8]),
}

impl Sealer<'_> {
    /// Seals bytes for a field, whose name no field of a policy has; `None` if there is no key to
    /// seal with.
    pub fn seal(&self, field: &str, plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_BYTES];
        (self.random)(&mut nonce);
        sealed::seal_bytes(self.master, nonce, &Place { tenant: self.tenant, field }, plain).ok()
    }

    /// Opens what was sealed for that field; `None` if its master key is no longer listed.
    pub fn open(&self, field: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        sealed::open_bytes(self.master, &Place { tenant: self.tenant, field }, sealed).ok()
    }
}

/// Returns the field name for one part of a job.
pub(super) fn field(id: &str, part: &str) -> String {
    ["/jobs/", id, part].concat()
}

/// The vendor's path of a job, without the query, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Path {
    /// In clear, in rows that an earlier release has written.
    Clear(String),
    /// Sealed for its job.
    Sealed(Bytes),
}

impl Path {
    /// Seals a path for a job; `None` if there is no key to seal with.
    pub fn seal(path: &str, sealer: &Sealer<'_>, id: &str) -> Option<Self> {
        sealer.seal(&field(id, "/path"), path.as_bytes()).map(|sealed| Self::Sealed(Bytes(sealed)))
    }

    /// Returns the path, empty if it was sealed under a master key that is no longer listed.
    pub fn open(&self, sealer: &Sealer<'_>, id: &str) -> String {
        match self {
            Self::Clear(path) => path.clone(),
            Self::Sealed(sealed) => {
                let path = sealer.open(&field(id, "/path"), &sealed.0);
                path.and_then(|path| String::from_utf8(path).ok()).unwrap_or_default()
            }
        }
    }
}
