//! The state of one tenant, which its Durable Object holds: it alone decides on the tenant's calls.
//!
//! The files depend one way. The leaves know nothing of a connection or a tenant: [`store`] (the
//! surroundings), `replies` (who waits for an answer), `rules` (what follows from the policy),
//! `token_cache`, `waiting_calls`, `pauses`, `blocked`, `tombstone`, `retained`, `keys`, `reseal`.
//! A `connection` is put together from leaves. [`state`] is put together from connections and the
//! parts of a tenant; `jobs`, `webhooks`, [`pools`], `alerts` and `removal` have one part each, with
//! the methods of the state that need it. `handle` is where the state's events begin, and `admin`,
//! `operate`, `stats`, `metrics`, `status` and `directory` answer those that are not calls.

mod admin;
mod alerts;
mod authorize;
mod blocked;
mod connection;
mod directory;
mod handle;
mod jobs;
mod keys;
pub mod live_feed;
pub mod loaded;
mod metrics;
mod operate;
mod pauses;
pub mod pools;
mod removal;
mod replies;
mod reseal;
mod retained;
mod rules;
pub mod state;
mod stats;
mod status;
pub mod store;
pub mod task;
pub mod token_cache;
mod tombstone;
pub mod waiters;
mod waiting_calls;
pub mod wakeups;
mod webhooks;
