//! Reads the profiles of vendors. A profile is a JSON document, held as a [tree](document) that
//! keeps everything that a fault must be reported for, and [`read`] reports every fault by its
//! place. The core uses this crate twice: in its build script, for the profiles in its folder, and
//! at run time, for those that come with a policy.

// An arithmetic overflow wraps silently in a shipped build, so unchecked arithmetic is linted. In
// tests it panics, so they may calculate freely.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::get_unwrap,
        clippy::string_slice
    )
)]

pub mod document;
mod facts;
mod fields;
pub mod names;
mod read;
pub mod table;

pub use facts::{
    Account, AlsoIn, Batch, Cache, CountPlace, Dialect, Executed, Facts, Items, KeyPlace, Meaning, MethodPlace,
    Reading, Rule, SizeLimit, TokenEndpoint, TokenPlace, TokenShape, TotalPlace, VendorCount,
};
pub use fields::Fault;
pub use read::read;
