//! Carries out a task of a tenant's object in an invocation of its own.

pub mod deliver_webhook;
pub mod fetch_token;
pub mod run_job;

use crate::config::Config;
use crate::js;
use crate::request::Incoming;
use crate::response::Reply;
use crate::tenant_client;
use sluice_core::keys::{is_stamp, is_stamped};
use sluice_core::protocol::from_wire;
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::tenant::task::{LONGEST, Task};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::{ReadableStream, Request, Response, ResponseInit, WritableStream};
use worker::Context;

/// Takes a task, if it is stamped as one of this installation's, and carries it out after it has been
/// answered.
pub async fn take(config: Rc<Config>, request: &Request, context: &Context, incoming: &Incoming, stamp: &str) -> Reply {
    let Some(task) = read(&config, request, incoming, stamp).await else {
        return Refusal::new(Reason::NotFound, "nothing is at this address: docs/api.md lists those there are").into();
    };
    let Ok((response, taken)) = accepted() else { return tenant_client::unavailable().into() };
    context.wait_until(Box::pin(async move {
        match task {
            Task::Run(run) => run_job::run(config, *run).await,
            Task::Fetch(task) => fetch_token::fetch(&config, &task.tenant, &task.connection, task.fetch).await,
            Task::Deliver(delivery) => deliver_webhook::deliver(&config, *delivery).await,
        }
        let _ = taken.close().await;
    }));
    Reply::Done(response)
}

#[wasm_bindgen]
extern "C" {
    /// The platform's own stream, which `web-sys` does not know: the standard one runs in
    /// JavaScript.
    type IdentityTransformStream;

    #[wasm_bindgen(constructor, catch)]
    fn new() -> Result<IdentityTransformStream, JsValue>;

    #[wasm_bindgen(method, getter)]
    fn readable(this: &IdentityTransformStream) -> ReadableStream;

    #[wasm_bindgen(method, getter)]
    fn writable(this: &IdentityTransformStream) -> WritableStream;
}

/// Makes the answer to the one who posted the task: at once, with a body that ends when the second
/// part is closed. The platform lets a Worker run while somebody waits for its answer, and 30 s
/// more.
fn accepted() -> Result<(Response, WritableStream), JsValue> {
    let stream = IdentityTransformStream::new()?;
    let init = ResponseInit::new();
    init.set_status(202);
    Ok((Response::new_with_opt_readable_stream_and_init(Some(&stream.readable()), &init)?, stream.writable()))
}

async fn read(config: &Config, request: &Request, incoming: &Incoming, stamp: &str) -> Option<Task> {
    let keys = config.keys.as_ref().ok().filter(|keys| is_stamp(&keys.master, stamp, incoming.at))?;
    let body = js::read_whole(request, LONGEST.into()).await.ok()??.to_vec();
    if is_stamped(&keys.master, stamp, &body) { from_wire(&body) } else { None }
}
