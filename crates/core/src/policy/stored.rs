//! The stored form of a policy: the document with every default, in which each secret is sealed for
//! its own place.
//!
//! The defaults are stored too, so that a policy stays as it was shown when it was written, even if
//! a later version has others. Only the facts of a built-in profile are taken from the version that
//! reads it.

use super::{CALLBACK_SECRET, Context, Fault, Policy, credential_pointer};
use crate::document::{self, Tree};
use crate::keys::Master;
use crate::policy::Credential;
use crate::sealed::{self, NONCE_BYTES, Place, SealFault};
use serde::{Deserialize, Serialize};

/// The version of the stored form. Another one cannot be read.
const VERSION: u64 = 1;

/// A policy with the version of its form.
#[derive(Serialize, Deserialize)]
struct Stored<T> {
    version: u64,
    policy: T,
}

/// Why a stored policy cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredFault {
    /// The text is not a stored policy, or has a version that this release does not know.
    FieldFormat,
    /// A secret cannot be opened.
    Seal(SealFault),
    /// The policy is no longer valid: a setting or a built-in vendor on which it relied is gone.
    Invalid(Vec<Fault>),
}

impl std::fmt::Display for StoredFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::FieldFormat => {
                f.write_str("the stored policy is of a form this version does not know; write the policy again")
            }
            Self::Seal(fault) => fault.fmt(f),
            Self::Invalid(faults) => {
                f.write_str("the stored policy is no longer valid")?;
                faults.first().map_or(Ok(()), |fault| write!(f, " ({fault})"))?;
                f.write_str("; write the policy again")
            }
        }
    }
}

impl std::error::Error for StoredFault {}

impl Policy {
    /// Writes the policy in the form that is stored for that tenant. `random` fills a slice with
    /// random bytes.
    ///
    /// # Errors
    /// It fails if a secret cannot be sealed.
    pub fn to_stored(&self, tenant: &str, master: &Master, random: &dyn Fn(&mut [u8])) -> Result<String, SealFault> {
        let mut failed = None;
        let policy = self.document(&mut |field, secret| {
            let mut nonce = [0; NONCE_BYTES];
            random(&mut nonce);
            sealed::seal(master, nonce, &Place { tenant, field }, secret).unwrap_or_else(|fault| {
                failed = Some(fault);
                String::new()
            })
        });
        failed.map_or_else(|| Ok(document::text(&Stored { version: VERSION, policy })), Err)
    }

    /// Reads a policy that [`Self::to_stored`] wrote for that tenant. Its time zones were checked
    /// when it was written and are not checked again; loopback addresses are valid only while they
    /// are allowed.
    ///
    /// # Errors
    /// It fails with the reason why the policy cannot be read.
    pub fn from_stored(text: &str, tenant: &str, master: &Master, allow_loopback: bool) -> Result<Self, StoredFault> {
        let Stored { version, policy: mut document }: Stored<Tree> =
            serde_json::from_str(text).map_err(|_| StoredFault::FieldFormat)?;
        if version != VERSION {
            return Err(StoredFault::FieldFormat);
        }
        let mut failed = None;
        let mut open = |field: &str, sealed: &str| {
            sealed::open(master, &Place { tenant, field }, sealed).unwrap_or_else(|fault| {
                failed = Some(fault);
                String::new()
            })
        };
        if let Some(Tree::Object(connections)) = document.get_mut("connections") {
            for (name, connection) in connections {
                let stored = connection.get_mut("credential").ok_or(StoredFault::FieldFormat)?;
                let credential = Credential::written(stored).ok_or(StoredFault::FieldFormat)?;
                let opened = credential.document(|field, sealed| open(&credential_pointer(name, field), sealed));
                *stored = Tree::deserialize(opened).map_err(|_| StoredFault::FieldFormat)?;
            }
        }
        let callbacks = document.get_mut("callbacks").and_then(|callbacks| callbacks.get_mut("secret"));
        if let Some(Tree::String(secret)) = callbacks {
            *secret = open(CALLBACK_SECRET, secret);
        }
        if let Some(fault) = failed {
            return Err(StoredFault::Seal(fault));
        }
        let context = Context { zones: &super::limits::any_zone, allow_loopback, previous: None };
        Self::of(&document, &context).map(|(policy, _)| policy).map_err(StoredFault::Invalid)
    }
}
