//! A tenant's tables in the object's own SQLite: one table for each kind of thing, one row for each thing.
//! Every statement is synchronous, and all that one event writes commits together, before its answer leaves.

use crate::platform;
use js_sys::{Array, Uint8Array};
use sluice_core::tenant::store::{Store, StoreError, Table};
use wasm_bindgen::{JsCast, JsValue};

/// The schema, as the steps that lead to it: step n makes version n of version n − 1. A step once released is never
/// changed: a change is a new step at the end.
const MIGRATIONS: [&str; 5] = [
    "
    CREATE TABLE policy (id TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE key (id TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE throttle (id TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE tenant (id TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE tombstone (id TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
",
    "CREATE TABLE access (id TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;",
    // With a rowid where a row can be long: without one it would be in the index itself.
    "CREATE TABLE job (id TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
     CREATE TABLE job_request (id TEXT PRIMARY KEY, value BLOB NOT NULL);
     CREATE TABLE job_answer (id TEXT PRIMARY KEY, value BLOB NOT NULL);",
    "CREATE TABLE webhook (id TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
     CREATE TABLE webhook_body (id TEXT PRIMARY KEY, value BLOB NOT NULL);",
    "CREATE TABLE removed (id TEXT PRIMARY KEY, value BLOB NOT NULL);",
];

/// The object's SQLite. Tables are made at the first write, so that asking after a tenant that is not there stores
/// nothing.
pub struct Sqlite {
    sql: JsValue,
    /// The schema is the latest.
    ready: bool,
}

impl Sqlite {
    /// Over `ctx.storage.sql`.
    ///
    /// # Errors
    /// If the storage cannot be read, or was written by a later release.
    pub fn open(sql: JsValue) -> Result<Self, StoreError> {
        let mut store = Self { sql, ready: false };
        let version = store.version()?;
        if version > MIGRATIONS.len() {
            return Err(StoreError(format!(
                "the storage has version {version} of the schema and this release knows {}; deploy the later release again",
                MIGRATIONS.len()
            )));
        }
        if version > 0 {
            store.migrate(version)?;
        }
        Ok(store)
    }

    /// 0 for storage that was never written to.
    fn version(&self) -> Result<usize, StoreError> {
        let meta = "SELECT name, x'' FROM sqlite_schema WHERE type = 'table' AND name = 'meta'";
        if platform::all(&self.sql, meta).map_err(fault)?.length() == 0 {
            return Ok(0);
        }
        let version = platform::all(&self.sql, "SELECT CAST(version AS TEXT), x'' FROM meta").map_err(fault)?;
        let (version, _) = row(&version.get(0))?;
        version.parse().map_err(|_| StoreError("the schema's version in the storage is not a number".to_owned()))
    }

    /// All steps from `version` on, and the new version, in one commit: this event's.
    fn migrate(&mut self, version: usize) -> Result<(), StoreError> {
        for step in MIGRATIONS.iter().skip(version) {
            platform::run(&self.sql, step).map_err(fault)?;
        }
        if version < MIGRATIONS.len() {
            platform::run(&self.sql, "CREATE TABLE IF NOT EXISTS meta (version INTEGER NOT NULL)").map_err(fault)?;
            let set = format!("DELETE FROM meta; INSERT INTO meta VALUES ({})", MIGRATIONS.len());
            platform::run(&self.sql, &set).map_err(fault)?;
        }
        self.ready = true;
        Ok(())
    }
}

impl Store for Sqlite {
    fn load(&self, table: Table, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        if !self.ready {
            return Ok(None);
        }
        let query = statements(table).load;
        let value = platform::load(&self.sql, query, id).map_err(fault)?;
        Ok(value.dyn_into::<Uint8Array>().ok().map(|bytes| bytes.to_vec()))
    }

    fn all(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        if !self.ready {
            return Ok(Vec::new());
        }
        platform::all(&self.sql, statements(table).all).map_err(fault)?.iter().map(|pair| row(&pair)).collect()
    }

    fn some(&self, table: Table, after: &str, most: u32) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        if !self.ready {
            return Ok(Vec::new());
        }
        let rows = platform::all_after(&self.sql, statements(table).some, after, most);
        rows.map_err(fault)?.iter().map(|pair| row(&pair)).collect()
    }

    fn save(&mut self, table: Table, id: &str, value: &[u8]) -> Result<(), StoreError> {
        if !self.ready {
            self.migrate(0)?;
        }
        platform::run_with_row(&self.sql, statements(table).save, id, value).map_err(fault)
    }

    fn remove(&mut self, table: Table, id: &str) -> Result<(), StoreError> {
        if !self.ready {
            return Ok(());
        }
        platform::run_with_id(&self.sql, statements(table).remove, id).map_err(fault)
    }

    fn clear(&mut self, table: Table) -> Result<(), StoreError> {
        if !self.ready {
            return Ok(());
        }
        platform::run(&self.sql, statements(table).clear).map_err(fault)
    }
}

struct Statements {
    load: &'static str,
    all: &'static str,
    some: &'static str,
    save: &'static str,
    remove: &'static str,
    clear: &'static str,
}

/// The statements of one table, whole: a name cannot be bound, and none is ever put together from input.
macro_rules! statements {
    ($table:literal) => {
        Statements {
            load: concat!("SELECT value FROM ", $table, " WHERE id = ?"),
            all: concat!("SELECT id, value FROM ", $table, " ORDER BY id"),
            some: concat!("SELECT id, value FROM ", $table, " WHERE id > ? ORDER BY id LIMIT ?"),
            save: concat!(
                "INSERT INTO ",
                $table,
                " VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET value = excluded.value"
            ),
            remove: concat!("DELETE FROM ", $table, " WHERE id = ?"),
            clear: concat!("DELETE FROM ", $table),
        }
    };
}

const fn statements(table: Table) -> Statements {
    match table {
        Table::Policy => statements!("policy"),
        Table::Key => statements!("key"),
        Table::Limiter => statements!("throttle"),
        Table::Tenant => statements!("tenant"),
        Table::Tombstone => statements!("tombstone"),
        Table::TokenCache => statements!("access"),
        Table::Job => statements!("job"),
        Table::JobRequest => statements!("job_request"),
        Table::JobAnswer => statements!("job_answer"),
        Table::Webhook => statements!("webhook"),
        Table::WebhookBody => statements!("webhook_body"),
        Table::Retained => statements!("removed"),
    }
}

fn row(pair: &JsValue) -> Result<(String, Vec<u8>), StoreError> {
    let pair: &Array = pair.dyn_ref().ok_or_else(|| StoreError("a row of the storage has no columns".to_owned()))?;
    let id = pair.get(0).as_string().ok_or_else(|| StoreError("a row of the storage has no id".to_owned()))?;
    Ok((id, Uint8Array::new(&pair.get(1)).to_vec()))
}

fn fault(error: JsValue) -> StoreError {
    let message = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    StoreError(format!("the object's storage refuses: {}", message.or_else(|| error.as_string()).unwrap_or_default()))
}
