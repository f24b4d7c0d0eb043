//! Attacks: each test states what should hold; a failing test is a confirmed fault.
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

#[path = "../../../limiter/tests/throttle/rig.rs"]
mod rig;

mod desk;
#[path = "../desk/rig.rs"]
mod desk_rig;
mod edits;
mod fair;
mod more;
mod time;
mod turns;
