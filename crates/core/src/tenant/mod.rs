//! The state of one tenant, which its Durable Object holds: it alone decides on the tenant's calls.
//!
//! The files depend one way. The leaves know nothing of each other: [`store`] (the surroundings),
//! `replies` (who waits for an answer), `rules` (what follows from the policy), `token_cache`,
//! `waiting_calls`, `pauses`, `blocked`, `tombstone`, `retained`, `keys`. A `connection` is put
//! together from leaves. [`state`] is put together from connections, `jobs`, `webhooks` and
//! [`pools`]; `handle` is where its events begin, and `admin`, `operate`, `stats` and `status`
//! answer those that are not calls.

mod admin;
mod alerts;
mod authorize;
mod blocked;
mod connection;
mod directory;
mod handle;
mod jobs;
mod keys;
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
mod webhooks;
