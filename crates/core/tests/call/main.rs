//! The life of a vendor call: the machine that the Worker carries out, played by script, by chance,
//! and against the real state of a tenant over a network that loses, repeats and delays.
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
//! `witness` holds what is promised of every one of these.
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
