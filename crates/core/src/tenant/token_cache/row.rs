//! The stored form of an access token: sealed, with what tells whether it is still the
//! connection's.

use super::{CachedToken, TokenCache, mark};
use crate::document::text;
use crate::policy::Connection;
use crate::sealed::{self, NONCE_BYTES, Place};
use crate::tenant::store::{Host, StoreError, Table};
use serde::{Deserialize, Serialize};

/// The version of the stored form.
const VERSION: u8 = 1;

/// A row, as it is stored in JSON. Times are Unix milliseconds.
#[derive(Serialize, Deserialize)]
struct Row {
    version: u8,
    whose: u64,
    place: u64,
    taken: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Token>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Token {
    sealed: String,
    since: i64,
    renew_at: i64,
    ends_at: i64,
}

impl TokenCache {
    /// Loads the tokens that are stored of a tenant's connection. What does not open, or was bought
    /// with another credential, counts as not there: another token is then fetched.
    pub(in crate::tenant) fn load(
        (tenant, name): (&str, &str),
        connection: &Connection,
        host: &Host<'_>,
    ) -> Result<Option<Self>, StoreError> {
        let Some(mut tokens) = Self::of(connection) else { return Ok(None) };
        let Some(row) = host.store.load(Table::TokenCache, name)? else { return Ok(Some(tokens)) };
        let row = serde_json::from_slice::<Row>(&row).ok();
        let Some(row) = row.filter(|row| row.version == VERSION && row.whose == tokens.whose) else {
            return Ok(Some(tokens));
        };
        let open = |field: &str, sealed: &str| {
            sealed::open(&host.settings.master, &Place { tenant, field: &pointer(name, field) }, sealed).ok()
        };
        tokens.taken = row.taken;
        tokens.refresh = row.refresh.and_then(|sealed| open(REFRESH, &sealed));
        tokens.held = row.token.filter(|_| row.place == tokens.place).and_then(|stored| {
            let token = open(TOKEN, &stored.sealed)?;
            let Token { since, renew_at, ends_at, .. } = stored;
            Some(CachedToken { mark: mark(&token), token, since, renew_at, ends_at })
        });
        Ok(Some(tokens))
    }

    /// Seals the stored tokens anew, if there are any and an older master key has sealed them.
    pub(in crate::tenant) fn reseal(&self, of: (&str, &str), host: &mut Host<'_>) -> Result<(), StoreError> {
        if host.rotated_key().is_none() || (self.held.is_none() && self.refresh.is_none()) {
            return Ok(());
        }
        match host.store.load(Table::TokenCache, of.1)? {
            Some(row) if sealed::is_stale(&host.settings.master, &row) => store_tokens(Some(self), of, host),
            _ => Ok(()),
        }
    }
}

/// Stores the tokens of a tenant's connection, or that it holds none.
pub(in crate::tenant) fn store_tokens(
    tokens: Option<&TokenCache>,
    (tenant, name): (&str, &str),
    host: &mut Host<'_>,
) -> Result<(), StoreError> {
    let Some(tokens) = tokens.filter(|tokens| tokens.taken > 0) else {
        return match host.store.load(Table::TokenCache, name)? {
            Some(_) => host.store.remove(Table::TokenCache, name),
            None => Ok(()),
        };
    };
    let sealed = |field: &str, secret: &str| {
        let mut nonce = [0; NONCE_BYTES];
        (host.random)(&mut nonce);
        let place = Place { tenant, field: &pointer(name, field) };
        sealed::seal(&host.settings.master, nonce, &place, secret).map_err(|fault| StoreError(fault.to_string()))
    };
    let token = tokens.held.as_ref().map(|held| {
        let CachedToken { since, renew_at, ends_at, .. } = *held;
        Ok(Token { sealed: sealed(TOKEN, &held.token)?, since, renew_at, ends_at })
    });
    let (token, refresh) = (token.transpose()?, tokens.refresh.as_deref().map(|token| sealed(REFRESH, token)));
    let TokenCache { whose, place, taken, .. } = *tokens;
    let row = Row { version: VERSION, whose, place, taken, token, refresh: refresh.transpose()? };
    host.store.save(Table::TokenCache, name, text(&row).as_bytes())
}

const TOKEN: &str = "token";
const REFRESH: &str = "refresh_token";

/// The place that a secret is sealed for; no policy has such a place.
fn pointer(connection: &str, field: &str) -> String {
    format!("/connections/{connection}/access/{field}")
}
