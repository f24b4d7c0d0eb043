//! The Worker: takes a request, checks what can be checked without an object, asks the tenant's, forwards, settles.
//! It keeps nothing but a cache of where connections lead. Each file here is one step of a call's life, or one of
//! Sluice's own addresses.

mod admin;
mod answers;
mod attempts;
mod call;
mod deliver;
mod errand;
mod exchange;
mod forward;
mod incoming;
mod inspect;
mod installation;
mod jobs;
mod keep;
mod known;
mod lost;
mod operate;
mod page;
mod record;
mod run;
mod status;
mod tenants;
mod token;
mod upload;

use crate::platform::{self, Context};
use answers::Reply;
#[cfg(feature = "panic-trigger")]
pub use call::panic_if_asked;
use incoming::Incoming;
use installation::{Installation, Keys};
use js_sys::Promise;
use sluice_core::http::{Address, Answer, Crossing, Target, crossing, is_preflight, parse_target, preflight};
use sluice_core::json::Value;
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::tenant::errand::STAMP;
use std::pin::Pin;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::Request;

/// The Worker's one entry point.
///
/// # Errors
/// If the platform gives a request that is none.
#[wasm_bindgen]
pub fn fetch(request: Request, env: &JsValue, context: Context) -> Result<Promise, JsValue> {
    let incoming = Rc::new(Incoming::read(&request)?);
    if let Err(refusal) = incoming.check_headers() {
        let response = Reply::from(refusal).into_response(&incoming).map(JsValue::from);
        return Ok(platform::promise(async { response }));
    }
    let here = Installation::of(env);
    if let Some(reply) = in_clear(&request, &here, &incoming) {
        return Ok(platform::promise(async move { reply.into_response(&incoming).map(JsValue::from) }));
    }
    // What most requests are has one future to its end, and none to wait for that.
    if let Some(keys) = throttled(&here, &incoming) {
        return Ok(call::throttled(here, keys, request, &context, incoming));
    }
    Ok(platform::promise(async move {
        let reply = route(here, request, &context, &incoming).await;
        reply.into_response(&incoming).map(JsValue::from)
    }))
}

/// The answer to a request that has crossed the network over plain HTTP, where it is not to be heard. The platform tells of every request
/// that has come to its edge how it came; nobody tells a local run.
fn in_clear(request: &Request, here: &Installation, incoming: &Incoming) -> Option<Reply> {
    if !incoming.url.starts_with("http://")
        || incoming.header(STAMP).is_some()
        || is_preflight(&incoming.method, &incoming.headers)
    {
        return None;
    }
    // Without an edge there is no data centre, though there may be an object.
    let of = |from: &JsValue, name: &str| js_sys::Reflect::get(from, &JsValue::from_str(name)).unwrap_or_default();
    let cf = of(request, "cf");
    let is_public = cf.is_object() && of(&cf, "colo").is_string();
    if !is_public {
        return None;
    }
    let target = parse_target(&incoming.url, here.host_suffix.as_deref()).ok()?;
    let has_credential = ["authorization", "sluice-key", "sec-websocket-protocol"];
    let has_credential = has_credential.iter().any(|name| incoming.header(name).is_some());
    match crossing(&incoming.method, &target, has_credential) {
        Crossing::Passes => None,
        Crossing::Moves(to) => Some(Reply::Own(Answer::empty(308).with("Location", to))),
        Crossing::Refused => {
            let detail = "this came over plain http, where anybody on the way can read a key: use https, and replace any key that was sent";
            Some(Refusal::new(Reason::Https, detail).into())
        }
    }
}

/// Whether it is a call to a vendor; then the keys.
fn throttled(here: &Installation, incoming: &Incoming) -> Option<Rc<Keys>> {
    let elsewhere = incoming.header(STAMP).is_some() || is_preflight(&incoming.method, &incoming.headers);
    let keys = here.keys.as_ref().ok().filter(|_| !elsewhere)?;
    let target = parse_target(&incoming.url, here.host_suffix.as_deref()).ok()?;
    matches!(target.address, Address::Vendor(_)).then(|| Rc::clone(keys))
}

/// What is at this address, where it is no vendor's.
async fn route(here: Rc<Installation>, request: Request, context: &Context, incoming: &Incoming) -> Reply {
    if let Some(stamp) = incoming.header(STAMP) {
        return errand::take(here, &request, context, incoming, stamp).await;
    }
    // Answered before anything else is looked at: the real call decides.
    if is_preflight(&incoming.method, &incoming.headers) {
        return Reply::Preflight(preflight(&incoming.headers));
    }
    let target = match parse_target(&incoming.url, here.host_suffix.as_deref()) {
        Ok(target) => target,
        // Without its secrets an installation answers nothing else, not even that.
        Err(refusal) => return here.keys.as_ref().map_or_else(|fault| not_set_up(fault), |_| refusal.into()),
    };
    let address = target.address;
    match address {
        Address::Health => return page::health(incoming),
        Address::File => return page::file(&here, &request, incoming, &target).await,
        _ => {}
    }
    let keys = match &here.keys {
        Ok(keys) => Rc::clone(keys),
        Err(fault) => return not_set_up(fault),
    };
    // On the heap, since a call that waits would hold room for the largest of them.
    let answer: Pin<Box<dyn Future<Output = Reply> + '_>> = match address {
        Address::Admin(address) => Box::pin(admin::serve(&here, &keys, &request, incoming, address)),
        Address::Status | Address::Metrics | Address::Usage { .. } | Address::Errors { .. } => {
            Box::pin(status::document(&here, &keys, incoming, &target))
        }
        Address::Live => Box::pin(status::live(&here, &keys, incoming, &target)),
        Address::Jobs
        | Address::Job(_)
        | Address::JobResponse(_)
        | Address::DeadLetters
        | Address::DeadLetter(_)
        | Address::Replay(_)
        | Address::ReplayAll => Box::pin(jobs::serve(&here, &keys, incoming, &target)),
        Address::Pause(_) | Address::Resume(_) => Box::pin(operate::serve(&here, &keys, &request, incoming, &target)),
        _ => {
            let detail = "nothing is at this address yet: see the readme for those there are";
            return Refusal::new(Reason::NotFound, detail).into();
        }
    };
    answer.await
}

fn not_set_up(fault: &str) -> Reply {
    Refusal::new(Reason::Setup, fault).into()
}

/// Whether a request has one of the methods an address knows; `HEAD` comes with `GET`.
fn allows(incoming: &Incoming, methods: &[&str]) -> Result<(), Reply> {
    let known = methods.contains(&incoming.method.as_str()) || (incoming.method == "HEAD" && methods.contains(&"GET"));
    if known {
        return Ok(());
    }
    let allowed = methods.join(", ");
    let refusal = Refusal::new(Reason::Method, format!("this address knows {allowed} alone"));
    Err(Reply::Own(answers::refused(&refusal).with("Allow", allowed)))
}

/// Whether the page that asks, if a page asks, is Sluice's own.
fn is_own_page(incoming: &Incoming, target: &Target) -> bool {
    match incoming.origin() {
        Some(origin) => origin == target.sluice_origin(),
        None => matches!(incoming.header("sec-fetch-site"), Some("same-origin" | "none")),
    }
}

/// A line for the log, which no secret may be in.
fn log(line: &Value) {
    platform::log(&line.to_string());
}
