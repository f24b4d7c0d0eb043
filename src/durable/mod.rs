//! The tenant's Durable Object: it alone stores, and it has [`sluice_core::tenant`] decide.

mod dispatch;
mod live_status;
mod memory;
mod sqlite;
mod tenant;
