//! Takes every request that comes to the Worker, and hands it to the code that answers at its
//! address.

use crate::api::{admin, assets, jobs, operate, status};
use crate::config::{Config, Keys};
use crate::request::Incoming;
use crate::response::Reply;
use crate::{call, request, tasks};
use sluice_core::http::{self, Address, Answer, PlainHead, is_preflight, parse_target, preflight};
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::tenant::task::STAMP;
use std::future::ready;
use std::pin::Pin;
use std::rc::Rc;
use wasm_bindgen::JsValue;
use web_sys::{Request, Response};
use worker::{Context, Env};

/// Answers a request: a vendor call in a future of its own, which outlives its caller, and
/// everything else here.
///
/// # Errors
/// If the platform gives a request that cannot be read, or does not take the answer.
pub fn respond<'a>(request: Request, env: &Env, context: &'a Context) -> Responding<'a> {
    match begin(request, env, context) {
        Ok(responding) => responding,
        Err(fault) => Box::pin(ready(Err(fault))),
    }
}

/// A response to come. It is boxed since the entry point's own future has room for it several times,
/// and thousands of calls may wait at once.
pub type Responding<'a> = Pin<Box<dyn Future<Output = Result<Response, JsValue>> + 'a>>;

fn begin<'a>(request: Request, env: &Env, context: &'a Context) -> Result<Responding<'a>, JsValue> {
    let incoming = Rc::new(Incoming::read(&request)?);
    let at_once = |reply: Reply| -> Responding<'a> { Box::pin(ready(reply.into_response(&incoming))) };
    if let Err(refusal) = incoming.check_headers() {
        return Ok(at_once(refusal.into()));
    }
    let config = Config::of(env);
    match in_clear(&request, &config, &incoming) {
        Ok(None) => {}
        Ok(Some(moved)) => return Ok(at_once(Reply::Own(moved))),
        Err(refusal) => return Ok(at_once(refusal.into())),
    }
    if let Some(keys) = throttled(&config, &incoming) {
        return Ok(Box::pin(call::throttled(config, keys, request, context, incoming)));
    }
    Ok(Box::pin(async move { route(config, request, context, &incoming).await.into_response(&incoming) }))
}

/// Answers a request that has crossed the network over plain HTTP, from which nothing may be read.
/// The platform states of every request that has come to its edge how it came; a local run has no
/// such statement.
fn in_clear(request: &Request, config: &Config, incoming: &Incoming) -> Result<Option<Answer>, Refusal> {
    if incoming.header(STAMP).is_some() {
        return Ok(None);
    }
    let head = PlainHead { method: &incoming.method, url: &incoming.url, headers: &incoming.headers };
    // Without an edge there is no data centre, though there may be an object.
    let has_crossed = || request::connection(request, "colo").is_some();
    http::in_clear(&head, config.host_suffix.as_deref(), has_crossed)
}

/// Returns the installation's keys if the request is a call to a vendor.
fn throttled(config: &Config, incoming: &Incoming) -> Option<Rc<Keys>> {
    let elsewhere = incoming.header(STAMP).is_some() || is_preflight(&incoming.method, &incoming.headers);
    let keys = config.keys.as_ref().ok().filter(|_| !elsewhere)?;
    let target = parse_target(&incoming.url, config.host_suffix.as_deref()).ok()?;
    matches!(target.address, Address::Vendor(_)).then(|| Rc::clone(keys))
}

/// Answers a request that is no call to a vendor.
async fn route(config: Rc<Config>, request: Request, context: &Context, incoming: &Incoming) -> Reply {
    if let Some(stamp) = incoming.header(STAMP) {
        return tasks::take(config, &request, context, incoming, stamp).await;
    }
    // Answered before anything else is looked at: the real call decides.
    if is_preflight(&incoming.method, &incoming.headers) {
        return Reply::Preflight(preflight(&incoming.headers));
    }
    let target = match parse_target(&incoming.url, config.host_suffix.as_deref()) {
        Ok(target) => target,
        // Without its secrets an installation answers nothing else, not even that.
        Err(refusal) => return config.keys.as_ref().map_or_else(|fault| not_set_up(fault), |_| refusal.into()),
    };
    let address = target.address;
    match address {
        Address::Health => return assets::health(incoming),
        Address::File => return assets::file(&config, incoming, &target).await,
        _ => {}
    }
    let keys = match &config.keys {
        Ok(keys) => Rc::clone(keys),
        Err(fault) => return not_set_up(fault),
    };
    // Boxed, so that this future is not as large as its largest branch.
    let answer: Pin<Box<dyn Future<Output = Reply> + '_>> = match address {
        Address::Admin(address) => Box::pin(admin::serve(&config, &keys, &request, incoming, address)),
        Address::Status | Address::Metrics | Address::Usage { .. } | Address::Errors { .. } => {
            Box::pin(status::document(&config, &keys, incoming, &target))
        }
        Address::Live => Box::pin(status::live(&config, &keys, incoming, &target)),
        Address::Jobs
        | Address::Job(_)
        | Address::JobResponse(_)
        | Address::DeadLetters
        | Address::DeadLetter(_)
        | Address::Replay(_)
        | Address::ReplayAll => Box::pin(jobs::serve(&config, &keys, incoming, &target)),
        Address::Pause(_) | Address::Resume(_) => Box::pin(operate::serve(&config, &keys, &request, incoming, &target)),
        _ => {
            let detail = "nothing is at this address: docs/api.md lists those there are";
            return Refusal::new(Reason::NotFound, detail).into();
        }
    };
    answer.await
}

fn not_set_up(fault: &str) -> Reply {
    Refusal::new(Reason::Setup, fault).into()
}
