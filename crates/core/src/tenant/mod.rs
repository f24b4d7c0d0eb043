//! The state of one tenant, which its Durable Object holds: it alone decides on the tenant's calls.

pub mod access;
mod alerts;
mod blocked;
pub mod desk;
mod entry;
pub mod errand;
mod figures;
mod gate;
mod hooks;
mod jobs;
mod keys;
pub mod lending;
mod line;
pub mod loaded;
mod pauses;
pub mod protocol;
mod removed;
mod reseal;
mod status;
pub mod store;
mod tenure;
pub mod waiters;
