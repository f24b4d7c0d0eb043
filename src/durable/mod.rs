//! The tenant's Durable Object: it alone stores, and it has [`sluice_core::tenant`] decide.

mod live_status;
mod sqlite;
mod tenant;
