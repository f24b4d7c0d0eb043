//! Asking a tenant's object.

use crate::config::Config;
use crate::platform;
use crate::transport::{self, ObjectAddress};
use js_sys::Promise;
pub use sluice_core::call::unavailable;
use sluice_core::call::{Asks, Heard};
use sluice_core::protocol::{Ask, Reply, from_wire, to_wire};
use sluice_core::refusal::Refusal;
use std::cell::RefCell;
use std::collections::BTreeMap;
use wasm_bindgen::prelude::*;
use web_sys::{AbortSignal, Headers, Request, RequestInit, Response};
use worker_sys::DurableObject;

/// Name of the object that lists the tenants. No tenant has it: it is no name.
pub const DIRECTORY: &str = "*";

/// Places of objects that are kept; at this many all are dropped, and found again.
const MOST_ADDRESSES: usize = 1_024;

thread_local! {
    static ADDRESSES: RefCell<BTreeMap<String, ObjectAddress>> = RefCell::default();
}

/// An object's answer.
pub struct Asked {
    /// The object's reply.
    pub reply: Reply,
    /// How long it took, ms.
    pub elapsed_ms: u64,
    /// The caller had gone by then.
    pub gone: bool,
}

/// Asks once, and at once: what is awaited holds nothing of the ask, as thousands may wait. None if
/// no answer can be had. `caller` is the request and the call's id of one that may go away
/// meanwhile.
pub fn ask_once(
    config: &Config,
    tenant: &str,
    ask: &Ask,
    caller: Option<(&Request, &str)>,
) -> impl Future<Output = Option<Asked>> + use<> {
    let asked = platform::now();
    let caller = caller.map(|(request, call)| (request.signal(), call));
    let had_gone = caller.as_ref().is_some_and(|(signal, _)| signal.aborted());
    // A caller that had gone before has nothing asked.
    let sent = if had_gone { None } else { send(config, tenant, ask, caller) };
    async move {
        if had_gone {
            return Some(Asked { reply: Reply::Done, elapsed_ms: 0, gone: true });
        }
        let (response, caller) = sent?;
        let reply = transport::reply(response).await.ok()?;
        let gone = caller.is_some_and(|caller| caller.signal.aborted());
        let elapsed_ms = u64::try_from(platform::now().saturating_sub(asked)).unwrap_or_default();
        Some(Asked { reply: from_wire(&reply)?, elapsed_ms, gone })
    }
}

fn send(
    config: &Config,
    tenant: &str,
    ask: &Ask,
    caller: Option<(AbortSignal, &str)>,
) -> Option<(Promise, Option<Caller>)> {
    let objects = config.tenants.as_ref()?;
    ADDRESSES.with_borrow_mut(|addresses| {
        if !addresses.contains_key(tenant) {
            if addresses.len() >= MOST_ADDRESSES {
                addresses.clear();
            }
            addresses.insert(tenant.to_owned(), ObjectAddress::find(objects, tenant).ok()?);
        }
        let address = addresses.get(tenant)?;
        let stub = address.stub(objects).ok()?;
        // What every call asks holds no secret; in what others ask there may be some.
        let is_short = matches!(ask, Ask::Admit(_) | Ask::Settle(_) | Ask::SettleBatch(_));
        let response = address.send(&stub, &to_wire(ask), is_short).ok()?;
        let caller = caller.map(|(signal, call)| {
            Caller::watched(signal, stub, address.with_ask(&to_wire(&Ask::Gone(call.to_owned()))))
        });
        Some((response, caller))
    })
}

/// A caller that waits for an object's answer. If it goes, the object learns so at once, in a
/// separate request: to abort the ask instead would lose a permit that is on its way back.
struct Caller {
    signal: AbortSignal,
    _leaves: Closure<dyn FnMut()>,
}

impl Caller {
    /// Watches the signal until this is dropped. `gone` is the URL that reports the caller's
    /// leaving to the object.
    fn watched(signal: AbortSignal, stub: DurableObject, gone: String) -> Self {
        let leaves = Closure::own_assert_unwind_safe(move || {
            if let Ok(heard) = stub.fetch_with_str(&gone) {
                platform::spawn(async {
                    let _ = transport::reply(heard).await;
                });
            }
        });
        signal.set_onabort(Some(leaves.as_ref().unchecked_ref()));
        Self { signal, _leaves: leaves }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.signal.set_onabort(None);
    }
}

/// Asks until the object has an answer. For what may be asked twice.
pub async fn ask(config: &Config, tenant: &str, ask: &Ask) -> Result<Reply, Refusal> {
    let mut asks = Asks::of_a_question();
    loop {
        let asked = ask_once(config, tenant, ask, None).await;
        match asks.heard(asked.map(|asked| asked.reply)) {
            Heard::Reply(reply) => return Ok(reply),
            Heard::AskAgain => {}
            Heard::Unavailable => return Err(unavailable()),
        }
    }
}

/// Opens the live status of a tenant; the response has the WebSocket, or the object's reply that
/// says why not. `note`: the claims of the key it is opened with; `protocol`: the WebSocket's,
/// where one was offered.
pub async fn open_live(config: &Config, tenant: &str, note: &str, protocol: Option<&str>) -> Result<Response, JsValue> {
    let objects = config.tenants.as_ref().ok_or(JsValue::UNDEFINED)?;
    let headers = Headers::new()?;
    headers.set("Upgrade", "websocket")?;
    headers.set("Sluice-Claims", note)?;
    if let Some(protocol) = protocol {
        headers.set("Sec-WebSocket-Protocol", protocol)?;
    }
    let init = RequestInit::new();
    init.set_headers(&headers);
    let request = Request::new_with_str_and_init(&transport::url_of(tenant), &init)?;
    Ok(objects.get_by_name(tenant)?.fetch_with_request(&request)?.await?.unchecked_into())
}
