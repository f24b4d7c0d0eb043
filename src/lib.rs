//! Sluice as a Cloudflare Worker: the shell that carries out what [`sluice_core`] decides.
//!
//! - `edge`: the Worker: takes a call, asks the tenant's object, forwards, settles.
//! - `durable`: the tenant's Durable Object: gives the tenant's state its storage, its time and its callers.
//! - `transport`: how these two talk to each other.
//! - `panics`: what happens when the Wasm panics.
//! - `platform`: the JavaScript that all need.

#![cfg(target_arch = "wasm32")]
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

mod durable;
mod edge;
mod fetch;
mod js;
mod panics;
mod platform;
mod transport;

use web_sys::{Request, Response};
use worker::{Context, Env, Result, event};

/// Runs once for each instance of the Wasm, beside the start function of `worker` itself.
#[event(start)]
fn start() {
    panics::log_panics();
}

/// The Worker's one entry point. It takes and gives the platform's own types: making a `worker::Request` reads `cf`, which the platform
/// takes apart for it.
///
/// # Errors
/// If the platform gives a request that cannot be read.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    Ok(edge::respond(request, &env, &context).await?)
}
