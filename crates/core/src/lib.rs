//! All that Sluice decides, as plain Rust: time, chance and storage are arguments, and nothing waits.
//!
//! The modules, in the order in which a call meets them:
//!
//! - [`http`]: the request as it came: target, headers, preferences.
//! - [`key`]: the key that a caller shows, read and checked before anything is stored or woken.
//! - [`tenant`]: the state of one tenant, which decides on each of its calls.
//! - [`policy`]: what a tenant may do, as written and as used.
//! - [`seal`]: secrets as they are stored.
//! - [`upstream`]: what is known of vendors: what an answer means, how a refusal is said. Profiles are data.
//! - [`call`]: the life of a call, from its first ask to its settlement.
//! - [`retry`]: whether and when a call is sent again.
//! - [`refusal`]: every answer that Sluice makes in the vendor's place.
//! - [`gather`]: settlements that end at nearly the same time, sent in one request.
//! - [`job`]: calls that nobody waits for: kept, run, shown.
//! - [`webhook`]: messages to the tenant's own systems, and how often each is tried.
//! - [`usage`]: who called how often, and how the calls ended.
//! - [`room`]: how much of what is kept for long one app may take.
//! - [`json`], [`codec`]: the textual and the binary form of data.
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

pub mod call;
pub mod gather;
pub mod http;
pub mod job;
pub mod json;
pub mod key;
pub mod lookup;
pub mod policy;
pub mod refusal;
pub mod retry;
pub mod room;
pub mod seal;
pub mod tenant;
pub mod upstream;
pub mod usage;
pub mod webhook;

pub use sluice_limiter::codec;
