//! The state of one tenant, which its Durable Object holds: it alone decides on the tenant's calls.

mod admin;
mod alerts;
mod authorize;
mod blocked;
mod connection_state;
mod jobs;
mod keys;
pub mod live_feed;
pub mod loaded;
mod pauses;
pub mod pool_requests;
mod reseal;
mod retained;
pub mod state;
mod stats;
mod status;
pub mod store;
pub mod task;
pub mod token_cache;
mod token_gate;
pub mod waiters;
pub mod wakeups;
mod webhooks;
