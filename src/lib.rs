//! Sluice as a Cloudflare Worker: the shell that carries out what [`sluice_core`] decides.
//!
//! - `router` takes every request: a vendor call goes to `call`, Sluice's own addresses to `api`,
//!   and a task of a tenant's object to `tasks`. `config`, `request` and `response` are what these
//!   share; `tenant_client` asks a tenant's object, `route_cache` keeps where connections lead, and
//!   `lost_keys` explains keys that a lost `MASTER_KEY` has signed.
//! - `durable` is the tenant's object: it gives the tenant's state its storage, its time and its
//!   callers.
//! - `transport` is how these two talk to each other, `fetch` how both reach the network.
//! - `js` is the one file of JavaScript, which moves bodies; `platform` has what `worker` and
//!   `web-sys` do not give as it is needed; `panics` says what happens when the Wasm panics.
//!
//! The Worker may use all of these; `durable` uses nothing of the Worker's.

#![cfg(target_arch = "wasm32")]
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

mod api;
mod call;
mod config;
mod durable;
mod fetch;
mod js;
mod lost_keys;
mod panics;
mod platform;
mod request;
mod response;
mod route_cache;
mod router;
mod tasks;
mod tenant_client;
mod transport;

use web_sys::{Request, Response};
use worker::{Context, Env, Result, event};

/// Runs once for each instance of the Wasm, beside the start function of `worker` itself.
#[event(start)]
fn start() {
    panics::log_panics();
}

/// Answers every request: the Worker's one entry point. It takes and gives the platform's own types: making a
/// `worker::Request` reads `cf`, which the platform takes apart for it.
///
/// # Errors
/// If the platform gives a request that cannot be read.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    Ok(router::respond(request, &env, &context).await?)
}
