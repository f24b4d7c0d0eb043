//! What survives the loss of memory: permits reserved in advance, the stored snapshot, and what earlier epochs still have in flight.

pub(crate) mod prior_epochs;
pub(crate) mod reservation;
pub(crate) mod snapshot;
mod snapshot_before;
