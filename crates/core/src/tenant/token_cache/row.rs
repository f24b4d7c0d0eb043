//! An access token as it is stored: sealed, with what tells whether it is still the connection's.

use super::{CachedToken, TokenCache, mark};
use crate::json;
use crate::json::Value;
use crate::policy::Connection;
use crate::sealed::{self, NONCE_BYTES, Place};
use crate::tenant::connection_state::ConnectionState;
use crate::tenant::store::{Host, StoreError, Table};

/// The version of the stored form.
const VERSION: u8 = 1;

/// Times are Unix ms.
struct Row {
    version: u8,
    whose: u64,
    place: u64,
    taken: i64,
    token: Option<Token>,
    refresh: Option<String>,
}

struct Token {
    sealed: String,
    since: i64,
    renew_at: i64,
    ends_at: i64,
}

impl Row {
    /// As it is stored: JSON.
    fn stored(&self) -> String {
        let Self { version, whose, place, taken, token, refresh } = self;
        let mut row = json!({"version": version, "whose": whose, "place": place, "taken": taken});
        if let Some(Token { sealed, since, renew_at, ends_at }) = token {
            row.set("token", json!({"sealed": sealed, "since": since, "renew_at": renew_at, "ends_at": ends_at}));
        }
        row.set_some("refresh", refresh.as_ref());
        row.to_string()
    }

    /// The inverse.
    fn read(stored: &[u8]) -> Option<Self> {
        let row = json::read(std::str::from_utf8(stored).ok()?).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let token = match row.get("token") {
            Some(token) => Some(Token {
                sealed: text(token.get("sealed")?)?,
                since: token.get("since")?.as_i64()?,
                renew_at: token.get("renew_at")?.as_i64()?,
                ends_at: token.get("ends_at")?.as_i64()?,
            }),
            None => None,
        };
        Some(Self {
            version: u8::try_from(row.get("version")?.as_u64()?).ok()?,
            whose: row.get("whose")?.as_u64()?,
            place: row.get("place")?.as_u64()?,
            taken: row.get("taken")?.as_i64()?,
            token,
            refresh: row.get("refresh").and_then(text),
        })
    }
}

impl TokenCache {
    /// The connection's, with what is stored of it. What does not open, or was bought with another credential, is as
    /// good as not there: another token is then fetched.
    pub(in crate::tenant) fn load(
        (tenant, name): (&str, &str),
        connection: &Connection,
        host: &Host<'_>,
    ) -> Result<Option<Self>, StoreError> {
        let Some(mut access) = Self::of(connection) else { return Ok(None) };
        let Some(row) = host.store.load(Table::TokenCache, name)? else { return Ok(Some(access)) };
        let Some(row) = Row::read(&row).filter(|row| row.version == VERSION && row.whose == access.whose) else {
            return Ok(Some(access));
        };
        let open = |field: &str, sealed: &str| {
            sealed::open(&host.settings.master, &Place { tenant, field: &pointer(name, field) }, sealed).ok()
        };
        access.taken = row.taken;
        access.refresh = row.refresh.and_then(|sealed| open(REFRESH, &sealed));
        access.held = row.token.filter(|_| row.place == access.place).and_then(|stored| {
            let token = open(TOKEN, &stored.sealed)?;
            let Token { since, renew_at, ends_at, .. } = stored;
            Some(CachedToken { mark: mark(&token), token, since, renew_at, ends_at })
        });
        Ok(Some(access))
    }
}

impl ConnectionState {
    /// Stores what is held, or that nothing is.
    pub(in crate::tenant) fn store_access(&self, host: &mut Host<'_>) -> Result<(), StoreError> {
        let Some(access) = self.access.as_ref().filter(|access| access.taken > 0) else {
            return match host.store.load(Table::TokenCache, &self.name)? {
                Some(_) => host.store.remove(Table::TokenCache, &self.name),
                None => Ok(()),
            };
        };
        let sealed = |field: &str, secret: &str| {
            let mut nonce = [0; NONCE_BYTES];
            (host.random)(&mut nonce);
            let place = Place { tenant: &self.tenant, field: &pointer(&self.name, field) };
            sealed::seal(&host.settings.master, nonce, &place, secret).map_err(|fault| StoreError(fault.to_string()))
        };
        let token = access.held.as_ref().map(|held| {
            let CachedToken { since, renew_at, ends_at, .. } = *held;
            Ok(Token { sealed: sealed(TOKEN, &held.token)?, since, renew_at, ends_at })
        });
        let (token, refresh) = (token.transpose()?, access.refresh.as_deref().map(|token| sealed(REFRESH, token)));
        let TokenCache { whose, place, taken, .. } = *access;
        let row = Row { version: VERSION, whose, place, taken, token, refresh: refresh.transpose()? };
        host.store.save(Table::TokenCache, &self.name, row.stored().as_bytes())
    }
}

const TOKEN: &str = "token";
const REFRESH: &str = "refresh_token";

/// Where it is sealed for: a place that no policy has.
fn pointer(connection: &str, field: &str) -> String {
    format!("/connections/{connection}/access/{field}")
}
