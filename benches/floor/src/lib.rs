//! A Worker that does for each call what any throttle with an object has to do, and nothing else: asks the object, sends
//! the call on, hands the answer back, and tells the object that it has ended. Nothing is decided, nothing is checked.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs)] // What the macros make has none.

// Named by the macros.
#[allow(unused_imports)]
use worker::js_sys;
use worker::wasm_bindgen;
use worker::{
    Context, DurableObject, Env, Fetch, Method, Request, RequestInit, Response, Result, State, Stub, durable_object,
    event,
};

/// As many bytes as an ask for admission and a settlement have, and their answers.
const ASK: [u8; 200] = [b'a'; 200];
const SETTLE: [u8; 120] = [b's'; 120];
const ANSWER: [u8; 100] = [b'r'; 100];

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    let gate = env.durable_object("GATE")?.get_by_name("floor")?;
    ask(&gate, &ASK).await?;
    let url = format!("{}{}", env.var("VENDOR")?, request.path());
    let mut init = RequestInit::new();
    init.with_method(request.method()).with_headers(request.headers().clone());
    let answer = Fetch::Request(Request::new_with_init(&url, &init)?).send().await?;
    context.wait_until(async move {
        let _ = ask(&gate, &SETTLE).await;
    });
    Ok(answer)
}

async fn ask(gate: &Stub, body: &[u8]) -> Result<Vec<u8>> {
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(worker::js_sys::Uint8Array::from(body).into()));
    gate.fetch_with_request(Request::new_with_init("http://object/", &init)?).await?.bytes().await
}

/// The object: reads what it is asked, and answers.
#[durable_object]
pub struct Gate {}

impl DurableObject for Gate {
    fn new(_state: State, _env: Env) -> Self {
        Self {}
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        request.bytes().await?;
        Response::from_bytes(ANSWER.to_vec())
    }
}
