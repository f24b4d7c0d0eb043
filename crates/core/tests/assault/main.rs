//! Attacks: each test states a property, and a failing test is a confirmed fault.
#![allow(
    warnings,
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    clippy::disallowed_methods
)]

#[path = "../../../limiter/tests/limiter/harness.rs"]
mod harness;

mod edits;
mod fair;
mod more;
mod tenant;
#[path = "../tenant/harness.rs"]
mod tenant_harness;
mod time;
mod turns;
