//! What survives the loss of memory: permits reserved in advance, the stored snapshot, and what earlier epochs still have in flight.

mod burial;
pub(crate) mod prior_epochs;
pub(crate) mod reservation;
mod restore;
pub(crate) mod snapshot;
mod snapshot_before;
