//! All that Sluice decides, as plain Rust: time, chance and storage are arguments, and nothing waits.
//!
//! The modules, in the order in which a call meets them:
//!
//! - [`http`]: the request as it came: target, headers, preferences.
//! - [`keys`]: the key that a caller shows, read and checked before anything is stored or woken.
//! - [`tenant`]: the state of one tenant, which decides on each of its calls.
//! - [`protocol`]: the messages between a Worker and a tenant's object.
//! - [`policy`]: what a tenant may do, as written and as used.
//! - [`sealed`]: secrets as they are stored.
//! - [`upstream`]: what is known of vendors: what an answer means, how a refusal is said. Profiles are data.
//! - [`call`]: the life of a call, from its first ask to its settlement, as a state machine.
//! - [`retry`]: whether and when a call is sent again.
//! - [`refusal`]: every answer that Sluice makes in the vendor's place.
//! - [`batcher`]: settlements that end at nearly the same time, sent in one request.
//! - [`jobs`]: calls that nobody waits for: kept, run, shown.
//! - [`webhooks`]: messages to the tenant's own systems, and how often each is tried.
//! - [`api`]: what is asked at Sluice's own addresses.
//! - [`usage`]: who called how often, and how the calls ended.
//! - [`backlog_share`]: how much of what is kept for long one app may take.
//! - [`document`], [`codec`]: the textual form of policies and profiles, the binary form of data.
//! - [`lookup`]: values by their numbers.

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
