//! The limiter by its public interface: each of its promises is a test, on a virtual clock.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used, reason = "a test may fail")]

mod blocks;
mod counts;
mod days;
mod edges;
mod edits;
mod extremes;
mod figures;
mod harness;
mod lives;
mod promises;
mod queueing;
mod row;
mod stops;
