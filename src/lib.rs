//! Sluice as a Cloudflare Worker: the shell that carries out what [`sluice_core`] decides.
//!
//! - `edge`: the Worker: takes a call, asks the tenant's object, forwards, settles.
//! - `durable`: the tenant's Durable Object: gives the tenant's state its storage, its time and its callers.
//! - `platform`: the JavaScript that both need.

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

#[cfg(target_arch = "wasm32")]
mod durable;
#[cfg(target_arch = "wasm32")]
mod edge;
#[cfg(target_arch = "wasm32")]
mod platform;
