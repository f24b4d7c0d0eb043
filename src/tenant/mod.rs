//! The tenant's object: it alone decides, and it alone stores.
//!
//! [`desk`] decides, and is pure; what is wasm only gives it storage, time and somebody to talk to.

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
#[cfg(target_arch = "wasm32")]
mod live;
pub mod loaded;
#[cfg(target_arch = "wasm32")]
mod object;
mod pauses;
pub mod protocol;
mod removed;
mod reseal;
#[cfg(target_arch = "wasm32")]
mod sqlite;
mod status;
pub mod store;
mod tenure;
pub mod waiters;
