//! Tombstones: what the windows and days of a removed connection still need. A tombstone begins
//! with the time until which it is kept.

use super::store::{Host, StoreError, Table};
use sluice_limiter::Limiter;

/// Keeps what a removed connection's windows and days still need, until they need it no more. The
/// tombstone is stored before anything of the connection is removed; where the connection's own row
/// is still there, that row holds. For a connection that needs nothing kept an empty tombstone is
/// stored, so that what else there is of it is removed even if storage refuses meanwhile.
pub(super) fn bury(name: &str, limiter: Limiter, host: &mut Host<'_>) -> Result<(), StoreError> {
    let mut stone = Vec::new();
    if let Some((until, row)) = limiter.bury(host.time()) {
        stone.extend(until.to_be_bytes());
        stone.extend(row);
    }
    host.store.save(Table::Tombstone, name, &stone)
}

/// Until when a tombstone is kept, in Unix milliseconds; 0 for an empty one.
pub(super) fn kept_until(stone: &[u8]) -> i64 {
    stone.first_chunk().map_or(0, |until| i64::from_be_bytes(*until))
}

/// The limiter's row in a tombstone; none in an empty one.
pub(super) fn row_in(stone: &[u8]) -> Option<Vec<u8>> {
    Some(stone.split_at_checked(8)?.1.to_vec())
}
