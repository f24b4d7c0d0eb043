//! The list of tenants, which the object named `*` keeps.

use super::replies::refused;
use super::store::{Host, StoreError, Table};
use crate::protocol::{Directory, Reply};
use crate::refusal::{Reason, Refusal};

/// The most tenants of one installation: the list of their names is read in one go.
const MOST_TENANTS: usize = 100_000;

/// Reads or changes the list.
pub(super) fn handle(directory: Directory, host: &mut Host<'_>) -> Result<Reply, StoreError> {
    match directory {
        Directory::Add(name) => {
            if host.store.load(Table::Tenant, &name)?.is_none() {
                if host.store.all(Table::Tenant)?.len() >= MOST_TENANTS {
                    let detail = format!("this installation has {MOST_TENANTS} tenants, the most it takes: remove one");
                    return Ok(refused(Refusal::new(Reason::Request, detail)));
                }
                host.store.save(Table::Tenant, &name, &[])?;
            }
            Ok(Reply::Done)
        }
        Directory::Remove(name) => {
            host.store.remove(Table::Tenant, &name)?;
            Ok(Reply::Done)
        }
        Directory::Has(name) => Ok(match host.store.load(Table::Tenant, &name)? {
            Some(_) => Reply::Done,
            None => refused(Refusal::new(Reason::NotFound, format!("there is no tenant {name}"))),
        }),
        Directory::List => {
            let names: Vec<String> = host.store.all(Table::Tenant)?.into_iter().map(|(name, _)| name).collect();
            let body = serde_json::json!({"items": names}).to_string();
            Ok(Reply::Document { status: 200, body, warnings: Vec::new() })
        }
    }
}
