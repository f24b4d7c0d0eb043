//! The tenant's Durable Object: it alone stores, and it has [`sluice_core::tenant`] decide.

mod live;
mod object;
mod sqlite;
