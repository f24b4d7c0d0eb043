//! This crate holds every decision that Sluice makes, as plain Rust. Time, randomness and storage
//! are arguments, and nothing in it waits.
//!
//! These are the modules, in the order in which a call meets them:
//!
//! - [`http`] reads the request as it came: its target, headers and preferences.
//! - [`keys`] finds and checks the caller's key before anything is stored or any object is woken.
//! - [`tenant`] holds the state of one tenant and decides on each of its calls.
//! - [`protocol`] defines the messages between a Worker and a tenant's object.
//! - [`policy`] parses, checks and stores what a tenant may do.
//! - [`sealed`] encrypts the secrets that are stored.
//! - [`upstream`] knows the vendors: what an answer means and how a refusal is worded. Profiles are
//!   data.
//! - [`call`] is the life of a call, from its first request for a permit to its settlement, as a
//!   state machine.
//! - [`retry`] decides whether and when a call is sent again.
//! - [`refusal`] names every answer that Sluice gives in the vendor's place.
//! - [`batcher`] joins settlements that end at nearly the same time into one request.
//! - [`jobs`] keeps, runs and shows the calls that nobody waits for.
//! - [`webhooks`] delivers messages to the tenant's own systems and bounds how often each is tried.
//! - [`api`] reads what is requested at the addresses of Sluice itself.
//! - [`usage`] counts who called how often, and how the calls ended.
//! - [`backlog_share`] bounds how much of the long-lived storage one app may take.
//! - [`document`] is the JSON form of policies and profiles; [`codec`] is the binary form of data.
//! - [`lookup`] is a hash map by numbers.

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

pub mod api;
pub mod backlog_share;
pub mod batcher;
pub mod call;
pub mod http;
pub mod jobs;
pub mod keys;
pub mod lookup;
mod percent;
pub mod policy;
pub mod protocol;
pub mod refusal;
pub mod retry;
pub mod sealed;
pub mod tenant;
pub mod upstream;
pub mod usage;
pub mod webhooks;

pub use sluice_limiter::codec;
pub use sluice_profile::document;
