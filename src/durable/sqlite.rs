//! A tenant's tables in the object's own SQLite: one table for each kind of thing, one row for each
//! thing. Every statement is synchronous, and all that one event writes commits together, before
//! its answer leaves.

use sluice_core::tenant::store::{Store, StoreError, Table};
use worker::{Error, SqlCursor, SqlStorage, SqlStorageValue};

/// The schema, as the steps that lead to it: step n makes version n of version n − 1. A step once
/// released is never changed: a change is a new step at the end.
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

/// The object's SQLite. Tables are made at the first write, so that asking after a tenant that is
/// not there stores nothing.
pub struct Sqlite {
    sql: SqlStorage,
    /// The schema is the latest.
    ready: bool,
}

impl Sqlite {
    /// Opens the tables in `ctx.storage.sql`.
    ///
    /// # Errors
    /// If the storage cannot be read, or was written by a later release.
    pub fn open(sql: SqlStorage) -> Result<Self, StoreError> {
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

    /// Reads the version of the schema: 0 for storage that was never written to.
    fn version(&self) -> Result<usize, StoreError> {
        let meta = "SELECT name, x'' FROM sqlite_schema WHERE type = 'table' AND name = 'meta'";
        if self.rows(meta, Vec::new())?.is_empty() {
            return Ok(0);
        }
        let rows = self.rows("SELECT CAST(version AS TEXT), x'' FROM meta", Vec::new())?;
        let (version, _) = rows.first().ok_or_else(|| StoreError("the storage has no version".to_owned()))?;
        version.parse().map_err(|_| StoreError("the schema's version in the storage is not a number".to_owned()))
    }

    /// Takes all steps from `version` on, and writes the new version, in one commit: this event's.
    fn migrate(&mut self, version: usize) -> Result<(), StoreError> {
        for step in MIGRATIONS.iter().skip(version) {
            self.run(step, Vec::new())?;
        }
        if version < MIGRATIONS.len() {
            self.run("CREATE TABLE IF NOT EXISTS meta (version INTEGER NOT NULL)", Vec::new())?;
            self.run(&format!("DELETE FROM meta; INSERT INTO meta VALUES ({})", MIGRATIONS.len()), Vec::new())?;
        }
        self.ready = true;
        Ok(())
    }

    /// Runs a statement. Its first step is part of `exec`, and those that are not queries have no
    /// other.
    fn run(&self, query: &str, bindings: Vec<SqlStorageValue>) -> Result<(), StoreError> {
        self.cursor(query, bindings).map(drop)
    }

    /// Runs a query for ids and values. The rows come through the cursor's raw iterator, whose
    /// steps give an error where those of `to_array` and `one` throw past this code.
    fn rows(&self, query: &str, bindings: Vec<SqlStorageValue>) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.cursor(query, bindings)?.raw().map(|row| pair(row.map_err(fault)?)).collect()
    }

    fn cursor(&self, query: &str, bindings: Vec<SqlStorageValue>) -> Result<SqlCursor, StoreError> {
        self.sql.exec(query, bindings).map_err(fault)
    }
}

impl Store for Sqlite {
    fn load(&self, table: Table, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        if !self.ready {
            return Ok(None);
        }
        let row = self.cursor(statements(table).load, vec![id.into()])?.raw().next();
        row.map(|row| match row.map_err(fault)?.pop() {
            Some(SqlStorageValue::Blob(value)) => Ok(value),
            _ => Err(StoreError("a row of the storage has no value".to_owned())),
        })
        .transpose()
    }

    fn all(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        if !self.ready {
            return Ok(Vec::new());
        }
        self.rows(statements(table).all, Vec::new())
    }

    fn some(&self, table: Table, after: &str, most: u32) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        if !self.ready {
            return Ok(Vec::new());
        }
        self.rows(statements(table).some, vec![after.into(), SqlStorageValue::Integer(most.into())])
    }

    fn save(&mut self, table: Table, id: &str, value: &[u8]) -> Result<(), StoreError> {
        if !self.ready {
            self.migrate(0)?;
        }
        self.run(statements(table).save, vec![id.into(), SqlStorageValue::Blob(value.to_vec())])
    }

    fn remove(&mut self, table: Table, id: &str) -> Result<(), StoreError> {
        if !self.ready {
            return Ok(());
        }
        self.run(statements(table).remove, vec![id.into()])
    }

    fn clear(&mut self, table: Table) -> Result<(), StoreError> {
        if !self.ready {
            return Ok(());
        }
        self.run(statements(table).clear, Vec::new())
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

/// The statements of one table, whole: a name cannot be bound, and none is ever put together from
/// input.
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

fn pair(row: Vec<SqlStorageValue>) -> Result<(String, Vec<u8>), StoreError> {
    match <[SqlStorageValue; 2]>::try_from(row) {
        Ok([SqlStorageValue::String(id), SqlStorageValue::Blob(value)]) => Ok((id, value)),
        _ => Err(StoreError("a row of the storage has no id or no value".to_owned())),
    }
}

fn fault(error: Error) -> StoreError {
    let message = match error {
        Error::UnknownJsError { message, .. } => message,
        other => other.to_string(),
    };
    StoreError(format!("the object's storage refuses: {message}"))
}
