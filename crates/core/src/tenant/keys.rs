//! The keys of a tenant. Stored is never the key itself, only what it may do. A key works while its
//! id is listed.

use super::replies::refused;
use super::store::{Host, StoreError, Table};
use crate::document::text;
use crate::keys::{Claims, Role};
use crate::policy::Policy;
use crate::protocol::{NewKey, Reply};
use crate::refusal::{Reason, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sluice_limiter::calendar::rfc3339;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The most keys of a tenant that have not expired.
const MOST_KEYS: usize = 10_000;

/// A key, as it is stored in JSON. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeyRow {
    role: Role,
    app: Option<String>,
    created: u64,
    expires: Option<u64>,
}

/// Whether a key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyState {
    /// The key works.
    Works,
    /// The key's time is over.
    Expired,
    /// The key is not listed as its claims have it: it was revoked, or never issued.
    NotListed,
}

/// The keys of a tenant, by id.
#[derive(Default)]
pub(super) struct Keys(BTreeMap<String, KeyRow>);

impl NewKey {
    /// Reads the body of `POST …/keys`.
    ///
    /// # Errors
    /// Fails with a sentence that says what is wrong with the document.
    pub fn read(text: &str) -> Result<Self, String> {
        let body: Value = serde_json::from_str(text).map_err(|fault| fault.to_string())?;
        let (mut role, mut app, mut expires_in_seconds) = (None, None, None);
        for (name, value) in body.as_object().ok_or("it must be an object")? {
            let fits = match name.as_str() {
                "role" => {
                    role = Role::deserialize(value).ok();
                    role.is_some()
                }
                "app" => {
                    app = value.as_str().map(str::to_owned);
                    app.is_some() || value.is_null()
                }
                "expires_in_seconds" => {
                    expires_in_seconds = value.as_u64();
                    expires_in_seconds.is_some() || value.is_null()
                }
                _ => return Err(format!("unknown field {name}; the fields here are role, app and expires_in_seconds")),
            };
            if !fits {
                let expected = match name.as_str() {
                    "role" => "app, viewer or operator",
                    "app" => "the name of an app of the policy",
                    _ => "a whole number of seconds",
                };
                return Err(format!("{name} must be {expected}"));
            }
        }
        let role = role.ok_or("role is missing: it is app, viewer or operator")?;
        Ok(Self { role, app, expires_in_seconds })
    }
}

impl Keys {
    /// Loads all stored keys. A key that does not parse is of a later version, and counts as
    /// revoked here.
    pub(super) fn load(host: &Host<'_>) -> Result<Self, StoreError> {
        let mut keys = BTreeMap::new();
        for (id, row) in host.store.all(Table::Key)? {
            if let Ok(row) = serde_json::from_slice(&row) {
                keys.insert(id, row);
            }
        }
        Ok(Self(keys))
    }

    /// Issues a key to a tenant with this policy.
    pub(super) fn create(
        &mut self,
        (tenant, policy): (&str, Option<&Policy>),
        new: NewKey,
        host: &mut Host<'_>,
    ) -> Result<Reply, StoreError> {
        let invalid = |pointer: &str, detail: String| Ok(Reply::Invalid(vec![(pointer.to_owned(), detail)]));
        match (new.role, &new.app) {
            (Role::App, None) => {
                return invalid("/app", "is missing: name the app of the policy that will carry the key".to_owned());
            }
            (Role::App, Some(app)) => {
                if !policy.is_some_and(|policy| policy.apps.contains_key(app)) {
                    return invalid("/app", "is not an app of the tenant's policy".to_owned());
                }
            }
            (_, Some(_)) => return invalid("/app", "is for the role app alone".to_owned()),
            (_, None) => {}
        }
        let now = u64::try_from(host.now / 1_000).unwrap_or(0);
        if new.expires_in_seconds == Some(0) {
            return invalid("/expires_in_seconds", "must be at least 1".to_owned());
        }
        let expired: Vec<String> = self
            .0
            .iter()
            .filter(|(_, row)| row.expires.is_some_and(|at| at <= now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in expired {
            host.store.remove(Table::Key, &id)?;
            self.0.remove(&id);
        }
        if self.0.len() >= MOST_KEYS {
            return invalid("", format!("the tenant has {MOST_KEYS} keys, the most it may have: revoke some"));
        }
        let mut bytes = [0; 8];
        (host.random)(&mut bytes);
        let id = bytes.iter().fold(String::new(), |mut id, byte| {
            let _ = write!(id, "{byte:02x}");
            id
        });
        let row = KeyRow {
            role: new.role,
            app: new.app,
            created: now,
            expires: new.expires_in_seconds.map(|seconds| now.saturating_add(seconds)),
        };
        let claims = Claims {
            tenant: tenant.to_owned(),
            id: id.clone(),
            role: row.role,
            app: row.app.clone(),
            expires: row.expires,
        };
        let Some(key) = claims.sign(&host.settings.master) else {
            return Ok(refused(Refusal::new(Reason::Internal, "the key could not be signed: report this as a fault")));
        };
        host.store.save(Table::Key, &id, text(&row).as_bytes())?;
        let body = text(&KeyDocument { key: Some(key), ..show(&id, &row) });
        self.0.insert(id, row);
        Ok(Reply::Document { status: 201, body, warnings: Vec::new() })
    }

    /// Lists the keys.
    pub(super) fn list(&self) -> Reply {
        let items: Vec<KeyDocument<'_>> = self.0.iter().map(|(id, row)| show(id, row)).collect();
        Reply::Document { status: 200, body: json!({ "items": items }).to_string(), warnings: Vec::new() }
    }

    /// Revokes a key at once.
    pub(super) fn revoke(&mut self, id: &str, host: &mut Host<'_>) -> Result<Reply, StoreError> {
        if self.0.remove(id).is_none() {
            return Ok(refused(Refusal::new(Reason::NotFound, format!("the tenant has no key with the id {id}"))));
        }
        host.store.remove(Table::Key, id)?;
        Ok(Reply::Document { status: 204, body: String::new(), warnings: Vec::new() })
    }

    /// Returns whether the key with these claims may be used at a time, in Unix milliseconds.
    pub(super) fn state(&self, claims: &Claims, now: i64) -> KeyState {
        let Some(row) = self.0.get(&claims.id).filter(|row| row.role == claims.role && row.app == claims.app) else {
            return KeyState::NotListed;
        };
        let expired = row.expires.is_some_and(|at| i64::try_from(at).is_ok_and(|at| at.saturating_mul(1_000) <= now));
        if expired { KeyState::Expired } else { KeyState::Works }
    }
}

/// A key, as it is shown. The key itself is shown once, when it is issued.
#[derive(Serialize)]
struct KeyDocument<'a> {
    id: &'a str,
    role: Role,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

fn show<'a>(id: &'a str, row: &'a KeyRow) -> KeyDocument<'a> {
    let at = |seconds: u64| rfc3339(i64::try_from(seconds).unwrap_or(0).saturating_mul(1_000));
    KeyDocument {
        id,
        role: row.role,
        created: at(row.created),
        app: row.app.as_deref(),
        expires: row.expires.map(at),
        key: None,
    }
}
