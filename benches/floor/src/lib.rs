//! A Worker that does for each call what every throttle with a Durable Object must do, and nothing
//! else: it asks the object, forwards the call, returns the answer, and reports to the object that
//! the call has ended. It decides and checks nothing. It asks in URLs and the object answers in
//! headers, as an author would who knows what bodies cost.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs)] // The macros' items have none.

// The macros name it.
#[allow(unused_imports)]
use worker::js_sys;
use worker::wasm_bindgen;
use worker::{
    Context, DurableObject, Env, Fetch, Request, RequestInit, Response, Result, State, Stub, durable_object, event,
};

/// The characters of which the texts below consist. They are as long as Sluice's request for
/// admission and its settlement in a URL, and their answers in a header.
const ASK: &str = "a";
const ASK_LENGTH: usize = 270;
const SETTLE_LENGTH: usize = 160;
const ANSWER_LENGTH: usize = 135;
/// The header in which the object answers.
const REPLY: &str = "floor-reply";

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    let gate = env.durable_object("GATE")?.get_by_name("floor")?;
    ask(&gate, ASK_LENGTH).await?;
    let url = format!("{}{}", env.var("VENDOR")?, request.path());
    let mut init = RequestInit::new();
    init.with_method(request.method()).with_headers(request.headers().clone());
    let answer = Fetch::Request(Request::new_with_init(&url, &init)?).send().await?;
    context.wait_until(async move {
        let _ = ask(&gate, SETTLE_LENGTH).await;
    });
    Ok(answer)
}

/// Asks the object in the URL and reads its answer from a header: a body would take both sides
/// longer than all the rest.
async fn ask(gate: &Stub, length: usize) -> Result<Option<String>> {
    let url = format!("http://object/{}", ASK.repeat(length));
    gate.fetch_with_str(&url).await?.headers().get(REPLY)
}

/// The object, which reads the request and answers.
#[durable_object]
pub struct Gate {}

impl DurableObject for Gate {
    fn new(_state: State, _env: Env) -> Self {
        Self {}
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        let asked = request.inner().url().len();
        let response = Response::empty()?;
        response.headers().set(REPLY, &ASK.repeat(ANSWER_LENGTH.min(asked)))?;
        Ok(response)
    }
}
