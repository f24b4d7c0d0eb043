//! Tests of the call machine, which the Worker executes. It runs by script, with random events, and
//! against the real tenant state over a network that loses, repeats and delays messages.
//!
//! | what is played | in |
//! |---|---|
//! | asks, repeats, stale permits, unknown routes, tokens | `admission` |
//! | retries, held answers, timings, refusals | `attempts` |
//! | hand-backs, batches, attempt numbers | `settlements` |
//! | how bodies are taken | `bodies` |
//! | the report of a job that ran | `jobs` |
//! | any sequence of events, fitting or not | `chance` |
//! | callers, isolates, the network, a tenant's object and a vendor together | `world` |
//!
//! `witness` checks the promises for every one of these.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

mod admission;
mod attempts;
mod bodies;
mod chance;
mod jobs;
mod play;
mod settlements;
mod witness;
mod world;
