//! Vendors' profiles as they are written. A profile is a JSON document, held as a [tree](document) that keeps what a fault has to
//! be told of, and [`read`] tells every fault of one by its place. The core has this crate twice: as it is built, for the
//! profiles in its folder, and as it runs, for those that come with a policy.

// What overflows wraps round silently in a shipped build. Tests may calculate as they like: there it panics.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::get_unwrap,
        clippy::string_slice,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable
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
