//! Sluice keeps integrations inside their vendors' API limits: each call goes to the vendor at the moment the vendor will take it.
//!
//! The modules, in the order a call meets them:
//!
//! - [`http`]: the request as it came: target, headers, preferences. Pure.
//! - [`key`]: who asks; read and checked before anything is stored or woken. Pure.
//! - [`tenant`]: the object that decides, one a tenant: its wire, its storage, its waiting calls.
//! - [`seal`]: secrets as they are stored. Pure.
//! - [`policy`]: what a tenant may do, as written and as used. Pure.
//! - [`json`]: JSON, exactly. Pure.
//! - [`map`]: maps that take little Wasm. Pure.
//! - [`ids`]: what is kept in numbered slots, found by its id. Pure.
//! - [`lookup`]: values by their numbers, in the same time however many there are. Pure.
//! - [`places`]: who may have one of the places of a queue, by weight. Pure.
//! - [`room`]: how much of what is kept for long one app may take. Pure.
//! - [`civil`]: when a vendor's day ends. Pure.
//! - [`throttle`]: admit, wait or refuse; settle. Pure.
//! - [`pool`]: one daily limit over the connections of many tenants. Pure.
//! - [`vendor`]: what an answer means, how a refusal is said. Profiles are data. Pure.
//! - [`retry`]: whether and when a call is sent again. Pure.
//! - [`gather`]: what ends at nearly the same time, told at once. Pure.
//! - [`refusal`]: every answer Sluice makes in the vendor's place.
//! - [`job`]: calls that need not be waited for: kept, run, shown. Pure.
//! - [`webhook`]: what Sluice itself says to the tenant, and how often it tries. Pure.
//! - [`codec`]: the binary form of what is sent and stored. Pure.
//! - [`usage`]: who called how often, with what end. Pure.
//! - `platform`: the few functions of JavaScript that the rest needs. Wasm only.
//! - `edge`: the Worker: takes the call, asks the object, forwards, settles. Wasm only.

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

pub mod civil;
pub mod codec;
#[cfg(target_arch = "wasm32")]
mod edge;
pub mod gather;
pub mod http;
pub mod ids;
pub mod job;
pub mod json;
pub mod key;
pub mod lookup;
pub mod map;
pub mod places;
#[cfg(target_arch = "wasm32")]
mod platform;
pub mod policy;
pub mod pool;
pub mod refusal;
pub mod retry;
pub mod room;
pub mod seal;
pub mod tenant;
pub mod throttle;
pub mod usage;
pub mod vendor;
pub mod webhook;
