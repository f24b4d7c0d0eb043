//! The tenant's object: it alone decides, and it alone stores.
//!
//! [`desk`] decides, and is pure; what is wasm only gives it storage, time and somebody to talk to.

pub mod desk;
mod gate;
mod keys;
mod line;
pub mod protocol;
mod status;
pub mod store;
mod tenure;
