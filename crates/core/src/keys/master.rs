//! The master keys of an installation, and the keys that are derived from them.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions and lengths in a text, which is shorter than the address space"
)]

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// How many master keys there may be. A rotation needs two. All are tried in turn, so each adds a
/// MAC to the cost of a forged key.
pub const MAX_MASTERS: usize = 8;

/// The length of a master key, bytes.
const MASTER_BYTES: usize = 32;

/// The length of the id that tells which master key sealed something, bytes. The ids are not secret
/// and need only tell eight apart.
pub(crate) const SEAL_ID_BYTES: usize = 4;

/// The keys derived from `MASTER_KEY`. Each purpose has its own, so that none can serve another.
/// `Debug` shows nothing.
#[derive(Clone)]
pub struct Master {
    keys: Vec<Derived>,
}

#[derive(Clone)]
struct Derived {
    mac: [u8; 32],
    task: [u8; 32],
    seal: [u8; 32],
    seal_id: [u8; SEAL_ID_BYTES],
}

/// What is wrong with `MASTER_KEY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MasterFault {
    /// It is not set, or empty.
    Missing,
    /// It lists more than [`MAX_MASTERS`] keys.
    TooMany,
    /// The n-th key (from 1) is not base64.
    NotBase64(usize),
    /// The n-th key (from 1) is not 32 bytes long.
    Length(usize),
}

impl std::fmt::Display for MasterFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let remedy = "set it to 32 random bytes in base64, such as from: openssl rand -base64 32";
        match self {
            Self::Missing => write!(f, "MASTER_KEY is not set; {remedy}"),
            Self::TooMany => write!(f, "MASTER_KEY has more than {MAX_MASTERS} keys; remove the oldest"),
            Self::NotBase64(n) => write!(f, "key {n} of MASTER_KEY is not base64; {remedy}"),
            Self::Length(n) => write!(f, "key {n} of MASTER_KEY is not 32 bytes long; {remedy}"),
        }
    }
}

impl std::error::Error for MasterFault {}

impl Master {
    /// Reads `MASTER_KEY`: one key, or several separated by commas. The first signs and seals; all
    /// are accepted.
    ///
    /// # Errors
    /// It fails with the position of the malformed key and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, MasterFault> {
        if text.trim().is_empty() {
            return Err(MasterFault::Missing);
        }
        if text.split(',').count() > MAX_MASTERS {
            return Err(MasterFault::TooMany);
        }
        let keys =
            text.split(',').enumerate().map(|(index, key)| decode(key.trim(), index + 1).map(|key| derive(&key)));
        Ok(Self { keys: keys.collect::<Result<_, _>>()? })
    }

    /// Yields the key that makes the MACs of callers' keys, then the others that are accepted.
    pub(super) fn macs(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.keys.iter().map(|key| &key.mac)
    }

    /// Yields the key that makes the MACs of tasks, then the others that are accepted.
    pub(super) fn tasks(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.keys.iter().map(|key| &key.task)
    }

    /// Returns the key that seals, and its id.
    pub(crate) fn sealing(&self) -> Option<(&[u8; SEAL_ID_BYTES], &[u8; 32])> {
        self.keys.first().map(|key| (&key.seal_id, &key.seal))
    }

    /// Whether older keys are listed after the one in force.
    pub(crate) fn is_rotated(&self) -> bool {
        self.keys.len() > 1
    }

    /// The ids of the sealing keys that are listed after the one in force.
    pub(crate) fn older_ids(&self) -> impl Iterator<Item = &[u8; SEAL_ID_BYTES]> {
        let current = self.sealing().map(|(id, _)| *id);
        self.keys.iter().map(|key| &key.seal_id).filter(move |id| Some(**id) != current)
    }

    /// Returns the sealing key of that id.
    pub(crate) fn sealed_by(&self, id: &[u8]) -> Option<&[u8; 32]> {
        self.keys.iter().find(|key| key.seal_id == id).map(|key| &key.seal)
    }
}

impl std::fmt::Debug for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Master(***)")
    }
}

/// Decodes base64 in either alphabet, padded or not, since generators differ in that.
fn decode(text: &str, position: usize) -> Result<[u8; MASTER_BYTES], MasterFault> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let standard = GeneralPurpose::new(&alphabet::STANDARD, config);
    let url_safe = GeneralPurpose::new(&alphabet::URL_SAFE, config);
    let bytes =
        standard.decode(text).or_else(|_| url_safe.decode(text)).map_err(|_| MasterFault::NotBase64(position))?;
    bytes.try_into().map_err(|_| MasterFault::Length(position))
}

fn derive(master: &[u8; MASTER_BYTES]) -> Derived {
    let [a, b, c, d, ..] = hmac(master, b"sluice: id of the sealing key, v1");
    Derived {
        mac: hmac(master, b"sluice: MAC of keys, v1"),
        task: hmac(master, b"sluice: MAC of errands, v1"),
        seal: hmac(master, b"sluice: sealing of credentials, v1"),
        seal_id: [a, b, c, d],
    }
}

/// Computes HMAC-SHA256 (RFC 2104).
#[expect(clippy::expect_used, reason = "the key's length is the one thing that could be refused, and HMAC takes any")]
pub(crate) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Whether the first bytes of two MACs are equal. The time it takes does not tell where they
/// differ.
pub(super) fn same(one: &[u8; 32], other: &[u8; 32], bytes: usize) -> bool {
    one.get(..bytes).unwrap_or(one).ct_eq(other.get(..bytes).unwrap_or(other)).into()
}
