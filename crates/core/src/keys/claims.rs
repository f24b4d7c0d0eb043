//! The text of a key: `slk_`, then a payload and its MAC in URL-safe base64 without padding.
//!
//! ```text
//! version 1 byte · role 1 byte · expiry 8 bytes big-endian (0: never)
//! · id · tenant · app (each: length 1 byte, then the bytes)
//! then the first 16 bytes of HMAC-SHA256 over all of that
//! ```

use super::master::{hmac, same};
use super::{Claims, MAX_NAME_BYTES, Master, Role, is_name};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What every key begins with. It tells a key from a vendor's own credential, both for Sluice and
/// for scanners for leaked secrets.
pub const PREFIX: &str = "slk_";

/// The longest id of a key, bytes.
pub const MAX_ID_BYTES: usize = 32;

/// How many bytes of the MAC are kept. A forger needs 2^127 tries on average, and each is a
/// request.
const MAC_BYTES: usize = 16;

const VERSION: u8 = 1;

const MAX_PAYLOAD_BYTES: usize = 10 + (1 + MAX_ID_BYTES) + 2 * (1 + MAX_NAME_BYTES);

/// The length of the longest possible key, in characters. Longer text is not examined.
pub const MAX_KEY_BYTES: usize = PREFIX.len() + ((MAX_PAYLOAD_BYTES + MAC_BYTES) * 4).div_ceil(3);

/// Why a key is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFault {
    /// This installation did not make it.
    Forged,
    /// The key was valid until its expiry, which has passed.
    Expired,
}

impl std::fmt::Display for KeyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Forged => "the key is not one this installation has issued; ask its administrator for one",
            Self::Expired => "the key has expired; ask the administrator for a new one",
        })
    }
}

impl std::error::Error for KeyFault {}

impl Claims {
    /// Returns the key for these claims, signed with the first master key; `None` if an id or a
    /// name is malformed, if an app is given without [`Role::App`], or if that role has no app.
    pub fn sign(&self, master: &Master) -> Option<String> {
        self.hold().then_some(())?;
        let mut bytes = vec![VERSION, role_byte(self.role)];
        bytes.extend_from_slice(&self.expires.unwrap_or(0).to_be_bytes());
        for part in [&self.id, &self.tenant, self.app.as_ref().unwrap_or(&String::new())] {
            bytes.push(u8::try_from(part.len()).ok()?);
            bytes.extend_from_slice(part.as_bytes());
        }
        let mac = hmac(master.macs().next()?, &bytes);
        bytes.extend(mac.iter().take(MAC_BYTES));
        Some(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Whether every part follows its grammar.
    fn hold(&self) -> bool {
        is_name(&self.tenant)
            && !self.id.is_empty()
            && self.id.len() <= MAX_ID_BYTES
            && self.id.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && self.app.is_some() == (self.role == Role::App)
            && self.app.as_deref().is_none_or(is_name)
            && self.expires != Some(0)
    }
}

/// Reads a key that this installation made and that has not expired; `now` is Unix time in seconds.
/// The caller must still check that the tenant lists the key.
///
/// # Errors
/// It fails if the key is forged or has expired.
pub fn open(master: &Master, key: &str, now: u64) -> Result<Claims, KeyFault> {
    if key.len() > MAX_KEY_BYTES {
        return Err(KeyFault::Forged);
    }
    let claims = verified(master, key).and_then(|payload| read(&payload)).ok_or(KeyFault::Forged)?;
    match claims.expires {
        Some(expires) if expires <= now => Err(KeyFault::Expired),
        _ => Ok(claims),
    }
}

/// Returns the tenant that a well-formed key names. The signature is not checked, so the name must
/// not be trusted.
pub fn claimed_tenant(key: &str) -> Option<String> {
    let key = Some(key).filter(|key| key.len() <= MAX_KEY_BYTES)?;
    let mut bytes = URL_SAFE_NO_PAD.decode(key.strip_prefix(PREFIX)?).ok()?;
    bytes.truncate(bytes.len().checked_sub(MAC_BYTES)?);
    Some(read(&bytes)?.tenant)
}

/// Returns the payload, if one of the master keys has signed it.
fn verified(master: &Master, key: &str) -> Option<Vec<u8>> {
    signed(master, URL_SAFE_NO_PAD.decode(key.strip_prefix(PREFIX)?).ok()?)
}

/// Whether these bytes are a key that one of the master keys has signed, expired or not.
pub(super) fn holds(master: &Master, bytes: Vec<u8>) -> bool {
    signed(master, bytes).is_some_and(|payload| read(&payload).is_some())
}

/// Returns how many bytes a key has that begins with these; `None` if they do not tell yet.
///
/// # Errors
/// It fails if no key begins like this.
pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>, KeyFault> {
    let version = bytes.first().is_none_or(|version| *version == VERSION);
    if !version || bytes.get(1).is_some_and(|role| role_of(*role).is_none()) {
        return Err(KeyFault::Forged);
    }
    let mut at: usize = 10;
    for (least, most) in [(1, MAX_ID_BYTES), (1, MAX_NAME_BYTES), (0, MAX_NAME_BYTES)] {
        let Some(part) = bytes.get(at).map(|length| usize::from(*length)) else { return Ok(None) };
        if !(least..=most).contains(&part) {
            return Err(KeyFault::Forged);
        }
        at = at.saturating_add(part).saturating_add(1);
    }
    Ok(Some(at.saturating_add(MAC_BYTES)))
}

fn signed(master: &Master, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let mac = bytes.split_off(bytes.len().checked_sub(MAC_BYTES)?);
    let mut presented = [0; 32];
    presented.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
    master.macs().any(|key| same(&hmac(key, &bytes), &presented, MAC_BYTES)).then_some(bytes)
}

fn read(payload: &[u8]) -> Option<Claims> {
    let (head, mut rest) = payload.split_first_chunk::<10>()?;
    let [VERSION, role, expires @ ..] = *head else { return None };
    let mut part = || {
        let (length, bytes) = rest.split_first()?;
        let (text, after) = bytes.split_at_checked(usize::from(*length))?;
        rest = after;
        String::from_utf8(text.to_vec()).ok()
    };
    let (id, tenant, app) = (part()?, part()?, part()?);
    let expires = Some(u64::from_be_bytes(expires)).filter(|seconds| *seconds > 0);
    let app = Some(app).filter(|app| !app.is_empty());
    let claims = Claims { tenant, id, role: role_of(role)?, app, expires };
    (rest.is_empty() && claims.hold()).then_some(claims)
}

const fn role_byte(role: Role) -> u8 {
    match role {
        Role::App => 0,
        Role::Viewer => 1,
        Role::Operator => 2,
    }
}

const fn role_of(byte: u8) -> Option<Role> {
    match byte {
        0 => Some(Role::App),
        1 => Some(Role::Viewer),
        2 => Some(Role::Operator),
        _ => None,
    }
}
